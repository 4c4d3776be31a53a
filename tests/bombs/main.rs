//! Manifests of 16 MiB that are made to cost as much as they can.
//!
//! Each command that reads a manifest refuses it or begins within 10 seconds, stays below 256 MiB of memory, and ends
//! within a second of Ctrl-C, whatever the manifest says. Memory is bounded by the length of the manifest and never by
//! a number in it. SECURITY.md states how much each kind of record can command.
//!
//! It is a program of its own, and its tests run one after the other, because they measure time and memory. With
//! `SPRAG_FIGURES=1` in the environment and `--nocapture`, each figure is printed.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
#[allow(dead_code)] // It has what the tests of the binary need.
mod support;

use std::fs;
use std::io::Read;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::forger::{Forger, begin, blocks, cut, done, forger, link, number, text};
use crate::support::*;

const MANIFEST_BYTES: usize = 16 << 20;
/// Maximum resident memory of a command.
const MEMORY_BYTES_MAX: u64 = 256 << 20;
/// Time until a command has refused a manifest or said something.
const BEGIN_WITHIN: Duration = Duration::from_secs(10);
/// Time from Ctrl-C until a command is over.
const END_WITHIN: Duration = Duration::from_secs(1);
/// Time for which a command is watched after it said something: briefly, since there are a hundred of them, or for
/// figures.
const WATCHED_FOR: Duration = Duration::from_secs(1);
const WATCHED_FOR_FIGURES: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Fills a manifest with records.
type Bomb = (&'static str, fn(&mut Forger));

const PATHS: [Bomb; 6] = [
    ("done files of the greatest size", |forger| {
        fill(forger, |nth, _| {
            done(&name(nth), 1 << 60, &[7; 32], &[0], 0)
        });
    }),
    ("begun files", |forger| {
        fill(forger, |nth, _| begin(&name(nth), 1 << 60));
    }),
    ("links that are wanted", |forger| {
        fill(forger, |nth, _| wanted(&name(nth)));
    }),
    ("links to links", |forger| {
        fill(forger, |nth, _| link(&name(nth + 1), &name(nth)));
    }),
    ("a file of many empty lists of blocks", |forger| {
        let begun = forger.frame(&begin(b"large", 1 << 60));
        let mut prev = begun;
        fill(forger, |_, pos| {
            let record = blocks(begun, prev, 0, &[]);
            prev = pos;
            record
        });
    }),
    ("a file that is cut off again and again", |forger| {
        let begun = forger.frame(&begin(b"large", 1 << 60));
        let mut prev = begun;
        fill(forger, |_, pos| {
            let record = cut(begun, prev, 0);
            prev = pos;
            record
        });
    }),
];

const VERIFICATIONS: [Bomb; 4] = [
    ("a date for each path", |forger| {
        let run = forger.frame(&VERIFY_BEGIN);
        while has_room(forger) {
            let pos = forger.frame(&wanted(&name(forger.bytes.len() as u64)));
            forger.frame(&verified(run, pos, &[(pos, 1)]));
        }
    }),
    ("a span for each path, on top of one for all", |forger| {
        let run = forger.frame(&VERIFY_BEGIN);
        let mut starts = Vec::new();
        // A span takes two bytes.
        while forger.bytes.len() + 2 * starts.len() < MANIFEST_BYTES {
            starts.push(forger.frame(&wanted(&name(forger.bytes.len() as u64))));
        }
        forger.frame(&verified(run, 1, &[(0, 1 << 40)]));
        for starts in starts.chunks(SPANS_MAX) {
            let mut end = 0;
            let spans = starts.iter().map(|start| {
                let gap = start - end;
                end = start + 1;
                (gap, 1)
            });
            forger.frame(&verified(run, 2, &spans.collect::<Vec<_>>()));
        }
    }),
    ("findings", |forger| {
        let run = forger.frame(&VERIFY_BEGIN);
        fill(forger, |nth, _| {
            [&[15][..], &number(run), &number(nth), &[3]].concat()
        });
    }),
    ("findings of many ranges", |forger| {
        let run = forger.frame(&VERIFY_BEGIN);
        let ranges = [number(4096), vec![0; 2 * 4096]].concat();
        fill(forger, |nth, _| {
            let (run, pos) = (number(run), number(nth));
            [&[15][..], &run, &pos, &[1], &ranges, &[0; 4]].concat()
        });
    }),
];

const LENGTHS: [Bomb; 6] = [
    ("removals", |forger| fill(forger, |_, _| vec![10, 0])),
    ("verifications of more spans than there may be", |forger| {
        fill(forger, |nth, _| verified(0, nth, &[(1, 1); 500_000]));
    }),
    ("runs of more sources than there may be", |forger| {
        let sources = [number(1_000_000), vec![0; 1_000_000]].concat();
        fill(forger, |_, _| [&[0, 1][..], &sources].concat());
    }),
    ("runs of more failures than there may be", |forger| {
        let failures = [number(500_000), vec![0; 1_000_000]].concat();
        fill(forger, |_, _| [&[1, 1, 0, 0, 0, 0][..], &failures].concat());
    }),
    ("paths that are announced and not there", |forger| {
        fill(forger, |_, _| {
            [&[10][..], &number(16 << 20), &[0; 100_000]].concat()
        });
    }),
    ("lengths that begin no frame", |forger| {
        forger.frame(&done(b"a", 0, &[7; 32], &[0], 0));
        forger.barriers();
        let left = MANIFEST_BYTES - forger.bytes.len();
        forger.bytes.extend([0x10, 0x10, 0, 0].repeat(left / 4));
    }),
];

/// Number of spans that one record may hold.
const SPANS_MAX: usize = 16_384;

const VERIFY_BEGIN: [u8; 5] = [13, 0, 0, 0, 0];

fn has_room(forger: &Forger) -> bool {
    forger.bytes.len() < MANIFEST_BYTES
}

/// Appends records, each made from its number and its position, until the manifest is long enough.
fn fill(forger: &mut Forger, mut record: impl FnMut(u64, u64) -> Vec<u8>) {
    let mut nth = 0;
    while has_room(forger) {
        let pos = forger.bytes.len() as u64;
        forger.frame(&record(nth, pos));
        nth += 1;
    }
}

/// Returns a short path for each number.
fn name(mut nth: u64) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    let mut name = Vec::new();
    while name.is_empty() || nth > 0 {
        name.push(DIGITS[(nth % 64) as usize]);
        nth /= 64;
    }
    name
}

/// Returns the smallest record of a path that counts.
fn wanted(path: &[u8]) -> Vec<u8> {
    [&[8][..], &text(path), &text(b"a")].concat()
}

fn verified(run: u64, at_ms: u64, spans: &[(u64, u64)]) -> Vec<u8> {
    let count = number(spans.len() as u64);
    let mut record = [&[14][..], &number(run), &number(at_ms), &[0], &count].concat();
    for (gap, len) in spans {
        record.extend_from_slice(&number(*gap));
        record.extend_from_slice(&number(*len));
    }
    record
}

const COMMANDS: [&[&str]; 6] = [
    &["status"],
    &["verify"],
    &["verify", "--sample=5%"],
    &["export"],
    &["copy", "-n"],
    &["copy"],
];

/// A source, and a destination with a hostile manifest.
struct Target {
    temp: tempfile::TempDir,
    manifest: Vec<u8>,
}

impl Target {
    fn new((_, fill): Bomb, vouched: bool) -> Target {
        let temp = journaled_dir();
        let mut forger = forger(temp.path());
        fill(&mut forger);
        if vouched {
            forger.barriers();
        }
        let manifest = std::mem::take(&mut forger.bytes);
        Target { temp, manifest }
    }

    /// Starts a command on the manifest as it was made.
    fn start(&self, command: &[&str]) -> Running {
        let (source, dest) = (
            self.temp.path().join("source/."),
            self.temp.path().join("dest"),
        );
        let _ = fs::remove_file(dest.join(".sprag/manifest.bak"));
        fs::write(dest.join(".sprag/manifest"), &self.manifest).unwrap();
        let mut process = sprag();
        process.args(command);
        if command[0] == "copy" {
            process.arg(source);
        }
        process.arg(dest);
        process.stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = process.spawn().unwrap();
        let (says, heard) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        let stderr = child.stderr.take().unwrap();
        let pipes: [Box<dyn Read + Send>; 2] = [Box::new(stdout), Box::new(stderr)];
        for mut pipe in pipes {
            let says = says.clone();
            std::thread::spawn(move || {
                let mut buf = vec![0; 64 << 10];
                while let Ok(1..) = pipe.read(&mut buf) {
                    let _ = says.send(());
                }
            });
        }
        Running {
            child,
            started,
            heard,
            peak_bytes: 0,
        }
    }
}

/// A command that is being watched.
struct Running {
    child: Child,
    started: Instant,
    /// A message for each piece of output; closed at its end.
    heard: Receiver<()>,
    peak_bytes: u64,
}

impl Running {
    /// Waits until the command says something or ends; returns how long that took.
    fn until_it_begins(&mut self, limit: Duration) -> Option<Duration> {
        while self.heard.recv_timeout(POLL_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            self.measure();
            if self.started.elapsed() > limit {
                return None;
            }
        }
        Some(self.started.elapsed())
    }

    /// Waits until the command is over; `false` if it is not over in time.
    fn is_over_within(&mut self, limit: Duration) -> bool {
        let since = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            self.measure();
            if since.elapsed() > limit {
                return false;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        true
    }

    /// Sends Ctrl-C; returns how long the command goes on. `None`: too long, and it was killed.
    fn interrupt(&mut self) -> Option<Duration> {
        let since = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        if self.is_over_within(END_WITHIN) {
            return Some(since.elapsed());
        }
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        None
    }

    fn measure(&mut self) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
        if let Some(kib) = kib.and_then(|kib| kib.parse::<u64>().ok()) {
            self.peak_bytes = self.peak_bytes.max(kib << 10);
        }
    }
}

/// Held by the test that runs.
static ALONE: Mutex<()> = Mutex::new(());

fn try_all(bombs: &[Bomb]) {
    let _alone = ALONE.lock();
    for bomb in bombs {
        for vouched in [true, false] {
            let target = Target::new(*bomb, vouched);
            for command in COMMANDS {
                // Only a copy that writes minds what is not vouched for.
                if vouched || command == ["copy"] {
                    try_one(&format!("{}, vouched {vouched}", bomb.0), &target, command);
                }
            }
        }
    }
}

fn try_one(what: &str, target: &Target, command: &[&str]) {
    let what = format!("{what}: sprag {}", command.join(" "));
    let prints = std::env::var_os("SPRAG_FIGURES").is_some();
    let mut running = target.start(command);
    let Some(began) = running.until_it_begins(BEGIN_WITHIN) else {
        running.interrupt();
        panic!("{what}: nothing after {BEGIN_WITHIN:?}");
    };
    let watched_for = match prints {
        true => WATCHED_FOR_FIGURES,
        false => WATCHED_FOR,
    };
    if !running.is_over_within(watched_for) {
        let ended = running.interrupt();
        assert!(ended.is_some(), "{what}: goes on after Ctrl-C");
    }
    let (peak, took) = (running.peak_bytes, running.started.elapsed());
    // Once more, to stop it while it reads the manifest.
    let mut running = target.start(command);
    let mut ended = Some(Duration::ZERO);
    if !running.is_over_within(began / 2) {
        ended = running.interrupt();
    }
    if prints {
        let code = running.child.wait().unwrap().code();
        tell(&format!(
            "{what}: {} MiB, {began:.1?}, {took:.1?}, Ctrl-C {ended:.1?} {code:?}",
            peak >> 20
        ));
    }
    assert!(ended.is_some(), "{what}: goes on reading after Ctrl-C");
    assert!(peak > 0 || took < END_WITHIN, "{what}: was not measured");
    assert!(peak < MEMORY_BYTES_MAX, "{what}: {} MiB", peak >> 20);
}

#[test]
fn a_manifest_of_nothing_but_paths_is_read_in_bounded_memory_and_can_be_interrupted() {
    try_all(&PATHS);
}

#[test]
fn a_manifest_of_nothing_but_verifications_is_read_in_bounded_memory_and_can_be_interrupted() {
    try_all(&VERIFICATIONS);
}

#[test]
fn a_manifest_of_lengths_that_lie_is_refused_in_bounded_memory_and_can_be_interrupted() {
    try_all(&LENGTHS);
}
