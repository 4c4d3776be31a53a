//! The walk of the sources on a thread of its own, a little ahead of the planner: while the planner
//! looks at the destination, the next entries of the source are looked at.

use crossbeam_channel::Receiver;

use super::Shared;
use super::ahead::Kept;
use super::batch::BatchSender;
use super::counter;
use crate::fs::Fs;
use crate::path::RelPath;
use crate::scan::{Scan, ScanFailure, Scanned, Source};

/// An entry, or why there is none, and the number of its source.
pub(super) type Found = (usize, Result<Scanned, ScanFailure>);

/// Hands on what all sources have, until the end or until the run ends: what the counting walk kept,
/// or else by a walk of its own.
pub(super) fn scan<F: Fs>(
    shared: &Shared<F>,
    sources: &[Source],
    kept: &Kept,
    found: &BatchSender<Found>,
) {
    if let Some(kept) = kept.take(counter::WAIT_MAX) {
        for each in kept {
            if shared.should_stop() || found.offer(each, 0).is_err() {
                return;
            }
        }
        return;
    }
    for (number, source) in sources.iter().enumerate() {
        for scanned in Scan::new(source, &shared.options.selection) {
            if shared.should_stop() || found.offer((number, scanned), 0).is_err() {
                return;
            }
        }
    }
}

/// What was found, without what the planner does not go into.
pub(super) struct Walk {
    batches: Receiver<Vec<Found>>,
    batch: std::vec::IntoIter<Found>,
    skipped: Option<(usize, RelPath)>,
}

impl Walk {
    pub(super) fn new(batches: Receiver<Vec<Found>>) -> Walk {
        Walk {
            batches,
            batch: Vec::new().into_iter(),
            skipped: None,
        }
    }

    /// Leaves out what this source has below a directory.
    pub(super) fn pass_over(&mut self, source: usize, dir: RelPath) {
        self.skipped = Some((source, dir));
    }

    fn is_skipped(&self, (source, scanned): &Found) -> bool {
        let dest = match scanned {
            Ok(scanned) => &scanned.dest,
            Err(failed) => &failed.dest,
        };
        let skipped = self.skipped.as_ref();
        skipped.is_some_and(|(of, dir)| of == source && dest.is_within(dir))
    }
}

impl Iterator for Walk {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let Some(found) = self.batch.next() else {
                self.batch = self.batches.recv().ok()?.into_iter();
                continue;
            };
            if !self.is_skipped(&found) {
                return Some(found);
            }
        }
    }
}
