//! Blocks that are read ahead: in what order they come, and what a reading that goes wrong does.

use super::*;
use crate::block::BlockSize;
use crate::fs::scripted::Scripted;
use crate::hash::{Hash32, TreeMerger};
use crate::stop::Stopper;
use crate::throttle::Throttle;
use std::sync::atomic::{AtomicU64, Ordering};

fn reading<R: FsFile>(file: R, file_size: u64, block_size: BlockSize) -> Arc<Reading<R>> {
    Arc::new(Reading {
        file: Arc::new(file),
        file_size,
        block_size,
        throttle: Arc::new(Throttle::new(None, Stopper::new())),
    })
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n / 7 + n / 60_000) as u8).collect()
}

/// What a file that holds `bytes` answers to a read.
fn answer(bytes: &[u8], buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let rest = bytes.get(offset as usize..).unwrap_or(&[]);
    let have = rest.len().min(buf.len());
    buf[..have].copy_from_slice(&rest[..have]);
    Ok(have)
}

/// All blocks of a file in order, as they were read ahead.
fn take_all<R: FsFile>(reading: &Arc<Reading<R>>) -> Vec<io::Result<Option<Hash32>>> {
    let blocks = 0..reading.block_size.count(reading.file_size);
    let readers = Readers::new();
    let mut taker = readers.begin(reading, blocks.clone()).unwrap();
    let all = blocks.map(|index| taker.take(index).unwrap().hash);
    all.collect()
}

#[test]
fn blocks_read_ahead_merge_to_the_hash_of_the_file_at_every_length_and_block_size() {
    for (block_bytes, lens) in [
        (1 << 16, vec![70_000, RUN_BYTES, RUN_BYTES + 1, 5_000_000]),
        (1 << 20, vec![(5 << 20) + 4097]),
        (1 << 22, vec![(9 << 20) - 1]),
    ] {
        let size = BlockSize::new(block_bytes).unwrap();
        for len in lens {
            let bytes = content(len);
            let whole = *blake3::hash(&bytes).as_bytes();
            let answer = move |buf: &mut [u8], at| answer(&bytes, buf, at);
            let file_size = len as u64;
            let file = Scripted {
                size: file_size,
                answer,
            };
            let mut merger = TreeMerger::new(size);
            for hash in take_all(&reading(file, file_size, size)) {
                merger.push(hash.unwrap().unwrap());
            }
            assert_eq!(merger.finish(), whole, "{len} in {size:?}");
        }
    }
}

#[test]
fn of_a_run_with_a_bad_sector_only_the_block_that_has_it_cannot_be_read() {
    let bytes = content(RUN_BYTES);
    let bad = 300_000..300_512;
    let file = Scripted {
        size: bytes.len() as u64,
        answer: move |buf: &mut [u8], at: u64| {
            let end = at + buf.len() as u64;
            match at < bad.end && bad.start < end {
                true => Err(io::Error::from_raw_os_error(5)),
                false => answer(&bytes, buf, at),
            }
        },
    };
    let all = take_all(&reading(file, RUN_BYTES as u64, BlockSize::MIN));
    let failed: Vec<usize> = (0..all.len()).filter(|n| all[*n].is_err()).collect();
    assert_eq!(failed, [4]);
}

#[test]
fn a_file_that_became_shorter_lacks_the_blocks_behind_its_end() {
    let bytes = content(200_000);
    let file = Scripted {
        size: 200_000,
        answer: move |buf: &mut [u8], at| answer(&bytes, buf, at),
    };
    let all = take_all(&reading(file, RUN_BYTES as u64, BlockSize::MIN));
    let there = all.iter().map(|hash| hash.as_ref().unwrap().is_some());
    assert_eq!(there.filter(|there| *there).count(), 3);
    assert!(all[..3].iter().all(|hash| hash.as_ref().unwrap().is_some()));
}

#[test]
fn nobody_waits_for_a_thread_that_panicked() {
    let file = Scripted {
        size: 1,
        answer: |_: &mut [u8], at: u64| match at >= RUN_BYTES as u64 {
            true => panic!("as the test wants it"),
            false => Ok(0),
        },
    };
    let all = take_all(&reading(file, 2 * RUN_BYTES as u64, BlockSize::MIN));
    let run = RUN_BYTES >> 16;
    assert_eq!(all.iter().position(Result::is_err), Some(run));
    assert!(all[run..].iter().all(Result::is_err));
}

#[test]
fn no_more_is_read_ahead_than_is_allowed() {
    static READ_TO: AtomicU64 = AtomicU64::new(0);
    let file = Scripted {
        size: u64::MAX,
        answer: |buf: &mut [u8], at: u64| {
            READ_TO.fetch_max(at + buf.len() as u64, Ordering::SeqCst);
            Ok(buf.len())
        },
    };
    let size = BlockSize::default();
    let file_size = 8 * AHEAD_BYTES;
    let reading = reading(file, file_size, size);
    let readers = Readers::new();
    let blocks = size.count(file_size);
    let mut taker = readers.begin(&reading, 0..blocks).unwrap();
    for index in 0..blocks {
        let most = index * size.bytes() + AHEAD_BYTES + RUN_BYTES as u64;
        assert!(READ_TO.load(Ordering::SeqCst) <= most);
        assert!(taker.take(index).is_some());
    }
}

#[test]
fn who_asks_for_another_block_than_the_next_is_left_to_himself() {
    let bytes = content(200_000);
    let file = Scripted {
        size: 200_000,
        answer: move |buf: &mut [u8], at| answer(&bytes, buf, at),
    };
    let reading = reading(file, 200_000, BlockSize::MIN);
    let readers = Readers::new();
    let mut taker = readers.begin(&reading, 0..4).unwrap();
    assert!(taker.take(0).is_some());
    assert!(taker.take(2).is_none());
    assert!(taker.take(1).is_none());
}
