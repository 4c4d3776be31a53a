//! What is on a simulated disk: inodes and names, and what each recorded change does to them.
//!
//! Changes fall into independent places: each name in a directory, each inode's content, each
//! inode's metadata. Changes to different places commute, so that any subset of them, applied in
//! their order, is a disk that can be.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sprag::fs::{Kind, Meta, Special, Stat, Xattrs};
use sprag::path::RelPath;

use super::Entry;
use super::content::Content;
use super::log::{Attrs, Born, Bytes, Op, attrs_of, xattrs_of};
use super::space::Space;

/// An inode number.
pub(crate) type Ino = u64;
/// The root directory's.
pub(crate) const ROOT: Ino = 1;

/// Where a second file system is mounted, if one is.
pub(crate) const MOUNTED: &[u8] = b"m";
/// The inode number of its root directory; all of its others are above, and those of the first below.
const BELOW: Ino = 1 << 32;

/// Which file system an inode is on: 0 for the one at the top, 1 for the one that is mounted below.
pub(crate) fn mount_of(ino: Ino) -> u16 {
    u16::from(ino >= BELOW)
}

/// What an inode is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Node {
    File(Content),
    Dir(BTreeMap<Bytes, Ino>),
    Symlink(Bytes),
    Special(Special),
}

/// An inode. Times are in ns.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Inode {
    pub(crate) node: Node,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) atime_ns: i128,
    pub(crate) mtime_ns: i128,
    pub(crate) ctime_ns: i128,
    pub(crate) acls: Attrs,
    pub(crate) xattrs: Attrs,
    /// How many names it has.
    pub(crate) names: u64,
}

impl Inode {
    fn new(node: Node, mode: u32, time_ns: i128) -> Inode {
        Inode {
            node,
            mode,
            owner: (0, 0),
            atime_ns: time_ns,
            mtime_ns: time_ns,
            ctime_ns: time_ns,
            acls: Attrs::new(),
            xattrs: Attrs::new(),
            names: 0,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.node {
            Node::File(_) => Kind::File,
            Node::Dir(_) => Kind::Dir,
            Node::Symlink(_) => Kind::Symlink,
            Node::Special(what) => Kind::Special(what),
        }
    }

    /// ACLs and all other extended attributes.
    pub(crate) fn all_xattrs(&self) -> Xattrs {
        let both = [&self.acls, &self.xattrs].into_iter().flatten();
        xattrs_of(&both.cloned().collect())
    }

    pub(crate) fn stat(&self, ino: Ino) -> Stat {
        let size = match &self.node {
            Node::File(content) => content.len(),
            Node::Dir(_) => 4096,
            Node::Symlink(target) => target.len() as u64,
            Node::Special(_) => 0,
        };
        Stat {
            kind: self.kind(),
            size,
            allocated: size,
            mtime_ns: self.mtime_ns,
            atime_ns: self.atime_ns,
            ctime_ns: self.ctime_ns,
            mode: self.mode,
            uid: self.owner.0,
            gid: self.owner.1,
            dev: 0x51d + u64::from(mount_of(ino)),
            ino,
            nlink: self.names,
        }
    }
}

/// A whole disk. A clone shares everything until it is changed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub(crate) struct Disk {
    inodes: BTreeMap<Ino, Arc<Inode>>,
    pub(super) space: Space,
}

/// A disk in the form that is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    inodes: Vec<(Ino, Inode)>,
    space: Space,
}

impl Disk {
    /// An empty root directory.
    pub(crate) fn new(time_ns: i128) -> Disk {
        let root = Inode::new(Node::Dir(BTreeMap::new()), 0o755, time_ns);
        Disk {
            inodes: BTreeMap::from([(ROOT, Arc::new(root))]),
            space: Space::default(),
        }
    }

    /// Has a second, empty file system mounted below, unless one is.
    pub(crate) fn mount_below(&mut self) {
        if self.get(BELOW).is_some() {
            return;
        }
        let time = self.latest_ns();
        let root = Inode::new(Node::Dir(BTreeMap::new()), 0o755, time);
        self.inodes.insert(BELOW, Arc::new(root));
        self.put(ROOT, &MOUNTED.into(), Some(BELOW), time);
    }

    /// An inode number that was never used on one of the file systems.
    pub(crate) fn unused_ino(&self, mount: u16) -> Ino {
        let (mut used, root) = match mount {
            0 => (self.inodes.range(..BELOW), ROOT),
            _ => (self.inodes.range(BELOW..), BELOW),
        };
        used.next_back().map_or(root, |(ino, _)| *ino) + 1
    }

    /// The latest change time: a clock that goes on from here goes on after it.
    pub(crate) fn latest_ns(&self) -> i128 {
        let times = self.inodes.values().map(|inode| inode.ctime_ns);
        times.max().unwrap_or(0)
    }

    pub(crate) fn get(&self, ino: Ino) -> Option<&Inode> {
        self.inodes.get(&ino).map(Arc::as_ref)
    }

    fn get_mut(&mut self, ino: Ino) -> Option<&mut Inode> {
        self.inodes.get_mut(&ino).map(Arc::make_mut)
    }

    /// The names in a directory, if it is one.
    pub(crate) fn names(&self, dir: Ino) -> Option<&BTreeMap<Bytes, Ino>> {
        match &self.get(dir)?.node {
            Node::Dir(names) => Some(names),
            _ => None,
        }
    }

    /// What a name stands for.
    pub(crate) fn lookup(&self, dir: Ino, name: &[u8]) -> Option<Ino> {
        self.names(dir)?.get(name).copied()
    }

    /// All files.
    pub(super) fn files(&self) -> Vec<Ino> {
        let is_file = |(ino, inode): (&Ino, &Arc<Inode>)| match inode.node {
            Node::File(_) => Some(*ino),
            _ => None,
        };
        self.inodes.iter().filter_map(is_file).collect()
    }

    /// A file's content.
    pub(crate) fn content(&self, ino: Ino) -> Option<&Content> {
        match &self.get(ino)?.node {
            Node::File(content) => Some(content),
            _ => None,
        }
    }

    /// Visits everything that can be reached from the root, the root first.
    pub(crate) fn walk(&self, mut visit: impl FnMut(RelPath, Entry, Stat)) {
        let mut todo = vec![(RelPath::root(), ROOT)];
        while let Some((path, ino)) = todo.pop() {
            let Some(inode) = self.get(ino) else {
                continue;
            };
            let entry = match &inode.node {
                Node::File(content) => Entry::File(content.clone()),
                Node::Symlink(target) => Entry::Symlink(target.to_vec()),
                Node::Special(what) => Entry::Special(*what),
                Node::Dir(names) => {
                    for (name, ino) in names {
                        let below = path.join(name).expect("a name that was accepted");
                        todo.push((below, *ino));
                    }
                    Entry::Dir
                }
            };
            visit(path, entry, inode.stat(ino));
        }
    }

    /// Reads what the file that was removed last, of those that were so long, had in a place.
    pub(super) fn read_removed(&self, buf: &mut [u8], offset: u64) {
        let removed = self.inodes.values().rev().filter(|inode| inode.names == 0);
        let mut contents = removed.filter_map(|inode| match &inode.node {
            Node::File(content) if content.len() > offset => Some(content),
            _ => None,
        });
        if let Some(content) = contents.next() {
            content.read_at(buf, offset);
        }
    }

    fn content_mut(&mut self, ino: Ino) -> Option<&mut Content> {
        match &mut self.get_mut(ino)?.node {
            Node::File(content) => Some(content),
            _ => None,
        }
    }

    /// Makes the inode that an operation creates, still without a name. Whether it is ever seen is
    /// a matter of the names that survive.
    pub(crate) fn bear(&mut self, op: &Op) {
        if let Op::Create {
            ino, born, time, ..
        } = op
        {
            let (node, mode) = match born {
                Born::File { mode } => (Node::File(Content::default()), *mode),
                Born::Dir => (Node::Dir(BTreeMap::new()), 0o700),
                Born::Symlink(target) => (Node::Symlink(target.clone()), 0o777),
                Born::Special(what) => (Node::Special(*what), 0o600),
            };
            let inode = Inode::new(node, mode, *time);
            self.inodes.entry(*ino).or_insert(Arc::new(inode));
        }
    }

    /// Does all of what an operation does.
    pub(crate) fn apply(&mut self, op: &Op) {
        match op {
            Op::Create {
                dir,
                name,
                ino,
                time,
                ..
            }
            | Op::Link {
                dir,
                name,
                ino,
                time,
            } => {
                self.bear(op);
                self.put(*dir, name, Some(*ino), *time);
            }
            Op::Rename {
                dir,
                from,
                to_dir,
                to,
                ino,
                time,
            } => {
                // In this order, so that it is never without a name.
                self.put(*to_dir, to, Some(*ino), *time);
                self.put(*dir, from, None, *time);
            }
            Op::Remove { dir, name, time } => self.put(*dir, name, None, *time),
            Op::Write {
                ino,
                offset,
                data,
                time,
            } => self.write(*ino, data, *offset, *time),
            Op::SetLen { ino, len, time } => {
                if let Some(content) = self.content_mut(*ino) {
                    content.set_len(*len);
                    self.space.cut(*ino, *len);
                }
                self.touch(*ino, *time);
            }
            Op::SetMeta { ino, meta, time } => self.set_meta(*ino, &meta.clone().into(), *time),
            Op::Take {
                ino, cluster, cell, ..
            } => self.space.take((*ino, *cluster), *cell),
            Op::Stray {
                ino, offset, data, ..
            } => self.stray(*ino, data, *offset),
        }
    }

    /// Writes data as an operation at `time` does.
    pub(crate) fn write(&mut self, ino: Ino, data: &[u8], offset: u64, time: i128) {
        if let Some(content) = self.content_mut(ino) {
            content.write_at(data, offset);
        }
        self.touch(ino, time);
    }

    /// Changes what a file shows, as writing to another one does that lies in the same space: neither
    /// its length nor its times tell.
    pub(crate) fn stray(&mut self, ino: Ino, data: &[u8], offset: u64) {
        if let Some(content) = self.content_mut(ino) {
            let shown = content.len().saturating_sub(offset).min(data.len() as u64);
            content.write_at(&data[..shown as usize], offset);
        }
    }

    /// Makes a name stand for an inode, or for nothing. Names of directories that are not there
    /// are nowhere to be seen and so do not matter.
    pub(crate) fn put(&mut self, dir: Ino, name: &Bytes, ino: Option<Ino>, time: i128) {
        let Some(Inode {
            node: Node::Dir(names),
            ..
        }) = self.get_mut(dir)
        else {
            return;
        };
        let before = match ino {
            Some(ino) => names.insert(name.clone(), ino),
            None => names.remove(name),
        };
        self.touch(dir, time);
        for (ino, added) in [(before, false), (ino, true)] {
            let Some(ino) = ino else { continue };
            let Some(inode) = self.get_mut(ino) else {
                continue;
            };
            inode.names = if added {
                inode.names + 1
            } else {
                inode.names - 1
            };
            inode.ctime_ns = inode.ctime_ns.max(time);
            if !added && inode.names == 0 {
                self.space.cut(ino, 0);
            }
        }
    }

    fn set_meta(&mut self, ino: Ino, meta: &Meta, time: i128) {
        if let Some(inode) = self.get_mut(ino) {
            inode.mode = meta.mode.unwrap_or(inode.mode);
            inode.owner = meta.owner.unwrap_or(inode.owner);
            if let Some((atime_ns, mtime_ns)) = meta.times_ns {
                (inode.atime_ns, inode.mtime_ns) = (atime_ns, mtime_ns);
            }
            for (there, wanted) in [
                (&mut inode.acls, &meta.acls),
                (&mut inode.xattrs, &meta.xattrs),
            ] {
                if let Some(wanted) = wanted {
                    *there = attrs_of(wanted);
                }
            }
            inode.ctime_ns = inode.ctime_ns.max(time);
        }
    }

    fn touch(&mut self, ino: Ino, time: i128) {
        if let Some(inode) = self.get_mut(ino) {
            inode.mtime_ns = time;
            inode.ctime_ns = inode.ctime_ns.max(time);
        }
    }
}

impl From<Disk> for Stored {
    fn from(disk: Disk) -> Stored {
        let inodes = disk.inodes.into_iter();
        Stored {
            inodes: inodes
                .map(|(ino, inode)| (ino, Arc::unwrap_or_clone(inode)))
                .collect(),
            space: disk.space,
        }
    }
}

impl From<Stored> for Disk {
    fn from(stored: Stored) -> Disk {
        let inodes = stored.inodes.into_iter();
        Disk {
            inodes: inodes.map(|(ino, inode)| (ino, Arc::new(inode))).collect(),
            space: stored.space,
        }
    }
}
