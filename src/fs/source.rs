//! Reading the source side. Sources are always real files, named by ordinary paths.
//!
//! Not guaranteed: that a source stays the same while it is read. Whoever reads lets it settle
//! ([`SourceFile::settle`]) and compares [`SourceFile::stat`] before and after.

use std::cell::RefCell;
use std::fs::{self, File, Metadata};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::notice::Notice;
use super::sys::retry;
use super::{FileId, Kind, Stat, Xattrs, sys};
use crate::path::{RelPath, RelPathError, bytes_below, parent_of};

mod entry;
mod settled;
mod tree;

pub use entry::{MovedAside, SourceEntry};
pub use settled::Settled;
pub use tree::Tree;

/// A source as a whole, held open to know later whether its device is still there.
#[derive(Debug)]
pub struct SourceRoot {
    path: PathBuf,
    /// The directory that is the source, or that it is in.
    dir: File,
    device: sys::Device,
    notice: Notice,
    /// The directory in it that was opened last, which is nearly always the next one, too.
    last_dir: Mutex<Option<(RelPath, Arc<OwnedFd>)>>,
}

/// A directory that was looked at, held so that everything in it is reached from there.
pub type Held = Arc<OwnedFd>;

/// Looks at a path of the user's own, and holds it if it is a directory.
pub fn look_and_hold(path: &Path, follow: bool) -> io::Result<(Stat, Option<Held>)> {
    let stat = if follow {
        stat_follow(path)
    } else {
        lstat(path)
    }?;
    if stat.kind != Kind::Dir {
        return Ok((stat, None));
    }
    let mut flags = sys::JUST_DIRECTORY | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, !follow);
    let held = retry(|| rustix::fs::open(path, flags, Mode::empty()))?;
    let stat = sys::stat_of(&retry(|| rustix::fs::fstat(&held))?);
    Ok((stat, Some(Arc::new(held))))
}

impl SourceRoot {
    /// Notes what `path` stands on, which is `held` if it is a directory. Of anything else that is the directory
    /// that it is in.
    pub fn of(path: &Path, held: Option<&Held>) -> io::Result<SourceRoot> {
        let Some(held) = held else {
            return SourceRoot::on(path, File::open(parent_of(path))?);
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = retry(|| rustix::fs::openat(held, c".", flags, Mode::empty()))?;
        SourceRoot::on(path, File::from(dir))
    }

    /// Notes what `path` stands on.
    pub fn open(path: &Path) -> io::Result<SourceRoot> {
        // Asked before it is opened: a directory that cannot be opened is no file in its parent.
        let dir = match leads_to_dir(path)? {
            true => File::open(path)?,
            false => File::open(parent_of(path))?,
        };
        SourceRoot::on(path, dir)
    }

    fn on(path: &Path, dir: File) -> io::Result<SourceRoot> {
        Ok(SourceRoot {
            path: path.to_path_buf(),
            device: sys::Device::below(&dir)?,
            notice: Notice::default(),
            last_dir: Mutex::new(None),
            dir,
        })
    }

    /// Whether it can be read now.
    pub fn stands(&self) -> bool {
        !self.device.gone(&self.dir) && !sys::Device::detached(&self.dir)
    }

    /// Whether its device has to seek, as far as the system says.
    pub fn seeks(&self) -> bool {
        self.device.seeks()
    }

    /// Opens a regular file in it. Neither the file nor a directory on the way to it from the
    /// source may be a symlink: it was none when it was listed, and whoever may write in the source
    /// could lead us elsewhere.
    pub fn open_file(&self, path: &Path) -> io::Result<SourceFile> {
        let Ok(below) = self.below(path) else {
            return Err(io::ErrorKind::InvalidFilename.into());
        };
        if below.is_root() {
            return SourceFile::open(path);
        }
        SourceFile::opened_by(|flags| match sys::open_below(&self.dir, &below, flags) {
            Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                Err(match lstat(path) {
                    Ok(stat) if stat.kind == Kind::Symlink => sys::not_regular(Kind::Symlink),
                    _ => swapped(),
                })
            }
            opened => opened.map(File::from),
        })
    }

    /// Where an entry of it is below it.
    fn below(&self, path: &Path) -> Result<RelPath, RelPathError> {
        // What the walk made of the source's path begins with it, byte for byte.
        let quick = bytes_below(path, &self.path).map(RelPath::new);
        if let Some(Ok(below)) = quick {
            return Ok(below);
        }
        let below = path.strip_prefix(&self.path).unwrap_or(Path::new(""));
        RelPath::new(below.as_os_str().as_bytes())
    }

    /// Whether `path` is the source or in it.
    pub fn holds(&self, path: &Path) -> bool {
        bytes_below(path, &self.path).is_some() || path.starts_with(&self.path)
    }

    /// Whether an error in it came of its device being gone. A drive that was unplugged and
    /// unmounted for it leaves paths that lead nowhere.
    pub fn is_gone(&self, error: &io::Error) -> bool {
        let gone = || self.device.gone(&self.dir) || sys::Device::detached(&self.dir);
        match Errno::from_io_error(error) {
            Some(Errno::IO | Errno::NODEV | Errno::NXIO | Errno::NOTCONN | Errno::STALE) => {
                self.notice.soon(gone)
            }
            Some(Errno::NOENT | Errno::NOTDIR) => gone(),
            _ => false,
        }
    }
}

/// Whether there is a directory at the path, or at what it is a symlink to. A symlink to what cannot
/// be looked at is copied as it is.
fn leads_to_dir(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(_) if fs::symlink_metadata(path).is_ok_and(|it| it.is_symlink()) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The error for what was a directory when it was listed.
fn swapped() -> io::Error {
    io::Error::other("a directory on the way to it is a symbolic link now")
}

/// A regular file that is open for reading.
#[derive(Debug)]
pub struct SourceFile {
    file: File,
    opened: Stat,
    since: Instant,
    holes: RefCell<Holes>,
}

/// Where a file has something and where it has nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// There may be something, up to this offset at least.
    Data(u64),
    /// There is nothing up to this offset: it reads as zeros.
    Hole(u64),
}

/// What is known of a file's holes.
#[derive(Debug)]
struct Holes {
    /// It has any at all. Files of which all space is taken are not asked: that spares calls, and
    /// trusts no more file systems with the question than need be.
    any: bool,
    /// What was found last: nothing lies between where it was looked for and its start.
    data: Range<u64>,
}

impl SourceFile {
    /// Opens a regular file, leaving its access time alone where that is allowed. A symlink at
    /// the end of the path is refused, and so is whatever else is no regular file.
    pub fn open(path: &Path) -> io::Result<SourceFile> {
        SourceFile::opened_by(|flags| open(path, flags))
    }

    fn opened_by(open: impl Fn(OFlags) -> io::Result<File>) -> io::Result<SourceFile> {
        // O_NONBLOCK: a fifo that took the file's place must not hang the run.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match open(flags | sys::NO_ATIME) {
            // Only the owner of a file and root may read it without a trace.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => open(flags)?,
            result => result?,
        };
        let metadata = file.metadata()?;
        let opened = sys::stat_of_metadata(&metadata);
        if opened.kind != Kind::File {
            return Err(sys::not_regular(opened.kind));
        }
        let taken = metadata.blocks().saturating_mul(512);
        let holes = RefCell::new(Holes {
            any: taken < metadata.size(),
            data: 0..0,
        });
        Ok(SourceFile {
            file,
            opened,
            since: Instant::now(),
            holes,
        })
    }

    /// How long ago it was opened.
    pub fn open_for(&self) -> Duration {
        self.since.elapsed()
    }

    /// What `fstat` said when it was opened.
    pub fn opened(&self) -> &Stat {
        &self.opened
    }

    /// Whether it is what was listed: the same inode, or, where inode numbers do not last (some
    /// FUSE daemons), one of the same size and time.
    pub fn is(&self, listed: &Stat) -> bool {
        let version = |stat: &Stat| (stat.size, stat.mtime_ns);
        self.opened.id() == listed.id() || version(&self.opened) == version(listed)
    }

    /// What is at an offset. Asked from the front to the back, this is cheap.
    pub fn extent(&self, offset: u64) -> Extent {
        let mut holes = self.holes.borrow_mut();
        if !holes.any {
            return Extent::Data(u64::MAX);
        }
        if offset >= holes.data.end {
            holes.data = sys::next_data(&self.file, offset);
        }
        match offset < holes.data.start {
            true => Extent::Hole(holes.data.start),
            false => Extent::Data(holes.data.end),
        }
    }

    /// What `fstat` says.
    pub fn stat(&self) -> io::Result<Stat> {
        Ok(sys::stat_of_metadata(&self.file.metadata()?))
    }

    /// Its extended attributes.
    pub fn xattrs(&self) -> io::Result<Xattrs> {
        sys::xattrs(sys::XattrsOf::Open(self.file.as_fd()))
    }

    /// Reads at an offset until the buffer is full or the file ends.
    pub fn read(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        sys::read_full(&self.file, buf, offset)
    }

    /// Reads to the end of the file, of which all but the last byte of the buffer should be left. If that is
    /// filled as well, the file goes on behind its size, as those of procfs and of some FUSE daemons do.
    pub fn read_to_end(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = buf.len().saturating_sub(1);
        sys::read_at_least(&self.file, buf, offset, left)
    }

    /// Whether there is nothing to read at an offset and behind it.
    pub fn ends_at(&self, offset: u64) -> io::Result<bool> {
        Ok(self.read(&mut [0], offset)? == 0)
    }

    /// Asks the system to read ahead. Not worth a call for a small file.
    pub fn advise_sequential(&self) {
        // Advice that is not taken costs speed only.
        let _ = sys::advise_sequential(&self.file);
    }
}

fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let result = fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path);
    match result {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            // A loop of symlinks further up is the same error; only the last name is judged here.
            match lstat(path) {
                Ok(stat) if stat.kind == Kind::Symlink => Err(sys::not_regular(Kind::Symlink)),
                _ => Err(error),
            }
        }
        result => result,
    }
}

/// A directory and those that it is in, itself first, up to the root of all. It ends earlier where what is
/// above may not be gone through.
pub fn ids_upwards(path: &Path) -> io::Result<Vec<FileId>> {
    let open = |dir: &OwnedFd| {
        retry(|| {
            rustix::fs::openat(
                dir,
                c"..",
                sys::JUST_DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )
        })
    };
    let flags = sys::JUST_DIRECTORY | OFlags::CLOEXEC;
    let mut dir = retry(|| rustix::fs::open(path, flags, Mode::empty()))?;
    let mut ids = Vec::new();
    let mut below = None;
    loop {
        let id = sys::stat_of(&retry(|| rustix::fs::fstat(&dir))?).id();
        // The root is its own parent; a directory that is mounted in itself is on another mount there.
        let here = Some((id, sys::mount_id(&dir)?));
        if below == here {
            return Ok(ids);
        }
        below = here;
        ids.push(id);
        match open(&dir) {
            Ok(above) => dir = above,
            Err(_) => return Ok(ids),
        }
    }
}

/// Looks at a path without following a symlink at its end.
pub fn lstat(path: &Path) -> io::Result<Stat> {
    Ok(from_metadata(&fs::symlink_metadata(path)?))
}

/// Removes a name that is not a directory.
pub fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// Looks at a path, following symlinks.
pub fn stat_follow(path: &Path) -> io::Result<Stat> {
    Ok(from_metadata(&fs::metadata(path)?))
}

/// How ntfs-3g shows what Windows alone can read: placeholders of a cloud, deduplicated and compressed files.
const REPARSE_TAG: &[u8] = b"unsupported reparse tag ";

/// What the target of a symlink says of a file that only Windows can read, if it stands for one.
pub fn windows_only(target: &[u8]) -> Option<String> {
    let tag = target.strip_prefix(REPARSE_TAG)?;
    Some(String::from_utf8_lossy(tag).into_owned())
}

/// The target of a symlink, byte for byte.
pub fn read_link(path: &Path) -> io::Result<Vec<u8>> {
    Ok(sys::into_bytes(fs::read_link(path)?))
}

/// The names in a directory, in no order, without `.` and `..`.
pub fn names(path: &Path) -> io::Result<impl Iterator<Item = io::Result<Vec<u8>>> + use<>> {
    let entries = fs::read_dir(path)?;
    Ok(entries.map(|entry| Ok(sys::into_bytes(entry?.file_name()))))
}

/// Opens a file that the user names, a list or the like, also behind a symlink, to read it from its
/// beginning.
pub fn open_to_read(path: &Path) -> io::Result<impl io::Read + Send + use<>> {
    File::open(path)
}

/// All of a file that the user names, a list or the like.
pub fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path)
}

/// The absolute path without symlinks, `.` and `..`.
pub fn canonicalize(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

/// A path made absolute by name alone; as it is if the current directory is gone.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// What the standard library found out, in our terms.
pub fn from_metadata(metadata: &Metadata) -> Stat {
    sys::stat_of_metadata(metadata)
}

/// Makes one directory, with the mode that the user's umask leaves: for a new destination.
pub fn make_dir(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

#[cfg(test)]
mod tests;
