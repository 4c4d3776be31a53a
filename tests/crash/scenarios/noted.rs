//! Verifications note in the manifest what they did: whatever a power cut leaves of that, the copy is still
//! known to be whole, and both the next verification and the next copy go on from there.

use std::sync::Arc;
use std::time::Duration;

use sprag::event::{VerifyEvent, VerifySummary};
use sprag::exit::Exit;
use sprag::fs::FlushBy;
use sprag::{VerifyOptions, VerifyRun};

use super::check::FLUSH_TAKES;
use super::engine::{self, DEST, DONE, Stop};
use super::source::{BLOCK, Source};
use super::tree;
use crate::explore::{Budget, CrashState, Exploration, recorded};
use crate::sim::{Replay, SimFs};

const STATES: Budget = Budget {
    states: 300,
    time: Some(Duration::from_secs(6)),
};

fn verify(fs: &SimFs, older_than: Option<Duration>) -> Result<VerifySummary, String> {
    let mut options = VerifyOptions::new(DEST);
    options.record = true;
    options.older_than = older_than;
    let run = VerifyRun::start_on(Arc::new(fs.clone()), options);
    let run = run.map_err(|error| format!("verify: {error}"))?;
    for event in run {
        match event {
            VerifyEvent::Warning(text) | VerifyEvent::Unnoted(text) => {
                return Err(format!("verify: {text}"));
            }
            VerifyEvent::Finished { summary, error } => {
                return match summary.exit_code {
                    Exit::Done => Ok(*summary),
                    _ => Err(format!("verify: {summary:?} {error:?}")),
                };
            }
            _ => {}
        }
    }
    Err("verify ended without a last event".into())
}

fn check(source: &Source, flush_by: FlushBy, state: CrashState<'_>) -> Result<(), String> {
    let good = tree::of_source(&source.dir);
    tree::holds(&tree::of_disk(&state.disk).tree, &good)?;
    let fs = SimFs::with_disk(state.disk, flush_by, Duration::ZERO);
    let hour = Some(Duration::from_secs(3600));
    let again = verify(&fs, hour)?;
    if state.marks.contains(&DONE) && again.ok.total() > 0 {
        return Err(format!("what was noted is forgotten: {again:?}"));
    }
    let end = engine::run(&fs, engine::options(&source.dir), Stop::Never);
    if end.exit != Exit::Done || end.summary.files_copied > 0 {
        return Err(format!("the copy after it: {}", end.describe()));
    }
    verify(&fs, None).map(drop)
}

fn survives_power_cuts(scenario: &str, flush_by: FlushBy) {
    let source = Source::of(scenario);
    source.clear();
    source.file("large", 1, 5 * BLOCK + 7);
    source.file("d/small", 1, 5000);
    source.dir_time("d");
    source.dir_time(".");
    let log = recorded(scenario, || {
        let fs = SimFs::new(flush_by);
        let end = engine::run(&fs, engine::options(&source.dir), Stop::Never);
        assert_eq!(end.exit, Exit::Done, "{}", end.describe());
        fs.sync_all().expect("a disk without faults");
        let disk = Replay::at_end(&fs.log()).disk(&[]);
        let fs = SimFs::with_disk(disk, flush_by, FLUSH_TAKES);
        let first = verify(&fs, None).expect("a verification that nothing disturbs");
        assert!(first.ok.total() > 2);
        fs.mark(DONE);
        verify(&fs, None).expect("a verification that nothing disturbs");
        fs.log()
    });
    let exploration = Exploration::of(scenario, &log, STATES);
    exploration
        .run(|state| check(&source, flush_by, state))
        .conclude();
}

#[test]
fn what_a_verification_notes_survives_power_cuts() {
    survives_power_cuts("verifying", FlushBy::Whole);
}

#[test]
fn what_a_verification_notes_survives_power_cuts_where_each_file_has_to_be_flushed() {
    survives_power_cuts("verifying each", FlushBy::Each);
}
