//! The recording of a run: every mutation and every flush, in the order in which they happened.

use std::borrow::Borrow;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sprag::fs::{Meta, Special, Xattrs};

use super::disk::{Disk, Ino, mount_of};
use super::replay::Replay;

/// The unit that a device writes as a whole.
pub(crate) const SECTOR: u64 = 512;

/// Shared bytes: names, link targets and the data of writes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "serde_bytes::ByteBuf", into = "serde_bytes::ByteBuf")]
pub(crate) struct Bytes(Arc<[u8]>);

/// What a new inode is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Born {
    File { mode: u32 },
    Dir,
    Symlink(Bytes),
    Special(Special),
}

/// [`Meta`] in a form that can be stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MetaChange {
    mode: Option<u32>,
    owner: Option<(u32, u32)>,
    times_ns: Option<(i128, i128)>,
    acls: Option<Attrs>,
    xattrs: Option<Attrs>,
}

/// Extended attributes in a form that can be stored.
pub(crate) type Attrs = Vec<(Bytes, Bytes)>;

/// One mutation. A directory is made by `Create` and goes by `Remove`, as a file does. The data of
/// a `Write` is all of the sectors it touches, up to the end of the file: a device cannot keep one
/// half of a sector, nor a later write to it without the earlier ones.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Op {
    Create {
        dir: Ino,
        name: Bytes,
        ino: Ino,
        born: Born,
        time: i128,
    },
    Link {
        dir: Ino,
        name: Bytes,
        ino: Ino,
        time: i128,
    },
    /// Durable with the directory that it is renamed from: a kindness, of which no run makes use where
    /// that is not the one it is renamed to.
    Rename {
        dir: Ino,
        from: Bytes,
        to_dir: Ino,
        to: Bytes,
        ino: Ino,
        time: i128,
    },
    Remove {
        dir: Ino,
        name: Bytes,
        time: i128,
    },
    Write {
        ino: Ino,
        offset: u64,
        data: Bytes,
        time: i128,
    },
    SetLen {
        ino: Ino,
        len: u64,
        time: i128,
    },
    SetMeta {
        ino: Ino,
        meta: MetaChange,
        time: i128,
    },
    /// A cluster of a file was put where another file lies.
    Take {
        ino: Ino,
        cluster: u64,
        cell: u64,
    },
    /// What a write to another file, which lies in the same space, did to this one.
    Stray {
        ino: Ino,
        offset: u64,
        data: Bytes,
    },
}

/// What a flush covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Flush {
    /// One inode's content and metadata, not its name.
    File(Ino),
    /// The names in one directory, and its metadata.
    Dir(Ino),
    /// Everything on one of the file systems.
    Mount(u16),
    /// Everything.
    All,
}

/// One line of the recording.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Event {
    Op(Op),
    /// A flush began. A position of its own, so that a cut can fall right before and after it.
    FlushBegan(Flush),
    /// A flush came to its end: what it covers and was logged before `began` is durable.
    Flushed {
        what: Flush,
        began: usize,
    },
    /// A flush failed, and the system took these writes, by their positions, for done though they
    /// were not: nothing will ever write them.
    FlushFailed {
        forgotten: Vec<usize>,
    },
    /// Something the outside world was told, as "the run is done".
    Mark(String),
}

/// How a file system behaves where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Traits {
    /// What the engine is told: see `Fs::lacks_journal`.
    pub(crate) lacks_journal: bool,
    /// Nothing keeps a file and its allocation together: see [`super::space`].
    pub(crate) loses_allocations: bool,
    /// `sync_all` hands everything to the device, which is not told to empty its cache: that takes a
    /// flush of a file or directory. So it is on exFAT (`exfat_sync_fs` in `fs/exfat/super.c`) and FAT
    /// (which has no `sync_fs` at all): `fsync` is what calls `blkdev_issue_flush` there
    /// (`exfat_file_fsync`, `fat_file_fsync`).
    pub(crate) sync_all_hands_over: bool,
    /// What the engine is told (see `Fs::renames_want_flush`), and true: a rename enters the new name with no size and no place, and fills them in with the inode: see
    /// `vfat_rename` in `fs/fat/namei_vfat.c`, and note (b) on the fault lab in docs/DURABILITY.md.
    pub(crate) enters_empty_names: bool,
}

/// A recording: the disk it began with, and what happened then.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Log {
    pub(crate) base: Disk,
    pub(crate) traits: Traits,
    /// How the file system that is mounted below behaves, if one is.
    pub(crate) below: Option<Traits>,
    pub(crate) events: Vec<Event>,
}

impl Op {
    /// The directory whose names it changes.
    pub(crate) fn dir(&self) -> Option<Ino> {
        match self {
            Op::Create { dir, .. }
            | Op::Link { dir, .. }
            | Op::Rename { dir, .. }
            | Op::Remove { dir, .. } => Some(*dir),
            Op::Write { .. }
            | Op::SetLen { .. }
            | Op::SetMeta { .. }
            | Op::Take { .. }
            | Op::Stray { .. } => None,
        }
    }

    /// The file system that it changes.
    pub(crate) fn mount(&self) -> u16 {
        self.dir().or(self.inode()).map_or(0, mount_of)
    }

    /// The inode whose content or metadata it changes.
    pub(crate) fn inode(&self) -> Option<Ino> {
        match self {
            Op::Write { ino, .. }
            | Op::SetLen { ino, .. }
            | Op::SetMeta { ino, .. }
            | Op::Take { ino, .. }
            | Op::Stray { ino, .. } => Some(*ino),
            _ => None,
        }
    }
}

impl Traits {
    /// A journaled file system, as ext4, XFS and btrfs.
    pub(crate) const JOURNALED: Traits = Traits {
        lacks_journal: false,
        loses_allocations: false,
        sync_all_hands_over: false,
        enters_empty_names: false,
    };
    /// FAT, exFAT and ext4 without a journal.
    pub(crate) const LOOSE: Traits = Traits {
        loses_allocations: true,
        ..Traits::FAT
    };
    /// FAT, by all that it does to names and flushes.
    pub(crate) const FAT: Traits = Traits {
        lacks_journal: true,
        loses_allocations: false,
        sync_all_hands_over: true,
        enters_empty_names: true,
    };
}

impl Flush {
    pub(crate) fn covers(self, op: &Op) -> bool {
        match self {
            Flush::File(ino) => op.inode() == Some(ino),
            Flush::Dir(dir) => op.dir() == Some(dir) || op.inode() == Some(dir),
            Flush::Mount(mount) => op.mount() == mount,
            Flush::All => true,
        }
    }

    /// Whether it is a flush of the device that this operation went to.
    pub(crate) fn is_of_device(self, op: &Op) -> bool {
        match self {
            Flush::File(ino) | Flush::Dir(ino) => op.mount() == mount_of(ino),
            Flush::Mount(_) | Flush::All => self.covers(op),
        }
    }
}

impl Log {
    /// Where the first flush begins behind so many bytes of writes.
    pub(crate) fn flush_behind(&self, bytes: u64) -> Option<usize> {
        let mut written = 0;
        self.events.iter().position(|event| {
            if let Event::Op(Op::Write { data, .. }) = event {
                written += data.len() as u64;
            }
            written >= bytes && matches!(event, Event::FlushBegan(_))
        })
    }

    /// Where the outside world was told something.
    pub(crate) fn mark(&self, what: &str) -> Option<usize> {
        let is_it = |event: &Event| matches!(event, Event::Mark(mark) if *mark == what);
        self.events.iter().position(is_it)
    }

    pub(crate) fn new(base: Disk, traits: Traits) -> Log {
        Log {
            base,
            traits,
            below: None,
            events: Vec::new(),
        }
    }

    /// How one of the file systems behaves.
    pub(crate) fn traits_of(&self, mount: u16) -> Traits {
        match (mount, self.below) {
            (1, Some(below)) => below,
            _ => self.traits,
        }
    }

    /// Whether such a flush has the device empty its cache.
    pub(crate) fn empties_cache(&self, flush: Flush) -> bool {
        match flush {
            Flush::File(_) | Flush::Dir(_) => true,
            Flush::Mount(mount) => !self.traits_of(mount).sync_all_hands_over,
            Flush::All => !self.traits.sync_all_hands_over,
        }
    }

    /// The operation at a position, if there is one there.
    pub(crate) fn op(&self, at: usize) -> Option<&Op> {
        match self.events.get(at)? {
            Event::Op(op) => Some(op),
            _ => None,
        }
    }

    /// Whether something that a flush which began then has to write was forgotten meanwhile.
    pub(crate) fn forgot_since(&self, began: usize, what: Flush) -> bool {
        self.events[began..].iter().any(|event| match event {
            Event::FlushFailed { forgotten } => forgotten
                .iter()
                .filter(|at| **at < began)
                .any(|at| self.op(*at).is_some_and(|op| what.covers(op))),
            _ => false,
        })
    }

    /// Behind which event the device's flush of this number came to its end.
    pub(crate) fn cut_after(&self, flush: usize) -> usize {
        let mut replay = Replay::new(self, None);
        while replay.flushes() <= flush && replay.step() {}
        replay.cut()
    }

    /// How many flushes of the device came to their end.
    pub(crate) fn flushes(&self) -> usize {
        let flushed = |event: &&Event| match event {
            Event::Flushed { what, .. } => self.empties_cache(*what),
            _ => false,
        };
        self.events.iter().filter(flushed).count()
    }

    /// Stores the recording, so that a seed means the same states next time: a run of several
    /// threads never records the same twice.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        let config = bincode::config::standard();
        let bytes = bincode::serde::encode_to_vec(self, config).map_err(io::Error::other)?;
        std::fs::write(path, bytes)
    }

    /// Reads a stored recording back.
    pub(crate) fn load(path: &Path) -> io::Result<Log> {
        let bytes = std::fs::read(path)?;
        let config = bincode::config::standard();
        let decoded = bincode::serde::decode_from_slice(&bytes, config);
        decoded.map(|(log, _)| log).map_err(io::Error::other)
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Bytes {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Bytes {
        Bytes(bytes.into())
    }
}

impl From<serde_bytes::ByteBuf> for Bytes {
    fn from(bytes: serde_bytes::ByteBuf) -> Bytes {
        Bytes(bytes.into_vec().into())
    }
}

impl From<Bytes> for serde_bytes::ByteBuf {
    fn from(bytes: Bytes) -> serde_bytes::ByteBuf {
        serde_bytes::ByteBuf::from(bytes.to_vec())
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.0[..self.0.len().min(40)];
        write!(f, "{} bytes \"{}\"", self.0.len(), shown.escape_ascii())
    }
}

impl From<&Meta> for MetaChange {
    fn from(meta: &Meta) -> MetaChange {
        MetaChange {
            mode: meta.mode,
            owner: meta.owner,
            times_ns: meta.times_ns,
            acls: meta.acls.as_ref().map(attrs_of),
            xattrs: meta.xattrs.as_ref().map(attrs_of),
        }
    }
}

/// Attributes in the form that is stored.
pub(crate) fn attrs_of(xattrs: &Xattrs) -> Attrs {
    let stored = |(name, value): (&[u8], &[u8])| (name.into(), value.into());
    xattrs.iter().map(stored).collect()
}

/// Stored attributes as the engine knows them.
pub(crate) fn xattrs_of(attrs: &Attrs) -> Xattrs {
    let known = attrs.iter();
    Xattrs::new(known.map(|(name, value)| (name.to_vec(), value.to_vec())))
}

impl From<MetaChange> for Meta {
    fn from(change: MetaChange) -> Meta {
        Meta {
            mode: change.mode,
            owner: change.owner,
            times_ns: change.times_ns,
            acls: change.acls.as_ref().map(xattrs_of),
            xattrs: change.xattrs.as_ref().map(xattrs_of),
        }
    }
}
