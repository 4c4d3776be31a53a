//! Other unixes: the same calls with what is common to all, which is less, and slower.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, Timestamps};
use rustix::io::Errno;

use super::super::{About, FsKind, Xattrs};
use super::{FlushBy, SameMount, Traits, component, retry};
use crate::event::ReadHow;
use crate::path::RelPath;

/// Reading always sets the access time here.
pub(crate) const NO_ATIME: OFlags = OFlags::empty();

/// Opens a directory for reaching what is in it.
pub(crate) const JUST_DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// Nothing is known about the file system, so the least is assumed.
pub(crate) fn traits(_fd: impl AsFd) -> io::Result<Traits> {
    Ok(Traits {
        flush_by: FlushBy::Each,
        renames_want_flush: false,
        lacks_journal: true,
        may_lack_modes: false,
    })
}

/// Nothing is claimed of any file.
pub(crate) fn strictest(_file: &File) -> io::Result<ReadHow> {
    Ok(ReadHow::Cached)
}

/// The room that POSIX tells of; the kind is not known, so that names are tried.
pub(crate) fn about(fd: impl AsFd) -> io::Result<About> {
    let stat = retry(|| rustix::fs::fstatvfs(&fd))?;
    Ok(About {
        kind: FsKind::Other,
        name_bytes_max: stat.f_namemax,
        unit_bytes: stat.f_frsize.max(1),
        free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        free_inodes: None,
    })
}

/// No mount has an id that is never given again.
pub(crate) fn session(_dir: impl AsFd) -> Option<([u8; 16], u64)> {
    None
}

/// Not told for each directory.
pub(crate) fn dir_folds(_dir: impl AsFd) -> bool {
    false
}

/// There is no such call.
pub(crate) fn open_beneath(
    _root: impl AsFd,
    _path: &RelPath,
    _flags: OFlags,
    _same_mount: SameMount,
) -> Option<io::Result<OwnedFd>> {
    None
}

/// Not known.
pub(crate) fn is_mount_top(_dir: impl AsFd) -> bool {
    false
}

/// Mounts have no numbers here; the device number has to do.
pub(crate) fn mount_id(_fd: impl AsFd) -> io::Result<u64> {
    Ok(0)
}

/// Hands the data of a file to the device. Where the system has a stronger call than fsync for
/// that, the standard library makes it.
pub(crate) fn sync_data(file: &File) -> io::Result<()> {
    file.sync_all()
}

/// Hands a directory to the device.
pub(crate) fn sync_dir(dir: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::fsync(dir)?)
}

/// Hands everything to the device; errors are not told, hence [`FlushBy::Each`].
pub(crate) fn sync_fs(_dir: impl AsFd) -> io::Result<()> {
    rustix::fs::sync();
    Ok(())
}

/// No way to share blocks is used here.
pub(crate) fn share(_to: &File, _from: &File) -> io::Result<bool> {
    Ok(false)
}

/// There is no O_DIRECT.
pub(crate) fn set_direct(_file: &File, _on: bool) -> io::Result<bool> {
    Ok(false)
}

/// There is no way to drop pages, and none is claimed.
pub(crate) fn drop_cache(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Nothing is claimed here either.
pub(crate) fn drop_range(_file: &File, _range: Range<u64>) -> io::Result<()> {
    Ok(())
}

/// There is no way to tell.
pub(crate) fn is_resident(_file: &File, _offset: u64) -> io::Result<Option<bool>> {
    Ok(None)
}

/// Nothing is begun.
pub(crate) fn begin_reading(_file: &File, _buf: &mut [u8], _offset: u64) -> io::Result<()> {
    Ok(())
}

/// No advice is given.
pub(crate) fn advise_random(_file: &File) -> io::Result<()> {
    Ok(())
}

/// How many bytes of a file one page of the cache holds.
pub(crate) fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

/// No advice is given.
pub(crate) fn advise_sequential(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Opens what has a name, without following it: there is no lighter way to hold it.
pub(crate) fn pin(dir: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let name = component(name)?;
    retry(|| rustix::fs::openat(&dir, name, flags, Mode::empty()))
}

/// Sets the mode of something that is held.
pub(crate) fn chmod_pinned(
    pinned: BorrowedFd<'_>,
    _dir: BorrowedFd<'_>,
    _name: &[u8],
    mode: Mode,
) -> io::Result<()> {
    retry(|| rustix::fs::fchmod(pinned, mode))
}

/// Sets the times of something that is held.
pub(crate) fn set_times_pinned(
    pinned: BorrowedFd<'_>,
    _dir: BorrowedFd<'_>,
    _name: &[u8],
    times: &Timestamps,
) -> io::Result<()> {
    retry(|| rustix::fs::futimens(pinned, times))
}

/// Whose attributes are meant. There are none here.
#[derive(Clone)]
pub(crate) struct XattrsOf<'a>(std::marker::PhantomData<&'a ()>);

impl<'a> XattrsOf<'a> {
    /// An open file or directory.
    #[allow(non_snake_case)]
    pub(crate) fn Open(_fd: std::os::fd::BorrowedFd<'a>) -> XattrsOf<'a> {
        XattrsOf(std::marker::PhantomData)
    }

    /// Something that is held.
    pub(crate) fn pinned(
        _fd: std::os::fd::BorrowedFd<'a>,
        _dir: std::os::fd::BorrowedFd<'a>,
        _name: &[u8],
    ) -> io::Result<XattrsOf<'a>> {
        Ok(XattrsOf(std::marker::PhantomData))
    }

    /// A path of a source.
    pub(crate) fn path(_path: impl Into<Vec<u8>>) -> io::Result<XattrsOf<'static>> {
        Ok(XattrsOf(std::marker::PhantomData))
    }
}

/// The calls differ too much from system to system: none are read.
pub(crate) fn xattrs(_of: XattrsOf<'_>) -> io::Result<Xattrs> {
    Ok(Xattrs::default())
}

/// The same of a name.
pub(crate) fn xattrs_in(_dir: std::os::fd::BorrowedFd<'_>, _name: &[u8]) -> io::Result<Xattrs> {
    Ok(Xattrs::default())
}

/// None are set.
pub(crate) fn set_xattr(_of: &XattrsOf<'_>, _name: &[u8], _value: &[u8]) -> io::Result<()> {
    Err(Errno::OPNOTSUPP.into())
}

/// None are removed.
pub(crate) fn remove_xattr(_of: &XattrsOf<'_>, _name: &[u8]) -> io::Result<()> {
    Err(Errno::OPNOTSUPP.into())
}

/// Nothing is ever set here that could lack room.
pub(crate) fn has_room(_fd: impl AsFd) -> bool {
    true
}

/// There is no way to ask that is the same everywhere.
pub(crate) fn ask_for_huge_pages(_map: &memmap2::MmapMut) {}

/// Renames in one directory, replacing nothing that was there just before.
pub(crate) fn rename_onto_nothing(dir: impl AsFd, from: &[u8], to: &[u8]) -> io::Result<()> {
    super::rename_after_a_look(dir.as_fd(), component(from)?, component(to)?)
}

/// Not known of any file system.
pub(crate) fn has_lasting_ids(_fd: impl AsFd) -> bool {
    false
}

/// Random bytes, good enough for ids that must not collide.
pub fn random_bytes() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The device below a directory, of which nothing is known here.
#[derive(Debug)]
pub(crate) struct Device;

impl Device {
    /// Notes nothing.
    pub(crate) fn below(_root: impl AsFd) -> io::Result<Device> {
        Ok(Device)
    }

    /// Nobody says.
    pub(crate) fn is_removable(&self) -> bool {
        false
    }

    /// Nobody says.
    pub(crate) fn seeks(&self) -> bool {
        false
    }

    /// There is no list of mounts to look at.
    pub(crate) fn detached(_root: impl AsFd) -> bool {
        false
    }

    /// Whether the root answers as if the device were gone.
    pub(crate) fn gone(&self, root: impl AsFd) -> bool {
        matches!(
            rustix::fs::fstatfs(root),
            Err(Errno::NODEV | Errno::NXIO | Errno::STALE | Errno::NOTCONN)
        )
    }
}
