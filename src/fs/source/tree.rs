//! Walking a tree of a source: each directory before what is in it, in the order of names.
//!
//! What is in a directory is looked at by its name alone, from the directory's handle: that takes a
//! third less time than by its path, and a directory that is swapped for a symlink meanwhile leads
//! nowhere else. An entry is looked at when it is its turn, so that what is said of it is new.
//!
//! Not guaranteed: that what comes or goes during the walk is met.

use std::ffi::OsStr;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use crate::fs::sys::{self, Lister, retry};
use crate::fs::{Kind, Stat};

/// So many of the innermost directories are held open; what is in the others is looked at by its path.
const OPEN_MAX: usize = 16;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A walk from one path downwards.
pub struct Tree {
    /// The directories from the beginning to where the walk is.
    levels: Vec<Level>,
    /// The path of the entry that was given last.
    path: Vec<u8>,
    /// How much of it is the directory that it is in.
    dir_bytes: usize,
    /// The device that the walk does not leave, where that was asked for.
    device: Option<u64>,
    one_file_system: bool,
    state: State,
    lister: Lister,
}

/// What comes next.
enum State {
    /// The beginning of the walk.
    Root,
    /// What is in the directory that was given last.
    GoInto,
    /// What is beside it.
    Beside,
}

/// A directory on the way.
struct Level {
    /// `None`: it was closed, since others are further in.
    dir: Option<OwnedFd>,
    /// How much of the walk's path is its own.
    path_bytes: usize,
    names: Names,
    /// So many of them were given.
    given: usize,
}

/// The names in a directory, one behind the other, and where each stands.
#[derive(Default)]
struct Names {
    bytes: Vec<u8>,
    spans: Vec<Range<usize>>,
}

impl Names {
    fn add(&mut self, name: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.spans.push(start..self.bytes.len());
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        let name = |span: &Range<usize>| &bytes[span.clone()];
        self.spans.sort_unstable_by(|a, b| name(a).cmp(name(b)));
    }

    fn get(&self, nth: usize) -> Option<&[u8]> {
        Some(&self.bytes[self.spans.get(nth)?.clone()])
    }
}

impl Tree {
    /// Begins to walk; the root is the first entry, and is not followed if it is a symlink.
    pub fn new(root: &Path, one_file_system: bool) -> Tree {
        Tree {
            levels: Vec::new(),
            path: root.as_os_str().as_bytes().to_vec(),
            dir_bytes: 0,
            device: None,
            one_file_system,
            state: State::Root,
            lister: Lister::default(),
        }
    }

    /// The path of the entry that was given last.
    pub fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }

    /// Its name; that of the root is all of its path.
    pub fn name(&self) -> &[u8] {
        &self.path[self.dir_bytes..]
    }

    /// Whether it is what the walk began with.
    pub fn is_root(&self) -> bool {
        self.levels.is_empty()
    }

    /// Does not go into the directory that was given last.
    pub fn skip_dir(&mut self) {
        self.state = State::Beside;
    }

    /// The next entry, or why it cannot be looked at, or why what is in the directory that was
    /// given last cannot be listed. `None`: that was all.
    pub fn advance(&mut self) -> Option<io::Result<Stat>> {
        match std::mem::replace(&mut self.state, State::Beside) {
            State::Root => {
                let stat = super::lstat(self.path());
                self.device = stat.as_ref().ok().map(|stat| stat.dev);
                return Some(self.given(stat));
            }
            State::GoInto => {
                if let Err(error) = self.go_into() {
                    return Some(Err(error));
                }
            }
            State::Beside => {}
        }
        while let Some(level) = self.levels.last_mut() {
            self.path.truncate(level.path_bytes);
            let Some(name) = level.names.get(level.given) else {
                self.levels.pop();
                continue;
            };
            level.given += 1;
            if self.path.last() != Some(&b'/') {
                self.path.push(b'/');
            }
            self.dir_bytes = self.path.len();
            self.path.extend_from_slice(name);
            let stat = match &level.dir {
                Some(dir) => stat_at(dir, name),
                None => super::lstat(self.path()),
            };
            return Some(self.given(stat));
        }
        None
    }

    fn given(&mut self, stat: io::Result<Stat>) -> io::Result<Stat> {
        let stat = stat?;
        let leaves = self.one_file_system && self.device != Some(stat.dev);
        if stat.kind == Kind::Dir && !leaves {
            self.state = State::GoInto;
        }
        Ok(stat)
    }

    /// Lists the directory that was given last.
    fn go_into(&mut self) -> io::Result<()> {
        let opened = match self.levels.last() {
            Some(Level { dir: Some(dir), .. }) => {
                let name = OsStr::from_bytes(self.name());
                retry(|| rustix::fs::openat(dir, name, DIRECTORY, Mode::empty()))
            }
            _ => retry(|| rustix::fs::openat(CWD, &self.path, DIRECTORY, Mode::empty())),
        };
        let dir = opened?;
        let mut names = Names::default();
        // What was listed before an error counts.
        let listed = self.lister.list(&dir, |name| names.add(name));
        names.sort();
        self.levels.push(Level {
            dir: Some(dir),
            path_bytes: self.path.len(),
            names,
            given: 0,
        });
        if let Some(outer) = self.levels.len().checked_sub(OPEN_MAX + 1) {
            self.levels[outer].dir = None;
        }
        listed
    }
}

fn stat_at(dir: impl AsFd, name: &[u8]) -> io::Result<Stat> {
    let stat = retry(|| rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW))?;
    Ok(sys::stat_of(&stat))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// The paths of a walk below its root, each with what came of it.
    fn walk(root: &Path, skips: &[&str]) -> Vec<(String, Option<Kind>)> {
        let mut tree = Tree::new(root, false);
        let mut met = Vec::new();
        while let Some(looked_at) = tree.advance() {
            let below = tree.path().strip_prefix(root).unwrap();
            let below = below.to_str().unwrap().to_string();
            if skips.contains(&&*below) {
                tree.skip_dir();
            }
            met.push((below, looked_at.ok().map(|stat| stat.kind)));
        }
        met
    }

    fn paths(met: &[(String, Option<Kind>)]) -> Vec<&str> {
        met.iter().map(|(path, _)| &**path).collect()
    }

    #[test]
    fn directories_come_before_what_is_in_them_and_all_in_the_order_of_names() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        for dir in ["b", "b/x", "a.d"] {
            fs::create_dir(root.join(dir)).unwrap();
        }
        for file in ["a", "b.c", "b/x/deep", "b/w", "c"] {
            fs::write(root.join(file), "").unwrap();
        }
        symlink("b", root.join("link")).unwrap();
        let met = walk(root, &[]);
        let all = [
            "", "a", "a.d", "b", "b/w", "b/x", "b/x/deep", "b.c", "c", "link",
        ];
        assert_eq!(paths(&met), all);
        assert_eq!(met[9].1, Some(Kind::Symlink));
        let met = walk(root, &["b/x"]);
        assert!(!paths(&met).contains(&"b/x/deep") && met.len() == all.len() - 1);
        assert_eq!(paths(&walk(root, &[""])), [""]);
        assert_eq!(paths(&walk(&root.join("c"), &[])), [""]);
        assert_eq!(walk(&root.join("none"), &[]), [(String::new(), None)]);
    }

    #[test]
    fn a_tree_is_walked_that_is_deeper_than_directories_are_held_open() {
        let temp = tempfile::tempdir().unwrap();
        let mut dir = temp.path().to_path_buf();
        for _ in 0..OPEN_MAX * 3 {
            dir.push("d");
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join("e"), "").unwrap();
        }
        let met = walk(temp.path(), &[]);
        assert_eq!(met.len(), OPEN_MAX * 6 + 1);
        assert!(met.iter().all(|(_, kind)| kind.is_some()));
        assert_eq!(met.last().unwrap().0, "d/e");
    }

    #[test]
    fn a_directory_that_became_a_symlink_is_not_gone_into() {
        let temp = tempfile::tempdir().unwrap();
        let (root, other) = (temp.path().join("root"), temp.path().join("other"));
        fs::create_dir_all(root.join("dir")).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("secret"), "").unwrap();
        let mut tree = Tree::new(&root, false);
        assert_eq!(tree.advance().unwrap().unwrap().kind, Kind::Dir);
        assert_eq!(tree.advance().unwrap().unwrap().kind, Kind::Dir);
        assert_eq!(tree.name(), b"dir");
        fs::remove_dir(root.join("dir")).unwrap();
        symlink(&other, root.join("dir")).unwrap();
        assert!(tree.advance().unwrap().is_err());
        assert_eq!(tree.path(), root.join("dir"));
        assert!(tree.advance().is_none());
    }
}
