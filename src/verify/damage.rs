//! What is wrong with a file: which blocks are bad, and what they hold instead.
//!
//! Zeros and misplaced blocks are what drives, bridges and file systems leave when they lose a
//! write or put it in the wrong place; anything else is more likely a flipped bit or a cable.

use std::collections::BTreeSet;

use super::check::{Checker, Trouble};
use super::content::RecordedHashes;
use super::medium::MediumReader;
use crate::block::BlockSize;
use crate::event::{Damage, Shift};
use crate::fs::{ALIGN, Fs};
use crate::hash::BlockHasher;
use crate::path::RelPath;

/// So many ranges of bad blocks are told apart. If there are more, the last one reaches from its
/// beginning to the last bad block, good ones between them included.
const RANGES_MAX: usize = 1 << 16;
/// So many bad blocks of a file are looked at a second time; further ones count as neither zeros
/// nor shifted.
const LOOKED_AT_MAX: usize = 256;
/// A block is compared with what belongs to so many of its neighbours on each side, and to those a
/// power of two away.
const NEIGHBOURS: u64 = 16;

/// Bad blocks, collected in ascending order.
pub(super) struct BadBlocks {
    block_size: BlockSize,
    file_size: u64,
    damage: Damage,
    /// The first of them, by index.
    first: Vec<u64>,
}

impl BadBlocks {
    pub(super) fn new(block_size: BlockSize, file_size: u64) -> BadBlocks {
        BadBlocks {
            block_size,
            file_size,
            damage: Damage::default(),
            first: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.damage.blocks_bad == 0
    }

    /// Where they are; what they hold is not looked at.
    pub(super) fn into_damage(self) -> Damage {
        self.damage
    }

    /// Adds a block; blocks come in ascending order.
    pub(super) fn add(&mut self, index: u64) {
        let range = self.block_size.range(index, self.file_size);
        let ranges = &mut self.damage.ranges;
        let full = ranges.len() >= RANGES_MAX;
        match ranges.last_mut() {
            Some(last) if full || last.end == range.start => last.end = range.end,
            _ => ranges.push(range),
        }
        self.damage.blocks_bad += 1;
        if self.first.len() < LOOKED_AT_MAX {
            self.first.push(index);
        }
    }

    /// All of the file, of which nothing can be proved.
    pub(super) fn add_all(&mut self) {
        self.damage = Damage::default();
        self.first.clear();
        self.damage.ranges.push(0..self.file_size);
        self.damage.blocks_bad = self.block_size.count(self.file_size);
    }
}

/// What a bad block holds.
#[derive(Debug, PartialEq, Eq)]
enum Holds {
    Zeros,
    /// What belongs to the block of this index.
    Block(u64),
    Other,
}

impl<F: Fs> Checker<'_, F> {
    /// Reads bad blocks once more to say what they hold.
    pub(super) fn examine(
        &mut self,
        path: &RelPath,
        reader: &mut MediumReader<'_, F>,
        bad: BadBlocks,
        recorded: &RecordedHashes,
    ) -> Result<Damage, Trouble> {
        let mut damage = bad.damage;
        for index in bad.first {
            self.shared.check_stop()?;
            let near = near(index, bad.block_size, bad.file_size);
            let held = self.holds(reader, index, bad.file_size, &near, recorded);
            match self.at("read", path, held)? {
                Holds::Zeros => damage.blocks_zero += 1,
                Holds::Block(belongs) => {
                    damage.blocks_shifted += 1;
                    damage.first_shift.get_or_insert(Shift {
                        at: bad.block_size.range(index, bad.file_size).start,
                        belongs: bad.block_size.range(belongs, bad.file_size).start,
                    });
                }
                Holds::Other => {}
            }
        }
        Ok(damage)
    }

    fn holds(
        &mut self,
        reader: &MediumReader<'_, F>,
        index: u64,
        file_size: u64,
        near: &[u64],
        recorded: &RecordedHashes,
    ) -> std::io::Result<Holds> {
        let block_size = self.shared.store.block_size();
        let range = block_size.range(index, file_size);
        let mut hashers: Vec<(u64, BlockHasher)> = near
            .iter()
            .map(|other| {
                let start = block_size.range(*other, file_size).start;
                (*other, BlockHasher::new(start, false))
            })
            .collect();
        let mut zeros = true;
        let mut at = range.start;
        while at < range.end {
            // No more than the buffer holds, so it fits.
            let wanted = (range.end - at).min(self.buf.len() as u64) as usize;
            let asked = wanted.next_multiple_of(ALIGN);
            let have = reader.read_again(&mut self.buf[..asked], at)?.min(wanted);
            if have < wanted {
                return Ok(Holds::Other);
            }
            let piece = &self.buf[..wanted];
            zeros &= piece.iter().all(|byte| *byte == 0);
            for (_, hasher) in &mut hashers {
                hasher.update(piece);
            }
            at += wanted as u64;
        }
        if zeros {
            return Ok(Holds::Zeros);
        }
        let belongs = hashers
            .into_iter()
            .find_map(|(other, hasher)| recorded.is(other, &hasher.finish()).then_some(other));
        Ok(belongs.map_or(Holds::Other, Holds::Block))
    }
}

/// The blocks whose content may have ended up in block `index`, nearest first: those beside it,
/// and those a power of two away, where a wrong address line would put it. Only blocks of the same
/// length come into question.
fn near(index: u64, block_size: BlockSize, file_size: u64) -> Vec<u64> {
    let count = block_size.count(file_size);
    let length = |index| {
        let range = block_size.range(index, file_size);
        range.end - range.start
    };
    let distances: BTreeSet<u64> = (1..=NEIGHBOURS)
        .chain((0..u64::BITS).map(|bit| 1 << bit))
        .collect();
    let both = distances
        .into_iter()
        .flat_map(|distance| [index.checked_sub(distance), index.checked_add(distance)]);
    both.flatten()
        .filter(|other| *other < count && length(*other) == length(index))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_bad_blocks_are_one_range_and_the_last_ends_with_the_file() {
        let mut bad = BadBlocks::new(BlockSize::MIN, 5 * 65_536 + 7);
        for index in [1, 2, 4, 5] {
            bad.add(index);
        }
        let damage = bad.damage;
        let expected = [65_536..3 * 65_536, 4 * 65_536..5 * 65_536 + 7];
        assert_eq!(damage.ranges, expected);
        assert_eq!((damage.blocks_bad, damage.blocks_other()), (4, 4));
    }

    #[test]
    fn the_list_of_ranges_stays_bounded_and_still_covers_every_bad_block() {
        let blocks = 4 * RANGES_MAX as u64;
        let mut bad = BadBlocks::new(BlockSize::MIN, blocks << 16);
        for index in (0..blocks).step_by(2) {
            bad.add(index);
        }
        assert_eq!(bad.damage.ranges.len(), RANGES_MAX);
        assert_eq!(bad.damage.ranges.last().unwrap().end, (blocks - 1) << 16);
        assert_eq!(bad.damage.blocks_bad, blocks / 2);
        assert_eq!(bad.first.len(), LOOKED_AT_MAX);
    }

    #[test]
    fn near_are_the_neighbours_and_the_powers_of_two_of_the_same_length() {
        let of = |index, blocks: u64| near(index, BlockSize::MIN, (blocks << 16) + 1);
        assert_eq!(of(0, 3), [1, 2], "not the last, which is shorter");
        assert!(of(3, 3).is_empty(), "nor anything for the last");
        let far = of(100, 5000);
        assert!(far.starts_with(&[99, 101, 98, 102]));
        assert!(far.contains(&(100 + 4096)) && !far.contains(&150));
    }
}
