//! Rebuilding a manifest that is lost or damaged: the destination is read back from the medium, and
//! compared with a good source or with a list of another tool's. What is as it should be is recorded,
//! block by block; what is not is told, and nothing is said of it.
//!
//! Nothing but the state directory is written. The new manifest is put in place when everything was
//! looked at: a run that is stopped or cut off before has changed nothing.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::select::Wanted;
use super::{Checked, Halt, Report, Signals};
use crate::error::{Error, ManifestError, PathError};
use crate::event::{EntryCounts, Verdict};
use crate::fs::{FlushBy, Fs, FsFile, Kind, found_dir, is_gone};
use crate::manifest::{DirRecord, Entry, Rebuilt, Record, SlotKind};
use crate::partial;
use crate::path::RelPath;
use crate::tree::{self, Step};

mod compare;
pub(super) mod content;
mod metadata;
mod scribe;
mod source;

pub(super) use metadata::as_it_is;
pub(super) use scribe::{FileHashes, Scribe};
pub(super) use source::start;

/// Begins a manifest for the destination `fs`.
pub(super) fn begin<F: Fs>(fs: &Arc<F>, dest: &Path) -> Result<Scribe<F>, Error> {
    Ok(Scribe::new(Rebuilt::begin(fs, dest)?))
}

/// What the steps at the end of a run need.
pub(super) struct Rebuilding<'a, F: Fs> {
    pub(super) fs: &'a Arc<F>,
    pub(super) dest: &'a Path,
    pub(super) scribe: &'a Scribe<F>,
    pub(super) signals: &'a Signals,
    pub(super) reports: &'a Sender<Report>,
}

/// The names that a run came across: 8 bytes of hash each.
pub(super) struct Names {
    key: RandomState,
    seen: HashSet<u64>,
}

impl Names {
    pub(super) fn new() -> Names {
        Names {
            key: RandomState::new(),
            seen: HashSet::new(),
        }
    }

    /// Adds a name; whether it is new.
    pub(super) fn add(&mut self, path: &RelPath) -> bool {
        self.seen.insert(self.key.hash_one(path.as_bytes()))
    }

    pub(super) fn contains(&self, path: &RelPath) -> bool {
        self.seen.contains(&self.key.hash_one(path.as_bytes()))
    }
}

/// A channel that tells when all workers have ended, each of which holds its sending half.
pub(super) fn last_one() -> (Sender<()>, Receiver<()>) {
    crossbeam_channel::bounded(0)
}

impl<F: Fs> Rebuilding<'_, F> {
    /// Ends a run of which `fed` says whether everything was handed out: once the workers have ended
    /// well, `rest` is done and the manifest put in place; otherwise it is given up.
    pub(super) fn end(
        &self,
        fed: Result<(), Halt>,
        workers: &Receiver<()>,
        rest: impl FnOnce() -> Result<(), Halt>,
    ) -> Result<(), Halt> {
        let result = fed.and_then(|()| {
            // Nothing is ever sent: this waits until nobody could.
            let _ = workers.recv();
            self.check_stop()?;
            rest()?;
            self.check_stop()?;
            self.publish()
        });
        if let Some(rebuilt) = self.scribe.take() {
            rebuilt.discard();
        }
        result
    }

    /// Whether every thread came to its end so far.
    fn check_stop(&self) -> Result<(), Halt> {
        self.signals.check_stop()?;
        match self.signals.is_cut_short() {
            true => Err(Halt::Stopped),
            false => Ok(()),
        }
    }

    fn failed(&self, error: ManifestError) -> Halt {
        failed(&**self.fs, error)
    }

    /// Reports a verdict; what shows that the device is gone ends the run.
    pub(super) fn report(
        &self,
        path: RelPath,
        kind: Option<Kind>,
        verdict: Verdict,
    ) -> Result<(), Halt> {
        report(
            &**self.fs,
            self.dest,
            self.reports,
            Checked::again(path, kind, verdict),
        )
    }

    /// Reports a directory that cannot be read.
    fn unreadable(
        &self,
        path: RelPath,
        action: &'static str,
        error: std::io::Error,
    ) -> Result<(), Halt> {
        let error = PathError::new(action, path.below(self.dest), error);
        self.report(path, Some(Kind::Dir), Verdict::Unreadable { error })
    }

    /// Records the directories that the recorded entries are in, as they are.
    pub(super) fn record_parents(&self) -> Result<(), Halt> {
        let positions = self.scribe.with(|store| Ok(store.positions()));
        let mut last = RelPath::root();
        for pos in positions.map_err(|error| self.failed(error))? {
            self.check_stop()?;
            let path = self.scribe.with(|store| Ok(store.entry_at(pos)?.0));
            let path = path.map_err(|error| self.failed(error))?;
            let (mut dir, _) = path.split().unwrap_or_default();
            if dir == last {
                continue;
            }
            last = dir.clone();
            // Those above one that is recorded are recorded.
            while !dir.is_root() && self.record_dir(&dir)? {
                dir = dir.split().unwrap_or_default().0;
            }
        }
        Ok(())
    }

    /// Records a directory as it is. `false`: it was recorded before.
    fn record_dir(&self, path: &RelPath) -> Result<bool, Halt> {
        let known = self.scribe.with(|store| store.lookup(path));
        if known.map_err(|error| self.failed(error))?.is_some() {
            return Ok(false);
        }
        let look = || {
            let dir = self.fs.open_dir(path)?;
            Ok((self.fs.stat_dir(&dir)?, self.fs.dir_xattrs(&dir)?))
        };
        let (stat, xattrs) = match look() {
            Ok(looked) => looked,
            Err(error) => {
                self.unreadable(path.clone(), "look at", error)?;
                return Ok(false);
            }
        };
        let recorded = self.scribe.record(&Record::Dir(DirRecord {
            path: path.clone(),
            atime_ns: stat.atime_ns,
            mtime_ns: stat.mtime_ns,
            dest: as_it_is(stat, xattrs),
        }));
        recorded.map_err(|error| self.failed(error))?;
        Ok(true)
    }

    /// Settles which of the further names of a file are its own: those of which it is recorded.
    fn settle_links(&self) -> Result<(), Halt> {
        let wanted = self
            .scribe
            .with(|store| Ok(store.positions_of(SlotKind::LinkWanted)));
        for pos in wanted.map_err(|error| self.failed(error))? {
            let settled = self.scribe.with(|store| {
                let (path, Entry::LinkWanted(link)) = store.entry_at(pos)? else {
                    return Ok(None);
                };
                let known = store.lookup(&link.to)?.map(|(_, entry)| entry);
                let kind = known.as_ref().and_then(Entry::kind);
                let verdict = match known {
                    Some(Entry::Done(_) | Entry::Symlink(_) | Entry::Special(_)) => {
                        store.append(&Record::Link(link))?;
                        Verdict::Ok
                    }
                    _ => {
                        store.append(&Record::Removed(path.clone()))?;
                        let what =
                            format!("it is one file with {}, which is not recorded", link.to);
                        Verdict::Modified { what, damage: None }
                    }
                };
                Ok(Some((path, kind, verdict)))
            });
            if let Some((path, kind, verdict)) = settled.map_err(|error| self.failed(error))? {
                self.report(path, kind, verdict)?;
            }
        }
        Ok(())
    }

    /// Reports what stands there and was not come across.
    fn extra(&self, names: &Names, wanted: &Wanted) -> Result<(), Halt> {
        tree::walk(&**self.fs, &RelPath::root(), |step| {
            self.signals.check_stop()?;
            match step {
                Step::Entry { path, kind, .. } => {
                    let known = names.contains(&path)
                        || partial::is_ours(self.scribe.id(), path.name())
                        || wanted.leaves_out(&path, kind == Kind::Dir);
                    match known {
                        true => Ok(()),
                        false => self.report(path, Some(kind), Verdict::Extra),
                    }
                }
                // One that is extra itself hides nothing but extras.
                Step::Unlisted { path, .. } if !path.is_root() && !names.contains(&path) => Ok(()),
                Step::Unlisted { path, error } => self.unreadable(path, "list", error),
            }
        })
    }

    /// Makes durable what the manifest will speak of, then puts it in place. Where nothing at all is
    /// as it should be, there is nothing to speak of.
    fn publish(&self) -> Result<(), Halt> {
        let entries = self.scribe.with(|store| store.finished());
        let mut entries = entries.map_err(|error| self.failed(error))?;
        match self.scribe.files() {
            0 => entries = EntryCounts::default(),
            _ => self.put_in_place()?,
        }
        let report = Report::Rebuilt { entries };
        self.reports.send(report).map_err(|_| Halt::Stopped)
    }

    fn put_in_place(&self) -> Result<(), Halt> {
        for mount in self.fs.mounts() {
            if self.fs.rules(mount).flush_by == FlushBy::Whole {
                self.flushed(self.fs.sync_mount(mount))?;
            }
        }
        self.sync_dirs()?;
        let Some(rebuilt) = self.scribe.take() else {
            return Ok(());
        };
        let mut store = rebuilt.publish().map_err(|error| self.failed(error))?;
        match store.back_up() {
            // It is in place all the same.
            Err(error) => {
                let text = format!("{error}: no copy of the manifest is kept");
                self.reports
                    .send(Report::Warning(text))
                    .map_err(|_| Halt::Stopped)
            }
            Ok(()) => Ok(()),
        }
    }

    /// Flushes every directory that is recorded where each has to be flushed by itself: the files in
    /// them were when they were read.
    fn sync_dirs(&self) -> Result<(), Halt> {
        let by_itself = |path: &RelPath| {
            let mount = self.fs.mount_of_dir(path);
            self.fs.rules(mount).flush_by == FlushBy::Each
        };
        if by_itself(&RelPath::root()) {
            self.flushed(self.fs.sync_dir(&self.fs.root()))?;
        }
        let dirs = self
            .scribe
            .with(|store| Ok(store.positions_of(SlotKind::Dir)));
        for pos in dirs.map_err(|error| self.failed(error))? {
            let path = self.scribe.with(|store| Ok(store.entry_at(pos)?.0));
            let path = path.map_err(|error| self.failed(error))?;
            if !by_itself(&path) {
                continue;
            }
            let flush = || match found_dir(self.fs.as_ref(), &path)? {
                Some(dir) => self.fs.sync_dir(&dir),
                None => Ok(()),
            };
            self.flushed(flush())?;
        }
        Ok(())
    }

    fn flushed(&self, result: std::io::Result<()>) -> Result<(), Halt> {
        result.map_err(|source| {
            let error = PathError::new("flush", self.dest, source);
            self.failed(ManifestError::Io(error))
        })
    }
}

/// What an error of the manifest means to the run.
pub(super) fn failed<F: Fs>(fs: &F, error: ManifestError) -> Halt {
    Halt::Failed(match error {
        ManifestError::Io(error) if is_gone(fs, &error.source) => Error::DeviceGone(error),
        other => Error::Manifest(other),
    })
}

/// Makes a file durable that was found to be as it should be.
pub(super) fn flush<F: Fs>(fs: &F, file: &F::File, path: &Path) -> Result<(), Halt> {
    file.sync().map_err(|source| {
        let error = PathError::new("flush", path, source);
        failed(fs, ManifestError::Io(error))
    })
}

/// Reports a verdict, unless what was found only shows that the device is gone.
pub(super) fn report<F: Fs>(
    fs: &F,
    dest: &Path,
    reports: &Sender<Report>,
    checked: Checked,
) -> Result<(), Halt> {
    match checked.verdict {
        Verdict::Unreadable { error } if is_gone(fs, &error.source) => {
            Err(Halt::Failed(Error::DeviceGone(error)))
        }
        Verdict::Missing if fs.device_gone() => {
            let error = std::io::ErrorKind::NotFound.into();
            let error = PathError::new("find", checked.path.below(dest), error);
            Err(Halt::Failed(Error::DeviceGone(error)))
        }
        _ => {
            let report = Report::Checked(checked);
            reports.send(report).map_err(|_| Halt::Stopped)
        }
    }
}
