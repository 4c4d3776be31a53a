//! Calls that fail, each once in turn and then for ever: the run says so, loses nothing, and the
//! next one puts it right, after a power cut or on the same machine.

use std::time::{Duration, Instant};

use sprag::exit::Exit;

use super::cases::Case;
use super::check::Expected;
use super::engine::{self, End, Stop};
use crate::sim::{CrashKind, FaultPlan, Replay, Rng, SimFs};

/// In a quick run one failure in so many is tried, and for no longer than this.
const QUICK: usize = 29;
const QUICK_TIME: Duration = Duration::from_secs(3);

/// Goes through the failing calls of a scenario; gives how many there were.
fn survives_faults(name: &str, scenario: &'static str) -> usize {
    let case = Case::named(name, scenario);
    let (log, expected) = case.recorded();
    let mount = || expected.mount(log.base.clone(), Duration::ZERO);
    let fs = mount();
    expected.run(&fs, Stop::Never);
    let (every, time) = match std::env::var_os("SPRAG_CRASH_STATES") {
        Some(_) => (1, Duration::MAX),
        None => (QUICK, QUICK_TIME),
    };
    let (mut plans, started) = (0, Instant::now());
    let mut problems = Vec::new();
    for plan in FaultPlan::each(&fs.calls(), &FaultPlan::ERRNOS).step_by(every) {
        if started.elapsed() > time {
            break;
        }
        let fs = mount();
        fs.fail(plan);
        let end = expected.run(&fs, Stop::Never);
        let checked = check_end(&expected, &fs, &plan, &end)
            .and_then(|()| check_power_cuts(&expected, &fs))
            .and_then(|()| check_rerun(&expected, &fs));
        if let Err(problem) = checked {
            problems.push(format!("{plan:?}: {problem}\n    after {}", end.describe()));
        }
        plans += 1;
    }
    assert!(problems.is_empty(), "{scenario}: {}", problems.join("\n"));
    plans
}

/// The run ends as it should, and says why.
fn check_end(expected: &Expected, fs: &SimFs, plan: &FaultPlan, end: &End) -> Result<(), String> {
    match end.exit {
        Exit::Done => {
            expected.check_result(fs, false)?;
            expected.check_cut_now(fs).map(drop)
        }
        _ if fs.failed_calls() == 0 => Err("failed without a failure".into()),
        Exit::Io if !plan.gone => says_why(plan, &end.error_text()),
        Exit::DeviceGone if plan.gone => says_why(plan, &end.error_text()),
        Exit::Partial if end.summary.files_failed > 0 => says_why(plan, &end.said.join(" ")),
        exit => Err(format!("exit {}", exit.code())),
    }
}

fn says_why(plan: &FaultPlan, text: &str) -> Result<(), String> {
    let cause = std::io::Error::from(plan.errno).to_string();
    match text.contains(&cause) && text.contains(engine::DEST) {
        true => Ok(()),
        false => Err(format!("says neither {cause:?} nor where: {text:?}")),
    }
}

/// A power cut after the failed run loses nothing, and a rerun then has it all.
fn check_power_cuts(expected: &Expected, fs: &SimFs) -> Result<(), String> {
    let log = fs.log();
    let replay = Replay::at_end(&log);
    for kind in [CrashKind::Nothing, CrashKind::All, CrashKind::Torn] {
        let disk = replay.disk(&replay.fates(kind, &mut Rng::of(&[3])));
        let problem = |problem| format!("power cut ({kind}) after it: {problem}");
        let checked = expected.check_names(&disk, replay.marks(), false);
        checked.map_err(problem)?;
        let fs = expected.mount(disk, Duration::ZERO);
        let end = expected.run(&fs, Stop::Never);
        let checked = (expected.check_end(&end))
            .and_then(|()| expected.check_result(&fs, false))
            .and_then(|()| expected.check_nothing_left(&fs, false));
        checked.map_err(problem)?;
    }
    Ok(())
}

/// So does a rerun on the same machine, whose success outlives a power cut.
fn check_rerun(expected: &Expected, fs: &SimFs) -> Result<(), String> {
    fs.heal();
    let end = expected.run(fs, Stop::Never);
    let checked = (expected.check_end(&end))
        .and_then(|()| expected.check_result(fs, false))
        .and_then(|()| expected.check_cut_now(fs));
    checked.map_err(|problem| format!("rerun: {problem}"))?;
    Ok(())
}

#[test]
fn every_call_may_fail_while_small_files_are_copied() {
    survives_faults("small files", "faults small files");
    survives_faults("small files each", "faults small files each");
}

#[test]
fn every_call_may_fail_while_a_large_file_is_copied() {
    survives_faults("large file", "faults large file");
    survives_faults("large file each", "faults large file each");
}

#[test]
fn every_call_may_fail_while_files_are_replaced_and_adopted() {
    survives_faults("overwriting", "faults overwriting");
    survives_faults("overwriting each", "faults overwriting each");
    survives_faults("adopting each", "faults adopting each");
    survives_faults("compacting", "faults compacting");
}
