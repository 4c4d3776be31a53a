//! Repair: what is rotten or missing at a destination is made whole again from a source, through the
//! same stages as a copy. Only the planner is another: it goes through the manifest instead of the
//! source.
//!
//! What somebody edited at the destination is left alone. What the manifest says stays as it is until
//! the repaired file is published, so a repair that is cut short has lost nothing.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::batch::BatchSender;
use super::failure::{self, Failure};
use super::message::{Message, Task, Work};
use super::{CopyRun, Shared, setup};
use crate::error::{EntryError, Error};
use crate::event::{Counted, Outcome};
use crate::fs::{Fs, Kind, Stat, found, source, stat_at};
use crate::lock_mutex;
use crate::manifest::{DirRecord, Done, Entry, Link, Record, SymlinkRecord, open_destination};
use crate::options::{CopyOptions, RepairOptions};
use crate::path::RelPath;
use crate::plan::is_as_published;
use crate::scan::{self, Source};

mod mend;

pub(super) use mend::mend;

/// What a run does instead of copying.
#[derive(Debug, Clone)]
pub(super) struct Repair {
    /// Only these paths; empty means all.
    only: HashSet<RelPath>,
}

/// Mends what is damaged or missing at a destination from sources that hold the same. The run's
/// events are those of a copy: a file is `Copied` when it was repaired.
///
/// # Errors
///
/// As [`copy`](super::copy); the destination has to have a manifest.
pub fn repair(options: RepairOptions) -> Result<CopyRun, Error> {
    let fs = open_destination(&options.dest, options.trust_state)?;
    CopyRun::repair_on(fs, options)
}

impl CopyRun {
    /// Begins a repair of `fs`; see [`CopyRun::start_on`].
    #[doc(hidden)]
    pub fn repair_on<F: Fs>(fs: Arc<F>, options: RepairOptions) -> Result<CopyRun, Error> {
        let mut copy = CopyOptions::new(options.from, options.dest);
        copy.jobs = options.jobs;
        copy.bytes_per_s = options.bytes_per_s;
        copy.require_manifest = true;
        let setup = setup::resolve_onto_root(&copy)?;
        let only = options.paths.into_iter().collect();
        CopyRun::start(fs, setup, copy, Some(Repair { only }))
    }
}

/// Goes through the manifest and hands on what may have to be repaired.
pub(super) struct Repairer<'a, F: Fs> {
    pub(super) shared: &'a Shared<F>,
    pub(super) repair: &'a Repair,
    pub(super) sources: &'a [Source],
    pub(super) works: BatchSender<Work<F>>,
    pub(super) messages: BatchSender<Message<F>>,
}

impl<F: Fs> Repairer<'_, F> {
    /// Until the end, or until the run ends.
    pub(super) fn run(&self) {
        if let Err(Failure::Fatal(error)) = self.count() {
            let _ = self.send(Message::Fatal(error));
            return;
        }
        let positions = lock_mutex(&self.shared.store).positions();
        for pos in positions {
            if self.shared.should_stop() {
                return;
            }
            let entry = lock_mutex(&self.shared.store).entry_at(pos);
            let sent = match entry {
                Ok((path, entry)) => {
                    let kind = entry.kind();
                    match self.entry(&path, entry) {
                        Ok(()) => Ok(()),
                        Err(Failure::Entry(error)) => {
                            self.send(Message::Failed { path, kind, error })
                        }
                        Err(Failure::Fatal(error)) => self.send(Message::Fatal(error)),
                        Err(Failure::Stopped) => return,
                    }
                }
                Err(error) => {
                    let error = failure::manifest_failed(&*self.shared.fs, error);
                    self.send(Message::Fatal(error))
                }
            };
            if sent.is_err() {
                return;
            }
        }
    }

    fn send(&self, message: Message<F>) -> Result<(), Failure> {
        self.messages.send(message).map_err(|_| Failure::Stopped)
    }

    /// Says how much there is to go through.
    fn count(&self) -> Result<(), Failure> {
        let store = lock_mutex(&self.shared.store);
        let totals = store.totals();
        let mut counted = Counted {
            entries: totals.files_done + totals.dirs + totals.symlinks,
            bytes: totals.bytes_done,
            bytes_before: 0,
            complete: true,
        };
        if !self.repair.only.is_empty() {
            counted.entries = self.repair.only.len() as u64;
            counted.bytes = 0;
            for path in &self.repair.only {
                let known = store.lookup(path).map_err(|error| {
                    Failure::Fatal(failure::manifest_failed(&*self.shared.fs, error))
                })?;
                if let Some((_, Entry::Done(done))) = known {
                    counted.bytes = counted.bytes.saturating_add(done.size);
                }
            }
        }
        drop(store);
        self.send(Message::Counted(counted))
    }

    fn is_wanted(&self, path: &RelPath) -> bool {
        self.repair.only.is_empty() || self.repair.only.contains(path)
    }

    fn entry(&self, path: &RelPath, entry: Entry) -> Result<(), Failure> {
        match entry {
            // A repaired file is a new inode: each of its other names has to follow.
            Entry::Link(link) | Entry::LinkWanted(link) => self.link(link),
            Entry::Dir(record) => self.known_dir(path, &record),
            _ if !self.is_wanted(path) => Ok(()),
            Entry::Symlink(record) => self.symlink(path, record),
            Entry::Done(done) => self.file(path, done),
            // A copy goes on with these, and makes these anew: they have no content to be rotten.
            Entry::Partial(_) | Entry::Special(_) => Ok(()),
        }
    }

    fn modified(&self, path: &RelPath) -> Failure {
        EntryError::Modified(self.shared.full(path)).into()
    }

    fn naming(
        &self,
        action: &'static str,
        path: &RelPath,
    ) -> impl Fn(std::io::Error) -> Failure + use<F> {
        failure::naming(&self.shared.fs, action, self.shared.full(path))
    }

    fn stat(&self, path: &RelPath) -> Result<Option<Stat>, Failure> {
        let there = stat_at(&*self.shared.fs, path);
        there.map_err(self.naming("look at", path))
    }

    fn known_dir(&self, path: &RelPath, record: &DirRecord) -> Result<(), Failure> {
        let stat = self.stat(path)?;
        match stat {
            // A repair that was cut short may have left other times on what it put entries into.
            Some(stat)
                if self.shared.after_cut
                    && stat.kind == Kind::Dir
                    && (stat.mode, stat.mtime_ns)
                        != (record.dest.mode, record.dest.mtime_ns(record.mtime_ns)) =>
            {
                self.send(dir_message(record))
            }
            _ if !self.is_wanted(path) => Ok(()),
            None => self.dir(record),
            Some(stat) if stat.kind == Kind::Dir => Ok(()),
            Some(_) => Err(self.modified(path)),
        }
    }

    /// Makes a directory that is missing, and those it is in. Its metadata is set at the end.
    fn dir(&self, record: &DirRecord) -> Result<(), Failure> {
        let path = &record.path;
        let (parent, name) = path.split().unwrap_or_default();
        let dir = self.open_dir(&parent)?;
        let made = self.shared.fs.make_dir(&dir, name);
        made.map_err(self.naming("create directory", path))?;
        self.send(dir_message(record))
    }

    /// Opens a directory; one that is recorded and missing is made first.
    fn open_dir(&self, path: &RelPath) -> Result<F::Dir, Failure> {
        let fs = &*self.shared.fs;
        let at_dest = self.naming("open directory", path);
        if let Some(dir) = found(fs.open_dir(path)).map_err(&at_dest)? {
            self.shared.note_mount(&self.messages, path)?;
            return Ok(dir);
        }
        let known = lock_mutex(&self.shared.store).lookup(path);
        let known = known.map_err(|error| Failure::Fatal(failure::manifest_failed(fs, error)))?;
        match known {
            Some((_, Entry::Dir(record))) if !path.is_root() => self.dir(&record)?,
            _ => {}
        }
        fs.open_dir(path).map_err(&at_dest)
    }

    fn symlink(&self, path: &RelPath, record: SymlinkRecord) -> Result<(), Failure> {
        let (uid, gid) = record.dest.asked_owner();
        let stat = Stat {
            atime_ns: record.mtime_ns,
            mtime_ns: record.mtime_ns,
            mode: record.dest.asked_mode(),
            uid,
            gid,
            ..no_stat(Kind::Symlink, 0)
        };
        let source = self.source_of(path);
        let source = source.filter(|source| source::lstat(source).is_ok());
        let source = source.unwrap_or_default();
        let Some(there) = self.stat(path)? else {
            let task = Task::Symlink(record.target);
            return self.hand_on(path, source, (stat, None), task);
        };
        let (parent, name) = path.split().unwrap_or_default();
        let fs = &*self.shared.fs;
        let target = fs
            .open_dir(&parent)
            .and_then(|dir| fs.read_symlink(&dir, name));
        if there.kind != Kind::Symlink
            || target.map_err(self.naming("read", path))? != record.target
        {
            return Err(self.modified(path));
        }
        // No flush of its own keeps a symlink's time, so a power cut may have undone it.
        let recorded_ns = record.dest.mtime_ns(record.mtime_ns);
        if !self.shared.times.same(recorded_ns, there.mtime_ns) {
            let task = Task::Mend(Box::new(Record::Symlink(record)));
            return self.hand_on(path, source, (stat, Some(there)), task);
        }
        Ok(())
    }

    /// Where a path would come from.
    fn source_of(&self, path: &RelPath) -> Option<PathBuf> {
        scan::origin(self.sources, path).map(|(_, source)| source)
    }

    fn file(&self, path: &RelPath, done: Done) -> Result<(), Failure> {
        let source = self.source_of(path);
        let stat = no_stat(Kind::File, done.size);
        self.hand_on(
            path,
            source.unwrap_or_default(),
            (stat, None),
            Task::Repair(Box::new(done)),
        )
    }

    fn hand_on(
        &self,
        path: &RelPath,
        source: PathBuf,
        (stat, there): (Stat, Option<Stat>),
        task: Task,
    ) -> Result<(), Failure> {
        let (parent, _) = path.split().unwrap_or_default();
        let work = Work {
            path: path.clone(),
            source,
            stat,
            there,
            dir: Arc::new(self.open_dir(&parent)?),
            task,
        };
        self.works.send(work).map_err(|_| Failure::Stopped)
    }

    /// A further name of a file. One that somebody gave a content of its own is left alone.
    fn link(&self, link: Link) -> Result<(), Failure> {
        let known = lock_mutex(&self.shared.store).lookup(&link.to);
        let known = known
            .map_err(|error| Failure::Fatal(failure::manifest_failed(&*self.shared.fs, error)))?;
        let known = known.map(|(_, entry)| entry);
        let is_right = |stat: &Stat| match &known {
            Some(Entry::Done(done)) => is_as_published(self.shared.times, done, stat),
            Some(Entry::Symlink(_)) => stat.kind == Kind::Symlink,
            Some(Entry::Special(first)) => stat.kind == Kind::Special(first.what),
            _ => false,
        };
        let has_first = matches!(
            known,
            Some(Entry::Done(_) | Entry::Symlink(_) | Entry::Special(_))
        );
        if !has_first {
            return Ok(());
        }
        if self.stat(&link.path)?.is_some_and(|stat| !is_right(&stat)) {
            return match self.is_wanted(&link.path) && !self.repair.only.is_empty() {
                true => Err(self.modified(&link.path)),
                false => Ok(()),
            };
        }
        let (parent, _) = link.path.split().unwrap_or_default();
        self.open_dir(&parent)?;
        let Link { path, to } = link;
        self.send(Message::Link { path, to })
    }
}

/// Has a directory get its recorded metadata at the end of the run.
fn dir_message<F: Fs>(record: &DirRecord) -> Message<F> {
    let (uid, gid) = record.dest.asked_owner();
    Message::Dir {
        path: record.path.clone(),
        stat: Box::new(Stat {
            atime_ns: record.atime_ns,
            mtime_ns: record.mtime_ns,
            mode: record.dest.asked_mode(),
            uid,
            gid,
            ..no_stat(Kind::Dir, 0)
        }),
        dest: Box::new(record.dest),
        id: None,
        mend: true,
        outcome: Outcome::Copied,
    }
}

/// The stat of something that is not looked at.
fn no_stat(kind: Kind, size: u64) -> Stat {
    Stat {
        kind,
        size,
        allocated: size,
        mtime_ns: 0,
        atime_ns: 0,
        ctime_ns: 0,
        mode: 0,
        uid: 0,
        gid: 0,
        dev: 0,
        ino: 0,
        nlink: 1,
    }
}
