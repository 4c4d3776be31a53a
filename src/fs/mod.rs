//! The seam to the operating system: the only place with system calls and `std::fs`.
//!
//! [`Fs`] is a destination as the engine sees it: a tree below one open root directory, reached
//! through directory handles only, so that a drive that vanishes gives errors and never a write
//! into the bare mount point. [`OsFs`] is the real one; the crash tests have a simulated disk.
//! Sources are always real and are read through [`source`].
//!
//! What is *not* guaranteed: that two calls are atomic together, or that anything is durable
//! before the matching `sync_*` call has returned `Ok`. A failed `sync_*` means the data is
//! suspect for good: it is never to be called again in the hope of a better answer.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::ReadHow;
use crate::path::RelPath;

mod about;
mod aligned;
mod file;
mod meta;
pub mod mounts;
mod notice;
mod os;
mod place;
#[cfg(test)]
pub(crate) mod scripted;
pub mod source;
mod superblock;
mod sys;
mod times;
mod xattr;

pub use about::{About, FsKind};
pub use aligned::{ALIGN, AlignedBuf};
pub use file::OsFile;
pub use os::{OsDir, OsFs};
pub use place::Place;
pub use sys::{
    LockHolder, host_name, is_root, lock_holder, lower_priority, own_ids, process_alive,
    raise_open_file_limit, random_bytes, umask, user_name,
};
pub use times::Times;
pub use xattr::Xattrs;

/// The setuid and setgid bits of a mode.
pub const SET_IDS: u32 = 0o6000;

/// What a directory entry is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    #[default]
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A fifo, socket or device node.
    Special(Special),
}

/// What a special file is. The order is part of the manifest's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Special {
    /// A fifo.
    Fifo,
    /// A socket.
    Socket,
    /// A block device of this number.
    Block(u64),
    /// A character device of this number.
    Char(u64),
}

impl Special {
    /// Its name, for messages.
    pub fn word(self) -> &'static str {
        match self {
            Special::Fifo => "fifo",
            Special::Socket => "socket",
            Special::Block(_) => "block device",
            Special::Char(_) => "character device",
        }
    }

    /// Whether only root can make one.
    pub fn is_device(self) -> bool {
        matches!(self, Special::Block(_) | Special::Char(_))
    }
}

impl Kind {
    /// With its article, for messages.
    pub fn describe(self) -> &'static str {
        match self {
            Kind::File => "a file",
            Kind::Dir => "a directory",
            Kind::Symlink => "a symbolic link",
            Kind::Special(_) => "a special file",
        }
    }
}

/// What `stat` says, without following a symlink. Times are nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Size in bytes.
    pub size: u64,
    /// Space it takes, in bytes; less than the size where it has holes.
    pub allocated: u64,
    /// Modification time in ns.
    pub mtime_ns: i128,
    /// Access time in ns.
    pub atime_ns: i128,
    /// Inode change time in ns.
    pub ctime_ns: i128,
    /// Permission bits, setuid, setgid and sticky included.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Number of hard links.
    pub nlink: u64,
}

/// What tells a file or directory from every other: its device and its inode number there. Two names of
/// one inode have the same, wherever they are mounted. Inode numbers are used again: equal ids prove something
/// only while one of the two is held open, or was just looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// Device number of the file system.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
}

impl Stat {
    /// The file or directory that was looked at.
    pub fn id(&self) -> FileId {
        let Stat { dev, ino, .. } = *self;
        FileId { dev, ino }
    }
}

/// Metadata to set. `None` leaves that part alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner and group.
    pub owner: Option<(u32, u32)>,
    /// Access and modification time in ns since the Unix epoch.
    pub times_ns: Option<(i128, i128)>,
    /// The ACLs: these and no others.
    pub acls: Option<Xattrs>,
    /// All other extended attributes: these and no others.
    pub xattrs: Option<Xattrs>,
}

impl Meta {
    /// Whether it speaks of extended attributes of either kind.
    fn has_attributes(&self) -> bool {
        self.acls.is_some() || self.xattrs.is_some()
    }

    /// Whether it leaves no attribute on what has none.
    fn adds_no_attribute(&self) -> bool {
        let is_empty = |wanted: &Option<Xattrs>| wanted.as_ref().is_none_or(Xattrs::is_empty);
        is_empty(&self.acls) && is_empty(&self.xattrs)
    }
}

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    Write,
    /// Reading and writing; made with mode 0600 if it is missing.
    WriteOrCreate,
}

/// How a barrier makes data durable on this file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushBy {
    /// One `sync_all` covers every file and directory of the file system and reports its errors.
    Whole,
    /// Only `sync` of each file and `sync_dir` of each directory can be relied on.
    Each,
}

/// A number of one of the mounted file systems that a destination reaches over. The root's is 0; those
/// that are mounted below get theirs when a directory of theirs is first opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MountNo(pub u16);

/// What a mounted file system does with what is written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Which of the two ways to flush it honours.
    pub flush_by: FlushBy,
    /// Whether a renamed file shows up empty until its inode is flushed, so that a flush has to
    /// follow renames at once. FAT enters the new name first and fills in where the content is
    /// later.
    pub renames_want_flush: bool,
    /// Whether a crash can leave names whose content lies in space that counts as free: there is
    /// no journal that keeps a file and its allocation together. What was not flushed must then
    /// neither be kept (a new file may be put on top of it) nor removed (that may free what a new
    /// file was given).
    pub lacks_journal: bool,
}

impl Rules {
    /// Those of a file system with a journal.
    pub fn journaled(flush_by: FlushBy) -> Rules {
        Rules {
            flush_by,
            renames_want_flush: false,
            lacks_journal: false,
        }
    }
}

/// The data calls. Names are single components; no call follows a symlink.
pub trait Fs: FsMeta {
    /// Creates a file that must not exist yet, mode 0600, for reading and writing.
    fn create_new(&self, dir: &Self::Dir, name: &[u8]) -> io::Result<Self::File>;
    /// Opens an existing regular file, through the page cache. Anything else than a regular file
    /// is an error.
    fn open(&self, dir: &Self::Dir, name: &[u8], access: Access) -> io::Result<Self::File>;
    /// Opens a regular file to read what the medium holds. Reads want offset, length and buffer
    /// aligned to [`ALIGN`]; [`FsFile::how`] says afterwards how they were answered.
    fn open_medium(&self, dir: &Self::Dir, name: &[u8]) -> io::Result<Self::File>;
    /// Renames, replacing what is there if it is not a directory.
    fn rename(
        &self,
        from_dir: &Self::Dir,
        from: &[u8],
        to_dir: &Self::Dir,
        to: &[u8],
    ) -> io::Result<()>;
    /// Removes a name that is not a directory.
    fn remove(&self, dir: &Self::Dir, name: &[u8]) -> io::Result<()>;
    /// Adds a hard link.
    fn link(
        &self,
        from_dir: &Self::Dir,
        from: &[u8],
        to_dir: &Self::Dir,
        to: &[u8],
    ) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Self::Dir) -> io::Result<()>;
    /// Hands everything dirty on one of the mounted file systems to its device. That the device keeps it is
    /// sure, of the root's, once a file there is flushed afterwards.
    fn sync_mount(&self, mount: MountNo) -> io::Result<()>;
    /// The rules of one of the mounted file systems.
    fn rules(&self, mount: MountNo) -> Rules;
    /// The mounted file system that a directory is on, as far as directories were opened so far.
    fn mount_of_dir(&self, _dir: &RelPath) -> MountNo {
        MountNo::default()
    }
    /// The one that holds a name: that of the directory the name is in.
    fn mount_of(&self, _path: &RelPath) -> MountNo {
        MountNo::default()
    }
    /// All that are known by now.
    fn mounts(&self) -> Vec<MountNo> {
        vec![MountNo::default()]
    }
    /// The boot and the mount that an open directory belongs to: while both are the same, nothing
    /// that was written was lost to a power cut or an unplug. `None` where that cannot be known: the
    /// system has no ids that last, or what is written goes to another machine.
    fn session(&self, _dir: &Self::Dir) -> Option<([u8; 16], u64)> {
        None
    }
    /// Whether owners and modes may not be stored but made up by whoever mounts it, and times be
    /// those of a local clock.
    fn may_lack_modes(&self) -> bool {
        false
    }
    /// Whether the device below has to seek, so that it gives most when large files come one after
    /// the other; `false` where the system does not say.
    fn seeks(&self) -> bool {
        false
    }
    /// Whether the device below has vanished, asked of the system and not guessed from an errno.
    fn device_gone(&self) -> bool;
    /// The same after an error that a vanishing device causes. The error may come before the
    /// system has taken notice, so this waits a moment for it.
    fn device_gone_soon(&self) -> bool {
        self.device_gone()
    }
}

/// The calls about names and metadata.
pub trait FsMeta: Send + Sync + 'static {
    /// An open directory.
    type Dir: Send + Sync + 'static;
    /// An open file.
    type File: FsFile;

    /// What the root's file system is, and the room it has.
    fn about(&self) -> io::Result<About> {
        Ok(About::unlimited())
    }
    /// Whether this very directory ignores case, where that is a matter of each directory.
    fn dir_folds(&self, _dir: &Self::Dir) -> bool {
        false
    }
    /// The root of the destination.
    fn root(&self) -> Arc<Self::Dir>;
    /// Whether the root of the destination is the top of a mount, as far as the system tells.
    fn is_mount_top(&self) -> bool {
        false
    }
    /// Opens a directory below the root; no component of the path may be a symlink.
    fn open_dir(&self, path: &RelPath) -> io::Result<Self::Dir>;
    /// The same, of a directory on the root's own mount. `None` if the way to it leads over another one: a
    /// file system or a directory that is mounted below, or a subvolume.
    fn open_dir_on_root_mount(&self, path: &RelPath) -> io::Result<Option<Self::Dir>> {
        let dir = self.open_dir(path)?;
        let root = self.stat_dir(&self.root())?;
        Ok((self.stat_dir(&dir)?.dev == root.dev).then_some(dir))
    }
    /// Looks at a name without following it. `None` if there is nothing of that name.
    fn stat(&self, dir: &Self::Dir, name: &[u8]) -> io::Result<Option<Stat>>;
    /// Whether device and inode numbers there tell a file from every other, however that is mounted.
    fn has_lasting_ids(&self, _dir: &Self::Dir) -> bool {
        true
    }
    /// Whether each file has an owner of its own, which is kept.
    fn keeps_owners(&self) -> bool {
        false
    }
    /// Whether the state is believed, whoever can have written it.
    fn trusts_state(&self) -> bool {
        false
    }
    /// Whether nobody else can have written what belongs to `stat`'s owner and has its mode; also where that
    /// cannot be told.
    fn is_ours(&self, _stat: &Stat) -> bool {
        true
    }
    /// Looks at an open directory itself.
    fn stat_dir(&self, dir: &Self::Dir) -> io::Result<Stat>;
    /// Makes a directory, mode 0700.
    fn make_dir(&self, dir: &Self::Dir, name: &[u8]) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, dir: &Self::Dir, name: &[u8]) -> io::Result<()>;
    /// Makes a symlink.
    fn make_symlink(&self, dir: &Self::Dir, name: &[u8], target: &[u8]) -> io::Result<()>;
    /// Makes a special file, mode 0600.
    fn make_special(&self, dir: &Self::Dir, name: &[u8], what: Special) -> io::Result<()>;
    /// The target of a symlink.
    fn read_symlink(&self, dir: &Self::Dir, name: &[u8]) -> io::Result<Vec<u8>>;
    /// The extended attributes of a name, which is not followed; none where there can be none.
    fn xattrs(&self, dir: &Self::Dir, name: &[u8]) -> io::Result<Xattrs>;
    /// The extended attributes of an open directory.
    fn dir_xattrs(&self, dir: &Self::Dir) -> io::Result<Xattrs>;
    /// Sets metadata of what has a name and `is_it`, without following it. It is held while both are done, so
    /// that nothing else that takes the name meanwhile is changed. What the file system has no place for is
    /// no error: whoever wants to know looks at what is there afterwards.
    fn set_meta(
        &self,
        dir: &Self::Dir,
        name: &[u8],
        is_it: &dyn Fn(&Stat) -> bool,
        meta: &Meta,
    ) -> io::Result<()>;
    /// Sets metadata of an open directory.
    fn set_dir_meta(&self, dir: &Self::Dir, meta: &Meta) -> io::Result<()>;
    /// The names in a directory with their kinds, in no order, without `.` and `..`. The numbers
    /// of devices are not told.
    fn list(&self, dir: &Self::Dir) -> io::Result<Vec<(Vec<u8>, Kind)>>;
}

/// An open file.
pub trait FsFile: Send + Sync + 'static {
    /// Reads at an offset, as many bytes as are there up to the buffer's length; fewer only at the
    /// end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `buf` at an offset.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Sets the length.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes this new and empty file share the blocks of another, if the file system can do that.
    fn share(&self, other: &Self) -> io::Result<bool> {
        let _ = other;
        Ok(false)
    }
    /// Makes data and what is needed to find it durable.
    fn sync(&self) -> io::Result<()>;
    /// Asks that a range is on its way to the device soon, and waits for nothing. Only a wish: nothing is
    /// durable for it, so there is no error.
    fn begin_writing_out(&self, range: Range<u64>) {
        let _ = range;
    }
    /// Asks that what was flushed of it is no longer kept in memory. Only a wish: nothing depends on it,
    /// so there is no error.
    fn forget_flushed(&self) {}
    /// What `fstat` says.
    fn stat(&self) -> io::Result<Stat>;
    /// Its extended attributes.
    fn xattrs(&self) -> io::Result<Xattrs>;
    /// Sets metadata, as [`FsMeta::set_meta`] does.
    fn set_meta(&self, meta: &Meta) -> io::Result<()>;
    /// Sets metadata of a file that this process has just made; gives what is there then. The
    /// attributes are looked at only if `meta` speaks of them.
    fn settle(&self, meta: &Meta) -> io::Result<(Stat, Xattrs)> {
        self.set_meta(meta)?;
        let xattrs = match meta.has_attributes() {
            true => self.xattrs()?,
            false => Xattrs::default(),
        };
        Ok((self.stat()?, xattrs))
    }
    /// How reads of this file were answered so far.
    fn how(&self) -> ReadHow;
    /// The standard file, to lock it; `None` where there is none to lock.
    fn as_std(&self) -> Option<&std::fs::File>;
}

/// Whether an error at a destination came of its device being gone. What a call says after an
/// unplug differs by file system (EIO, EROFS, even ENOENT), so the system is asked.
pub fn is_gone<F: Fs>(fs: &F, error: &io::Error) -> bool {
    use rustix::io::Errno;
    match Errno::from_io_error(error) {
        Some(Errno::IO | Errno::ROFS | Errno::NODEV | Errno::NXIO | Errno::NOTCONN) => {
            fs.device_gone_soon()
        }
        _ => fs.device_gone(),
    }
}

/// Makes durable where a file lies that was flushed, on the file system of the root. Without a journal
/// neither the flush of the file nor that of its directory writes which space and which inode it takes
/// (ext4 keeps that in bitmaps); the flush of everything does, but may write it only behind its own
/// cache-flush command (`sync_filesystem` writes the device's buffers last), so that another one follows.
pub fn settle<F: Fs>(fs: &F, file: &F::File) -> io::Result<()> {
    let root = MountNo::default();
    match fs.rules(root).lacks_journal {
        true => fs.sync_mount(root).and_then(|()| file.sync()),
        false => Ok(()),
    }
}

/// A temporary directory on a file system that has a journal. Without one, a manifest that no run has sealed
/// is cut when it is opened again.
#[cfg(test)]
pub(crate) fn journaled_tempdir() -> tempfile::TempDir {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let fs = OsFs::open_root(temp.path()).expect("a directory that was just made");
    match fs.rules(MountNo::default()).lacks_journal {
        true => tempfile::tempdir_in("/dev/shm").expect("a directory in memory"),
        false => temp,
    }
}

/// The error for what is not what was looked at before.
pub fn swapped() -> io::Error {
    io::Error::other("something else has taken its place since it was looked at")
}

/// `None` for "there is nothing of that name", which is an answer and not a failure.
pub fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error on the way to a path means that nothing is there. That is so below a symlink, too: no
/// call follows one.
pub fn is_not_there(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let no_dir = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    no_dir.contains(&error.kind()) || Errno::from_io_error(error) == Some(Errno::LOOP)
}

/// Whether an error means that there is no room left, on the file system or for this user.
pub fn is_full(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::NOSPC | Errno::DQUOT))
}

/// Looks at what stands at a path of the destination, without following it. `None`: nothing does.
pub fn stat_at<F: Fs>(fs: &F, path: &RelPath) -> io::Result<Option<Stat>> {
    let Some((parent, name)) = path.split() else {
        return fs.stat_dir(&fs.root()).map(Some);
    };
    match found(fs.open_dir(&parent))? {
        Some(dir) => fs.stat(&dir, name),
        None => Ok(None),
    }
}

/// A directory; `None` if there is none at that path.
pub fn found_dir<F: Fs>(fs: &F, path: &RelPath) -> io::Result<Option<F::Dir>> {
    match fs.open_dir(path) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if is_not_there(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
