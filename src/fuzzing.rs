//! What the fuzz targets in `fuzz/` need of the inside. cargo-fuzz compiles with `--cfg fuzzing`;
//! no other build has this module.
//!
//! The checks here panic, which is how a fuzz target reports a finding.

use std::path::Path;
use std::sync::Arc;

use crate::block::BlockSize;
use crate::error::ManifestError;
use crate::fs::{Fs, MountNo};
use crate::hash::{self, Hash32};
use crate::manifest::{Entry, Mounted, OpenMode, Record, RunBegin, RunEnd, Store};
use crate::partial;
use crate::path::RelPath;
use crate::{checksum, codec};

/// The checksum of a manifest's header.
pub fn header_checksum(bytes: &[u8]) -> u64 {
    hash::header_checksum(bytes)
}

/// The checksum of a frame.
pub fn frame_checksum(id: &[u8; 16], nonce: &[u8; 16], position: u64, payload: &[u8]) -> u64 {
    let mut key = checksum::FileKey::default();
    key[..16].copy_from_slice(id);
    key[16..].copy_from_slice(nonce);
    checksum::frame_checksum(&key, position, payload)
}

/// The name of a partial file.
pub fn partial_name(id: &[u8; 16], path: &RelPath, attempt: u8) -> Vec<u8> {
    partial::name(id, path, attempt).to_vec()
}

/// Decodes a record. What is one must read back from its own encoding, which is the shortest.
pub fn decode_record(bytes: &[u8]) {
    let Ok(record) = codec::decode::<Record>(bytes) else {
        return;
    };
    let mut encoded = Vec::new();
    codec::encode(&record, &mut encoded).expect("what was decoded can be encoded");
    assert!(encoded.len() <= bytes.len(), "the encoding grew");
    if encoded.len() == bytes.len() {
        assert_eq!(encoded, bytes, "two encodings of the same length");
    }
    let again: Record = codec::decode(&encoded).expect("what was encoded can be decoded");
    assert_eq!(again, record);
}

/// What a manifest says, whatever the positions in the file.
#[derive(Debug, PartialEq)]
struct Said {
    entries: Vec<(RelPath, Entry, Vec<Hash32>)>,
    totals: [u64; 5],
    last_run: Option<(RunBegin, Option<RunEnd>)>,
    mounted: Vec<Mounted>,
}

fn lacks_journal<F: Fs>(fs: &F) -> bool {
    fs.rules(MountNo::default()).lacks_journal
}

/// Opens the manifest of `fs` as each command would, cuts its tail, compacts it, and empties it.
/// After each step it must say what it said before. `false`: it was refused.
pub fn recover<F: Fs>(fs: &Arc<F>) -> bool {
    let open = |mode| Store::open(fs, Path::new("/dest"), mode);
    let read = match open(OpenMode::Read) {
        Ok(read) => read,
        Err(error) => {
            assert_refused(&error);
            salvage(fs);
            match open(OpenMode::Create(BlockSize::MIN)) {
                Err(error) => assert_refused(&error),
                // The writer has cut off what the reader stumbled over.
                Ok(_) => assert!(lacks_journal(&**fs), "a writer takes what a reader refused"),
            }
            return false;
        }
    };
    let there = read.is_some();
    let before = read.map(|store| (look(&store), store.tail().positions));
    let store = open(OpenMode::Create(BlockSize::MIN)).expect("a writer opens what a reader did");
    let mut store = store.expect("what is not there is made");
    let said = look(&store);
    if let Some((before, tail)) = before
        && !lacks_journal(&**fs)
    {
        assert_eq!(before, said, "cutting the tail changed what counts");
        assert_eq!(tail, store.tail().positions);
    }
    store.compact(None).expect("it can be compacted");
    assert_eq!(look(&store), said, "compacting changed what it says");
    assert!(
        store.tail().positions.is_empty(),
        "it is trusted as a whole"
    );
    assert!(!store.wants_compaction());
    drop(store);
    let store = open(OpenMode::Write).expect("what was compacted opens again");
    let mut store = store.expect("it is there");
    assert_eq!(look(&store), said, "it reads back as something else");
    for (path, ..) in &said.entries {
        let record = Record::Removed(path.clone());
        store.append(&record).expect("a path can be removed");
        assert_eq!(store.lookup(path).expect("it reads"), None);
    }
    assert_eq!(totals(&store), [0; 5]);
    there
}

/// Reads what can be read of a manifest that was refused, with its copy if there is one. Each entry
/// is found under its path; chains may be broken and never lead to a panic.
fn salvage<F: Fs>(fs: &Arc<F>) {
    let store = match Store::open_to_read(fs, Path::new("/dest")) {
        Ok(store) => store.expect("there is something that was refused"),
        Err(error) => return assert_refused(&error),
    };
    assert!(store.salvaged().is_some(), "it was refused before");
    for pos in store.positions() {
        let (path, entry) = store.entry_at(pos).expect("the index points at entries");
        let found = store.lookup(&path).expect("a path can be looked up");
        assert_eq!(found, Some((pos, entry.clone())), "{path:?}");
        let last = match entry {
            Entry::Partial(partial) => partial.last_pos,
            Entry::Done(done) if done.chain != 0 => done.chain,
            _ => continue,
        };
        match store.chain(last) {
            Ok(chain) => {
                let mut hashes = 0;
                let visited = store.for_each_hash(&chain, |_, _| hashes += 1);
                visited.expect("what is a chain can be read");
                assert_eq!(hashes, chain.blocks);
            }
            Err(error) => assert_refused(&error),
        }
    }
}

/// A manifest is refused as damaged or as too new, and for no other reason.
fn assert_refused(error: &ManifestError) {
    match error {
        ManifestError::Damaged { .. } | ManifestError::Newer { .. } => {}
        _ => panic!("refused for another reason: {error:?}"),
    }
}

fn look<F: Fs>(store: &Store<F>) -> Said {
    let mut entries: Vec<_> = store
        .positions()
        .into_iter()
        .map(|pos| entry(store, pos))
        .collect();
    entries.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    Said {
        entries,
        totals: totals(store),
        last_run: store.last_run().expect("the last run can be read"),
        mounted: store.mounted().to_vec(),
    }
}

/// Without the bytes, which stop at the largest number and cannot come back from there.
fn totals<F: Fs>(store: &Store<F>) -> [u64; 5] {
    let totals = store.totals();
    [
        totals.files_done,
        totals.files_partial,
        totals.dirs,
        totals.symlinks,
        totals.blocks_partial,
    ]
}

/// The entry whose newest record is at `pos`, with its hashes and without positions.
fn entry<F: Fs>(store: &Store<F>, pos: u64) -> (RelPath, Entry, Vec<Hash32>) {
    let (path, mut entry) = store.entry_at(pos).expect("the index points at entries");
    let found = store.lookup(&path).expect("a path can be looked up");
    assert_eq!(found, Some((pos, entry.clone())), "{path:?}");
    let last = match &mut entry {
        Entry::Partial(partial) => {
            partial.begin_pos = 0;
            Some(std::mem::take(&mut partial.last_pos))
        }
        Entry::Done(done) if done.chain != 0 => Some(std::mem::replace(&mut done.chain, 1)),
        _ => None,
    };
    let mut hashes = Vec::new();
    if let Some(last) = last {
        let chain = store
            .chain(last)
            .expect("the blocks of an entry are a chain");
        let visited = store.for_each_hash(&chain, |index, hash| {
            assert_eq!(index, hashes.len() as u64);
            hashes.push(*hash);
        });
        visited.expect("the blocks can be read");
        assert_eq!(chain.blocks, hashes.len() as u64);
        if let Entry::Partial(partial) = &entry {
            assert_eq!(partial.blocks, chain.blocks, "{path:?}");
        }
    }
    (path, entry, hashes)
}
