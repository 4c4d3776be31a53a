//! A worker: reads, hashes and writes one file at a time, and tells the committer.
//!
//! It writes under partial names only, never flushes (but where each file must be flushed by
//! itself), never renames to a final name and never touches the manifest.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError};

use super::batch::BatchSender;
use super::failure::{self, Failure};
use super::message::{Completed, Content, Leaving, Message, Settled, Task, Work};
use super::retry::Trier;
use super::shared::Dropped;
use super::writes::Writes;
use super::{Shared, adopt, origin, repair};
use crate::error::EntryError;
use crate::fs::source::{self, SourceFile};
use crate::fs::{Fs, FsFile, Stat};
use crate::hash::{BlockHasher, Hash32, TreeMerger};
use crate::lock_mutex;
use crate::manifest::{Begin, DestMeta, Partial, Seen, SourceId};
use crate::partial::PartialName;
use crate::path::{Printable, RelPath};
use crate::plan::{settled_id, source_id};

/// How often a file that changes while it is read is begun again before it is given up.
const TRIES: u32 = 3;
/// A reading that took so long, or longer, is of no use if the name leads to another file by then.
const LONG: Duration = Duration::from_secs(1);
/// Files of this size and more are announced to the system as read in sequence.
const SEQUENTIAL_BYTES: u64 = 4 << 20;

mod blocks;
mod compare;
mod named;
mod pieces;
mod single;
mod sink;
mod survey;

use compare::Compared;
pub(super) use pieces::{Piece, PieceError};
pub(super) use sink::Sink;

pub(super) struct Worker<'a, F: Fs> {
    pub(super) shared: &'a Shared<F>,
    pub(super) number: usize,
    pub(super) messages: &'a BatchSender<Message<F>>,
    /// For one piece, and a byte behind it.
    pub(super) buf: Vec<u8>,
    pub(super) piece_bytes: usize,
    /// The writing calls to the partial that it is at.
    writes: Writes,
}

/// How one reading of a source ended.
pub(super) enum Reading<F: Fs> {
    Done(Box<Completed<F>>),
    /// The source changed meanwhile; what was written of it is worthless.
    Changed,
}

impl<'a, F: Fs> Worker<'a, F> {
    pub(super) fn new(
        shared: &'a Shared<F>,
        number: usize,
        messages: &'a BatchSender<Message<F>>,
    ) -> Worker<'a, F> {
        let piece_bytes = shared.throttle.piece(pieces::PIECE_BYTES);
        Worker {
            shared,
            number,
            messages,
            buf: vec![0; piece_bytes + 1],
            piece_bytes,
            writes: Writes::default(),
        }
    }

    /// Works until there is no more work or the run ends.
    pub(super) fn run(&mut self, works: &Receiver<Vec<Work<F>>>) {
        while let Some(batch) = self.next_batch(works) {
            for work in batch {
                if self.shared.should_stop() {
                    return;
                }
                let board = &self.shared.board;
                board.take_up(self.number, &work.path, work.stat.size);
                let worked = self.work(&work);
                board.put_down(self.number);
                let told = match worked {
                    Ok(Message::Complete {
                        worker: None,
                        completed,
                    }) => {
                        let bytes = completed.bytes_now();
                        let message = Message::Complete {
                            worker: None,
                            completed,
                        };
                        self.messages.hold(message, bytes)
                    }
                    Ok(message @ Message::Settled { .. }) => self.messages.hold(message, 0),
                    Ok(message) => self.messages.send(message),
                    Err(Failure::Entry(error)) => self.messages.send(Message::Failed {
                        path: work.path,
                        kind: Some(work.stat.kind),
                        error,
                    }),
                    Err(Failure::Fatal(error)) => self.messages.send(Message::Fatal(error)),
                    Err(Failure::Stopped) => return,
                };
                if told.is_err() {
                    return;
                }
            }
        }
    }

    /// What there is to do next; who waits for it tells first what was done.
    fn next_batch(&self, works: &Receiver<Vec<Work<F>>>) -> Option<Vec<Work<F>>> {
        match works.try_recv() {
            Err(TryRecvError::Empty) => {
                self.messages.flush().ok()?;
                works.recv().ok()
            }
            batch => batch.ok(),
        }
    }

    fn trier(&self) -> Trier<'a, F> {
        Trier {
            shared: self.shared,
            messages: self.messages,
        }
    }

    /// Says how far the file at hand is.
    pub(super) fn reached(&self, bytes: u64) {
        self.shared.board.reached(self.number, bytes);
    }

    pub(super) fn send(&self, message: Message<F>) -> Result<(), Failure> {
        self.messages.send(message).map_err(|_| Failure::Stopped)
    }

    pub(super) fn at_dest<'p>(
        &self,
        action: &'static str,
        path: &'p RelPath,
    ) -> impl Fn(io::Error) -> Failure + use<'a, 'p, F> {
        let shared = self.shared;
        move |error| failure::context(&shared.fs, action, shared.full(path))(error)
    }

    /// [`Self::at_dest`] for calls about names.
    fn naming<'p>(
        &self,
        action: &'static str,
        path: &'p RelPath,
    ) -> impl Fn(io::Error) -> Failure + use<'a, 'p, F> {
        let shared = self.shared;
        move |error| failure::naming(&shared.fs, action, shared.full(path))(error)
    }

    fn work(&mut self, work: &Work<F>) -> Result<Message<F>, Failure> {
        // A file that the manifest knows, of which both sides are to be read.
        let mut check = None;
        match &work.task {
            Task::Symlink(target) => return self.symlink(work, target),
            Task::Mend(record) => return self.mend(work, record),
            Task::Compare(record) => match self.compare(work, record)? {
                Compared::Told(message) => return Ok(message),
                Compared::Prove(done) => check = Some(done),
                Compared::Copy => {}
            },
            Task::Check(done) => check = Some(&**done),
            Task::Repair(done) => return repair::mend(self, work, done),
            Task::Special(what) => return self.special(work, *what),
            Task::Copy | Task::Resume(_) | Task::Adopt => {}
        }
        let _stream = self.shared.streams.take(work.stat.size);
        let opened = self
            .trier()
            .read(&work.source, || self.shared.open_source(&work.source));
        let mut source = opened.map_err(|error| unreadable(self.shared, work, error))?;
        if !source.is(&work.stat) {
            return Err(EntryError::Replaced(work.source.clone()).into());
        }
        if work.stat.size >= SEQUENTIAL_BYTES {
            source.advise_sequential();
        }
        for first in [true, false, false].into_iter().take(TRIES as usize) {
            let mut is_new = first;
            if !first && let Some(other) = self.successor(work, &source)? {
                (source, is_new) = (other, true);
            }
            let settled = self.settle(work, &source, is_new)?;
            let stat = settled.stat;
            let reading = match &work.task {
                Task::Resume(partial) if first => {
                    match self.resume(work, &source, &settled, partial)? {
                        // A rename may outlive a power cut that its record did not.
                        None => self.adopt_or_copy(work, &source, &settled)?,
                        Some(reading) => reading,
                    }
                }
                Task::Adopt if first => self.adopt_or_copy(work, &source, &settled)?,
                _ => match check.filter(|_| first) {
                    Some(done) => match adopt::check(self, work, &source, &settled, done)? {
                        Some(unchanged) => return Ok(unchanged),
                        None => self.adopt_or_copy(work, &source, &settled)?,
                    },
                    None => self.copy(work, &source, &settled)?,
                },
            };
            if let Reading::Done(mut completed) = reading {
                if settled.unsettled {
                    self.note_unsettled(work, &mut completed)?;
                }
                origin::check(self, work, &stat, &completed)?;
                let multi = matches!(completed.content, Content::File { blocks: true, .. });
                return Ok(Message::Complete {
                    worker: multi.then_some(self.number),
                    completed,
                });
            }
        }
        Err(EntryError::Changing {
            path: work.source.clone(),
            tries: TRIES,
        }
        .into())
    }

    /// Waits until a change of the source during the reading will show. `opened`: it was opened just
    /// now.
    fn settle(
        &self,
        work: &Work<F>,
        source: &SourceFile,
        opened: bool,
    ) -> Result<source::Settled, Failure> {
        let settled = self.trier().read(&work.source, || {
            let stat = if opened {
                *source.opened()
            } else {
                source.stat()?
            };
            source.settle(stat, |wait| self.shared.pause(wait))
        });
        if self.shared.should_stop() {
            return Err(Failure::Stopped);
        }
        settled.map_err(|error| unreadable(self.shared, work, error))
    }

    /// Makes the next run compare a file. Warns of the first one.
    fn note_unsettled(&self, work: &Work<F>, completed: &mut Completed<F>) -> Result<(), Failure> {
        if let Content::File { unsettled, .. } = &mut completed.content {
            *unsettled = true;
        }
        if self.shared.told_unsettled.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.send(Message::Warning(format!(
            "{} keeps changing, or shows a time that is still to come on this machine, so that a change while it was copied may not have shown: the next run compares it, and others like it",
            Printable(&work.source)
        )))
    }

    fn adopt_or_copy(
        &mut self,
        work: &Work<F>,
        source: &SourceFile,
        settled: &source::Settled,
    ) -> Result<Reading<F>, Failure> {
        match adopt::adopt(self, work, source, &settled.stat)? {
            Some(reading) => Ok(reading),
            None => self.copy(work, source, settled),
        }
    }

    /// Copies a file from the beginning.
    pub(super) fn copy(
        &mut self,
        work: &Work<F>,
        source: &SourceFile,
        settled: &source::Settled,
    ) -> Result<Reading<F>, Failure> {
        let stat = &settled.stat;
        let id = settled_id(settled);
        if self.shared.block_size.is_single(id.size) {
            self.writes = Writes::default();
            return self.copy_single(work, source, stat);
        }
        self.writes = self.writes_to(&work.path);
        let (attempt, _, file) = self.create(work)?;
        let begin = Begin {
            path: work.path.clone(),
            source: id,
            attempt,
            adopts: false,
        };
        let file = Arc::new(file);
        self.send(Message::Begin {
            worker: self.number,
            begin,
            file: Some(Arc::clone(&file)),
            writes: self.writes.clone(),
        })?;
        let merger = TreeMerger::new(self.shared.block_size);
        let written = self.write_blocks(work, source, stat, &file, merger);
        self.settle_blocks(work, stat, attempt, written)
    }

    /// The writing calls to a partial of several blocks.
    fn writes_to(&self, path: &RelPath) -> Writes {
        match self.shared.flushes_each(path) {
            true => Writes::watched(),
            false => Writes::default(),
        }
    }

    /// A failed flush always ends the run: the data is suspect, and so is the device.
    pub(super) fn flush_failed(&self, work: &Work<F>, error: io::Error) -> Failure {
        let path = self.shared.full(&work.path);
        Failure::Fatal(failure::flush_failed(
            &*self.shared.fs,
            "flush",
            path,
            error,
        ))
    }

    /// Returns the file that has the source's name now, if that is another one.
    fn successor(
        &self,
        work: &Work<F>,
        source: &SourceFile,
    ) -> Result<Option<SourceFile>, Failure> {
        let opened = self
            .trier()
            .read(&work.source, || self.shared.open_source(&work.source));
        match opened {
            Ok(now) => Ok((!source.is(now.opened())).then_some(now)),
            // It was removed, and what is open is all there is of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(self.shared, work, error)),
        }
    }

    /// Whether a source is what it was before it was read.
    pub(super) fn is_unchanged(
        &self,
        work: &Work<F>,
        source: &SourceFile,
        before: &SourceId,
    ) -> Result<bool, Failure> {
        let after = self
            .trier()
            .read(&work.source, || source.stat())
            .map_err(|error| unreadable(self.shared, work, error))?;
        let is_same = source_id(&after) == *before;
        Ok(is_same && (source.open_for() < LONG || self.successor(work, source)?.is_none()))
    }

    /// Gives the partial the source's metadata; gives back what the destination made of it.
    fn set_meta(
        &self,
        work: &Work<F>,
        source: &SourceFile,
        file: &F::File,
        stat: &Stat,
    ) -> Result<DestMeta, Failure> {
        let shared = self.shared;
        let xattrs = shared.xattrs(|| source.xattrs());
        let xattrs = xattrs.map_err(|error| unreadable(shared, work, error))?;
        let at_dest = self.at_dest("set the metadata of", &work.path);
        let wanted = shared.wanted_in(&work.dir, stat, xattrs, work.there.as_ref());
        let wanted = wanted.map_err(&at_dest)?;
        let set = self.writes.make(|| file.settle(&wanted));
        let (seen, xattrs) = set.map_err(at_dest)?;
        let seen = Seen::new(seen, xattrs);
        Ok(shared.as_set(&work.path, (&wanted, stat.mtime_ns), &seen, None))
    }

    /// Makes an empty partial.
    pub(super) fn create(&self, work: &Work<F>) -> Result<(u8, PartialName, F::File), Failure> {
        let create = |name: &[u8]| self.shared.fs.create_new(&work.dir, name);
        let made = self.trier().name(&work.path, || {
            self.shared.make_partial(&work.path, &work.dir, create)
        });
        made.map_err(self.naming("create a partial copy of", &work.path))
    }

    /// Removes what an earlier run may have begun beside a file that needs no copying.
    pub(super) fn remove_left_over(&self, work: &Work<F>) -> Result<(), Failure> {
        let shared = self.shared;
        let (attempt, name) = shared.names.claim(&work.path);
        let cleared = shared.clear_left_over(&work.path, &work.dir, &name);
        shared.names.release(&work.path, attempt);
        // One that stays is in nobody's way.
        cleared.map_err(self.at_dest("remove the partial copy of", &work.path))?;
        Ok(())
    }

    /// Removes a partial that is recorded, and waits until that is durably forgotten: its name is to be
    /// used again.
    pub(super) fn drop_recorded(
        &self,
        work: &Work<F>,
        attempt: u8,
        tell: impl FnOnce(Sender<()>) -> Message<F>,
    ) -> Result<(), Failure> {
        let dropped = Dropped {
            path: &work.path,
            dir: &*work.dir,
            attempt,
        };
        self.shared.drop_recorded(self.messages, dropped, tell)
    }

    /// Removes a partial that is of no use and not recorded.
    pub(super) fn discard(&self, work: &Work<F>, attempt: u8, name: &[u8]) -> Result<(), Failure> {
        let removed = crate::fs::found(self.shared.fs.remove(&work.dir, name));
        removed.map_err(self.at_dest("remove the partial copy of", &work.path))?;
        self.shared.names.release(&work.path, attempt);
        Ok(())
    }
}

/// A source that cannot be read; one that is gone by now has vanished.
pub(super) fn unreadable<F: Fs>(shared: &Shared<F>, work: &Work<F>, error: io::Error) -> Failure {
    failure::at_source(shared, &work.source, error)
}
