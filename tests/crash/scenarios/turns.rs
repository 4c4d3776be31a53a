//! Two sources that stand under one name in turn, as on a mount point to which drives come and go.

use std::time::Duration;

use sprag::exit::Exit;
use sprag::fs::FlushBy;

use super::check::FLUSH_TAKES;
use super::engine::{self, Stop};
use super::source::{BLOCK, Source};
use super::sources::built;
use super::tree;
use crate::explore::{Budget, Exploration, is_long, recorded};
use crate::sim::{Replay, SimFs};

/// Two sources that stand under one name in turn. What tells their files apart stays as it is.
struct Turns {
    /// The name.
    shown: Source,
    both: [Source; 2],
}

impl Turns {
    fn new(scenario: &str) -> Turns {
        let both = [1, 2].map(|version| {
            let source = Source::of(&format!("{scenario} {version}"));
            built(&source, version);
            source
        });
        let shown = Source::of(scenario);
        Turns { shown, both }
    }

    /// Lets the first or the second one have the name.
    fn show(&self, nth: usize) {
        let _ = std::fs::remove_file(&self.shown.dir);
        let shown = std::os::unix::fs::symlink(&self.both[nth].dir, &self.shown.dir);
        shown.expect("a symlink can be made");
    }

    /// The first source is copied again, over what was left of it and of the second.
    fn check(&self, fs: &SimFs) -> Result<(), String> {
        self.show(0);
        let end = engine::run(fs, engine::options(&self.shown.dir), Stop::Never);
        if end.exit != Exit::Done {
            return Err(end.describe());
        }
        tree::holds(
            &tree::of_disk(&fs.disk()).tree,
            &tree::of_source(&self.both[0].dir),
        )?;
        engine::verify(fs)
    }
}

/// Half of a file is copied and trusted; another one is copied under its name, killed or cut off; then the
/// first one is copied on.
fn is_never_mixed(scenario: &str, flush_by: FlushBy) {
    let turns = Turns::new(scenario);
    let log = recorded(scenario, || {
        turns.show(0);
        let fs = SimFs::new(flush_by);
        let half = Stop::At(BLOCK as u64);
        let end = engine::run(&fs, engine::options(&turns.shown.dir), half);
        assert_eq!(end.exit, Exit::Stopped, "{}", end.describe());
        fs.sync_all().expect("a disk without faults");
        let disk = Replay::at_end(&fs.log()).disk(&[]);
        turns.show(1);
        let fs = SimFs::with_disk(disk, flush_by, FLUSH_TAKES);
        let end = engine::run(&fs, engine::options(&turns.shown.dir), Stop::Never);
        assert_eq!(end.exit, Exit::Done, "{}", end.describe());
        fs.log()
    });
    for killed in (0..=log.events.len()).step_by(3) {
        let fs = SimFs::after_kill(&log, killed, flush_by, Duration::ZERO);
        turns
            .check(&fs)
            .unwrap_or_else(|problem| panic!("{scenario}, killed after {killed}: {problem}"));
    }
    let budget = match is_long() {
        true => 3000,
        false => 150,
    };
    let budget = Budget {
        states: budget,
        time: None,
    };
    let exploration = Exploration::of(scenario, &log, budget);
    let explored = exploration
        .run(|state| turns.check(&SimFs::with_disk(state.disk, flush_by, Duration::ZERO)));
    explored.conclude();
}

#[test]
fn a_source_that_comes_back_is_not_mixed_with_the_one_that_stood_in_for_it() {
    is_never_mixed("in turn", FlushBy::Whole);
    is_never_mixed("in turn each", FlushBy::Each);
}
