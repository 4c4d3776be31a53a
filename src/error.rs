//! The errors: one small enum a family, each with the path it is about and its cause.
//!
//! [`Error`] ends a run and knows its exit code. [`EntryError`] fails one entry while the run goes
//! on. Every text says what happened, to which path, why, and, where there is one, what to do now.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::block::{BlockSize, BlockSizeError};
use crate::exit::Exit;
use crate::limits::Unsupported;
use crate::path::Printable;

mod refusal;

pub use refusal::{Refusal, RefusedGroup, Shortage};

/// An I/O error with what was being done, and to which path.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", Printable(path))]
pub struct PathError {
    /// What was tried, as it reads after "cannot": "open", "write to".
    pub action: &'static str,
    /// The path it was tried on.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl PathError {
    /// An error of `action` on `path`.
    pub fn new(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> PathError {
        PathError {
            action,
            path: path.into(),
            source,
        }
    }
}

/// Adds the action and the path to an I/O result.
pub trait PathContext<T> {
    /// On an error, says that `action` failed on `path`.
    fn at(self, action: &'static str, path: &Path) -> Result<T, PathError>;
}

impl<T> PathContext<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, PathError> {
        self.map_err(|source| PathError::new(action, path, source))
    }
}

/// What ends a run, or keeps it from starting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options contradict each other or the destination's state.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// A source or the destination cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// An I/O error after which nothing more can be made durable.
    #[error(
        "{0}\nThe run ended here; what was durable before is kept. Rerun the same command to go on once the cause is mended."
    )]
    Io(#[from] PathError),
    /// The destination has no room left.
    #[error(
        "{0}\nThe destination is full; progress is saved. Free some space and rerun the same command to go on."
    )]
    Full(#[source] PathError),
    /// The device that a source is on is gone.
    #[error(
        "{0}\nThe device of this source is gone; progress is saved at the destination. Plug it in, mount it and rerun the same command to go on."
    )]
    SourceGone(#[source] PathError),
    /// The device below the destination is gone.
    #[error(
        "{0}\nThe device is gone; progress is saved on it. Plug it in, mount it and rerun the same command to go on."
    )]
    DeviceGone(#[source] PathError),
    /// The destination can never hold everything that was asked for.
    #[error(transparent)]
    Refused(Box<Refusal>),
}

impl Error {
    /// The exit code this error ends the program with.
    pub fn exit(&self) -> Exit {
        match self {
            Error::Usage(_) => Exit::Usage,
            Error::Setup(_) => Exit::Unusable,
            Error::Manifest(error) => error.exit(),
            Error::Io(_) | Error::Full(_) => Exit::Io,
            Error::DeviceGone(_) | Error::SourceGone(_) => Exit::DeviceGone,
            Error::Refused(_) => Exit::Refused,
        }
    }
}

/// Wrong options.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// No source was given.
    #[error("no source was given: say what to copy, then where to")]
    NoSource,
    /// What was given as a checksum list has not one line of one.
    #[error(
        "{} is no checksum list: none of its lines has a hash and a name as b3sum and sha256sum write them",
        Printable(path)
    )]
    NotAList {
        /// What was given.
        path: PathBuf,
    },
    /// The block size is not one.
    #[error(transparent)]
    BlockSize(#[from] BlockSizeError),
    /// A file that an option names cannot be read.
    #[error("{0}; nothing was copied")]
    Unreadable(#[source] PathError),
    /// A pattern is not one.
    #[error(transparent)]
    Filter(#[from] crate::filter::FilterError),
    /// The list of files has a path that is none.
    #[error(transparent)]
    FileList(#[from] crate::file_list::FileListError),
    /// A list of files goes with a single directory.
    #[error("--files-from names files of one source: give one directory, not {given} sources")]
    FilesFromSources {
        /// How many sources were given.
        given: usize,
    },
    /// What a list leaves out would be deleted.
    #[error(
        "--delete does not go with --files-from: what the list does not name would be deleted. Choose with --include and --exclude instead"
    )]
    DeleteWithList,
    /// What one run moved, the next would delete.
    #[error(
        "--delete does not go with --remove-source-files: what one run removes from the source, the next would delete at the destination"
    )]
    DeleteWithRemove,
    /// The block size differs from the one the destination was begun with.
    #[error(
        "{} was begun with a block size of {} bytes, not {}: leave --block-size out, or begin again with --restart",
        Printable(dest), have.bytes(), asked.bytes()
    )]
    OtherBlockSize {
        /// The destination.
        dest: PathBuf,
        /// The block size in its manifest.
        have: BlockSize,
        /// The block size that was asked for.
        asked: BlockSize,
    },
}

/// A source or destination that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A source is missing or cannot be looked at.
    #[error("cannot use source {}: {source}", Printable(path))]
    Source {
        /// The source as it was given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The source has no name to give to its copy.
    #[error(
        "source {} has no name to copy it under: end it with / to copy its contents",
        Printable(path)
    )]
    SourceName {
        /// The source as it was given.
        path: PathBuf,
    },
    /// The destination lies inside a source.
    #[error(
        "destination {} is inside source {}: the copy would copy itself; choose a destination elsewhere",
        Printable(dest),
        Printable(source_path)
    )]
    DestInsideSource {
        /// The destination.
        dest: PathBuf,
        /// The source that contains it.
        source_path: PathBuf,
    },
    /// A source would be copied onto itself or onto one of its parents' names.
    #[error(
        "source {} is inside destination {}, or would be copied onto itself: choose a destination that does not hold it",
        Printable(source_path),
        Printable(dest)
    )]
    SourceInsideDest {
        /// The destination.
        dest: PathBuf,
        /// The source inside it.
        source_path: PathBuf,
    },
    /// The destination is not a directory where it has to be one.
    #[error(
        "destination {} is not a directory: name a directory, new or existing",
        Printable(path)
    )]
    DestNotDir {
        /// The destination.
        path: PathBuf,
    },
    /// The destination is a directory where a single file was meant to go, or cannot be opened.
    #[error("cannot use destination {}: {source}", Printable(path))]
    Dest {
        /// The destination.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory above a new destination is missing.
    #[error(
        "destination {} cannot be made, because {} does not exist: is the drive mounted? If it is, make that directory first",
        Printable(path),
        Printable(parent)
    )]
    DestParentMissing {
        /// The destination.
        path: PathBuf,
        /// The missing directory.
        parent: PathBuf,
    },
    /// A bag cannot be made there.
    #[error("cannot make a bag in {}: {why}", Printable(path))]
    Bag {
        /// Where it was to be made.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// A destination held a manifest in an earlier run and holds none now.
    #[error(
        "{} held a copy made by sprag, and holds none now: the drive is not mounted, or its state was removed; `--new` begins afresh",
        Printable(path)
    )]
    ManifestLost {
        /// The destination.
        path: PathBuf,
    },
    /// The destination is below a mount point at which nothing is mounted.
    #[error(
        "{} is below {}, which /etc/fstab lists and where nothing is mounted: mount the drive, or use --no-mount-check",
        Printable(dest),
        Printable(point)
    )]
    NotMounted {
        /// The destination.
        dest: PathBuf,
        /// The mount point.
        point: PathBuf,
    },
    /// There is no manifest where one has to be.
    #[error(
        "{} holds no sprag manifest: nothing was copied there by sprag, or its drive is not mounted",
        Printable(path)
    )]
    NoManifest {
        /// The destination.
        path: PathBuf,
    },
}

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Another process holds the lock.
    #[error(
        "{} is in use by {holder}: wait until it ends, or stop it",
        Printable(path)
    )]
    Locked {
        /// The manifest.
        path: PathBuf,
        /// Who holds it, in words.
        holder: String,
    },
    /// Written by a newer sprag.
    #[error(
        "{} has format version {version}, and this sprag knows only up to {known}: nothing was touched; use a newer sprag",
        Printable(path)
    )]
    Newer {
        /// The manifest.
        path: PathBuf,
        /// The version in its header.
        version: u32,
        /// The newest version that is understood.
        known: u32,
    },
    /// Damaged in a way that a crash does not explain.
    #[error(
        "{} is damaged at byte {offset}: {what}. It is kept as it is; `sprag copy --restart` sets it aside, begins a new one and takes over the files that are whole",
        Printable(path)
    )]
    Damaged {
        /// The manifest.
        path: PathBuf,
        /// Where the damage begins, in bytes.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// It is damaged, and its copy was used.
    #[error(
        "{damage}\nIts copy, .sprag/manifest.bak, was used in its place. What was copied after that was written counts as modified or extra; the next `sprag copy` puts the copy in place of the manifest and takes over what is whole"
    )]
    CopyUsed {
        /// What is wrong with the manifest.
        damage: String,
    },
    /// It could not be read or written.
    #[error(transparent)]
    Io(#[from] PathError),
}

impl ManifestError {
    /// The exit code this error ends the program with.
    pub fn exit(&self) -> Exit {
        match self {
            ManifestError::Locked { .. } => Exit::Locked,
            ManifestError::Newer { .. } => Exit::Unusable,
            ManifestError::Damaged { .. } | ManifestError::CopyUsed { .. } => Exit::BadManifest,
            ManifestError::Io(_) => Exit::Io,
        }
    }
}

/// The bytes of a file that could not be read, as ranges in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unread {
    /// What was tried and could not be read; neighbours are joined.
    pub ranges: Vec<Range<u64>>,
    /// What was not tried any more, after too many failures.
    pub not_tried: Option<Range<u64>>,
}

impl Unread {
    /// So many ranges are spelled out in words.
    const IN_WORDS: usize = 5;

    /// Adds a range behind all others.
    pub(crate) fn add(&mut self, range: Range<u64>) {
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.ranges.push(range),
        }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes ")?;
        for (nth, range) in self.ranges.iter().take(Self::IN_WORDS).enumerate() {
            let comma = if nth > 0 { ", " } else { "" };
            write!(f, "{comma}{}..{}", range.start, range.end)?;
        }
        if let Some(more) = self.ranges.len().checked_sub(Self::IN_WORDS + 1) {
            write!(f, " and {} more ranges", more + 1)?;
        }
        match &self.not_tried {
            Some(rest) => write!(f, " (and {}..{} was not tried)", rest.start, rest.end),
            None => Ok(()),
        }
    }
}

/// Why one entry failed while the run went on.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// The source entry cannot be read.
    #[error("{0}; it was not copied")]
    Unreadable(#[source] PathError),
    /// `--files-from` names it, and it is not in the source.
    #[error(
        "{} does not exist, but the list of files names it; it was not copied",
        Printable(.0)
    )]
    NotThere(PathBuf),
    /// Some bytes of the source file cannot be read.
    #[error(
        "cannot read {unread} of {}: {source}; it was not copied, and a rerun tries again",
        Printable(path)
    )]
    BadRanges {
        /// The source file.
        path: PathBuf,
        /// Which bytes.
        unread: Unread,
        /// What the system said.
        source: io::Error,
    },
    /// The source entry was there when it was listed and then was not.
    #[error("{} vanished before it could be read", Printable(.0))]
    Vanished(PathBuf),
    /// The source file changed each time it was read.
    #[error(
        "{} changed while it was read, {tries} times over; it was not copied. Rerun when nothing writes to it",
        Printable(path)
    )]
    Changing {
        /// The source file.
        path: PathBuf,
        /// How often it was read.
        tries: u32,
    },
    /// The source file is another than the one that was listed.
    #[error(
        "{} was replaced by another file after it was listed; it was not copied. Rerun to copy what is there now",
        Printable(.0)
    )]
    Replaced(PathBuf),
    /// The destination refused this entry.
    #[error("{0}")]
    Dest(#[source] PathError),
    /// Something of another kind stands where the entry must go.
    #[error(
        "{} is {found}, where {wanted} must go: move it away and rerun; sprag never deletes one to place the other",
        Printable(path)
    )]
    Conflict {
        /// The destination path.
        path: PathBuf,
        /// What is there.
        found: &'static str,
        /// What should be.
        wanted: &'static str,
    },
    /// A device node, and the user may not make one.
    #[error("{} is a {what}, which only root can make", Printable(path))]
    Special {
        /// The source path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// An earlier source of the same run has an entry of the same destination path.
    #[error(
        "{} has the same destination as {}, which was copied; copy them into different directories",
        Printable(path),
        Printable(earlier)
    )]
    Clash {
        /// The source path that was left out.
        path: PathBuf,
        /// The source path that was copied.
        earlier: PathBuf,
    },
    /// The source was copied and could not be removed.
    #[error("{0}; its copy is whole, and the source stays")]
    SourceKept(#[source] PathError),
    /// The source is not, or may not be, what was copied.
    #[error(
        "{} is not what was copied any more, so it was not removed; rerun to copy it again",
        Printable(.0)
    )]
    ChangedSince(PathBuf),
    /// A copy does not read back, so its source stays.
    #[error(
        "{} does not read back as it was written ({}), so its source was not removed; rerun to copy it again",
        Printable(path),
        ranges_text(ranges)
    )]
    NotReadBack {
        /// The destination path.
        path: PathBuf,
        /// The bytes that differ, in whole blocks.
        ranges: Vec<Range<u64>>,
    },
    /// Whether the source still has an entry cannot be told.
    #[error("{0}; so nothing is known of what has to be deleted there, and it was kept")]
    Undecided(#[source] PathError),
    /// Somebody changed it since it was copied.
    #[error(
        "{} was changed since it was copied, and is left alone; a rerun of the copy brings back what was copied",
        Printable(.0)
    )]
    Modified(PathBuf),
    /// A source that is not what was copied any more.
    #[error(
        "{} cannot be repaired from {}: that is not what was copied, it was edited since or is damaged itself. Nothing was changed",
        Printable(path),
        Printable(from)
    )]
    SourceEdited {
        /// The destination path.
        path: PathBuf,
        /// The source.
        from: PathBuf,
    },
    /// No source has it.
    #[error("{} cannot be repaired: it is in none of the sources", Printable(.0))]
    NoSource(PathBuf),
    /// The source rotted, by its own manifest.
    #[error(
        "{} is damaged at its source: its size and time are as {} recorded them, its content is not; it was {}. `sprag verify` there tells more",
        Printable(path),
        Printable(root),
        if *accepted { "copied all the same" } else { "not copied (--accept-source-rot copies it all the same)" }
    )]
    SourceCorrupt {
        /// The source file.
        path: PathBuf,
        /// The directory whose manifest knows it.
        root: PathBuf,
        /// It was copied all the same.
        accepted: bool,
    },
    /// What was written does not read back.
    #[error(
        "{} does not read back as it was written: the interruption damaged the file system. Unmount it, check it with its own tool (fsck.exfat, fsck.vfat, chkdsk), mount it and rerun",
        Printable(.0)
    )]
    ReadBack(PathBuf),
    /// What was written does not read back, however often it is written.
    #[error(
        "{} does not read back as it was written, though it was copied again {tries} times: {} differ. The medium is bad there: copy to another one",
        Printable(path),
        ranges_text(ranges)
    )]
    BadMedium {
        /// The destination path.
        path: PathBuf,
        /// The bytes that differ, in whole blocks.
        ranges: Vec<Range<u64>>,
        /// How often it was copied again.
        tries: u32,
    },
    /// The path is one that a destination cannot have.
    #[error("{}: {reason}", Printable(path))]
    Path {
        /// The source path.
        path: PathBuf,
        /// What is wrong with it.
        reason: crate::path::RelPathError,
    },
    /// The destination's file system cannot hold it.
    #[error("{} was left out: {why}", Printable(path))]
    Unsupported {
        /// The source path.
        path: PathBuf,
        /// Why.
        why: Unsupported,
    },
    /// Something stands there under a name that the file system takes for the same.
    #[error(
        "{} was not copied: {} stands there, and the file system takes both names for one. Rename one of them",
        Printable(path),
        Printable(there)
    )]
    SameName {
        /// The destination path.
        path: PathBuf,
        /// What stands there.
        there: PathBuf,
    },
    /// The first name of a hard-linked file failed, so there is nothing to link to.
    #[error("{} is a hard link to {to}, which failed", Printable(path))]
    LinkTarget {
        /// The source path.
        path: PathBuf,
        /// The destination path it should have been linked to.
        to: crate::path::RelPath,
    },
}

impl EntryError {
    /// The word for this problem in `--json`.
    pub fn kind(&self) -> &'static str {
        match self {
            EntryError::NotThere(_) => "not_there",
            EntryError::Unreadable(_) | EntryError::BadRanges { .. } => "unreadable",
            EntryError::Vanished(_) => "vanished",
            EntryError::Changing { .. } => "changing",
            EntryError::Replaced(_) => "replaced",
            EntryError::Dest(_) => "destination",
            EntryError::Conflict { .. } => "conflict",
            EntryError::Special { .. } => "special",
            EntryError::Clash { .. } => "clash",
            EntryError::Path { .. } => "path",
            EntryError::SourceKept(_) => "source_kept",
            EntryError::ChangedSince(_) => "changed_since",
            EntryError::NotReadBack { .. } => "not_read_back",
            EntryError::Undecided(_) => "undecided",
            EntryError::Modified(_) => "modified",
            EntryError::SourceEdited { .. } => "source_edited",
            EntryError::NoSource(_) => "no_source",
            EntryError::SourceCorrupt { .. } => "source_corrupt",
            EntryError::ReadBack(_) => "read_back",
            EntryError::BadMedium { .. } => "bad_medium",
            EntryError::LinkTarget { .. } => "link",
            EntryError::Unsupported { .. } => "unsupported",
            EntryError::SameName { .. } => "same_name",
        }
    }

    /// The exit code of a run in which nothing worse happened.
    pub fn exit(&self) -> Exit {
        match self {
            EntryError::Vanished(_) | EntryError::Replaced(_) | EntryError::Changing { .. } => {
                Exit::Vanished
            }
            _ => Exit::Partial,
        }
    }
}

/// `bytes 0..65536, 131072..196608 and 2 more ranges`: ends exclusive, as in `--json`.
fn ranges_text(ranges: &[Range<u64>]) -> String {
    const SPELLED_OUT: usize = 5;
    let shown = ranges.iter().take(SPELLED_OUT);
    let shown: Vec<String> = shown
        .map(|range| format!("{}..{}", range.start, range.end))
        .collect();
    match ranges.len().saturating_sub(SPELLED_OUT) {
        0 => format!("bytes {}", shown.join(", ")),
        more => format!("bytes {} and {more} more ranges", shown.join(", ")),
    }
}
