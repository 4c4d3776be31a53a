//! Which names of a source share an inode. Only inodes of which further names may come are kept.

use std::collections::HashMap;

use crate::fs::{FileId, Stat};
use crate::path::RelPath;

/// The first destination path of each inode with several names, until all were met.
#[derive(Debug, Default)]
pub(crate) struct FirstNames(HashMap<FileId, FirstName>);

#[derive(Debug)]
struct FirstName {
    path: RelPath,
    /// How many further names there can be.
    left: u64,
}

impl FirstNames {
    /// The destination path under which this inode was met before. `None`: this is the first.
    pub(crate) fn meet(&mut self, path: &RelPath, stat: &Stat) -> Option<RelPath> {
        let inode = stat.id();
        let Some(first) = self.0.get_mut(&inode) else {
            let first = FirstName {
                path: path.clone(),
                left: stat.nlink - 1,
            };
            self.0.insert(inode, first);
            return None;
        };
        first.left -= 1;
        if first.left == 0 {
            return self.0.remove(&inode).map(|first| first.path);
        }
        Some(first.path.clone())
    }

    /// Lets the next name of an inode be its first.
    pub(crate) fn forget(&mut self, stat: &Stat) {
        self.0.remove(&stat.id());
    }
}
