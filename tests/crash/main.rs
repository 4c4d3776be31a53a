//! Power cuts and failing calls on a simulated disk.
//!
//! `cargo test --test crash` explores a few thousand states. The long run is
//!
//! ```text
//! SPRAG_CRASH_STATES=100000 cargo test --release --test crash -- long --nocapture
//! ```
//!
//! and says `crash states explored: N, violations: 0` in the end. In the same way,
//! `… -- every_call_may_fail` lets each call fail with each error (`injected failures: N, violations: 0`),
//! `… -- two_calls_may_fail` has each two kinds of calls fail in one run (`injected pairs of failures: N,
//! violations: 0`), and `… -- lies` counts what comes of a device that answers flushes too early.
//!
//! `mutants` checks that all of this finds something: it breaks the protocol one step at a time.
//!
//! A violation prints the name of its state; `SPRAG_CRASH_SEED=<name> cargo test --test crash -- long`
//! goes back to it.

mod explore;
mod mutants;
mod scenarios;
mod sim;
mod toy;

#[test]
fn long_exploration_finds_no_violation() {
    scenarios::explore_all().conclude();
}
