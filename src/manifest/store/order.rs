//! Looking paths up in the order in which they were recorded.
//!
//! A run that copies a tree again goes through it as the run did that recorded it, so the record of
//! the next path is nearly always the one behind the last. To find it there costs a comparison; the
//! index costs a look at two places in a table of many megabytes, which no cache holds. What is found
//! that way counts only if nothing newer was said of its path.

use std::collections::HashSet;

use super::*;
use crate::codec;
use crate::path::PathRef;

/// More outdated records are not remembered: 1 MiB or so.
const OUTDATED_MAX: usize = 1 << 16;

/// The positions of records that something newer took the place of.
#[derive(Default)]
pub(super) struct Outdated {
    positions: HashSet<u64>,
    /// There are more than are remembered.
    overflown: bool,
}

impl Outdated {
    pub(super) fn note(&mut self, pos: u64) {
        if self.overflown {
            return;
        }
        self.positions.insert(pos);
        if self.positions.len() > OUTDATED_MAX {
            *self = Outdated {
                positions: HashSet::new(),
                overflown: true,
            };
        }
    }

    /// Whether the record at `pos` is known to be the newest of its path.
    fn is_newest(&self, pos: u64) -> bool {
        !self.overflown && (self.positions.is_empty() || !self.positions.contains(&pos))
    }
}

impl<F: Fs> Store<F> {
    /// The newest record of a path, if it is the next one and says all of it.
    pub(super) fn lookup_next(&self, path: &RelPath) -> Option<(u64, Record)> {
        let next = self.next_about(path, |pos, payload| {
            let record: Record = codec::decode(payload).ok()?;
            Some((pos, record))
        });
        next.filter(|(_, record)| match record {
            // What was removed, or is still in progress, is said by several.
            Record::Removed(_) | Record::Begin(_) => false,
            record => record.path() == Some(path),
        })
    }

    /// Whether the newest record of a path is the next one, of a file that is done, and `holds`.
    /// Otherwise it has to be looked up.
    pub(crate) fn next_is_done(
        &self,
        path: &RelPath,
        holds: impl FnOnce(&Done<PathRef<'_>>) -> bool,
    ) -> bool {
        let held = self.next_about(path, |_, payload| match codec::decode(payload).ok()? {
            Record::Done(done) if done.path == PathRef::from(path) => Some(holds(&done)),
            _ => None,
        });
        held.unwrap_or(false)
    }

    fn next_about<T>(
        &self,
        path: &RelPath,
        take: impl FnOnce(u64, &[u8]) -> Option<T>,
    ) -> Option<T> {
        // Of a damaged manifest it is another question which record is newer.
        if self.salvaged.is_some() {
            return None;
        }
        let is_newest = |pos| self.outdated.is_newest(pos);
        self.journal.next_about(path.as_bytes(), is_newest, take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outdated_is_never_taken_for_the_newest_however_many_there_are() {
        let mut outdated = Outdated::default();
        assert!(outdated.is_newest(4096));
        for pos in 0..=OUTDATED_MAX as u64 {
            assert!(outdated.is_newest(pos));
            outdated.note(pos);
            assert!(!outdated.is_newest(pos));
        }
        assert!(!outdated.is_newest(0) && !outdated.is_newest(u64::MAX));
    }
}
