//! What `benches/manifest.rs` measures of the manifest. The types of the inside stay inside: each
//! function here is one step of a run, and panics where the run would report an error.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use super::index::{Found, Index};
use super::journal::{self, FRAMES_START, Journal};
use super::{DestMeta, Done, OpenMode, Record, SlotKind, Store};
use crate::block::BlockSize;
use crate::checksum::FileKey;
use crate::codec;
use crate::fs::{Fs, FsFile, FsMeta, OsFile, OsFs};
use crate::path::RelPath;

/// The key of every journal that is made here.
const KEY: FileKey = *b"sprag bench id 1sprag bench nonc";

/// The record of a small file that is finished.
#[derive(Debug)]
pub struct FileRecord(Record);

impl FileRecord {
    /// That of the file of a number, with a path of 40 bytes, a hundred files to a directory.
    pub fn new(number: u64) -> FileRecord {
        let path = format!("photos/{:08}/img_{number:015}.jpeg", number / 100);
        let mut hash = [0; 32];
        for (place, word) in (number..).zip(hash.chunks_exact_mut(8)) {
            // As a hash has them, without a pattern.
            let word_bytes = place.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
            word.copy_from_slice(&word_bytes);
        }
        FileRecord(Record::Done(Done {
            path: RelPath::new(path).expect("it is a path"),
            size: 3000 + number % 4000,
            mtime_ns: 1_700_000_000_123_456_789 + i128::from(number),
            dest: DestMeta {
                mode: 0o644,
                uid: 1000,
                gid: 1000,
                acls: Some(0),
                xattrs: Some(0),
                ..DestMeta::default()
            },
            hash,
            attempt: Some(0),
            chain: 0,
            ctimes: None,
            unsettled: false,
        }))
    }

    /// The path it is about.
    pub fn path(&self) -> &RelPath {
        self.0.path().expect("it has a path")
    }

    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        codec::encode(&self.0, out).expect("it can be encoded");
    }

    /// Reads one from its bytes.
    pub fn decode(bytes: &[u8]) -> FileRecord {
        FileRecord(codec::decode(bytes).expect("it was encoded here"))
    }
}

/// A file with nothing but frames in it.
#[derive(Debug)]
pub struct JournalFile(Arc<OsFile>);

impl JournalFile {
    /// Makes it in a directory.
    pub fn create(dir: &Path) -> JournalFile {
        let fs = OsFs::open_root(dir).expect("the directory can be opened");
        let file = fs.create_new(&fs.root(), b"journal");
        JournalFile(Arc::new(file.expect("it can be made")))
    }

    /// Leaves nothing in it.
    pub fn empty(&self) {
        self.0.set_len(0).expect("it can be emptied");
    }

    /// Appends records to the empty file and hands all of them to the system. Gives its length.
    pub fn append(&self, records: &[FileRecord]) -> u64 {
        let mut journal = Journal::new(Arc::clone(&self.0), KEY, FRAMES_START);
        for record in records {
            journal.append(&record.0).expect("it can be appended");
        }
        journal.write_out().expect("it can be written");
        journal.end()
    }

    /// Reads all records in order, as opening a manifest does; gives how many there are.
    pub fn scan(&self) -> u64 {
        let mut records = 0;
        let paths = Index::new().hasher().clone();
        let end = journal::scan(&*self.0, &KEY, u64::MAX, &paths, |frame| {
            black_box(frame.pos);
            records += 1;
            Ok(Ok(()))
        });
        assert_eq!(end.expect("it can be read").damage, None);
        records
    }
}

/// The index alone, without the records that it points at.
pub struct PathIndex(Index);

impl std::fmt::Debug for PathIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PathIndex")
    }
}

impl PathIndex {
    /// An index of the paths of records.
    pub fn new(records: &[FileRecord]) -> PathIndex {
        let mut index = Index::new();
        for (pos, record) in (FRAMES_START..).zip(records) {
            let kind = SlotKind::Done;
            index.insert(index.hash(record.path()), Found { pos, kind });
        }
        PathIndex(index)
    }

    /// How many records may be those of a path.
    pub fn look_up(&self, path: &RelPath) -> usize {
        self.0.candidates(self.0.hash(path)).count()
    }
}

/// A manifest in the file system, open to be read.
pub struct Manifest(Store<OsFs>);

impl std::fmt::Debug for Manifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Manifest").field(&self.0.path()).finish()
    }
}

impl Manifest {
    /// Makes that of a destination, with these records and two barriers behind them: all of it is
    /// trusted.
    pub fn make(dest: &Path, records: &[FileRecord]) {
        let mut store = open(dest, OpenMode::Create(BlockSize::default()));
        for record in records {
            store.append(&record.0).expect("it can be appended");
        }
        let covers = store.end();
        for _ in 0..2 {
            let barrier = store.append(&Record::Barrier { covers });
            barrier.expect("it can be appended");
        }
        store.write_out().expect("it can be written");
    }

    /// Opens that of a destination, which reads all of it.
    pub fn open(dest: &Path) -> Manifest {
        Manifest(open(dest, OpenMode::Read))
    }

    /// How many files it says are finished.
    pub fn files(&self) -> u64 {
        self.0.totals().files_done
    }

    /// Whether it has a record of a path, which is read if it has.
    pub fn look_up(&self, path: &RelPath) -> bool {
        let found = self.0.lookup(path).expect("it can be read");
        black_box(found).is_some()
    }
}

fn open(dest: &Path, mode: OpenMode) -> Store<OsFs> {
    let fs = Arc::new(OsFs::open_root(dest).expect("the destination can be opened"));
    let store = Store::open(&fs, dest, mode).expect("the manifest can be opened");
    store.expect("it is there")
}
