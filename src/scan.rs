//! The walk: sources into entries, in file-name order, each with its path at the destination.
//!
//! It reads names and `lstat` only. What a source may not be (missing, around or inside the
//! destination) was settled before; see `copy::setup`.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::error::{EntryError, PathError};
use crate::fs::{Kind, Stat, source};
use crate::manifest::STATE_DIR;
use crate::path::RelPath;

/// One source, resolved.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Where the walk begins.
    pub(crate) path: PathBuf,
    /// Where that goes at the destination; the root for a source that means its contents.
    pub(crate) dest: RelPath,
}

impl Source {
    /// The source as an absolute path, with the slash that says that its contents are meant.
    pub(crate) fn as_given(&self) -> Vec<u8> {
        let path = source::absolute(&self.path);
        let mut bytes = path.as_os_str().as_bytes().to_vec();
        if self.dest.is_root() && bytes.last() != Some(&b'/') {
            bytes.push(b'/');
        }
        bytes
    }
}

/// An entry of a source tree.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// Where it is.
    pub(crate) source: PathBuf,
    /// Where it goes.
    pub(crate) dest: RelPath,
    /// What it is.
    pub(crate) stat: Stat,
}

/// What the walk yields for an entry it cannot hand on.
#[derive(Debug)]
pub(crate) struct ScanFailure {
    /// Where it would have gone; its nearest valid parent, if its own name is impossible.
    pub(crate) dest: RelPath,
    /// Why.
    pub(crate) error: EntryError,
}

/// Walks one source.
pub(crate) struct Scan {
    walk: walkdir::IntoIter,
    source: Source,
    /// The directory that was yielded last: an error without a path is about listing it, since
    /// such errors are sorted before its entries.
    last_dir: PathBuf,
}

impl Scan {
    pub(crate) fn new(source: &Source) -> Scan {
        let walk = WalkDir::new(&source.path)
            .follow_links(false)
            .follow_root_links(false)
            .sort_by_file_name()
            .into_iter();
        Scan {
            walk,
            source: source.clone(),
            last_dir: source.path.clone(),
        }
    }

    /// Leaves out the contents of the directory that was just yielded.
    pub(crate) fn skip_dir(&mut self) {
        self.walk.skip_current_dir();
    }

    fn dest_of(&self, path: &Path) -> Result<RelPath, ScanFailure> {
        let below = path.strip_prefix(&self.source.path).unwrap_or(path);
        let mut dest = self.source.dest.clone();
        for part in below.components() {
            dest = dest
                .join(part.as_os_str().as_bytes())
                .map_err(|reason| ScanFailure {
                    dest: dest.clone(),
                    error: EntryError::Path {
                        path: path.to_path_buf(),
                        reason,
                    },
                })?;
        }
        Ok(dest)
    }

    fn entry(&self, entry: DirEntry) -> Result<Scanned, ScanFailure> {
        let dest = self.dest_of(entry.path())?;
        match entry.metadata() {
            Ok(metadata) => Ok(Scanned {
                source: entry.into_path(),
                dest,
                stat: source::from_metadata(&metadata),
            }),
            Err(error) => Err(failure(dest, entry.path(), error)),
        }
    }
}

impl Iterator for Scan {
    type Item = Result<Scanned, ScanFailure>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let item = match self.walk.next()? {
                Ok(entry) if is_state(&entry) => {
                    self.walk.skip_current_dir();
                    continue;
                }
                Ok(entry) => {
                    if entry.file_type().is_dir() {
                        self.last_dir = entry.path().to_path_buf();
                    }
                    self.entry(entry)
                }
                Err(error) => {
                    let path = error.path().unwrap_or(&self.last_dir).to_path_buf();
                    match self.dest_of(&path) {
                        Ok(dest) => Err(failure(dest, &path, error)),
                        Err(failure) => Err(failure),
                    }
                }
            };
            return Some(item);
        }
    }
}

/// The state of another run, which is that destination's and is never copied.
fn is_state(entry: &DirEntry) -> bool {
    entry.depth() > 0 && entry.file_name().as_bytes() == STATE_DIR && entry.file_type().is_dir()
}

fn failure(dest: RelPath, path: &Path, error: walkdir::Error) -> ScanFailure {
    let source = error
        .into_io_error()
        .unwrap_or_else(|| std::io::Error::other("the directory tree contains itself"));
    let error = if source.kind() == std::io::ErrorKind::NotFound {
        EntryError::Vanished(path.to_path_buf())
    } else {
        EntryError::Unreadable(PathError::new("read", path, source))
    };
    ScanFailure { dest, error }
}

/// Counts entries and bytes, for totals; what it cannot read is the real walk's to report.
pub(crate) fn count(sources: &[Source], mut each: impl FnMut(u64, u64) -> bool) -> bool {
    let (mut entries, mut bytes) = (0, 0);
    let mut linked = HashSet::new();
    for source in sources {
        for scanned in Scan::new(source).flatten() {
            let stat = scanned.stat;
            entries += 1;
            // A hard-linked file is copied once, under the first of its names.
            if stat.kind == Kind::File && (stat.nlink == 1 || linked.insert((stat.dev, stat.ino))) {
                bytes += stat.size;
            }
            if !each(entries, bytes) {
                return false;
            }
        }
    }
    true
}
