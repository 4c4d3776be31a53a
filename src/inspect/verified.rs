//! When the parts of a destination were verified last, and how.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::ManifestError;
use crate::exit::Exit;
use crate::fs::Fs;
use crate::manifest::{Depth, Entry, LastVerify, Store};
use crate::path::RelPath;

/// So many parts are told apart; the rest is one.
const PARTS_MAX: usize = 50;

/// The last verification, as the manifest tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastVerification {
    /// When it began, in ms since the Unix epoch.
    pub started_ms: u64,
    /// When it ended, in ms since the Unix epoch. `None`: it was stopped, and the same command
    /// goes on with it.
    pub ended_ms: Option<u64>,
    /// How it ended.
    pub exit: Option<Exit>,
    /// What was to be checked, in words.
    pub what: String,
    /// Entries that were not as recorded, as far as they were kept.
    pub entries_bad: u64,
}

/// A part of a destination: an entry at its top, with what is below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifiedPart {
    /// Its path; empty for all parts beyond the first 50.
    pub path: RelPath,
    /// Regular files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files whose content was never completely verified since they were copied.
    pub files_never: u64,
    /// Files of which the last verification may have come from the page cache.
    pub files_cached: u64,
    /// When the file was verified whose last verification is the longest ago, in ms since the Unix
    /// epoch; those that never were do not count.
    pub oldest_ms: Option<u64>,
    /// When the last of them was verified.
    pub newest_ms: Option<u64>,
}

/// The last verification, and when each part was verified; no parts if nothing ever was.
pub(super) fn history<F: Fs>(
    store: &Store<F>,
) -> Result<(Option<LastVerification>, Vec<VerifiedPart>), ManifestError> {
    let last = store.last_verify()?.map(last_verification);
    if !store.has_history() {
        return Ok((last, Vec::new()));
    }
    let history = store.history(false)?;
    let mut parts: BTreeMap<RelPath, VerifiedPart> = BTreeMap::new();
    for pos in store.positions() {
        let (path, Entry::Done(done)) = store.entry_at(pos)? else {
            continue;
        };
        let top = top_of(&path);
        let top = match parts.contains_key(&top) || parts.len() < PARTS_MAX {
            true => top,
            false => RelPath::root(),
        };
        let part = parts.entry(top.clone()).or_insert(VerifiedPart {
            path: top,
            files: 0,
            bytes: 0,
            files_never: 0,
            files_cached: 0,
            oldest_ms: None,
            newest_ms: None,
        });
        part.files += 1;
        part.bytes = part.bytes.saturating_add(done.size);
        let Some(verified) = history.get(pos) else {
            part.files_never += 1;
            continue;
        };
        let at = verified.at_ms;
        part.files_cached += u64::from(verified.depth == Depth::Cached);
        part.oldest_ms = Some(part.oldest_ms.map_or(at, |oldest| oldest.min(at)));
        part.newest_ms = Some(part.newest_ms.map_or(at, |newest| newest.max(at)));
    }
    Ok((last, parts.into_values().collect()))
}

fn top_of(path: &RelPath) -> RelPath {
    let top = path.components().next().unwrap_or_default();
    // A component of a path is one itself.
    RelPath::root()
        .join(top)
        .unwrap_or_else(|_| RelPath::root())
}

fn last_verification(last: LastVerify) -> LastVerification {
    let kept = last.findings.len() as u64;
    LastVerification {
        started_ms: last.begin.started_ms,
        ended_ms: last.end.as_ref().map(|end| end.ended_ms),
        exit: last
            .end
            .as_ref()
            .and_then(|end| Exit::from_code(end.exit_code)),
        what: last.begin.what,
        entries_bad: last.end.map_or(kept, |end| end.entries_bad),
    }
}
