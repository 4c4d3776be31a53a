//! The first 4096 bytes of a manifest: what it is, and who holds it.
//!
//! ```text
//!    0   8  magic  89 's' 'p' 'r' 'a' 'g' 0d 0a
//!    8   4  format version, little endian
//!   12   1  log2 of the block size in bytes
//!   13   3  zero
//!   16  16  id of the destination, random
//!   32  16  nonce of this file, random
//!   48   8  when the manifest was begun, ms since the Unix epoch, little endian
//!   56   8  checksum of bytes 0..56
//!   64   4  length of the holder's record, little endian; 0: none
//!   68   8  checksum of the holder's record
//!   76   …  the holder's record (bincode), at most 436 bytes
//! ```
//!
//! Bytes 0..64 are written once and keep their meaning in every later version. The holder's part
//! is rewritten in place by each exclusive holder and is never needed for anything but a message.
//!
//! The id and the beginning stay the same while a manifest is compacted and copied. The nonce is
//! that of one file: with the id it is part of the checksum of every frame.

use std::io;

use serde::{Deserialize, Serialize};

use crate::block::BlockSize;
use crate::checksum::FileKey;
use crate::codec;
use crate::fs;
use crate::hash::header_checksum;

/// The length of the header in bytes.
pub(super) const HEADER_BYTES: usize = 4096;
/// How much of it every version has, with the same meaning.
const FIXED_BYTES: usize = 64;
/// Where the checksum of what stands before it is.
const CHECKSUM_AT: usize = 56;
/// The newest format version, the one that is written.
pub(super) const VERSION: u32 = 1;
/// Where the holder's part begins.
pub(super) const HOLDER_OFFSET: u64 = 64;

pub(super) const MAGIC: [u8; 8] = *b"\x89sprag\r\n";
const HOLDER_BYTES: usize = 512 - HOLDER_OFFSET as usize;
const HOLDER_PREFIX: usize = 12;

/// What is fixed for the life of a manifest file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: [u8; 16],
    /// Of this file.
    pub(super) nonce: [u8; 16],
    pub(super) block_size: BlockSize,
    pub(super) made_ms: u64,
}

/// Why a header cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// Nothing was ever written: the making of the file was cut short.
    Blank,
    /// A version that is not known here.
    Newer(u32),
    /// Not a header.
    Damaged(&'static str),
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12] = self.block_size.log2();
        bytes[16..32].copy_from_slice(&self.id);
        bytes[32..48].copy_from_slice(&self.nonce);
        bytes[48..56].copy_from_slice(&self.made_ms.to_le_bytes());
        let checksum = header_checksum(&bytes[..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..FIXED_BYTES].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Header, HeaderError> {
        if bytes.iter().all(|b| *b == 0) {
            return Err(HeaderError::Blank);
        }
        const CUT_SHORT: HeaderError = HeaderError::Damaged("the header is cut short");
        if bytes.len() < FIXED_BYTES {
            return Err(CUT_SHORT);
        }
        if bytes[0..8] != MAGIC {
            return Err(HeaderError::Damaged("it does not begin as a manifest does"));
        }
        if u64_at(bytes, CHECKSUM_AT) != header_checksum(&bytes[..CHECKSUM_AT]) {
            return Err(HeaderError::Damaged("the header's checksum does not match"));
        }
        let version = u32_at(bytes, 8);
        if version > VERSION {
            return Err(HeaderError::Newer(version));
        }
        if bytes.len() < HEADER_BYTES {
            return Err(CUT_SHORT);
        }
        let block_size = BlockSize::from_log2(bytes[12])
            .ok_or(HeaderError::Damaged("the block size is out of range"))?;
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[16..32]);
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&bytes[32..48]);
        Ok(Header {
            id,
            nonce,
            block_size,
            made_ms: u64_at(bytes, 48),
        })
    }
}

impl Header {
    /// What binds frames to the file.
    pub(super) fn key(&self) -> FileKey {
        let mut key = FileKey::default();
        key[..16].copy_from_slice(&self.id);
        key[16..].copy_from_slice(&self.nonce);
        key
    }

    /// That of another file of the same manifest.
    pub(super) fn of_new_file(self) -> io::Result<Header> {
        Ok(Header {
            nonce: fs::random_bytes()?,
            ..self
        })
    }

    /// Whether both are of one manifest: the same file, or one that was made of the other.
    pub(super) fn is_same_manifest(&self, other: &Header) -> bool {
        (self.id, self.made_ms) == (other.id, other.made_ms)
    }

    /// The header that this would be if one of its bytes were another. The checksum says which: that
    /// a wrong one passes is as unlikely as ever, a few thousand times.
    pub(super) fn mended(bytes: &[u8]) -> Option<Header> {
        let mut tried = bytes.get(..HEADER_BYTES)?.to_vec();
        for at in 0..FIXED_BYTES {
            for flip in 1..=u8::MAX {
                tried[at] ^= flip;
                if let Ok(header) = Header::decode(&tried) {
                    return Some(header);
                }
                tried[at] ^= flip;
            }
        }
        None
    }
}

/// Who holds the exclusive lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    pub(crate) host: String,
    /// Milliseconds since the Unix epoch.
    pub(crate) started_ms: u64,
}

impl Holder {
    /// This process, from now on.
    pub(crate) fn this_process() -> Holder {
        Holder {
            pid: std::process::id(),
            host: crate::fs::host_name(),
            started_ms: crate::time::now_ms(),
        }
    }

    /// The holder's part of the header; of nobody if `None` or if it would not fit.
    pub(super) fn encode(holder: Option<&Holder>) -> Vec<u8> {
        let mut part = vec![0; HOLDER_BYTES];
        let mut payload = Vec::new();
        if let Some(holder) = holder
            && codec::encode(holder, &mut payload).is_ok()
            && payload.len() <= HOLDER_BYTES - HOLDER_PREFIX
        {
            part[0..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
            part[4..12].copy_from_slice(&header_checksum(&payload).to_le_bytes());
            part[HOLDER_PREFIX..HOLDER_PREFIX + payload.len()].copy_from_slice(&payload);
        }
        part
    }

    /// Reads it from a header, if one is there and whole.
    pub(super) fn decode(header: &[u8]) -> Option<Holder> {
        let part = header.get(HOLDER_OFFSET as usize..)?;
        let len = u32_at(part.get(0..HOLDER_PREFIX)?, 0) as usize;
        if len == 0 || len > HOLDER_BYTES - HOLDER_PREFIX {
            return None;
        }
        let payload = part.get(HOLDER_PREFIX..HOLDER_PREFIX + len)?;
        if u64_at(part, 4) != header_checksum(payload) {
            return None;
        }
        codec::decode(payload).ok()
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            id: *b"0123456789abcdef",
            nonce: *b"ghijklmnopqrstuv",
            block_size: BlockSize::default(),
            made_ms: 1_700_000_000_000,
        }
    }

    #[test]
    fn a_header_reads_back_and_any_flipped_byte_of_it_is_noticed_and_found() {
        let bytes = header().encode();
        assert_eq!(Header::decode(&bytes), Ok(header()));
        for at in 0..FIXED_BYTES {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(
                matches!(Header::decode(&flipped), Err(HeaderError::Damaged(_))),
                "byte {at}"
            );
            assert_eq!(Header::mended(&flipped), Some(header()), "byte {at}");
            flipped[(at + 1) % FIXED_BYTES] ^= 0x40;
            assert_eq!(Header::mended(&flipped), None, "byte {at} and the next");
        }
    }

    #[test]
    fn a_blank_header_is_a_cut_short_beginning_and_not_damage() {
        assert_eq!(Header::decode(&[]), Err(HeaderError::Blank));
        assert_eq!(Header::decode(&[0; 5000]), Err(HeaderError::Blank));
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let mut bytes = header().encode();
        bytes[8..12].copy_from_slice(&7u32.to_le_bytes());
        let checksum = header_checksum(&bytes[..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..FIXED_BYTES].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(Header::decode(&bytes), Err(HeaderError::Newer(7)));
    }

    #[test]
    fn the_holder_reads_back_or_is_nobody() {
        let holder = Holder {
            pid: 42,
            host: "quarry".into(),
            started_ms: 5,
        };
        let mut bytes = header().encode();
        assert_eq!(Holder::decode(&bytes), None);
        let at = HOLDER_OFFSET as usize;
        let part = Holder::encode(Some(&holder));
        bytes[at..at + part.len()].copy_from_slice(&part);
        assert_eq!(Holder::decode(&bytes), Some(holder));
        bytes[at + HOLDER_PREFIX] ^= 1;
        assert_eq!(Holder::decode(&bytes), None);
    }
}
