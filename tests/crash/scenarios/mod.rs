//! The real engine on the simulated disk: what it copies in these scenarios survives every power
//! cut that the explorer can think of.

mod cases;
mod check;
mod engine;
mod faults;
mod kill;
mod lies;
mod source;
mod tree;

use crate::explore::{Budget, Explored};
use cases::CASES;

/// Explores every scenario with its share of the budget.
pub(crate) fn explore_all() -> Explored {
    let of = CASES.len() as u64;
    let mut explored = Explored::default();
    for case in CASES {
        explored.add(case.explore(Budget::from_env(1, of)));
    }
    explored
}
