//! What keeps a run from starting: wrong options, and sources and destinations that cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use super::{PathError, Reason};
use crate::block::{BlockSize, BlockSizeError};
use crate::path::{Printable, RelPath};
use crate::size::Size;

/// Wrong options.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// No source was given.
    #[error("a copy needs a SOURCE and a DEST: say what to copy, then where to")]
    NoSource,
    /// What was given as a checksum list has not one line that can be used.
    #[error(
        "{} is no checksum list that can be used. Of line {line}: {why}",
        Printable(path)
    )]
    NotAList {
        /// What was given.
        path: PathBuf,
        /// The number of its first line that is not empty.
        line: u64,
        /// Why that cannot be used.
        why: String,
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
        "{} was begun with a block size of {}, not {}: leave --block-size out, or begin again with --restart",
        Printable(dest), Size(have.bytes()), Size(asked.bytes())
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
    #[error("cannot use source {}: {}", Printable(path), Reason(source))]
    Source {
        /// The source as it was given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A checksum list cannot be read.
    #[error(
        "cannot read the list {}: {}; nothing was verified",
        Printable(path),
        Reason(source)
    )]
    List {
        /// The list as it was given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A checksum list names nothing that is to be checked.
    #[error(
        "{} lists nothing that is to be verified: is it the right list, and did the program before the pipe write it? Nothing was verified",
        Printable(path)
    )]
    NothingListed {
        /// The list as it was given.
        path: PathBuf,
    },
    /// Rules, or an empty list, leave nothing to copy.
    #[error(
        "nothing is left to copy: the rules (--exclude, --max-size and the like) or the list (--files-from) leave out everything in the sources. Nothing was copied; `sprag copy -n -v` names what is left out"
    )]
    NothingSelected,
    /// Nothing is recorded yet.
    #[error(
        "nothing is recorded in {}: no file was copied there yet. Nothing was verified",
        Printable(dest)
    )]
    NothingToVerify {
        /// The destination.
        dest: PathBuf,
    },
    /// A path that is to be verified covers nothing that is recorded.
    #[error(
        "{} is not recorded in {}, nor is anything below it{}. Nothing was verified",
        Printable(path),
        Printable(of),
        match nearest {
            Some(nearest) => format!("; the nearest name that is recorded is {nearest}"),
            None => String::new(),
        }
    )]
    NotRecorded {
        /// The path, relative to the destination.
        path: Box<Path>,
        /// The destination or the list that was asked.
        of: Box<Path>,
        /// A name that looks like it.
        nearest: Option<Box<RelPath>>,
    },
    /// Nothing of a source to compare with, or to repair from, is recorded.
    #[error(
        "nothing of source {} is recorded in {}, neither under its name nor as its contents: is it what was copied there, and is its drive mounted? Nothing was done",
        Printable(path),
        Printable(dest)
    )]
    SourceNotRecorded {
        /// The source as it was given.
        path: PathBuf,
        /// The destination.
        dest: PathBuf,
    },
    /// Nothing that was verified comes from the sources that it was to be compared with.
    #[error(
        "nothing was compared with source {}: nothing that was verified was copied from there",
        Printable(path)
    )]
    NothingCompared {
        /// The first of the sources, as it was given.
        path: PathBuf,
    },
    /// The user's rules leave out everything.
    #[error(
        "--exclude, --include and --exclude-from leave out everything that was to be verified of {}. Nothing was verified",
        Printable(of)
    )]
    NothingLeft {
        /// The destination, or the list of what was to be verified.
        of: Box<Path>,
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
    /// The destination is a source.
    #[error(
        "destination {} and source {} are the same directory: choose a destination elsewhere",
        Printable(dest),
        Printable(source_path)
    )]
    DestIsSource {
        /// The destination.
        dest: PathBuf,
        /// The source.
        source_path: PathBuf,
    },
    /// The destination is what sprag itself keeps beside a copy.
    #[error(
        "destination {} is in the state that sprag keeps of the copies in {}: choose a destination elsewhere",
        Printable(dest),
        Printable(of)
    )]
    DestInState {
        /// The destination.
        dest: PathBuf,
        /// The destination whose state it is.
        of: PathBuf,
    },
    /// A source would be copied onto itself.
    #[error(
        "source {} would be copied onto itself, as destination {} holds it under that name: choose a destination elsewhere",
        Printable(source_path),
        Printable(dest)
    )]
    OntoItself {
        /// The destination.
        dest: PathBuf,
        /// The source inside it.
        source_path: PathBuf,
    },
    /// A destination would be compared with itself.
    #[error(
        "source {} and destination {} are one directory, or one is inside the other: nothing is proved by comparing them",
        Printable(source_path),
        Printable(dest)
    )]
    ComparedWithItself {
        /// The destination.
        dest: PathBuf,
        /// The source.
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
    #[error("cannot use destination {}: {}", Printable(path), Reason(source))]
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
    /// A source or the destination is below a mount point at which nothing is mounted.
    #[error(
        "{} is below {}, which /etc/fstab lists and where nothing is mounted: mount the drive, or use --no-mount-check",
        Printable(path),
        Printable(point)
    )]
    NotMounted {
        /// The source or the destination.
        path: PathBuf,
        /// The mount point.
        point: PathBuf,
    },
    /// A source that was copied from before is empty.
    #[error(
        "source {} is empty, and the last run copied from it: mount its drive, or, if all of it was removed, use --no-mount-check",
        Printable(path)
    )]
    SourceEmptied {
        /// The source.
        path: PathBuf,
    },
    /// A source is on another file system than it was, and lacks most of what was copied from it.
    #[error(
        "source {} is on another file system ({}) than when the last run copied from it ({}), and lacks {lacks} of {of} entries: they would be deleted from the copy. Mount the right drive, or use --no-mount-check",
        Printable(path),
        file_systems[1],
        file_systems[0]
    )]
    SourceReplaced {
        /// The source.
        path: PathBuf,
        /// The file system that it was on, and the one that it is on: UUIDs or types.
        file_systems: Box<[String; 2]>,
        /// How many entries it lacks.
        lacks: u64,
        /// How many entries of it are recorded.
        of: u64,
    },
    /// A source or the destination is in a directory for drives, and on the system disk.
    #[error(
        "{} is in {}, where drives are mounted, but it is on the system disk: mount the drive, or use --no-mount-check",
        Printable(path),
        Printable(dir)
    )]
    NoDrive {
        /// The source or the destination.
        path: PathBuf,
        /// The directory for drives.
        dir: PathBuf,
    },
    /// The manifest that was named, kept elsewhere than in its destination, is none.
    #[error("cannot use manifest {}: {}", Printable(path), Reason(source))]
    Manifest {
        /// The manifest as it was given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no manifest where one has to be.
    #[error("{}", without_manifest(path, above.as_deref()))]
    NoManifest {
        /// The destination.
        path: PathBuf,
        /// The directory above it that holds one.
        above: Option<PathBuf>,
    },
}

fn without_manifest(path: &Path, above: Option<&Path>) -> String {
    let path = Printable(path);
    match above.map(Printable) {
        Some(above) => format!(
            "{path} holds no sprag manifest, but {above}, which it is in, does: name that (`sprag verify {above} PATH` verifies a part of it)"
        ),
        None => format!(
            "{path} holds no sprag manifest: nothing was copied there by sprag, or its drive is not mounted"
        ),
    }
}
