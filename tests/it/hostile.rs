//! Manifests whose checksums are right and whose records say what cannot be.
//!
//! A checksum stops accidents, not malice: such a manifest may lie about what is done, but must
//! not bring a command down, fill the memory, or lead it out of the destination. The commands run
//! with less memory than the largest single allocation that would be tolerated.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use sprag::hash::{self, BlockHasher, Hash32};

use crate::support::forger::{
    Forger, LARGE_BYTES, SMALL, begin, blocks, cut, done, forger, large, link, number, text,
};
use crate::support::*;

const BLOCK: usize = 64 << 10;

/// The whole of a process's data, stacks of its threads included, must fit in here.
const DATA_BYTES_MAX: u64 = 64 << 20;

fn symlink_record(path: &[u8], target: &[u8]) -> Vec<u8> {
    [&[3][..], &text(path), &text(target), &[0; 9]].concat()
}

/// The hashes of the large file's blocks, and one more.
fn one_too_many() -> Vec<Hash32> {
    let large = large();
    let mut hashes: Vec<Hash32> = large
        .chunks(BLOCK)
        .enumerate()
        .map(|(index, block)| {
            let mut hasher = BlockHasher::new((index * BLOCK) as u64, false);
            hasher.update(block);
            hasher.finish()
        })
        .collect();
    hashes.push([7; 32]);
    hashes
}

/// Adds records to a manifest.
type Forgery = fn(&mut Forger);

const FORGERIES: [(&str, Forgery); 17] = [
    ("a partial that lies outside", |forger| {
        let pos = forger.begin_in("../outside/", "large", &[7; LARGE_BYTES]);
        forger.frame(&blocks(pos, pos, 0, &[[1; 32]]));
    }),
    ("a list of hashes longer than memory", |forger| {
        let pos = forger.frame(&begin(b"large", LARGE_BYTES as u64));
        let mut record = blocks(pos, pos, 0, &[]);
        record.pop();
        record.extend_from_slice(&number(u64::MAX));
        forger.frame(&record);
    }),
    ("a list of hashes that would just fit", |forger| {
        let pos = forger.frame(&begin(b"large", LARGE_BYTES as u64));
        let mut record = blocks(pos, pos, 0, &[]);
        record.pop();
        record.extend_from_slice(&number(1 << 20));
        forger.frame(&record);
    }),
    ("a path longer than memory", |forger| {
        forger.frame(&[&[10][..], &number(1 << 62), b"a"].concat());
    }),
    ("a list of sources longer than memory", |forger| {
        forger.frame(&[&[0, 1][..], &number(1 << 50)].concat());
    }),
    ("a frame of the greatest length", |forger| {
        forger.frame(&vec![0xff; 1 << 20]);
    }),
    ("a frame longer than may be", |forger| {
        forger.frame(&vec![0; (1 << 20) + 1]);
    }),
    ("more blocks than the file has", |forger| {
        let pos = forger.frame(&begin(b"large", LARGE_BYTES as u64));
        let last = forger.frame(&blocks(pos, pos, 0, &one_too_many()));
        let hash = blake3::hash(&large()).into();
        forger.frame(&done(b"large", LARGE_BYTES as u64, &hash, &[0], last));
    }),
    ("blocks of a file that is a single one", |forger| {
        let pos = forger.frame(&begin(b"a", SMALL.len() as u64));
        let hashes = [blake3::hash(SMALL).into(), [0; 32]];
        let last = forger.frame(&blocks(pos, pos, 0, &hashes));
        let hash = blake3::hash(SMALL).into();
        forger.frame(&done(b"a", SMALL.len() as u64, &hash, &[0], last));
    }),
    ("blocks of a single-block file in progress", |forger| {
        let pos = forger.begin_for_real("a", b"WRONG");
        forger.frame(&blocks(pos, pos, 0, &[[7; 32]]));
    }),
    ("more kept than there was", |forger| {
        let pos = forger.begin_for_real("large", &[0; LARGE_BYTES]);
        forger.frame(&cut(pos, pos, 3));
    }),
    ("files of the greatest size", |forger| {
        let pos = forger.frame(&begin(b"huge", u64::MAX));
        forger.frame(&cut(pos, pos, u64::MAX));
        forger.frame(&done(b"a", u64::MAX, &[1; 32], &[0], 0));
        forger.frame(&done(b"large", u64::MAX, &[1; 32], &[1, 0], 0));
    }),
    ("blocks that lead to themselves", |forger| {
        let pos = forger.frame(&begin(b"large", LARGE_BYTES as u64));
        let next = forger.bytes.len() as u64;
        forger.frame(&blocks(pos, next, 0, &[[1; 32]]));
    }),
    ("blocks that lead behind the end", |forger| {
        forger.frame(&blocks(u64::MAX, u64::MAX, u64::MAX, &[[1; 32]]));
    }),
    ("a path that leads out", |forger| {
        let hash = blake3::hash(b"not ours").into();
        forger.frame(&done(b"../outside/file", 8, &hash, &[1, 0], 0));
    }),
    (
        "paths through a symlink, and into sprag's own state",
        |forger| {
            let hash = blake3::hash(b"not ours").into();
            for path in [&b"out/file"[..], b".sprag/manifest"] {
                forger.frame(&done(path, 8, &hash, &[1, 0], 0));
                forger.frame(&done(path, 8, &hash, &[0], 0));
                forger.frame(&begin(path, LARGE_BYTES as u64));
                forger.frame(&symlink_record(path, b"../outside/file"));
            }
        },
    ),
    ("links to nothing and to themselves", |forger| {
        forger.frame(&link(b"a", b"a"));
        forger.frame(&link(b"large", b"nowhere"));
        forger.frame(&link(b"out", b"a"));
    }),
];

/// Runs a command with little memory; gives its exit code, or what killed it.
fn run_small(command: &str, args: &[PathBuf]) -> Ran {
    let mut process = match has("prlimit") {
        true => {
            let mut prlimit = Command::new("prlimit");
            prlimit.arg(format!("--data={DATA_BYTES_MAX}"));
            prlimit.arg(env!("CARGO_BIN_EXE_sprag"));
            forgetful(&mut prlimit);
            prlimit
        }
        false => sprag(),
    };
    let output = process.arg(command).arg("--json").args(args).output();
    let output = output.unwrap();
    let ran = Ran::from(&output);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    ran
}

fn try_one(what: &str, forge: Forgery, vouched: bool) {
    let temp = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name);
    let mut forger = forger(temp.path());
    let manifest = path("dest/.sprag/manifest");
    forge(&mut forger);
    if vouched {
        forger.barriers();
    }
    fs::write(&manifest, &forger.bytes).unwrap();
    let outside = snapshot(&path("outside"));
    let dest = [path("dest")];
    // 3: nothing is recorded that could be verified.
    for (command, codes) in [("status", &[0, 44][..]), ("verify", &[0, 3, 40, 44])] {
        let ran = run_small(command, &dest);
        assert!(codes.contains(&ran.code), "{what}: {command} {}", ran.code);
    }
    let ran = run_small("copy", &[path("source/."), path("dest")]);
    match ran.code {
        0 => {
            fs::remove_file(path("dest/out")).unwrap();
            let contents =
                |tree: &str| ["a", "large"].map(|name| fs::read(path(tree).join(name)).unwrap());
            assert!(contents("source") == contents("dest"), "{what}");
            let paths = [path("dest"), "a".into(), "large".into()];
            assert_eq!(run_small("verify", &paths).code, 0, "{what}");
        }
        44 => assert!(fs::read(&manifest).unwrap() == forger.bytes, "{what}"),
        code => panic!("{what}: copy ended with {code}: {}", ran.stderr),
    }
    assert_eq!(snapshot(&path("outside")), outside, "{what}");
}

#[test]
fn forged_records_are_read_as_what_they_say() {
    let temp = tempfile::tempdir().unwrap();
    let mut forger = forger(temp.path());
    let begun = forger.frame(&begin(b"large", LARGE_BYTES as u64));
    let blocks = forger.frame(&blocks(begun, begun, 0, &one_too_many()[..3]));
    let hash = blake3::hash(&large()).into();
    forger.frame(&done(b"large", LARGE_BYTES as u64, &hash, &[0], blocks));
    forger.frame(&symlink_record(b"l", b"a"));
    forger.frame(&link(b"linked", b"large"));
    forger.barriers();
    fs::write(forger.dest.join(".sprag/manifest"), &forger.bytes).unwrap();
    let list = sprag().arg("export").arg(&forger.dest).output().unwrap();
    let expected = ["large", "linked"].map(|name| format!("{}  {name}\n", hash::to_hex(&hash)));
    assert!(list.status.success());
    assert_eq!(String::from_utf8_lossy(&list.stdout), expected.concat());
}

#[test]
fn forged_records_bring_no_command_down_and_lead_none_astray() {
    if !has("prlimit") {
        skip(
            "forged_records_…",
            "prlimit, to bound the memory: run without",
        );
    }
    for (what, forge) in FORGERIES {
        for vouched in [false, true] {
            try_one(what, forge, vouched);
        }
    }
}
