//! What a small file and a byte cost, counted and not timed: system calls, bytes read, hashed and written,
//! allocations. A bound that is passed is a slower sprag on every machine.
//!
//! Each figure is the difference between a run with many files and one with few, so that what a
//! run costs as such is not in it.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
#[allow(dead_code)] // It has what the tests of the binary need.
mod support;

use std::alloc::System;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sprag::event::VerifyEvent;
use sprag::hash::hashed_bytes;
use sprag::{CopyOptions, Event, VerifyOptions};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::strace::{self, Call};
use support::{Rng, write};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One test at a time: they share the allocator, whose calls one of them counts.
static ALONE: Mutex<()> = Mutex::new(());

const FEW: usize = 100;
const MANY: usize = 400;

/// Calls for memory and between threads depend on the allocator and on who is faster; a debug build
/// asks of each handle by `fcntl` whether it is open before it closes it.
const NOT_COUNTED: &[&str] = &[
    "futex",
    "sched_yield",
    "mmap",
    "munmap",
    "mremap",
    "madvise",
    "mprotect",
    "brk",
    "fcntl",
];

struct Trees {
    temp: tempfile::TempDir,
}

impl Trees {
    fn new() -> Trees {
        Trees {
            temp: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// A directory with so many small files, and an empty one to copy it into.
    fn small(&self, files: usize) -> (PathBuf, PathBuf) {
        let source = self.path(&format!("{files} files"));
        let mut rng = Rng::new(files as u64);
        for n in 0..files {
            write(source.join(format!("file {n:05}")), rng.bytes(3000));
        }
        self.with_dest(source)
    }

    fn large(&self, bytes: usize) -> (PathBuf, PathBuf) {
        let source = self.path(&format!("{bytes} bytes"));
        write(source.join("large"), Rng::new(1).bytes(bytes));
        self.with_dest(source)
    }

    fn with_dest(&self, source: PathBuf) -> (PathBuf, PathBuf) {
        let dest = source.with_extension("copy");
        std::fs::create_dir(&dest).unwrap();
        (source, dest)
    }

    fn calls(&self, command: &str, paths: &[&Path]) -> Vec<Call> {
        let mut args = vec![command.to_string(), "--quiet".to_string()];
        args.extend(paths.iter().map(|path| path.display().to_string()));
        strace::calls(&self.path("log"), &args)
    }
}

/// How many calls count.
fn counted(calls: &[Call]) -> usize {
    let counts = |call: &&Call| !NOT_COUNTED.contains(&call.name.as_str());
    calls.iter().filter(counts).count()
}

/// Calls a file of a copy, of the same copy again, and of a verification.
fn calls_a_file(trees: &Trees) -> [f64; 3] {
    let made = [FEW, MANY].map(|files| trees.small(files));
    // A copy knows that nobody touched a source if its change time is two seconds old.
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    let costs = made.map(|(source, dest)| {
        [
            trees.calls("copy", &[&source, &dest]),
            trees.calls("copy", &[&source, &dest]),
            trees.calls("verify", &[&dest]),
        ]
        .map(|calls| counted(&calls))
    });
    [0, 1, 2].map(|n| (costs[1][n] - costs[0][n]) as f64 / (MANY - FEW) as f64)
}

#[test]
fn a_small_file_costs_few_system_calls() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    if !strace::works("a small file costs few system calls") {
        return;
    }
    let [copy, again, verify] = calls_a_file(&Trees::new());
    support::tell(&format!(
        "system calls a small file: copy {copy:.1}, again {again:.1}, verify {verify:.1}"
    ));
    assert!(copy <= 15.5, "copy: {copy}");
    assert!(again <= 2.2, "copy again: {again}");
    assert!(verify <= 11.5, "verify: {verify}");
}

/// The bytes that calls of these names say they moved.
fn moved(calls: &Path, names: &[&str]) -> u64 {
    let text = std::fs::read(calls).unwrap();
    let text = String::from_utf8_lossy(&text);
    let of = |line: &&str| {
        names.iter().any(|name| {
            line.contains(&format!(" {name}(")) || line.contains(&format!("<... {name} resumed>"))
        })
    };
    let result = |line: &str| line.rsplit_once("= ")?.1.trim().parse::<u64>().ok();
    text.lines().filter(of).filter_map(result).sum()
}

#[test]
fn a_byte_is_read_once_and_written_once() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    if !strace::works("a byte is read once and written once") {
        return;
    }
    const BYTES: [usize; 2] = [8 << 20, 40 << 20];
    let trees = Trees::new();
    let log = trees.path("log");
    let costs = BYTES.map(|bytes| {
        let (source, dest) = trees.large(bytes);
        trees.calls("copy", &[&source, &dest]);
        let copied = (
            moved(&log, &["read", "pread64"]),
            moved(&log, &["write", "pwrite64"]),
        );
        trees.calls("verify", &[&dest]);
        (copied, moved(&log, &["read", "pread64"]))
    });
    let bytes = (BYTES[1] - BYTES[0]) as f64;
    let [
        ((read, written), verified),
        ((more_read, more_written), more_verified),
    ] = costs;
    for (what, few, many) in [
        ("read by a copy", read, more_read),
        ("written by a copy", written, more_written),
        ("read by verify", verified, more_verified),
    ] {
        let each = (many - few) as f64 / bytes;
        support::tell(&format!("bytes {what}, for each of the file's: {each:.4}"));
        assert!((1.0..1.01).contains(&each), "{what}: {each}");
    }
}

/// A copy through the library.
fn copy(source: &Path, dest: &Path) {
    let mut options = CopyOptions::new([source], dest);
    options.tell_unchanged = false;
    let run = sprag::copy(options).unwrap();
    let last = run.last();
    let Some(Event::Finished { error: None, .. }) = last else {
        panic!("{last:?}");
    };
}

/// How many bytes are hashed meanwhile.
fn hashed(run: impl FnOnce()) -> u64 {
    let before = hashed_bytes();
    run();
    hashed_bytes() - before
}

#[test]
fn a_byte_is_hashed_once() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let trees = Trees::new();
    let made = [
        ("a large file's", trees.large(40 << 20), 40 << 20),
        ("small files'", trees.small(FEW), FEW as u64 * 3000),
    ];
    for (what, (source, dest), bytes) in made {
        let copied = hashed(|| copy(&source, &dest));
        let again = hashed(|| copy(&source, &dest));
        let verified = hashed(|| {
            let last = sprag::verify(VerifyOptions::new(&dest)).unwrap().last();
            let Some(VerifyEvent::Finished { error: None, .. }) = last else {
                panic!("{last:?}");
            };
        });
        let each = |hashed: u64| hashed as f64 / bytes as f64;
        let (copied, again, verified) = (each(copied), each(again), each(verified));
        support::tell(&format!(
            "bytes hashed for each of {what}: copy {copied:.4}, again {again:.4}, verify {verified:.4}"
        ));
        // A few more are those of what is to be verified.
        for once in [copied, verified] {
            assert!((1.0..1.001).contains(&once), "{what}: {once}");
        }
        assert_eq!(again, 0.0, "{what}");
    }
}

/// Allocations of a copy through the library, on all of its threads.
fn allocations(source: &Path, dest: &Path) -> usize {
    let region = Region::new(ALLOCATOR);
    copy(source, dest);
    let change = region.change();
    change.allocations + change.reallocations
}

#[test]
fn a_small_file_costs_few_allocations() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let trees = Trees::new();
    let made = [FEW, MANY].map(|files| trees.small(files));
    // As above: only then a copy made again has nothing to do.
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    for (what, most) in [("copied", 16.0), ("copied again", 8.0)] {
        let [few, many] = made
            .each_ref()
            .map(|(source, dest)| allocations(source, dest));
        let each = many.saturating_sub(few) as f64 / (MANY - FEW) as f64;
        support::tell(&format!("allocations a small file, {what}: {each:.1}"));
        assert!(each <= most, "{what}: {each}");
    }
}
