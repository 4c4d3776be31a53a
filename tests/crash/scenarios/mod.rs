//! The real engine on the simulated disk: what it copies in these scenarios survives every power
//! cut that the explorer can think of.

mod backup;
mod cases;
mod check;
mod engine;
mod faults;
mod histories;
mod kill;
mod latch;
mod lies;
mod modes;
mod noted;
mod pairs;
mod panics;
mod read_back;
mod rebuild;
mod remote;
mod repair;
mod source;
mod sources;
mod tree;
mod trees;
mod turns;

use crate::explore::{Budget, Explored, VIOLATIONS_MAX, is_long, is_passed_over};
use cases::CASES;

/// What is explored in a way of its own: the scenario, and how.
type Other = (&'static str, fn(&'static str, Budget) -> Explored);

/// Each of these has a test of its own, too, which is all of it in a quick run.
const OTHERS: [Other; 6] = [
    (repair::WHOLE, repair::explore),
    (repair::EACH, repair::explore),
    (backup::WHOLE, backup::explore),
    (backup::EACH, backup::explore),
    (backup::GROWN, backup::explore),
    (backup::COMPACTED, backup::explore),
];

/// Explores every scenario with its share of the budget, until there are enough violations.
pub(crate) fn explore_all() -> Explored {
    let others: &[Other] = if is_long() { &OTHERS } else { &[] };
    let of = (CASES.len() + others.len()) as u64;
    let mut explored = Explored::default();
    let is_enough = |explored: &Explored| explored.violations.len() >= VIOLATIONS_MAX;
    for case in CASES.iter().filter(|case| !is_passed_over(case.name)) {
        if !is_enough(&explored) {
            explored.add(case.explore(Budget::from_env(1, of)));
        }
    }
    for (scenario, explore) in others {
        if !is_passed_over(scenario) && !is_enough(&explored) {
            explored.add(explore(scenario, Budget::from_env(1, of)));
        }
    }
    explored
}
