//! Barriers: when one is due, and its steps. See the text above the committer.

use std::collections::VecDeque;
use std::time::Duration;

use super::*;

/// A barrier is due when this many files wait to be published.
const WAITING_MAX: usize = 16_384;
/// So many files get their final names before messages are taken again.
const PUBLISH_AT_ONCE: usize = 64;

/// A barrier under way.
pub(super) struct Barrier<F: Fs> {
    covers: u64,
    /// What is to be published, or what is left of it while that goes on.
    publish: VecDeque<Waiting<F>>,
    pub(super) bytes_written: u64,
    /// Positions of the records of what it published.
    published: Vec<u64>,
    step: Step,
    /// The consumer asked for it.
    asked: bool,
}

/// How far a barrier is.
#[derive(PartialEq, Eq)]
enum Step {
    /// The data is being flushed.
    Flushing,
    /// It is flushed, the `Barrier` is appended, and files get their final names.
    Publishing,
    /// They have them; the manifest is being flushed.
    Sealing,
}

impl<F: Fs> Committer<'_, F> {
    pub(super) fn barrier_is_due(&self) -> bool {
        let options = &self.shared.options;
        self.barrier.is_none()
            && !self.has_failed()
            && (self.shared.board.is_asked()
                || self.unflushed_bytes >= options.checkpoint_bytes
                || self.waiting.len() >= WAITING_MAX
                || self
                    .oldest
                    .is_some_and(|oldest| oldest.elapsed() >= options.checkpoint_interval))
    }

    /// How long until a barrier is due by time alone.
    pub(super) fn due_in(&self) -> Option<Duration> {
        if self.barrier.is_some() || self.has_failed() {
            return None;
        }
        let oldest = self.oldest?;
        let interval = self.shared.options.checkpoint_interval;
        Some(interval.saturating_sub(oldest.elapsed()))
    }

    /// Whether so much waits for the next barrier that no more may come.
    pub(super) fn is_held_up(&self) -> bool {
        self.barrier.is_some()
            && !self.has_failed()
            && (self.unflushed_bytes >= self.shared.options.checkpoint_bytes
                || self.waiting.len() >= WAITING_MAX)
    }

    pub(super) fn start_barrier(&mut self) {
        self.record_pending();
        let written_out = self.store().write_out();
        if self.manifest(written_out).is_none() || self.has_failed() {
            return;
        }
        let dirty = Dirty::new(self.shared.fs.flush_by());
        let dirty = std::mem::replace(&mut self.dirty, dirty);
        self.barrier = Some(Barrier {
            covers: self.store().end(),
            publish: std::mem::take(&mut self.waiting).into(),
            bytes_written: self.progress.bytes_written,
            published: Vec::new(),
            step: Step::Flushing,
            asked: self.shared.board.take_asked(),
        });
        let bytes = self.progress.bytes_written - self.progress.bytes_durable;
        self.shared.board.flush_began(bytes);
        self.unsealed = false;
        self.unflushed_bytes = 0;
        self.oldest = None;
        self.send_job(Job::Data(dirty));
    }

    fn send_job(&mut self, job: Job<F>) {
        if self.jobs.send(job).is_err() {
            let error = std::io::Error::other("the flushing thread ended");
            let error = PathError::new("flush", &self.shared.dest, error);
            self.fail(Error::Io(error));
        }
    }

    /// Goes on with the barrier after one of its two flushes.
    pub(super) fn barrier_flushed(&mut self, result: Result<(), PathError>) {
        let Some(mut barrier) = self.barrier.take() else {
            return;
        };
        if let Err(error) = result {
            let fs = &*self.shared.fs;
            self.fail(failure::flush_failed(
                fs,
                error.action,
                error.path,
                error.source,
            ));
        }
        if self.has_failed() {
            return;
        }
        if barrier.step == Step::Sealing {
            self.progress.bytes_durable = barrier.bytes_written;
            self.shared.board.flush_ended(barrier.asked);
            self.tell_progress();
            self.read_back_soon(barrier.published);
            return;
        }
        let covers = barrier.covers;
        let unsealed = self.unsealed;
        self.record(&Record::Barrier { covers });
        self.unsealed = unsealed;
        barrier.published = self.record_published(&barrier.publish);
        if self.has_failed() {
            return;
        }
        barrier.step = Step::Publishing;
        self.barrier = Some(barrier);
    }

    /// Whether the barrier under way has files to give their final names.
    pub(super) fn is_publishing(&self) -> bool {
        let step = self.barrier.as_ref().map(|barrier| &barrier.step);
        step == Some(&Step::Publishing) && !self.has_failed()
    }

    /// Gives some of the files of the barrier under way their final names; after the last of them
    /// the barrier is sealed. Only some, so that the workers need not wait until all have theirs.
    pub(super) fn publish_some(&mut self) {
        let Some(mut barrier) = self.barrier.take() else {
            return;
        };
        let before = self.outbox.len();
        for _ in 0..PUBLISH_AT_ONCE {
            if self.has_failed() {
                break;
            }
            let Some(waiting) = barrier.publish.pop_front() else {
                break;
            };
            self.publish(waiting.completed);
        }
        self.outbox_published += self.outbox.len() - before;
        let is_last = barrier.publish.is_empty();
        self.barrier = Some(barrier);
        if is_last && !self.has_failed() {
            self.seal();
        }
    }

    /// Has the manifest flushed, which now tells of all that was published.
    fn seal(&mut self) {
        self.publish_dir = None;
        let written_out = self.store().write_out();
        self.manifest(written_out);
        if self.has_failed() {
            return;
        }
        if !self.unsealed {
            self.oldest = None;
        }
        if let Some(barrier) = &mut self.barrier {
            barrier.step = Step::Sealing;
        }
        if self.shared.fs.renames_want_flush() {
            let dirty = Dirty::new(self.shared.fs.flush_by());
            let dirty = std::mem::replace(&mut self.dirty, dirty);
            self.send_job(Job::Data(dirty));
        } else {
            self.send_job(Job::Manifest);
        }
    }

    /// Makes a barrier and waits for it, and for the one under way before it.
    pub(in crate::copy) fn barrier_now(&mut self) {
        self.await_barrier();
        if self.has_failed() {
            return;
        }
        self.start_barrier();
        self.await_barrier();
    }

    /// After the disk was found full: what was written before is made durable if there is room
    /// left for saying so; if not, a rerun proves it by reading it back.
    pub(in crate::copy) fn last_barrier_despite_failure(&mut self) {
        let full = self.fatal.take();
        self.barrier_now();
        if self.has_unsealed() {
            self.barrier_now();
        }
        self.fatal = full;
    }

    pub(in crate::copy) fn await_barrier(&mut self) {
        while let Some(barrier) = &self.barrier {
            if barrier.step == Step::Publishing {
                match self.has_failed() {
                    true => self.barrier = None,
                    false => self.publish_some(),
                }
                continue;
            }
            match self.flushed.recv() {
                Ok(result) => self.barrier_flushed(result),
                Err(_) => self.barrier = None,
            }
        }
    }

    /// Whether anything was recorded or written that no barrier covers.
    pub(in crate::copy) fn has_unsealed(&self) -> bool {
        self.unsealed || !self.waiting.is_empty() || !self.dirty.is_empty()
    }
}
