//! Why one entry failed while the run goes on.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use super::ranges::in_words;
use super::{PathError, Reason, Unread};
use crate::exit::Exit;
use crate::limits::Unsupported;
use crate::path::{Printable, PrintableText};

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
        "cannot read {unread} of {}: {}; it was not copied, and a rerun tries again",
        Printable(path),
        Reason(source)
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
        "{} changed while it was read, {tries} times over, or does not end where its size says; it was not copied. Rerun when nothing writes to it",
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
    /// The directory can hold no more names.
    #[error("{0}: there is room on the destination, but the directory can hold no more names")]
    DirFull(#[source] PathError),
    /// A file that only Windows can read, which shows as a symlink.
    #[error(
        "{} is a link or file of Windows that cannot be read here ({}); it was not copied. Copy it with Windows",
        Printable(path),
        PrintableText(tag)
    )]
    WindowsOnly {
        /// The source path.
        path: PathBuf,
        /// What the driver says of it.
        tag: String,
    },
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
    /// It would go where the state of the destination is.
    #[error(
        "{} was not copied: `.sprag` at the top of a destination is where sprag keeps its state. Rename it, or copy it into a directory of its own",
        Printable(.0)
    )]
    Reserved(PathBuf),
    /// The destination of a directory is a source.
    #[error(
        "{} was not copied: {} is {}, shown at another place. Nothing in it was changed",
        Printable(path),
        Printable(dest),
        if *same { "the same directory" } else { "itself a source" }
    )]
    OntoSource {
        /// The source path.
        path: PathBuf,
        /// The destination path.
        dest: PathBuf,
        /// It is the very directory that was to be copied.
        same: bool,
    },
    /// A source and its copy are one file.
    #[error(
        "{} was not removed: it and its copy are one file, which has two names or is shown at two places",
        Printable(.0)
    )]
    OneFile(PathBuf),
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
        in_words(ranges)
    )]
    NotReadBack {
        /// The destination path.
        path: PathBuf,
        /// The bytes that differ, in whole blocks.
        ranges: Vec<Range<u64>>,
    },
    /// A copy cannot be read back, for another reason than a bad medium.
    #[error("{0}; so its copy is not verified, and a rerun tries again")]
    NotVerified(#[source] PathError),
    /// Whether the source still has an entry cannot be told.
    #[error("{0}; so nothing is known of what has to be deleted there, and it was kept")]
    Undecided(#[source] PathError),
    /// A directory of the source is not the one that was walked, so nothing more is deleted.
    #[error(
        "{} is not what it was when it was walked: a file system was mounted or unmounted there, or another directory took its place. Nothing more was deleted; rerun when all of the source is there",
        Printable(.0)
    )]
    SourceMoved(PathBuf),
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
        in_words(ranges)
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
            EntryError::DirFull(_) => "dir_full",
            EntryError::WindowsOnly { .. } => "windows_only",
            EntryError::Conflict { .. } => "conflict",
            EntryError::Special { .. } => "special",
            EntryError::Clash { .. } => "clash",
            EntryError::Path { .. } => "path",
            EntryError::Reserved(_) => "reserved",
            EntryError::OntoSource { .. } => "onto_source",
            EntryError::OneFile(_) => "one_file",
            EntryError::SourceKept(_) => "source_kept",
            EntryError::ChangedSince(_) => "changed_since",
            EntryError::NotReadBack { .. } => "not_read_back",
            EntryError::NotVerified(_) => "not_verified",
            EntryError::Undecided(_) => "undecided",
            EntryError::SourceMoved(_) => "source_moved",
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
