//! The thread that flushes, so that a barrier never stops the copying.
//!
//! One job at a time: the committer asks, goes on with its messages, and hears of the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use crate::error::{PathContext, PathError};
use crate::fs::{FlushBy, Fs, FsFile, MountNo, found_dir};
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

/// What was changed since the last flush, by the mounted file system that it is on.
pub(super) struct Dirty<F: Fs> {
    fs: Arc<F>,
    mounts: BTreeMap<MountNo, OnMount<F>>,
    /// What need not stay in memory once it is flushed: nobody reads it there, and what others keep
    /// there would have to go for it.
    large: Vec<Arc<F::File>>,
}

/// What was changed on one of them.
struct OnMount<F: Fs> {
    by: FlushBy,
    files: Vec<Arc<F::File>>,
    dirs: Vec<RelPath>,
    /// Too much to list, or the names were renamed where that wants a flush: everything is to be
    /// flushed.
    all: bool,
}

impl<F: Fs> Dirty<F> {
    pub(super) fn new(fs: &Arc<F>) -> Dirty<F> {
        Dirty {
            fs: Arc::clone(fs),
            mounts: BTreeMap::new(),
            large: Vec::new(),
        }
    }

    fn on(&mut self, mount: MountNo) -> &mut OnMount<F> {
        let rules = self.fs.rules(mount);
        self.mounts.entry(mount).or_insert_with(|| OnMount {
            by: rules.flush_by,
            files: Vec::new(),
            dirs: Vec::new(),
            // A flushed file may still lie in space that counts as free: its fsync leaves the bitmaps of
            // ext2, and the index and bitmap of NTFS, in memory.
            all: rules.lacks_journal,
        })
    }

    /// Notes the file `path`, which has to be flushed by itself or with everything.
    pub(super) fn file(&mut self, path: &RelPath, file: &Arc<F::File>) {
        let on = self.on(self.fs.mount_of(path));
        if !on.all || on.by == FlushBy::Each {
            on.files.push(Arc::clone(file));
            on.gather();
        }
    }

    /// Notes a file of several blocks.
    pub(super) fn large_file(&mut self, path: &RelPath, file: &Arc<F::File>) {
        self.file(path, file);
        if self.large.len() < DROPPED_MAX {
            self.large.push(Arc::clone(file));
        }
    }

    /// Notes content beside or of `path` of which no file is at hand; where each must be flushed by
    /// itself, whoever wrote it has done so.
    pub(super) fn unlisted(&mut self, path: &RelPath) {
        let on = self.on(self.fs.mount_of(path));
        on.all |= on.by == FlushBy::Whole;
        on.gather();
    }

    /// Notes that everything on the file system that holds `path` has to be flushed, whatever is
    /// listed besides.
    pub(super) fn everything(&mut self, path: &RelPath) {
        let on = self.on(self.fs.mount_of(path));
        on.all = true;
        on.gather();
    }

    /// Notes content of a directory of which no file is at hand.
    pub(super) fn unlisted_in(&mut self, dir: &RelPath) {
        let on = self.on(self.fs.mount_of_dir(dir));
        on.all |= on.by == FlushBy::Whole;
        on.gather();
    }

    /// Whether anything was noted where each file and directory has to be flushed by itself.
    pub(super) fn has_each(&self) -> bool {
        self.mounts.values().any(|on| on.by == FlushBy::Each)
    }

    /// Whether names were given that want a flush at once.
    pub(super) fn has_renames_to_flush(&self) -> bool {
        let wants = |mount: &MountNo| self.fs.rules(*mount).renames_want_flush;
        let mut noted = self.mounts.iter();
        noted.any(|(mount, on)| on.all && wants(mount))
    }

    /// Notes a directory whose names changed.
    pub(super) fn dir(&mut self, path: &RelPath) {
        self.on(self.fs.mount_of_dir(path)).dir(path);
    }

    /// Notes the directory that holds `path`.
    pub(super) fn parent(&mut self, path: &RelPath) {
        let on = self.on(self.fs.mount_of(path));
        let is_covered = on.all && on.by == FlushBy::Whole;
        if is_covered || on.dirs.last().is_some_and(|dir| path.stands_in(dir)) {
            return;
        }
        if let Some((parent, _)) = path.split() {
            on.dir(&parent);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        let nothing = |on: &OnMount<F>| !on.all && on.files.is_empty() && on.dirs.is_empty();
        self.mounts.values().all(nothing)
    }
}

impl<F: Fs> OnMount<F> {
    fn dir(&mut self, path: &RelPath) {
        if (!self.all || self.by == FlushBy::Each) && self.dirs.last() != Some(path) {
            self.dirs.push(path.clone());
            self.gather();
        }
    }

    fn gather(&mut self) {
        if self.by == FlushBy::Whole && (self.all || self.files.len() + self.dirs.len() > FEW) {
            self.all = true;
            self.files = Vec::new();
            self.dirs = Vec::new();
        }
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
    // Besides the records, this sends the device its cache-flush command, which the flush of a whole
    // file system does not do everywhere.
    let synced = manifest.sync().at("flush the manifest in", &shared.dest);
    synced.and_then(|()| shared.settle_manifest(manifest))
}

fn flush_data<F: Fs>(shared: &Shared<F>, dirty: Dirty<F>) -> Result<(), PathError> {
    for (mount, dirty) in dirty.mounts {
        flush_mount(shared, mount, dirty)?;
    }
    for file in &dirty.large {
        file.forget_flushed();
    }
    Ok(())
}

fn flush_mount<F: Fs>(
    shared: &Shared<F>,
    mount: MountNo,
    mut dirty: OnMount<F>,
) -> Result<(), PathError> {
    let fs = &*shared.fs;
    if dirty.all {
        fs.sync_mount(mount).at("flush", &shared.dest)?;
    }
    for file in &dirty.files {
        file.sync().at("flush a file in", &shared.dest)?;
    }
    dirty.dirs.sort_unstable();
    dirty.dirs.dedup();
    for path in &dirty.dirs {
        let dir = found_dir(fs, path).at("open", &shared.full(path))?;
        // A directory that is no longer there has no names that matter.
        if let Some(dir) = dir {
            fs.sync_dir(&dir).at("flush", &shared.full(path))?;
        }
    }
    Ok(())
}
