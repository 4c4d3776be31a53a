//! What the walk of a run met, kept for `--delete`.
//!
//! A file system below a source that is unmounted during the run looks as if all of it had been
//! deleted. So nothing that was met is deleted by the same run, and deletions stop once a mount
//! point is not what it was.
//!
//! Of each entry 8 bytes are kept, a keyed hash of its path; a vector that grows may have room for
//! as many again. Two paths with the same hash, one pair in 2^64, only keep an extraneous entry. Mount
//! points are few, and are kept by path.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use super::{Scanned, Source};
use crate::fs::{FileId, Kind, Stat, source};
use crate::path::RelPath;

/// What was met in all sources.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    key: RandomState,
    /// The hashes of the destination paths; sorted once the walk is over.
    met: Vec<u64>,
    mounts: BTreeMap<PathBuf, FileId>,
}

/// The mount points below one source.
#[derive(Debug)]
pub(crate) struct MountPoints<'a> {
    source: &'a Source,
    /// The directories from the source to where the walk is, with their devices.
    above: Vec<(RelPath, u64)>,
    found: Vec<(PathBuf, FileId)>,
}

impl<'a> MountPoints<'a> {
    pub(crate) fn new(source: &'a Source) -> MountPoints<'a> {
        MountPoints {
            source,
            above: Vec::new(),
            found: Vec::new(),
        }
    }

    /// Notes an entry, in the order of the walk.
    pub(crate) fn meet(&mut self, scanned: &Scanned) {
        let id = scanned.stat.id();
        if scanned.stat.kind != Kind::Dir || scanned.left_out.is_some() {
            return;
        }
        while let Some((dir, _)) = self.above.last() {
            if scanned.dest.is_within(dir) {
                break;
            }
            self.above.pop();
        }
        let root = self.source.dir().map(|dir| dir.dev);
        let outer = self.above.last().map(|(_, dev)| *dev).or(root);
        if outer.is_some_and(|outer| outer != id.dev) {
            self.found.push((scanned.source.clone(), id));
        }
        self.above.push((scanned.dest.clone(), id.dev));
    }
}

impl Walked {
    /// Notes an entry that goes to `dest`.
    pub(crate) fn meet(&mut self, dest: &RelPath) {
        self.met.push(self.key.hash_one(dest.as_bytes()));
    }

    /// Notes the mount points below a source that was walked.
    pub(crate) fn mount_points(&mut self, points: MountPoints<'_>) {
        self.mounts.extend(points.found);
    }

    /// The same mount points, and nothing that was met.
    pub(crate) fn mounts_alone(&self) -> Walked {
        Walked {
            mounts: self.mounts.clone(),
            ..Walked::default()
        }
    }

    /// Ends the walk; only then can be asked what was met.
    pub(crate) fn over(&mut self) {
        self.met.sort_unstable();
        self.met.shrink_to_fit();
    }

    /// Whether an entry that goes to `dest` was met.
    pub(crate) fn has_met(&self, dest: &RelPath) -> bool {
        let hash = self.key.hash_one(dest.as_bytes());
        self.met.binary_search(&hash).is_ok()
    }

    /// Whether a directory of a source, `stat` now, is on the same file system as when it was walked.
    /// Mount points are not looked at here, but by [`Walked::moved`].
    pub(crate) fn is_where_it_was(&self, from: &Source, path: &Path, stat: &Stat) -> bool {
        let Some(root) = from.dir() else {
            return true;
        };
        if self.is_mount_point(path) {
            return true;
        }
        let above = path.ancestors().skip(1);
        let mut above = above.take_while(|dir| *dir != from.path);
        let mount = above.find_map(|dir| self.mounts.get(dir));
        stat.dev == mount.unwrap_or(&root).dev
    }

    /// Whether a file system was mounted at a path of a source when it was walked.
    pub(crate) fn is_mount_point(&self, path: &Path) -> bool {
        self.mounts.contains_key(path)
    }

    /// The first source, or mount point that was walked below one, that is not the same any more.
    pub(crate) fn moved(&self, sources: &[Source], one_file_system: bool) -> Option<PathBuf> {
        let root_moved = |source: &&Source| {
            let now = source::stat_follow(&source.path);
            source.dir().is_some_and(|dir| !is_at(now, dir))
        };
        if let Some(source) = sources.iter().find(root_moved) {
            return Some(source.path.clone());
        }
        if one_file_system {
            return None;
        }
        // With the dot, an automatic mount that was idle is mounted again.
        let mount_moved =
            |(path, id): &(&PathBuf, &FileId)| !is_at(source::lstat(&path.join(".")), **id);
        let moved = self.mounts.iter().find(mount_moved);
        moved.map(|(path, _)| path.clone())
    }
}

fn is_at(now: std::io::Result<Stat>, id: FileId) -> bool {
    now.is_ok_and(|now| now.id() == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &Path) -> Source {
        let stat = source::lstat(path).unwrap();
        Source {
            path: path.to_path_buf(),
            dest: RelPath::root(),
            id: stat.id(),
            is_dir: true,
            held: None,
            copied_to: None,
        }
    }

    fn dir(from: &Source, path: &str, dev: u64) -> Scanned {
        let dest = RelPath::new(path).unwrap();
        let stat = Stat {
            kind: Kind::Dir,
            dev,
            ino: 7,
            ..Stat::default()
        };
        Scanned {
            source: dest.below(&from.path),
            dest,
            stat,
            ..Scanned::default()
        }
    }

    #[test]
    fn what_was_met_is_known_once_the_walk_is_over_and_nothing_else_is() {
        let mut walked = Walked::default();
        let paths = ["", "b", "a", "a/b"].map(|path| RelPath::new(path).unwrap());
        paths.iter().for_each(|path| walked.meet(path));
        walked.over();
        assert!(paths.iter().all(|path| walked.has_met(path)));
        for other in ["ab", "a/b/c", "c"] {
            assert!(!walked.has_met(&RelPath::new(other).unwrap()), "{other}");
        }
    }

    #[test]
    fn a_directory_is_on_the_file_system_of_the_innermost_mount_point_above_it() {
        let temp = tempfile::tempdir().unwrap();
        let from = source(temp.path());
        let root = from.id.dev;
        let (drive, inner) = (root + 1, root + 2);
        let mut points = MountPoints::new(&from);
        let walk = [
            ("", root),
            ("a", root),
            ("drive", drive),
            ("drive/d", drive),
            ("drive/d/inner", inner),
            ("drive/e", drive),
            ("z", root),
        ];
        for (path, dev) in walk {
            points.meet(&dir(&from, path, dev));
        }
        let found = points.found.iter().map(|(path, _)| path.clone());
        let at = |path: &str| temp.path().join(path);
        assert_eq!(
            found.collect::<Vec<_>>(),
            [at("drive"), at("drive/d/inner")]
        );
        let mut walked = Walked::default();
        walked.mount_points(points);
        let is = |path: &str, dev| {
            let now = dir(&from, path, dev).stat;
            walked.is_where_it_was(&from, &at(path), &now)
        };
        assert!(is("a", root) && is("drive/e", drive) && is("drive/d/inner/x", inner));
        assert!(!is("a", drive) && !is("drive/e", root) && !is("drive/d/inner/x", drive));
    }

    #[test]
    fn a_source_that_is_another_directory_and_a_mount_point_that_is_gone_have_moved() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("source");
        std::fs::create_dir(&path).unwrap();
        let sources = [source(&path)];
        let mut walked = Walked::default();
        assert_eq!(walked.moved(&sources, false), None);
        let mut points = MountPoints::new(&sources[0]);
        points.meet(&dir(&sources[0], "drive", u64::MAX));
        walked.mount_points(points);
        assert_eq!(walked.moved(&sources, false), Some(path.join("drive")));
        // A mount point that is not walked may go.
        assert_eq!(walked.moved(&sources, true), None);
        std::fs::rename(&path, temp.path().join("old")).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_eq!(Walked::default().moved(&sources, false), Some(path));
    }
}
