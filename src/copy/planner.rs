//! The planner: walks the sources, decides about each entry, makes the directories and hands the
//! rest to the workers.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::Errno;

use super::Shared;
use super::batch::BatchSender;
use super::failure::{self, Failure};
use super::message::{Completed, Content, Message, Settled, Task, Work};
use super::retry::Trier;
use super::scanner::Walk;
use super::shared::Dropped;
use super::siblings::Siblings;
use crate::error::EntryError;
use crate::event::Outcome;
use crate::fs::{self, Fs, Kind, Meta, Stat, Xattrs};
use crate::lock_mutex;
use crate::manifest::{DestMeta, Done, Entry, Record};
use crate::path::RelPath;
use crate::plan::{self, DIR_WORKING_BITS, DirPlan, FilePlan, SymlinkPlan};
use crate::scan::{FirstNames, Scanned, Source};

mod alike;
mod dirs;
mod leave;
mod links;
mod mends;
mod special;
mod symlinks;
mod unchanged;

pub(super) struct Planner<'a, F: Fs> {
    shared: &'a Shared<F>,
    sources: &'a [Source],
    walk: Walk,
    works: BatchSender<Work<F>>,
    messages: BatchSender<Message<F>>,
    /// The open directories from the root to where the walk is.
    open: Vec<OpenDir<F>>,
    /// The directory that was made last.
    made: Option<RelPath>,
    /// The first destination path of each inode with several names, until all were met.
    links: FirstNames,
    told_of_links: bool,
    siblings: Siblings,
    unchanged: unchanged::Unchanged,
    /// What the directories from the root to where the walk is hold, where names fold.
    listed: Vec<(RelPath, HashSet<Vec<u8>>)>,
}

/// An open directory of the destination.
struct OpenDir<F: Fs> {
    path: RelPath,
    dir: Option<Arc<F::Dir>>,
    /// This run made it: there is nothing in it but what this run put there.
    is_new: bool,
}

/// Whether the walk goes down into a directory.
#[derive(PartialEq, Eq)]
enum Descend {
    Yes,
    No,
}

impl<'a, F: Fs> Planner<'a, F> {
    pub(super) fn new(
        shared: &'a Shared<F>,
        sources: &'a [Source],
        walk: Walk,
        works: BatchSender<Work<F>>,
        messages: BatchSender<Message<F>>,
    ) -> Planner<'a, F> {
        Planner {
            shared,
            sources,
            walk,
            works,
            messages,
            open: Vec::new(),
            made: None,
            links: FirstNames::new(shared.limits.kind.links_max()),
            told_of_links: false,
            siblings: Siblings::default(),
            unchanged: unchanged::Unchanged::default(),
            listed: Vec::new(),
        }
    }

    /// Walks all sources, until the end or until the run ends.
    pub(super) fn run(&mut self) {
        if self.shared.should_stop() || self.send(Message::Planning).is_err() {
            return;
        }
        self.plan_all();
        // Fails only if nobody counts any more.
        let _ = self.tell_unchanged();
    }

    fn plan_all(&mut self) {
        let mut path = RelPath::root();
        while let Some((number, scanned)) = self.walk.next() {
            if self.shared.should_stop() {
                return;
            }
            let kind;
            let planned = match scanned {
                Ok(mut scanned) => {
                    path.clone_from(&scanned.dest);
                    let stat = scanned.stat;
                    kind = Some(stat.kind);
                    let planned = self.plan(&mut scanned);
                    if matches!(planned, Err(Failure::Entry(_))) {
                        // Its other names do without it.
                        self.links.forget(&stat);
                    }
                    self.walk.done_with(scanned);
                    planned
                }
                Err(failed) => {
                    self.shared.walk_failed.store(true, Ordering::Relaxed);
                    path = failed.dest;
                    kind = None;
                    Err(self.scan_failed(failed.error))
                }
            };
            let sent = match planned {
                Ok(Descend::Yes) => Ok(()),
                Ok(Descend::No) => {
                    self.walk.pass_over(number, path.clone());
                    Ok(())
                }
                Err(Failure::Entry(error)) => {
                    let path = path.clone();
                    self.send(Message::Failed { path, kind, error })
                }
                Err(Failure::Fatal(error)) => self.send(Message::Fatal(error)),
                Err(Failure::Stopped) => Err(Failure::Stopped),
            };
            if sent.is_err() {
                return;
            }
        }
    }

    /// What the walk could not hand on, unless it is the device that is gone.
    fn scan_failed(&self, error: EntryError) -> Failure {
        match error {
            EntryError::Unreadable(error) => {
                failure::at_source(self.shared, &error.path, error.source)
            }
            EntryError::Vanished(path) => {
                failure::at_source(self.shared, &path, Errno::NOENT.into())
            }
            error => error.into(),
        }
    }

    fn trier(&self) -> Trier<'_, F> {
        Trier {
            shared: self.shared,
            messages: &self.messages,
        }
    }

    fn send(&self, message: Message<F>) -> Result<(), Failure> {
        self.messages.send(message).map_err(|_| Failure::Stopped)
    }

    /// Sends with others: there is nothing to do for it.
    fn hold(&self, message: Message<F>) -> Result<(), Failure> {
        self.messages.hold(message, 0).map_err(|_| Failure::Stopped)
    }

    /// Plans an entry; what is to be kept of it is taken out.
    fn plan(&mut self, scanned: &mut Scanned) -> Result<Descend, Failure> {
        self.shared.selected.note(scanned);
        if let Some(why) = scanned.left_out {
            if let Some(error) = why.error(&scanned.source) {
                return Err(error.into());
            }
            if let Some(notice) = why.notice(&scanned.source) {
                self.send(Message::Warning(notice))?;
            }
            let path = std::mem::take(&mut scanned.dest);
            let what = Settled::LeftOut(scanned.stat.kind);
            self.settled(path, Outcome::Skipped, what)?;
            return Ok(Descend::Yes);
        }
        if let Some(warning) = self.shared.keep_private(&scanned.stat) {
            self.send(Message::Warning(warning))?;
        }
        let dir = scanned.stat.kind == Kind::Dir;
        if let Some(earlier) = scanned.earlier.take() {
            let Scanned {
                source, dest, stat, ..
            } = std::mem::take(scanned);
            let (path, kind) = (dest, Some(stat.kind));
            let error = EntryError::Clash {
                path: source,
                earlier,
            };
            self.send(Message::Failed { path, kind, error })?;
            return Ok(if dir { Descend::No } else { Descend::Yes });
        }
        if scanned.dest.is_root() {
            return self.dir(std::mem::take(scanned), None);
        }
        let parent = self.open_parent(&scanned.dest)?;
        if let Some(failure) = self.cannot_stand(scanned, &parent)? {
            let entry = (std::mem::take(&mut scanned.dest), scanned.stat.kind);
            let left_out = self.leave_out(entry, failure);
            // Passing over what is below is for directories: else it is what is beside.
            return match dir {
                true => left_out,
                false => left_out.map(|_| Descend::Yes),
            };
        }
        if !dir && self.links(scanned, &parent)? {
            return Ok(Descend::Yes);
        }
        match scanned.stat.kind {
            Kind::Dir => return self.dir(std::mem::take(scanned), Some(parent)),
            Kind::File => self.file(scanned, parent)?,
            Kind::Symlink => self.symlink(std::mem::take(scanned), parent)?,
            Kind::Special(what) => self.special(std::mem::take(scanned), parent, what)?,
        }
        Ok(Descend::Yes)
    }

    fn settled(&self, path: RelPath, outcome: Outcome, what: Settled) -> Result<(), Failure> {
        let settled = Message::Settled {
            path,
            outcome,
            what,
        };
        self.hold(settled)
    }

    fn at_dest<'p>(
        &self,
        action: &'static str,
        path: &'p RelPath,
    ) -> impl Fn(std::io::Error) -> Failure + use<'a, 'p, F> {
        let shared = self.shared;
        move |error| failure::naming(&shared.fs, action, shared.full(path))(error)
    }

    /// What stands under the name of `path` in the directory that was opened last.
    fn there(&self, dir: &F::Dir, path: &RelPath) -> Result<Option<Stat>, Failure> {
        match self.open.last() {
            Some(open) if open.is_new => Ok(None),
            _ => {
                let there = self.shared.fs.stat(dir, path.name());
                there.map_err(self.at_dest("look at", path))
            }
        }
    }

    fn known(&self, path: &RelPath) -> Result<Option<Entry>, Failure> {
        let found = lock_mutex(&self.shared.store).lookup(path);
        let found = found
            .map_err(|error| Failure::Fatal(failure::manifest_failed(&*self.shared.fs, error)))?;
        Ok(found.map(|(_, entry)| entry))
    }

    fn conflict(&self, path: &RelPath, found: Kind, wanted: Kind) -> EntryError {
        EntryError::Conflict {
            path: self.shared.full(path),
            found: found.describe(),
            wanted: wanted.describe(),
        }
    }

    fn file(&mut self, scanned: &mut Scanned, dir: Arc<F::Dir>) -> Result<(), Failure> {
        let there = self.there(&dir, &scanned.dest)?;
        if self.is_as_before(scanned, there.as_ref()) {
            return self.unchanged(scanned);
        }
        let mut scanned = std::mem::take(scanned);
        let path = &scanned.dest;
        let known = self.known(path)?;
        let rules = (self.shared.options.existing, self.shared.times);
        let task = match plan::plan_file_under(rules, &scanned.stat, known.as_ref(), there.as_ref())
        {
            FilePlan::Leave => return self.leave(scanned, &dir, known.as_ref()),
            FilePlan::Conflict(found) => {
                return Err(self.conflict(path, found, Kind::File).into());
            }
            FilePlan::Unchanged => {
                return match known {
                    Some(Entry::Done(done))
                        if !self.is_untouched(&scanned, &done, there.as_ref()) =>
                    {
                        self.hand_on(
                            scanned,
                            dir,
                            there,
                            Task::Compare(Box::new(Record::Done(done))),
                        )
                    }
                    _ => self.unchanged(&mut scanned),
                };
            }
            FilePlan::Copy => {
                self.drop_partial(path, &dir, known.as_ref())?;
                Task::Copy
            }
            FilePlan::Adopt => Task::Adopt,
            FilePlan::Check => match known {
                Some(Entry::Done(done)) => Task::Check(Box::new(done)),
                _ => Task::Adopt,
            },
            FilePlan::Resume => match known {
                Some(Entry::Partial(partial)) => Task::Resume(Box::new(partial)),
                _ => Task::Copy,
            },
        };
        self.hand_on(scanned, dir, there, task)
    }

    /// Removes the partial of a path that will not be gone on with.
    fn drop_partial(
        &self,
        path: &RelPath,
        dir: &F::Dir,
        known: Option<&Entry>,
    ) -> Result<(), Failure> {
        let Some(Entry::Partial(partial)) = known else {
            return Ok(());
        };
        if partial.begin.adopts {
            let (path, durable) = (path.clone(), None);
            return self.send(Message::Forget { path, durable });
        }
        let dropped = Dropped {
            path,
            dir,
            attempt: partial.begin.attempt,
        };
        let path = path.clone();
        let forget = |durable| Message::Forget {
            path,
            durable: Some(durable),
        };
        self.shared.drop_recorded(&self.messages, dropped, forget)
    }

    fn hand_on(
        &self,
        scanned: Scanned,
        dir: Arc<F::Dir>,
        there: Option<Stat>,
        task: Task,
    ) -> Result<(), Failure> {
        let work = Work {
            path: scanned.dest,
            source: scanned.source,
            stat: scanned.stat,
            there,
            dir,
            task,
        };
        // What was said of this path before has to be heard before what becomes of the work.
        let told = self.messages.flush();
        let handed_on = told.and_then(|()| match work.task {
            // So quick that the workers would be woken for each.
            Task::Compare(_) => self.works.hold(work, 0),
            _ => {
                let bytes = work.stat.size;
                self.works.offer(work, bytes)
            }
        });
        handed_on.map_err(|_| Failure::Stopped)
    }
}
