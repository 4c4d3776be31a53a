//! Block arithmetic: how a file is cut into fixed blocks. Plain numbers, no I/O.
//!
//! A *block* is ours: a power-of-two slice of a file, 1 MiB by default. (BLAKE3's own 1 KiB unit
//! is called a *chunk* and appears only in `hash.rs`.)

use std::fmt;
use std::ops::Range;

/// The size of a block in bytes: a power of two from 64 KiB to 64 MiB.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockSize {
    log2: u8,
}

/// Why a number is not a block size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("block size {bytes} is not a power of two from 64 KiB to 64 MiB")]
pub struct BlockSizeError {
    /// The number that was refused, in bytes.
    pub bytes: u64,
}

impl BlockSize {
    /// 64 KiB.
    pub const MIN: BlockSize = BlockSize { log2: 16 };
    /// 64 MiB.
    pub const MAX: BlockSize = BlockSize { log2: 26 };

    /// Checks that `bytes` is a power of two from 64 KiB to 64 MiB.
    pub fn new(bytes: u64) -> Result<BlockSize, BlockSizeError> {
        if !bytes.is_power_of_two() {
            return Err(BlockSizeError { bytes });
        }
        BlockSize::from_log2(bytes.trailing_zeros() as u8).ok_or(BlockSizeError { bytes })
    }

    /// The block size of `2^log2` bytes, if it is in range.
    pub fn from_log2(log2: u8) -> Option<BlockSize> {
        (Self::MIN.log2..=Self::MAX.log2)
            .contains(&log2)
            .then_some(BlockSize { log2 })
    }

    /// The exponent, as the manifest's header stores it.
    pub fn log2(self) -> u8 {
        self.log2
    }

    /// The size in bytes.
    pub fn bytes(self) -> u64 {
        1 << self.log2
    }

    /// How many blocks a file of `file_bytes` has; an empty file has one, empty, block.
    pub fn count(self, file_bytes: u64) -> u64 {
        file_bytes.div_ceil(self.bytes()).max(1)
    }

    /// Whether a file of `file_bytes` is a single block, whose hash is then the file hash itself.
    pub fn is_single(self, file_bytes: u64) -> bool {
        file_bytes <= self.bytes()
    }

    /// The bytes of block `index` within a file of `file_bytes`.
    pub fn range(self, index: u64, file_bytes: u64) -> Range<u64> {
        let start = index.saturating_mul(self.bytes()).min(file_bytes);
        start..start.saturating_add(self.bytes()).min(file_bytes)
    }
}

impl Default for BlockSize {
    /// 1 MiB.
    fn default() -> Self {
        BlockSize { log2: 20 }
    }
}

impl fmt::Debug for BlockSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockSize({})", self.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_powers_of_two_in_range_are_block_sizes() {
        for log2 in 16..=26 {
            assert_eq!(BlockSize::new(1 << log2).unwrap().bytes(), 1 << log2);
        }
        for bytes in [0, 1, 1000, 1 << 15, (1 << 20) + 1, 1 << 27, u64::MAX] {
            assert_eq!(BlockSize::new(bytes), Err(BlockSizeError { bytes }));
        }
    }

    #[test]
    fn ranges_tile_the_file_and_the_last_is_short() {
        let size = BlockSize::new(1 << 16).unwrap();
        let file = 3 * size.bytes() + 5;
        assert_eq!(size.count(file), 4);
        assert_eq!(size.range(0, file), 0..65536);
        assert_eq!(size.range(3, file), 196_608..196_613);
        assert_eq!(size.range(4, file), file..file);
        assert_eq!(size.count(0), 1);
        assert_eq!(size.range(0, 0), 0..0);
        assert_eq!(size.range(u64::MAX, file), file..file);
    }
}
