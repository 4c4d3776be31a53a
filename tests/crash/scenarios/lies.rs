//! A device that answers a flush before it has emptied its cache. That is against all rules, and no
//! protocol can make up for every such lie; ours makes up for one.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use super::cases::Case;
use super::check::Expected;
use super::engine::Stop;
use crate::explore::{Budget, CrashState, Exploration, saved_log};
use crate::sim::Lie;

/// After so many lies in a row, at most, the rerun has everything right.
const MARGIN: usize = 4;

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
            scenario,
            log: &log,
            lie: Some(Lie { first, flushes }),
            budget,
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

const SCENARIOS: [(&str, &str); 7] = [
    ("small files", "lies small files"),
    ("small files each", "lies small files each"),
    ("block files", "lies block files"),
    ("large file", "lies large file"),
    ("large file each", "lies large file each"),
    ("overwriting", "lies overwriting"),
    ("compacting", "lies compacting"),
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
