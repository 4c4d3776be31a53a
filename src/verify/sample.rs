//! Choosing blocks at random: exactly as many as wanted, each with the same chance, in one pass.
//!
//! Each block is taken with the chance that it takes to get the rest of what is wanted out of the
//! rest of what there is. The same seed over the same records chooses the same blocks.

use crate::block::BlockSize;
use crate::options::SampleAmount;

/// What there is to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Population {
    pub(super) blocks: u64,
    pub(super) bytes: u64,
    /// The manifest cannot have hashes of more blocks. One that says so costs neither time nor memory.
    blocks_max: u64,
}

impl Population {
    /// None yet, of at most so many blocks.
    pub(super) fn new(blocks_max: u64) -> Population {
        Population {
            blocks: 0,
            bytes: 0,
            blocks_max,
        }
    }

    /// Adds a file.
    pub(super) fn add(&mut self, block_size: BlockSize, file_size: u64) {
        let blocks = self.blocks.saturating_add(block_size.count(file_size));
        self.blocks = blocks.min(self.blocks_max);
        self.bytes = self.bytes.saturating_add(file_size);
    }
}

/// Goes through files in order and chooses of their blocks.
#[derive(Debug)]
pub(super) struct Sampler {
    random: SplitMix,
    /// How many blocks are still to be chosen, of how many.
    wanted: u64,
    left: u64,
}

impl Sampler {
    pub(super) fn new(amount: SampleAmount, population: Population, seed: u64) -> Sampler {
        let Population { blocks, bytes, .. } = population;
        let part = |of: u64, part: u64, whole: u64| {
            let wanted = u128::from(of) * u128::from(part);
            u64::try_from(wanted.div_ceil(u128::from(whole.max(1)))).unwrap_or(u64::MAX)
        };
        let wanted = match amount {
            SampleAmount::PerMillion(share) => part(blocks, share.into(), 1_000_000),
            SampleAmount::Blocks(wanted) => wanted,
            SampleAmount::Bytes(wanted) => part(blocks, wanted, bytes),
        };
        Sampler {
            random: SplitMix(seed),
            wanted: wanted.min(blocks),
            left: blocks,
        }
    }

    /// About how many bytes will be chosen.
    pub(super) fn bytes(&self, population: Population) -> u64 {
        let bytes = u128::from(population.bytes) * u128::from(self.wanted);
        let bytes = bytes / u128::from(population.blocks.max(1));
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// Chooses of the blocks of the next file; ascending.
    pub(super) fn choose(&mut self, block_size: BlockSize, file_size: u64) -> Vec<u64> {
        let blocks = 0..block_size.count(file_size).min(self.left);
        blocks.filter(|_| self.takes()).collect()
    }

    fn takes(&mut self) -> bool {
        let taken = self.left > 0 && self.random.below(self.left) < self.wanted;
        self.left = self.left.saturating_sub(1);
        self.wanted -= u64::from(taken);
        taken
    }
}

/// Vigna's SplitMix64: small, quick, and the same everywhere, which is all that is asked of it.
#[derive(Debug)]
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0. The bias is below 2^-64 times `end`.
    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: BlockSize = BlockSize::MIN;

    fn chosen(amount: SampleAmount, files: &[u64], seed: u64) -> Vec<(usize, u64)> {
        let mut population = Population::new(1 << 20);
        files.iter().for_each(|size| population.add(SIZE, *size));
        let mut sampler = Sampler::new(amount, population, seed);
        let files = files.iter().enumerate();
        files
            .flat_map(|(file, size)| {
                let blocks = sampler.choose(SIZE, *size).into_iter();
                blocks.map(move |block| (file, block))
            })
            .collect()
    }

    #[test]
    fn exactly_as_many_blocks_are_chosen_as_are_wanted() {
        let files: Vec<u64> = (0..500).map(|n| n * 3001).collect();
        let blocks: u64 = files.iter().map(|size| SIZE.count(*size)).sum();
        for wanted in [0, 1, 77, blocks, blocks + 1] {
            let chosen = chosen(SampleAmount::Blocks(wanted), &files, 5);
            assert_eq!(chosen.len() as u64, wanted.min(blocks));
        }
        let part = chosen(SampleAmount::PerMillion(50_000), &files, 5);
        assert_eq!(part.len() as u64, blocks.div_ceil(20));
        assert_eq!(part, chosen(SampleAmount::PerMillion(50_000), &files, 5));
        assert_ne!(part, chosen(SampleAmount::PerMillion(50_000), &files, 6));
    }

    #[test]
    fn a_sample_by_size_has_as_many_blocks_as_have_that_size_on_average() {
        let files = [64 << 16, 64 << 16];
        let chosen = |bytes| chosen(SampleAmount::Bytes(bytes), &files, 9).len();
        assert_eq!([1, 65_536, 65_537, 10 << 16].map(chosen), [1, 1, 2, 10]);
        assert_eq!(chosen(u64::MAX), 128);
    }

    #[test]
    fn files_of_more_blocks_than_there_can_be_take_no_time() {
        let mut population = Population::new(1000);
        let sizes = [u64::MAX, 1 << 16, u64::MAX];
        sizes.iter().for_each(|size| population.add(SIZE, *size));
        let mut sampler = Sampler::new(SampleAmount::PerMillion(50_000), population, 5);
        let chosen = sizes.map(|size| sampler.choose(SIZE, size).len());
        assert_eq!(chosen.iter().sum::<usize>(), 50);
    }

    #[test]
    fn every_block_has_the_same_chance() {
        let mut times = [0; 10];
        for seed in 0..10_000 {
            for (_, block) in chosen(SampleAmount::Blocks(3), &[10 << 16], seed) {
                times[block as usize] += 1;
            }
        }
        // 3000 expected of each; six standard deviations are 275.
        assert!(times.iter().all(|times| (2725..=3275).contains(times)));
    }
}
