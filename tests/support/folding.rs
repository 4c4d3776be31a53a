//! The real file system, but one that ignores the case of ASCII letters, as exFAT does: a name leads
//! to what stands there under it in other letters, and renaming onto it replaces that.

use std::io;
use std::path::Path;
use std::sync::Arc;

use sprag::fs::{
    About, Access, FlushBy, Fs, FsMeta, Kind, Meta, OsDir, OsFile, OsFs, Special, Stat, Xattrs,
};
use sprag::path::RelPath;

pub(crate) struct Folding(OsFs);

impl Folding {
    pub(crate) fn open_root(path: &Path) -> Folding {
        Folding(OsFs::open_root(path).unwrap())
    }

    /// The name under which `name` is listed; as it is, if it is not.
    fn listed(&self, dir: &OsDir, name: &[u8]) -> io::Result<Vec<u8>> {
        let names = self.0.list(dir)?;
        let mut names = names.into_iter().map(|(listed, _)| listed);
        let found = names.find(|listed| listed.eq_ignore_ascii_case(name));
        Ok(found.unwrap_or_else(|| name.to_vec()))
    }
}

impl Fs for Folding {
    fn create_new(&self, dir: &OsDir, name: &[u8]) -> io::Result<OsFile> {
        self.0.create_new(dir, &self.listed(dir, name)?)
    }
    fn open(&self, dir: &OsDir, name: &[u8], access: Access) -> io::Result<OsFile> {
        self.0.open(dir, &self.listed(dir, name)?, access)
    }
    fn open_medium(&self, dir: &OsDir, name: &[u8]) -> io::Result<OsFile> {
        self.0.open_medium(dir, &self.listed(dir, name)?)
    }
    fn rename(&self, dir: &OsDir, from: &[u8], to: &[u8]) -> io::Result<()> {
        let (from, to) = (self.listed(dir, from)?, self.listed(dir, to)?);
        self.0.rename(dir, &from, &to)
    }
    fn remove(&self, dir: &OsDir, name: &[u8]) -> io::Result<()> {
        self.0.remove(dir, &self.listed(dir, name)?)
    }
    fn link(&self, dir: &OsDir, from: &[u8], to_dir: &OsDir, to: &[u8]) -> io::Result<()> {
        let (from, to) = (self.listed(dir, from)?, self.listed(to_dir, to)?);
        self.0.link(dir, &from, to_dir, &to)
    }
    fn sync_dir(&self, dir: &OsDir) -> io::Result<()> {
        self.0.sync_dir(dir)
    }
    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
    fn flush_by(&self) -> FlushBy {
        self.0.flush_by()
    }
    fn device_gone(&self) -> bool {
        self.0.device_gone()
    }
}

impl FsMeta for Folding {
    type Dir = OsDir;
    type File = OsFile;

    fn about(&self) -> io::Result<About> {
        self.0.about()
    }
    fn root(&self) -> Arc<OsDir> {
        self.0.root()
    }
    fn open_dir(&self, path: &RelPath) -> io::Result<OsDir> {
        let mut real = RelPath::root();
        for name in path.components() {
            let name = self.listed(&self.0.open_dir(&real)?, name)?;
            real = real.join(&name).map_err(io::Error::other)?;
        }
        self.0.open_dir(&real)
    }
    fn stat(&self, dir: &OsDir, name: &[u8]) -> io::Result<Option<Stat>> {
        self.0.stat(dir, &self.listed(dir, name)?)
    }
    fn stat_dir(&self, dir: &OsDir) -> io::Result<Stat> {
        self.0.stat_dir(dir)
    }
    fn make_dir(&self, dir: &OsDir, name: &[u8]) -> io::Result<()> {
        self.0.make_dir(dir, &self.listed(dir, name)?)
    }
    fn remove_dir(&self, dir: &OsDir, name: &[u8]) -> io::Result<()> {
        self.0.remove_dir(dir, &self.listed(dir, name)?)
    }
    fn make_symlink(&self, dir: &OsDir, name: &[u8], target: &[u8]) -> io::Result<()> {
        self.0.make_symlink(dir, &self.listed(dir, name)?, target)
    }
    fn make_special(&self, dir: &OsDir, name: &[u8], what: Special) -> io::Result<()> {
        self.0.make_special(dir, &self.listed(dir, name)?, what)
    }
    fn read_symlink(&self, dir: &OsDir, name: &[u8]) -> io::Result<Vec<u8>> {
        self.0.read_symlink(dir, &self.listed(dir, name)?)
    }
    fn xattrs(&self, dir: &OsDir, name: &[u8]) -> io::Result<Xattrs> {
        self.0.xattrs(dir, &self.listed(dir, name)?)
    }
    fn dir_xattrs(&self, dir: &OsDir) -> io::Result<Xattrs> {
        self.0.dir_xattrs(dir)
    }
    fn set_meta(&self, dir: &OsDir, name: &[u8], meta: &Meta) -> io::Result<()> {
        self.0.set_meta(dir, &self.listed(dir, name)?, meta)
    }
    fn set_dir_meta(&self, dir: &OsDir, meta: &Meta) -> io::Result<()> {
        self.0.set_dir_meta(dir, meta)
    }
    fn list(&self, dir: &OsDir) -> io::Result<Vec<(Vec<u8>, Kind)>> {
        self.0.list(dir)
    }
}
