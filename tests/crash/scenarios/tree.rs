//! What stands at a place: a real source directory or a simulated disk, in one form to compare.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sprag::fs::Xattrs;
use sprag::path::RelPath;

use crate::sim::{Content, Disk, Entry};

/// Every entry by its path, the root included.
pub(crate) type Tree = BTreeMap<RelPath, Node>;

/// One entry.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) what: Entry,
    mode: u32,
    mtime_ns: i128,
    ino: u64,
    xattrs: Xattrs,
}

/// What a disk holds, told apart.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The user's entries.
    pub(crate) tree: Tree,
    /// Names of the form that partials have.
    pub(crate) partials: Vec<RelPath>,
}

/// A real directory as a tree.
pub(crate) fn of_source(dir: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut todo = vec![(RelPath::root(), dir.to_path_buf())];
    while let Some((path, real)) = todo.pop() {
        let metadata = std::fs::symlink_metadata(&real).expect("a source that can be read");
        let what = if metadata.is_symlink() {
            let target = std::fs::read_link(&real).expect("a source that can be read");
            Entry::Symlink(target.as_os_str().as_bytes().to_vec())
        } else if metadata.is_dir() {
            for entry in std::fs::read_dir(&real).expect("a directory that can be read") {
                let entry = entry.expect("a source that can be read");
                let name = path
                    .join(entry.file_name().as_bytes())
                    .expect("a source that can be read");
                todo.push((name, entry.path()));
            }
            Entry::Dir
        } else if !metadata.is_file() {
            match sprag::fs::source::from_metadata(&metadata).kind {
                sprag::fs::Kind::Special(what) => Entry::Special(what),
                kind => panic!("a source of another kind: {kind:?}"),
            }
        } else {
            let content = std::fs::read(&real).expect("a source that can be read");
            Entry::File(Content::from(&content[..]))
        };
        let mtime_ns = i128::from(metadata.mtime()) * 1_000_000_000;
        let node = Node {
            what,
            mode: metadata.mode() & 0o7777,
            mtime_ns: mtime_ns + i128::from(metadata.mtime_nsec()),
            ino: metadata.ino(),
            xattrs: sprag::fs::source::SourceEntry::given(&real)
                .xattrs()
                .expect("a source that can be read"),
        };
        tree.insert(path, node);
    }
    tree
}

/// A simulated disk as a tree, without sprag's own state.
pub(crate) fn of_disk(disk: &Disk) -> Found {
    let mut found = Found::default();
    disk.walk(|path, what, stat| {
        let name = path.name();
        if path.components().next() == Some(b".sprag") {
            return;
        }
        if name.starts_with(b".sprag-") && name.ends_with(b".partial") {
            found.partials.push(path.clone());
        } else {
            let node = Node {
                what,
                mode: stat.mode,
                mtime_ns: stat.mtime_ns,
                ino: stat.ino,
                xattrs: disk
                    .get(stat.ino)
                    .expect("an inode that was walked")
                    .all_xattrs(),
            };
            found.tree.insert(path.clone(), node);
        }
    });
    found
}

impl Node {
    pub(crate) fn is_longer_than(&self, bytes: u64) -> bool {
        matches!(&self.what, Entry::File(content) if content.len() > bytes)
    }

    fn is_dir(&self) -> bool {
        matches!(self.what, Entry::Dir)
    }

    /// A symlink has no mode of its own, and there is no call that makes its times, or anything of
    /// a special file, durable by itself.
    fn cannot_be_flushed(&self) -> bool {
        matches!(self.what, Entry::Symlink(_) | Entry::Special(_))
    }
}

/// The same files, all of them empty.
pub(crate) fn hollow(tree: &Tree) -> Tree {
    let files = tree.iter();
    let files = files.filter(|(_, node)| matches!(node.what, Entry::File(_)));
    let emptied = |node: &Node| Node {
        what: Entry::File(Content::default()),
        ..node.clone()
    };
    files
        .map(|(path, node)| (path.clone(), emptied(node)))
        .collect()
}

/// Bytes of the regular files, of a file with several names once.
pub(crate) fn bytes(tree: &Tree) -> u64 {
    let mut met = BTreeSet::new();
    let size = |node: &Node| match &node.what {
        Entry::File(content) if met.insert(node.ino) => content.len(),
        _ => 0,
    };
    tree.values().map(size).sum()
}

/// The size of the largest file.
pub(crate) fn largest(tree: &Tree) -> u64 {
    let size = |node: &Node| match &node.what {
        Entry::File(content) => content.len(),
        _ => 0,
    };
    tree.values().map(size).max().unwrap_or(0)
}

/// Checks that `there` has all of `wanted`: content, targets, modes, times and hard links.
pub(crate) fn holds(there: &Tree, wanted: &Tree) -> Result<(), String> {
    let mut inodes = BTreeMap::new();
    for (path, node) in wanted {
        let Some(found) = there.get(path) else {
            return Err(format!("{path} is missing"));
        };
        if found.what != node.what {
            let (found, wanted) = (&found.what, &node.what);
            return Err(format!("{path} is {found:?}, not {wanted:?}"));
        }
        if !node.cannot_be_flushed() && (found.mode, found.mtime_ns) != (node.mode, node.mtime_ns) {
            return Err(format!(
                "{path} has mode {:o} and time {}, not {:o} and {}",
                found.mode, found.mtime_ns, node.mode, node.mtime_ns
            ));
        }
        if !node.cannot_be_flushed() && found.xattrs != node.xattrs {
            let (found, wanted) = (&found.xattrs, &node.xattrs);
            return Err(format!("{path} has {found:?}, not {wanted:?}"));
        }
        if !node.is_dir() && *inodes.entry(node.ino).or_insert(found.ino) != found.ino {
            return Err(format!("{path} is no longer a hard link"));
        }
    }
    let files = inodes.len();
    let apart: BTreeSet<_> = inodes.into_values().collect();
    match apart.len() == files {
        true => Ok(()),
        false => Err("files are hard links of each other that should not be".into()),
    }
}

/// Checks that each entry is, as a whole, what one of `allowed` has there, and that all that
/// `kept` has is still there in some form.
pub(crate) fn is_whole(there: &Tree, allowed: &[&Tree], kept: &Tree) -> Result<(), String> {
    for (path, node) in there {
        let mut allowed = allowed.iter().filter_map(|tree| tree.get(path));
        if !allowed.any(|allowed| allowed.what == node.what) {
            let found = &node.what;
            return Err(format!(
                "{path} is {found:?}, neither whole old nor whole new"
            ));
        }
    }
    match kept.keys().find(|path| !there.contains_key(path)) {
        Some(lost) => Err(format!("{lost} was there before and is lost")),
        None => Ok(()),
    }
}
