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
    /// They begin alike and differ in content alone.
    are_alike: bool,
}

impl Turns {
    fn new(scenario: &str, are_alike: bool) -> Turns {
        let both = [1, 2].map(|nth| Source::of(&format!("{scenario} {nth}")));
        built(&both[0], 1);
        match are_alike {
            true => alike(&both[1]),
            false => built(&both[1], 2),
        }
        let shown = Source::of(scenario);
        Turns {
            shown,
            both,
            are_alike,
        }
    }

    /// Lets the first or the second one have the name.
    fn show(&self, nth: usize) {
        let _ = std::fs::remove_file(&self.shown.dir);
        let shown = std::os::unix::fs::symlink(&self.both[nth].dir, &self.shown.dir);
        shown.expect("a symlink can be made");
    }

    /// The first source is copied again, over what was left of it and of the second. What differs in content
    /// alone counts as unchanged once it is whole.
    fn check(&self, fs: &SimFs) -> Result<(), String> {
        self.show(0);
        let end = engine::run(fs, engine::options(&self.shown.dir), Stop::Never);
        if end.exit != Exit::Done {
            return Err(end.describe());
        }
        let there = tree::of_disk(&fs.disk()).tree;
        let [first, second] = [0, 1].map(|nth| tree::of_source(&self.both[nth].dir));
        match self.are_alike {
            true => tree::is_whole(&there, &[&first, &second], &first)?,
            false => tree::holds(&there, &first)?,
        }
        engine::verify(fs)
    }
}

/// A source that differs from the first one from within the third block on, and in content alone.
fn alike(source: &Source) {
    built(source, 1);
    source.alike("large", 9 * BLOCK + 1234, 2 * BLOCK + 77);
    source.dir_time(".");
}

/// A part of a file is copied and trusted; another one is copied under its name, killed or cut off; then the
/// first one is copied on.
fn is_never_mixed(scenario: &str, flush_by: FlushBy, are_alike: bool, part: usize) {
    let turns = Turns::new(scenario, are_alike);
    let log = recorded(scenario, || {
        turns.show(0);
        let fs = SimFs::new(flush_by);
        let part = Stop::At((part * BLOCK) as u64);
        let end = engine::run(&fs, engine::options(&turns.shown.dir), part);
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
    is_never_mixed("in turn", FlushBy::Whole, false, 1);
    is_never_mixed("in turn each", FlushBy::Each, false, 1);
}

#[test]
fn a_source_that_comes_back_is_not_mixed_with_one_that_began_like_it() {
    for (part, name) in [(2, "same"), (5, "more")] {
        is_never_mixed(&format!("alike {name}"), FlushBy::Whole, true, part);
        is_never_mixed(&format!("alike {name} each"), FlushBy::Each, true, part);
    }
}
