//! What a run is asked to do: validated values, no strings to parse. Plain types, no I/O.

use std::ffi::OsString;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::block::BlockSize;
use crate::filter::Filter;
use crate::fs::Place;
use crate::id::ManifestId;
use crate::path::RelPath;
use crate::selection::{Delete, Existing, Selection};

/// What to copy, where to, and how.
#[derive(Debug, Clone)]
pub struct CopyOptions {
    /// What to copy. A source that ends in `/` (or is `.`, `..` or ends in `/.`) means its
    /// contents, as with rsync; any other is copied under its own name.
    pub sources: Vec<PathBuf>,
    /// Where to: a directory (made if its parent exists), or, for a single regular file, possibly
    /// the name of the new file.
    pub dest: PathBuf,
    /// How many files are worked on at a time; `None` lets the run choose, which
    /// [`Concurrency`](crate::event::Concurrency) tells.
    pub jobs: Option<NonZeroUsize>,
    /// The block size of a new destination; `None` is 1 MiB, or what the destination has.
    pub block_size: Option<BlockSize>,
    /// A barrier is due when this many bytes wait to become durable.
    pub checkpoint_bytes: u64,
    /// A barrier is due when something has waited this long to become durable.
    pub checkpoint_interval: Duration,
    /// Forget all progress and begin again.
    pub restart: bool,
    /// Refuse a destination without a manifest.
    pub require_manifest: bool,
    /// Copy whatever has become of a source since the last run copied from it: it may be empty, or lack most
    /// of that and be on another file system.
    pub any_source: bool,
    /// Believe the state of the destination, whoever it belongs to.
    pub trust_state: bool,
    /// What the destination is known to have held before. If it holds no manifest now, it is refused, or
    /// waited for; unless it is where it was, and only what it held is gone.
    pub known: Vec<Known>,
    /// Wait for a drive that is gone instead of ending the run.
    pub wait: Option<Wait>,
    /// How often a call that failed with an error that may pass is made again.
    pub retries: u32,
    /// Read every copied file back from the medium, and copy again what is not as it was written.
    pub verify: bool,
    /// No more bytes a second than this are read and written; a byte that is copied counts once.
    pub bytes_per_s: Option<NonZeroU64>,
    /// Copy files all the same that rotted at a source which has a manifest of its own.
    pub accept_source_rot: bool,
    /// Run the counting walk beside the copy on a rerun, too, for totals. A first copy always
    /// begins with it, to refuse what the destination can never hold.
    pub count: bool,
    /// Tell by an event of each entry that is unchanged. Otherwise they are counted and not named,
    /// which takes less time where there are many.
    pub tell_unchanged: bool,
    /// Leave out, and report, what the destination can never hold, instead of refusing to copy.
    pub skip_unsupported: bool,
    /// Give copies the owner and group of their source. Needs root.
    pub owner: bool,
    /// Which entries of the sources are copied.
    pub selection: Selection,
    /// What becomes of files that exist at the destination.
    pub existing: Existing,
    /// Remove each source file and symlink whose copy is durable and reads back as its source is.
    pub remove_source_files: bool,
    /// Only tell what would be done, and touch nothing.
    pub dry_run: bool,
    /// What a command line has to say to give the same options, for [`status`](crate::status) to suggest. More
    /// than 100 words, or 64 KiB, are not kept.
    pub words: Vec<OsString>,
    /// Delete what the sources do not have, once all that they have is durable.
    pub delete: Option<Delete>,
    /// Give copies the permissions and ACLs of their source. Otherwise a new one gets what the
    /// umask leaves of its source's permissions, and one that replaces another keeps that one's.
    pub perms: bool,
    /// Give copies the times of their source.
    pub times: bool,
    /// Give copies the extended attributes of their source.
    pub xattrs: bool,
    /// Turn runs of zeros into holes. Those of the source are kept in any case.
    pub sparse: bool,
    /// Make names of one file at the source names of one file at the destination.
    pub hard_links: bool,
}

impl CopyOptions {
    /// Barriers come at least this often unless told otherwise: 5 s.
    pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);
    /// Barriers come after this many bytes unless told otherwise: 128 MiB.
    pub const CHECKPOINT_BYTES: u64 = 128 << 20;

    /// A call that failed with an error that may pass is made again so often unless told
    /// otherwise: 3 times.
    pub const RETRIES: u32 = 3;

    /// The defaults: everything is preserved that this process may preserve.
    pub fn new(
        sources: impl IntoIterator<Item = impl Into<PathBuf>>,
        dest: impl Into<PathBuf>,
    ) -> Self {
        CopyOptions {
            sources: sources.into_iter().map(Into::into).collect(),
            dest: dest.into(),
            jobs: None,
            block_size: None,
            checkpoint_bytes: Self::CHECKPOINT_BYTES,
            checkpoint_interval: Self::CHECKPOINT_INTERVAL,
            restart: false,
            require_manifest: false,
            any_source: false,
            trust_state: false,
            known: Vec::new(),
            wait: None,
            retries: Self::RETRIES,
            verify: false,
            accept_source_rot: false,
            bytes_per_s: None,
            count: false,
            tell_unchanged: true,
            skip_unsupported: false,
            owner: crate::fs::is_root(),
            selection: Selection::default(),
            existing: Existing::default(),
            remove_source_files: false,
            dry_run: false,
            words: Vec::new(),
            delete: None,
            perms: true,
            times: true,
            xattrs: true,
            sparse: false,
            hard_links: true,
        }
    }
}

/// What to repair, and from what.
#[derive(Debug, Clone)]
pub struct RepairOptions {
    /// The destination: the directory that holds `.sprag`.
    pub dest: PathBuf,
    /// What it was copied from, or anything of the same form: as the sources of a copy.
    pub from: Vec<PathBuf>,
    /// Believe the state of the destination, whoever it belongs to.
    pub trust_state: bool,
    /// Only these paths; empty means all that is recorded.
    pub paths: Vec<RelPath>,
    /// How many files are worked on at a time; `None` lets the run choose, which
    /// [`Concurrency`](crate::event::Concurrency) tells.
    pub jobs: Option<NonZeroUsize>,
    /// At most so many bytes are read a second; `None`: as many as can be.
    pub bytes_per_s: Option<NonZeroU64>,
}

/// What is known of a destination from an earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The id of its manifest.
    pub id: ManifestId,
    /// Where it was.
    pub place: Place,
}

/// How long a drive that is gone is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Until it is back.
    Forever,
    /// So long each time, not counting the time that the machine sleeps.
    For(Duration),
}

impl Wait {
    pub(crate) fn limit(self) -> Option<Duration> {
        match self {
            Wait::Forever => None,
            Wait::For(limit) => Some(limit),
        }
    }
}

/// A checksum list of b3sum, sha256sum or the like.
#[derive(Debug, Clone)]
pub enum ChecksumList {
    /// A regular file, which is read twice.
    File(PathBuf),
    /// What was read already, of a pipe, say, which can be read only once; and what to call it.
    Held(PathBuf, Arc<[u8]>),
}

impl ChecksumList {
    /// Its file, or what to call it.
    pub fn path(&self) -> &Path {
        match self {
            ChecksumList::File(path) | ChecksumList::Held(path, _) => path,
        }
    }
}

/// What to verify, and how.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// The destination: the directory that holds `.sprag`.
    pub dest: PathBuf,
    /// Only these paths, relative to the destination, and what is below them; empty means all.
    pub paths: Vec<PathBuf>,
    /// Believe the state of the destination, whoever it belongs to.
    pub trust_state: bool,
    /// The manifest to compare with, if it is kept elsewhere than in the destination. Nothing below
    /// the destination is then written or locked.
    pub manifest: Option<PathBuf>,
    /// Compare with this list instead of the manifest.
    pub list: Option<ChecksumList>,
    /// Build a new manifest of what is as `list` or `from` say, for a destination whose own is lost
    /// or damaged.
    pub rebuild: bool,
    /// What a manifest is rebuilt from, or what will be repaired from: the sources of the copy, each with
    /// or without its slash.
    pub from: Vec<PathBuf>,
    /// Patterns that leave entries out, with all that is below them.
    pub filter: Filter,
    /// Compare with these sources too, each with or without its slash.
    pub against: Vec<PathBuf>,
    /// How much is read.
    pub reading: Reading,
    /// Only what was not verified within this time.
    pub older_than: Option<Duration>,
    /// How many files are read at a time; `None` lets the run choose.
    pub jobs: Option<NonZeroUsize>,
    /// No more bytes a second than this are read.
    pub bytes_per_s: Option<NonZeroU64>,
    /// Whether content that may have come from the page cache counts as a failure.
    pub require_medium: bool,
    /// Note in the manifest what was verified, if it can be written to. A later run then goes on
    /// where this one is stopped.
    pub record: bool,
    /// Begin anew even if an earlier run was stopped.
    pub restart: bool,
}

/// How much a verification reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// All content.
    Everything,
    /// Some blocks, chosen at random; of all else the metadata is looked at.
    Sample {
        /// How many.
        amount: SampleAmount,
        /// The same seed chooses the same blocks of the same manifest; `None` takes that of the
        /// run that is gone on with, or else any.
        seed: Option<u64>,
    },
    /// No content: kind, size and modification time only.
    Metadata,
}

/// How many blocks a sample has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleAmount {
    /// Of a million blocks so many, rounded up.
    PerMillion(u32),
    /// So many blocks.
    Blocks(u64),
    /// As many blocks as have so many bytes on average, rounded up.
    Bytes(u64),
}

impl VerifyOptions {
    /// Verifies all of `dest`, and notes nothing.
    pub fn new(dest: impl Into<PathBuf>) -> Self {
        VerifyOptions {
            dest: dest.into(),
            paths: Vec::new(),
            trust_state: false,
            manifest: None,
            list: None,
            rebuild: false,
            from: Vec::new(),
            filter: Filter::default(),
            against: Vec::new(),
            reading: Reading::Everything,
            older_than: None,
            jobs: None,
            bytes_per_s: None,
            require_medium: false,
            record: false,
            restart: false,
        }
    }
}
