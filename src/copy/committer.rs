//! The committer: the one stage that flushes, renames and writes the manifest.
//!
//! It takes messages, writes records, and now and then makes a barrier:
//!
//! 1. everything recorded so far is handed to the system, and its end position noted;
//! 2. the flusher flushes the data, then the manifest, while messages go on being taken;
//! 3. `Barrier` is appended; the files whose data is flushed now are *published*: their `Done`s
//!    are handed to the system, then the namers rename them to their final names, while messages
//!    go on being taken;
//! 4. the flusher flushes the manifest again, and the barrier stands.
//!
//! Only one barrier is under way at a time. What comes in meanwhile waits for the next, and when
//! as much waits as a barrier may cover, no more messages are taken: that bounds what a crash can
//! leave unproven.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::finish::MetDirs;
use super::flusher::{Dirty, Job};
use super::message::{Completed, Content, Message, Settled};
use super::{Shared, failure, namer};
use crate::error::{EntryError, Error, ManifestError, PathError, Refusal};
use crate::event::{CopySummary, Counted, Event, Outcome, Phase, Progress};
use crate::exit::Exit;
use crate::fs::{Fs, Kind};
use crate::lock_mutex;
use crate::manifest::{Blocks, Done, Entry, Link, Record, RunEnd, Store, SymlinkRecord};
use crate::path::RelPath;
use ending::is_harmless;

mod active;
mod barrier;
mod ending;
mod metadata;
mod publish;
mod reading;
mod telling;
mod turns;

use active::Active;
use barrier::Barrier;
pub(super) use reading::Bad;
use reading::Reading;
use telling::OUTBOX_MAX;

pub(super) struct Committer<'a, F: Fs> {
    pub(super) shared: &'a Shared<F>,
    events: Sender<Vec<Event>>,
    jobs: Sender<Job<F>>,
    flushed: Receiver<Result<(), PathError>>,
    namers: namer::Ends<F>,
    /// So many batches of files are with the namers.
    naming: usize,
    /// Events that wait for room in the queue; while there are many, no message is taken.
    outbox: Vec<Event>,
    consumer_gone: bool,
    /// How many of those came of publishing, which goes on though the copying waits.
    outbox_published: usize,
    active: Vec<Option<Active<F>>>,
    waiting: Vec<Waiting<F>>,
    pub(super) dirty: Dirty<F>,
    /// What is to be done once a barrier covers the record at a position, in the order of positions.
    /// Until a record that ends a partial is covered, its name must not be used again: after a
    /// crash, records of the old content would speak for the new.
    awaited: Vec<(u64, Then)>,
    /// Records before this position are covered by a barrier that was at least begun.
    covering: u64,
    /// Something was recorded that no barrier covers.
    unsealed: bool,
    unflushed_bytes: u64,
    oldest: Option<Instant>,
    barrier: Option<Barrier<F>>,
    /// What is read back, if that was asked for.
    reading: Option<Reading>,
    pub(super) summary: CopySummary,
    progress: Progress,
    /// What of it is durable once the barrier under way is made; without one, what is.
    bytes_sealing: u64,
    /// The progress as it was last reported. `progress` shrinks when a file is given up; what is reported never does.
    shown: Progress,
    /// As the counting walk said it.
    counted: Counted,
    left_alone_bytes: u64,
    phase: Phase,
    failures: Vec<(RelPath, String)>,
    /// The worst of the entries' failures.
    worst: Exit,
    fatal: Option<Error>,
    refusal: Option<Box<Refusal>>,
    /// The directory last marked as due, which is nearly always the next one too.
    due_dir: Option<RelPath>,
    /// Which directories they are that were met.
    pub(super) met: MetDirs,
}

/// What is done once a record is covered by a barrier.
enum Then {
    /// Whoever waits for that is told.
    Tell(Sender<()>),
    /// A partial that it ended is removed.
    Remove { path: RelPath, attempt: u8 },
}

/// A completed file that waits for its data to be flushed.
struct Waiting<F: Fs> {
    completed: Completed<F>,
    /// Position of its last record, if it has blocks of its own.
    chain: u64,
}

impl<'a, F: Fs> Committer<'a, F> {
    pub(super) fn new(
        shared: &'a Shared<F>,
        workers: usize,
        events: Sender<Vec<Event>>,
        (jobs, flushed): (Sender<Job<F>>, Receiver<Result<(), PathError>>),
        namers: namer::Ends<F>,
    ) -> Committer<'a, F> {
        let mut dirty = Dirty::new(&shared.fs);
        if shared.after_cut {
            dirty.unlisted(&RelPath::root());
        }
        Committer {
            shared,
            events,
            jobs,
            flushed,
            namers,
            naming: 0,
            outbox: Vec::new(),
            consumer_gone: false,
            outbox_published: 0,
            active: (0..workers).map(|_| None).collect(),
            waiting: Vec::new(),
            dirty,
            awaited: Vec::new(),
            covering: 0,
            unsealed: false,
            unflushed_bytes: 0,
            oldest: None,
            barrier: None,
            reading: None,
            summary: CopySummary::default(),
            progress: Progress::default(),
            bytes_sealing: 0,
            // What was durable before a drive was lost, and is not yet met again, counts as there.
            shown: Progress {
                bytes_written: shared.durable_before,
                bytes_durable: shared.durable_before,
                bytes_before: shared.durable_before,
            },
            counted: Counted::default(),
            left_alone_bytes: 0,
            phase: Phase::default(),
            failures: Vec::new(),
            worst: Exit::Done,
            fatal: None,
            refusal: None,
            due_dir: None,
            met: MetDirs::default(),
        }
    }

    pub(super) fn store(&self) -> std::sync::MutexGuard<'a, Store<F>> {
        lock_mutex(&self.shared.store)
    }

    /// Ends the run: nothing is recorded from here on, but after a refusal.
    pub(super) fn fail(&mut self, error: Error) {
        self.shared
            .failed
            .store(true, std::sync::atomic::Ordering::Relaxed);
        match error {
            // Nothing went wrong: what is there is made durable, as when stopped.
            Error::Refused(refusal) => {
                self.refusal.get_or_insert(refusal);
            }
            error => {
                if !is_harmless(&error) {
                    self.shared.latch.close();
                }
                // Nobody will see the barrier that they wait for.
                self.awaited.clear();
                self.fatal.get_or_insert(error);
            }
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.fatal.is_some()
    }

    /// Appends a record; `None` if that failed or something failed before.
    pub(super) fn record(&mut self, record: &Record) -> Option<u64> {
        if self.has_failed() {
            return None;
        }
        self.unsealed = true;
        self.oldest.get_or_insert_with(Instant::now);
        let appended = self.store().append(record);
        self.manifest(appended)
    }

    /// Turns a manifest's error into the end of the run.
    pub(super) fn manifest<T>(&mut self, result: Result<T, ManifestError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.fail(failure::manifest_failed(&*self.shared.fs, error));
                None
            }
        }
    }

    fn take(&mut self, message: Message<F>) {
        match message {
            Message::Settled {
                path,
                outcome,
                what,
            } => self.settled(path, outcome, what),
            Message::Unchanged { files, bytes } => self.unchanged(files, bytes),
            Message::Dir {
                path,
                stat,
                dest,
                id,
                mend,
                outcome,
            } => {
                self.met.note(&path, id);
                self.dir(path, &stat, mend.then_some(*dest), outcome);
            }
            Message::Mended { path, record } => self.mended(path, &record),
            Message::Confirmed(done) => self.confirmed(*done),
            Message::Link { path, to } => self.link(path, to),
            Message::Failed { path, kind, error } => self.entry_failed(path, kind, error),
            Message::Begin {
                worker,
                begin,
                file,
                writes,
            } => self.begin(worker, begin, file, writes),
            Message::Resumed {
                worker,
                partial,
                bytes,
                file,
                writes,
            } => self.resumed(worker, partial, bytes, (file, writes)),
            Message::Block {
                worker,
                hash,
                bytes,
            } => self.block(worker, hash, bytes),
            Message::Left { worker, leaving } => self.left(worker, leaving),
            Message::Complete { worker, completed } => self.complete(worker, *completed),
            Message::Counted(counted) => self.counted(counted),
            Message::Forget { path, durable } => self.forget(path, durable.map(Then::Tell)),
            Message::Mounted { mounted, durable } => {
                if let Some(pos) = self.record(&Record::Mounted(*mounted)) {
                    self.awaited.push((pos, Then::Tell(durable)));
                }
            }
            Message::Rebegin {
                partial,
                source,
                keep,
                durable,
            } => self.rebegin(*partial, source, keep, durable),
            Message::Retry(retry) => self.emit(Event::Retry(retry)),
            Message::Planning => self.enter(Phase::Copying),
            Message::Warning(text) => self.emit(Event::Warning(text)),
            Message::Fatal(error) => self.fail(error),
        }
    }

    /// Records that a partial is gone, and sees to what is to be done once that is durable.
    fn forget(&mut self, path: RelPath, then: Option<Then>) {
        if let (Some(pos), Some(then)) = (self.record(&Record::Removed(path)), then) {
            self.awaited.push((pos, then));
        }
    }

    fn settled(&mut self, path: RelPath, outcome: Outcome, what: Settled) {
        match what {
            Settled::Symlink => self.summary.symlinks += 1,
            Settled::Special => self.summary.specials += 1,
            Settled::LeftOut(kind) => self.summary.skipped.add(Some(kind)),
            Settled::LeftAlone { kind, bytes } => {
                self.summary.skipped.add(Some(kind));
                self.left_alone_bytes += bytes;
                self.counted(self.counted);
            }
            Settled::File { bytes } => self.unchanged(1, bytes),
        }
        self.tell_entry(path, outcome);
    }

    /// Records a file that is unchanged. It was flushed when it was copied.
    fn confirmed(&mut self, done: Done) {
        let record = Record::Done(done);
        if self.record(&record).is_none() {
            return;
        }
        if let Record::Done(Done { path, size, .. }) = record {
            let what = Settled::File { bytes: size };
            self.settled(path, Outcome::Unchanged, what);
        }
    }

    fn unchanged(&mut self, files: u64, bytes: u64) {
        self.summary.files_unchanged += files;
        self.summary.bytes_total += bytes;
        self.there_before(bytes);
    }

    /// Reports what there is to do, without what a rule leaves alone: the walk that counts does not
    /// look at the destination.
    fn counted(&mut self, counted: Counted) {
        self.counted = counted;
        let counted = Counted {
            bytes: counted.bytes.saturating_sub(self.left_alone_bytes),
            ..counted
        };
        self.shared.board.counted(counted);
        self.emit(Event::Counted(counted));
    }

    /// Counts content that an earlier run made durable.
    fn there_before(&mut self, bytes: u64) {
        self.progress.bytes_written += bytes;
        self.progress.bytes_durable += bytes;
        self.progress.bytes_before += bytes;
        self.bytes_sealing += bytes;
        let shown = self.shown_progress();
        self.shared.board.progress(shown);
    }

    /// Notes a hard link, to be made when the name it goes to is there.
    fn link(&mut self, path: RelPath, to: RelPath) {
        let found = self.store().lookup(&path);
        let Some(found) = self.manifest(found) else {
            return;
        };
        let pos = match found {
            Some((pos, Entry::Link(link) | Entry::LinkWanted(link))) if link.to == to => Some(pos),
            _ => self.record(&Record::LinkWanted(Link {
                path: path.clone(),
                to,
            })),
        };
        if let Some(pos) = pos {
            self.store().set_due(&path, pos);
        }
    }

    /// `kind`: `None` if it could not be looked at.
    pub(super) fn entry_failed(&mut self, path: RelPath, kind: Option<Kind>, error: EntryError) {
        self.summary.failed.add(kind);
        self.problem(path, error);
    }

    /// Tells what went wrong with an entry that was counted as something else.
    pub(super) fn problem(&mut self, path: RelPath, error: EntryError) {
        // "Some entries failed" says more than "some vanished".
        self.worst = match (self.worst, error.exit()) {
            (Exit::Partial, _) | (_, Exit::Partial) => Exit::Partial,
            (_, exit) => exit,
        };
        if self.failures.len() < RunEnd::FAILURES_MAX {
            let mut reason = error.to_string();
            let mut end = reason.len().min(RunEnd::REASON_BYTES_MAX);
            while !reason.is_char_boundary(end) {
                end -= 1;
            }
            reason.truncate(end);
            self.failures.push((path.clone(), reason));
        }
        self.emit(Event::Problem { path, error });
    }

    /// Lets the run end with this code if nothing worse happens.
    pub(super) fn note_exit(&mut self, exit: Exit) {
        if self.worst == Exit::Done {
            self.worst = exit;
        }
    }

    fn complete(&mut self, worker: Option<usize>, completed: Completed<F>) {
        let mut chain = 0;
        if let Some(worker) = worker {
            match self.finish_blocks(worker) {
                Some(pos) => chain = pos,
                None => return,
            }
        }
        self.tell_lesser(&completed.path, &completed.dest, completed.mtime_ns);
        let bytes = completed.bytes_now();
        if let Content::Repaired { size, taken, .. } = completed.content {
            self.there_before(size.saturating_sub(taken));
        }
        if completed.attempt.is_some() {
            self.summary.bytes_copied += bytes;
        }
        match &completed.file {
            Some(file) if !self.shared.flushes_each(&completed.path) => {
                self.dirty.file(&completed.path, file);
            }
            _ if worker.is_none() => self.dirty.unlisted(&completed.path),
            _ => {}
        }
        self.dirty.parent(&completed.path);
        self.written(bytes);
        self.waiting.push(Waiting { completed, chain });
    }

    /// Counts content that was written now.
    fn written(&mut self, bytes: u64) {
        self.oldest.get_or_insert_with(Instant::now);
        self.unflushed_bytes += bytes;
        self.progress.bytes_written += bytes;
        self.tell_progress();
    }
}
