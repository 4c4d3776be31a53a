//! Whether the state of the destination may be read by all: not if anything of the source may not.

use std::sync::atomic::{AtomicBool, Ordering};

use super::shared::Shared;
use crate::fs::{Fs, Kind, Stat};
use crate::lock_mutex;
use crate::manifest::Store;

/// What others have to be allowed to do with a file, and with a directory.
const READ: u32 = 0o004;
const READ_AND_SEARCH: u32 = 0o005;

/// What is known of it.
#[derive(Debug)]
pub(super) struct Privacy {
    /// The state can be read by all now.
    is_public: AtomicBool,
    /// The state is new, and nothing private was met.
    may_open: AtomicBool,
}

impl Privacy {
    pub(super) fn of<F: Fs>(fs: &F, store: &Store<F>) -> Privacy {
        // What cannot be looked at is not opened.
        let is_public = store.is_public().unwrap_or(true);
        let has_modes = !fs.may_lack_modes();
        Privacy {
            is_public: AtomicBool::new(has_modes && is_public),
            may_open: AtomicBool::new(has_modes && !is_public && store.totals().is_empty()),
        }
    }
}

impl<F: Fs> Shared<F> {
    /// Closes the state before anything is recorded of an entry that others may not read. If that cannot be
    /// done, as in a state that belongs to somebody else, this says what is to be told.
    pub(super) fn keep_private(&self, stat: &Stat) -> Option<String> {
        let wanted = match stat.kind {
            Kind::Dir => READ_AND_SEARCH,
            Kind::Symlink => 0,
            Kind::File | Kind::Special(_) => READ,
        };
        if stat.mode & wanted == wanted {
            return None;
        }
        self.privacy.may_open.store(false, Ordering::Relaxed);
        if !self.privacy.is_public.swap(false, Ordering::Relaxed) {
            return None;
        }
        let error = lock_mutex(&self.store).make_public(false).err()?;
        Some(format!(
            "{error}: it goes on telling others the names, sizes and hashes of what they may not read"
        ))
    }

    /// Opens a new state of which nothing is private. To be called at the end of a run that met all. Others
    /// can do without it, so that it fails is no failure.
    pub(super) fn open_state(&self) {
        if self.privacy.may_open.load(Ordering::Relaxed) {
            let _ = lock_mutex(&self.store).make_public(true);
        }
    }
}
