//! The real file system with a finger in two of its calls: something may happen right after the
//! manifest was opened, and renames may fail.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::fs::{
    Access, Fs, FsMeta, Kind, Meta, MountNo, OsDir, OsFile, OsFs, Rules, Special, Stat, Xattrs,
};
use crate::manifest::MANIFEST;
use crate::path::RelPath;

type Hook = Box<dyn FnMut() + Send>;

pub(super) struct Hooked {
    os: Arc<OsFs>,
    after_open: Mutex<Hook>,
    pub(super) fails_renames: AtomicBool,
}

impl Hooked {
    pub(super) fn new(os: &Arc<OsFs>, after_open: impl FnMut() + Send + 'static) -> Arc<Hooked> {
        Arc::new(Hooked {
            os: Arc::clone(os),
            after_open: Mutex::new(Box::new(after_open)),
            fails_renames: AtomicBool::new(false),
        })
    }
}

impl Fs for Hooked {
    fn create_new(&self, dir: &OsDir, name: &[u8]) -> io::Result<OsFile> {
        self.os.create_new(dir, name)
    }
    fn open(&self, dir: &OsDir, name: &[u8], access: Access) -> io::Result<OsFile> {
        let opened = self.os.open(dir, name, access);
        if name == MANIFEST {
            (self.after_open.lock().unwrap())();
        }
        opened
    }
    fn open_medium(&self, dir: &OsDir, name: &[u8]) -> io::Result<OsFile> {
        self.os.open_medium(dir, name)
    }
    fn rename(&self, dir: &OsDir, from: &[u8], to: &[u8]) -> io::Result<()> {
        if self.fails_renames.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.os.rename(dir, from, to)
    }
    fn remove(&self, dir: &OsDir, name: &[u8]) -> io::Result<()> {
        self.os.remove(dir, name)
    }
    fn link(&self, dir: &OsDir, from: &[u8], to_dir: &OsDir, to: &[u8]) -> io::Result<()> {
        self.os.link(dir, from, to_dir, to)
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

impl FsMeta for Hooked {
    type Dir = OsDir;
    type File = OsFile;

    fn root(&self) -> Arc<OsDir> {
        self.os.root()
    }
    fn open_dir(&self, path: &RelPath) -> io::Result<OsDir> {
        self.os.open_dir(path)
    }
    fn stat(&self, dir: &OsDir, name: &[u8]) -> io::Result<Option<Stat>> {
        self.os.stat(dir, name)
    }
    fn stat_dir(&self, dir: &OsDir) -> io::Result<Stat> {
        self.os.stat_dir(dir)
    }
    fn make_dir(&self, dir: &OsDir, name: &[u8]) -> io::Result<()> {
        self.os.make_dir(dir, name)
    }
    fn remove_dir(&self, dir: &OsDir, name: &[u8]) -> io::Result<()> {
        self.os.remove_dir(dir, name)
    }
    fn make_symlink(&self, dir: &OsDir, name: &[u8], target: &[u8]) -> io::Result<()> {
        self.os.make_symlink(dir, name, target)
    }
    fn make_special(&self, dir: &OsDir, name: &[u8], what: Special) -> io::Result<()> {
        self.os.make_special(dir, name, what)
    }
    fn read_symlink(&self, dir: &OsDir, name: &[u8]) -> io::Result<Vec<u8>> {
        self.os.read_symlink(dir, name)
    }
    fn xattrs(&self, dir: &OsDir, name: &[u8]) -> io::Result<Xattrs> {
        self.os.xattrs(dir, name)
    }
    fn dir_xattrs(&self, dir: &OsDir) -> io::Result<Xattrs> {
        self.os.dir_xattrs(dir)
    }
    fn set_meta(&self, dir: &OsDir, name: &[u8], meta: &Meta) -> io::Result<()> {
        self.os.set_meta(dir, name, meta)
    }
    fn set_dir_meta(&self, dir: &OsDir, meta: &Meta) -> io::Result<()> {
        self.os.set_dir_meta(dir, meta)
    }
    fn list(&self, dir: &OsDir) -> io::Result<Vec<(Vec<u8>, Kind)>> {
        self.os.list(dir)
    }
}
