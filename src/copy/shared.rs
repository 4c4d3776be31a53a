//! What every stage of a run shares.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_channel::Sender;

use super::batch::BatchSender;
use super::failure::{self, Failure};
use super::message::Message;
use super::power_cuts::PowerCuts;
use super::thread::Panics;
use super::{board, metadata, names, origin, privacy, repair};
use crate::block::BlockSize;
use crate::error::{PathContext, PathError};
use crate::event::Concurrency;
use crate::fs::source::SourceRoot;
use crate::fs::{FlushBy, Fs, MountNo, Rules, Times, found};
use crate::latch::Latch;
use crate::left_over;
use crate::limits::Limits;
use crate::lock_mutex;
use crate::manifest::Store;
use crate::options::CopyOptions;
use crate::partial::PartialName;
use crate::path::RelPath;
use crate::scan::{Selected, Walked};
use crate::stop::Stopper;
use crate::throttle::Throttle;
use crate::verify::medium::Medium;
use crate::verify::streams::Streams;

/// What every stage of a run shares.
pub(super) struct Shared<F: Fs> {
    pub(super) fs: Arc<F>,
    pub(super) store: Mutex<Store<F>>,
    pub(super) names: names::Names,
    pub(super) throttle: Arc<Throttle>,
    /// What reads the destination back.
    pub(super) medium: Medium<F>,
    /// The sources, to tell a drive that is gone from files that are.
    pub(super) sources: Vec<SourceRoot>,
    /// What their own manifests say of them.
    pub(super) origins: origin::Origins,
    /// What is to be said before anything is copied.
    pub(super) notices: Vec<String>,
    /// The destination's path, for messages.
    pub(super) dest: PathBuf,
    pub(super) options: CopyOptions,
    /// What is on the destination is mended, and nothing else is copied.
    pub(super) repair: Option<repair::Repair>,
    pub(super) block_size: BlockSize,
    /// How many files are copied at a time.
    pub(super) concurrency: Concurrency,
    /// Of them, the large ones.
    pub(super) streams: Streams,
    /// What the destination can hold.
    pub(super) limits: Limits,
    /// How it shows times.
    pub(super) times: Times,
    /// Held while names are tried.
    pub(super) probing: Mutex<()>,
    /// Held while a name is given in a directory where others may be the same.
    pub(super) naming: Mutex<()>,
    /// The manifest knew of something when this run began.
    pub(super) is_rerun: bool,
    pub(super) stopper: Stopper,
    pub(super) board: Arc<board::Board>,
    /// What was durable when an earlier run of this process lost its drive.
    pub(super) durable_before: u64,
    /// An earlier run was cut short: names and metadata of its making may not be flushed, even
    /// where nothing has to be done again.
    pub(super) after_cut: bool,
    /// Who may read the state.
    pub(super) privacy: privacy::Privacy,
    /// Where power was lost on file systems without a journal: what is left there under partial names
    /// is not touched, and what this run writes there is read back if the last run was cut off.
    pub(super) cuts: PowerCuts,
    /// File systems without a journal below the destination that are noted in the manifest.
    pub(super) noted_mounts: Mutex<BTreeSet<MountNo>>,
    /// When this run began, in ms since the Unix epoch.
    pub(super) began_ms: u64,
    /// What this process's new files are like.
    pub(super) own: metadata::Own,
    /// What was told of metadata that the destination cannot hold.
    pub(super) told: metadata::Told,
    /// Closed by the first failed flush: no barrier is made from then on. The manifest's own.
    pub(super) latch: Latch,
    /// What is heard of threads that panicked.
    pub(super) panics: Panics,
    /// Set once a warning told of a file that the next run has to compare.
    pub(super) told_unsettled: AtomicBool,
    /// Set when the run cannot go on; stages end as when stopped.
    pub(super) failed: AtomicBool,
    /// Set when an entry of a source could not be looked at: nothing is deleted then.
    pub(super) walk_failed: AtomicBool,
    /// Whether the user's selection leaves anything to copy.
    pub(super) selected: Selected,
    /// What the walk met, with `--delete` only.
    pub(super) walked: Mutex<Walked>,
}

/// A partial that will not be gone on with.
pub(super) struct Dropped<'a, F: Fs> {
    pub(super) path: &'a RelPath,
    pub(super) dir: &'a F::Dir,
    pub(super) attempt: u8,
}

impl<F: Fs> Shared<F> {
    pub(super) fn should_stop(&self) -> bool {
        self.stopper.is_stopped() || self.failed.load(Ordering::Relaxed)
    }

    /// Makes something under a partial name of `path`. What is in the way under a name of ours was
    /// left over: it is cleared away, or, where that cannot be, left alone and the next name taken.
    pub(super) fn make_partial<T>(
        &self,
        path: &RelPath,
        dir: &F::Dir,
        make: impl Fn(&[u8]) -> io::Result<T>,
    ) -> io::Result<(u8, PartialName, T)> {
        let mut left_alone = Vec::new();
        let made = loop {
            let (attempt, name) = self.names.claim(path);
            match make(&name) {
                Ok(made) => break Ok((attempt, name, made)),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    self.names.release(path, attempt);
                    break Err(error);
                }
                Err(_) => {
                    let cleared = self.clear_left_over(path, dir, &name);
                    if matches!(cleared, Ok(false)) && attempt < u8::MAX {
                        left_alone.push(attempt);
                        continue;
                    }
                    let made = cleared.and_then(|_| make(&name));
                    if made.is_err() {
                        self.names.release(path, attempt);
                    }
                    break made.map(|made| (attempt, name, made));
                }
            }
        };
        for attempt in left_alone {
            self.names.release(path, attempt);
        }
        made
    }

    /// Takes a left-over partial of `path` away, if there is one: removes it, or, where that could take
    /// space from others, moves it into the state directory. `false` if it must not be removed and cannot be
    /// moved: it stays.
    pub(super) fn clear_left_over(
        &self,
        path: &RelPath,
        dir: &F::Dir,
        name: &[u8],
    ) -> io::Result<bool> {
        match self.keeps_left_overs(path) {
            true => Ok(found(left_over::set_aside(&*self.fs, dir, name)).is_ok()),
            false => found(self.fs.remove(dir, name)).map(|_| true),
        }
    }

    /// Whether a left-over partial of `path` can only stay: another file system is mounted there than that
    /// of the state directory.
    pub(super) fn left_overs_stay(&self, path: &RelPath) -> bool {
        self.keeps_left_overs(path) && self.fs.mount_of(path) != MountNo::default()
    }

    /// Removes a partial that the manifest speaks of, and waits until it durably does so no more. Until
    /// then its name stays in use: after a crash, the old records would speak for whatever is written
    /// under it. `tell` makes the message that has it forgotten.
    pub(super) fn drop_recorded(
        &self,
        messages: &BatchSender<Message<F>>,
        Dropped { path, dir, attempt }: Dropped<'_, F>,
        tell: impl FnOnce(Sender<()>) -> Message<F>,
    ) -> Result<(), Failure> {
        let name = self.names.reserve(path, attempt);
        let removed = found(self.fs.remove(dir, &name));
        removed.map_err(|error| {
            let (action, full) = ("remove the partial copy of", self.full(path));
            failure::naming(&self.fs, action, full)(error)
        })?;
        let (told, durable) = crossbeam_channel::bounded(1);
        messages.send(tell(told)).map_err(|_| Failure::Stopped)?;
        // If nobody answers, there will be no barrier any more.
        durable.recv().map_err(|_| Failure::Stopped)?;
        self.names.release(path, attempt);
        Ok(())
    }

    /// Makes durable where the flushed manifest lies, where its own flush does not do that.
    pub(super) fn settle_manifest(&self, manifest: &F::File) -> Result<(), PathError> {
        let settled = crate::fs::settle(&*self.fs, manifest);
        settled.at("flush the manifest in", &self.dest)
    }

    /// Whether the last run was cut off, by more than a kill, where this entry is.
    pub(super) fn was_cut(&self, path: &RelPath) -> bool {
        self.cuts.hit(&*self.fs, path)
    }

    /// Sees to it that a file system without a journal is durably noted in the manifest before anything
    /// is written to it. `dir` was opened.
    pub(super) fn note_mount(
        &self,
        messages: &BatchSender<Message<F>>,
        dir: &RelPath,
    ) -> Result<(), Failure> {
        let mount = self.fs.mount_of_dir(dir);
        if mount == MountNo::default() || !lock_mutex(&self.noted_mounts).insert(mount) {
            return Ok(());
        }
        let Some(mounted) = self.cuts.noted(&*self.fs, dir) else {
            return Ok(());
        };
        let (told, durable) = crossbeam_channel::bounded(1);
        let mounted = Box::new(mounted);
        let message = Message::Mounted {
            mounted,
            durable: told,
        };
        messages.send(message).map_err(|_| Failure::Stopped)?;
        durable.recv().map_err(|_| Failure::Stopped)
    }

    /// Whether what is left over beside this entry must not be removed.
    pub(super) fn keeps_left_overs(&self, path: &RelPath) -> bool {
        self.cuts.keeps_left_overs(&*self.fs, path)
    }

    /// The rules of the mounted file system that holds an entry.
    pub(super) fn rules_of(&self, path: &RelPath) -> Rules {
        self.fs.rules(self.fs.mount_of(path))
    }

    /// Whether each file has to be flushed by itself where this entry is.
    pub(super) fn flushes_each(&self, path: &RelPath) -> bool {
        self.rules_of(path).flush_by == FlushBy::Each
    }

    /// The same of what is in a directory.
    pub(super) fn flushes_dirs_of(&self, dir: &RelPath) -> bool {
        self.fs.rules(self.fs.mount_of_dir(dir)).flush_by == FlushBy::Each
    }

    /// The full path of a destination entry, for messages.
    pub(super) fn full(&self, path: &RelPath) -> PathBuf {
        path.below(&self.dest)
    }
}
