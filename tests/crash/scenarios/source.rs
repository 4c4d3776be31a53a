//! Sources: real directories, made of content that follows from names alone.
//!
//! They are kept as long as a seed may lead back to them, because what identifies a source file to
//! the engine (inode, change time) cannot be made again.

use std::fs::{File, FileTimes, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::sim::{Rng, Witness};

/// How the mark of an entry begins that is gone from the source.
pub(crate) const GONE: &str = "gone ";

/// The block size of all scenarios, the smallest there is.
pub(crate) const BLOCK: usize = 64 << 10;

/// A directory to copy the contents of.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) dir: PathBuf,
}

impl Source {
    /// The place of a scenario's source.
    pub(crate) fn of(scenario: &str) -> Source {
        let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let name: String = scenario.chars().map(safe).collect();
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        Source {
            dir: place.join(format!("crash-{name}.source")),
        }
    }

    /// An empty directory at that place.
    pub(crate) fn clear(&self) {
        if self.dir.exists() {
            std::fs::remove_dir_all(&self.dir).expect("the last source can be removed");
        }
        std::fs::create_dir(&self.dir).expect("a new source can be made");
    }

    /// Makes or replaces a file. Its content follows from name, version and length.
    pub(crate) fn file(&self, name: &str, version: u64, len: usize) {
        let path = self.path(name);
        std::fs::write(&path, content(name, version, len)).expect("a source file can be written");
        set_time(&path, version);
    }

    /// Makes a file that differs from its version 1 from an offset on, and has its size and times.
    pub(crate) fn alike(&self, name: &str, len: usize, from: usize) {
        let path = self.path(name);
        let mut bytes = content(name, 1, len);
        bytes[from..].copy_from_slice(&content(name, 2, len - from));
        std::fs::write(&path, bytes).expect("a source file can be written");
        set_time(&path, 1);
    }

    /// Makes a file of `blocks` blocks with content in one of every three; the rest are holes.
    pub(crate) fn sparse(&self, name: &str, blocks: usize) {
        let file = File::create(self.path(name)).expect("a source file can be made");
        for block in (1..blocks).step_by(3) {
            let (offset, part) = (block * BLOCK + 8192, content(name, block as u64, 20_000));
            let written = file.write_all_at(&part, offset as u64);
            written.expect("a source file can be written");
        }
        let sized = file.set_len((blocks * BLOCK) as u64 - 7);
        sized.expect("a source file can be written");
        set_time(&self.path(name), 1);
    }

    /// Gives an entry an extended attribute.
    pub(crate) fn attribute(&self, name: &str, value: &str) {
        let flags = rustix::fs::XattrFlags::empty();
        let set = rustix::fs::lsetxattr(self.path(name), "user.note", value.as_bytes(), flags);
        set.expect("the source's file system holds attributes");
    }

    /// Sets the mode of an entry.
    pub(crate) fn mode(&self, name: &str, mode: u32) {
        let set = std::fs::set_permissions(self.path(name), Permissions::from_mode(mode));
        set.expect("a source's mode can be set");
    }

    /// Makes a symlink.
    pub(crate) fn symlink(&self, name: &str, target: &str) {
        let made = std::os::unix::fs::symlink(target, self.path(name));
        made.expect("a symlink can be made");
    }

    /// Makes a fifo.
    pub(crate) fn fifo(&self, name: &str) {
        let (mode, fifo) = (rustix::fs::Mode::RWXU, rustix::fs::FileType::Fifo);
        let made = rustix::fs::mknodat(rustix::fs::CWD, self.path(name), fifo, mode, 0);
        made.expect("a fifo can be made");
    }

    /// Makes a hard link.
    pub(crate) fn link(&self, name: &str, to: &str) {
        let made = std::fs::hard_link(self.dir.join(to), self.path(name));
        made.expect("a hard link can be made");
    }

    /// Makes a directory.
    pub(crate) fn dir(&self, name: &str) {
        std::fs::create_dir_all(self.dir.join(name)).expect("a source directory can be made");
    }

    /// Removes a file or symlink.
    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.dir.join(name)).expect("a source file can be removed");
    }

    /// Removes a directory with all that is in it.
    pub(crate) fn remove_dir(&self, name: &str) {
        let removed = std::fs::remove_dir_all(self.dir.join(name));
        removed.expect("a source directory can be removed");
    }

    /// Sets the time of a directory, once it has all its entries.
    pub(crate) fn dir_time(&self, name: &str) {
        set_time(&self.dir.join(name), 77);
    }

    /// Who tells, as marks, which entries have gone since it was asked last.
    pub(crate) fn witness(&self) -> Witness {
        let dir = self.dir.clone();
        let mut left = self.entries();
        Box::new(move || {
            let gone = |path: &PathBuf| dir.join(path).symlink_metadata().is_err();
            let (lost, kept) = std::mem::take(&mut left).into_iter().partition(gone);
            left = kept;
            let lost: Vec<PathBuf> = lost;
            lost.iter()
                .map(|path| format!("{GONE}{}", path.display()))
                .collect()
        })
    }

    fn entries(&self) -> Vec<PathBuf> {
        let all = walkdir::WalkDir::new(&self.dir).min_depth(1);
        let below = |path: &Path| path.strip_prefix(&self.dir).map(Path::to_path_buf);
        all.into_iter()
            .map(|entry| entry.expect("a source that can be read"))
            .map(|entry| below(entry.path()).expect("a path below the source"))
            .collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.dir.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a source directory can be made");
        }
        path
    }
}

/// Noise that follows from its arguments.
pub(crate) fn content(name: &str, version: u64, len: usize) -> Vec<u8> {
    let words: Vec<u64> = name.bytes().map(u64::from).chain([version]).collect();
    let mut content = vec![0; len];
    Rng::of(&words).fill(&mut content);
    content
}

fn set_time(path: &Path, version: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_600_000_000 + version, 123_456_789);
    let set = File::open(path).and_then(|file| file.set_times(FileTimes::new().set_modified(time)));
    set.expect("a source's time can be set");
}
