//! When the parts of a destination were verified last, and how.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::error::ManifestError;
use crate::exit::Exit;
use crate::fs::Fs;
use crate::manifest::{Depth, LastVerified, LastVerify, Store};
use crate::path::{PathRef, RelPath};
use crate::time;

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
    let found = store.last_findings().len() as u64;
    let last = store.last_verify()?;
    let last = last.map(|last| last_verification(last, found));
    if !store.has_history() {
        return Ok((last, Vec::new()));
    }
    let history = store.history(false)?;
    let now_ms = time::now_ms();
    let mut parts: BTreeMap<RelPath, VerifiedPart> = BTreeMap::new();
    store.fold_done(
        |found: &mut Found, pos, done| {
            let part = found.part_of(done.path);
            // A date in the future was noted while a clock was wrong, and says nothing.
            let verified = history.get(pos).filter(|last| last.at_ms <= now_ms);
            part.count(done.size, verified);
        },
        |found| {
            for part in found.parts {
                let top = match parts.contains_key(&part.path) || parts.len() < PARTS_MAX {
                    true => part.path.clone(),
                    false => RelPath::root(),
                };
                parts
                    .entry(top)
                    .or_insert_with_key(|top| VerifiedPart::new(top.clone()))
                    .add(&part);
            }
        },
    )?;
    Ok((last, parts.into_values().collect()))
}

/// The parts that some files are in, in the order in which they are met.
#[derive(Default)]
struct Found {
    parts: Vec<VerifiedPart>,
    /// Where each is in `parts`.
    places: HashMap<Vec<u8>, usize>,
}

impl Found {
    /// The part that a file is in.
    fn part_of(&mut self, path: PathRef<'_>) -> &mut VerifiedPart {
        let path = path.as_bytes();
        let top = path.split(|byte| *byte == b'/').next().unwrap_or(path);
        let place = self.places.get(top).copied().unwrap_or_else(|| {
            let place = self.parts.len();
            self.places.insert(top.to_vec(), place);
            // A component of a path is one itself.
            let path = RelPath::new(top).unwrap_or_default();
            self.parts.push(VerifiedPart::new(path));
            place
        });
        &mut self.parts[place]
    }
}

impl VerifiedPart {
    fn new(path: RelPath) -> VerifiedPart {
        VerifiedPart {
            path,
            files: 0,
            bytes: 0,
            files_never: 0,
            files_cached: 0,
            oldest_ms: None,
            newest_ms: None,
        }
    }

    /// Counts a file in.
    fn count(&mut self, bytes: u64, verified: Option<LastVerified>) {
        let at_ms = verified.map(|verified| verified.at_ms);
        let is_cached = verified.is_some_and(|verified| verified.depth == Depth::Cached);
        self.add(&VerifiedPart {
            path: RelPath::root(),
            files: 1,
            bytes,
            files_never: u64::from(verified.is_none()),
            files_cached: u64::from(is_cached),
            oldest_ms: at_ms,
            newest_ms: at_ms,
        });
    }

    /// Counts the files of another in.
    fn add(&mut self, other: &VerifiedPart) {
        self.files += other.files;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.files_never += other.files_never;
        self.files_cached += other.files_cached;
        let oldest = [self.oldest_ms, other.oldest_ms];
        self.oldest_ms = oldest.into_iter().flatten().min();
        self.newest_ms = self.newest_ms.max(other.newest_ms);
    }
}

/// The last verification, of which the manifest keeps so many findings.
fn last_verification(last: LastVerify, found: u64) -> LastVerification {
    LastVerification {
        started_ms: last.begin.started_ms,
        ended_ms: last.end.as_ref().map(|end| end.ended_ms),
        exit: last
            .end
            .as_ref()
            .and_then(|end| Exit::from_code(end.exit_code)),
        what: last.begin.what,
        entries_bad: last.end.map_or(found, |end| end.entries_bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{DestMeta, Done, Entry, Record, VerifyBegin};
    use crate::verify::fixture::{Fixture, rel};

    fn done(n: u64, size: u64) -> Record {
        Record::Done(Done {
            path: rel(&format!("top {:02}/with a long name/{n}", n % 60)),
            size,
            mtime_ns: 0,
            dest: DestMeta::default(),
            hash: [7; 32],
            attempt: Some(0),
            chain: 0,
            ctimes: None,
            unsettled: false,
        })
    }

    /// The parts, told file by file from the newest records alone.
    fn one_by_one(store: &Store<impl Fs>) -> Vec<VerifiedPart> {
        let history = store.history(false).unwrap();
        let mut tops: Vec<RelPath> = Vec::new();
        let mut parts: BTreeMap<RelPath, VerifiedPart> = BTreeMap::new();
        for pos in store.positions() {
            let (path, Entry::Done(done)) = store.entry_at(pos).unwrap() else {
                continue;
            };
            let mut top = RelPath::new(path.components().next().unwrap()).unwrap();
            if !tops.contains(&top) {
                tops.push(top.clone());
            }
            if tops.iter().position(|known| *known == top) >= Some(PARTS_MAX) {
                top = RelPath::root();
            }
            let part = parts
                .entry(top.clone())
                .or_insert_with(|| VerifiedPart::new(top));
            let verified = history.get(pos);
            part.files += 1;
            part.bytes += done.size;
            part.files_never += u64::from(verified.is_none());
            let at_ms = verified.map(|verified| verified.at_ms);
            part.newest_ms = part.newest_ms.max(at_ms);
            part.oldest_ms = match (part.oldest_ms, at_ms) {
                (Some(oldest), Some(at)) => Some(oldest.min(at)),
                (oldest, at) => oldest.or(at),
            };
        }
        parts.into_values().collect()
    }

    #[test]
    fn parts_are_those_of_the_newest_records_of_a_large_manifest() {
        for copied_again in [0, 500] {
            let mut fixture = Fixture::new();
            let positions: Vec<u64> = (0..12_000).map(|n| fixture.append(&done(n, n))).collect();
            let run = fixture.append(&Record::VerifyBegin(VerifyBegin {
                started_ms: 1,
                key: 0,
                seed: 0,
                what: String::new(),
            }));
            for (at_ms, range) in [(5, 0..4000), (9, 3000..9000)] {
                fixture.append(&Record::Verified(crate::manifest::Verified {
                    run,
                    at_ms,
                    depth: Depth::Medium,
                    spans: vec![(
                        positions[range.start],
                        positions[range.end] - positions[range.start],
                    )],
                }));
            }
            for n in 0..copied_again {
                fixture.append(&done(n * 7, 1_000_000));
            }
            let temp = fixture.close();
            let (_, store) = super::super::open_to_read(temp.path(), None).unwrap();
            assert!(store.end() > 1 << 20, "large enough for several threads");
            let parts = history(&store).unwrap().1;
            assert_eq!(parts.len(), PARTS_MAX + 1);
            assert_eq!(parts, one_by_one(&store));
        }
    }
}
