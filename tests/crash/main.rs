//! Power cuts and failing calls on a simulated disk.
//!
//! `cargo test --test crash` explores a few thousand states. The long run is
//!
//! ```text
//! SPRAG_CRASH_STATES=100000 cargo test --release --test crash -- long --nocapture
//! ```
//!
//! and says `crash states explored: N, violations: 0` in the end.

mod explore;
mod scenarios;
mod sim;
mod toy;

#[test]
fn long_exploration_finds_no_violation() {
    scenarios::explore_all().conclude();
}
