//! Two failures in one run. What the first of them means for the run (the disk is full, the source is
//! gone: no reason to distrust what was written before) must not hide what the second one does (a flush
//! failed: nothing that it covered can be trusted any more).

use std::io::Write;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use sprag::exit::Exit;

use super::cases::Case;
use super::check::{Expected, FLUSH_TAKES};
use super::engine::{End, Stop};
use super::faults::{check_power_cuts, check_rerun};
use crate::sim::{Call, FaultPlan, SimFs};

/// In a quick run one pair in so many is tried, and for no longer than this.
const QUICK: usize = 4999;
const QUICK_TIME: Duration = Duration::from_secs(2);

fn is_long() -> bool {
    std::env::var_os("SPRAG_CRASH_STATES").is_some()
}

/// A run that met failures says so, or has everything right.
fn check_end(expected: &Expected, fs: &SimFs, end: &End) -> Result<(), String> {
    match end.exit {
        Exit::Done => {
            expected.check_result(fs, false)?;
            expected.check_cut_now(fs).map(drop)
        }
        _ if fs.failed_calls() == 0 => Err("failed without a failure".into()),
        // Refused: there is no room, and the run looked before it wrote anything.
        Exit::Io | Exit::DeviceGone | Exit::Refused => Ok(()),
        Exit::Partial if end.summary.failed.total() > 0 => Ok(()),
        exit => Err(format!("exit {}", exit.code())),
    }
}

/// What a run left that met failures is right after a power cut and a rerun, and after a rerun alone.
pub(super) fn survives(expected: &Expected, fs: &SimFs, end: &End) -> Result<(), String> {
    check_end(expected, fs, end)
        .and_then(|()| check_power_cuts(expected, fs))
        .and_then(|()| check_rerun(expected, fs))
        .map_err(|problem| format!("{problem}\n    after {}", end.describe()))
}

/// Goes through pairs of failures of a scenario; gives how many there were.
fn survives_pairs(name: &str, scenario: &'static str) -> usize {
    let case = Case::named(name, scenario);
    let (log, expected) = case.recorded();
    let mount = || expected.mount(log.base.clone(), Duration::ZERO);
    let fs = mount();
    expected.run(&fs, Stop::Never);
    let (every, time) = match is_long() {
        true => (1, Duration::MAX),
        false => (QUICK, QUICK_TIME),
    };
    let (mut pairs, started) = (0, Instant::now());
    let mut problems = Vec::new();
    for plans in FaultPlan::pairs(&fs.calls(), &FaultPlan::ERRNOS).step_by(every) {
        if started.elapsed() > time {
            break;
        }
        let fs = mount();
        fs.fail_in_ways(&plans);
        let end = expected.run(&fs, Stop::Never);
        if let Err(problem) = survives(&expected, &fs, &end) {
            problems.push(format!("{plans:?}: {problem}"));
        }
        pairs += 1;
    }
    assert!(problems.is_empty(), "{scenario}: {}", problems.join("\n"));
    pairs
}

#[test]
fn two_calls_may_fail_in_one_run() {
    let scenarios = [
        ("small files", "pairs small files"),
        ("small files each", "pairs small files each"),
        ("large file", "pairs large file"),
        ("large file each", "pairs large file each"),
    ];
    let survived = |(name, scenario): &(&str, &'static str)| survives_pairs(name, scenario);
    let pairs: usize = scenarios.iter().map(survived).sum();
    let line = format!("injected pairs of failures: {pairs}, violations: 0\n");
    // A closed stdout is no reason to fail.
    let _ = std::io::stdout().write_all(line.as_bytes());
}

/// Has each flush of a scenario fail in turn, also by finding no room for what a write had found some for.
fn each_flush_fails(name: &str, scenario: &'static str) {
    let case = Case::named(name, scenario);
    let (log, expected) = case.recorded();
    let fs = expected.mount(log.base.clone(), FLUSH_TAKES);
    expected.run(&fs, Stop::Never);
    let mut flushes = fs.calls();
    flushes.retain(|call, _| matches!(call, Call::SyncAll | Call::FileSync | Call::SyncDir));
    let mut fired = 0;
    let errnos = [Errno::IO, Errno::NOSPC];
    for flush in FaultPlan::each(&flushes, &errnos).filter(|plan| !plan.forever) {
        let fs = expected.mount(log.base.clone(), FLUSH_TAKES);
        fs.fail(flush);
        let end = expected.run(&fs, Stop::Never);
        fired += fs.failed_calls();
        survives(&expected, &fs, &end)
            .unwrap_or_else(|problem| panic!("{scenario}, {flush:?}: {problem}"));
    }
    assert!(fired > 3, "{fired}");
}

#[test]
fn after_any_flush_that_fails_nothing_that_it_lost_is_trusted() {
    each_flush_fails("block files", "flush fails, block files");
    each_flush_fails("large file", "flush fails, large file");
    each_flush_fails("large file each", "flush fails, large file each");
}
