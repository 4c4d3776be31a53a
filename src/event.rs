//! What a run tells whoever pulls it: events, problems, totals. Plain types, no I/O.
//!
//! The progress display, `--json` and the tests are consumers of these and of nothing else.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{EntryError, Error};
use crate::exit::Exit;
use crate::path::RelPath;

mod entries;
mod verify;

pub use entries::EntryCounts;
pub use verify::{
    ComparedSource, Damage, PassedOver, ReadHow, Shift, Sides, SourceState, Verdict, VerifyEvent,
    VerifySummary,
};

/// One step of a copy, as [`CopyRun`](crate::CopyRun) yields it.
#[derive(Debug)]
pub enum Event {
    /// The manifest is open and, after a crash, recovered.
    Opened(Recovered),
    /// How many files the run works on at a time; follows [`Event::Opened`].
    Concurrency(Concurrency),
    /// The run does something else from here on.
    Phase(Phase),
    /// What the counting walk has found so far.
    Counted(Counted),
    /// More content is at the destination, though not yet durable.
    Progress(Progress),
    /// An entry has reached its end state.
    Entry {
        /// Its path at the destination.
        path: RelPath,
        /// What became of it.
        outcome: Outcome,
    },
    /// An entry failed; the run goes on.
    Problem {
        /// Its path at the destination.
        path: RelPath,
        /// Why.
        error: EntryError,
    },
    /// A call failed with an error that may pass; it is made again after a wait.
    Retry(Retry),
    /// A drive is gone and is waited for; no other event comes until it is found.
    Waiting {
        /// What was about to be used on it.
        path: PathBuf,
        /// How that was noticed.
        reason: String,
        /// How long it is waited for, if not for ever.
        limit: Option<Duration>,
    },
    /// It is back, and the copy goes on as after a crash, beginning with another
    /// [`Event::Opened`].
    Found {
        /// The directory that holds the manifest, which may be at another mount point.
        path: PathBuf,
        /// The destination, as the run would be given it now.
        dest: PathBuf,
    },
    /// The destination cannot hold something; said once a kind.
    Warning(String),
    /// The run is over; the last event.
    Finished {
        /// The totals.
        summary: Box<CopySummary>,
        /// What ended the run early, if something did.
        error: Option<Error>,
    },
}

/// How many files are worked on at a time, and what that was chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Concurrency {
    /// So many in all.
    pub files: usize,
    /// So many of them may be large.
    pub large_files: usize,
    /// What decided that.
    pub chosen_by: ChosenBy,
}

impl Concurrency {
    /// Files of this size and more are large.
    pub const LARGE_BYTES: u64 = 1 << 20;
}

/// What decided how many files are worked on at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChosenBy {
    /// The user asked for it.
    User,
    /// The destination's device has to seek, or says so.
    Destination,
    /// A source's device has to seek, or says so.
    Source,
    /// The number of processors: no device is known to seek.
    Processors,
}

/// A call that is going to be made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// What it was about, in the source or at the destination.
    pub path: PathBuf,
    /// What the system said.
    pub reason: String,
    /// Which of the tries after the first it is going to be, from 1.
    pub attempt: u32,
    /// How many there will be at most.
    pub of: u32,
    /// How long is waited before it.
    pub wait: Duration,
}

/// What opening the destination found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// Files and symlinks that the manifest knew as done.
    pub files_done: u64,
    /// Files that were begun and not finished.
    pub files_partial: u64,
    /// Bytes read back and hashed because they were written after the last trusted barrier.
    pub bytes_rehashed: u64,
    /// Bytes of partial files that did not match and were cut off, as far as they were recorded.
    pub bytes_discarded: u64,
}

/// Totals of the counting walk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Entries seen, directories included.
    pub entries: u64,
    /// Bytes of the regular files seen.
    pub bytes: u64,
    /// Of these, bytes that earlier runs made durable, as far as the manifest tells.
    pub bytes_before: u64,
    /// Whether the walk is over, so that the totals are final.
    pub complete: bool,
}

/// Where the content stands. All figures only ever grow within a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that need no more copying: written now, resumed, adopted or unchanged.
    pub bytes_written: u64,
    /// Of those, bytes that are durable on the device.
    pub bytes_durable: u64,
    /// Of the written bytes, those that were there before this run.
    pub bytes_before: u64,
}

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// What an earlier run left unproven is read back. No event tells of it: it comes before all
    /// others.
    #[default]
    Recovering,
    /// The sources are counted, and copying waits for that.
    Counting,
    /// Content is copied. What is written is flushed now and then meanwhile.
    Copying,
    /// Everything is written and waits to become durable.
    Flushing,
    /// Hard links are made and directories get their times.
    Finishing,
    /// What was copied is read back.
    ReadingBack,
    /// A drive is gone and is waited for.
    Waiting,
}

/// How a run stands at some moment, whether or not its events are pulled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// What it is doing.
    pub phase: Phase,
    /// Totals of the counting walk.
    pub counted: Counted,
    /// Where the content stands.
    pub progress: Progress,
    /// The files that are being copied.
    pub in_flight: Vec<InFlight>,
    /// What is being made durable.
    pub flush: Option<Flush>,
    /// A checkpoint was asked for and is not yet made.
    pub checkpoint_asked: bool,
}

/// A file that is being copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlight {
    /// Its path at the destination.
    pub path: RelPath,
    /// Bytes of it that are written, those of earlier runs included.
    pub bytes_done: u64,
    /// Its size.
    pub bytes_total: u64,
    /// A hole of it is being hashed: nothing is read or written.
    pub in_hole: bool,
}

/// A flush under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flush {
    /// Bytes that will be durable when it is over and are not known to be so before.
    pub bytes: u64,
    /// When it began.
    pub since: Instant,
}

/// What pulling with a time limit gave.
#[derive(Debug)]
pub enum Pull<E> {
    /// The next event.
    Event(E),
    /// There was none in that time.
    Late,
    /// There will be none any more.
    Over,
}

/// What became of an entry that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its content was written (in this run or, in part, in earlier ones) and published.
    Copied,
    /// It was already there, as the manifest says.
    Unchanged,
    /// It was already there, not from sprag, with the same content.
    Adopted,
    /// A rule of the user's left it out.
    Skipped,
    /// No source has it, and it was deleted at the destination.
    Deleted,
    /// Its copy is durable and was read back, and the source was removed.
    SourceRemoved,
    /// Its content was already there, as the manifest says; its metadata was set right.
    Mended,
}

/// The totals of a copy. When a run has ended by itself, each source entry is in exactly one of
/// `files_copied`, `files_unchanged`, `files_adopted`, `dirs`, `symlinks`, `specials`, `skipped` and
/// `failed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopySummary {
    /// How the run ended.
    pub exit_code: Exit,
    /// Nothing was done: the figures are what a copy would come to.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Regular files whose content was written and published in this run.
    pub files_copied: u64,
    /// Regular files that were already done.
    pub files_unchanged: u64,
    /// Regular files found with the same content and taken into the manifest.
    pub files_adopted: u64,
    /// Entries left out by a rule of the user's; a directory counts as one, whatever is in it.
    #[serde(flatten, serialize_with = "entries::skipped")]
    pub skipped: EntryCounts,
    /// Entries that failed: those of the sources, and those that `--delete` could not take.
    #[serde(flatten, serialize_with = "entries::failed")]
    pub failed: EntryCounts,
    /// Entries that were deleted at the destination, because no source has them.
    #[serde(flatten, serialize_with = "entries::deleted")]
    pub deleted: EntryCounts,
    /// Source files and symlinks that were removed after they were copied.
    pub sources_removed: u64,
    /// Directories that are at the destination.
    pub dirs: u64,
    /// Symbolic links that are at the destination.
    pub symlinks: u64,
    /// Fifos, sockets and device nodes that are at the destination.
    pub specials: u64,
    /// Of the unchanged entries, those whose metadata alone was set right.
    #[serde(flatten, serialize_with = "entries::mended")]
    pub mended: EntryCounts,
    /// Bytes of the regular files that are at the destination now, by this run or before.
    pub bytes_total: u64,
    /// Bytes written to the destination's files in this run.
    pub bytes_copied: u64,
    /// Bytes of partial files that were trusted and not read again.
    pub bytes_resumed: u64,
    /// Bytes that recovery read back from the destination and hashed.
    pub bytes_rehashed: u64,
    /// Bytes, of `bytes_total` and of partial files, known to be durable on the device.
    pub bytes_durable: u64,
    /// Files that were read back after they were copied, each time counted.
    pub files_read_back: u64,
    /// Bytes of them.
    pub bytes_read_back: u64,
    /// Of those files, the ones read with O_DIRECT.
    pub read_direct: u64,
    /// Read after their pages were dropped from the page cache.
    pub read_evicted: u64,
    /// Read possibly from the page cache.
    pub read_cached: u64,
    /// Wall time in milliseconds.
    pub elapsed_ms: u64,
}

impl Default for CopySummary {
    fn default() -> Self {
        CopySummary {
            exit_code: Exit::Done,
            dry_run: false,
            files_copied: 0,
            files_unchanged: 0,
            files_adopted: 0,
            skipped: EntryCounts::default(),
            failed: EntryCounts::default(),
            deleted: EntryCounts::default(),
            sources_removed: 0,
            dirs: 0,
            symlinks: 0,
            specials: 0,
            mended: EntryCounts::default(),
            bytes_total: 0,
            bytes_copied: 0,
            bytes_resumed: 0,
            bytes_rehashed: 0,
            bytes_durable: 0,
            files_read_back: 0,
            bytes_read_back: 0,
            read_direct: 0,
            read_evicted: 0,
            read_cached: 0,
            elapsed_ms: 0,
        }
    }
}
