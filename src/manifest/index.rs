//! Where each path's newest record is: 13 bytes a slot, never a path.
//!
//! A slot holds 40 bits of a keyed hash of the path (8 choose the shard, 32 stand in the slot), the
//! record's position and a few flags. Two paths may share all 40 bits, so a hit is only a
//! candidate: the store reads the record and compares the path.
//!
//! Sharding keeps growth smooth: one small table doubles at a time, so that the memory at any
//! moment stays within 32 bytes a file.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::path::RelPath;

const SHARDS: usize = 256;

/// What kind of record a slot points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum SlotKind {
    Dir = 0,
    Symlink = 1,
    Partial = 2,
    Done = 3,
    LinkWanted = 4,
    Link = 5,
    Special = 6,
}

impl SlotKind {
    const ALL: [SlotKind; 7] = [
        SlotKind::Dir,
        SlotKind::Symlink,
        SlotKind::Partial,
        SlotKind::Done,
        SlotKind::LinkWanted,
        SlotKind::Link,
        SlotKind::Special,
    ];
}

/// 12 bytes: see the module's text.
#[derive(Clone, Copy)]
struct Slot {
    tag: u32,
    pos_high: u16,
    pos_low: [u8; 4],
    kind: u8,
    due: bool,
}

/// A slot's content, unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) pos: u64,
    pub(super) kind: SlotKind,
}

/// The hash of a path under an index's key.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathHash {
    shard: u8,
    tag: u32,
}

/// Hashes paths for one index; threads that read a manifest for it have one each.
#[derive(Debug, Clone)]
pub(super) struct PathHasher(RandomState);

pub(super) struct Index {
    hasher: PathHasher,
    shards: Vec<HashTable<Slot>>,
}

/// The largest position that a slot can hold.
pub(super) const POS_MAX: u64 = (1 << 48) - 1;

impl Slot {
    fn new(tag: u32, found: Found) -> Slot {
        debug_assert!(found.pos <= POS_MAX);
        Slot {
            tag,
            pos_high: (found.pos >> 32) as u16,
            pos_low: (found.pos as u32).to_le_bytes(),
            kind: found.kind as u8,
            due: false,
        }
    }

    fn pos(&self) -> u64 {
        u64::from(self.pos_high) << 32 | u64::from(u32::from_le_bytes(self.pos_low))
    }

    fn found(&self) -> Found {
        Found {
            pos: self.pos(),
            kind: SlotKind::ALL[usize::from(self.kind)],
        }
    }
}

/// Spreads a tag over 64 bits: the table wants entropy at both ends.
fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl PathHasher {
    /// The hash of a path, given as its bytes.
    pub(super) fn hash(&self, path: &[u8]) -> PathHash {
        let hash = self.0.hash_one(path);
        PathHash {
            shard: (hash >> 56) as u8,
            tag: hash as u32,
        }
    }
}

impl Index {
    pub(super) fn new() -> Index {
        Index {
            hasher: PathHasher(RandomState::new()),
            shards: (0..SHARDS).map(|_| HashTable::new()).collect(),
        }
    }

    pub(super) fn hasher(&self) -> &PathHasher {
        &self.hasher
    }

    pub(super) fn hash(&self, path: &RelPath) -> PathHash {
        self.hasher.hash(path.as_bytes())
    }

    /// The slots that may be this path's.
    pub(super) fn candidates(&self, hash: PathHash) -> impl Iterator<Item = Found> {
        self.shards[usize::from(hash.shard)]
            .iter_hash(spread(hash.tag))
            .filter(move |slot| slot.tag == hash.tag)
            .map(Slot::found)
    }

    /// Looks where a path's slots are, only so that the memory is near when they are wanted: a large
    /// index is far from the processor, and it can wait for several places at once.
    pub(super) fn fetch(&self, hash: PathHash) {
        std::hint::black_box(self.candidates(hash).next().is_some());
    }

    /// Whether a path's newest record is the one at `pos`.
    pub(super) fn points_at(&self, hash: PathHash, pos: u64) -> bool {
        self.candidates(hash).any(|found| found.pos == pos)
    }

    pub(super) fn insert(&mut self, hash: PathHash, found: Found) {
        self.shards[usize::from(hash.shard)].insert_unique(
            spread(hash.tag),
            Slot::new(hash.tag, found),
            |slot| spread(slot.tag),
        );
    }

    /// Points the slot that pointed at `old` somewhere else; its due flag stays.
    pub(super) fn replace(&mut self, hash: PathHash, old: u64, found: Found) {
        if let Some(slot) = self.slot_mut(hash, old) {
            let due = slot.due;
            *slot = Slot::new(hash.tag, found);
            slot.due = due;
        }
    }

    pub(super) fn remove(&mut self, hash: PathHash, pos: u64) {
        let entry = self.shards[usize::from(hash.shard)].find_entry(spread(hash.tag), |slot| {
            slot.tag == hash.tag && slot.pos() == pos
        });
        if let Ok(entry) = entry {
            entry.remove();
        }
    }

    /// Marks a slot as having work left for the end of the run.
    pub(super) fn set_due(&mut self, hash: PathHash, pos: u64) {
        if let Some(slot) = self.slot_mut(hash, pos) {
            slot.due = true;
        }
    }

    fn slot_mut(&mut self, hash: PathHash, pos: u64) -> Option<&mut Slot> {
        self.shards[usize::from(hash.shard)].find_mut(spread(hash.tag), |slot| {
            slot.tag == hash.tag && slot.pos() == pos
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Found> {
        self.shards.iter().flatten().map(Slot::found)
    }

    /// Positions of the slots that are due, in file order.
    pub(super) fn due(&self) -> Vec<u64> {
        let mut due: Vec<u64> = self
            .shards
            .iter()
            .flatten()
            .filter(|slot| slot.due)
            .map(Slot::pos)
            .collect();
        due.sort_unstable();
        due
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.shards.iter().map(HashTable::allocation_size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(n: u64) -> RelPath {
        RelPath::new(format!("dir/{n}")).unwrap()
    }

    #[test]
    fn a_file_costs_at_most_32_bytes_at_every_size() {
        assert_eq!(size_of::<Slot>(), 12);
        let mut index = Index::new();
        for n in 0..200_000u64 {
            let found = Found {
                pos: n,
                kind: SlotKind::Done,
            };
            index.insert(index.hash(&path(n)), found);
            if n >= 10_000 && n % 500 == 0 {
                let per_file = index.bytes() as f64 / (n + 1) as f64;
                assert!(per_file <= 32.0, "{per_file} bytes a file at {n}");
            }
        }
    }

    #[test]
    fn a_slot_keeps_its_position_kind_and_due_flag() {
        let mut index = Index::new();
        let hash = index.hash(&path(1));
        let first = Found {
            pos: POS_MAX,
            kind: SlotKind::Link,
        };
        index.insert(hash, first);
        assert!(index.candidates(hash).eq([first]));
        index.set_due(hash, POS_MAX);
        let second = Found {
            pos: 4096,
            kind: SlotKind::Dir,
        };
        index.replace(hash, POS_MAX, second);
        assert!(index.candidates(hash).eq([second]));
        assert_eq!(index.due(), [4096]);
        index.remove(hash, 4096);
        assert_eq!(index.iter().count(), 0);
    }
}
