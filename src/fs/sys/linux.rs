//! What only Linux has: openat2, O_DIRECT, cache eviction, syncfs, and telling file systems apart.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{LazyLock, OnceLock};

use memmap2::MmapMut;
use rustix::fs::{Advice, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::system::Uname;

use super::{FlushBy, Traits, component, retry};
use crate::path::RelPath;

/// Leaves the access time of a file alone; only its owner and root may ask for it.
pub(crate) const NO_ATIME: OFlags = OFlags::NOATIME;

/// Opens a directory for reaching what is in it, which needs no permission to list it.
pub(crate) const JUST_DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);

// `f_type` of statfs(2).
pub(super) const BCACHEFS: u32 = 0xCA45_1A4E;
pub(super) const BTRFS: u32 = 0x9123_683E;
pub(super) const CIFS: u32 = 0xFF53_4D42;
pub(super) const EXFAT: u32 = 0x2011_BAB0;
pub(super) const EXT: u32 = 0xEF53;
pub(super) const F2FS: u32 = 0xF2F5_2010;
pub(super) const FUSE: u32 = 0x6573_5546;
pub(super) const MSDOS: u32 = 0x4D44;
pub(super) const NFS: u32 = 0x6969;
pub(super) const NTFS3: u32 = 0x7366_746E;
pub(super) const OVERLAY: u32 = 0x794C_7630;
pub(super) const RAMFS: u32 = 0x8584_58F6;
pub(super) const SMB2: u32 = 0xFE53_4D42;
pub(super) const TMPFS: u32 = 0x0102_1994;
pub(super) const V9FS: u32 = 0x0102_1997;
pub(super) const XFS: u32 = 0x5846_5342;
pub(super) const ZFS: u32 = 0x2FC1_2FC1;

/// Asks for memory in pages of 2 MiB; where there are none, it stays in small ones.
pub(crate) fn ask_for_huge_pages(map: &MmapMut) {
    let _ = map.advise(memmap2::Advice::HugePage);
}

/// The kernel does not change while we run, and is asked about for each file.
static KERNEL: LazyLock<Uname> = LazyLock::new(rustix::system::uname);

/// What is to be known about the file system that holds an open file or directory.
pub(crate) fn traits(fd: impl AsFd) -> io::Result<Traits> {
    Ok(traits_of(magic(fd)?, KERNEL.release().to_bytes()))
}

pub(super) fn magic(fd: impl AsFd) -> io::Result<u32> {
    // The field is 32 or 64 bits wide, signed or not; the numbers all have 32.
    #[allow(clippy::unnecessary_cast)]
    let magic = retry(|| rustix::fs::fstatfs(&fd))?.f_type as u32;
    Ok(magic)
}

fn traits_of(magic: u32, kernel_release: &[u8]) -> Traits {
    // FUSE answers syncfs without asking its daemon, and a server is only asked by fsync.
    let remote = matches!(magic, FUSE | NFS | SMB2 | CIFS | V9FS);
    Traits {
        flush_by: if remote || !syncfs_tells_errors(kernel_release) {
            FlushBy::Each
        } else {
            FlushBy::Whole
        },
        // Daemons and servers have caches of their own, which O_DIRECT does not go past; ZFS has
        // one beside the page cache. What lies below an overlay cannot be seen from above it.
        always_cached: remote || matches!(magic, TMPFS | RAMFS | OVERLAY | ZFS),
        may_ignore_direct: matches!(magic, BTRFS | F2FS),
        // It refuses O_DIRECT for compressed files, so what it takes is honoured, except in files
        // that lie in their record of the master file table: at most 4 KiB.
        inline_below: if magic == NTFS3 { 4096 } else { 0 },
        // Renaming there enters the name with neither size nor place; the inode brings them.
        renames_want_flush: magic == MSDOS,
        // FUSE is mostly exFAT and NTFS, whose drivers there replay no journal either.
        lacks_journal: matches!(magic, MSDOS | EXFAT | FUSE),
        may_lack_modes: matches!(magic, MSDOS | EXFAT | FUSE | NTFS3),
    }
}

/// Before Linux 5.8, syncfs returned success after a failed write-back.
fn syncfs_tells_errors(kernel_release: &[u8]) -> bool {
    let mut numbers = kernel_release
        .split(|byte| !byte.is_ascii_digit())
        .map(|digits| std::str::from_utf8(digits).ok()?.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= (5, 8),
        _ => false,
    }
}

/// Opens what is below `root`, all components in one call, following no symlink. `None` if that
/// call is not to be had (an old kernel, a sandbox) or not fit for this path.
pub(crate) fn open_beneath(
    root: impl AsFd,
    path: &RelPath,
    flags: OFlags,
) -> Option<io::Result<OwnedFd>> {
    static HAVE: OnceLock<bool> = OnceLock::new();
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
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

/// Sets the mode of a name without following it; a symlink is left alone, it has no mode.
pub(crate) fn chmod_name(dir: impl AsFd, name: &[u8], mode: Mode) -> io::Result<()> {
    // fchmodat cannot refuse symlinks before Linux 6.6. So the inode is pinned first, with a
    // handle that reads nothing and wakes no device, and then named by that handle.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let name = component(name)?;
    let pinned = retry(|| rustix::fs::openat(&dir, name, flags, Mode::empty()))?;
    let kind = super::stat_of(&retry(|| rustix::fs::fstat(&pinned))?).kind;
    if kind == super::Kind::Symlink {
        return Ok(());
    }
    let by_handle = format!("/proc/self/fd/{}", pinned.as_raw_fd());
    match retry(|| rustix::fs::chmod(by_handle.as_str(), mode)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // No /proc here: a handle that can be read does as well.
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let opened = retry(|| rustix::fs::openat(&dir, name, flags, Mode::empty()))?;
            retry(|| rustix::fs::fchmod(&opened, mode))
        }
        result => result,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_flush_for_all_is_believed_only_where_it_reports_errors() {
        assert_eq!(traits_of(EXT, b"6.1.0-13-amd64").flush_by, FlushBy::Whole);
        assert_eq!(traits_of(EXT, b"5.8").flush_by, FlushBy::Whole);
        assert_eq!(traits_of(EXT, b"5.7.19").flush_by, FlushBy::Each);
        assert_eq!(traits_of(EXT, b"4.19").flush_by, FlushBy::Each);
        assert_eq!(traits_of(EXT, b"unknown").flush_by, FlushBy::Each);
        for magic in [FUSE, NFS, SMB2, CIFS] {
            assert_eq!(traits_of(magic, b"6.1.0").flush_by, FlushBy::Each);
        }
    }

    #[test]
    fn file_systems_that_answer_from_a_cache_are_known() {
        for magic in [FUSE, NFS, TMPFS, RAMFS, OVERLAY] {
            assert!(traits_of(magic, b"6.1").always_cached);
        }
        for magic in [EXT, MSDOS, EXFAT, NTFS3] {
            assert!(!traits_of(magic, b"6.1").always_cached);
        }
    }
}
