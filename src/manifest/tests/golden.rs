//! Format version 1, byte for byte: what was written by any release must be read by all later.
//!
//! Once version 1 is released, `tests/data/manifest-v1.bin` is never changed. If a test here fails,
//! the format has changed, maybe without anyone meaning it: a variant or field moved, or another
//! bincode. Then either undo that, or make it a version 2:
//!
//! 1. raise `VERSION` in `header.rs`, and keep the code that decodes version 1;
//! 2. describe both versions in `docs/FORMAT.md`;
//! 3. copy this module to one for version 2, with a file name of its own, and run its tests once
//!    with `SPRAG_MAKE_GOLDEN=1` set, which writes the file if there is none;
//! 4. leave here what reads version 1; what writes it goes.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use super::support::{self, Dest, hash, listing, path};
use crate::block::BlockSize;
use crate::fs::{Access, Fs, FsFile, FsMeta, Special};
use crate::manifest::header::{HOLDER_OFFSET, Header};
use crate::manifest::index::Index;
use crate::manifest::journal::{self, FRAMES_START, Journal};
use crate::manifest::verified::Verified;
use crate::manifest::*;
use crate::path::RelPath;

const HEADER: Header = Header {
    id: *b"\x00\x01\x02\x03sprag test\xfe\xff",
    nonce: *b"\xff\xfe\xfd\xfcnonce of i\x01\x00",
    block_size: BlockSize::MIN,
    made_ms: 1_700_000_000_000,
};

fn golden_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/manifest-v1.bin")
}

fn golden() -> Vec<u8> {
    let path = golden_path();
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn holder() -> Holder {
    Holder {
        pid: 70_000,
        host: "quarry".to_string(),
        started_ms: 1_700_000_000_001,
    }
}

/// A source's times: small, negative, and beyond 64 bits once doubled.
fn source(size: u64) -> SourceId {
    SourceId {
        size,
        mtime_ns: 1_699_999_999_123_456_789,
        ctime_ns: 20_000_000_000_000_000_000,
        ino: 4_294_967_296,
    }
}

fn meta(mtime_ns: Option<i128>) -> DestMeta {
    DestMeta {
        mtime_ns,
        mode: 0o4755,
        uid: 250,
        gid: 251,
        acls: Some(0),
        xattrs: Some(0x0123_4567_89ab_cdef),
        lesser: None,
    }
}

/// What a file system without modes, owners and attributes makes of it.
fn lesser() -> DestMeta {
    DestMeta {
        acls: None,
        lesser: Some(Lesser {
            mode: Some(0o4750),
            owner: Some((65_535, 65_536)),
            mtime: true,
            acls: None,
            xattrs: Some(250),
        }),
        ..meta(Some(1_700_000_000_000_000_000))
    }
}

/// Hands every variant to `put`, which gives back the position it got. Names with bytes that are
/// not UTF-8, integers of every length.
fn put_all(mut put: impl FnMut(Record) -> u64) {
    put(Record::RunBegin(RunBegin {
        started_ms: 1_700_000_000_002,
        sources: vec![
            support::source("/photos/", "A1B2-C3D4"),
            RunSource {
                path: b"/mnt/\xff".to_vec().into(),
                file_system: Vec::new().into(),
            },
        ],
        earlier: vec![support::source("/music", "ext4")],
        options: vec![
            b"--delete".to_vec().into(),
            b"--exclude=\xff".to_vec().into(),
        ],
        mounts: vec![Mounted {
            mount: 8,
            ..mounted()
        }],
    }));
    put(Record::Dir(DirRecord {
        path: path("d"),
        atime_ns: -1,
        mtime_ns: 0,
        dest: DestMeta {
            mode: 0o1777,
            uid: 65_535,
            gid: 65_536,
            ..DestMeta::default()
        },
    }));
    put(Record::Symlink(SymlinkRecord {
        path: RelPath::new(*b"d/\xe9t\xe9").unwrap(),
        target: b"../\xff".to_vec(),
        mtime_ns: -2,
        dest: lesser(),
        attempt: 255,
    }));
    put(Record::Done(Done {
        path: path("d/small"),
        size: 65_536,
        mtime_ns: 1,
        dest: meta(None),
        hash: hash(1),
        attempt: Some(0),
        chain: 0,
        ctimes: Some(Ctimes {
            source_ns: 1_699_999_999_123_456_789,
            dest_s: 1_700_000_000,
            as_root: true,
        }),
        unsettled: true,
    }));
    let begin = put(Record::Begin(Begin {
        path: path("d/large"),
        source: source(200_000),
        attempt: 3,
        adopts: false,
    }));
    let blocks = |prev, first, hashes: &[u64]| {
        Record::Blocks(Blocks {
            begin,
            prev,
            first,
            hashes: hashes.iter().map(|n| hash(*n)).collect(),
        })
    };
    let prev = put(blocks(begin, 0, &[10, 11, 12]));
    let prev = put(Record::Cut(Cut {
        begin,
        prev,
        keep: 2,
    }));
    let chain = put(blocks(prev, 2, &[22, 23]));
    put(Record::Done(Done {
        path: path("d/large"),
        size: 200_000,
        mtime_ns: 1_699_999_999_123_456_789,
        dest: meta(Some(i128::from(i64::MIN))),
        hash: hash(2),
        attempt: None,
        chain,
        ctimes: None,
        unsettled: false,
    }));
    put(Record::LinkWanted(Link {
        path: path("d/wanted"),
        to: path("d/large"),
    }));
    put(Record::Link(Link {
        path: path("d/linked"),
        to: path("d/small"),
    }));
    let covers = put(Record::Removed(path("old")));
    put(Record::Barrier { covers });
    let begin = put(Record::Begin(Begin {
        path: path("begun"),
        source: source(u64::MAX),
        attempt: 0,
        adopts: true,
    }));
    let covers = put(Record::Blocks(Blocks {
        begin,
        prev: begin,
        first: 0,
        hashes: vec![hash(30)],
    }));
    put(Record::RunEnd(RunEnd {
        ended_ms: 1_700_000_000_003,
        exit_code: 23,
        files_copied: 2,
        files_failed: 1,
        bytes_copied: 265_536,
        failures: vec![(path("d/bad"), "Input/output error: \u{e9}".to_string())],
    }));
    put(Record::Barrier { covers });
    put(Record::ReadBack { due: true });
    put(Record::ReadBack { due: false });
    put_verification(put);
}

fn put_verification(mut put: impl FnMut(Record) -> u64) {
    let run = put(Record::VerifyBegin(VerifyBegin {
        started_ms: 1_700_000_000_004,
        key: u64::MAX,
        seed: 251,
        what: "everything".to_string(),
    }));
    put(Record::Verified(Verified {
        run,
        at_ms: 1_700_000_000_005,
        depth: Depth::Cached,
        spans: vec![(4134, 1), (70, 250)],
    }));
    let damage = FoundDamage {
        ranges: vec![0..65_536, 131_072..200_000],
        blocks_bad: 3,
        blocks_zero: 1,
        blocks_shifted: 1,
        first_shift: Some((131_072, 0)),
    };
    for what in [
        Found::Unproven,
        Found::Corrupt(damage.clone()),
        Found::Modified("grew".to_string(), Some(damage)),
        Found::Modified("gone \u{e9}".to_string(), None),
        Found::Missing,
        Found::Incomplete { bytes: 1, of: 2 },
        Found::Unreadable("Input/output error".to_string()),
        Found::Metadata("mode".to_string()),
    ] {
        let pos = 4300;
        put(Record::Finding(Finding { run, pos, what }));
    }
    put(Record::VerifyEnd(VerifyEnd {
        run,
        ended_ms: 1_700_000_000_006,
        exit_code: 40,
        entries_ok: 3,
        entries_bad: 8,
    }));
    for (path, what) in [
        ("d/fifo", Special::Fifo),
        ("d/socket", Special::Socket),
        ("d/disk", Special::Block(2049)),
        ("d/null", Special::Char(259)),
    ] {
        put(Record::Special(SpecialRecord {
            path: RelPath::new(path).unwrap(),
            what,
            mtime_ns: 4,
            dest: meta(None),
            attempt: 1,
        }));
    }
    put(Record::Mounted(mounted()));
}

fn mounted() -> Mounted {
    Mounted {
        path: path("d/mounted"),
        boot: *b"boot id, \xfa\xfb\xfc\xfd\xfe\xff\x00",
        mount: 4_294_967_296,
        unchecked: true,
    }
}

/// The same manifest, written by the code as it is.
fn composed() -> Vec<u8> {
    let dest = Dest::with(&HEADER.encode());
    let dir = dest.fs.open_dir(&RelPath::state_dir()).unwrap();
    let file = dest.fs.open(&dir, MANIFEST, Access::Write).unwrap();
    let part = Holder::encode(Some(&holder()));
    file.write_at(&part, HOLDER_OFFSET).unwrap();
    let mut journal = Journal::new(Arc::new(file), HEADER.key(), FRAMES_START);
    put_all(|record| journal.append(&record).unwrap());
    journal.write_out().unwrap();
    dest.bytes()
}

#[test]
fn writing_gives_exactly_the_bytes_of_version_1() {
    let composed = composed();
    if std::env::var_os("SPRAG_MAKE_GOLDEN").is_some() && !golden_path().exists() {
        fs::write(golden_path(), &composed).unwrap();
    }
    let golden = golden();
    let first = composed.iter().zip(&golden).position(|(a, b)| a != b);
    assert_eq!(first, None, "the first byte that differs");
    assert_eq!(composed.len(), golden.len());
}

#[test]
fn reading_version_1_gives_exactly_these_records() {
    let golden = golden();
    assert_eq!(Header::decode(&golden), Ok(HEADER));
    assert_eq!(Holder::decode(&golden), Some(holder()));
    let dest = Dest::with(&golden);
    let dir = dest.fs.open_dir(&RelPath::state_dir()).unwrap();
    let file = dest.fs.open(&dir, MANIFEST, Access::Read).unwrap();
    let journal = Journal::new(Arc::new(file), HEADER.key(), golden.len() as u64);
    let mut pos = FRAMES_START;
    put_all(|expected| {
        let at = pos;
        let (record, frame) = journal.read(at).unwrap();
        assert_eq!(record, expected);
        pos += frame;
        at
    });
    assert_eq!(pos, golden.len() as u64);
    let mut count = 0;
    let (file, paths) = (journal.file(), Index::new().hasher().clone());
    let scanned = journal::scan(&**file, &HEADER.key(), u64::MAX, &paths, |_| {
        count += 1;
        Ok(Ok(()))
    });
    assert_eq!(scanned.unwrap().end, pos);
    assert_eq!(count, 33, "all but the two barriers");
}

#[test]
fn a_manifest_of_version_1_opens_and_says_what_it_said() {
    let dest = Dest::with(&golden());
    let store = dest.open(OpenMode::Read);
    let listing = listing(&store);
    let paths: Vec<_> = listing.keys().map(RelPath::as_bytes).collect();
    let expected: [&[u8]; 11] = [
        b"begun",
        b"d",
        b"d/disk",
        b"d/fifo",
        b"d/large",
        b"d/linked",
        b"d/null",
        b"d/small",
        b"d/socket",
        b"d/wanted",
        b"d/\xe9t\xe9",
    ];
    assert_eq!(paths, expected);
    assert_eq!(listing[&path("d/large")].1, [10, 11, 22, 23].map(hash));
    assert_eq!(listing[&path("begun")].1, [hash(30)]);
    let Some((begin, Some(end))) = store.last_run().unwrap() else {
        panic!("no run");
    };
    assert_eq!((begin.sources.len(), end.failures.len()), (2, 1));
    assert_eq!(store.mounted().last(), Some(&mounted()));
    let begun = store.lookup(&path("begun")).unwrap().unwrap().0;
    assert_eq!(store.tail().positions.first(), Some(&begun));
}
