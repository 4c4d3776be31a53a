//! The real file system: a tree below one directory that is opened once and held.
//!
//! Everything is reached from that handle. When the drive is pulled and another directory shows
//! at the same path, calls fail and nothing is written there.
//!
//! File systems that are mounted inside the tree are noticed when a directory of theirs is opened;
//! each has rules of its own. [`Fs::device_gone`] speaks of the root's device only.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::file::OsFile;
use super::meta::{self, Target};
use super::notice::Notice;
use super::sys::{self, component, retry};
use super::{
    About, Access, Fs, FsMeta, Kind, Meta, MountNo, Rules, Special, Stat, Xattrs, found, swapped,
};
use crate::path::RelPath;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
/// O_NONBLOCK: a fifo is to be refused, not waited for.
const FILE: OFlags = OFlags::NOFOLLOW
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// An open directory of a destination.
#[derive(Debug)]
pub struct OsDir {
    fd: OwnedFd,
    /// Whether it ignores case; that can only be changed while it is empty.
    folds: OnceLock<bool>,
}

impl OsDir {
    fn new(fd: OwnedFd) -> OsDir {
        let folds = OnceLock::new();
        OsDir { fd, folds }
    }
}

/// A destination on the real file system. Clones share one root handle.
#[derive(Debug, Clone)]
pub struct OsFs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: Arc<OsDir>,
    root_dev: u64,
    device: sys::Device,
    notice: Notice,
    may_lack_modes: bool,
    mounts: RwLock<Mounts>,
    keeps_owners: OnceLock<bool>,
    /// The user believes whoever wrote the state.
    trusts_state: AtomicBool,
}

/// The file systems that the tree reaches over.
#[derive(Debug)]
struct Mounts {
    /// Each by its device number, a handle and its rules; the root's first.
    list: Vec<(u64, Arc<OwnedFd>, Rules)>,
    /// Which one the directories from a path on are on, where that is another than above it. Outer
    /// paths come before inner ones.
    from: Vec<(RelPath, MountNo)>,
}

impl Mounts {
    /// The last of `from` that a path `is_below`, or the root's.
    fn of(&self, is_below: impl Fn(&RelPath) -> bool) -> MountNo {
        let from = self.from.iter().rev().find(|(path, _)| is_below(path));
        from.map_or(MountNo::default(), |(_, mount)| *mount)
    }

    /// Notes that a directory is on the file system with this device number, if that is news.
    fn note(&mut self, path: &RelPath, dev: u64, fd: &OwnedFd) -> io::Result<()> {
        let number = match self.list.iter().position(|(known, ..)| *known == dev) {
            Some(number) => number,
            None => {
                let rules = sys::traits(fd)?.rules();
                self.list.push((dev, Arc::new(fd.try_clone()?), rules));
                self.list.len() - 1
            }
        };
        // More than a tree can have; the root's rules are as good as any then.
        let mount = MountNo(u16::try_from(number).unwrap_or_default());
        // Directories further in may have been opened first.
        self.from
            .retain(|(known, of)| !(known.is_within(path) && *of == mount));
        self.from.push((path.clone(), mount));
        self.from.sort();
        Ok(())
    }
}

impl OsFs {
    /// Opens the root of a destination. This path alone may lead through symlinks: it is the
    /// user's own.
    pub fn open_root(path: &Path) -> io::Result<OsFs> {
        let fd = retry(|| rustix::fs::open(path, DIRECTORY, Mode::empty()))?;
        let traits = sys::traits(&fd)?;
        let root_dev = stat_fd(&fd)?.dev;
        let mounts = Mounts {
            list: vec![(root_dev, Arc::new(fd.try_clone()?), traits.rules())],
            from: Vec::new(),
        };
        let shared = Shared {
            root_dev,
            device: sys::Device::below(&fd)?,
            may_lack_modes: traits.may_lack_modes,
            mounts: RwLock::new(mounts),
            notice: Notice::default(),
            keeps_owners: OnceLock::new(),
            trusts_state: AtomicBool::new(false),
            root: Arc::new(OsDir::new(fd)),
        };
        Ok(OsFs {
            shared: Arc::new(shared),
        })
    }

    /// Believes the state, whoever can have written it.
    pub fn trust_state(&self) {
        self.shared.trusts_state.store(true, Ordering::Relaxed);
    }

    /// Remembers the file system of a directory if it is another than that above it.
    fn note_file_system(&self, path: &RelPath, dir: &OwnedFd) -> io::Result<()> {
        let dev = stat_fd(dir)?.dev;
        {
            let mounts = self.mounts();
            if mounts.from.is_empty() && dev == self.shared.root_dev {
                return Ok(());
            }
            let known = mounts.of(|from| path.is_within(from));
            if mounts.list[usize::from(known.0)].0 == dev {
                return Ok(());
            }
        }
        // The list is whole between any two statements, so a panic elsewhere does not spoil it.
        let mounts = self.shared.mounts.write();
        let mut mounts = mounts.unwrap_or_else(PoisonError::into_inner);
        mounts.note(path, dev, dir)
    }

    fn mounts(&self) -> std::sync::RwLockReadGuard<'_, Mounts> {
        let mounts = self.shared.mounts.read();
        mounts.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether something belongs to this user or to root, and nobody else may write it. The group of a user's own
/// name, which has the user's number, is nobody else. In a sticky directory nobody replaces what is ours.
fn is_ours(stat: &Stat) -> bool {
    const GROUP_WRITES: u32 = 0o020;
    const OTHERS_WRITE: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    let (own, _) = sys::own_ids();
    let of_us = [own, 0].contains(&stat.uid);
    let by_group = stat.mode & GROUP_WRITES != 0 && stat.gid != stat.uid;
    let is_sticky = stat.kind == Kind::Dir && stat.mode & STICKY != 0;
    of_us && (is_sticky || (!by_group && stat.mode & OTHERS_WRITE == 0))
}

fn stat_fd(fd: impl AsFd) -> io::Result<Stat> {
    Ok(sys::stat_of(&retry(|| rustix::fs::fstat(&fd))?))
}

fn open_file(dir: &OsDir, name: &[u8], flags: OFlags, mode: u32) -> io::Result<OsFile> {
    let name = component(name)?;
    let mode = Mode::from_raw_mode(mode as _);
    let opened = retry(|| rustix::fs::openat(&dir.fd, name, FILE | flags, mode));
    match opened {
        // What was just made is a regular file.
        Ok(fd) if flags.contains(OFlags::EXCL) => Ok(OsFile::new(File::from(fd))),
        Ok(fd) => OsFile::regular(File::from(fd)),
        // There are no components before the name, so it is the name that is a symlink.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => {
            Err(sys::not_regular(Kind::Symlink))
        }
        Err(error) => Err(error),
    }
}

impl FsMeta for OsFs {
    type Dir = OsDir;
    type File = OsFile;

    fn about(&self) -> io::Result<About> {
        sys::about(&self.shared.root.fd)
    }

    fn is_mount_top(&self) -> bool {
        sys::is_mount_top(&self.shared.root.fd)
    }

    fn dir_folds(&self, dir: &OsDir) -> bool {
        *dir.folds.get_or_init(|| sys::dir_folds(&dir.fd))
    }

    fn root(&self) -> Arc<OsDir> {
        Arc::clone(&self.shared.root)
    }

    fn open_dir(&self, path: &RelPath) -> io::Result<OsDir> {
        let root = &self.shared.root.fd;
        if path.is_root() {
            return Ok(OsDir::new(sys::walk(root, path, DIRECTORY)?));
        }
        let fd = sys::open_below(root, path, DIRECTORY)?;
        self.note_file_system(path, &fd)?;
        Ok(OsDir::new(fd))
    }

    fn open_dir_on_root_mount(&self, path: &RelPath) -> io::Result<Option<OsDir>> {
        let root = &self.shared.root.fd;
        let Some(fd) = sys::open_on_mount(root, path, DIRECTORY)? else {
            return Ok(None);
        };
        // A subvolume is no mount, and has a device number of its own.
        Ok((stat_fd(&fd)?.dev == self.shared.root_dev).then(|| OsDir::new(fd)))
    }

    fn stat(&self, dir: &OsDir, name: &[u8]) -> io::Result<Option<Stat>> {
        let name = component(name)?;
        let stat = retry(|| rustix::fs::statat(&dir.fd, name, AtFlags::SYMLINK_NOFOLLOW));
        Ok(found(stat)?.as_ref().map(sys::stat_of))
    }

    fn has_lasting_ids(&self, dir: &OsDir) -> bool {
        sys::has_lasting_ids(&dir.fd)
    }

    fn is_ours(&self, stat: &Stat) -> bool {
        !self.keeps_owners() || is_ours(stat)
    }

    fn keeps_owners(&self) -> bool {
        let keeps = || self.about().map_or(true, |about| about.kind.keeps_owners());
        *self.shared.keeps_owners.get_or_init(keeps)
    }

    fn trusts_state(&self) -> bool {
        self.shared.trusts_state.load(Ordering::Relaxed)
    }

    fn stat_dir(&self, dir: &OsDir) -> io::Result<Stat> {
        stat_fd(&dir.fd)
    }

    fn make_dir(&self, dir: &OsDir, name: &[u8]) -> io::Result<()> {
        let name = component(name)?;
        retry(|| rustix::fs::mkdirat(&dir.fd, name, Mode::RWXU))
    }

    fn remove_dir(&self, dir: &OsDir, name: &[u8]) -> io::Result<()> {
        let name = component(name)?;
        retry(|| rustix::fs::unlinkat(&dir.fd, name, AtFlags::REMOVEDIR))
    }

    fn make_symlink(&self, dir: &OsDir, name: &[u8], target: &[u8]) -> io::Result<()> {
        let name = component(name)?;
        retry(|| rustix::fs::symlinkat(target, &dir.fd, name))
    }

    fn make_special(&self, dir: &OsDir, name: &[u8], what: Special) -> io::Result<()> {
        let name = component(name)?;
        let (file_type, number) = match what {
            Special::Fifo => (FileType::Fifo, 0),
            Special::Socket => (FileType::Socket, 0),
            Special::Block(number) => (FileType::BlockDevice, number),
            Special::Char(number) => (FileType::CharacterDevice, number),
        };
        let mode = Mode::RUSR | Mode::WUSR;
        // As wide as the system has it, which is where the number came from.
        let made = retry(|| rustix::fs::mknodat(&dir.fd, name, file_type, mode, number as _));
        let made_in_part = |error: &io::Error| error.kind() != io::ErrorKind::AlreadyExists;
        if made.as_ref().is_err_and(made_in_part) {
            // exfat-fuse makes a regular file of it before it refuses.
            let _ = rustix::fs::unlinkat(&dir.fd, name, AtFlags::empty());
        }
        made
    }

    fn read_symlink(&self, dir: &OsDir, name: &[u8]) -> io::Result<Vec<u8>> {
        let name = component(name)?;
        let target = retry(|| rustix::fs::readlinkat(&dir.fd, name, Vec::new()))?;
        Ok(target.into_bytes())
    }

    fn xattrs(&self, dir: &OsDir, name: &[u8]) -> io::Result<Xattrs> {
        sys::xattrs_in(dir.fd.as_fd(), name)
    }

    fn dir_xattrs(&self, dir: &OsDir) -> io::Result<Xattrs> {
        sys::xattrs(sys::XattrsOf::Open(dir.fd.as_fd()))
    }

    fn set_meta(
        &self,
        dir: &OsDir,
        name: &[u8],
        is_it: &dyn Fn(&Stat) -> bool,
        meta: &Meta,
    ) -> io::Result<()> {
        let pinned = sys::pin(&dir.fd, name)?;
        if !is_it(&stat_fd(&pinned)?) {
            return Err(swapped());
        }
        meta::set(Target::Pinned(pinned.as_fd(), dir.fd.as_fd(), name), meta)
    }

    fn set_dir_meta(&self, dir: &OsDir, meta: &Meta) -> io::Result<()> {
        meta::set(Target::Open(dir.fd.as_fd()), meta)
    }

    fn list(&self, dir: &OsDir) -> io::Result<Vec<(Vec<u8>, Kind)>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&dir.fd)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match sys::kind_of(entry.file_type()) {
                Some(kind) => Some(kind),
                // Not every file system says; what is gone by now is not listed.
                None => self.stat(dir, name)?.map(|stat| stat.kind),
            };
            names.extend(kind.map(|kind| (name.to_vec(), kind)));
        }
        Ok(names)
    }
}

impl Fs for OsFs {
    fn create_new(&self, dir: &OsDir, name: &[u8]) -> io::Result<OsFile> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        open_file(dir, name, flags, 0o600)
    }

    fn open(&self, dir: &OsDir, name: &[u8], access: Access) -> io::Result<OsFile> {
        let flags = match access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::RDWR,
            Access::WriteOrCreate => OFlags::RDWR | OFlags::CREATE,
        };
        open_file(dir, name, flags, 0o600)
    }

    fn open_medium(&self, dir: &OsDir, name: &[u8]) -> io::Result<OsFile> {
        // A look at a file must not count as an access to it; who is not its owner cannot say so.
        let file = match open_file(dir, name, OFlags::RDONLY | sys::NO_ATIME, 0) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                open_file(dir, name, OFlags::RDONLY, 0)?
            }
            result => result?,
        };
        OsFile::past_the_cache(file)
    }

    fn rename(&self, from_dir: &OsDir, from: &[u8], to_dir: &OsDir, to: &[u8]) -> io::Result<()> {
        let (from, to) = (component(from)?, component(to)?);
        retry(|| rustix::fs::renameat(&from_dir.fd, from, &to_dir.fd, to))
    }

    fn remove(&self, dir: &OsDir, name: &[u8]) -> io::Result<()> {
        let name = component(name)?;
        retry(|| rustix::fs::unlinkat(&dir.fd, name, AtFlags::empty()))
    }

    fn link(&self, from_dir: &OsDir, from: &[u8], to_dir: &OsDir, to: &[u8]) -> io::Result<()> {
        let (from, to) = (component(from)?, component(to)?);
        let flags = AtFlags::empty();
        retry(|| rustix::fs::linkat(&from_dir.fd, from, &to_dir.fd, to, flags))
    }

    fn sync_dir(&self, dir: &OsDir) -> io::Result<()> {
        sys::sync_dir(&dir.fd)
    }

    fn sync_mount(&self, mount: MountNo) -> io::Result<()> {
        // Copied, so that directories can be opened during a flush, which may take long.
        let fd = Arc::clone(&self.mounts().list[usize::from(mount.0)].1);
        sys::sync_fs(&fd)?;
        match mount == MountNo::default() {
            // Of the root, the manifest is flushed next.
            true => Ok(()),
            // Elsewhere nothing else is, and this is what sends the device its flush and tells of a
            // file system that has shut itself down.
            false => sys::sync_dir(&fd),
        }
    }

    fn rules(&self, mount: MountNo) -> Rules {
        self.mounts().list[usize::from(mount.0)].2
    }

    fn mount_of_dir(&self, dir: &RelPath) -> MountNo {
        self.mounts().of(|from| dir.is_within(from))
    }

    fn mount_of(&self, path: &RelPath) -> MountNo {
        self.mounts()
            .of(|from| path != from && path.is_within(from))
    }

    fn mounts(&self) -> Vec<MountNo> {
        let count = self.mounts().list.len();
        (0..count)
            .filter_map(|n| Some(MountNo(u16::try_from(n).ok()?)))
            .collect()
    }

    fn session(&self, dir: &OsDir) -> Option<([u8; 16], u64)> {
        sys::session(&dir.fd)
    }

    fn may_lack_modes(&self) -> bool {
        self.shared.may_lack_modes
    }

    fn seeks(&self) -> bool {
        self.shared.device.seeks()
    }

    fn device_gone(&self) -> bool {
        self.shared.device.gone(&self.shared.root.fd)
    }

    fn device_gone_soon(&self) -> bool {
        let (device, root) = (&self.shared.device, &self.shared.root.fd);
        let gone = || device.gone(root) || sys::Device::detached(root);
        self.shared.notice.soon(gone)
    }
}

#[cfg(test)]
mod tests;
