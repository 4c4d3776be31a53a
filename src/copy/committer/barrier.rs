//! Barriers: when one is due, and its steps. See the text above the committer.

use std::collections::VecDeque;
use std::time::Duration;

use super::*;
use crate::copy::failure::Failure;
use crate::copy::namer::Named;

/// A barrier is due when this many files wait to be published. Few enough that the device gets to
/// work soon and little is left to do at the end of a run.
const WAITING_DUE: usize = 4096;
/// No more files are taken when this many wait for the barrier after the one under way.
const WAITING_MAX: usize = 16_384;

/// A barrier under way.
pub(super) struct Barrier<F: Fs> {
    covers: u64,
    /// What is to be published.
    waiting: Vec<Waiting<F>>,
    /// What of it is not with the namers yet.
    publish: VecDeque<Vec<Completed<F>>>,
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
                || !self.awaited.is_empty()
                || self.unflushed_bytes >= options.checkpoint_bytes
                || self.waiting.len() >= WAITING_DUE
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
        if self.manifest(written_out).is_none() {
            return;
        }
        self.covering = self.store().end();
        let dirty = Dirty::new(&self.shared.fs);
        let dirty = std::mem::replace(&mut self.dirty, dirty);
        self.barrier = Some(Barrier {
            covers: self.covering,
            publish: VecDeque::new(),
            waiting: std::mem::take(&mut self.waiting),
            published: Vec::new(),
            step: Step::Flushing,
            asked: self.shared.board.take_asked(),
        });
        self.bytes_sealing = self.progress.bytes_written;
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
        if let Err(error) = result {
            let PathError {
                action,
                path,
                source,
            } = error;
            self.fail(failure::flush_failed(
                &*self.shared.fs,
                action,
                path,
                source,
            ));
        }
        let Some(mut barrier) = self.barrier.take() else {
            return;
        };
        if self.has_failed() {
            return;
        }
        if barrier.step == Step::Sealing {
            self.progress.bytes_durable = self.bytes_sealing;
            self.pending_durable();
            self.shared.board.flush_ended(barrier.asked);
            self.tell_progress();
            self.covered(barrier.covers);
            self.read_back_soon(barrier.published);
            return;
        }
        self.pending_flushed();
        if self.has_failed() {
            return;
        }
        let recorded = self.store().barrier(barrier.covers);
        if self.manifest(recorded).is_none() {
            return;
        }
        let waiting = std::mem::take(&mut barrier.waiting);
        barrier.published = self.record_published(&waiting);
        let completed = waiting.into_iter().map(|waiting| waiting.completed);
        barrier.publish = namer::batches(completed).into();
        if self.has_failed() {
            return;
        }
        barrier.step = Step::Publishing;
        self.barrier = Some(barrier);
        self.publish_more();
    }

    /// A barrier covers what was recorded before a position: what waited for that is done.
    fn covered(&mut self, covers: u64) {
        let durable = self.awaited.partition_point(|(pos, _)| *pos < covers);
        let durable: Vec<_> = self.awaited.drain(..durable).collect();
        for (_, then) in durable {
            match then {
                // Whoever asked may have ended meanwhile.
                Then::Tell(waits) => drop(waits.send(())),
                Then::Remove { path, attempt } => self.remove_partial(&path, attempt),
            }
        }
    }

    /// Whether a flush of the barrier under way is.
    pub(super) fn is_flushing(&self) -> bool {
        let step = self.barrier.as_ref().map(|barrier| &barrier.step);
        step.is_some_and(|step| *step != Step::Publishing)
    }

    /// Hands files of the barrier under way to the namers, as many as they take; when all have
    /// their names, the barrier is sealed.
    fn publish_more(&mut self) {
        let Some(barrier) = &mut self.barrier else {
            return;
        };
        while self.naming < namer::BATCHES_MAX
            && let Some(batch) = barrier.publish.pop_front()
        {
            // There is room for as many batches as that.
            if self.namers.0.send(batch).is_err() {
                let error = std::io::Error::other("the naming threads ended");
                let error = PathError::new("give final names in", &self.shared.dest, error);
                self.fail(Error::Io(error));
                return;
            }
            self.naming += 1;
        }
        if self.naming == 0 {
            self.seal();
        }
    }

    /// Takes what came of a batch of files.
    pub(super) fn named(&mut self, batch: Vec<Named<F>>) {
        self.naming -= 1;
        let before = self.outbox.len();
        let mut untried = Vec::new();
        for Named { completed, result } in batch {
            match result {
                Ok(()) => self.published(completed),
                Err(Failure::Stopped) => untried.push(completed),
                Err(failure) => self.not_published(completed, failure),
            }
        }
        if let Some(barrier) = self.barrier.as_mut().filter(|_| !untried.is_empty()) {
            barrier.publish.push_front(untried);
        }
        self.outbox_published += self.outbox.len() - before;
        if !self.has_failed() {
            self.publish_more();
        }
    }

    /// Has the manifest flushed, which now tells of all that was published.
    fn seal(&mut self) {
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
        if self.dirty.has_renames_to_flush() {
            let dirty = Dirty::new(&self.shared.fs);
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

    /// After a failure that leaves what was written before believable: that is made durable, and how
    /// the run ended, if there is room left for saying so; whether it was. If not, a rerun proves it by
    /// reading it back.
    pub(in crate::copy) fn seal_despite_failure(&mut self, elapsed: Duration) -> bool {
        let failure = self.fatal.take();
        // Files that are on record already get their names.
        self.await_barrier();
        self.barrier_now();
        if self.has_unsealed() {
            self.barrier_now();
        }
        if !self.has_failed() {
            self.fatal = failure;
            let (end, _) = self.end(elapsed);
            let failure = self.fatal.take();
            self.record(&Record::RunEnd(end));
            self.barrier_now();
            let sealed = !self.has_failed() && !self.has_unsealed();
            self.fatal = failure;
            return sealed;
        }
        self.fatal = failure;
        false
    }

    pub(in crate::copy) fn await_barrier(&mut self) {
        while let Some(barrier) = &self.barrier {
            if barrier.step == Step::Publishing {
                // After a failure those that are with the namers are waited for all the same.
                if self.naming == 0 {
                    match self.has_failed() {
                        true => self.barrier = None,
                        false => self.publish_more(),
                    }
                    continue;
                }
                match self.hear(&self.namers.1.clone()) {
                    Some(batch) => self.named(batch),
                    None => self.barrier = None,
                }
                continue;
            }
            match self.hear(&self.flushed.clone()) {
                Some(result) => self.barrier_flushed(result),
                None => self.barrier = None,
            }
        }
    }

    /// Whether anything was recorded or written that no barrier covers.
    pub(in crate::copy) fn has_unsealed(&self) -> bool {
        self.unsealed || !self.waiting.is_empty() || !self.dirty.is_empty()
    }
}
