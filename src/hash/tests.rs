//! Hashes of blocks, merged in any way, against those of the blake3 crate itself.

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
fn zeros_hashed_on_all_processors_are_those_hashed_block_by_block() {
    let size = BlockSize::MIN;
    let zeros = vec![0; size.bytes() as usize];
    for blocks in [0..0, 0..1, 3..4, 2..19, 1000..1064] {
        let one_by_one = blocks.clone();
        let one_by_one = one_by_one.map(|index| hash_block(&zeros, index * size.bytes(), false));
        assert_eq!(hash_zeros(blocks, size), one_by_one.collect::<Vec<_>>());
    }
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
