//! Calls that fail, each once in turn and then for ever: the run says so, loses nothing, and the
//! next one puts it right, after a power cut or on the same machine.

use std::io::Write;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use sprag::error::Reason;
use sprag::exit::Exit;

use super::cases::Case;
use super::check::Expected;
use super::engine::{self, End, Stop};
use super::histories::strangers_copy;
use crate::explore::hurry;
use crate::sim::{Call, CrashKind, Disk, FaultPlan, Log, Replay, Rng, SimFs};

/// In a quick run one failure in so many is tried, and for no longer than this.
const QUICK: usize = 29;
const QUICK_TIME: Duration = Duration::from_millis(1500);

/// A scenario to be gone through, and the name it is recorded under here.
type Scenario = (&'static str, &'static str);

/// Goes through the failing calls of a scenario, from its beginning or from what a power cut left of
/// it; gives how many there were.
fn survives_faults((name, scenario): Scenario, cut: Option<CrashKind>) -> usize {
    let case = Case::named(name, scenario);
    let (log, expected) = case.recorded();
    let disk = match cut {
        Some(kind) => cut_late(&log, kind),
        None => log.base.clone(),
    };
    let mount = || expected.mount(disk.clone(), Duration::ZERO);
    let fs = mount();
    expected.run(&fs, Stop::Never);
    let (every, time) = match std::env::var_os("SPRAG_CRASH_STATES") {
        Some(_) => (1, Duration::MAX),
        None => (QUICK, hurry(QUICK_TIME).unwrap_or(Duration::MAX)),
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

/// The disk after a power cut when three quarters of the recording were over.
fn cut_late(log: &Log, kind: CrashKind) -> Disk {
    let mut replay = Replay::new(log, None);
    while replay.cut() < log.events.len() * 3 / 4 && replay.step() {}
    replay.disk(&replay.fates(kind, &mut Rng::of(&[4])))
}

/// The run ends as it should, and says why.
pub(super) fn check_end(
    expected: &Expected,
    fs: &SimFs,
    plan: &FaultPlan,
    end: &End,
) -> Result<(), String> {
    match end.exit {
        Exit::Done => {
            expected.check_result(fs, false)?;
            expected.check_cut_now(fs).map(drop)
        }
        _ if fs.failed_calls() == 0 => Err("failed without a failure".into()),
        // There is no room, and the run looked before it wrote anything.
        Exit::Refused if plan.forever && plan.errno == Errno::NOSPC => Ok(()),
        Exit::Io if !plan.gone => says_why(plan, &end.error_text()),
        // "No such device" from a write is believed, whatever the root says.
        Exit::DeviceGone if plan.gone || plan.errno == Errno::NODEV => {
            says_why(plan, &end.error_text())
        }
        Exit::Partial if end.summary.failed.total() > 0 => {
            says_why(plan, &end.said.join(" "))?;
            // What failed is not on record as if it were there.
            fs.heal();
            match engine::verify(fs) {
                Err(wrong) if wrong.contains("Missing") => Err(wrong),
                _ => Ok(()),
            }
        }
        exit => Err(format!("exit {}", exit.code())),
    }
}

/// The text names the place and the failure. Where a write tells of what earlier ones lost, the
/// flush that runs beside it tells of the same loss, as an I/O error, and either may come first.
fn says_why(plan: &FaultPlan, text: &str) -> Result<(), String> {
    let mut causes = vec![plan.errno];
    if plan.loses_earlier {
        causes.push(Errno::IO);
    }
    let told = |errno: Errno| text.contains(&Reason(&errno.into()).to_string());
    match causes.iter().copied().any(told) && text.contains(engine::DEST) {
        true => Ok(()),
        false => Err(format!("says neither {causes:?} nor where: {text:?}")),
    }
}

/// A power cut after the failed run loses nothing, and a rerun then has it all.
pub(super) fn check_power_cuts(expected: &Expected, fs: &SimFs) -> Result<(), String> {
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
pub(super) fn check_rerun(expected: &Expected, fs: &SimFs) -> Result<(), String> {
    fs.heal();
    let end = expected.run(fs, Stop::Never);
    let checked = (expected.check_end(&end))
        .and_then(|()| expected.check_result(fs, false))
        .and_then(|()| expected.check_cut_now(fs));
    checked.map_err(|problem| format!("rerun: {problem}"))?;
    Ok(())
}

/// What a stranger copied and nobody flushed yet is adopted while a flush fails: that the cache
/// still shows it later says nothing about the medium.
fn adopts_what_is_durable(name: &str, scenario: &'static str) {
    let case = Case::named(name, scenario);
    let (_, expected) = case.recorded();
    let copied = strangers_copy(case.flush_by, &expected.source).log();
    let mount = || SimFs::after_kill(&copied, copied.events.len(), case.flush_by, Duration::ZERO);
    let fs = mount();
    expected.run(&fs, Stop::Never);
    let mut flushes = fs.calls();
    flushes.retain(|call, _| matches!(call, Call::FileSync | Call::SyncDir | Call::SyncAll));
    for plan in FaultPlan::each(&flushes, &[Errno::IO]) {
        let fs = mount();
        fs.fail(plan);
        let end = expected.run(&fs, Stop::Never);
        if let Err(problem) = check_rerun(&expected, &fs) {
            panic!(
                "{scenario}, {plan:?}: {problem}\n    after {}",
                end.describe()
            );
        }
    }
}

#[test]
fn what_a_failed_flush_lost_is_not_adopted_from_the_cache() {
    adopts_what_is_durable("adopting", "faults unflushed");
    adopts_what_is_durable("adopting each", "faults unflushed each");
}

/// Goes through several scenarios and says how many failures that were.
fn survive_faults(scenarios: &[Scenario], cut: Option<CrashKind>) {
    let survived = |scenario: &Scenario| survives_faults(*scenario, cut);
    let failures: usize = scenarios.iter().map(survived).sum();
    let line = format!("injected failures: {failures}, violations: 0\n");
    // A closed stdout is no reason to fail.
    let _ = std::io::stdout().write_all(line.as_bytes());
}

#[test]
fn a_directory_that_can_hold_no_more_names_fails_its_own_entries_and_no_others() {
    let case = Case::named("block files", "full directory");
    let (log, expected) = case.recorded();
    let fs = expected.mount(log.base.clone(), Duration::ZERO);
    fs.fail(FaultPlan {
        only: Some(Call::CreateNew),
        ..FaultPlan::once(5, Errno::NOSPC)
    });
    let end = expected.run(&fs, Stop::Never);
    let (files, failed) = (end.summary.files_copied, end.summary.failed.total());
    assert_eq!(
        (end.exit, files, failed),
        (Exit::Partial, 14, 1),
        "{}",
        end.describe()
    );
    assert!(
        end.said[0].contains("can hold no more names"),
        "{}",
        end.describe()
    );
    expected
        .check_end(&expected.run(&fs, Stop::Never))
        .expect("a rerun copies it");
}

#[test]
fn every_call_may_fail_while_small_files_are_copied() {
    let scenarios = [
        ("small files", "faults small files"),
        ("small files each", "faults small files each"),
    ];
    survive_faults(&scenarios, None);
}

#[test]
fn every_call_may_fail_while_a_large_file_is_copied() {
    let scenarios = [
        ("large file", "faults large file"),
        ("large file each", "faults large file each"),
    ];
    survive_faults(&scenarios, None);
}

#[test]
fn every_call_may_fail_while_files_are_replaced_and_adopted() {
    let scenarios = [
        ("overwriting", "faults overwriting"),
        ("overwriting each", "faults overwriting each"),
        ("adopting each", "faults adopting each"),
        ("compacting", "faults compacting"),
    ];
    survive_faults(&scenarios, None);
}

#[test]
fn every_call_may_fail_while_a_run_recovers() {
    let scenarios = [
        ("small files each", "faults recovering small files"),
        ("block files", "faults recovering block files"),
        ("large file", "faults recovering large file"),
    ];
    survive_faults(&scenarios, Some(CrashKind::All));
    survive_faults(&scenarios, Some(CrashKind::Torn));
}

/// Has a flush of everything lose data and say nothing of it, as on overlayfs.
fn is_flushed_by_file(name: &str, scenario: &'static str) {
    let case = Case::named(name, scenario);
    let (log, expected) = case.recorded();
    let fs = expected.mount(log.base.clone(), Duration::ZERO);
    fs.fail(FaultPlan {
        only: Some(Call::SyncAll),
        forever: true,
        untold: true,
        ..FaultPlan::once(1, Errno::IO)
    });
    let end = expected.run(&fs, Stop::Never);
    (expected.check_end(&end))
        .and_then(|()| expected.check_result(&fs, false))
        .and_then(|()| expected.check_cut_now(&fs).map(drop))
        .unwrap_or_else(|problem| panic!("{scenario}: {problem}"));
}

#[test]
fn where_each_file_has_to_be_flushed_nothing_depends_on_a_flush_of_everything() {
    is_flushed_by_file("small files each", "untold small files each");
    is_flushed_by_file("large file each", "untold large file each");
    is_flushed_by_file("overwriting each", "untold overwriting each");
    is_flushed_by_file("deleting each", "untold deleting each");
}

/// Has the system lose what was written to a file while it writes it out by itself, after each write
/// or after a sample of them.
fn hears_of_losses(name: &str, scenario: &'static str) {
    let case = Case::named(name, scenario);
    let (log, expected) = case.recorded();
    let mount = || expected.mount(log.base.clone(), Duration::ZERO);
    let fs = mount();
    expected.run(&fs, Stop::Never);
    let writes = fs.calls()[&Call::FileWrite];
    let every = match std::env::var_os("SPRAG_CRASH_STATES") {
        Some(_) => 1,
        None => writes.div_ceil(12),
    };
    for at in (1..=writes).step_by(every as usize) {
        let plan = FaultPlan {
            only: Some(Call::FileWrite),
            background: true,
            ..FaultPlan::once(at, Errno::IO)
        };
        let fs = mount();
        fs.fail(plan);
        let end = expected.run(&fs, Stop::Never);
        check_end(&expected, &fs, &plan, &end)
            .and_then(|()| check_power_cuts(&expected, &fs))
            .and_then(|()| check_rerun(&expected, &fs))
            .unwrap_or_else(|problem| {
                panic!(
                    "{scenario}, {plan:?}: {problem}\n    after {}",
                    end.describe()
                )
            });
    }
}

#[test]
fn what_the_system_could_not_write_out_by_itself_is_heard_of() {
    hears_of_losses("small files", "losses small files");
    hears_of_losses("large file", "losses large file");
    hears_of_losses("small files each", "losses small files each");
    hears_of_losses("large file each", "losses large file each");
}
