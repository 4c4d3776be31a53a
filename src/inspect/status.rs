//! What is done, what is partial, and how the last run went.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::verified::{LastVerification, VerifiedPart};
use crate::error::{Error, ManifestDamage, ManifestError};
use crate::exit::Exit;
use crate::fs::Fs;
use crate::hash::to_hex;
use crate::manifest::{Entry, RunBegin, RunEnd, RunSource, SlotKind, Store};
use crate::path::RelPath;

/// So many partial files are listed by name.
const PARTIAL_MAX: usize = 20;

/// The state of a destination, as its manifest tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The block size in bytes.
    pub block_size: u64,
    /// The manifest's id, in hexadecimal.
    pub manifest_id: String,
    /// The length of the manifest in bytes.
    pub manifest_bytes: u64,
    /// Regular files that are there; each further hard link counts as one more.
    pub files_done: u64,
    /// Files that were begun and not finished, and hard links still to be made.
    pub files_partial: u64,
    /// Directories that are there.
    pub dirs: u64,
    /// Symbolic links that are there.
    pub symlinks: u64,
    /// Fifos, sockets and device nodes that are there.
    pub specials: u64,
    /// Bytes of the regular files that are there, those of hard links counted once.
    pub bytes_done: u64,
    /// Bytes recorded of the files that are not finished.
    pub bytes_partial: u64,
    /// The first 20 of the files that are not finished.
    pub partial: Vec<PartialFile>,
    /// The last run of `copy`, finished or not.
    pub last_run: Option<LastRun>,
    /// Sources of earlier runs that are none of the last one, those of the newest first, at most 50.
    pub earlier_sources: Vec<PathBuf>,
    /// The process that copies to the destination or cleans it now, in words. The figures are then those that it
    /// has recorded so far.
    pub held_by: Option<String>,
    /// The last verification, finished or not.
    pub last_verify: Option<LastVerification>,
    /// When each part was verified; empty if nothing ever was.
    pub verified: Vec<VerifiedPart>,
    /// What is wrong with the manifest, if something is: then this is what can still be read of it,
    /// and nothing is known of verifications.
    pub manifest_damage: Option<ManifestDamage>,
    /// A warning, if the manifest could not be locked while it was read.
    #[serde(skip)]
    pub unlocked: Option<String>,
}

/// A file that was begun and is not finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartialFile {
    /// Its final path.
    pub path: RelPath,
    /// Bytes recorded so far.
    pub bytes: u64,
    /// Bytes it will have.
    pub of: u64,
}

/// A run of `copy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastRun {
    /// When it began, in ms since the Unix epoch.
    pub started_ms: u64,
    /// When it ended, in ms since the Unix epoch. `None`: it did not end in good order.
    pub ended_ms: Option<u64>,
    /// The sources as absolute paths, with a slash at the end where their contents were meant.
    pub sources: Vec<PathBuf>,
    /// The options that it had, as words of a command line.
    pub options: Vec<OsString>,
    /// How it ended. `None`: not in good order, or in a way that this version does not know.
    pub exit: Option<Exit>,
    /// Files whose content it wrote. Where it did not end in good order, those that it finished.
    pub files_copied: u64,
    /// Entries that failed; 0 where it did not end in good order.
    pub entries_failed: u64,
    /// Bytes it wrote. Where it did not end in good order, those of the files that it finished.
    pub bytes_copied: u64,
    /// The first of the failures, with their reasons.
    pub failures: Vec<(RelPath, String)>,
}

/// Says what is done at `dest`, by its manifest or by the one at `manifest`, which is kept
/// elsewhere.
///
/// # Errors
///
/// The destination cannot be opened or has no manifest, or its manifest is newer than this sprag, or so
/// damaged that nothing of it can be read. One that is kept elsewhere may be locked.
pub fn status(dest: &Path, manifest: Option<&Path>) -> Result<Status, Error> {
    let (_, store) = super::open_to_look(dest, manifest)?;
    let (totals, finished) = (store.totals(), store.finished()?);
    let block_size = store.block_size().bytes();
    let mut bytes_partial: u64 = 0;
    let mut partial = Vec::new();
    for pos in store.positions_of(SlotKind::Partial) {
        let (path, entry) = store.entry_at(pos)?;
        let Entry::Partial(file) = entry else {
            continue;
        };
        let of = file.begin.source.size;
        let bytes = file.blocks.saturating_mul(block_size).min(of);
        bytes_partial = bytes_partial.saturating_add(bytes);
        if partial.len() < PARTIAL_MAX {
            partial.push(PartialFile { path, bytes, of });
        }
    }
    let last_run = store.last_run()?;
    let earlier = last_run.as_ref().map(|(begin, _)| begin.earlier.clone());
    let earlier_sources = earlier.into_iter().flatten().map(path_of).collect();
    let last_run = match last_run {
        Some((begin, end)) => Some(last_run_of(&store, begin, end)?),
        None => None,
    };
    let (last_verify, verified) = super::verified::history(&store)?;
    Ok(Status {
        block_size,
        manifest_id: to_hex(store.id()),
        manifest_bytes: store.end(),
        files_done: finished.files,
        files_partial: totals.files_partial,
        dirs: finished.dirs,
        symlinks: finished.symlinks,
        specials: finished.specials,
        bytes_done: totals.bytes_done,
        bytes_partial,
        partial,
        last_run,
        earlier_sources,
        held_by: store.written_by().map(str::to_owned),
        last_verify,
        verified,
        manifest_damage: store.salvaged().cloned(),
        unlocked: store.unlocked(),
    })
}

fn path_of(source: RunSource) -> PathBuf {
    OsString::from_vec(source.path.into_vec()).into()
}

fn last_run_of<F: Fs>(
    store: &Store<F>,
    begin: RunBegin,
    end: Option<RunEnd>,
) -> Result<LastRun, ManifestError> {
    let words = begin.options.into_iter();
    let mut run = LastRun {
        started_ms: begin.started_ms,
        ended_ms: None,
        sources: begin.sources.into_iter().map(path_of).collect(),
        options: words
            .map(|word| OsString::from_vec(word.into_vec()))
            .collect(),
        exit: None,
        files_copied: 0,
        entries_failed: 0,
        bytes_copied: 0,
        failures: Vec::new(),
    };
    if let Some(end) = end {
        run.ended_ms = Some(end.ended_ms);
        run.exit = Exit::from_code(end.exit_code);
        run.files_copied = end.files_copied;
        run.entries_failed = end.files_failed;
        run.bytes_copied = end.bytes_copied;
        run.failures = end.failures;
    } else {
        (run.files_copied, run.bytes_copied) = store.finished_by_last_run()?;
    }
    Ok(run)
}
