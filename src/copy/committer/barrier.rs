//! Barriers: when one is due, and its steps. See the text above the committer.

use std::time::Duration;

use super::*;

/// A barrier is due when this many files wait to be published.
const WAITING_MAX: usize = 4096;

/// A barrier under way.
pub(super) struct Barrier<F: Fs> {
    covers: u64,
    publish: Vec<Waiting<F>>,
    pub(super) bytes_written: u64,
    /// Positions of the records of what it published.
    published: Vec<u64>,
    /// The data is flushed, the `Barrier` appended.
    sealing: bool,
    /// The consumer asked for it.
    asked: bool,
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
            publish: std::mem::take(&mut self.waiting),
            bytes_written: self.progress.bytes_written,
            published: Vec::new(),
            sealing: false,
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
        if barrier.sealing {
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
        let publish = std::mem::take(&mut barrier.publish);
        barrier.published = self.publish(publish);
        let written_out = self.store().write_out();
        self.manifest(written_out);
        if self.has_failed() {
            return;
        }
        if !self.unsealed {
            self.oldest = None;
        }
        barrier.sealing = true;
        self.barrier = Some(barrier);
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
        while self.barrier.is_some() {
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
