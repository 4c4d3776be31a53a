//! System calls in our types: what every unix has is here, what differs is in one file each.
//!
//! Nothing here knows about copying. A call that is interrupted by a signal is made again, except
//! a flush: whether that one did its work can only be said by its first answer.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom, Timespec, Timestamps};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, Resource, getrlimit, setrlimit};

use crate::path::RelPath;

use super::{FileId, FlushBy, Kind, Rules, Special, Stat};

#[cfg(target_os = "linux")]
mod about;
#[cfg(target_os = "linux")]
mod cache;
#[cfg(target_os = "linux")]
mod device;
#[cfg(not(target_os = "linux"))]
mod fallback;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod mountinfo;
#[cfg(target_os = "linux")]
mod reading;
#[cfg(target_os = "linux")]
mod session;
#[cfg(target_os = "linux")]
mod traits;
#[cfg(target_os = "linux")]
mod xattrs;

#[cfg(target_os = "linux")]
pub(super) use about::{about, dir_folds};
#[cfg(target_os = "linux")]
pub(super) use cache::*;
#[cfg(target_os = "linux")]
pub(super) use device::Device;
#[cfg(not(target_os = "linux"))]
pub use fallback::random_bytes;
#[cfg(not(target_os = "linux"))]
pub(super) use fallback::*;
#[cfg(target_os = "linux")]
pub use linux::random_bytes;
#[cfg(target_os = "linux")]
pub(super) use linux::*;
#[cfg(target_os = "linux")]
pub(super) use reading::strictest;
#[cfg(target_os = "linux")]
pub(super) use session::{is_mount_top, mount_id, session};
#[cfg(target_os = "linux")]
pub(super) use traits::{has_lasting_ids, traits};
#[cfg(target_os = "linux")]
pub(super) use xattrs::{XattrsOf, has_room, remove_xattr, set_xattr, xattrs, xattrs_in};

const NS_PER_S: i128 = 1_000_000_000;

/// What a file system can and cannot do, as far as it changes how a destination on it is written to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traits {
    /// The way to flush that can be believed.
    pub(super) flush_by: FlushBy,
    /// A renamed file shows up empty until its inode is flushed.
    pub(super) renames_want_flush: bool,
    /// A crash can leave files in space that counts as free.
    pub(super) lacks_journal: bool,
    /// It may be unable to keep owners and modes, and refuses to set them then.
    pub(super) may_lack_modes: bool,
}

impl Traits {
    /// What of it the engine goes by.
    pub(super) fn rules(&self) -> Rules {
        Rules {
            flush_by: self.flush_by,
            renames_want_flush: self.renames_want_flush,
            lacks_journal: self.lacks_journal,
        }
    }
}

/// Whether this process runs as root, and so may give files away and make device nodes.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Gives this thread, and those that it starts from now on, the lowest priority of the processor.
/// Linux derives the priority of disk access from it. There is no call for the idle class of disk
/// access without unsafe code.
pub fn lower_priority() -> io::Result<()> {
    const LOWEST: i32 = 19;
    Ok(rustix::process::setpriority_process(None, LOWEST)?)
}

/// User and group of this process, which new files belong to.
pub fn own_ids() -> (u32, u32) {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    (uid.as_raw(), gid.as_raw())
}

/// A user for people: the name that `/etc/passwd` has for the number, if it has one.
pub fn user_name(uid: u32) -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let number = uid.to_string();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(number.as_str())).then_some(name)
    });
    match named {
        Some(name) => format!("{name} (user {uid})"),
        None => format!("user {uid}"),
    }
}

/// The permissions that new files of this process do not get.
pub fn umask() -> u32 {
    // There is no call that only asks. What another thread makes in between gets too little
    // rather than too much.
    let mask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    rustix::process::umask(mask);
    mask.bits() as u32
}

/// Raises the number of files that may be open at once as far as this process is allowed to.
/// If that fails, the limit stays what it was.
pub fn raise_open_file_limit() {
    /// Where the system names no limit of its own, asking for "all" is refused by some.
    const NO_LIMIT: u64 = 10_240;
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(NO_LIMIT);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted);
        // A lower limit only means fewer files at a time: nothing to report.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// The name of this machine, as far as it is text.
pub fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// Whether a process of that number exists on this machine, whoever owns it. The number may have
/// been given to another process since it was noted.
pub fn process_alive(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    !matches!(rustix::process::test_kill_process(pid), Err(Errno::SRCH))
}

/// Who holds a lock on a file.
pub struct LockHolder {
    /// The process.
    pub pid: u32,
    /// The name of its program.
    pub name: String,
    /// The lock is shared with others.
    pub shared: bool,
}

/// Who holds a lock on a file, or one of those who share it, if the system tells.
pub fn lock_holder(file: FileId) -> Option<LockHolder> {
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let (pid, shared) = locks.lines().find_map(|line| held_by(line, file))?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    let name = name.trim_end().to_owned();
    Some(LockHolder { pid, name, shared })
}

/// The process in a line of `/proc/locks`, and whether it shares the lock, if that is one on this file:
/// `1: FLOCK  ADVISORY  READ 4711 fd:01:131 0 EOF`.
fn held_by(line: &str, file: FileId) -> Option<(u32, bool)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (kind, how) = (words.next()?, words.nth(1)?);
    let (pid, id) = (words.next()?, words.next()?);
    let mut parts = id.split(':');
    let hex = |part: &str| u32::from_str_radix(part, 16).ok();
    let dev = rustix::fs::makedev(hex(parts.next()?)?, hex(parts.next()?)?);
    let ino = parts.next()?.parse().ok()?;
    let is_it = kind == "FLOCK" && FileId { dev, ino } == file;
    is_it.then_some((pid.parse().ok()?, how == "READ"))
}

/// Reads until the buffer is full or the file ends.
pub(super) fn read_full(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    match buf.len() {
        0 => Ok(0),
        full => read_at_least(file, buf, offset, full),
    }
}

/// Reads until so many bytes are there or the file ends; at least once.
pub(super) fn read_at_least(
    file: &File,
    buf: &mut [u8],
    offset: u64,
    least: usize,
) -> io::Result<usize> {
    let mut done = 0;
    loop {
        match file.read_at(&mut buf[done..], offset + done as u64) {
            Ok(0) => return Ok(done),
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if done >= least {
            return Ok(done);
        }
    }
}

/// Where there is something at or behind `offset`. Empty and at the end of all numbers: nowhere.
/// Where the file system cannot say, there may be something everywhere.
pub(super) fn next_data(file: &File, offset: u64) -> Range<u64> {
    let start = match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return u64::MAX..u64::MAX,
        Err(_) => return offset..u64::MAX,
    };
    match rustix::fs::seek(file, SeekFrom::Hole(start)) {
        Ok(end) if end > start => start..end,
        _ => start..u64::MAX,
    }
}

/// Runs a rustix call again while signals interrupt it. Not for flushes.
pub(super) fn retry<T>(call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    Ok(retry_on_intr(call)?)
}

/// Opens what is below `root`, following no symlink on the way nor at the end.
pub(super) fn open_below(root: impl AsFd, path: &RelPath, flags: OFlags) -> io::Result<OwnedFd> {
    open_beneath(&root, path, flags, SameMount::No).unwrap_or_else(|| walk(&root, path, flags))
}

/// The same on the mount of `root` alone. `None` if the way leads over another mount.
pub(super) fn open_on_mount(
    root: impl AsFd,
    path: &RelPath,
    flags: OFlags,
) -> io::Result<Option<OwnedFd>> {
    let same_mount = match path.is_root() {
        true => None,
        false => open_beneath(&root, path, flags, SameMount::Yes),
    };
    match same_mount {
        Some(Err(error)) if Errno::from_io_error(&error) == Some(Errno::XDEV) => Ok(None),
        Some(opened) => opened.map(Some),
        None => {
            let opened = walk(&root, path, flags)?;
            Ok((mount_id(&opened)? == mount_id(&root)?).then_some(opened))
        }
    }
}

/// Whether the way to what is opened may lead over other mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SameMount {
    Yes,
    No,
}

/// The same one component at a time, where the system cannot do all at once.
pub(super) fn walk(root: impl AsFd, path: &RelPath, flags: OFlags) -> io::Result<OwnedFd> {
    let on_the_way = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let count = path.components().count();
    let mut at = retry(|| rustix::fs::openat(&root, c".", on_the_way, Mode::empty()))?;
    for (number, name) in path.components().enumerate() {
        let flags = match number + 1 == count {
            true => flags,
            false => on_the_way,
        };
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        at = retry(|| rustix::fs::openat(&at, name, flags, Mode::empty()))?;
    }
    Ok(at)
}

/// Renames in one directory where there is no call that replaces nothing.
fn rename_after_a_look(dir: BorrowedFd<'_>, from: &OsStr, to: &OsStr) -> io::Result<()> {
    match rustix::fs::statat(dir, to, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(rustix::fs::renameat(dir, from, dir, to)?),
        Err(error) => Err(error.into()),
        Ok(_) => Err(Errno::EXIST.into()),
    }
}

/// Checks that a name is one component, so that no call can leave its directory.
pub(super) fn component(name: &[u8]) -> io::Result<&OsStr> {
    let bad = name.is_empty() || name == b"." || name == b".." || name.contains(&b'/');
    if bad {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the name is not a single path component",
        ));
    }
    Ok(OsStr::from_bytes(name))
}

/// The error for something that is opened as a file and is none.
pub(super) fn not_regular(kind: Kind) -> io::Error {
    let what = match kind {
        Kind::Special(what) => what.word(),
        Kind::File => "file",
        Kind::Dir => "directory",
        Kind::Symlink => "symbolic link",
    };
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("it is a {what}, not a regular file"),
    )
}

/// The bytes of a system string.
pub(super) fn into_bytes(text: impl Into<OsString>) -> Vec<u8> {
    text.into().into_vec()
}

/// Our word for a file type. `None` if the file system did not say.
pub(super) fn kind_of(file_type: FileType) -> Option<Kind> {
    Some(match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Special(Special::Fifo),
        FileType::Socket => Kind::Special(Special::Socket),
        FileType::BlockDevice => Kind::Special(Special::Block(0)),
        FileType::CharacterDevice => Kind::Special(Special::Char(0)),
        _ => return None,
    })
}

/// Adds the number of a device. What the system has no word for is taken for a device that
/// nobody could make.
fn with_number(kind: Option<Kind>, number: u64) -> Kind {
    match kind {
        Some(Kind::Special(Special::Block(_))) => Kind::Special(Special::Block(number)),
        Some(Kind::Special(Special::Char(_))) => Kind::Special(Special::Char(number)),
        Some(kind) => kind,
        None => Kind::Special(Special::Char(u64::MAX)),
    }
}

// The fields have other widths on other machines, where the casts do change something.
#[allow(clippy::unnecessary_cast)]
pub(super) fn stat_of(stat: &rustix::fs::Stat) -> Stat {
    let ns = |seconds, nanos| seconds * NS_PER_S + nanos;
    Stat {
        kind: with_number(
            kind_of(FileType::from_raw_mode(stat.st_mode)),
            stat.st_rdev as u64,
        ),
        size: stat.st_size as u64,
        allocated: (stat.st_blocks as u64).saturating_mul(512),
        mtime_ns: ns(stat.st_mtime as i128, stat.st_mtime_nsec as i128),
        atime_ns: ns(stat.st_atime as i128, stat.st_atime_nsec as i128),
        ctime_ns: ns(stat.st_ctime as i128, stat.st_ctime_nsec as i128),
        mode: stat.st_mode as u32 & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        dev: stat.st_dev as u64,
        ino: stat.st_ino as u64,
        nlink: stat.st_nlink as u64,
    }
}

pub(super) fn stat_of_metadata(metadata: &Metadata) -> Stat {
    let ns = |seconds: i64, nanos: i64| i128::from(seconds) * NS_PER_S + i128::from(nanos);
    let file_type = metadata.file_type();
    let kind = if file_type.is_file() {
        Kind::File
    } else if file_type.is_dir() {
        Kind::Dir
    } else if file_type.is_symlink() {
        Kind::Symlink
    } else if file_type.is_fifo() {
        Kind::Special(Special::Fifo)
    } else if file_type.is_socket() {
        Kind::Special(Special::Socket)
    } else if file_type.is_block_device() {
        Kind::Special(Special::Block(metadata.rdev()))
    } else {
        Kind::Special(Special::Char(metadata.rdev()))
    };
    Stat {
        kind,
        size: metadata.size(),
        allocated: metadata.blocks().saturating_mul(512),
        mtime_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
        atime_ns: ns(metadata.atime(), metadata.atime_nsec()),
        ctime_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        dev: metadata.dev(),
        ino: metadata.ino(),
        nlink: metadata.nlink(),
    }
}

/// Access and modification time for the system.
pub(super) fn timestamps(atime_ns: i128, mtime_ns: i128) -> Timestamps {
    Timestamps {
        last_access: timespec(atime_ns),
        last_modification: timespec(mtime_ns),
    }
}

/// Times before 1970 have negative seconds and nanoseconds that count up. What is outside of the
/// range of 64-bit seconds becomes the end of that range; each file system narrows further.
fn timespec(ns: i128) -> Timespec {
    let seconds = ns.div_euclid(NS_PER_S);
    let seconds = seconds.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    Timespec {
        // Both fit by now: the clamp and the Euclidean remainder saw to it.
        tv_sec: seconds as i64,
        tv_nsec: ns.rem_euclid(NS_PER_S) as _,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_and_out_of_range_become_valid_timespecs() {
        for (ns, seconds, nanos) in [
            (0, 0, 0),
            (1_500_000_000, 1, 500_000_000),
            (-1, -1, 999_999_999),
            (-1_000_000_000, -1, 0),
            (-1_500_000_000, -2, 500_000_000),
        ] {
            let spec = timespec(ns);
            assert_eq!((spec.tv_sec, i128::from(spec.tv_nsec)), (seconds, nanos));
        }
        assert_eq!(timespec(i128::MAX).tv_sec, i64::MAX);
        assert_eq!(timespec(i128::MIN).tv_sec, i64::MIN);
    }

    #[test]
    fn only_processes_that_exist_are_alive() {
        assert!(process_alive(std::process::id()));
        assert!(process_alive(1));
        assert!(!process_alive(0));
        assert!(!process_alive(u32::MAX));
        assert!(!process_alive(i32::MAX as u32));
    }

    #[test]
    fn random_bytes_differ_from_call_to_call() {
        assert_ne!(random_bytes().unwrap(), random_bytes().unwrap());
    }

    #[test]
    fn the_open_file_limit_is_raised_to_the_hard_one() {
        raise_open_file_limit();
        let limit = getrlimit(Resource::Nofile);
        assert!(limit.maximum.is_none() || limit.current == limit.maximum);
        assert!(!host_name().is_empty());
    }
}
