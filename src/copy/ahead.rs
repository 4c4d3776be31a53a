//! What the counting walk of a small tree found, kept so that there is no second walk.
//!
//! On a first copy the planner waits for the counting walk. What that found by then is as good as
//! what the scanner would find a moment later; a large tree is not kept, and is walked again.

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use super::scanner::Found;

/// More entries than this are not kept: they would take 20 MiB and more.
const ENTRIES_MAX: usize = 65_536;
/// Nor are those of more content than this: what was found long before it is copied may have changed.
const BYTES_MAX: u64 = 512 << 20;

/// The counter's end: what is kept, until it is handed over or there is too much.
pub(super) struct Keeper {
    kept: Vec<Found>,
    bytes: u64,
    /// Dropped when there is too much, which tells the scanner to walk for itself.
    to: Option<Sender<Vec<Found>>>,
}

/// The scanner's end.
pub(super) struct Kept(Receiver<Vec<Found>>);

/// What the counter keeps for the scanner.
pub(super) fn channel() -> (Keeper, Kept) {
    let (to, from) = crossbeam_channel::bounded(1);
    let keeper = Keeper {
        kept: Vec::new(),
        bytes: 0,
        to: Some(to),
    };
    (keeper, Kept(from))
}

impl Keeper {
    /// Whether there is not too much so far.
    pub(super) fn keeps(&self) -> bool {
        self.to.is_some()
    }

    /// Keeps what was found next, unless there is too much by now.
    pub(super) fn keep(&mut self, found: Found) {
        if !self.keeps() {
            return;
        }
        let size = found.1.as_ref().map_or(0, |scanned| scanned.stat.size);
        self.bytes = self.bytes.saturating_add(size);
        if self.kept.len() == ENTRIES_MAX || self.bytes > BYTES_MAX {
            self.to = None;
            self.kept = Vec::new();
            return;
        }
        self.kept.push(found);
    }

    /// The walk has come to its end.
    pub(super) fn hand_over(self) {
        if let Some(to) = self.to {
            // A scanner that waited for too long walks for itself.
            let _ = to.send(self.kept);
        }
    }
}

impl Kept {
    /// All that there is to find, if that was kept. Waits for it no longer than the planner does.
    pub(super) fn take(&self, wait_max: Duration) -> Option<Vec<Found>> {
        self.0.recv_timeout(wait_max).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Scanned;

    const NO_TIME: Duration = Duration::ZERO;

    fn found(size: u64) -> Found {
        let stat = crate::fs::Stat {
            size,
            ..Default::default()
        };
        let scanned = Scanned {
            stat,
            ..Scanned::default()
        };
        (0, Ok(Box::new(scanned)))
    }

    #[test]
    fn all_of_a_small_tree_is_handed_over_and_not_before_the_walk_is_over() {
        let (mut keeper, kept) = channel();
        keeper.keep(found(1));
        keeper.keep(found(2));
        assert!(kept.take(NO_TIME).is_none());
        keeper.hand_over();
        let sizes = kept.take(NO_TIME).unwrap();
        let sizes = sizes
            .iter()
            .map(|(_, found)| found.as_ref().unwrap().stat.size);
        assert_eq!(sizes.collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn too_much_is_not_kept_and_the_scanner_hears_of_it_at_once() {
        let long = Duration::from_secs(3600);
        let (mut keeper, kept) = channel();
        keeper.keep(found(BYTES_MAX));
        keeper.keep(found(1));
        assert!(kept.take(long).is_none());
        keeper.keep(found(1));
        keeper.hand_over();
        let (mut keeper, kept) = channel();
        for _ in 0..=ENTRIES_MAX {
            keeper.keep(found(0));
        }
        assert!(kept.take(long).is_none());
        // A walk that ended early has not found all.
        let (keeper, kept) = channel();
        drop(keeper);
        assert!(kept.take(long).is_none());
    }
}
