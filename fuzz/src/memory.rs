//! A destination in memory, without durability: every flush is a success and does nothing.
//!
//! A name that is not a single component would lead out of a real destination: it panics here.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use sprag::event::ReadHow;
use sprag::fs::{Access, FlushBy, Fs, FsFile, FsMeta, MountNo, Kind, Meta, Rules, Special, Stat, Xattrs};
use sprag::path::RelPath;

/// No file gets longer: what a hostile manifest asks for must not eat this machine's memory.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// The tree, flat: every path with what stands there.
pub struct MemoryFs {
    nodes: Mutex<BTreeMap<Vec<u8>, Arc<Node>>>,
    next_ino: AtomicU64,
    journal: bool,
}

/// An open directory.
pub struct MemoryDir {
    path: Vec<u8>,
    node: Arc<Node>,
}

/// An open file.
pub struct MemoryFile(Arc<Node>);

struct Node {
    ino: u64,
    kind: Kind,
    state: Mutex<State>,
}

struct State {
    /// The content of a file, the target of a symlink.
    bytes: Vec<u8>,
    mode: u32,
    owner: (u32, u32),
    atime_ns: i128,
    mtime_ns: i128,
}

impl MemoryFs {
    /// A destination with this manifest and nothing else. Without a `journal` it is one that has
    /// to be treated as FAT.
    pub fn with_manifest(manifest: &[u8], journal: bool) -> MemoryFs {
        let fs = MemoryFs {
            nodes: Mutex::new(BTreeMap::new()),
            next_ino: AtomicU64::new(1),
            journal,
        };
        fs.add(b"", Kind::Dir, &[]);
        fs.add(b".sprag", Kind::Dir, &[]);
        fs.add(b".sprag/manifest", Kind::File, manifest);
        fs
    }

    /// Puts something at a path, in place of what is there.
    pub fn add(&self, path: &[u8], kind: Kind, bytes: &[u8]) {
        self.nodes().insert(path.to_vec(), self.node(kind, bytes));
    }

    fn node(&self, kind: Kind, bytes: &[u8]) -> Arc<Node> {
        Arc::new(Node {
            ino: self.next_ino.fetch_add(1, Ordering::Relaxed),
            kind,
            state: Mutex::new(State {
                bytes: bytes.to_vec(),
                mode: 0o600,
                owner: (0, 0),
                atime_ns: 0,
                mtime_ns: 1_600_000_000_000_000_000,
            }),
        })
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Arc<Node>>> {
        self.nodes.lock().unwrap()
    }

    fn get(&self, dir: &MemoryDir, name: &[u8]) -> io::Result<Arc<Node>> {
        let node = self.nodes().get(&dir.join(name)).cloned();
        node.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn open_file(&self, dir: &MemoryDir, name: &[u8]) -> io::Result<MemoryFile> {
        let node = self.get(dir, name)?;
        match node.kind {
            Kind::File => Ok(MemoryFile(node)),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn make(
        &self,
        dir: &MemoryDir,
        name: &[u8],
        kind: Kind,
        bytes: &[u8],
    ) -> io::Result<Arc<Node>> {
        let path = dir.join(name);
        if self.nodes().contains_key(&path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = self.node(kind, bytes);
        self.nodes().insert(path, Arc::clone(&node));
        Ok(node)
    }
}

impl MemoryDir {
    fn join(&self, name: &[u8]) -> Vec<u8> {
        let single = !name.is_empty() && !name.contains(&b'/') && !name.contains(&0);
        assert!(
            single && name != b"." && name != b"..",
            "{name:?} leads out"
        );
        match &self.path[..] {
            [] => name.to_vec(),
            path => [path, b"/", name].concat(),
        }
    }
}

impl Node {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn stat(&self) -> Stat {
        let state = self.state();
        Stat {
            kind: self.kind,
            size: state.bytes.len() as u64,
            allocated: state.bytes.len() as u64,
            mtime_ns: state.mtime_ns,
            atime_ns: state.atime_ns,
            ctime_ns: 0,
            mode: state.mode,
            uid: state.owner.0,
            gid: state.owner.1,
            dev: 1,
            ino: self.ino,
            nlink: 1,
        }
    }

    fn set_meta(&self, meta: &Meta) {
        let mut state = self.state();
        state.mode = meta.mode.unwrap_or(state.mode);
        state.owner = meta.owner.unwrap_or(state.owner);
        if let Some((atime_ns, mtime_ns)) = meta.times_ns {
            (state.atime_ns, state.mtime_ns) = (atime_ns, mtime_ns);
        }
    }
}

impl FsFile for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.0.state();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let there = state.bytes.get(start..).unwrap_or_default();
        let len = there.len().min(buf.len());
        buf[..len].copy_from_slice(&there[..len]);
        Ok(len)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let end = offset.saturating_add(buf.len() as u64);
        let len = self.0.state().bytes.len() as u64;
        self.set_len(len.max(end))?;
        self.0.state().bytes[offset as usize..end as usize].copy_from_slice(buf);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if len > FILE_BYTES_MAX {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.state().bytes.resize(len as usize, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn stat(&self) -> io::Result<Stat> {
        Ok(self.0.stat())
    }

    fn xattrs(&self) -> io::Result<Xattrs> {
        Ok(Xattrs::default())
    }

    fn set_meta(&self, meta: &Meta) -> io::Result<()> {
        self.0.set_meta(meta);
        Ok(())
    }

    fn how(&self) -> ReadHow {
        ReadHow::Direct
    }

    fn as_std(&self) -> Option<&std::fs::File> {
        None
    }
}

impl FsMeta for MemoryFs {
    type Dir = MemoryDir;
    type File = MemoryFile;

    fn root(&self) -> Arc<MemoryDir> {
        Arc::new(self.open_dir(&RelPath::root()).unwrap())
    }

    fn open_dir(&self, path: &RelPath) -> io::Result<MemoryDir> {
        let mut at = MemoryDir {
            path: Vec::new(),
            node: Arc::clone(&self.nodes()[&b""[..]]),
        };
        for name in path.components() {
            let node = self.get(&at, name)?;
            if node.kind != Kind::Dir {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            let path = at.join(name);
            at = MemoryDir { path, node };
        }
        Ok(at)
    }

    fn stat(&self, dir: &MemoryDir, name: &[u8]) -> io::Result<Option<Stat>> {
        sprag::fs::found(self.get(dir, name).map(|node| node.stat()))
    }

    fn stat_dir(&self, dir: &MemoryDir) -> io::Result<Stat> {
        Ok(dir.node.stat())
    }

    fn make_dir(&self, dir: &MemoryDir, name: &[u8]) -> io::Result<()> {
        self.make(dir, name, Kind::Dir, &[]).map(drop)
    }

    fn remove_dir(&self, dir: &MemoryDir, name: &[u8]) -> io::Result<()> {
        let path = dir.join(name);
        let below = [&path[..], b"/"].concat();
        if self.nodes().keys().any(|path| path.starts_with(&below)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.get(dir, name)?;
        self.nodes().remove(&path);
        Ok(())
    }

    fn make_symlink(&self, dir: &MemoryDir, name: &[u8], target: &[u8]) -> io::Result<()> {
        self.make(dir, name, Kind::Symlink, target).map(drop)
    }

    fn read_symlink(&self, dir: &MemoryDir, name: &[u8]) -> io::Result<Vec<u8>> {
        let node = self.get(dir, name)?;
        match node.kind {
            Kind::Symlink => Ok(node.state().bytes.clone()),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn make_special(&self, dir: &MemoryDir, name: &[u8], what: Special) -> io::Result<()> {
        self.make(dir, name, Kind::Special(what), &[]).map(drop)
    }

    fn xattrs(&self, dir: &MemoryDir, name: &[u8]) -> io::Result<Xattrs> {
        self.get(dir, name).map(|_| Xattrs::default())
    }

    fn dir_xattrs(&self, _: &MemoryDir) -> io::Result<Xattrs> {
        Ok(Xattrs::default())
    }

    fn set_meta(
        &self,
        dir: &MemoryDir,
        name: &[u8],
        is_it: &dyn Fn(&Stat) -> bool,
        meta: &Meta,
    ) -> io::Result<()> {
        let node = self.get(dir, name)?;
        if !is_it(&node.stat()) {
            return Err(sprag::fs::swapped());
        }
        node.set_meta(meta);
        Ok(())
    }

    fn set_dir_meta(&self, dir: &MemoryDir, meta: &Meta) -> io::Result<()> {
        dir.node.set_meta(meta);
        Ok(())
    }

    fn list(&self, dir: &MemoryDir) -> io::Result<Vec<(Vec<u8>, Kind)>> {
        let nodes = self.nodes();
        let within = |path: &[u8]| -> Option<Vec<u8>> {
            let rest = path.strip_prefix(&dir.path[..])?;
            let name = match dir.path.is_empty() {
                true => rest,
                false => rest.strip_prefix(b"/")?,
            };
            (!name.is_empty() && !name.contains(&b'/')).then(|| name.to_vec())
        };
        let names = nodes
            .iter()
            .filter_map(|(path, node)| Some((within(path)?, node.kind)));
        Ok(names.collect())
    }
}

impl Fs for MemoryFs {
    fn create_new(&self, dir: &MemoryDir, name: &[u8]) -> io::Result<MemoryFile> {
        self.make(dir, name, Kind::File, &[]).map(MemoryFile)
    }

    fn open(&self, dir: &MemoryDir, name: &[u8], access: Access) -> io::Result<MemoryFile> {
        match self.open_file(dir, name) {
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && access == Access::WriteOrCreate =>
            {
                self.create_new(dir, name)
            }
            opened => opened,
        }
    }

    fn open_medium(&self, dir: &MemoryDir, name: &[u8]) -> io::Result<MemoryFile> {
        self.open_file(dir, name)
    }

    fn rename(
        &self,
        from_dir: &MemoryDir,
        from: &[u8],
        to_dir: &MemoryDir,
        to: &[u8],
    ) -> io::Result<()> {
        let node = self.get(from_dir, from)?;
        let (from, to) = (from_dir.join(from), to_dir.join(to));
        let mut nodes = self.nodes();
        if nodes.get(&to).is_some_and(|there| there.kind == Kind::Dir) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        nodes.remove(&from);
        nodes.insert(to, node);
        Ok(())
    }

    fn remove(&self, dir: &MemoryDir, name: &[u8]) -> io::Result<()> {
        if self.get(dir, name)?.kind == Kind::Dir {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.nodes().remove(&dir.join(name));
        Ok(())
    }

    fn link(
        &self,
        from_dir: &MemoryDir,
        from: &[u8],
        to_dir: &MemoryDir,
        to: &[u8],
    ) -> io::Result<()> {
        let node = self.get(from_dir, from)?;
        let to = to_dir.join(to);
        if self.nodes().contains_key(&to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.nodes().insert(to, node);
        Ok(())
    }

    fn sync_dir(&self, _dir: &MemoryDir) -> io::Result<()> {
        Ok(())
    }

    fn sync_mount(&self, _mount: MountNo) -> io::Result<()> {
        Ok(())
    }

    fn rules(&self, _mount: MountNo) -> Rules {
        Rules {
            flush_by: match self.journal {
                true => FlushBy::Whole,
                false => FlushBy::Each,
            },
            renames_want_flush: !self.journal,
            lacks_journal: !self.journal,
        }
    }

    fn device_gone(&self) -> bool {
        false
    }
}
