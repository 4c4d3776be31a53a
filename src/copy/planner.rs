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
use super::siblings::Siblings;
use crate::error::EntryError;
use crate::event::Outcome;
use crate::fs::{self, Fs, Kind, Meta, Stat};
use crate::lock_mutex;
use crate::manifest::{DestMeta, Entry};
use crate::path::RelPath;
use crate::plan::{self, DIR_WORKING_BITS, DirPlan, FilePlan, SymlinkPlan};
use crate::scan::{self, FirstNames, Scan, Scanned, Source};

mod alike;
mod leave;
mod links;
mod mends;
mod special;

pub(super) struct Planner<'a, F: Fs> {
    shared: &'a Shared<F>,
    sources: &'a [Source],
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
    /// What the directories from the root to where the walk is hold, where names fold.
    listed: Vec<(RelPath, HashSet<Vec<u8>>)>,
}

/// An open directory of the destination.
struct OpenDir<F: Fs> {
    path: RelPath,
    dir: Arc<F::Dir>,
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
        works: BatchSender<Work<F>>,
        messages: BatchSender<Message<F>>,
    ) -> Planner<'a, F> {
        Planner {
            shared,
            sources,
            works,
            messages,
            open: Vec::new(),
            made: None,
            links: FirstNames::default(),
            told_of_links: false,
            siblings: Siblings::default(),
            listed: Vec::new(),
        }
    }

    /// Walks all sources, until the end or until the run ends.
    pub(super) fn run(&mut self) {
        if self.shared.should_stop() || self.send(Message::Planning).is_err() {
            return;
        }
        for number in 0..self.sources.len() {
            let selection = &self.shared.options.selection;
            let mut scan = Scan::new(&self.sources[number], selection);
            while let Some(scanned) = scan.next() {
                if self.shared.should_stop() {
                    return;
                }
                let (path, planned) = match scanned {
                    Ok(scanned) => (scanned.dest.clone(), self.plan(number, scanned)),
                    Err(failed) => {
                        self.shared.walk_failed.store(true, Ordering::Relaxed);
                        (failed.dest, Err(self.scan_failed(failed.error)))
                    }
                };
                let sent = match planned {
                    Ok(Descend::Yes) => Ok(()),
                    Ok(Descend::No) => {
                        scan.skip_dir();
                        Ok(())
                    }
                    Err(Failure::Entry(error)) => self.send(Message::Failed { path, error }),
                    Err(Failure::Fatal(error)) => self.send(Message::Fatal(error)),
                    Err(Failure::Stopped) => Err(Failure::Stopped),
                };
                if sent.is_err() {
                    return;
                }
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

    fn plan(&mut self, number: usize, scanned: Scanned) -> Result<Descend, Failure> {
        if scanned.left_out {
            self.settled(scanned.dest, Outcome::Skipped, Settled::LeftOut)?;
            return Ok(Descend::Yes);
        }
        let dir = scanned.stat.kind == Kind::Dir;
        if let Some(earlier) = scan::earlier(&self.sources[..number], &scanned) {
            let path = scanned.dest;
            let error = EntryError::Clash {
                path: scanned.source,
                earlier,
            };
            self.send(Message::Failed { path, error })?;
            return Ok(if dir { Descend::No } else { Descend::Yes });
        }
        if scanned.dest.is_root() {
            self.dir(scanned, None)
        } else {
            let Some((parent, _)) = scanned.dest.split() else {
                return Ok(Descend::Yes);
            };
            let parent = self.open_dir(&parent)?;
            if let Some(failure) = self.cannot_stand(&scanned, &parent)? {
                let left_out = self.leave_out(scanned.dest, failure);
                // Passing over what is below is for directories: else it is what is beside.
                return match dir {
                    true => left_out,
                    false => left_out.map(|_| Descend::Yes),
                };
            }
            if !dir && self.links(&scanned, &parent)? {
                return Ok(Descend::Yes);
            }
            match scanned.stat.kind {
                Kind::Dir => self.dir(scanned, Some(parent)),
                Kind::File => self.file(scanned, parent).map(|()| Descend::Yes),
                Kind::Symlink => self.symlink(scanned, parent).map(|()| Descend::Yes),
                Kind::Special(what) => self.special(scanned, parent, what).map(|()| Descend::Yes),
            }
        }
    }

    fn settled(&self, path: RelPath, outcome: Outcome, what: Settled) -> Result<(), Failure> {
        let settled = Message::Settled {
            path,
            outcome,
            what,
        };
        self.messages.hold(settled, 0).map_err(|_| Failure::Stopped)
    }

    fn at_dest(
        &self,
        action: &'static str,
        path: &RelPath,
    ) -> impl Fn(std::io::Error) -> Failure + use<F> {
        failure::naming(&self.shared.fs, action, self.shared.full(path))
    }

    /// Opens a directory at the destination, or finds it among the open ones.
    fn open_dir(&mut self, path: &RelPath) -> Result<Arc<F::Dir>, Failure> {
        while let Some(open) = self.open.last() {
            if path.is_within(&open.path) {
                break;
            }
            self.open.pop();
        }
        if let Some(open) = self.open.last()
            && open.path == *path
        {
            return Ok(Arc::clone(&open.dir));
        }
        let dir = if path.is_root() {
            self.shared.fs.root()
        } else {
            let opened =
                (self.trier()).name(&self.shared.full(path), || self.shared.fs.open_dir(path));
            Arc::new(opened.map_err(self.at_dest("open directory", path))?)
        };
        self.open.push(OpenDir {
            path: path.clone(),
            dir: Arc::clone(&dir),
            is_new: self.made.as_ref() == Some(path),
        });
        Ok(dir)
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

    /// Makes or keeps a directory; `parent` is `None` for the root.
    fn dir(&mut self, scanned: Scanned, parent: Option<Arc<F::Dir>>) -> Result<Descend, Failure> {
        let (fs, path) = (&*self.shared.fs, scanned.dest.clone());
        let at_dest = self.at_dest("create directory", &path);
        let there = match &parent {
            Some(parent) => fs.stat(parent, path.name()),
            None => fs.stat_dir(&fs.root()).map(Some),
        };
        let there = there.map_err(self.at_dest("look at", &path))?;
        let known = self.known(&path)?;
        let before = match (&known, there) {
            // It has still the bits that it needed while a run that was stopped worked in it.
            (Some(Entry::Dir(known)), Some(there)) if there.mode == DIR_WORKING_BITS => {
                let mode = known.dest.asked_mode();
                Some(Stat { mode, ..there })
            }
            _ => there,
        };
        let wanted = self.wanted(&scanned, before.as_ref())?;
        let seen = match (there, &parent) {
            (Some(stat), Some(dir)) => Some(self.seen(&path, dir, stat)?),
            (Some(stat), None) => Some(self.seen(&path, &fs.root(), stat)?),
            (None, _) => None,
        };
        let plan = plan::plan_dir(&scanned.stat, &wanted, known.as_ref(), seen.as_ref());
        let (mend, outcome) = match plan {
            DirPlan::Conflict(found) => {
                let error = self.conflict(&path, found, Kind::Dir);
                self.send(Message::Failed { path, error })?;
                return Ok(Descend::No);
            }
            DirPlan::Make => {
                let Some(parent) = &parent else {
                    return Ok(Descend::No);
                };
                self.drop_partial(&path, parent, known.as_ref())?;
                let full = self.shared.full(&path);
                let made = (self.trier()).name(&full, || fs.make_dir(parent, path.name()));
                if let Err(failure) = made.map_err(at_dest) {
                    return self.leave_out(path, failure);
                }
                self.made = Some(path.clone());
                (true, Outcome::Copied)
            }
            DirPlan::Keep { mend: false } => (false, Outcome::Unchanged),
            DirPlan::Keep { mend: true } => match known {
                Some(Entry::Dir(_)) => (true, Outcome::Mended),
                _ => (true, Outcome::Adopted),
            },
        };
        let locked_out = there.is_some_and(|stat| stat.mode & DIR_WORKING_BITS != DIR_WORKING_BITS);
        if locked_out && let (Some(parent), Some(stat)) = (&parent, &there) {
            let meta = Meta {
                mode: Some(stat.mode | DIR_WORKING_BITS),
                ..Meta::default()
            };
            let opened_up = fs.set_meta(parent, path.name(), &meta);
            if let Err(failure) = opened_up.map_err(self.at_dest("make writable", &path)) {
                return self.leave_out(path, failure);
            }
        }
        let set = match mend || locked_out {
            true => self.set_dir_xattrs(&path, &wanted).map(Some),
            false => Ok(None),
        };
        let dest = match set {
            Ok(Some(seen)) => Self::dir_in_the_end(&scanned, &wanted, &seen),
            Ok(None) => DestMeta::default(),
            Err(failure) => return self.leave_out(path, failure),
        };
        self.send(Message::Dir {
            path,
            stat: scanned.stat,
            dest,
            mend: mend || locked_out,
            outcome,
        })?;
        Ok(Descend::Yes)
    }

    /// A directory that fails takes its contents with it.
    fn leave_out(&self, path: RelPath, failure: Failure) -> Result<Descend, Failure> {
        match failure {
            Failure::Entry(error) => {
                self.send(Message::Failed { path, error })?;
                Ok(Descend::No)
            }
            failure => Err(failure),
        }
    }

    fn conflict(&self, path: &RelPath, found: Kind, wanted: Kind) -> EntryError {
        EntryError::Conflict {
            path: self.shared.full(path),
            found: found.describe(),
            wanted: wanted.describe(),
        }
    }

    fn file(&mut self, scanned: Scanned, dir: Arc<F::Dir>) -> Result<(), Failure> {
        let path = &scanned.dest;
        let there = self.there(&dir, path)?;
        let known = self.known(path)?;
        let rules = self.shared.options.existing;
        let task = match plan::plan_file_under(rules, &scanned.stat, known.as_ref(), there.as_ref())
        {
            FilePlan::Leave => return self.leave(scanned, &dir, known.as_ref()),
            FilePlan::Conflict(found) => {
                return Err(self.conflict(path, found, Kind::File).into());
            }
            FilePlan::Unchanged => {
                let mend = match &there {
                    Some(there) => self.mend(&scanned, &dir, there, known)?,
                    None => None,
                };
                if let Some(task) = mend {
                    return self.hand_on(scanned, dir, there, task);
                }
                let bytes = scanned.stat.size;
                return self.settled(scanned.dest, Outcome::Unchanged, Settled::File { bytes });
            }
            FilePlan::Copy => {
                self.drop_partial(path, &dir, known.as_ref())?;
                Task::Copy
            }
            FilePlan::Adopt => Task::Adopt,
            FilePlan::Check => match known {
                Some(Entry::Done(done)) => Task::Check(done),
                _ => Task::Adopt,
            },
            FilePlan::Resume => match known {
                Some(Entry::Partial(partial)) => Task::Resume(partial),
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
        if !partial.begin.adopts {
            let attempt = partial.begin.attempt;
            let name = self.shared.names.reserve(path, attempt);
            fs::found(self.shared.fs.remove(dir, &name))
                .map_err(self.at_dest("remove the partial copy of", path))?;
            self.shared.names.release(path, attempt);
        }
        Ok(())
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
        let bytes = work.stat.size;
        let handed_on = told.and_then(|()| self.works.offer(work, bytes));
        handed_on.map_err(|_| Failure::Stopped)
    }

    fn symlink(&mut self, scanned: Scanned, dir: Arc<F::Dir>) -> Result<(), Failure> {
        let fs = &*self.shared.fs;
        let path = &scanned.dest;
        let read = (self.trier()).read(&scanned.source, || {
            self.shared.source_entry(&scanned.source)?.read_link()
        });
        let target =
            read.map_err(|error| failure::at_source(self.shared, &scanned.source, error))?;
        let at_dest = self.at_dest("look at", path);
        let there = self.there(&dir, path)?;
        let there_target = match &there {
            Some(stat) if stat.kind == Kind::Symlink => {
                fs::found(fs.read_symlink(&dir, path.name())).map_err(&at_dest)?
            }
            _ => None,
        };
        let known = self.known(path)?;
        let there_is = there.map(|stat| (stat.kind, there_target.as_deref()));
        let rules = self.shared.options.existing;
        match plan::plan_symlink_under(rules, (&scanned.stat, &target), known.as_ref(), there_is) {
            SymlinkPlan::Leave => self.leave(scanned, &dir, known.as_ref()),
            SymlinkPlan::Conflict(found) => Err(self.conflict(path, found, Kind::Symlink).into()),
            SymlinkPlan::Unchanged => {
                let mend = match &there {
                    Some(there) => self.mend(&scanned, &dir, there, known)?,
                    None => None,
                };
                match mend {
                    Some(task) => self.hand_on(scanned, dir, there, task),
                    None => self.settled(scanned.dest, Outcome::Unchanged, Settled::Symlink),
                }
            }
            SymlinkPlan::Make => {
                self.drop_partial(path, &dir, known.as_ref())?;
                self.hand_on(scanned, dir, there, Task::Symlink(target))
            }
            SymlinkPlan::Adopt => self.adopt_symlink(scanned, &dir, target),
        }
    }

    fn adopt_symlink(
        &self,
        scanned: Scanned,
        dir: &F::Dir,
        target: Vec<u8>,
    ) -> Result<(), Failure> {
        let (path, mtime_ns) = (&scanned.dest, scanned.stat.mtime_ns);
        let wanted = self.wanted(&scanned, None)?;
        let set = self
            .shared
            .set_named(dir, path.name(), &wanted, mtime_ns, None);
        let dest = set.map_err(self.at_dest("set the metadata of", path))?;
        self.send(Message::Complete {
            worker: None,
            completed: Completed {
                mtime_ns,
                dest,
                path: scanned.dest,
                attempt: None,
                content: Content::Symlink { target },
                file: None,
            },
        })
    }
}
