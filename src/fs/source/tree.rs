//! Walking a tree of a source: each directory before what is in it, in the order of names. The walk is
//! walkdir's; what it comes to is looked at here.
//!
//! What is in a directory is looked at by its name alone, from a handle of the directory: that takes a
//! third less time than by its path. An entry is looked at when it is its turn, so that what is said
//! of it is new.
//!
//! Not guaranteed: that what comes or goes during the walk is met.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use walkdir::{DirEntry, WalkDir};

use crate::fs::Stat;
use crate::fs::sys::{self, retry};

/// So many of the innermost directories are held open; what is in the others is looked at by its path.
const OPEN_MAX: usize = 16;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A walk from one path downwards.
pub struct Tree {
    walk: walkdir::IntoIter,
    root: PathBuf,
    /// What was given last.
    last: Option<Given>,
    /// Whether the walk goes into that next.
    goes_in: bool,
    /// The directories on the way to it, from the root on, as far as they are open.
    dirs: Vec<Option<OwnedFd>>,
    /// The root's device, which the walk does not leave where that was asked for.
    device: Option<u64>,
    one_file_system: bool,
}

/// What the walk came to.
enum Given {
    Entry(DirEntry),
    /// What is in this directory cannot be listed, or this cannot be looked at.
    Failed(PathBuf),
}

impl Tree {
    /// Begins to walk; the root is the first entry, and is not followed if it is a symlink.
    pub fn new(root: &Path, one_file_system: bool) -> Tree {
        let walk = WalkDir::new(root)
            .follow_links(false)
            .follow_root_links(false)
            .same_file_system(one_file_system)
            // By file name; what stands before the names is the same.
            .sort_by(|a, b| a.path().as_os_str().cmp(b.path().as_os_str()))
            .into_iter();
        Tree {
            walk,
            root: root.to_path_buf(),
            last: None,
            goes_in: false,
            dirs: Vec::new(),
            device: None,
            one_file_system,
        }
    }

    /// The path of the entry that was given last.
    pub fn path(&self) -> &Path {
        match &self.last {
            Some(Given::Entry(entry)) => entry.path(),
            Some(Given::Failed(path)) => path,
            None => &self.root,
        }
    }

    /// Its name; that of the root is what its path ends with.
    pub fn name(&self) -> &[u8] {
        match &self.last {
            Some(Given::Entry(entry)) => entry.file_name().as_bytes(),
            _ => self.path().file_name().unwrap_or_default().as_bytes(),
        }
    }

    /// Whether it is what the walk began with.
    pub fn is_root(&self) -> bool {
        matches!(&self.last, Some(Given::Entry(entry)) if entry.depth() == 0)
    }

    /// Does not go into the directory that was given last.
    pub fn skip_dir(&mut self) {
        // What the walk would not go into anyway it takes for what that is in.
        if self.goes_in {
            self.walk.skip_current_dir();
            self.goes_in = false;
        }
    }

    /// The next entry, or why it cannot be looked at, or why what is in the directory that was
    /// given last cannot be listed. `None`: that was all.
    pub fn advance(&mut self) -> Option<io::Result<Stat>> {
        match self.walk.next()? {
            Ok(entry) => {
                let stat = self.look_at(&entry);
                let leaves = || {
                    let device = stat.as_ref().ok().map(|stat| stat.dev);
                    self.one_file_system && entry.depth() > 0 && device != self.device
                };
                self.goes_in = entry.file_type().is_dir() && !leaves();
                self.last = Some(Given::Entry(entry));
                Some(stat)
            }
            Err(error) => {
                // An error without a path is about listing the directory that was given last, since such
                // errors are sorted before its entries.
                let path = error.path().unwrap_or(self.path()).to_path_buf();
                self.last = Some(Given::Failed(path));
                self.goes_in = false;
                let contains_itself = || io::Error::other("the directory tree contains itself");
                Some(Err(error.into_io_error().unwrap_or_else(contains_itself)))
            }
        }
    }

    fn look_at(&mut self, entry: &DirEntry) -> io::Result<Stat> {
        // What was open further in is behind the walk now.
        self.dirs.truncate(entry.depth());
        let stat = match self.holder(entry)? {
            Some(dir) => stat_at(dir, entry.file_name().as_bytes()),
            None => super::lstat(entry.path()),
        };
        if entry.depth() == 0 {
            self.device = stat.as_ref().ok().map(|stat| stat.dev);
        }
        stat
    }

    /// The directory that an entry is in, if it could be opened and is still open. One that was swapped
    /// for a symlink meanwhile leads nowhere.
    fn holder(&mut self, entry: &DirEntry) -> io::Result<Option<&OwnedFd>> {
        let Some(depth) = entry.depth().checked_sub(1) else {
            return Ok(None);
        };
        if self.dirs.len() == depth
            && let Some(path) = entry.path().parent()
        {
            let opened = match self.open(path) {
                Ok(dir) => Some(dir),
                Err(Errno::LOOP | Errno::NOTDIR) => return Err(Errno::NOTDIR.into()),
                Err(_) => None,
            };
            self.dirs.push(opened);
            if let Some(outer) = depth.checked_sub(OPEN_MAX) {
                self.dirs[outer] = None;
            }
        }
        Ok(self.dirs.get(depth).and_then(Option::as_ref))
    }

    /// Opens a directory in the innermost one.
    fn open(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let (outer, name) = match (self.dirs.last(), path.file_name()) {
            // A slash at its end says that it is followed if it is a symlink.
            (None, _) => (CWD, self.root.as_os_str()),
            (Some(Some(outer)), Some(name)) => (outer.as_fd(), name),
            _ => (CWD, path.as_os_str()),
        };
        retry_on_intr(|| rustix::fs::openat(outer, name, DIRECTORY, Mode::empty()))
    }
}

fn stat_at(dir: impl AsFd, name: &[u8]) -> io::Result<Stat> {
    let stat = retry(|| rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW))?;
    Ok(sys::stat_of(&stat))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Kind;
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
    fn what_is_in_a_directory_that_became_a_symlink_is_not_looked_at() {
        let temp = tempfile::tempdir().unwrap();
        let (root, other) = (temp.path().join("root"), temp.path().join("other"));
        for dir in [&root.join("dir"), &other] {
            fs::create_dir_all(dir).unwrap();
            fs::write(dir.join("secret"), "").unwrap();
        }
        let mut tree = Tree::new(&root, false);
        assert_eq!(tree.advance().unwrap().unwrap().kind, Kind::Dir);
        assert_eq!(tree.advance().unwrap().unwrap().kind, Kind::Dir);
        assert_eq!(tree.name(), b"dir");
        fs::rename(root.join("dir"), temp.path().join("away")).unwrap();
        symlink(&other, root.join("dir")).unwrap();
        assert!(tree.advance().unwrap().is_err());
        assert_eq!(tree.path(), root.join("dir/secret"));
        assert!(tree.advance().is_none());
    }
}
