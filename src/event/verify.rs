//! What a verification tells: how files were read, verdicts with their damage, totals.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::{Concurrency, EntryCounts, entries};
use crate::error::{Error, ManifestDamage};
use crate::exit::Exit;
use crate::fs::Kind;
use crate::path::RelPath;

/// How the bytes of a file were read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadHow {
    /// With O_DIRECT, past the page cache.
    Direct,
    /// After the file's pages were dropped from the page cache and seen to be gone.
    Evicted,
    /// Possibly from the page cache, because the file system allows no other way or does not say.
    Cached,
}

/// One step of a verification, as [`VerifyRun`](crate::VerifyRun) yields it.
#[derive(Debug)]
pub enum VerifyEvent {
    /// The manifest is open.
    Opened {
        /// Entries that will be checked.
        entries: u64,
        /// Bytes that will be read; of a sample, about.
        bytes: u64,
        /// What of them is passed over.
        passed: PassedOver,
        /// The seed of a sample.
        seed: Option<u64>,
    },
    /// How many files are read at a time.
    Concurrency(Concurrency),
    /// Something that fails no entry.
    Warning(String),
    /// Why nothing, or nothing from here on, is noted of what is verified: a run that is stopped
    /// cannot be gone on with.
    Unnoted(String),
    /// Bytes read back so far.
    Progress {
        /// Bytes read so far, from the beginning of the run.
        bytes_read: u64,
    },
    /// A recorded entry was checked.
    Entry {
        /// Its path at the destination.
        path: RelPath,
        /// What it is, or was copied as; `None` if that is not known.
        kind: Option<Kind>,
        /// What was found.
        verdict: Verdict,
        /// How it was read, if it was.
        how: Option<ReadHow>,
    },
    /// Of a recorded entry, its source, its copy or both are not what was copied; follows the
    /// entry's own event.
    Compared {
        /// Its path at the destination.
        path: RelPath,
        /// What has become of the source; `None`: it is as it was copied.
        source: Option<SourceState>,
        /// Whether the copy is not what was copied.
        dest_changed: bool,
    },
    /// The run is over; the last event.
    Finished {
        /// The totals.
        summary: Box<VerifySummary>,
        /// What ended the run early, if something did.
        error: Option<Error>,
    },
}

/// What has become of a source since it was copied.
#[derive(Debug)]
pub enum SourceState {
    /// Its content differs, and so does its size or modification time: somebody changed it.
    Edited,
    /// Its content differs, and its size and modification time do not.
    Rotten,
    /// It is not there.
    Missing,
    /// It could not be read.
    Unreadable(crate::error::PathError),
}

impl SourceState {
    /// The word for this in `--json`.
    pub fn kind(&self) -> &'static str {
        match self {
            SourceState::Edited => "edited",
            SourceState::Rotten => "rotten",
            SourceState::Missing => "missing",
            SourceState::Unreadable(_) => "unreadable",
        }
    }
}

/// How many entries were compared with their sources, how many differ, and on which side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sides {
    /// The sources that were compared with.
    #[serde(skip)]
    pub sources: Vec<ComparedSource>,
    /// Sources that were changed since they were copied.
    pub source_edited: u64,
    /// Sources whose content differs though their stat does not.
    pub source_rotten: u64,
    /// Sources that are gone.
    pub source_missing: u64,
    /// Sources that could not be read.
    pub source_unreadable: u64,
    /// Of all these, those whose copy is not what was copied either.
    pub both_changed: u64,
}

/// One of the sources that were compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedSource {
    /// The source as it was given.
    pub path: PathBuf,
    /// Recorded entries that it has, and that were compared with it.
    pub entries_compared: u64,
}

/// What is not looked at, because it was verified already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// Entries that the run which is gone on with had checked, and found as recorded.
    #[serde(flatten, serialize_with = "entries::before")]
    pub before: EntryCounts,
    /// When the first of them was checked, in ms since the Unix epoch. `None`: there are none.
    pub before_since_ms: Option<u64>,
    /// Entries that it had checked too long ago ([`PassedOver::BEFORE_MAX`]): they are looked at again.
    #[serde(flatten, serialize_with = "entries::stale")]
    pub stale: EntryCounts,
    /// Entries that were verified too recently.
    #[serde(flatten, serialize_with = "entries::recent")]
    pub recent: EntryCounts,
}

impl PassedOver {
    /// The longest time for which what a stopped run had checked is not looked at again: 30 days. A run
    /// that is gone on with speaks of the destination as a whole, and rot does not wait.
    pub const BEFORE_MAX: Duration = Duration::from_secs(30 * 86_400);
}

/// Where the content of a file is not what was recorded, and what is there instead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Damage {
    /// The bad blocks as byte ranges, neighbours joined.
    pub ranges: Vec<Range<u64>>,
    /// How many blocks are bad.
    pub blocks_bad: u64,
    /// Of these, blocks that hold nothing but zeros.
    pub blocks_zero: u64,
    /// Of these, blocks that hold what belongs to another block of the same file.
    pub blocks_shifted: u64,
    /// The first of the shifted blocks.
    pub first_shift: Option<Shift>,
}

/// A block that holds what belongs to another place in the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// Where it is, in bytes from the beginning of the file.
    pub at: u64,
    /// Where its content belongs, likewise.
    pub belongs: u64,
}

impl Damage {
    /// Blocks that hold neither zeros nor what belongs elsewhere in the file.
    pub fn blocks_other(&self) -> u64 {
        self.blocks_bad
            .saturating_sub(self.blocks_zero)
            .saturating_sub(self.blocks_shifted)
    }
}

/// What verification found out about one path.
#[derive(Debug)]
pub enum Verdict {
    /// Content (of a file) or target (of a symlink) is as recorded, and so is the metadata.
    Ok,
    /// Size and modification time are as recorded, and so is what was read of the content, which
    /// is a part.
    Sampled {
        /// Blocks that were read.
        blocks_read: u64,
        /// Blocks of the file.
        blocks: u64,
    },
    /// Size and modification time are as recorded; no content was read.
    Unread,
    /// The content is as recorded, but it may have come from the page cache, and the medium was
    /// required.
    Unproven,
    /// The content differs though size and modification time are as recorded.
    Corrupt {
        /// Where, and what is there instead.
        damage: Damage,
    },
    /// The content differs, and so does the file's size, modification time or kind.
    Modified {
        /// What differs, in words.
        what: String,
        /// Where the content differs, if it was read.
        damage: Option<Damage>,
    },
    /// The content is as recorded, the metadata is not.
    Metadata {
        /// What differs, in words.
        what: String,
    },
    /// It is not there.
    Missing,
    /// Its copy was begun and is not finished.
    Incomplete {
        /// Bytes recorded so far.
        bytes: u64,
        /// Bytes it will have.
        of: u64,
    },
    /// The manifest does not know it.
    Extra,
    /// It could not be read.
    Unreadable {
        /// Why.
        error: crate::error::PathError,
    },
    /// Part of the manifest is lost, and what it said of this path may be among that.
    Unknown {
        /// What is known of it, in words.
        what: String,
    },
}

impl Verdict {
    /// The word for this verdict in `--json`.
    pub fn kind(&self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Sampled { .. } => "sampled",
            Verdict::Unread => "unread",
            Verdict::Unproven => "unproven",
            Verdict::Corrupt { .. } => "corrupt",
            Verdict::Modified { .. } => "modified",
            Verdict::Metadata { .. } => "metadata",
            Verdict::Missing => "missing",
            Verdict::Incomplete { .. } => "incomplete",
            Verdict::Extra => "extra",
            Verdict::Unreadable { .. } => "unreadable",
            Verdict::Unknown { .. } => "unknown",
        }
    }
}

/// The totals of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifySummary {
    /// How the run ended.
    pub exit_code: Exit,
    /// Entries that are as recorded.
    #[serde(flatten, serialize_with = "entries::ok")]
    pub ok: EntryCounts,
    /// Files of which a part was read, and is as recorded.
    pub files_sampled: u64,
    /// Files of which no content was read, and whose metadata is as recorded.
    pub files_unread: u64,
    /// Files whose content is as recorded but was not proved to come from the medium, which was
    /// required.
    pub files_unproven: u64,
    /// Files whose content differs though their stat does not.
    pub files_corrupt: u64,
    /// Entries that were changed since.
    #[serde(flatten, serialize_with = "entries::modified")]
    pub modified: EntryCounts,
    /// Entries of which only the metadata was changed since.
    #[serde(flatten, serialize_with = "entries::metadata")]
    pub metadata: EntryCounts,
    /// Entries that are not there.
    #[serde(flatten, serialize_with = "entries::missing")]
    pub missing: EntryCounts,
    /// Entries whose copy is not finished.
    #[serde(flatten, serialize_with = "entries::incomplete")]
    pub incomplete: EntryCounts,
    /// Entries that could not be read.
    #[serde(flatten, serialize_with = "entries::unreadable")]
    pub unreadable: EntryCounts,
    /// Entries of which the manifest may have said something that is lost.
    #[serde(flatten, serialize_with = "entries::unknown")]
    pub unknown: EntryCounts,
    /// Entries in the tree that the manifest does not know.
    #[serde(flatten, serialize_with = "entries::extra")]
    pub extra: EntryCounts,
    /// What was not looked at, because it was verified already.
    #[serde(flatten)]
    pub passed: PassedOver,
    /// What the comparison with the sources came to.
    #[serde(flatten)]
    pub sides: Box<Sides>,
    /// Blocks read back.
    pub blocks_read: u64,
    /// Blocks, of files that were looked at, that were not read because only a sample or nothing
    /// was to be.
    pub blocks_unread: u64,
    /// Bytes read back.
    pub bytes_read: u64,
    /// Bytes of the blocks that were not read.
    pub bytes_unread: u64,
    /// Files read with O_DIRECT.
    pub read_direct: u64,
    /// Files read after their pages were dropped from the page cache.
    pub read_evicted: u64,
    /// Files read possibly from the page cache.
    pub read_cached: u64,
    /// Entries of the manifest that was rebuilt; 0: none was made. `None`: none was to be.
    #[serde(flatten, serialize_with = "entries::recorded")]
    pub recorded: Option<EntryCounts>,
    /// Wall time in milliseconds.
    pub elapsed_ms: u64,
    /// What is wrong with the manifest, if something is.
    pub manifest_damage: Option<Box<ManifestDamage>>,
}

impl VerifySummary {
    /// Returns the entries that are not as recorded, or might not be.
    pub fn damaged(&self) -> EntryCounts {
        let mut damaged = EntryCounts::of_files(self.files_corrupt);
        for counts in [
            self.modified,
            self.metadata,
            self.missing,
            self.incomplete,
            self.unreadable,
        ] {
            damaged += counts;
        }
        damaged
    }
}

impl Default for VerifySummary {
    fn default() -> Self {
        VerifySummary {
            exit_code: Exit::Done,
            ok: EntryCounts::default(),
            files_sampled: 0,
            files_unread: 0,
            files_unproven: 0,
            files_corrupt: 0,
            modified: EntryCounts::default(),
            metadata: EntryCounts::default(),
            missing: EntryCounts::default(),
            incomplete: EntryCounts::default(),
            unreadable: EntryCounts::default(),
            unknown: EntryCounts::default(),
            extra: EntryCounts::default(),
            passed: PassedOver::default(),
            sides: Box::default(),
            blocks_read: 0,
            blocks_unread: 0,
            bytes_read: 0,
            bytes_unread: 0,
            read_direct: 0,
            read_evicted: 0,
            read_cached: 0,
            recorded: None,
            elapsed_ms: 0,
            manifest_damage: None,
        }
    }
}
