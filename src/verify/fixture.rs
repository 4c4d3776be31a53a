//! A small destination with its manifest, for tests of what reads one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::block::BlockSize;
use crate::fs::{FsMeta, OsFs, Stat};
use crate::hash::{Hash32, TreeMerger, hash_block};
use crate::manifest::{
    Begin, Blocks, DestMeta, DirRecord, Done, Link, OpenMode, Record, SourceId, Store,
    SymlinkRecord,
};
use crate::partial;
use crate::path::RelPath;

pub(crate) struct Fixture {
    pub(crate) temp: tempfile::TempDir,
    fs: Arc<OsFs>,
    id: [u8; 16],
    /// `None` while it is released.
    store: Option<Store<OsFs>>,
}

/// Content without repetitions of a block's length.
pub(crate) fn content(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n / 5 + n / 40_000) as u8).collect()
}

pub(crate) fn rel(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

impl Fixture {
    pub(crate) fn new() -> Fixture {
        let temp = crate::fs::journaled_tempdir();
        let fs = Arc::new(OsFs::open_root(temp.path()).unwrap());
        let mode = OpenMode::Create(BlockSize::MIN);
        let store = Store::open(&fs, temp.path(), mode).unwrap().unwrap();
        let id = *store.id();
        let store = Some(store);
        Fixture {
            temp,
            fs,
            id,
            store,
        }
    }

    pub(crate) fn root(&self) -> &Path {
        self.temp.path()
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub(crate) fn id(&self) -> [u8; 16] {
        self.id
    }

    pub(crate) fn append(&mut self, record: &Record) -> u64 {
        let pos = self.store().append(record).unwrap();
        self.store().write_out().unwrap();
        pos
    }

    fn stat(&self, path: &RelPath) -> Stat {
        let (parent, name) = path.split().unwrap();
        let dir = self.fs.open_dir(&parent).unwrap();
        self.fs.stat(&dir, name).unwrap().unwrap()
    }

    pub(crate) fn dir(&mut self, path: &str) {
        std::fs::create_dir(self.at(path)).unwrap();
        self.append(&Record::Dir(DirRecord {
            path: rel(path),
            atime_ns: 0,
            mtime_ns: 0,
            dest: dest_meta(&self.stat(&rel(path))),
        }));
    }

    pub(crate) fn symlink(&mut self, path: &str, target: &str) {
        std::os::unix::fs::symlink(target, self.at(path)).unwrap();
        let dest = dest_meta(&self.stat(&rel(path)));
        self.append(&Record::Symlink(SymlinkRecord {
            path: rel(path),
            target: target.into(),
            mtime_ns: 0,
            dest,
            attempt: 0,
        }));
    }

    /// Writes a file and records it; large ones block by block.
    pub(crate) fn file(&mut self, path: &str, content: &[u8]) {
        std::fs::write(self.at(path), content).unwrap();
        self.record_file(path, path, content);
    }

    /// Records `path` as done with the stat of what stands at `stands`; gives the record's position.
    pub(crate) fn record_file(&mut self, path: &str, stands: &str, content: &[u8]) -> u64 {
        let size = content.len() as u64;
        let hashes = block_hashes(content);
        let mut merger = TreeMerger::new(BlockSize::MIN);
        hashes.iter().for_each(|hash| merger.push(*hash));
        let chain = match BlockSize::MIN.is_single(size) {
            true => 0,
            false => self.begin(path, size, hashes),
        };
        let dest = dest_meta(&self.stat(&rel(stands)));
        self.append(&Record::Done(Done {
            path: rel(path),
            size,
            mtime_ns: 0,
            dest,
            hash: merger.finish(),
            attempt: Some(0),
            chain,
            ctimes: None,
            unsettled: false,
        }))
    }

    /// Records a file by the blocks of its content, but with the file hash of something else.
    pub(crate) fn record_with_hash_of(&mut self, path: &str, content: &[u8], other: &[u8]) {
        let size = content.len() as u64;
        let chain = self.begin(path, size, block_hashes(content));
        let dest = dest_meta(&self.stat(&rel(path)));
        self.append(&Record::Done(Done {
            path: rel(path),
            size,
            mtime_ns: 0,
            dest,
            hash: *blake3::hash(other).as_bytes(),
            attempt: Some(0),
            chain,
            ctimes: None,
            unsettled: false,
        }));
    }

    /// Records a file as begun, and some of its blocks as written, each in a record of its own.
    pub(crate) fn begin(&mut self, path: &str, size: u64, hashes: Vec<Hash32>) -> u64 {
        let begin = self.append(&Record::Begin(Begin {
            path: rel(path),
            source: SourceId {
                size,
                mtime_ns: 0,
                ctime_ns: 0,
                ino: 1,
            },
            attempt: 0,
            adopts: false,
        }));
        let mut prev = begin;
        for (first, hash) in (0..).zip(hashes) {
            prev = self.append(&Record::Blocks(Blocks {
                begin,
                prev,
                first,
                hashes: vec![hash],
            }));
        }
        prev
    }

    /// Where the partial of `path` is.
    pub(crate) fn partial(&self, path: &str) -> PathBuf {
        let name = partial::name(&self.id(), &rel(path), 0);
        let name = String::from_utf8(name.to_vec()).unwrap();
        self.at(path).with_file_name(name)
    }

    /// Writes the first blocks of a file under its partial name and records them.
    pub(crate) fn partial_file(&mut self, path: &str, content: &[u8], blocks: usize) {
        let have = &content[..blocks << 16];
        std::fs::write(self.partial(path), have).unwrap();
        self.begin(path, content.len() as u64, block_hashes(have));
    }

    /// Adds a further name of a file, and records it.
    pub(crate) fn link(&mut self, path: &str, to: &str) {
        std::fs::hard_link(self.at(to), self.at(path)).unwrap();
        let (path, to) = (rel(path), rel(to));
        self.append(&Record::Link(Link { path, to }));
    }

    /// Lets others have the manifest for a while, without the barrier that a run ends with.
    pub(crate) fn release(&mut self) {
        self.store = None;
    }

    /// Takes the manifest again.
    pub(crate) fn reopen(mut self) -> Fixture {
        let store = Store::open(&self.fs, self.temp.path(), OpenMode::Write);
        self.store = Some(store.unwrap().unwrap());
        self
    }

    fn store(&mut self) -> &mut Store<OsFs> {
        self.store.as_mut().expect("the manifest is not released")
    }

    /// Releases the manifest.
    pub(crate) fn close(self) -> tempfile::TempDir {
        self.temp
    }
}

fn block_hashes(content: &[u8]) -> Vec<Hash32> {
    let single = BlockSize::MIN.is_single(content.len() as u64);
    if content.is_empty() {
        return vec![hash_block(&[], 0, true)];
    }
    (0..)
        .step_by(1 << 16)
        .zip(content.chunks(1 << 16))
        .map(|(offset, block)| hash_block(block, offset, single))
        .collect()
}

fn dest_meta(stat: &Stat) -> DestMeta {
    DestMeta {
        mtime_ns: Some(stat.mtime_ns),
        mode: stat.mode,
        uid: stat.uid,
        gid: stat.gid,
        ..DestMeta::default()
    }
}
