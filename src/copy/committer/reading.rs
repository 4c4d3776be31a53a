//! Reading back with `--verify`: what a barrier has made durable is read by a thread of its own; what
//! is not as it was written is copied once more when everything else is there.
//!
//! Only positions are kept of what waits, 8 bytes a file. A file that does not read back right is
//! forgotten at once, so that a rerun copies it again, whatever becomes of this run.

use std::collections::VecDeque;
use std::ops::Range;

use super::*;
use crate::copy::reader::{Answer, Ends};
use crate::manifest::SlotKind;

/// What is to be read back, and what came of it.
pub(super) struct Reading {
    asked: Sender<u64>,
    pub(super) answers: Receiver<Result<Answer, Error>>,
    queue: VecDeque<u64>,
    /// So many files are being read now; at most [`Self::readers`].
    pub(super) busy: usize,
    readers: usize,
    bad: Vec<Bad>,
    /// Something could not be read, so that the next run reads all of it again.
    is_incomplete: bool,
}

/// A file that did not read back right.
pub(in crate::copy) struct Bad {
    pub(in crate::copy) done: Done,
    pub(in crate::copy) ranges: Vec<Range<u64>>,
}

impl<F: Fs> Committer<'_, F> {
    /// Has files read back from now on, those first that earlier runs left to be read back.
    pub(in crate::copy) fn read_back_by(&mut self, readers: usize, (asked, answers): Ends) {
        let mut queue = VecDeque::new();
        let since = self.store().read_back_due();
        match since {
            Some(since) => {
                let positions = self.store().positions_of(SlotKind::Done);
                queue.extend(positions.into_iter().filter(|pos| *pos >= since));
            }
            None => {
                self.record(&Record::ReadBack { due: true });
            }
        }
        self.reading = Some(Reading {
            asked,
            answers,
            queue,
            busy: 0,
            readers,
            bad: Vec::new(),
            is_incomplete: false,
        });
        self.read_next();
    }

    /// Takes files whose data and records are durable now.
    pub(super) fn read_back_soon(&mut self, positions: Vec<u64>) {
        if let Some(reading) = &mut self.reading {
            reading.queue.extend(positions);
            self.read_next();
        }
    }

    /// Notes that all is read back, if it is.
    pub(in crate::copy) fn end_reading(&mut self) {
        if self
            .reading
            .as_ref()
            .is_some_and(|reading| !reading.is_incomplete)
        {
            self.record(&Record::ReadBack { due: false });
        }
    }

    fn read_next(&mut self) {
        let Some(reading) = &mut self.reading else {
            return;
        };
        while reading.busy < reading.readers
            && let Some(pos) = reading.queue.pop_front()
        {
            // The queue has room for as many as there are readers.
            if reading.asked.send(pos).is_err() {
                return;
            }
            reading.busy += 1;
        }
    }

    pub(super) fn read_back_answered(&mut self, answer: Result<Answer, Error>) {
        let Some(reading) = &mut self.reading else {
            return;
        };
        reading.busy -= 1;
        match answer {
            Ok(Answer::Passed) => {}
            Ok(Answer::Read { done, mut found }) => {
                found.count(&mut self.summary);
                if let Some(error) = found.failure(self.shared.full(&done.path)) {
                    // Nothing says that it is not right: it stays recorded, and is read again.
                    self.problem(done.path, error);
                    if let Some(reading) = &mut self.reading {
                        reading.is_incomplete = true;
                    }
                } else if !found.is_right() {
                    self.retract(&done);
                    if let Some(reading) = &mut self.reading {
                        let ranges = found.bad;
                        let done = *done;
                        reading.bad.push(Bad { done, ranges });
                    }
                }
            }
            Err(error) => self.fail(error),
        }
        self.read_next();
    }

    /// Waits until everything is read back; gives what did not read back right. `None`: the run is
    /// to stop before that, or nothing is read back at all.
    pub(in crate::copy) fn await_read_back(&mut self) -> Option<Vec<Bad>> {
        self.reading.as_ref()?;
        while let Some(reading) = &self.reading
            && reading.busy > 0
        {
            let answers = reading.answers.clone();
            let answer = self.hear(&answers)?;
            self.read_back_answered(answer);
            self.pump();
            if self.has_failed() || self.shared.stopper.is_stopped() {
                return None;
            }
        }
        self.reading
            .as_mut()
            .map(|reading| std::mem::take(&mut reading.bad))
    }
}
