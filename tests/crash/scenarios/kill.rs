//! A process that is killed on a machine that goes on: what it wrote is there, but not durable.

use std::time::Duration;

use super::cases::Case;
use super::check::FLUSH_TAKES;
use super::engine::{self, CHECKPOINT_BYTES, DONE, Stop};
use super::tree;
use crate::explore::{Budget, Exploration, is_long, is_passed_over, recorded, saved_log};
use crate::sim::SimFs;

/// After so many steps of a run it is killed, in a quick run.
const QUICK_KILLS: usize = 14;
/// What is looked at of the rerun's beginning, and of all of it.
const QUICK_CUTS: [u64; 2] = [14, 6];

/// Kills a run after each of an even sample of its steps, reruns it on the same machine, and then
/// cuts the power: the rerun's success has to be true of what the killed run had not flushed, too. Where
/// nothing was there before and nothing is lost, every final name is on record.
fn survives_kills(name: &str, scenario: &'static str) {
    let case = Case::named(name, scenario);
    let (log, expected) = case.recorded();
    let step = log.events.len().div_ceil(60);
    for cut in (0..=log.events.len()).step_by(step) {
        let fs = SimFs::after_kill(&log, cut, case.flush_by, Duration::ZERO);
        let loses = cut / step % 2 == 1;
        if loses {
            fs.lose_unheard();
        }
        let end = expected.run(&fs, Stop::Never);
        let adopted = end.summary.files_adopted;
        let may_adopt = loses || tree::bytes(&expected.old) > 0;
        let checked = (expected.check_end(&end))
            .and_then(|()| match may_adopt || adopted == 0 {
                true => Ok(()),
                false => Err(format!("{adopted} final names were not on record")),
            })
            .and_then(|()| expected.check_result(&fs, false))
            .and_then(|()| expected.check_cut_now(&fs));
        if let Err(problem) = checked {
            panic!("{scenario}, killed after {cut} steps: {problem}");
        }
    }
}

/// Kills a run after each of an even sample of its steps, and cuts the power in the rerun on the same
/// machine: what the rerun took for proved has to be durable before it says so.
fn survives_cuts_after_kills(name: &str, scenario: &'static str) {
    let case = Case::named(name, scenario);
    let (log, expected) = case.recorded();
    let kills = match is_long() {
        true => 10 * QUICK_KILLS,
        false => QUICK_KILLS,
    };
    // Of a run that was over its success would be told, and the rerun sets modes of directories for its work.
    let over = log.mark(DONE).expect("a run that comes to its end");
    let step = over.div_ceil(kills).max(1);
    for killed in (step..=over).step_by(step) {
        let scenario = format!("{scenario}, killed after {killed}");
        if is_passed_over(&scenario) {
            continue;
        }
        let both = recorded(&scenario, || {
            let fs = SimFs::after_kill(&log, killed, case.flush_by, FLUSH_TAKES);
            expected.run(&fs, Stop::Never);
            fs.log()
        });
        let end = both.events.len();
        // Most of what can go wrong does before the first barrier of what is copied anew.
        let early = killed..killed + (end - killed) / 4;
        for (cuts, states) in [early, killed..end + 1].into_iter().zip(QUICK_CUTS) {
            let budget = Budget { states, time: None };
            let exploration = Exploration {
                cuts,
                ..Exploration::of(&scenario, &both, budget)
            };
            let explored = expected.explore_as(&exploration);
            assert_eq!(explored.violations, [""; 0], "{scenario}");
        }
        let _ = std::fs::remove_file(saved_log(&scenario));
    }
}

/// What was written when the flush of a barrier began is on record by then.
#[test]
fn what_a_run_had_written_when_it_was_killed_during_a_flush_is_not_copied_again() {
    let scenario = "killed during a flush";
    let case = Case::named("large file", scenario);
    let (_, expected) = case.recorded();
    let fs = SimFs::new(case.flush_by);
    let mut options = engine::options(&expected.source.dir);
    // Only so much that is written makes a barrier due.
    options.checkpoint_interval = Duration::from_secs(3600);
    engine::run(&fs, options, Stop::Never);
    let log = fs.log();
    let began = log.flush_behind(CHECKPOINT_BYTES);
    let killed = began.expect("a barrier") + 1;
    let fs = SimFs::after_kill(&log, killed, case.flush_by, Duration::ZERO);
    let end = expected.run(&fs, Stop::Never);
    expected
        .check_end(&end)
        .expect("a rerun that nothing disturbs");
    let missing = tree::bytes(&expected.after) - CHECKPOINT_BYTES;
    assert!(
        end.summary.bytes_copied <= missing,
        "more than {missing}: {}",
        end.describe()
    );
}

#[test]
fn what_a_rerun_proves_of_a_killed_run_is_durable_before_it_is_trusted() {
    survives_cuts_after_kills("small files", "cut after a kill, small files");
    survives_cuts_after_kills("large file", "cut after a kill, large file");
    survives_cuts_after_kills("deleting", "cut after a kill, deleting");
}

#[test]
fn what_a_rerun_proves_of_a_killed_run_is_durable_where_each_file_has_to_be_flushed() {
    survives_cuts_after_kills("small files each", "cut after a kill, small files each");
    survives_cuts_after_kills("large file each", "cut after a kill, large file each");
}

#[test]
fn what_a_killed_run_left_unflushed_is_durable_after_the_rerun() {
    survives_kills("small files", "killed small files");
    survives_kills("overwriting", "killed overwriting");
    survives_kills("deleting", "killed deleting");
    survives_kills("only deleting", "killed while only deleting");
    survives_kills("metadata mends", "killed while mending");
    survives_kills("large file", "killed large file");
}

#[test]
fn what_a_killed_run_left_unflushed_is_durable_where_each_file_has_to_be_flushed() {
    survives_kills("small files each", "killed small files each");
    survives_kills("overwriting each", "killed overwriting each");
    survives_kills("adopting each", "killed adopting each");
    survives_kills("large file each", "killed large file each");
}
