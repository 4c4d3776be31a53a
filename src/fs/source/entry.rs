//! What a source tells of an entry beside its content, and its removal: by name in a directory that is
//! held open, reached from the source's own handle through no symlink. A directory that is swapped for a
//! symlink after it was listed leads neither the reading nor the removal elsewhere.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::super::sys::{self, XattrsOf, component, retry};
use super::super::{Stat, Xattrs};
use super::SourceRoot;
use crate::path::{Printable, RelPath, parent_of};

/// An entry of a source.
#[derive(Debug)]
pub struct SourceEntry(Place);

#[derive(Debug)]
enum Place {
    /// A name in an open directory.
    In(Arc<OwnedFd>, Vec<u8>),
    /// A path that the user gave, which may lead where it will.
    Given(PathBuf),
}

impl SourceRoot {
    /// An entry in this source, or the source itself.
    pub fn entry(&self, path: &Path) -> io::Result<SourceEntry> {
        let Ok(below) = self.below(path) else {
            return Err(io::ErrorKind::InvalidFilename.into());
        };
        let Some((parent, name)) = below.split() else {
            return Ok(SourceEntry::given(path));
        };
        let dir = self.open_dir(parent)?;
        Ok(SourceEntry(Place::In(dir, name.to_vec())))
    }

    /// Opens a directory in this source, or takes the one that was opened last.
    fn open_dir(&self, path: RelPath) -> io::Result<Arc<OwnedFd>> {
        let mut last = self.last_dir.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((open, dir)) = &*last
            && *open == path
        {
            return Ok(Arc::clone(dir));
        }
        let dir = match path.is_root() {
            true => OwnedFd::from(self.dir.try_clone()?),
            false => {
                sys::open_below(&self.dir, &path, sys::JUST_DIRECTORY).map_err(not_followed)?
            }
        };
        let dir = Arc::new(dir);
        *last = Some((path, Arc::clone(&dir)));
        Ok(dir)
    }
}

/// Says what stands in the way where a directory was listed.
fn not_followed(error: io::Error) -> io::Error {
    match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => super::swapped(),
        _ => error,
    }
}

impl SourceEntry {
    /// What stands at a path of the user's own.
    pub fn given(path: &Path) -> SourceEntry {
        SourceEntry(Place::Given(path.to_path_buf()))
    }

    /// Looks at it, following no symlink.
    pub fn lstat(&self) -> io::Result<Stat> {
        match &self.0 {
            Place::Given(path) => super::lstat(path),
            Place::In(dir, name) => {
                let (name, flags) = (component(name)?, AtFlags::SYMLINK_NOFOLLOW);
                let stat = retry(|| rustix::fs::statat(dir, name, flags))?;
                Ok(sys::stat_of(&stat))
            }
        }
    }

    /// Its extended attributes, a symlink not followed.
    pub fn xattrs(&self) -> io::Result<Xattrs> {
        match &self.0 {
            Place::Given(path) => sys::xattrs(XattrsOf::path(path.as_os_str().as_bytes())?),
            Place::In(dir, name) => sys::xattrs_in(dir.as_fd(), name),
        }
    }

    /// The target of a symlink, byte for byte.
    pub fn read_link(&self) -> io::Result<Vec<u8>> {
        match &self.0 {
            Place::Given(path) => super::read_link(path),
            Place::In(dir, name) => {
                let name = component(name)?;
                let target = retry(|| rustix::fs::readlinkat(dir, name, Vec::new()))?;
                Ok(target.into_bytes())
            }
        }
    }

    /// Whether device and inode numbers tell it from every other file, however that is mounted.
    pub fn has_lasting_id(&self) -> io::Result<bool> {
        Ok(sys::has_lasting_ids(&*self.holder()?.0))
    }

    /// The directory that it is in, and its name there.
    fn holder(&self) -> io::Result<(Arc<OwnedFd>, Vec<u8>)> {
        match &self.0 {
            Place::In(dir, name) => Ok((Arc::clone(dir), name.clone())),
            Place::Given(path) => {
                let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
                let (parent, flags) = (parent_of(path), sys::JUST_DIRECTORY | OFlags::CLOEXEC);
                let dir = retry(|| rustix::fs::open(&parent, flags, Mode::empty()))?;
                Ok((Arc::new(dir), name.as_bytes().to_vec()))
            }
        }
    }

    /// Gives it another name in its directory, to see what becomes of its copy.
    pub fn move_aside(&self) -> io::Result<MovedAside> {
        let (dir, name) = self.holder()?;
        let random = u64::from_le_bytes(*sys::random_bytes()?.first_chunk().expect("16 bytes"));
        let aside = format!(".sprag-{random:016x}.source").into_bytes();
        sys::rename_onto_nothing(&*dir, &name, &aside)?;
        Ok(MovedAside { dir, name, aside })
    }

    /// Removes it; it is no directory.
    pub fn remove(&self) -> io::Result<()> {
        match &self.0 {
            Place::Given(path) => super::remove(path),
            Place::In(dir, name) => {
                let name = component(name)?;
                retry(|| rustix::fs::unlinkat(dir, name, AtFlags::empty()))
            }
        }
    }
}

/// A source under another name than its own.
#[derive(Debug)]
pub struct MovedAside {
    dir: Arc<OwnedFd>,
    name: Vec<u8>,
    aside: Vec<u8>,
}

impl MovedAside {
    /// Removes it.
    pub fn remove(self) -> io::Result<()> {
        let aside = component(&self.aside)?;
        retry(|| rustix::fs::unlinkat(&*self.dir, aside, AtFlags::empty()))
    }

    /// Gives it back its own name.
    pub fn move_back(self) -> io::Result<()> {
        sys::rename_onto_nothing(&*self.dir, &self.aside, &self.name).map_err(|error| {
            let aside = Printable(Path::new(OsStr::from_bytes(&self.aside)));
            let kind = error.kind();
            io::Error::new(kind, format!("{kind}; it is called {aside} now"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A source with a directory, and something outside with the same names in it.
    fn fixture() -> (tempfile::TempDir, SourceRoot) {
        let temp = tempfile::tempdir().unwrap();
        for (dir, target) in [("source/d", "inside"), ("outside", "secret")] {
            let dir = temp.path().join(dir);
            fs::create_dir_all(&dir).unwrap();
            symlink(target, dir.join("link")).unwrap();
            fs::write(dir.join("file"), target).unwrap();
        }
        let root = SourceRoot::open(&temp.path().join("source")).unwrap();
        (temp, root)
    }

    fn swap(temp: &Path) {
        fs::rename(temp.join("source/d"), temp.join("moved")).unwrap();
        symlink(temp.join("outside"), temp.join("source/d")).unwrap();
    }

    #[test]
    fn an_entry_is_told_of_and_removed_in_its_directory() {
        let (temp, root) = fixture();
        let at = |path: &str| temp.path().join("source").join(path);
        let link = root.entry(&at("d/link")).unwrap();
        assert_eq!(link.read_link().unwrap(), b"inside");
        assert!(link.xattrs().is_ok());
        let file = root.entry(&at("d/file")).unwrap();
        let (ours, theirs) = (file.lstat().unwrap(), super::super::lstat(&at("d/file")));
        assert_eq!(ours, theirs.unwrap());
        file.remove().unwrap();
        assert!(!at("d/file").exists());
        let itself = root.entry(&at("")).unwrap();
        assert_eq!(itself.lstat().unwrap().kind, crate::fs::Kind::Dir);
    }

    #[test]
    fn a_directory_that_is_a_symlink_by_now_is_not_gone_through() {
        let (temp, root) = fixture();
        swap(temp.path());
        let error = root.entry(&temp.path().join("source/d/link")).unwrap_err();
        assert!(error.to_string().contains("symbolic link now"), "{error}");
    }

    #[test]
    fn a_directory_that_is_swapped_after_it_was_opened_is_still_the_one_that_was_listed() {
        let (temp, root) = fixture();
        let [link, file] = ["d/link", "d/file"].map(|path| temp.path().join("source").join(path));
        root.entry(&link).unwrap();
        swap(temp.path());
        assert_eq!(root.entry(&link).unwrap().read_link().unwrap(), b"inside");
        root.entry(&file).unwrap().remove().unwrap();
        assert!(!temp.path().join("moved/file").exists());
        assert!(temp.path().join("outside/file").exists());
    }
}
