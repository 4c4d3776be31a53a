//! The seal of a manifest or its copy: up to where it is whole.
//!
//! The copy grows in place, so a power cut can leave any part of what was being appended. Only what
//! lies before the seal counts. A manifest gets one where its end is cut off after a power cut, because
//! the barrier that covers the rest goes with that end. A seal is written when everything before it was
//! flushed, and is durable when the file was flushed once more. There are two places for it, in sectors of their own, which
//! are written in turns: whatever becomes of one while it is written, the other one stands.
//!
//! ```text
//!  512  16  a seal, or nothing
//! 1024  16  another
//!
//!    0   8  position, little endian
//!    8   8  checksum over id and nonce of the file, and the position
//! ```

use std::io;

use super::header::HEADER_BYTES;
use super::journal::FRAMES_START;
use crate::checksum::FileKey;
use crate::fs::{AlignedBuf, FsFile};
use crate::hash::header_checksum;

const PLACES: [usize; 2] = [512, 1024];
const SEAL_BYTES: usize = 16;

/// Up to where a manifest or its copy is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) position: u64,
    /// In which of the places it stands.
    place: usize,
}

impl Seal {
    /// The first of a new copy.
    pub(super) fn first(position: u64) -> Seal {
        Seal { position, place: 0 }
    }

    /// The one that follows, in the other place.
    pub(super) fn next(self, position: u64) -> Seal {
        let place = (self.place + 1) % PLACES.len();
        Seal { position, place }
    }

    /// Its bytes, and where in the file they belong.
    pub(super) fn encode(self, key: &FileKey) -> (u64, [u8; SEAL_BYTES]) {
        let mut bytes = [0; SEAL_BYTES];
        bytes[..8].copy_from_slice(&self.position.to_le_bytes());
        bytes[8..].copy_from_slice(&checksum(key, self.position).to_le_bytes());
        (PLACES[self.place] as u64, bytes)
    }

    /// Reads the one that counts in the header of a file.
    pub(super) fn read<F: FsFile>(file: &F, key: &FileKey) -> io::Result<Option<Seal>> {
        let mut header = AlignedBuf::new(HEADER_BYTES);
        let have = file.read_at(&mut header, 0)?;
        Ok(Seal::decode(&header[..have], key))
    }

    /// The one that counts in a header: the furthest.
    pub(super) fn decode(header: &[u8], key: &FileKey) -> Option<Seal> {
        let at = |(place, from): (usize, &usize)| {
            let bytes = header.get(*from..*from + SEAL_BYTES)?;
            let (position, sum) = bytes.split_first_chunk()?;
            let position = u64::from_le_bytes(*position);
            let is_good = checksum(key, position).to_le_bytes() == *sum;
            (is_good && position >= FRAMES_START).then_some(Seal { position, place })
        };
        let seals = PLACES.iter().enumerate().filter_map(at);
        seals.max_by_key(|seal| seal.position)
    }
}

fn checksum(key: &FileKey, position: u64) -> u64 {
    header_checksum(&[&key[..], &position.to_le_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: FileKey = [7; 32];

    fn put(header: &mut [u8], seal: Seal) -> usize {
        let (at, bytes) = seal.encode(&KEY);
        let at = at as usize;
        header[at..at + SEAL_BYTES].copy_from_slice(&bytes);
        at
    }

    #[test]
    fn the_furthest_seal_counts_and_one_that_is_not_whole_leaves_the_one_before() {
        let mut header = vec![0; HEADER_BYTES];
        assert_eq!(Seal::decode(&header, &KEY), None);
        let mut seal = Seal::first(5000);
        put(&mut header, seal);
        for position in [6000, 7000, 70_000] {
            let before = seal;
            seal = before.next(position);
            let at = put(&mut header, seal);
            assert_eq!(Seal::decode(&header, &KEY), Some(seal));
            for byte in at..at + SEAL_BYTES {
                let mut torn = header.clone();
                torn[byte] ^= 1;
                assert_eq!(Seal::decode(&torn, &KEY), Some(before), "byte {byte}");
            }
        }
        assert_eq!(Seal::decode(&header, &[8; 32]), None, "of another file");
        assert_eq!(Seal::decode(&header[..500], &KEY), None);
    }
}
