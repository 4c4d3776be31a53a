//! A process that is killed on a machine that goes on: what it wrote is there, but not durable.

use std::time::Duration;

use super::cases::Case;
use super::engine::Stop;
use crate::sim::SimFs;

/// Kills a run after each of an even sample of its steps, reruns it on the same machine, and then
/// cuts the power: the rerun's success has to be true of what the killed run had not flushed, too.
fn survives_kills(name: &str, scenario: &'static str) {
    let case = Case::named(name, scenario);
    let (log, expected) = case.recorded();
    let step = log.events.len().div_ceil(60);
    for cut in (0..=log.events.len()).step_by(step) {
        let fs = SimFs::after_kill(&log, cut, case.flush_by, Duration::ZERO);
        let end = expected.run(&fs, Stop::Never);
        let checked = (expected.check_end(&end))
            .and_then(|()| expected.check_result(&fs, false))
            .and_then(|()| expected.check_cut_now(&fs));
        if let Err(problem) = checked {
            panic!("{scenario}, killed after {cut} steps: {problem}");
        }
    }
}

#[test]
fn what_a_killed_run_left_unflushed_is_durable_after_the_rerun() {
    survives_kills("small files", "killed small files");
    survives_kills("overwriting", "killed overwriting");
    survives_kills("large file", "killed large file");
}

#[test]
fn what_a_killed_run_left_unflushed_is_durable_where_each_file_has_to_be_flushed() {
    survives_kills("small files each", "killed small files each");
    survives_kills("overwriting each", "killed overwriting each");
    survives_kills("adopting each", "killed adopting each");
    survives_kills("large file each", "killed large file each");
}
