//! The walk of the sources on a thread of its own, a little ahead of the planner: while the planner
//! looks at the destination, the next entries of the source are looked at.
//!
//! Of most entries of a copy that is made again the planner keeps nothing. It gives them back, and the
//! next ones are put in their place: memory that one thread takes and another gives back costs both.

use crossbeam_channel::{Receiver, Sender};

use super::Shared;
use super::ahead::Kept;
use super::batch::{self, BatchSender};
use super::counter;
use crate::fs::Fs;
use crate::lock_mutex;
use crate::path::RelPath;
use crate::scan::{MountPoints, Scan, ScanFailure, Scanned, Source};

/// An entry, or why there is none, and the number of its source. Small, since it is handed on often.
pub(super) type Found = (usize, Result<Box<Scanned>, Box<ScanFailure>>);

/// An entry that is done with.
pub(super) struct Spare(Box<Scanned>);

/// Where entries that are done with go back to the walk; if they are many, some are given up.
pub(super) fn spares() -> (Sender<Vec<Spare>>, Receiver<Vec<Spare>>) {
    crossbeam_channel::bounded(SPARES_MAX)
}

/// So many batches of them wait at most.
const SPARES_MAX: usize = 4;

/// Hands on what all sources have, until the end or until the run ends: what the counting walk kept,
/// or else by a walk of its own.
pub(super) fn scan<F: Fs>(
    shared: &Shared<F>,
    sources: &[Source],
    kept: &Kept,
    found: &BatchSender<Found>,
    given_back: &Receiver<Vec<Spare>>,
) {
    let deletes = shared.options.delete.is_some();
    if let Some(kept) = kept.take(counter::WAIT_MAX) {
        for each in kept {
            if let (Ok(scanned), true) = (&each.1, deletes) {
                lock_mutex(&shared.walked).meet(&scanned.dest);
            }
            if shared.should_stop() || found.offer(each, 0).is_err() {
                return;
            }
        }
        return;
    }
    let mut spares = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        let mut scan = Scan::new(sources, number, &shared.options.selection);
        let mut mount_points = MountPoints::new(source);
        loop {
            if spares.is_empty() {
                spares = given_back.try_recv().unwrap_or_default();
            }
            let mut scanned = spares.pop().map_or_else(Box::default, |Spare(spare)| spare);
            let next = match scan.next_in(&mut scanned) {
                None => break,
                Some(Ok(())) => {
                    if deletes {
                        mount_points.meet(&scanned);
                        lock_mutex(&shared.walked).meet(&scanned.dest);
                    }
                    Ok(scanned)
                }
                Some(Err(failure)) => Err(Box::new(failure)),
            };
            if shared.should_stop() || found.offer((number, next), 0).is_err() {
                return;
            }
        }
        lock_mutex(&shared.walked).mount_points(mount_points);
    }
}

/// What was found, without what the planner does not go into.
pub(super) struct Walk {
    batches: Receiver<Vec<Found>>,
    batch: std::vec::IntoIter<Found>,
    skipped: Option<(usize, RelPath)>,
    give_back: Sender<Vec<Spare>>,
    spares: Vec<Spare>,
}

impl Walk {
    pub(super) fn new(batches: Receiver<Vec<Found>>, give_back: Sender<Vec<Spare>>) -> Walk {
        Walk {
            batches,
            batch: Vec::new().into_iter(),
            skipped: None,
            give_back,
            spares: Vec::new(),
        }
    }

    /// Leaves out what this source has below a directory.
    pub(super) fn pass_over(&mut self, source: usize, dir: RelPath) {
        self.skipped = Some((source, dir));
    }

    /// Takes back an entry, or what was not taken of it.
    pub(super) fn done_with(&mut self, scanned: Box<Scanned>) {
        self.spares.push(Spare(scanned));
        if self.spares.len() >= batch::FOR_ONE {
            let spares = std::mem::replace(&mut self.spares, Vec::with_capacity(batch::FOR_ONE));
            // If the walk has enough, or is over, these are given up.
            let _ = self.give_back.try_send(spares);
        }
    }

    fn is_skipped(&self, (source, scanned): &Found) -> bool {
        let Some((of, dir)) = &self.skipped else {
            return false;
        };
        let dest = match scanned {
            Ok(scanned) => &scanned.dest,
            Err(failed) => &failed.dest,
        };
        of == source && dest.is_within(dir)
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
