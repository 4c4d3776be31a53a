//! Which partial names are in use, so that one found in the way is known to be left over.
//!
//! A partial's name follows from manifest id, path and a small number, the *attempt*. A file of
//! such a name that this run does not use and the manifest does not know was left by a run that
//! was cut off before it could record it: it is ours, and it is removed.

use std::collections::HashSet;
use std::sync::Mutex;

use crate::lock_mutex;
use crate::partial::{self, PartialName};
use crate::path::RelPath;

pub(super) struct Names {
    id: [u8; 16],
    in_use: Mutex<HashSet<PartialName>>,
}

impl Names {
    pub(super) fn new(id: [u8; 16]) -> Names {
        Names {
            id,
            in_use: Mutex::new(HashSet::new()),
        }
    }

    /// The manifest's id.
    pub(super) fn id(&self) -> &[u8; 16] {
        &self.id
    }

    /// The partial name of `path` with this attempt.
    pub(super) fn name(&self, path: &RelPath, attempt: u8) -> PartialName {
        partial::name(&self.id, path, attempt)
    }

    /// Takes a name for `path` that nothing else uses; gives it with its attempt.
    pub(super) fn claim(&self, path: &RelPath) -> (u8, PartialName) {
        for attempt in 0..u8::MAX {
            let name = self.name(path, attempt);
            if lock_mutex(&self.in_use).insert(name) {
                return (attempt, name);
            }
        }
        // 255 collisions of 32 bits at once do not happen; the last name is as good as any.
        (u8::MAX, self.name(path, u8::MAX))
    }

    /// Takes the name that a record tells of.
    pub(super) fn reserve(&self, path: &RelPath, attempt: u8) -> PartialName {
        let name = self.name(path, attempt);
        lock_mutex(&self.in_use).insert(name);
        name
    }

    /// Whether something uses a name.
    pub(super) fn is_in_use(&self, name: &[u8]) -> bool {
        lock_mutex(&self.in_use).contains(name)
    }

    /// Gives a name back.
    pub(super) fn release(&self, path: &RelPath, attempt: u8) {
        self.release_name(&self.name(path, attempt));
    }

    /// The same, of a name that is at hand.
    pub(super) fn release_name(&self, name: &PartialName) {
        lock_mutex(&self.in_use).remove(name);
    }
}
