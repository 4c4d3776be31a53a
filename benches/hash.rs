//! What hashing by blocks costs beside hashing a file in one go, and what merging costs.
//!
//!     cargo bench --bench hash
#![allow(missing_docs)] // criterion's macros make public functions that cannot have any

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sprag::block::BlockSize;
use sprag::hash::{BlockHasher, Hash32, TreeMerger, hash_block};

/// Long enough for the largest block, far over any cache of a core's own.
const FILE_BYTES: usize = 64 << 20;
/// The pieces in which a copy might hand a block over.
const PIECE_BYTES: usize = 256 << 10;

fn content() -> Vec<u8> {
    (0..FILE_BYTES as u64 / 8)
        .flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect()
}

fn file_hash(bytes: &[u8], size: BlockSize) -> Hash32 {
    let len = bytes.len() as u64;
    let mut merger = TreeMerger::new(size);
    for index in 0..size.count(len) {
        let range = size.range(index, len);
        let mut hasher = BlockHasher::new(range.start, size.is_single(len));
        for piece in bytes[range.start as usize..range.end as usize].chunks(PIECE_BYTES) {
            hasher.update(piece);
        }
        merger.push(hasher.finish());
    }
    merger.finish()
}

/// A whole file by its blocks, for several block sizes; `blake3` is the same in one go.
fn files(c: &mut Criterion) {
    let bytes = content();
    let mut group = c.benchmark_group("file");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.sample_size(20);
    group.bench_function("blake3", |b| b.iter(|| blake3::hash(black_box(&bytes))));
    for log2 in [16, 18, 20, 22, 26] {
        let Some(size) = BlockSize::from_log2(log2) else {
            continue;
        };
        group.bench_function(BenchmarkId::new("blocks", size.bytes()), |b| {
            b.iter(|| file_hash(black_box(&bytes), size));
        });
    }
    group.finish();
}

/// One block in memory.
fn blocks(c: &mut Criterion) {
    let bytes = content();
    let mut group = c.benchmark_group("block");
    for size in [BlockSize::MIN, BlockSize::default()] {
        let block = &bytes[..size.bytes() as usize];
        group.throughput(Throughput::Bytes(size.bytes()));
        group.bench_function(BenchmarkId::from_parameter(size.bytes()), |b| {
            b.iter(|| hash_block(black_box(block), size.bytes(), false));
        });
    }
    group.finish();
}

/// The merges of a file of 64 GiB in blocks of 1 MiB, as when its last block is done.
fn merges(c: &mut Criterion) {
    const BLOCKS: u64 = 65_536;
    let hashes: Vec<Hash32> = (0..BLOCKS).map(|n| [n as u8; 32]).collect();
    let mut group = c.benchmark_group("merge");
    group.throughput(Throughput::Elements(BLOCKS));
    group.bench_function(BenchmarkId::from_parameter(BLOCKS), |b| {
        b.iter_batched(
            || TreeMerger::new(BlockSize::default()),
            |mut merger| {
                for hash in &hashes {
                    merger.push(*hash);
                }
                merger.finish()
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, files, blocks, merges);
criterion_main!(benches);
