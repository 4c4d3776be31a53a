//! Walking a tree of a source: each directory before what is in it, in the order of names. The walk is
//! walkdir's; what it comes to is looked at here.
//!
//! What is in a directory is looked at by its name alone, from a handle of the directory: that takes a
//! third less time than by its path, and nothing is looked at in a directory that was swapped for a symlink.
//! The handles lead back to the directory that the source was when it was first looked at. An entry is
//! looked at when it is its turn, so that what is said of it is new.
//!
//! Not guaranteed: that what comes or goes during the walk is met. Names are listed by path; one that
//! comes from elsewhere is then not found.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use walkdir::{DirEntry, WalkDir};

use super::Held;
use crate::fs::Stat;
use crate::fs::sys::{self, component, retry};
use crate::path::{RelPath, bytes_below};

/// So many of the innermost directories are held open; the others are opened again from the root.
const OPEN_MAX: usize = 16;

const DIRECTORY: OFlags = sys::JUST_DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A walk from one path downwards.
pub struct Tree {
    walk: walkdir::IntoIter,
    root: PathBuf,
    /// The source, and where the walk begins in it; `None` if that is its path alone.
    from: Option<(Held, RelPath)>,
    /// The directory that the walk begins with, once something in it was looked at.
    root_dir: Option<Held>,
    /// What was given last.
    last: Option<Given>,
    /// Whether the walk goes into that next.
    goes_in: bool,
    /// The directories on the way to it, from the root on, as far as they are open.
    dirs: Vec<Option<Held>>,
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
    /// Begins to walk at a path, which is the first entry, and is not followed if it is a symlink. `from`: the
    /// directory of a source, and where in it the path is.
    pub fn new(root: &Path, from: Option<(Held, RelPath)>, one_file_system: bool) -> Tree {
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
            from,
            root_dir: None,
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

    /// Whether the entry that was given last is listed as a directory. `None`: it is not known what it is.
    pub fn is_listed_as_dir(&self) -> Option<bool> {
        match &self.last {
            Some(Given::Entry(entry)) => Some(entry.file_type().is_dir()),
            _ => None,
        }
    }

    /// Whether the walk goes into what was given last.
    pub fn goes_in(&self) -> bool {
        self.goes_in
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
        let stat = match entry.depth() {
            0 => self.look_at_root(),
            _ => {
                let dir = self.holder(entry)?;
                stat_at(&dir, entry.file_name().as_bytes())
            }
        };
        if entry.depth() == 0 {
            self.device = stat.as_ref().ok().map(|stat| stat.dev);
        }
        stat
    }

    fn look_at_root(&self) -> io::Result<Stat> {
        let Some((source, below)) = &self.from else {
            return super::lstat(&self.root);
        };
        match below.split() {
            None => Ok(sys::stat_of(&retry(|| rustix::fs::fstat(source))?)),
            Some((parent, name)) if parent.is_root() => stat_at(source, name),
            Some((parent, name)) => {
                let dir = sys::open_below(source, &parent, DIRECTORY).map_err(not_there)?;
                stat_at(&dir, name)
            }
        }
    }

    /// The directory that an entry is in. One that was swapped for a symlink meanwhile leads nowhere.
    fn holder(&mut self, entry: &DirEntry) -> io::Result<Held> {
        let depth = entry.depth() - 1;
        if let Some(Some(dir)) = self.dirs.get(depth) {
            return Ok(Arc::clone(dir));
        }
        let path = entry.path().parent().unwrap_or(&self.root);
        let opened = match self.dirs.last() {
            _ if depth == 0 => self.root_dir()?,
            // It is in the innermost one.
            Some(Some(outer)) if self.dirs.len() == depth => {
                let name = component(path.file_name().unwrap_or_default().as_bytes())?;
                Arc::new(open_in(outer, name)?)
            }
            _ => {
                let below = bytes_below(path, &self.root).map(RelPath::new);
                let Some(Ok(below)) = below else {
                    return Err(io::ErrorKind::InvalidFilename.into());
                };
                let root = self.root_dir()?;
                Arc::new(sys::open_below(&root, &below, DIRECTORY).map_err(not_there)?)
            }
        };
        self.dirs.resize(depth, None);
        self.dirs.push(Some(Arc::clone(&opened)));
        if let Some(outer) = depth.checked_sub(OPEN_MAX) {
            self.dirs[outer] = None;
        }
        Ok(opened)
    }

    /// The directory that the walk begins with.
    fn root_dir(&mut self) -> io::Result<Held> {
        if let Some(dir) = &self.root_dir {
            return Ok(Arc::clone(dir));
        }
        let dir = match &self.from {
            Some((source, below)) if below.is_root() => Arc::clone(source),
            Some((source, below)) => {
                Arc::new(sys::open_below(source, below, DIRECTORY).map_err(not_there)?)
            }
            // A slash at its end says that it is followed if it is a symlink.
            None => Arc::new(open_in(rustix::fs::CWD, self.root.as_os_str())?),
        };
        self.root_dir = Some(Arc::clone(&dir));
        Ok(dir)
    }
}

fn open_in(dir: impl std::os::fd::AsFd, name: &std::ffi::OsStr) -> io::Result<OwnedFd> {
    let opened = retry(|| rustix::fs::openat(&dir, name, DIRECTORY, Mode::empty()));
    opened.map_err(not_there)
}

/// A directory that is a symlink now is none.
fn not_there(error: io::Error) -> io::Error {
    match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => Errno::NOTDIR.into(),
        _ => error,
    }
}

fn stat_at(dir: &impl std::os::fd::AsFd, name: &[u8]) -> io::Result<Stat> {
    let name = component(name)?;
    let stat = retry(|| rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW))?;
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
        let mut tree = Tree::new(root, None, false);
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
        let mut tree = Tree::new(&root, None, false);
        assert_eq!(tree.advance().unwrap().unwrap().kind, Kind::Dir);
        assert_eq!(tree.advance().unwrap().unwrap().kind, Kind::Dir);
        assert_eq!(tree.name(), b"dir");
        fs::rename(root.join("dir"), temp.path().join("away")).unwrap();
        symlink(&other, root.join("dir")).unwrap();
        assert!(tree.advance().unwrap().is_err());
        assert_eq!(tree.path(), root.join("dir/secret"));
        assert!(tree.advance().is_none());
    }

    #[test]
    fn what_is_looked_at_is_in_the_directory_that_was_held_whatever_has_its_name() {
        let temp = tempfile::tempdir().unwrap();
        let (root, other) = (temp.path().join("root"), temp.path().join("other"));
        for (dir, content) in [(&root, "held"), (&other, "of another size")] {
            fs::create_dir_all(dir.join("dir")).unwrap();
            fs::write(dir.join("dir/file"), content).unwrap();
        }
        let (stat, held) = super::super::look_and_hold(&root, false).unwrap();
        fs::rename(&root, temp.path().join("away")).unwrap();
        fs::rename(&other, &root).unwrap();
        let mut tree = Tree::new(&root, Some((held.unwrap(), RelPath::root())), false);
        assert_eq!(tree.advance().unwrap().unwrap().id(), stat.id());
        tree.advance().unwrap().unwrap();
        assert_eq!(tree.advance().unwrap().unwrap().size, 4);
        assert!(tree.advance().is_none());
    }
}
