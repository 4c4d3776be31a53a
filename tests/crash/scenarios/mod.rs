//! The real engine on the simulated disk: what it copies in these scenarios survives every power
//! cut that the explorer can think of.

mod backup;
mod cases;
mod check;
mod engine;
mod faults;
mod kill;
mod lies;
mod noted;
mod read_back;
mod repair;
mod source;
mod tree;

use crate::explore::{Budget, Explored, is_passed_over};
use cases::CASES;

/// Explores every scenario with its share of the budget.
pub(crate) fn explore_all() -> Explored {
    let of = CASES.len() as u64;
    let mut explored = Explored::default();
    for case in CASES.iter().filter(|case| !is_passed_over(case.name)) {
        explored.add(case.explore(Budget::from_env(1, of)));
    }
    explored
}
