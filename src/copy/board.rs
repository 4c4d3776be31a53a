//! The board on which the stages of a run write what they are doing, for whoever looks.
//!
//! Events tell what happened and wait to be pulled. A display also wants to know how things stand
//! while nothing happens, and while nobody pulls: that it reads here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};

use crate::event::{Counted, Flush, InFlight, Phase, Progress, Standing};
use crate::lock_mutex;
use crate::path::RelPath;

/// How a run stands, and the wish for a checkpoint.
#[derive(Debug)]
pub(super) struct Board {
    standing: Mutex<Standing>,
    /// One place for each worker.
    in_flight: Mutex<Vec<Option<InFlight>>>,
    /// A barrier is wanted now and has not begun.
    asked: AtomicBool,
    wake_in: Sender<()>,
    wake_out: Receiver<()>,
}

impl Board {
    pub(super) fn new() -> Board {
        let (wake_in, wake_out) = crossbeam_channel::bounded(1);
        Board {
            standing: Mutex::default(),
            in_flight: Mutex::default(),
            asked: AtomicBool::new(false),
            wake_in,
            wake_out,
        }
    }

    fn write(&self) -> MutexGuard<'_, Standing> {
        lock_mutex(&self.standing)
    }

    /// How the run stands now.
    pub(super) fn read(&self) -> Standing {
        let mut standing = self.write().clone();
        let in_flight = lock_mutex(&self.in_flight);
        standing.in_flight = in_flight.iter().flatten().cloned().collect();
        standing
    }

    pub(super) fn phase(&self, phase: Phase) {
        self.write().phase = phase;
    }

    pub(super) fn counted(&self, counted: Counted) {
        self.write().counted = counted;
    }

    pub(super) fn progress(&self, progress: Progress) {
        self.write().progress = progress;
    }

    /// A barrier begins that will make `bytes` durable.
    pub(super) fn flush_began(&self, bytes: u64) {
        let since = Instant::now();
        self.write().flush = Some(Flush { bytes, since });
    }

    /// It is over; `answers` if it was the one that was asked for.
    pub(super) fn flush_ended(&self, answers: bool) {
        let mut standing = self.write();
        standing.flush = None;
        if answers {
            // Asked once more meanwhile: the next barrier answers that.
            standing.checkpoint_asked = self.asked.load(Ordering::SeqCst);
        }
    }

    /// The run is over: whatever was asked for has its answer.
    pub(super) fn over(&self) {
        let mut standing = self.write();
        standing.flush = None;
        standing.checkpoint_asked = false;
    }

    /// Asks for a barrier now.
    pub(super) fn ask_checkpoint(&self) {
        self.write().checkpoint_asked = true;
        self.asked.store(true, Ordering::SeqCst);
        // A full queue already holds the wake-up.
        let _ = self.wake_in.try_send(());
    }

    /// Whether a barrier is asked for.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Takes the wish, if there is one, for the barrier that begins now.
    pub(super) fn take_asked(&self) -> bool {
        self.asked.swap(false, Ordering::SeqCst)
    }

    /// What becomes ready when a barrier is asked for.
    pub(super) fn wake(&self) -> &Receiver<()> {
        &self.wake_out
    }

    /// Worker `worker` takes up a file.
    pub(super) fn take_up(&self, worker: usize, path: &RelPath, bytes_total: u64) {
        let mut places = lock_mutex(&self.in_flight);
        if places.len() <= worker {
            places.resize(worker + 1, None);
        }
        places[worker] = Some(InFlight {
            path: path.clone(),
            bytes_done: 0,
            bytes_total,
            in_hole: false,
        });
    }

    /// It is at this offset of it.
    pub(super) fn reached(&self, worker: usize, bytes_done: u64) {
        self.is_at(worker, bytes_done, false);
    }

    /// It is at this offset of it, and hashes a hole.
    pub(super) fn hashes_hole(&self, worker: usize, bytes_done: u64) {
        self.is_at(worker, bytes_done, true);
    }

    fn is_at(&self, worker: usize, bytes_done: u64, in_hole: bool) {
        if let Some(Some(place)) = lock_mutex(&self.in_flight).get_mut(worker) {
            place.bytes_done = bytes_done;
            place.in_hole = in_hole;
        }
    }

    /// It is done with it.
    pub(super) fn put_down(&self, worker: usize) {
        if let Some(place) = lock_mutex(&self.in_flight).get_mut(worker) {
            *place = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_made_during_a_barrier_is_answered_by_the_next() {
        let board = Board::new();
        board.ask_checkpoint();
        assert!(board.take_asked());
        board.flush_began(1);
        board.ask_checkpoint();
        board.flush_ended(true);
        assert!(board.read().checkpoint_asked);
        assert!(board.take_asked());
        board.flush_began(1);
        board.flush_ended(true);
        assert!(!board.read().checkpoint_asked);
        assert_eq!(board.read().flush, None);
    }

    #[test]
    fn files_in_flight_are_those_that_workers_hold() {
        let board = Board::new();
        let path = RelPath::new("a").unwrap();
        board.take_up(2, &path, 10);
        board.reached(2, 4);
        board.put_down(0);
        let in_flight = board.read().in_flight;
        assert_eq!(
            in_flight,
            [InFlight {
                path,
                bytes_done: 4,
                bytes_total: 10,
                in_hole: false
            }]
        );
        board.put_down(2);
        assert!(board.read().in_flight.is_empty());
    }
}
