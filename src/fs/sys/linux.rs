//! What only Linux has: openat2, O_DIRECT, cache eviction and syncfs.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{LazyLock, OnceLock};

use memmap2::MmapMut;
use rustix::fs::{Advice, AtFlags, Mode, OFlags, RenameFlags, ResolveFlags, Timestamps};
use rustix::io::Errno;
use rustix::system::Uname;

use super::traits::FUSE;
use super::{SameMount, component, retry};
use crate::path::RelPath;

/// Leaves the access time of a file alone; only its owner and root may ask for it.
pub(crate) const NO_ATIME: OFlags = OFlags::NOATIME;

/// Opens a directory for reaching what is in it, which needs no permission to list it.
pub(crate) const JUST_DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);

/// Asks for memory in pages of 2 MiB; where there are none, it stays in small ones.
pub(crate) fn ask_for_huge_pages(map: &MmapMut) {
    let _ = map.advise(memmap2::Advice::HugePage);
}

/// The kernel does not change while we run.
static KERNEL: LazyLock<Uname> = LazyLock::new(rustix::system::uname);

/// The version of the running kernel.
pub(super) fn kernel_release() -> &'static [u8] {
    KERNEL.release().to_bytes()
}

/// The number of the kind of file system that holds an open file or directory.
pub(super) fn magic(fd: impl AsFd) -> io::Result<u32> {
    // The field is 32 or 64 bits wide, signed or not; the numbers all have 32.
    #[allow(clippy::unnecessary_cast)]
    let magic = retry(|| rustix::fs::fstatfs(&fd))?.f_type as u32;
    Ok(magic)
}

/// Opens what is below `root`, all components in one call, following no symlink. `None` if that
/// call is not to be had (an old kernel, a sandbox) or not fit for this path.
pub(crate) fn open_beneath(
    root: impl AsFd,
    path: &RelPath,
    flags: OFlags,
    same_mount: SameMount,
) -> Option<io::Result<OwnedFd>> {
    static HAVE: OnceLock<bool> = OnceLock::new();
    let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    resolve.set(ResolveFlags::NO_XDEV, same_mount == SameMount::Yes);
    let open = |name: &[u8], flags| {
        let flags = flags | OFlags::CLOEXEC;
        retry(|| rustix::fs::openat2(&root, name, flags, Mode::empty(), resolve))
    };
    // Asked once, on a path that is allowed for sure, so that a later EPERM keeps its meaning.
    let have = *HAVE.get_or_init(|| match open(b".", OFlags::PATH | OFlags::DIRECTORY) {
        Ok(_) => true,
        Err(error) => !matches!(
            Errno::from_io_error(&error),
            Some(Errno::NOSYS | Errno::PERM)
        ),
    });
    if !have {
        return None;
    }
    let result = open(path.as_bytes(), flags);
    match result.as_ref().err().and_then(Errno::from_io_error) {
        // EAGAIN: a rename raced with the look-up. ENAMETOOLONG: the path as a whole is longer
        // than one call takes, which says nothing about its components.
        Some(Errno::AGAIN | Errno::NAMETOOLONG) => None,
        _ => Some(result),
    }
}

/// Hands a file to the device, its metadata too: a published file's mode and times are part of
/// what is promised. Never repeated.
pub(crate) fn sync_data(file: &File) -> io::Result<()> {
    Ok(rustix::fs::fsync(file)?)
}

/// Hands a directory to the device. Never repeated.
pub(crate) fn sync_dir(dir: impl AsFd) -> io::Result<()> {
    let Err(errno) = rustix::fs::fsync(&dir) else {
        return Ok(());
    };
    // Many FUSE daemons have no fsync for directories. These two errors say just that; there is
    // nothing else to call, and what such a daemon holds back is out of reach.
    if matches!(errno, Errno::NOSYS | Errno::INVAL) && magic(&dir).is_ok_and(|magic| magic == FUSE)
    {
        return Ok(());
    }
    Err(errno.into())
}

/// Hands the whole file system to the device. Never repeated.
pub(crate) fn sync_fs(dir: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::syncfs(dir)?)
}

/// Switches O_DIRECT on or off. `false` if the file system does not have it.
pub(crate) fn set_direct(file: &File, on: bool) -> io::Result<bool> {
    let mut flags = rustix::fs::fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, on);
    match rustix::fs::fcntl_setfl(file, flags) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Makes a file share all blocks of another, so that each is copied only when it is written to.
/// `false` if the file system cannot.
pub(crate) fn share(to: &File, from: &File) -> io::Result<bool> {
    match rustix::fs::ioctl_ficlone(to, from) {
        Ok(()) => Ok(true),
        Err(
            Errno::OPNOTSUPP
            | Errno::NOSYS
            | Errno::NOTTY
            | Errno::INVAL
            | Errno::XDEV
            | Errno::PERM
            | Errno::ACCESS
            | Errno::TXTBSY,
        ) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Asks for a file's clean pages to be dropped from the page cache. Only a request: pages that
/// are dirty or mapped stay, and the kernel does not say so.
pub(crate) fn drop_cache(file: &File) -> io::Result<()> {
    retry(|| rustix::fs::fadvise(file, 0, None, Advice::DontNeed))
}

/// Says that a file will be read from its beginning to its end.
pub(crate) fn advise_sequential(file: &File) -> io::Result<()> {
    retry(|| rustix::fs::fadvise(file, 0, None, Advice::Sequential))
}

/// Holds what has a name, without following it and without opening it: that reads nothing and wakes no device.
pub(crate) fn pin(dir: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let name = component(name)?;
    retry(|| rustix::fs::openat(&dir, name, flags, Mode::empty()))
}

/// Sets the mode of something that is held; a symlink is left alone, it has no mode.
pub(crate) fn chmod_pinned(
    pinned: BorrowedFd<'_>,
    dir: BorrowedFd<'_>,
    name: &[u8],
    mode: Mode,
) -> io::Result<()> {
    let stat = super::stat_of(&retry(|| rustix::fs::fstat(pinned))?);
    if stat.kind == super::Kind::Symlink {
        return Ok(());
    }
    // fchmod does not take such a handle, and fchmodat takes it since Linux 6.6 only.
    let by_handle = format!("/proc/self/fd/{}", pinned.as_raw_fd());
    match retry(|| rustix::fs::chmod(by_handle.as_str(), mode)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let opened = open_again(dir, name, &stat)?;
            retry(|| rustix::fs::fchmod(&opened, mode))
        }
        result => result,
    }
}

/// Sets the times of something that is held.
pub(crate) fn set_times_pinned(
    pinned: BorrowedFd<'_>,
    dir: BorrowedFd<'_>,
    name: &[u8],
    times: &Timestamps,
) -> io::Result<()> {
    let set = retry(|| rustix::fs::utimensat(pinned, c"", times, AtFlags::EMPTY_PATH));
    match set.as_ref().err().and_then(Errno::from_io_error) {
        // Before Linux 5.8 only by name. A time gives nobody anything.
        Some(Errno::INVAL | Errno::NOENT | Errno::BADF) => {
            let (name, flags) = (component(name)?, AtFlags::SYMLINK_NOFOLLOW);
            retry(|| rustix::fs::utimensat(dir, name, times, flags))
        }
        _ => set,
    }
}

/// Where there is no `/proc`: opens what is held by its name, if that is it still.
pub(super) fn open_again(dir: impl AsFd, name: &[u8], held: &super::Stat) -> io::Result<OwnedFd> {
    // O_NONBLOCK: a fifo is not to be waited for.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let name = component(name)?;
    let opened = retry(|| rustix::fs::openat(&dir, name, flags, Mode::empty()))?;
    let there = super::stat_of(&retry(|| rustix::fs::fstat(&opened))?);
    match there.id() == held.id() {
        true => Ok(opened),
        false => Err(crate::fs::swapped()),
    }
}

/// Renames in one directory, replacing nothing.
pub(crate) fn rename_onto_nothing(dir: impl AsFd, from: &[u8], to: &[u8]) -> io::Result<()> {
    let (from, to) = (component(from)?, component(to)?);
    let (dir, only) = (dir.as_fd(), RenameFlags::NOREPLACE);
    match rustix::fs::renameat_with(dir, from, dir, to, only) {
        // Not every file system can promise it.
        Err(Errno::INVAL | Errno::NOSYS) => super::rename_after_a_look(dir, from, to),
        renamed => Ok(renamed?),
    }
}

/// Random bytes, good enough for ids that must not collide.
pub fn random_bytes() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    // Up to 256 bytes are never cut short once the system's pool is ready.
    let got =
        retry(|| rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty()))?;
    if got < bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}
