//! BLAKE3 by blocks: hash slices of a file apart, then merge them into the standard file hash.
//!
//! This is the only module that uses `blake3::hazmat`. A block's hash is the *chaining value* of
//! its bytes at their offset, an inner node of the BLAKE3 tree of the whole file. Merging the
//! blocks' values in order gives exactly the hash that `b3sum` prints, however the reading was
//! interrupted. A file of one block or less has no inner node: its block hash is the file hash.
//!
//! What this is not: it reads nothing, and it does not know how long a file is. Giving it whole
//! blocks in order, all full but the last, is up to the caller.

use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use blake3::Hasher;
use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::block::BlockSize;

/// A BLAKE3 hash or chaining value.
pub type Hash32 = [u8; 32];

/// See [`hashed_bytes`].
static HASHED_BYTES: AtomicU64 = AtomicU64::new(0);

/// How many bytes of files this process has hashed. `tests/cost` bounds it.
#[doc(hidden)]
pub fn hashed_bytes() -> u64 {
    HASHED_BYTES.load(Ordering::Relaxed)
}

/// Hashes one block, handed over in pieces of any length.
#[derive(Debug, Clone)]
pub struct BlockHasher {
    hasher: Hasher,
    single: bool,
}

impl BlockHasher {
    /// Begins the block at `offset` bytes into its file. `single` says that the file is one block
    /// or less (see [`BlockSize::is_single`]), so that this block's hash is the file hash.
    ///
    /// # Panics
    ///
    /// If `offset` is not a multiple of BLAKE3's 1 KiB chunk; every block offset is.
    pub fn new(offset: u64, single: bool) -> BlockHasher {
        debug_assert!(!single || offset == 0, "a single block begins its file");
        let mut hasher = Hasher::new();
        hasher.set_input_offset(offset);
        BlockHasher { hasher, single }
    }

    /// Takes the next bytes of the block.
    ///
    /// # Panics
    ///
    /// Possibly, when the block gets more bytes than a block of its file can have.
    pub fn update(&mut self, bytes: &[u8]) {
        HASHED_BYTES.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.hasher.update(bytes);
    }

    /// The block hash: the root hash of a single block, the chaining value of any other.
    ///
    /// A block without bytes gets the hash of the empty input, which is right for an empty file
    /// and matches nothing anywhere else.
    pub fn finish(self) -> Hash32 {
        if self.hasher.count() == 0 {
            return hash_of_nothing();
        }
        if self.single {
            return self.hasher.finalize().into();
        }
        self.hasher.finalize_non_root()
    }
}

/// The hash of a block that is in memory; arguments as for [`BlockHasher::new`].
pub fn hash_block(bytes: &[u8], offset: u64, single: bool) -> Hash32 {
    let mut hasher = BlockHasher::new(offset, single);
    hasher.update(bytes);
    hasher.finish()
}

/// Returns the hashes of full blocks of zeros with these indices, calculated on all processors. Each is
/// another one: where a block is in its file is part of its hash.
pub fn hash_zeros(blocks: Range<u64>, size: BlockSize) -> Vec<Hash32> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let hash = |index: u64| {
        let mut hasher = BlockHasher::new(index * size.bytes(), false);
        for _ in 0..size.bytes() / ZEROS.len() as u64 {
            hasher.update(&ZEROS);
        }
        hasher.finish()
    };
    let count = blocks.end.saturating_sub(blocks.start);
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get) as u64;
    let each = count.div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let parts = blocks.clone().step_by(each as usize).map(|first| {
            let part = first..blocks.end.min(first + each);
            scope.spawn(move || part.map(hash).collect::<Vec<_>>())
        });
        let parts: Vec<_> = parts.collect();
        let hashed = parts.into_iter().flat_map(|part| match part.join() {
            Ok(hashes) => hashes,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        hashed.collect()
    })
}

/// Merges the block hashes of one file, pushed in order, into its file hash.
///
/// Holds at most 65 hashes, one for each bit of the number of blocks and one more.
///
/// # Why a binary counter builds the right tree
///
/// BLAKE3 splits a subtree of more than one chunk so that the left part has the largest power of
/// two of bytes that is less than the whole (`left_subtree_len`). Take blocks of B bytes, B a
/// power of two, and an input of N ≥ 2 blocks, all full but perhaps the last: its length is over
/// (N-1)·B and at most N·B. The largest power of two below it is B·2^a, where 2^a is the largest
/// power of two that is at most N-1. So the cut falls between blocks, the left part is 2^a full
/// blocks, and what is right of it is again such an input, of N - 2^a blocks. Repeated, the cuts
/// take off one subtree for each 1 bit of N-1, the greatest first, and leave one last block on
/// the right. The subtrees, powers of two of full blocks, split into equal halves all the way
/// down, whatever follows them.
///
/// The stack holds just that: after N pushes, the subtrees of the bits of N-1, and the last block.
/// A further push makes the last block one of the full ones, and merging equal neighbours is the
/// carry of adding 1 to a binary number. The last block is never merged before it is known whether
/// another follows, because at the end its parent may be the root, and only one node is the root.
#[derive(Debug, Clone)]
pub struct TreeMerger {
    stack: Vec<Hash32>,
    count: u64,
}

impl TreeMerger {
    /// Begins a file that is cut into blocks of this size. The size itself never enters a merge;
    /// it is asked for because the tree comes out right only where blocks are a power of two.
    pub fn new(_block: BlockSize) -> TreeMerger {
        TreeMerger {
            stack: Vec::new(),
            count: 0,
        }
    }

    /// Takes the hash of the next block.
    pub fn push(&mut self, hash: Hash32) {
        // Before the first push both sides are 0; after it, the right side is at least 1, so the
        // loop body always has two to merge.
        while self.stack.len() > self.count.count_ones() as usize {
            let left = self.stack.len() - 2;
            self.stack[left] =
                merge_subtrees_non_root(&self.stack[left], &self.stack[left + 1], Mode::Hash);
            self.stack.truncate(left + 1);
        }
        self.stack.push(hash);
        self.count += 1;
    }

    /// How many block hashes were pushed.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The file hash, if what was pushed is all of the file. One pushed hash comes back as it is
    /// and must be that of a single block; none gives the hash of an empty file.
    pub fn finish(&self) -> Hash32 {
        match self.stack.as_slice() {
            [] => hash_of_nothing(),
            [only] => *only,
            [first, middle @ .., last] => {
                let right = middle.iter().rev().fold(*last, |right, left| {
                    merge_subtrees_non_root(left, &right, Mode::Hash)
                });
                merge_subtrees_root(first, &right, Mode::Hash).into()
            }
        }
    }
}

fn hash_of_nothing() -> Hash32 {
    blake3::hash(&[]).into()
}

/// The checksum of the manifest's header.
pub(crate) fn header_checksum(bytes: &[u8]) -> u64 {
    let mut hasher = Hasher::new();
    hasher.update(b"sprag header");
    hasher.update(bytes);
    u64::from_le_bytes(first_bytes(&hasher))
}

/// A number that tells partials of one directory apart: different for each destination, path and
/// attempt, and the same whenever it is asked for again.
pub(crate) fn partial_nonce(id: &[u8; 16], path: &[u8], attempt: u8) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(b"sprag partial");
    hasher.update(id);
    hasher.update(&[attempt]);
    hasher.update(path);
    u32::from_le_bytes(first_bytes(&hasher))
}

/// A digest of named values, in the order given; 0 if there are none.
pub(crate) fn xattr_digest<'a>(attrs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> u64 {
    let mut hasher = Hasher::new();
    hasher.update(b"sprag xattrs");
    let mut none = true;
    for part in attrs.flat_map(|(name, value)| [name, value]) {
        none = false;
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    match none {
        true => 0,
        false => u64::from_le_bytes(first_bytes(&hasher)),
    }
}

fn first_bytes<const N: usize>(hasher: &Hasher) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..N]);
    bytes
}

/// Lower-case hexadecimal, as `b3sum` prints it.
pub fn to_hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| hex_digits(*byte));
    digits.map(char::from).collect()
}

/// One byte of it.
pub(crate) fn hex_digits(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [byte >> 4, byte & 15].map(|half| DIGITS[usize::from(half)])
}

#[cfg(test)]
mod tests;
