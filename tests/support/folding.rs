//! The real file system, but one that ignores the case of ASCII letters, as exFAT does: a name leads
//! to what stands there under it in other letters, and renaming onto it replaces that.

use std::io;
use std::path::Path;
use std::sync::Arc;

use sprag::fs::{
    About, Access, Fs, FsKind, FsMeta, Kind, Meta, MountNo, OsDir, OsFile, OsFs, Rules, Special,
    Stat, Xattrs,
};
use sprag::path::RelPath;

pub(crate) struct Folding {
    os: OsFs,
    is_fat: bool,
}

impl Folding {
    pub(crate) fn open_root(path: &Path) -> Folding {
        let os = OsFs::open_root(path).unwrap();
        Folding { os, is_fat: false }
    }

    /// The same that says to be FAT32, and has neither links nor special files.
    pub(crate) fn fat(path: &Path) -> Folding {
        let is_fat = true;
        Folding {
            is_fat,
            ..Folding::open_root(path)
        }
    }

    /// Refuses what FAT32 has no place for.
    fn unless_fat(&self) -> io::Result<()> {
        match self.is_fat {
            true => Err(io::Error::from_raw_os_error(
                rustix::io::Errno::PERM.raw_os_error(),
            )),
            false => Ok(()),
        }
    }

    /// The name under which `name` is listed; as it is, if it is not.
    fn listed(&self, dir: &OsDir, name: &[u8]) -> io::Result<Vec<u8>> {
        let names = self.os.list(dir)?;
        let mut names = names.into_iter().map(|(listed, _)| listed);
        let found = names.find(|listed| listed.eq_ignore_ascii_case(name));
        Ok(found.unwrap_or_else(|| name.to_vec()))
    }
}

impl Fs for Folding {
    fn create_new(&self, dir: &OsDir, name: &[u8]) -> io::Result<OsFile> {
        self.os.create_new(dir, &self.listed(dir, name)?)
    }
    fn open(&self, dir: &OsDir, name: &[u8], access: Access) -> io::Result<OsFile> {
        self.os.open(dir, &self.listed(dir, name)?, access)
    }
    fn open_medium(&self, dir: &OsDir, name: &[u8]) -> io::Result<OsFile> {
        self.os.open_medium(dir, &self.listed(dir, name)?)
    }
    fn rename(&self, from_dir: &OsDir, from: &[u8], to_dir: &OsDir, to: &[u8]) -> io::Result<()> {
        let (from, to) = (self.listed(from_dir, from)?, self.listed(to_dir, to)?);
        self.os.rename(from_dir, &from, to_dir, &to)
    }
    fn remove(&self, dir: &OsDir, name: &[u8]) -> io::Result<()> {
        self.os.remove(dir, &self.listed(dir, name)?)
    }
    fn link(&self, dir: &OsDir, from: &[u8], to_dir: &OsDir, to: &[u8]) -> io::Result<()> {
        self.unless_fat()?;
        let (from, to) = (self.listed(dir, from)?, self.listed(to_dir, to)?);
        self.os.link(dir, &from, to_dir, &to)
    }
    fn sync_dir(&self, dir: &OsDir) -> io::Result<()> {
        self.os.sync_dir(dir)
    }
    fn sync_mount(&self, mount: MountNo) -> io::Result<()> {
        self.os.sync_mount(mount)
    }
    fn rules(&self, mount: MountNo) -> Rules {
        self.os.rules(mount)
    }
    fn device_gone(&self) -> bool {
        self.os.device_gone()
    }
}

impl FsMeta for Folding {
    type Dir = OsDir;
    type File = OsFile;

    fn about(&self) -> io::Result<About> {
        let about = self.os.about()?;
        let kind = match self.is_fat {
            true => FsKind::Fat,
            false => about.kind,
        };
        Ok(About { kind, ..about })
    }
    fn root(&self) -> Arc<OsDir> {
        self.os.root()
    }
    fn open_dir(&self, path: &RelPath) -> io::Result<OsDir> {
        let mut real = RelPath::root();
        for name in path.components() {
            let name = self.listed(&self.os.open_dir(&real)?, name)?;
            real = real.join(&name).map_err(io::Error::other)?;
        }
        self.os.open_dir(&real)
    }
    fn stat(&self, dir: &OsDir, name: &[u8]) -> io::Result<Option<Stat>> {
        self.os.stat(dir, &self.listed(dir, name)?)
    }
    fn stat_dir(&self, dir: &OsDir) -> io::Result<Stat> {
        self.os.stat_dir(dir)
    }
    fn make_dir(&self, dir: &OsDir, name: &[u8]) -> io::Result<()> {
        self.os.make_dir(dir, &self.listed(dir, name)?)
    }
    fn remove_dir(&self, dir: &OsDir, name: &[u8]) -> io::Result<()> {
        self.os.remove_dir(dir, &self.listed(dir, name)?)
    }
    fn make_symlink(&self, dir: &OsDir, name: &[u8], target: &[u8]) -> io::Result<()> {
        self.unless_fat()?;
        self.os.make_symlink(dir, &self.listed(dir, name)?, target)
    }
    fn make_special(&self, dir: &OsDir, name: &[u8], what: Special) -> io::Result<()> {
        self.unless_fat()?;
        self.os.make_special(dir, &self.listed(dir, name)?, what)
    }
    fn read_symlink(&self, dir: &OsDir, name: &[u8]) -> io::Result<Vec<u8>> {
        self.os.read_symlink(dir, &self.listed(dir, name)?)
    }
    fn xattrs(&self, dir: &OsDir, name: &[u8]) -> io::Result<Xattrs> {
        self.os.xattrs(dir, &self.listed(dir, name)?)
    }
    fn dir_xattrs(&self, dir: &OsDir) -> io::Result<Xattrs> {
        self.os.dir_xattrs(dir)
    }
    fn set_meta(
        &self,
        dir: &OsDir,
        name: &[u8],
        is_it: &dyn Fn(&Stat) -> bool,
        meta: &Meta,
    ) -> io::Result<()> {
        self.os.set_meta(dir, &self.listed(dir, name)?, is_it, meta)
    }
    fn set_dir_meta(&self, dir: &OsDir, meta: &Meta) -> io::Result<()> {
        self.os.set_dir_meta(dir, meta)
    }
    fn list(&self, dir: &OsDir) -> io::Result<Vec<(Vec<u8>, Kind)>> {
        self.os.list(dir)
    }
}
