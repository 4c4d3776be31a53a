//! The thread that flushes, so that a barrier never stops the copying.
//!
//! One job at a time: the committer asks, goes on with its messages, and hears of the end.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use crate::error::{PathContext, PathError};
use crate::fs::{FlushBy, Fs, FsFile};
use crate::path::RelPath;

use super::Shared;

/// Up to this many files or directories are flushed one by one rather than with all the others.
const FEW: usize = 8;
/// Of so many files of several blocks the pages are dropped after a flush; the list keeps them open.
const DROPPED_MAX: usize = 64;

/// One flush.
pub(super) enum Job<F: Fs> {
    /// Flush what is dirty, then the manifest as it is.
    Data(Dirty<F>),
    /// Flush the manifest alone.
    Manifest,
}

/// What was changed since the last flush.
pub(super) struct Dirty<F: Fs> {
    by: FlushBy,
    files: Vec<Arc<F::File>>,
    dirs: Vec<RelPath>,
    /// What need not stay in memory once it is flushed: nobody reads it there, and what others keep
    /// there would have to go for it.
    large: Vec<Arc<F::File>>,
    /// Too much to list: everything is to be flushed.
    all: bool,
}

impl<F: Fs> Dirty<F> {
    pub(super) fn new(by: FlushBy) -> Dirty<F> {
        Dirty {
            by,
            files: Vec::new(),
            dirs: Vec::new(),
            large: Vec::new(),
            all: false,
        }
    }

    /// Notes a file that has to be flushed by itself or with everything.
    pub(super) fn file(&mut self, file: &Arc<F::File>) {
        if !self.all || self.by == FlushBy::Each {
            self.files.push(Arc::clone(file));
            self.gather();
        }
    }

    /// Notes a file of several blocks.
    pub(super) fn large_file(&mut self, file: &Arc<F::File>) {
        self.file(file);
        if self.large.len() < DROPPED_MAX {
            self.large.push(Arc::clone(file));
        }
    }

    /// Notes content of which no file is at hand; where each must be flushed by itself, the one
    /// who wrote it has done so.
    pub(super) fn unlisted(&mut self) {
        if self.by == FlushBy::Whole {
            self.everything();
        }
    }

    /// Notes that everything has to be flushed, whatever is listed besides.
    pub(super) fn everything(&mut self) {
        self.all = true;
        self.gather();
    }

    /// Notes a directory whose names changed.
    pub(super) fn dir(&mut self, path: &RelPath) {
        if (!self.all || self.by == FlushBy::Each) && self.dirs.last() != Some(path) {
            self.dirs.push(path.clone());
            self.gather();
        }
    }

    /// Notes the directory that holds `path`.
    pub(super) fn parent(&mut self, path: &RelPath) {
        let is_covered = self.all && self.by == FlushBy::Whole;
        if is_covered || self.dirs.last().is_some_and(|dir| path.stands_in(dir)) {
            return;
        }
        if let Some((parent, _)) = path.split() {
            self.dir(&parent);
        }
    }

    fn gather(&mut self) {
        if self.by == FlushBy::Whole && (self.all || self.files.len() + self.dirs.len() > FEW) {
            self.all = true;
            self.files = Vec::new();
            self.dirs = Vec::new();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.all && self.files.is_empty() && self.dirs.is_empty()
    }
}

/// Does the jobs until there will be no more.
pub(super) fn flush<F: Fs>(
    shared: &Shared<F>,
    manifest: &F::File,
    jobs: &Receiver<Job<F>>,
    done: &Sender<Result<(), PathError>>,
) {
    for job in jobs {
        if done.send(flush_one(shared, manifest, job)).is_err() {
            return;
        }
    }
}

fn flush_one<F: Fs>(shared: &Shared<F>, manifest: &F::File, job: Job<F>) -> Result<(), PathError> {
    if let Job::Data(dirty) = job {
        flush_data(shared, dirty)?;
    }
    // Besides the records, this sends the device its cache-flush command, which the whole-system
    // flush does not do on every file system (not on exFAT, for one).
    manifest.sync().at("flush the manifest in", &shared.dest)
}

fn flush_data<F: Fs>(shared: &Shared<F>, mut dirty: Dirty<F>) -> Result<(), PathError> {
    let fs = &*shared.fs;
    if dirty.all {
        fs.sync_all().at("flush", &shared.dest)?;
    }
    for file in &dirty.files {
        file.sync().at("flush a file in", &shared.dest)?;
    }
    dirty.dirs.sort_unstable();
    dirty.dirs.dedup();
    for path in &dirty.dirs {
        let dir = crate::fs::found(fs.open_dir(path)).at("open", &shared.full(path))?;
        // A directory that is no longer there has no names that matter.
        if let Some(dir) = dir {
            fs.sync_dir(&dir).at("flush", &shared.full(path))?;
        }
    }
    for file in &dirty.large {
        file.forget_flushed();
    }
    Ok(())
}
