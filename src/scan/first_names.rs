//! Which names of a source share an inode. Only inodes of which further names may come are kept.

use std::collections::HashMap;

use crate::fs::{FileId, Stat};
use crate::path::RelPath;

/// The first destination path of each inode with several names, until all were met.
#[derive(Debug)]
pub(crate) struct FirstNames {
    names: HashMap<FileId, FirstName>,
    /// So many names one file can have at the destination.
    links_max: u64,
}

#[derive(Debug)]
struct FirstName {
    path: RelPath,
    /// How many further names there can be.
    left: u64,
    /// How many there are.
    has: u64,
    /// Size and time of the file: with others the number stands for another file, or for one that changed.
    version: (u64, i128),
}

impl FirstNames {
    pub(crate) fn new(links_max: u64) -> FirstNames {
        FirstNames {
            names: HashMap::new(),
            links_max: links_max.max(1),
        }
    }

    /// The destination path under which this inode was met before. `None`: this is the first, or one more than
    /// can be linked to the first.
    pub(crate) fn meet(&mut self, path: &RelPath, stat: &Stat) -> Option<RelPath> {
        let (inode, version) = (stat.id(), (stat.size, stat.mtime_ns));
        let first = self.names.get_mut(&inode);
        let Some(first) =
            first.filter(|first| first.version == version && first.has < self.links_max)
        else {
            let left = match self.names.get(&inode) {
                Some(first) if first.version == version => first.left - 1,
                _ => stat.nlink - 1,
            };
            let first = FirstName {
                path: path.clone(),
                left,
                has: 1,
                version,
            };
            match left {
                0 => self.names.remove(&inode),
                _ => self.names.insert(inode, first),
            };
            return None;
        };
        first.left -= 1;
        first.has += 1;
        if first.left == 0 {
            return self.names.remove(&inode).map(|first| first.path);
        }
        Some(first.path.clone())
    }

    /// Lets the next name of an inode be its first.
    pub(crate) fn forget(&mut self, stat: &Stat) {
        self.names.remove(&stat.id());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each of some names of one file is told, by number.
    fn told(links_max: u64, stats: &[Stat]) -> Vec<Option<usize>> {
        let path = |number: usize| RelPath::new(number.to_string()).unwrap();
        let mut names = FirstNames::new(links_max);
        let each = stats.iter().enumerate().map(|(number, stat)| {
            let first = names.meet(&path(number), stat);
            first.map(|first| first.to_string().parse().unwrap())
        });
        each.collect()
    }

    const STAT: Stat = Stat {
        nlink: 5,
        size: 3,
        ..NOTHING
    };
    const NOTHING: Stat = Stat {
        kind: crate::fs::Kind::File,
        size: 0,
        allocated: 0,
        mtime_ns: 0,
        atime_ns: 0,
        ctime_ns: 0,
        mode: 0,
        uid: 0,
        gid: 0,
        dev: 1,
        ino: 2,
        nlink: 0,
    };

    #[test]
    fn a_file_has_as_many_names_as_it_may_and_the_next_is_a_file_of_its_own() {
        assert_eq!(
            told(u64::MAX, &[STAT; 5]),
            [None, Some(0), Some(0), Some(0), Some(0)]
        );
        assert_eq!(told(2, &[STAT; 5]), [None, Some(0), None, Some(2), None]);
    }

    #[test]
    fn another_file_with_the_same_number_is_no_name_of_the_first() {
        let other = Stat { size: 4, ..STAT };
        assert_eq!(told(9, &[STAT, other, other]), [None, None, Some(1)]);
    }
}
