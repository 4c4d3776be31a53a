//! What a manifest can say. The order of variants and fields is format version 1: see
//! `docs/FORMAT.md` and the golden bytes in `tests/data/` before changing anything here.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::at_most::at_most;
use super::ctimes::Ctimes;
use super::dest_meta::DestMeta;
use super::verified::{Finding, Verified, VerifyBegin, VerifyEnd};
use crate::fs::Special;
use crate::hash::Hash32;
use crate::path::RelPath;

/// One record, the payload of one frame. What it says of a path holds that as a `P`, which may borrow it
/// from the frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Record<P = RelPath> {
    /// A run of `copy` began.
    RunBegin(RunBegin),
    /// It ended, in good order.
    RunEnd(RunEnd),
    /// A directory is there.
    Dir(DirRecord<P>),
    /// A symlink is there, or still under its partial name.
    Symlink(SymlinkRecord<P>),
    /// A file of more than one block was begun under a partial name.
    Begin(Begin<P>),
    /// More of its blocks were written.
    Blocks(Blocks),
    /// Its blocks from some index on turned out not to be there and were cut off.
    Cut(Cut),
    /// A file is there, or still under its partial name.
    Done(Done<P>),
    /// A hard link is wanted; it is made when the run has everything else.
    LinkWanted(Link<P>),
    /// A hard link is there.
    Link(Link<P>),
    /// The manifest no longer speaks for this path.
    Removed(P),
    /// Everything said before the position `covers` is durable.
    Barrier {
        /// A position in this file, in bytes.
        covers: u64,
    },
    /// Which of the files that are done are still to be read back.
    ReadBack {
        /// Those that are recorded from here on; otherwise none any more.
        due: bool,
    },
    /// A verification began.
    VerifyBegin(VerifyBegin),
    /// More was checked, and is as recorded.
    Verified(Verified),
    /// A verification found something wrong.
    Finding(Finding),
    /// It came to its end.
    VerifyEnd(VerifyEnd),
    /// A fifo, socket or device node is there, or still under its partial name.
    Special(SpecialRecord<P>),
    /// The run writes to one more file system without a journal.
    Mounted(Mounted),
}

/// What identifies one version of a source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceId {
    pub(crate) size: u64,
    pub(crate) mtime_ns: i128,
    pub(crate) ctime_ns: i128,
    pub(crate) ino: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DirRecord<P = RelPath> {
    pub(crate) path: P,
    /// The source's access time in ns, when it was walked.
    pub(crate) atime_ns: i128,
    /// The source's modification time in ns.
    pub(crate) mtime_ns: i128,
    pub(crate) dest: DestMeta,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SymlinkRecord<P = RelPath> {
    pub(crate) path: P,
    #[serde(with = "serde_bytes")]
    pub(crate) target: Vec<u8>,
    /// The source's modification time in ns.
    pub(crate) mtime_ns: i128,
    pub(crate) dest: DestMeta,
    /// Which of the partial names of `path` it was made under.
    pub(crate) attempt: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SpecialRecord<P = RelPath> {
    pub(crate) path: P,
    pub(crate) what: Special,
    /// The source's modification time in ns.
    pub(crate) mtime_ns: i128,
    pub(crate) dest: DestMeta,
    /// Which of the partial names of `path` it was made under.
    pub(crate) attempt: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begin<P = RelPath> {
    pub(crate) path: P,
    pub(crate) source: SourceId,
    /// Which of the partial names of `path` it is written under.
    pub(crate) attempt: u8,
    /// Nothing is written: the file that stands there is compared with the source.
    pub(crate) adopts: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Blocks {
    /// Position of this file's `Begin`.
    pub(crate) begin: u64,
    /// Position of this file's record before this one.
    pub(crate) prev: u64,
    /// Index of the first block.
    pub(crate) first: u64,
    #[serde(with = "super::hashes")]
    pub(crate) hashes: Vec<Hash32>,
}

impl Blocks {
    /// The most hashes that one record holds.
    pub(crate) const HASHES_MAX: usize = 1024;
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cut {
    /// Position of this file's `Begin`.
    pub(crate) begin: u64,
    /// Position of this file's record before this one.
    pub(crate) prev: u64,
    /// How many blocks are kept.
    pub(crate) keep: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Done<P = RelPath> {
    pub(crate) path: P,
    pub(crate) size: u64,
    /// The source's modification time in ns.
    pub(crate) mtime_ns: i128,
    pub(crate) dest: DestMeta,
    /// The BLAKE3 hash of the whole file.
    #[serde(with = "serde_bytes")]
    pub(crate) hash: Hash32,
    /// Which of the partial names of `path` it was written under; `None` if it was adopted.
    pub(crate) attempt: Option<u8>,
    /// Position of the last `Blocks` or `Cut` of a file of several blocks; 0 for a single block.
    pub(crate) chain: u64,
    /// Change times by which a later run need not list attributes; `None`: it has to.
    pub(crate) ctimes: Option<Ctimes>,
    /// The source was changed so shortly before it was read, by the clock of its file system, that
    /// a later change may show the same time: the next run compares the content.
    pub(crate) unsettled: bool,
}

impl<P> Done<P> {
    /// The modification time in ns that the destination is known to show.
    pub(crate) fn dest_mtime_ns(&self) -> i128 {
        self.dest.mtime_ns(self.mtime_ns)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link<P = RelPath> {
    pub(crate) path: P,
    /// The path, in this destination, of the name it shares its inode with.
    pub(crate) to: P,
}

/// The limits of its lists keep it below the limit of a frame, whatever the paths are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunBegin {
    /// Milliseconds since the Unix epoch.
    pub(crate) started_ms: u64,
    /// The first of the sources.
    #[serde(deserialize_with = "at_most::<{ RunBegin::SOURCES_MAX }, _, _>")]
    pub(crate) sources: Vec<RunSource>,
    /// Sources of earlier runs that are none of this one, those of the newest first.
    #[serde(deserialize_with = "at_most::<{ RunBegin::EARLIER_MAX }, _, _>")]
    pub(crate) earlier: Vec<RunSource>,
    /// The options, as words of a command line; none if they are too many to be kept.
    #[serde(deserialize_with = "at_most::<{ RunBegin::OPTIONS_MAX }, _, _>")]
    pub(crate) options: Vec<ByteBuf>,
    /// The file systems without a journal that recovery may write to. They are in this record
    /// because they must not be lost without it: a RunBegin ends what the run before noted.
    #[serde(deserialize_with = "at_most::<{ Mounted::KEPT_MAX }, _, _>")]
    pub(crate) mounts: Vec<Mounted>,
}

/// A source of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunSource {
    /// As an absolute path, with a slash at its end if its contents are meant.
    pub(crate) path: ByteBuf,
    /// Its file system: the UUID or else the type; empty if neither is known.
    pub(crate) file_system: ByteBuf,
}

impl RunBegin {
    /// The most sources that are kept.
    pub(crate) const SOURCES_MAX: usize = 100;
    /// The most sources of earlier runs that are kept.
    pub(crate) const EARLIER_MAX: usize = 50;
    /// The most options that are kept.
    pub(crate) const OPTIONS_MAX: usize = 100;
    /// The most bytes of options that are kept.
    pub(crate) const OPTIONS_BYTES_MAX: usize = 64 << 10;
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunEnd {
    /// Milliseconds since the Unix epoch.
    pub(crate) ended_ms: u64,
    pub(crate) exit_code: u8,
    pub(crate) files_copied: u64,
    pub(crate) files_failed: u64,
    pub(crate) bytes_copied: u64,
    /// The first of the failures, with their reasons.
    #[serde(deserialize_with = "at_most::<{ RunEnd::FAILURES_MAX }, _, _>")]
    pub(crate) failures: Vec<(RelPath, String)>,
}

impl RunEnd {
    /// The most failures that are kept.
    pub(crate) const FAILURES_MAX: usize = 100;
    /// The longest reason that is kept, in bytes.
    pub(crate) const REASON_BYTES_MAX: usize = 512;
}

/// A file system without a journal that a run writes to. The same boot and the same mount on the
/// next run mean that nothing was lost in between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mounted {
    /// Where in the destination it is mounted; the root path: the destination lies on it.
    pub(crate) path: RelPath,
    /// The boot id of the system at that time; zeros: unknown.
    #[serde(with = "serde_bytes")]
    pub(crate) boot: [u8; 16],
    /// The identity of the mount at that time; 0: unknown.
    pub(crate) mount: u64,
    /// Power was lost on it, and nobody said since that it was checked.
    pub(crate) unchecked: bool,
}

impl Mounted {
    /// The most that are kept of one run.
    pub(crate) const KEPT_MAX: usize = 80;

    /// Whether both were noted of the same mount.
    pub(crate) fn is_same_mount(&self, other: &Mounted) -> bool {
        (self.boot, self.mount) == (other.boot, other.mount) && self.path == other.path
    }
}

/// Whether an encoded record seems to be about a path, going by where it stands in those that are: they
/// begin with their variant, the length of the path and the path.
pub(super) fn seems_about(payload: &[u8], path: &[u8]) -> bool {
    // A byte, or more where one does not hold it.
    const LENGTH_IN_ONE_MAX: usize = 250;
    let before = match path.len() {
        0..=LENGTH_IN_ONE_MAX => 2,
        _ => 4,
    };
    payload
        .get(before..)
        .is_some_and(|rest| rest.starts_with(path))
}

impl Record {
    /// Moves the positions that lead from it to other records of a file in progress or done.
    pub(super) fn move_by(&mut self, base: u64) {
        let positions = match self {
            Record::Blocks(blocks) => [&mut blocks.begin, &mut blocks.prev],
            Record::Cut(cut) => [&mut cut.begin, &mut cut.prev],
            Record::Done(done) if done.chain != 0 => {
                done.chain = done.chain.saturating_add(base);
                return;
            }
            _ => return,
        };
        for position in positions {
            *position = position.saturating_add(base);
        }
    }

    /// Whether it says something of an entry, and not only of runs and barriers.
    pub(crate) fn says_something(&self) -> bool {
        self.path().is_some() || matches!(self, Record::Blocks(_) | Record::Cut(_))
    }

    /// The path it is about, if it is about one and says which.
    pub(crate) fn path(&self) -> Option<&RelPath> {
        match self {
            Record::Dir(dir) => Some(&dir.path),
            Record::Symlink(link) => Some(&link.path),
            Record::Special(special) => Some(&special.path),
            Record::Begin(begin) => Some(&begin.path),
            Record::Done(done) => Some(&done.path),
            Record::LinkWanted(link) | Record::Link(link) => Some(&link.path),
            Record::Removed(path) => Some(path),
            Record::RunBegin(_)
            | Record::RunEnd(_)
            | Record::Blocks(_)
            | Record::Cut(_)
            | Record::Barrier { .. }
            | Record::ReadBack { .. }
            | Record::VerifyBegin(_)
            | Record::Verified(_)
            | Record::Finding(_)
            | Record::VerifyEnd(_)
            | Record::Mounted(_) => None,
        }
    }
}
