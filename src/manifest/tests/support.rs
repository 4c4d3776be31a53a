//! What the tests of the manifest share: a destination to keep one in, records, and listings.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::block::BlockSize;
use crate::error::ManifestError;
use crate::fs::{Fs, OsFs};
use crate::hash::Hash32;
use crate::manifest::store::Totals;
use crate::manifest::*;
use crate::path::RelPath;

/// A destination with a manifest, maybe.
pub(super) struct Dest {
    dir: TempDir,
    pub(super) fs: Arc<OsFs>,
}

impl Dest {
    pub(super) fn new() -> Dest {
        Dest::below(crate::fs::journaled_tempdir())
    }

    /// In memory where the system has a place for that: for tests that open thousands of times.
    pub(super) fn quick() -> Dest {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Dest::below(dir.unwrap())
    }

    /// With these bytes as its manifest.
    pub(super) fn with(bytes: &[u8]) -> Dest {
        let dest = Dest::quick();
        fs::create_dir(dest.root().join(".sprag")).unwrap();
        dest.put(bytes);
        dest
    }

    fn below(dir: TempDir) -> Dest {
        let fs = Arc::new(OsFs::open_root(dir.path()).unwrap());
        Dest { dir, fs }
    }

    pub(super) fn root(&self) -> &Path {
        self.dir.path()
    }

    /// A file in the state directory.
    pub(super) fn state(&self, name: &str) -> PathBuf {
        self.root().join(".sprag").join(name)
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        fs::read(self.state("manifest")).unwrap()
    }

    pub(super) fn put(&self, bytes: &[u8]) {
        fs::write(self.state("manifest"), bytes).unwrap();
    }

    pub(super) fn try_open(&self, mode: OpenMode) -> Result<Option<Store<OsFs>>, ManifestError> {
        Store::open(&self.fs, self.root(), mode)
    }

    pub(super) fn open(&self, mode: OpenMode) -> Store<OsFs> {
        self.try_open(mode).unwrap().unwrap()
    }

    pub(super) fn create(&self) -> Store<OsFs> {
        self.open(OpenMode::Create(BlockSize::MIN))
    }

    /// The error of an opening that must fail.
    pub(super) fn refusal(&self, mode: OpenMode) -> ManifestError {
        match self.try_open(mode) {
            Ok(store) => panic!("opened: {:?}", store.is_some()),
            Err(error) => error,
        }
    }
}

/// Each path with its entry and the hashes of its blocks. Positions are not part of it: chains
/// count as there (1) or not (0).
pub(super) type Listing = BTreeMap<RelPath, (Entry, Vec<Hash32>)>;

/// Everything that a manifest holds.
pub(super) fn listing<F: Fs>(store: &Store<F>) -> Listing {
    let mut listing = Listing::new();
    for pos in store.positions() {
        let (path, mut entry) = store.entry_at(pos).unwrap();
        assert_eq!(
            store.lookup(&path).unwrap(),
            Some((pos, entry.clone())),
            "{path}"
        );
        let last = match &mut entry {
            Entry::Partial(partial) => {
                partial.begin_pos = 0;
                std::mem::take(&mut partial.last_pos)
            }
            Entry::Done(done) => {
                let there = u64::from(done.chain != 0);
                std::mem::replace(&mut done.chain, there)
            }
            _ => 0,
        };
        let hashes = if last == 0 {
            Vec::new()
        } else {
            hashes(store, last)
        };
        if let Entry::Partial(partial) = &entry {
            assert_eq!(partial.blocks, hashes.len() as u64, "{path}");
        }
        assert_eq!(listing.insert(path, (entry, hashes)), None);
    }
    listing
}

/// The hashes of the chain that ends at `last`.
pub(super) fn hashes<F: Fs>(store: &Store<F>, last: u64) -> Vec<Hash32> {
    let chain = store.chain(last).unwrap();
    let mut hashes = Vec::new();
    store
        .for_each_hash(&chain, |index, hash| {
            assert_eq!(index, hashes.len() as u64);
            hashes.push(*hash);
        })
        .unwrap();
    assert_eq!(chain.blocks, hashes.len() as u64);
    assert_eq!(chain.blocks_before(u64::MAX), chain.blocks);
    hashes
}

/// The totals that belong to a listing.
pub(super) fn totals_of(listing: &Listing) -> Totals {
    let mut totals = Totals::default();
    for (entry, hashes) in listing.values() {
        match entry {
            Entry::Dir(_) => totals.dirs += 1,
            Entry::Symlink(_) => totals.symlinks += 1,
            Entry::Special(_) => totals.specials += 1,
            Entry::Partial(_) => {
                totals.files_partial += 1;
                totals.blocks_partial += hashes.len() as u64;
            }
            Entry::Done(done) => {
                totals.files_done += 1;
                totals.bytes_done += done.size;
            }
            Entry::LinkWanted(_) => totals.files_partial += 1,
            Entry::Link(_) => totals.files_done += 1,
        }
    }
    totals
}

/// Appends records and remembers what the manifest held after each.
pub(super) struct Writer<'a> {
    pub(super) store: &'a mut Store<OsFs>,
    /// Where the file ended, and what it held; the first is the empty manifest.
    pub(super) shots: Vec<(u64, Listing)>,
}

impl Writer<'_> {
    pub(super) fn new(store: &mut Store<OsFs>) -> Writer<'_> {
        let shots = vec![(store.end(), listing(store))];
        Writer { store, shots }
    }

    pub(super) fn add(&mut self, record: Record) -> u64 {
        let pos = self.store.append(&record).unwrap();
        self.shots.push((self.store.end(), listing(self.store)));
        pos
    }

    pub(super) fn barrier(&mut self) -> u64 {
        let covers = self.store.end();
        self.add(Record::Barrier { covers })
    }

    /// One of everything; no barriers.
    pub(super) fn everything(&mut self) {
        self.add(Record::RunBegin(run_begin()));
        self.add(Record::Dir(dir("d")));
        self.add(Record::Symlink(symlink("d/link", "../elsewhere")));
        self.add(Record::Done(done("d/small", 5, 0)));
        let begin = self.add(Record::Begin(begin("d/large", 5 << 16)));
        let prev = self.add(blocks(begin, begin, 0, 3));
        let prev = self.add(cut(begin, prev, 2));
        let last = self.add(blocks(begin, prev, 2, 3));
        self.add(Record::Done(done("d/large", 5 << 16, last)));
        let begin = self.add(Record::Begin(self::begin("d/begun", 1 << 30)));
        self.add(blocks(begin, begin, 0, 2));
        self.add(Record::LinkWanted(link("d/wanted", "d/small")));
        self.add(Record::Link(link("d/linked", "d/small")));
        self.add(Record::Done(done("gone", 9, 0)));
        self.add(Record::Removed(path("gone")));
        self.add(Record::RunEnd(run_end()));
    }

    /// The end and content of the longest whole manifest within `len` bytes.
    pub(super) fn shot_within(shots: &[(u64, Listing)], len: u64) -> &(u64, Listing) {
        shots.iter().rev().find(|(end, _)| *end <= len).unwrap()
    }
}

pub(super) fn barrier<F: Fs>(store: &mut Store<F>) {
    let covers = store.end();
    store.append(&Record::Barrier { covers }).unwrap();
}

pub(super) fn path(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

/// A hash that tells block `n`.
pub(super) fn hash(n: u64) -> Hash32 {
    let mut hash = [0xa5; 32];
    hash[..8].copy_from_slice(&n.to_le_bytes());
    hash
}

pub(super) fn meta() -> DestMeta {
    DestMeta {
        mtime_ns: Some(1_700_000_000_000_000_000),
        mode: 0o644,
        uid: 1000,
        gid: 100_000,
        acls: Some(0),
        xattrs: Some(u64::MAX),
        lesser: None,
    }
}

pub(super) fn dir(at: &str) -> DirRecord {
    DirRecord {
        path: path(at),
        atime_ns: -1,
        mtime_ns: 1_600_000_000_123_456_789,
        dest: DestMeta {
            mtime_ns: None,
            ..meta()
        },
    }
}

pub(super) fn symlink(at: &str, target: &str) -> SymlinkRecord {
    SymlinkRecord {
        path: path(at),
        target: target.as_bytes().to_vec(),
        mtime_ns: 7,
        dest: meta(),
        attempt: 1,
    }
}

pub(super) fn begin(at: &str, size: u64) -> Begin {
    Begin {
        path: path(at),
        source: SourceId {
            size,
            mtime_ns: 1_650_000_000_000_000_001,
            ctime_ns: i128::from(u64::MAX),
            ino: 77,
        },
        attempt: 2,
        adopts: false,
    }
}

/// Hashes of blocks number `first` and on; each differs from any other in `count` too.
pub(super) fn blocks(begin: u64, prev: u64, first: u64, count: u64) -> Record {
    Record::Blocks(Blocks {
        begin,
        prev,
        first,
        hashes: (first..first + count).map(hash).collect(),
    })
}

pub(super) fn cut(begin: u64, prev: u64, keep: u64) -> Record {
    Record::Cut(Cut { begin, prev, keep })
}

pub(super) fn done(at: &str, size: u64, chain: u64) -> Done {
    Done {
        path: path(at),
        size,
        mtime_ns: 1_650_000_000_000_000_001,
        dest: DestMeta {
            mtime_ns: None,
            ..meta()
        },
        hash: hash(size),
        attempt: Some(0),
        chain,
        ctimes: None,
        unsettled: false,
    }
}

pub(super) fn link(at: &str, to: &str) -> Link {
    Link {
        path: path(at),
        to: path(to),
    }
}

pub(super) fn run_begin() -> RunBegin {
    RunBegin {
        started_ms: 1_700_000_000_000,
        sources: vec![source("/home/photos", "ext4"), source("/music/", "")],
        ..RunBegin::default()
    }
}

pub(super) fn source(path: &str, file_system: &str) -> RunSource {
    RunSource {
        path: path.as_bytes().to_vec().into(),
        file_system: file_system.as_bytes().to_vec().into(),
    }
}

pub(super) fn mounted(at: &str, mount: u64) -> Mounted {
    Mounted {
        path: path(at),
        boot: [7; 16],
        mount,
        unchecked: false,
    }
}

pub(super) fn run_end() -> RunEnd {
    RunEnd {
        ended_ms: 1_700_000_060_000,
        exit_code: 23,
        files_copied: 3,
        files_failed: 1,
        bytes_copied: 1 << 40,
        failures: vec![(path("d/bad"), "cannot be read".to_string())],
    }
}
