//! The checksum of a manifest's frames: XXH64, which takes a tenth of the time that BLAKE3 takes for so
//! few bytes. It finds accidents, as many as any other of 64 bits; nothing here stops malice, and
//! no content of a file is ever judged by it.

use std::hash::Hasher;

use twox_hash::XxHash64;

/// What binds frames to one file: the id and the nonce in its header.
pub(crate) type FileKey = [u8; 32];

/// What goes into it before the payload: key, position, length.
const START_BYTES: usize = size_of::<FileKey>() + 8 + 8;
/// A payload that is no longer than this with what goes before it is taken in one piece: nearly all are.
const SHORT_BYTES: usize = 256;

/// The checksum of a frame. Bound to the file and to the frame's place in it, so that neither a
/// frame of an older file in reused disk blocks nor a misplaced one passes for good.
pub(crate) fn frame_checksum(key: &FileKey, position: u64, payload: &[u8]) -> u64 {
    let mut together = [0; SHORT_BYTES];
    together[..32].copy_from_slice(key);
    together[32..40].copy_from_slice(&position.to_le_bytes());
    together[40..START_BYTES].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    let end = START_BYTES + payload.len();
    if let Some(place) = together.get_mut(START_BYTES..end) {
        place.copy_from_slice(payload);
        return XxHash64::oneshot(0, &together[..end]);
    }
    let mut hasher = XxHash64::with_seed(0);
    hasher.write(&together[..START_BYTES]);
    hasher.write(payload);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_key_position_length_and_payload() {
        let key = [3; 32];
        for len in [0_u64, 7, 200, 208, 209, 5000] {
            let payload: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let mut input = key.to_vec();
            input.extend_from_slice(&265_u64.to_le_bytes());
            input.extend_from_slice(&len.to_le_bytes());
            input.extend_from_slice(&payload);
            let sum = frame_checksum(&key, 265, &payload);
            assert_eq!(sum, XxHash64::oneshot(0, &input));
        }
    }

    #[test]
    fn another_file_place_or_content_has_another() {
        let sum = frame_checksum(&[3; 32], 265, b"payload");
        for other in [
            frame_checksum(&[4; 32], 265, b"payload"),
            frame_checksum(&[3; 32], 266, b"payload"),
            frame_checksum(&[3; 32], 265, b"payloae"),
        ] {
            assert_ne!(sum, other);
        }
    }

    #[test]
    fn the_hash_is_the_standard_one() {
        assert_eq!(XxHash64::oneshot(0, b""), 0xef46_db37_51d8_e999);
        assert_eq!(XxHash64::oneshot(0, b"abc"), 0x44bc_2cf5_ad77_0999);
    }
}
