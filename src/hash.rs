//! BLAKE3 by blocks: hash slices of a file apart, then merge them into the standard file hash.
//!
//! This is the only module that uses `blake3::hazmat`. A block's hash is the *chaining value* of
//! its bytes at their offset, an inner node of the BLAKE3 tree of the whole file. Merging the
//! blocks' values in order gives exactly the hash that `b3sum` prints, however the reading was
//! interrupted. A file of one block or less has no inner node: its block hash is the file hash.
//!
//! What this is not: it reads nothing, and it does not know how long a file is. Giving it whole
//! blocks in order, all full but the last, is up to the caller.

use blake3::Hasher;
use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::block::BlockSize;

/// A BLAKE3 hash or chaining value.
pub type Hash32 = [u8; 32];

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

/// The checksum of a manifest frame. Bound to the manifest and to the frame's place in it, so that
/// neither a frame of an older file in reused disk blocks nor a misplaced one passes for good.
pub(crate) fn frame_checksum(id: &[u8; 16], position: u64, payload: &[u8]) -> u64 {
    debug_assert!(u32::try_from(payload.len()).is_ok(), "frames are bounded");
    let mut start = [0; FRAME_START_BYTES];
    start[..16].copy_from_slice(id);
    start[16..24].copy_from_slice(&position.to_le_bytes());
    start[24..].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    let mut together = [0; FRAME_SHORT_BYTES];
    let end = FRAME_START_BYTES + payload.len();
    let sum = match together.get_mut(..end) {
        // In one piece it takes half the time.
        Some(together) => {
            let (before, rest) = together.split_at_mut(FRAME_START_BYTES);
            before.copy_from_slice(&start);
            rest.copy_from_slice(payload);
            blake3::hash(together)
        }
        None => Hasher::new().update(&start).update(payload).finalize(),
    };
    let mut first = [0; 8];
    first.copy_from_slice(&sum.as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// What goes into the checksum of a frame before its payload.
const FRAME_START_BYTES: usize = 16 + 8 + 4;
/// A payload that is no longer than this with what goes before it is hashed in one piece: nearly all are.
const FRAME_SHORT_BYTES: usize = 256;

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
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes that never repeat, so that swapped blocks cannot go unnoticed.
    fn content(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    /// The file hash of `bytes` by way of its blocks.
    fn by_blocks(bytes: &[u8], size: BlockSize) -> Hash32 {
        let len = bytes.len() as u64;
        let mut merger = TreeMerger::new(size);
        for index in 0..size.count(len) {
            let range = size.range(index, len);
            let block = &bytes[range.start as usize..range.end as usize];
            merger.push(hash_block(block, range.start, size.is_single(len)));
        }
        assert_eq!(merger.count(), size.count(len));
        merger.finish()
    }

    fn size(log2: u8) -> BlockSize {
        BlockSize::from_log2(log2).unwrap()
    }

    #[test]
    fn merged_blocks_give_the_standard_hash_around_every_boundary() {
        let bytes = content((3 << 26) + 1);
        for log2 in 16..=26 {
            let block = 1usize << log2;
            let few = [0, 1, block - 1, block, block + 1, 2 * block, 2 * block + 1];
            let more = [3 * block + 1];
            let many = [5 * block - 1, 16 * block, 17 * block + 1024];
            let many = if log2 <= 20 { &many[..] } else { &[] };
            for len in few.iter().chain(&more).chain(many) {
                let bytes = &bytes[..*len];
                let expected = Hash32::from(blake3::hash(bytes));
                assert_eq!(by_blocks(bytes, size(log2)), expected, "{len} in {block}");
            }
        }
    }

    #[test]
    fn every_number_of_blocks_up_to_a_hundred_merges_right() {
        let size = BlockSize::MIN;
        let bytes = content(100 << 16);
        let mut merger = TreeMerger::new(size);
        let mut whole = Hasher::new();
        for (index, block) in bytes.chunks(1 << 16).enumerate() {
            whole.update(block);
            merger.push(hash_block(block, (index as u64) << 16, false));
            if index > 0 {
                assert_eq!(merger.finish(), Hash32::from(whole.finalize()), "{index}");
            }
        }
    }

    #[test]
    fn memory_grows_with_the_bits_of_the_block_count() {
        let mut merger = TreeMerger::new(BlockSize::default());
        for count in 1u64..=5000 {
            merger.push([7; 32]);
            assert_eq!(
                merger.stack.len(),
                (count - 1).count_ones() as usize + 1,
                "{count}"
            );
        }
    }

    #[test]
    fn nothing_hashes_as_the_empty_input() {
        let empty = Hash32::from(blake3::hash(&[]));
        assert_eq!(TreeMerger::new(BlockSize::MIN).finish(), empty);
        assert_eq!(hash_block(&[], 0, true), empty);
        assert_eq!(hash_block(&[], 1 << 20, false), empty);
    }

    #[test]
    fn one_pushed_hash_comes_back_and_a_clone_goes_its_own_way() {
        let mut merger = TreeMerger::new(BlockSize::MIN);
        merger.push([1; 32]);
        let mut other = merger.clone();
        other.push([2; 32]);
        assert_eq!(merger.finish(), [1; 32]);
        assert_ne!(other.finish(), [1; 32]);
        assert_eq!((merger.count(), other.count()), (1, 2));
    }

    #[test]
    fn a_block_hash_depends_on_where_the_block_stands() {
        let bytes = content(1 << 16);
        let at_start = hash_block(&bytes, 0, false);
        assert_ne!(at_start, hash_block(&bytes, 1 << 16, false));
        assert_ne!(at_start, hash_block(&bytes, 0, true));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn how_a_block_is_cut_into_pieces_does_not_matter(
            len in 0usize..600_000,
            pieces in prop::collection::vec(1usize..70_000, 1..8),
        ) {
            let size = BlockSize::MIN;
            let bytes = content(len);
            let single = size.is_single(len as u64);
            let mut merger = TreeMerger::new(size);
            let mut cuts = pieces.iter().cycle();
            for index in 0..size.count(len as u64) {
                let range = size.range(index, len as u64);
                let mut hasher = BlockHasher::new(range.start, single);
                let mut rest = &bytes[range.start as usize..range.end as usize];
                while !rest.is_empty() {
                    let cut = cuts.next().copied().unwrap_or(1).min(rest.len());
                    hasher.update(&rest[..cut]);
                    rest = &rest[cut..];
                }
                merger.push(hasher.finish());
            }
            prop_assert_eq!(merger.finish(), Hash32::from(blake3::hash(&bytes)));
        }
    }

    #[test]
    fn a_frame_checksum_is_that_of_id_position_length_and_payload() {
        let (id, payload) = ([3; 16], b"payload");
        let mut input = id.to_vec();
        input.extend_from_slice(&[9, 1, 0, 0, 0, 0, 0, 0]);
        input.extend_from_slice(&[7, 0, 0, 0]);
        input.extend_from_slice(payload);
        let sum = frame_checksum(&id, 265, payload);
        assert_eq!(sum.to_le_bytes(), blake3::hash(&input).as_bytes()[..8]);
        for other in [
            frame_checksum(&[4; 16], 265, payload),
            frame_checksum(&id, 266, payload),
            frame_checksum(&id, 265, b"payloae"),
        ] {
            assert_ne!(sum, other);
        }
    }

    #[test]
    fn a_header_checksum_is_in_a_domain_of_its_own() {
        let sum = header_checksum(b"bytes").to_le_bytes();
        assert_eq!(sum, blake3::hash(b"sprag headerbytes").as_bytes()[..8]);
        assert_ne!(sum, blake3::hash(b"bytes").as_bytes()[..8]);
    }

    #[test]
    fn an_xattr_digest_is_that_of_lengths_names_and_values() {
        let mut input = b"sprag xattrs".to_vec();
        for part in [&b"user.a"[..], b"1", b"user.b", b""] {
            input.extend_from_slice(&(part.len() as u64).to_le_bytes());
            input.extend_from_slice(part);
        }
        let attrs = [(&b"user.a"[..], &b"1"[..]), (b"user.b", b"")];
        let digest = xattr_digest(attrs.into_iter());
        assert_eq!(digest.to_le_bytes(), blake3::hash(&input).as_bytes()[..8]);
        assert_eq!(xattr_digest(std::iter::empty()), 0);
    }

    #[test]
    fn a_partial_nonce_is_stable_and_changes_with_each_of_its_parts() {
        let nonce = partial_nonce(&[1; 16], b"a/b", 0);
        let mut input = b"sprag partial".to_vec();
        input.extend_from_slice(&[1; 16]);
        input.extend_from_slice(b"\0a/b");
        assert_eq!(nonce.to_le_bytes(), blake3::hash(&input).as_bytes()[..4]);
        assert_ne!(nonce, partial_nonce(&[2; 16], b"a/b", 0));
        assert_ne!(nonce, partial_nonce(&[1; 16], b"a/c", 0));
        assert_ne!(nonce, partial_nonce(&[1; 16], b"a/b", 1));
    }

    #[test]
    fn hex_is_lower_case_and_keeps_leading_zeros() {
        assert_eq!(to_hex(&[0x00, 0x0f, 0xa5, 0xff]), "000fa5ff");
        assert_eq!(to_hex(&[]), "");
        let hash = blake3::hash(b"x");
        assert_eq!(to_hex(hash.as_bytes()), hash.to_hex().as_str());
    }
}
