//! A device that answers a flush before it has emptied its cache. That is against all rules, and no
//! protocol can make up for every such lie; ours makes up for one.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use sprag::exit::Exit;
use sprag::path::RelPath;

use super::cases::Case;
use super::check::Expected;
use super::engine::{self, Stop};
use super::source::GONE;
use super::tree;
use crate::explore::{Budget, CrashState, Exploration, is_long, saved_log};
use crate::sim::{Entry, Lie, Replay};

/// After so many lies in a row, at most, the rerun has everything right.
const MARGIN: usize = 4;

/// So many flushes of the device a barrier has where one flush covers everything.
const IN_A_BARRIER: usize = 3;

/// What a lie did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Harm {
    /// Nothing at all.
    None,
    /// A final name held something else until the rerun, which mended it.
    NameMended,
    /// Something that was called durable, or done, was gone; the rerun brought it back.
    GoneMended,
    /// The rerun refused to go on.
    Refused,
    /// The rerun called something done that is not.
    Lasting,
}

/// How many states came to which harm.
type Harms = BTreeMap<Harm, u64>;

fn harm(expected: &Expected, state: &CrashState<'_>) -> (Harm, String) {
    let before = expected.check_names(&state.disk, &[], true);
    let told = expected.check_names(&state.disk, state.marks, true);
    let fs = expected.mount(state.disk.clone(), Duration::ZERO);
    let end = expected.run(&fs, Stop::Never);
    let ended = expected.check_end(&end);
    let after = expected.check_result(&fs, true);
    match (before, told, ended, after) {
        (_, _, Err(problem), _) => (Harm::Refused, problem),
        (_, _, _, Err(problem)) => (Harm::Lasting, problem),
        (Err(problem), ..) => (Harm::NameMended, problem),
        (_, Err(problem), ..) => (Harm::GoneMended, problem),
        _ => (Harm::None, String::new()),
    }
}

/// Goes through the states after every lie about so many flushes in a row, and counts the harm.
fn lies(name: &str, scenario: &'static str, flushes: usize, budget: Budget) -> Harms {
    let case = Case::named(name, scenario);
    let (log, expected) = case.recorded();
    let mut harms = Harms::new();
    for first in 0..log.flushes() {
        let exploration = Exploration {
            lie: Some(Lie { first, flushes }),
            ..Exploration::of(scenario, &log, budget)
        };
        let explored = exploration.run(|state| {
            let (harm, problem) = harm(&expected, &state);
            *harms.entry(harm).or_default() += 1;
            match harm {
                Harm::Lasting if flushes <= MARGIN => {}
                Harm::None => return Ok(()),
                _ if flushes > 1 => return Ok(()),
                _ => {}
            }
            Err(format!("{harm:?}: {problem}"))
        });
        assert_eq!(explored.violations, [""; 0], "{scenario}");
    }
    let _ = std::fs::remove_file(saved_log(scenario));
    harms
}

/// Goes through the states after each lie about one flush: what it did is mended.
fn lies_are_mended(name: &str, scenario: &'static str, budget: Budget) {
    let case = Case::named(name, scenario);
    let (log, expected) = case.recorded();
    for first in 0..log.flushes() {
        // Before the next flush makes up for it.
        let exploration = Exploration {
            lie: Some(Lie::about(first)),
            cuts: log.cut_after(first)..log.cut_after(first + 1),
            ..Exploration::of(scenario, &log, budget)
        };
        let explored = exploration.run(|state| match harm(&expected, &state) {
            (Harm::Lasting | Harm::Refused, problem) => Err(problem),
            _ => Ok(()),
        });
        assert_eq!(explored.violations, [""; 0], "{scenario}");
    }
    let _ = std::fs::remove_file(saved_log(scenario));
}

const SCENARIOS: [(&str, &str); 8] = [
    ("small files", "lies small files"),
    ("small files each", "lies small files each"),
    ("block files", "lies block files"),
    ("large file", "lies large file"),
    ("large file each", "lies large file each"),
    ("overwriting", "lies overwriting"),
    ("compacting", "lies compacting"),
    ("moving", "lies moving"),
];

const QUICK: Budget = Budget {
    states: 8,
    time: None,
};

#[test]
fn a_lie_about_one_flush_does_no_harm() {
    for (name, scenario) in SCENARIOS {
        lies(name, scenario, 1, QUICK);
    }
}

/// Where a flush of everything does not reach the device's cache, the manifest's flush is all that
/// does, and a lie about it hits the data: no longer than until the rerun, which does not trust it.
#[test]
fn a_lie_about_one_flush_is_mended_where_the_device_is_told_only_once() {
    let more = Budget {
        states: 14,
        ..QUICK
    };
    lies_are_mended("fat block files", "lies fat block files", more);
    lies_are_mended("fat large file", "lies fat large file", more);
}

#[test]
fn several_lies_in_a_row_do_no_harm_that_the_rerun_does_not_mend() {
    let more = Budget {
        states: 60,
        ..QUICK
    };
    lies("large file", "lies in a row, large file", 2, more);
    for flushes in 3..=MARGIN {
        lies("large file", "lies in a row, large file", flushes, QUICK);
    }
    lies("block files each", "lies in a row, block files", 3, QUICK);
}

/// When a source goes, its copy outlives a lie about every flush of a barrier: nothing could bring it back.
fn moved_files_outlive_lies(name: &str, scenario: &'static str, states: u64) {
    let case = Case::named(name, scenario);
    let (log, expected) = case.recorded();
    let mut replay = Replay::new(&log, None);
    let (mut before, mut cut) = (0, 0);
    while replay.step() {
        let is_going = |mark: &&str| mark.starts_with(GONE);
        if replay.marks().iter().any(is_going) {
            break;
        }
        (before, cut) = (replay.flushes(), replay.cut());
    }
    for first in before.saturating_sub(2 * IN_A_BARRIER)..log.flushes() {
        let flushes = IN_A_BARRIER;
        let budget = Budget { states, time: None };
        let exploration = Exploration {
            lie: Some(Lie { first, flushes }),
            cuts: cut..usize::MAX,
            ..Exploration::of(scenario, &log, budget)
        };
        let explored = exploration.run(|state| {
            let left = case.built_at(&format!("{scenario} left"));
            let gone = state
                .marks
                .iter()
                .filter_map(|mark| mark.strip_prefix(GONE));
            let gone: Vec<&str> = gone.collect();
            gone.iter().for_each(|path| left.remove(path));
            let fs = expected.mount(state.disk, Duration::ZERO);
            let end = engine::run(&fs, engine::options(&left.dir), Stop::Never);
            if end.exit != Exit::Done {
                return Err(end.describe());
            }
            let moved = |path: &RelPath| gone.contains(&&*path.to_string());
            let mut wanted = expected.first.clone();
            wanted.retain(|path, node| moved(path) && !matches!(node.what, Entry::Dir));
            tree::holds(&tree::of_disk(&fs.disk()).tree, &wanted)
        });
        assert_eq!(explored.violations, [""; 0], "{scenario}");
    }
    let _ = std::fs::remove_file(saved_log(scenario));
}

#[test]
fn what_was_moved_outlives_lies_about_a_whole_barrier() {
    let states = match is_long() {
        true => 400,
        false => 20,
    };
    moved_files_outlive_lies("moving", "lies while moving", states);
}

/// Harm that is mended, or seen and said, is against no promise of ours: it is printed for the record.
#[test]
fn lies_about_several_flushes_in_a_row_are_counted() {
    if std::env::var_os("SPRAG_CRASH_STATES").is_none() {
        return;
    }
    let budget = Budget {
        states: 200,
        time: None,
    };
    for flushes in [1, 2, 3, 4, 1000] {
        let mut all = Harms::new();
        for (name, scenario) in SCENARIOS {
            for (harm, states) in lies(name, scenario, flushes, budget) {
                *all.entry(harm).or_default() += states;
            }
        }
        let line = format!("lies about {flushes} flushes in a row: {all:?}\n");
        // A closed stdout is no reason to fail.
        let _ = std::io::stdout().write_all(line.as_bytes());
    }
}
