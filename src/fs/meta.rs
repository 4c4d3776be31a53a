//! Setting owner, mode and times, in the one order in which none undoes another.
//!
//! Owner first, because giving a file away clears its setuid bits; then mode; times last, because
//! they are what the next run compares. File systems without owners or modes refuse to set them,
//! which is no failure there.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Gid, Mode, Uid};
use rustix::io::Errno;

use super::{Meta, sys};

/// What metadata is set on.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// A name in a directory, not followed.
    Name(BorrowedFd<'a>, &'a [u8]),
}

/// Sets all of `meta`.
pub(super) fn set(target: Target<'_>, meta: &Meta) -> io::Result<()> {
    let mut mode = meta.mode;
    if let Some((uid, gid)) = meta.owner {
        let taken = target.unless_lacking(target.set_owner(uid, gid))?;
        if !taken {
            // The file stays somebody else's: it must not run in that one's name.
            mode = mode.map(|mode| mode & 0o1777);
        }
    }
    if let Some(mode) = mode {
        target.unless_lacking(target.set_mode(mode))?;
    }
    if let Some((atime_ns, mtime_ns)) = meta.times_ns {
        target.set_times(atime_ns, mtime_ns)?;
    }
    Ok(())
}

impl Target<'_> {
    /// Whether the call took effect; `false` if it was refused by a file system that has no place
    /// for what was to be set.
    fn unless_lacking(self, result: io::Result<()>) -> io::Result<bool> {
        let Err(error) = result else {
            return Ok(true);
        };
        let (Target::Open(fd) | Target::Name(fd, _)) = self;
        let refused = matches!(
            Errno::from_io_error(&error),
            Some(Errno::PERM | Errno::INVAL | Errno::OPNOTSUPP)
        );
        if refused && sys::traits(fd).is_ok_and(|traits| traits.may_lack_modes) {
            return Ok(false);
        }
        Err(error)
    }

    fn set_owner(self, uid: u32, gid: u32) -> io::Result<()> {
        // The highest number is no id: the system takes it for "leave alone".
        if uid == u32::MAX || gid == u32::MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        match self {
            Target::Open(fd) => sys::retry(|| rustix::fs::fchown(fd, uid, gid)),
            Target::Name(dir, name) => {
                let name = sys::component(name)?;
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                sys::retry(|| rustix::fs::chownat(dir, name, uid, gid, flags))
            }
        }
    }

    fn set_mode(self, mode: u32) -> io::Result<()> {
        // Narrower than 32 bits on some systems; the twelve bits fit everywhere.
        let mode = Mode::from_raw_mode((mode & 0o7777) as _);
        match self {
            Target::Open(fd) => sys::retry(|| rustix::fs::fchmod(fd, mode)),
            Target::Name(dir, name) => sys::chmod_name(dir.as_fd(), name, mode),
        }
    }

    fn set_times(self, atime_ns: i128, mtime_ns: i128) -> io::Result<()> {
        let times = sys::timestamps(atime_ns, mtime_ns);
        match self {
            Target::Open(fd) => sys::retry(|| rustix::fs::futimens(fd, &times)),
            Target::Name(dir, name) => {
                let name = sys::component(name)?;
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                sys::retry(|| rustix::fs::utimensat(dir, name, &times, flags))
            }
        }
    }
}
