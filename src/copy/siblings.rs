//! Names beside each other that the destination's file system may take for one.
//!
//! Only the directories from the root to where a walk is are kept, so memory is bounded by what
//! these hold, not by the tree.

use std::collections::HashMap;

use super::Shared;
use super::failure::{self, Failure};
use crate::error::EntryError;
use crate::fs::Fs;
use crate::limits::{self, fold_key};
use crate::lock_mutex;
use crate::path::RelPath;

/// The first name met of each key.
type NamesByKey = HashMap<Vec<u8>, Vec<u8>>;

/// The names met so far in each directory of the walk's current path.
#[derive(Default)]
pub(super) struct Siblings {
    dirs: Vec<(RelPath, NamesByKey)>,
}

impl Siblings {
    /// Meets a path of a walk that goes depth first. A sibling that was met before and has, as far
    /// as the tables go, the same name.
    pub(super) fn meet(&mut self, path: &RelPath) -> Option<RelPath> {
        let (parent, name) = path.split()?;
        while let Some((dir, _)) = self.dirs.last()
            && !parent.is_within(dir)
        {
            self.dirs.pop();
        }
        if self.dirs.last().is_none_or(|(dir, _)| *dir != parent) {
            self.dirs.push((parent.clone(), HashMap::new()));
        }
        let (_, names) = self.dirs.last_mut()?;
        let earlier = names.entry(fold_key(name)).or_insert_with(|| name.to_vec());
        if earlier == name {
            return None;
        }
        parent.join(earlier).ok()
    }
}

impl<F: Fs> Shared<F> {
    /// Whether the destination takes the names of two siblings for one.
    pub(super) fn are_one(&self, first: &RelPath, second: &RelPath) -> std::io::Result<bool> {
        // There is one directory for trying names in.
        let _alone = lock_mutex(&self.probing);
        limits::are_one(&*self.fs, first.name(), second.name())
    }

    /// Whether names in this directory of the destination may be the same though they differ.
    pub(super) fn folds(&self, dir: &F::Dir) -> bool {
        self.limits.folds || self.fs.dir_folds(dir)
    }

    /// The path of what stands at the place of `path` under another name that the file system
    /// takes for the same, if that is so.
    pub(super) fn stands_as(
        &self,
        dir: &F::Dir,
        path: &RelPath,
    ) -> std::io::Result<Option<RelPath>> {
        let Some((parent, name)) = path.split() else {
            return Ok(None);
        };
        if self.fs.stat(dir, name)?.is_none() {
            return Ok(None);
        }
        let other = limits::spelled_otherwise(&*self.fs, dir, name, self.limits.respells)?;
        Ok(other.map(|other| parent.join(&other).unwrap_or(parent)))
    }
}

impl<F: Fs> Shared<F> {
    /// Right before something gets its final name: nothing that the file system takes for the same
    /// name, and we do not, may stand in its place. Only who gives final names asks, one at a time,
    /// so the answer holds.
    pub(super) fn check_place(&self, dir: &F::Dir, path: &RelPath) -> Result<(), Failure> {
        if !self.folds(dir) {
            return Ok(());
        }
        let there = self.stands_as(dir, path);
        let there = there.map_err(failure::context(&self.fs, "look at", self.full(path)))?;
        match there {
            None => Ok(()),
            Some(there) => Err(EntryError::SameName {
                path: self.full(path),
                there: self.full(&there),
            }
            .into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_one_directory_are_compared_also_after_a_walk_came_back_to_it() {
        let mut siblings = Siblings::default();
        let mut meet = |path: &str| {
            let met = siblings.meet(&RelPath::new(path).unwrap());
            met.map(|path| path.to_string())
        };
        for path in ["A", "a1", "a1/x", "a1/y", "b", "b/X", "b/x1/deep"] {
            assert_eq!(meet(path), None, "{path}");
        }
        assert_eq!(meet("b/x"), Some("b/X".into()));
        assert_eq!(meet("a"), Some("A".into()));
        assert_eq!(meet("\u{e9}"), None);
        assert_eq!(meet("e\u{301}"), Some("\u{e9}".into()));
        assert_eq!(meet("a"), Some("A".into()));
    }
}
