//! What the stages of a copy hand to each other: work downwards, messages to the committer.

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::writes::Writes;
use crate::error::{EntryError, Error};
use crate::event::{Counted, Outcome, Retry};
use crate::fs::{FileId, Fs, Kind, Special, Stat};
use crate::hash::Hash32;
use crate::manifest::{Begin, Ctimes, DestMeta, Done, Mounted, Partial, Record, SourceId};
use crate::path::RelPath;

/// One entry for a worker.
pub(super) struct Work<F: Fs> {
    pub(super) path: RelPath,
    pub(super) source: PathBuf,
    /// The source as the walk saw it.
    pub(super) stat: Stat,
    /// What stands there.
    pub(super) there: Option<Stat>,
    /// The open parent directory at the destination.
    pub(super) dir: Arc<F::Dir>,
    pub(super) task: Task,
}

/// What a worker does with it. Small, as what the committer is told.
pub(super) enum Task {
    /// Copy the file from the beginning.
    Copy,
    /// Go on with its partial.
    Resume(Box<Partial>),
    /// Compare with what is there; copy if it differs.
    Adopt,
    /// The same with a file that the manifest knows.
    Check(Box<Done>),
    /// Look at the file, and mend what is bad of it.
    Repair(Box<Done>),
    /// Make the symlink under its partial name.
    Symlink(Vec<u8>),
    /// Make the special file under its partial name.
    Special(Special),
    /// See whether its metadata is as it shall be, its content being as this record says.
    Compare(Box<Record>),
    /// Set its metadata, its content being as this record says.
    Mend(Box<Record>),
}

/// What the committer is told. Small, since most of it is about entries of which there is nothing to
/// tell; what is large is boxed.
pub(super) enum Message<F: Fs> {
    /// An entry is in its end state, and nothing is to be recorded.
    Settled {
        path: RelPath,
        outcome: Outcome,
        what: Settled,
    },
    /// So many regular files are unchanged, of which nobody wants to hear one by one.
    Unchanged { files: u64, bytes: u64 },
    /// A directory is there. Its metadata is set at the end of the run.
    Dir {
        path: RelPath,
        stat: Box<Stat>,
        /// What it shall show in the end.
        dest: Box<DestMeta>,
        /// Which directory it is at the destination.
        id: Option<FileId>,
        mend: bool,
        outcome: Outcome,
    },
    /// A further name of a file that was met before is to be linked at the end of the run.
    Link { path: RelPath, to: RelPath },
    /// What was begun of a file is gone and will not be gone on with. Whoever will use its partial's
    /// name again is told when that is durable.
    Forget {
        path: RelPath,
        durable: Option<Sender<()>>,
    },
    /// A file system without a journal is about to be written to. The sender is told when this is durably
    /// noted.
    Mounted {
        mounted: Box<Mounted>,
        durable: Sender<()>,
    },
    /// A partial is to be gone on with from another source, which has its first `keep` blocks, too. The
    /// sender is told when that is durable: until then the records of the other blocks may be believed.
    Rebegin {
        partial: Box<Partial>,
        source: SourceId,
        keep: u64,
        durable: Sender<()>,
    },
    /// An entry failed.
    Failed {
        path: RelPath,
        /// `None`: it could not be looked at.
        kind: Option<Kind>,
        error: EntryError,
    },
    /// Worker `worker` begins a file of several blocks.
    Begin {
        worker: usize,
        begin: Begin,
        file: Option<Arc<F::File>>,
        writes: Writes,
    },
    /// Worker `worker` goes on with a partial.
    Resumed {
        worker: usize,
        partial: Partial,
        bytes: u64,
        file: Arc<F::File>,
        writes: Writes,
    },
    /// It wrote (or, when adopting, compared) the next block.
    Block {
        worker: usize,
        hash: Hash32,
        bytes: u64,
    },
    /// It leaves the file unfinished.
    Left { worker: usize, leaving: Leaving },
    /// A file or symlink is complete under its partial name, or adopted under its final one.
    Complete {
        /// The worker, if the file was begun with `Begin`.
        worker: Option<usize>,
        completed: Box<Completed<F>>,
    },
    /// A call failed and will be made again.
    Retry(Retry),
    /// A file is unchanged, and its source has settled since it was recorded.
    Confirmed(Box<Done>),
    /// Metadata was set right; this is what is to be recorded now.
    Mended { path: RelPath, record: Box<Record> },
    /// The planner begins; it may have waited for the counting walk.
    Planning,
    /// Something that the user should know, once.
    Warning(String),
    /// The counting walk's totals.
    Counted(Counted),
    /// Something happened after which nothing more can be made durable.
    Fatal(Error),
}

/// What becomes of the records of a file that is left unfinished.
pub(super) enum Leaving {
    /// They stay true.
    Keep,
    /// A write failed, which may tell of earlier ones of the same file: only what was flushed before
    /// stays.
    CutBack,
    /// They are to be forgotten. Whoever will use the partial's name again is told when that is
    /// durable.
    Forget(Option<Sender<()>>),
}

/// What was settled without work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    File {
        bytes: u64,
    },
    Symlink,
    Special,
    /// A rule of the user's leaves alone what exists; `bytes` need no copying.
    LeftAlone {
        kind: Kind,
        bytes: u64,
    },
    /// A rule of the user's left it out.
    LeftOut(Kind),
}

/// A file or symlink whose content is all there.
pub(super) struct Completed<F: Fs> {
    pub(super) path: RelPath,
    /// The source's modification time in ns.
    pub(super) mtime_ns: i128,
    pub(super) dest: DestMeta,
    /// Which of the partial names it has; `None` if it was adopted.
    pub(super) attempt: Option<u8>,
    pub(super) content: Content,
    /// The open file, if it is still to be flushed by itself.
    pub(super) file: Option<Arc<F::File>>,
}

pub(super) enum Content {
    File {
        size: u64,
        hash: Hash32,
        /// Its blocks were reported one by one.
        blocks: bool,
        /// The source's, and those of what was adopted; what gets its name later does not know its own yet.
        ctimes: Option<Ctimes>,
        /// The source had not settled: the next run compares it.
        unsettled: bool,
    },
    /// A file whose blocks stay recorded as they are.
    Repaired {
        size: u64,
        hash: Hash32,
        /// Position of the last record of its blocks; 0 for a single block.
        chain: u64,
        /// Bytes that came from the source.
        taken: u64,
        /// As it was recorded when the file was copied.
        unsettled: bool,
    },
    Symlink {
        target: Vec<u8>,
    },
    Special(Special),
}

impl<F: Fs> Completed<F> {
    /// Bytes of its content, if it is a regular file.
    pub(super) fn size(&self) -> u64 {
        match self.content {
            Content::File { size, .. } | Content::Repaired { size, .. } => size,
            Content::Symlink { .. } | Content::Special(_) => 0,
        }
    }

    /// What it is.
    pub(super) fn kind(&self) -> Kind {
        match self.content {
            Content::File { .. } | Content::Repaired { .. } => Kind::File,
            Content::Symlink { .. } => Kind::Symlink,
            Content::Special(what) => Kind::Special(what),
        }
    }

    /// Bytes that were reported with the completion and not block by block before.
    pub(super) fn bytes_now(&self) -> u64 {
        match self.content {
            Content::File {
                size,
                blocks: false,
                ..
            } => size,
            Content::Repaired { taken, .. } => taken,
            _ => 0,
        }
    }
}
