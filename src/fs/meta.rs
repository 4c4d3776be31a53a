//! Setting owner, attributes, mode and times, in the one order in which none undoes another.
//!
//! Owner first, because giving a file away clears its setuid bits and capabilities; then
//! attributes, because an ACL brings a mode along; then mode; times last, because they are what the
//! next run compares. What a file system has no place for it refuses to set, which is no failure:
//! the caller looks at what is there afterwards.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::LazyLock;

use rustix::fs::{AtFlags, Gid, Mode, Uid};
use rustix::io::Errno;

use super::sys::{self, XattrsOf};
use super::{Meta, SET_IDS, Stat, Xattrs};

/// Owner and group of what this process makes, but in directories that give their own group.
static OWN_IDS: LazyLock<(u32, u32)> = LazyLock::new(sys::own_ids);

fn is_denied(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::ACCESS)
}

/// What metadata is set on.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// Something that is held without being open, with the directory and the name that it was found by.
    Pinned(BorrowedFd<'a>, BorrowedFd<'a>, &'a [u8]),
}

/// Sets all of `meta`.
pub(super) fn set(target: Target<'_>, meta: &Meta) -> io::Result<()> {
    let mut mode = meta.mode;
    if let Some((uid, gid)) = meta.owner {
        let taken = target.unless_lacking(target.set_owner(uid, gid));
        // Who may not give files away, as in a container, keeps them.
        let denied = |error: &io::Error| Errno::from_io_error(error) == Some(Errno::PERM);
        let taken = match taken {
            Err(error) if denied(&error) => false,
            taken => taken?,
        };
        if !taken {
            // The file stays somebody else's: it must not run in that one's name.
            mode = mode.map(|mode| mode & 0o1777);
        }
    }
    if meta.acls.is_some() || meta.xattrs.is_some() {
        target.set_xattrs(meta)?;
    }
    target.set_mode_and_times(mode, meta.times_ns)
}

/// Sets all of `meta` on a file that this process has just made; gives what is there then.
///
/// Such a file nearly always belongs to whom it shall and has no attributes: neither is set then,
/// and the look at what is there comes after.
pub(super) fn settle(file: &File, meta: &Meta) -> io::Result<(Stat, Xattrs)> {
    let target = Target::Open(file.as_fd());
    let look = || match meta.has_attributes() {
        true => sys::xattrs(XattrsOf::Open(file.as_fd())),
        false => Ok(Xattrs::default()),
    };
    let stat = || Ok::<_, io::Error>(sys::stat_of(&sys::retry(|| rustix::fs::fstat(file))?));
    let likely_own = meta.owner.is_none_or(|owner| owner == *OWN_IDS);
    // What runs in its owner's name gets its bits only after its owner.
    let runs_as_owner = meta.mode.is_some_and(|mode| mode & SET_IDS != 0);
    if likely_own && !runs_as_owner && meta.adds_no_attribute() {
        let xattrs = look()?;
        if xattrs.is_empty() {
            target.set_mode_and_times(meta.mode, meta.times_ns)?;
            let stat = stat()?;
            if meta.owner.is_none_or(|owner| owner == (stat.uid, stat.gid)) {
                return Ok((stat, xattrs));
            }
        }
    }
    set(target, meta)?;
    Ok((stat()?, look()?))
}

impl<'a> Target<'a> {
    pub(super) fn xattrs_of(self) -> io::Result<XattrsOf<'a>> {
        match self {
            Target::Open(fd) => Ok(XattrsOf::Open(fd)),
            Target::Pinned(fd, dir, name) => XattrsOf::pinned(fd, dir, name),
        }
    }

    fn set_mode_and_times(
        self,
        mode: Option<u32>,
        times_ns: Option<(i128, i128)>,
    ) -> io::Result<()> {
        if let Some(mode) = mode {
            self.unless_lacking(self.set_mode(mode))?;
        }
        if let Some((atime_ns, mtime_ns)) = times_ns {
            self.unless_lacking(self.set_times(atime_ns, mtime_ns))?;
        }
        Ok(())
    }

    /// Makes the attributes those that are wanted and no others, of each of the two kinds that is
    /// spoken of.
    fn set_xattrs(self, meta: &Meta) -> io::Result<()> {
        let of = self.xattrs_of()?;
        let (acls, others) = sys::xattrs(of.clone())?.split();
        for (wanted, there) in [(&meta.acls, acls), (&meta.xattrs, others)] {
            let Some(wanted) = wanted else {
                continue;
            };
            self.change(&of, meta.mode, &there, wanted)?;
        }
        Ok(())
    }

    fn change(
        self,
        of: &XattrsOf<'_>,
        mode: Option<u32>,
        there: &Xattrs,
        wanted: &Xattrs,
    ) -> io::Result<()> {
        let extra = there.iter().filter(|(name, _)| wanted.get(name).is_none());
        let extra = extra.map(|(name, _)| (name, None));
        let lacking = wanted.iter();
        let lacking = lacking.filter(|(name, value)| there.get(name) != Some(value));
        let lacking = lacking.map(|(name, value)| (name, Some(value)));
        for (name, value) in extra.chain(lacking) {
            let set = || match value {
                Some(value) => sys::set_xattr(of, name, value),
                None => sys::remove_xattr(of, name),
            };
            let mut result = set();
            if result.as_ref().is_err_and(is_denied)
                && let Some(mode) = mode
            {
                // Even its owner may not change the attributes of a file that is write-protected.
                // The mode proper is set next.
                self.set_mode(mode | 0o200)?;
                result = set();
            }
            if let Err(error) = result
                && !self.has_no_place(&error)
            {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Whether an attribute could not be set because there is no place for it, or because this
    /// user may not.
    fn has_no_place(self, error: &io::Error) -> bool {
        let (Target::Open(fd) | Target::Pinned(fd, ..)) = self;
        match Errno::from_io_error(error) {
            Some(Errno::NOSPC | Errno::DQUOT) => sys::has_room(fd),
            errno => matches!(
                errno,
                Some(
                    Errno::OPNOTSUPP
                        | Errno::NOSYS
                        | Errno::PERM
                        | Errno::ACCESS
                        | Errno::INVAL
                        | Errno::TOOBIG
                        | Errno::RANGE
                        | Errno::NODATA
                )
            ),
        }
    }

    /// Whether the call took effect; `false` if it was refused by a file system that has no place
    /// for what was to be set.
    fn unless_lacking(self, result: io::Result<()>) -> io::Result<bool> {
        let Err(error) = result else {
            return Ok(true);
        };
        let (Target::Open(fd) | Target::Pinned(fd, ..)) = self;
        let refused = matches!(
            Errno::from_io_error(&error),
            Some(Errno::PERM | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS)
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
            Target::Pinned(fd, ..) => {
                sys::retry(|| rustix::fs::chownat(fd, c"", uid, gid, AtFlags::EMPTY_PATH))
            }
        }
    }

    fn set_mode(self, mode: u32) -> io::Result<()> {
        // Narrower than 32 bits on some systems; the twelve bits fit everywhere.
        let mode = Mode::from_raw_mode((mode & 0o7777) as _);
        match self {
            Target::Open(fd) => sys::retry(|| rustix::fs::fchmod(fd, mode)),
            Target::Pinned(fd, dir, name) => sys::chmod_pinned(fd, dir, name, mode),
        }
    }

    fn set_times(self, atime_ns: i128, mtime_ns: i128) -> io::Result<()> {
        let times = sys::timestamps(atime_ns, mtime_ns);
        match self {
            Target::Open(fd) => sys::retry(|| rustix::fs::futimens(fd, &times)),
            Target::Pinned(fd, dir, name) => sys::set_times_pinned(fd, dir, name, &times),
        }
    }
}
