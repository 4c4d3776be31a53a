//! Cutting and decoding: on one thread and on several, whole, torn, damaged and limited.

use super::*;
use crate::checksum::{FileKey, frame_checksum};
use crate::codec;
use crate::fs::scripted::Scripted;
use crate::manifest::{Record, VerifyBegin};

const KEY: FileKey = *b"0123456789abcdefghijklmnopqrstuv";

/// A file of frames of all lengths, some longer than a chunk, and where each frame begins.
fn file() -> (Vec<u8>, Vec<u64>) {
    let mut bytes = vec![0; FRAMES_START as usize];
    let mut positions = Vec::new();
    for n in 0..30_000_u64 {
        let long = n % 9000 == 8999;
        let what = "x".repeat(if long { 400_000 } else { n as usize % 90 });
        let mut payload = Vec::new();
        let record: Record = Record::VerifyBegin(VerifyBegin {
            started_ms: n,
            key: 0,
            seed: 0,
            what,
        });
        codec::encode(&record, &mut payload).unwrap();
        let pos = bytes.len() as u64;
        positions.push(pos);
        bytes.extend((payload.len() as u32).to_le_bytes());
        bytes.extend(frame_checksum(&KEY, pos, &payload).to_le_bytes());
        bytes.extend(payload);
    }
    assert!(bytes.len() as u64 > 2 * ALONE_BYTES);
    (bytes, positions)
}

/// Takes the positions of frames that hold a record.
fn take(positions: &mut Vec<u64>, pos: u64, payload: &[u8]) {
    assert!(codec::decode::<Record>(payload).is_ok());
    positions.push(pos);
}

/// The positions of the frames of as many chunks, and where they end.
fn positions(bytes: &[u8], limit: u64, chunks: usize) -> (Vec<u64>, u64) {
    let (bytes, file_len) = (bytes.to_vec(), bytes.len() as u64);
    let file = Scripted {
        size: file_len,
        answer: move |buf: &mut [u8], at: u64| {
            let rest = bytes.get(at as usize..).unwrap_or(&[]);
            let have = rest.len().min(buf.len());
            buf[..have].copy_from_slice(&rest[..have]);
            Ok(have)
        },
    };
    let (mut seen, mut visited) = (Vec::new(), 0);
    let visit = |positions: Vec<u64>, chunk: &Chunk| {
        assert!(positions.iter().all(|pos| !chunk.payload(*pos).is_empty()));
        seen.extend(positions);
        visited += 1;
        Ok(visited < chunks)
    };
    let end = each(&file, &KEY, (file_len, limit), take, visit);
    (seen, end.unwrap())
}

#[test]
fn every_frame_is_handed_out_once_and_in_order() {
    let (bytes, expected) = file();
    let (seen, end) = positions(&bytes, u64::MAX, usize::MAX);
    assert!(seen == expected);
    assert_eq!(end, bytes.len() as u64);
}

#[test]
fn frames_end_at_the_first_bad_one_wherever_its_damage_is() {
    let (bytes, expected) = file();
    for nth in [0, 1, 8999, 15_000, expected.len() - 1] {
        // In the length, in its high byte, in the checksum, in the payload.
        for offset in [0, 3, 5, FRAME_PREFIX] {
            let mut bytes = bytes.clone();
            bytes[expected[nth] as usize + offset] ^= 1;
            let (seen, end) = positions(&bytes, u64::MAX, usize::MAX);
            assert!(seen == expected[..nth], "{nth} {offset}");
            assert_eq!(end, expected[nth]);
        }
    }
}

#[test]
fn a_file_that_ends_within_a_frame_gives_those_before_it() {
    let (bytes, expected) = file();
    for (nth, more) in [(15_000, 2), (15_000, 20), (8999, 300_000), (0, 0)] {
        let cut = expected[nth] as usize + more;
        let (seen, end) = positions(&bytes[..cut], u64::MAX, usize::MAX);
        assert!(seen == expected[..nth], "{nth} {more}");
        assert_eq!(end, expected[nth]);
    }
}

#[test]
fn a_limit_and_whoever_has_seen_enough_end_it_early() {
    let (bytes, expected) = file();
    for nth in [0, 1, 15_000] {
        let (seen, end) = positions(&bytes, expected[nth], usize::MAX);
        assert!(seen == expected[..nth]);
        assert_eq!(end, expected[nth]);
    }
    for chunks in [1, 3] {
        let (seen, end) = positions(&bytes, u64::MAX, chunks);
        assert!(!seen.is_empty() && seen == expected[..seen.len()]);
        assert_eq!(end, expected[seen.len()]);
    }
}

#[test]
fn what_cannot_be_read_is_an_error_behind_what_can() {
    let (bytes, expected) = file();
    let bad = expected[20_000];
    let file_len = bytes.len() as u64;
    let file = Scripted {
        size: file_len,
        answer: move |buf: &mut [u8], at: u64| {
            if at + buf.len() as u64 > bad {
                return Err(io::Error::from_raw_os_error(5));
            }
            let at = at as usize;
            buf.copy_from_slice(&bytes[at..at + buf.len()]);
            Ok(buf.len())
        },
    };
    let mut seen = 0;
    let read = each(
        &file,
        &KEY,
        (file_len, u64::MAX),
        take,
        |positions: Vec<u64>, _| {
            seen += positions.len();
            Ok(true)
        },
    );
    assert!(read.is_err());
    assert!((10_000..=20_000).contains(&seen), "{seen}");
}
