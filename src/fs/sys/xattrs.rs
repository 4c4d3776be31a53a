//! The extended-attribute calls, which exist for open files and for paths only: a name in an open
//! directory is reached through `/proc/self/fd`, which leads to the directory that is held and to
//! no other.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use rustix::fs::{self, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use super::super::xattr::{Xattrs, is_kept};
use super::component;

/// How often a list or value that grows between two calls is asked for again.
const TRIES: u32 = 5;

/// Whose attributes are meant.
#[derive(Clone)]
pub(crate) enum XattrsOf<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// A file or directory that had to be opened for it.
    Opened(Rc<OwnedFd>),
    /// A path, its last component not followed.
    Path(CString),
    /// The path of a handle in `/proc`, which leads to what is held.
    Handle(CString),
}

impl<'a> XattrsOf<'a> {
    /// Something that is held, found in `dir` by `name`.
    pub(crate) fn pinned(
        held: BorrowedFd<'a>,
        dir: BorrowedFd<'a>,
        name: &[u8],
    ) -> io::Result<XattrsOf<'a>> {
        if has_proc() {
            let path = format!("/proc/self/fd/{}", held.as_raw_fd());
            return Ok(XattrsOf::Handle(CString::new(path)?));
        }
        let stat = super::stat_of(&super::retry(|| fs::fstat(held))?);
        let opened = super::linux::open_again(dir, name, &stat)?;
        Ok(XattrsOf::Opened(Rc::new(opened)))
    }

    /// A name in an open directory, not followed.
    pub(crate) fn name(dir: BorrowedFd<'a>, name: &[u8]) -> io::Result<XattrsOf<'a>> {
        let mut path = format!("/proc/self/fd/{}/", dir.as_fd().as_raw_fd()).into_bytes();
        path.extend_from_slice(component(name)?.as_bytes());
        XattrsOf::path(path)
    }

    /// A path of a source.
    pub(crate) fn path(path: impl Into<Vec<u8>>) -> io::Result<XattrsOf<'static>> {
        Ok(XattrsOf::Path(CString::new(path)?))
    }

    /// The list of names; how long it is, if there is no buffer to put it in.
    fn list(&self, buf: &mut [u8]) -> rustix::io::Result<usize> {
        match self {
            XattrsOf::Open(fd) => flist(fd, buf),
            XattrsOf::Opened(fd) => flist(fd, buf),
            XattrsOf::Path(path) if buf.is_empty() => fs::llistxattr_query(path.as_c_str()),
            XattrsOf::Path(path) => fs::llistxattr(path.as_c_str(), buf),
            XattrsOf::Handle(path) if buf.is_empty() => fs::listxattr_query(path.as_c_str()),
            XattrsOf::Handle(path) => fs::listxattr(path.as_c_str(), buf),
        }
    }

    /// A value; how long it is, if there is no buffer to put it in.
    fn get(&self, name: &CStr, buf: &mut [u8]) -> rustix::io::Result<usize> {
        match self {
            XattrsOf::Open(fd) => fget(fd, name, buf),
            XattrsOf::Opened(fd) => fget(fd, name, buf),
            XattrsOf::Path(path) if buf.is_empty() => fs::lgetxattr_query(path.as_c_str(), name),
            XattrsOf::Path(path) => fs::lgetxattr(path.as_c_str(), name, buf),
            XattrsOf::Handle(path) if buf.is_empty() => fs::getxattr_query(path.as_c_str(), name),
            XattrsOf::Handle(path) => fs::getxattr(path.as_c_str(), name, buf),
        }
    }

    /// Whether a path leads nowhere only because there is no `/proc` to lead through.
    fn lacks_proc(&self) -> bool {
        match self {
            XattrsOf::Open(_) | XattrsOf::Opened(_) | XattrsOf::Handle(_) => false,
            XattrsOf::Path(path) => path.to_bytes().starts_with(b"/proc/self/fd/") && !has_proc(),
        }
    }
}

fn flist(fd: impl AsFd, buf: &mut [u8]) -> rustix::io::Result<usize> {
    match buf.is_empty() {
        true => fs::flistxattr_query(fd),
        false => fs::flistxattr(fd, buf),
    }
}

fn fget(fd: impl AsFd, name: &CStr, buf: &mut [u8]) -> rustix::io::Result<usize> {
    match buf.is_empty() {
        true => fs::fgetxattr_query(fd, name),
        false => fs::fgetxattr(fd, name, buf),
    }
}

/// Whether there is a `/proc` to lead through.
fn has_proc() -> bool {
    static HAS: std::sync::LazyLock<bool> =
        std::sync::LazyLock::new(|| fs::stat(c"/proc/self/fd").is_ok());
    *HAS
}

/// The attributes of a name in an open directory, not followed.
pub(crate) fn xattrs_in(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Xattrs> {
    match has_proc() {
        true => xattrs(XattrsOf::name(dir, name)?),
        false => by_opening(dir, name),
    }
}

/// The same where there is no `/proc`: of what can be opened, which symlinks cannot be.
fn by_opening(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Xattrs> {
    // O_NONBLOCK: a fifo is not to be waited for.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let name = component(name)?;
    match super::retry(|| fs::openat(dir, name, flags, Mode::empty())) {
        Ok(opened) => xattrs(XattrsOf::Open(opened.as_fd())),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::LOOP | Errno::NXIO) => Ok(Xattrs::default()),
            _ => Err(error),
        },
    }
}

/// All attributes that are kept and may be read; none where there can be none.
pub(crate) fn xattrs(of: XattrsOf<'_>) -> io::Result<Xattrs> {
    let names = match whole(|buf| of.list(buf)) {
        Ok(names) => names,
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Xattrs::default()),
        Err(Errno::NOENT) if of.lacks_proc() => return Ok(Xattrs::default()),
        Err(errno) => return Err(errno.into()),
    };
    let mut kept = Vec::new();
    for name in names.split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else {
            continue;
        };
        if !is_kept(name.to_bytes()) {
            continue;
        }
        match whole(|buf| of.get(name, buf)) {
            Ok(value) => kept.push((name.to_bytes().to_vec(), value)),
            // Gone since it was listed, or not for this user to read.
            Err(Errno::NODATA | Errno::ACCESS | Errno::PERM | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(Xattrs::new(kept))
}

/// Asks how much there is, then for all of it, until both agree.
fn whole(
    call: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
) -> Result<Vec<u8>, rustix::io::Errno> {
    for _ in 0..TRIES {
        let len = call(&mut [])?;
        let mut buf = vec![0; len];
        if len == 0 {
            return Ok(buf);
        }
        match call(&mut buf) {
            Ok(have) => {
                buf.truncate(have);
                return Ok(buf);
            }
            Err(Errno::RANGE) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::RANGE)
}

/// Sets one attribute.
pub(crate) fn set_xattr(of: &XattrsOf<'_>, name: &[u8], value: &[u8]) -> io::Result<()> {
    let flags = XattrFlags::empty();
    super::retry(|| match of {
        XattrsOf::Open(fd) => fs::fsetxattr(fd, name, value, flags),
        XattrsOf::Opened(fd) => fs::fsetxattr(fd, name, value, flags),
        XattrsOf::Path(path) => fs::lsetxattr(path.as_c_str(), name, value, flags),
        XattrsOf::Handle(path) => fs::setxattr(path.as_c_str(), name, value, flags),
    })
}

/// Removes one attribute.
pub(crate) fn remove_xattr(of: &XattrsOf<'_>, name: &[u8]) -> io::Result<()> {
    super::retry(|| match of {
        XattrsOf::Open(fd) => fs::fremovexattr(fd, name),
        XattrsOf::Opened(fd) => fs::fremovexattr(fd, name),
        XattrsOf::Path(path) => fs::lremovexattr(path.as_c_str(), name),
        XattrsOf::Handle(path) => fs::removexattr(path.as_c_str(), name),
    })
}

/// Whether the file system has room left, so that "no space" means that there is none for
/// attributes.
pub(crate) fn has_room(fd: impl AsFd) -> bool {
    fs::fstatvfs(fd).is_ok_and(|stat| stat.f_bavail > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_a_name_are_the_same_with_and_without_proc_and_a_symlink_is_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        std::fs::write(at("file"), "").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        let dir = std::fs::File::open(temp.path()).unwrap();
        let file = std::fs::File::open(at("file")).unwrap();
        let of = XattrsOf::Open(file.as_fd());
        if set_xattr(&of, b"user.note", b"x").is_err() {
            // A temporary directory that holds none has nothing to show here.
            return;
        }
        let proc = xattrs_in(dir.as_fd(), b"file").unwrap();
        assert_eq!(proc.get(b"user.note"), Some(&b"x"[..]));
        assert_eq!(by_opening(dir.as_fd(), b"file").unwrap(), proc);
        assert!(xattrs_in(dir.as_fd(), b"link").unwrap().is_empty());
        assert!(by_opening(dir.as_fd(), b"link").unwrap().is_empty());
    }
}
