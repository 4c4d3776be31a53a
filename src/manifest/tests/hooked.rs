//! The real file system with a finger in some of its calls: something may happen right after the
//! manifest was opened, renames and flushes may fail, and what is written is counted.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::event::ReadHow;
use crate::fs::{
    Access, Fs, FsFile, FsMeta, Kind, Meta, MountNo, OsDir, OsFile, OsFs, Rules, Special, Stat,
    Xattrs,
};
use crate::manifest::MANIFEST;
use crate::path::RelPath;

type Hook = Box<dyn FnMut() + Send>;

pub(super) struct Hooked {
    os: Arc<OsFs>,
    after_open: Mutex<Hook>,
    pub(super) fails_renames: AtomicBool,
    /// What it says of itself. The system below may lack one, or not.
    pub(super) lacks_journal: AtomicBool,
    /// How many flushes of files are made before they fail.
    pub(super) syncs_left: Arc<AtomicU64>,
    /// Bytes that were written to files.
    pub(super) written: Arc<AtomicU64>,
}

/// A file of it.
pub(super) struct HookedFile {
    os: OsFile,
    syncs_left: Arc<AtomicU64>,
    written: Arc<AtomicU64>,
}

impl Hooked {
    pub(super) fn new(os: &Arc<OsFs>, after_open: impl FnMut() + Send + 'static) -> Arc<Hooked> {
        Arc::new(Hooked {
            os: Arc::clone(os),
            after_open: Mutex::new(Box::new(after_open)),
            fails_renames: AtomicBool::new(false),
            lacks_journal: AtomicBool::new(false),
            syncs_left: Arc::new(AtomicU64::new(u64::MAX)),
            written: Arc::default(),
        })
    }

    fn file(&self, os: OsFile) -> HookedFile {
        HookedFile {
            os,
            syncs_left: Arc::clone(&self.syncs_left),
            written: Arc::clone(&self.written),
        }
    }
}

impl FsFile for HookedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.os.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.written.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.os.write_at(buf, offset)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.os.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        let take = |left: u64| left.checked_sub(1);
        let left = self
            .syncs_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        left.map_err(|_| io::Error::from_raw_os_error(5))?;
        self.os.sync()
    }
    fn stat(&self) -> io::Result<Stat> {
        self.os.stat()
    }
    fn xattrs(&self) -> io::Result<Xattrs> {
        self.os.xattrs()
    }
    fn set_meta(&self, meta: &Meta) -> io::Result<()> {
        self.os.set_meta(meta)
    }
    fn how(&self) -> ReadHow {
        self.os.how()
    }
    fn as_std(&self) -> Option<&std::fs::File> {
        self.os.as_std()
    }
}

impl Fs for Hooked {
    fn create_new(&self, dir: &OsDir, name: &[u8]) -> io::Result<HookedFile> {
        Ok(self.file(self.os.create_new(dir, name)?))
    }
    fn open(&self, dir: &OsDir, name: &[u8], access: Access) -> io::Result<HookedFile> {
        let opened = self.os.open(dir, name, access).map(|os| self.file(os));
        if name == MANIFEST {
            (self.after_open.lock().unwrap())();
        }
        opened
    }
    fn open_medium(&self, dir: &OsDir, name: &[u8]) -> io::Result<HookedFile> {
        Ok(self.file(self.os.open_medium(dir, name)?))
    }
    fn rename(&self, dir: &OsDir, from: &[u8], to_dir: &OsDir, to: &[u8]) -> io::Result<()> {
        if self.fails_renames.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.os.rename(dir, from, to_dir, to)
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
        Rules {
            lacks_journal: self.lacks_journal.load(Ordering::Relaxed),
            ..self.os.rules(mount)
        }
    }
    fn device_gone(&self) -> bool {
        self.os.device_gone()
    }
}

impl FsMeta for Hooked {
    type Dir = OsDir;
    type File = HookedFile;

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
    fn set_meta(
        &self,
        dir: &OsDir,
        name: &[u8],
        is_it: &dyn Fn(&Stat) -> bool,
        meta: &Meta,
    ) -> io::Result<()> {
        self.os.set_meta(dir, name, is_it, meta)
    }
    fn set_dir_meta(&self, dir: &OsDir, meta: &Meta) -> io::Result<()> {
        self.os.set_dir_meta(dir, meta)
    }
    fn list(&self, dir: &OsDir) -> io::Result<Vec<(Vec<u8>, Kind)>> {
        self.os.list(dir)
    }
}
