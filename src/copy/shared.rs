//! What every stage of a run shares.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::{board, metadata, names, origin, repair};
use crate::block::BlockSize;
use crate::event::Concurrency;
use crate::fs::source::SourceRoot;
use crate::fs::{Fs, found};
use crate::limits::Limits;
use crate::manifest::Store;
use crate::options::CopyOptions;
use crate::partial::PartialName;
use crate::path::RelPath;
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
    /// The last run was cut off on a file system without a journal: what it left under partial
    /// names is not touched, and what this run writes is read back.
    pub(super) was_cut: bool,
    /// When this run began, in ms since the Unix epoch.
    pub(super) began_ms: u64,
    /// What this process's new files are like.
    pub(super) own: metadata::Own,
    /// What was told of metadata that the destination cannot hold.
    pub(super) told: metadata::Told,
    /// Set when the run cannot go on; stages end as when stopped.
    pub(super) failed: AtomicBool,
    /// Set when an entry of a source could not be looked at: nothing is deleted then.
    pub(super) walk_failed: AtomicBool,
}

impl<F: Fs> Shared<F> {
    pub(super) fn should_stop(&self) -> bool {
        self.stopper.is_stopped() || self.failed.load(Ordering::Relaxed)
    }

    /// Makes something under a partial name of `path`. What is in the way under a name of ours was
    /// left over: it is removed, or, where that is not safe, left alone and the next name taken.
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
                Err(error) if self.was_cut => {
                    left_alone.push(attempt);
                    if attempt == u8::MAX {
                        break Err(error);
                    }
                }
                Err(_) => {
                    let made = found(self.fs.remove(dir, &name)).and_then(|_| make(&name));
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

    /// The full path of a destination entry, for messages.
    pub(super) fn full(&self, path: &RelPath) -> PathBuf {
        path.below(&self.dest)
    }
}
