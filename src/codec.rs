//! Values to bytes and back, for the manifest: the only user of bincode.
//!
//! The bytes are trusted only as far as their frame's checksum goes, which stops accidents and not
//! malice. So decoding is bounded by itself: no more than [`FRAME_MAX`] bytes go in, what claims
//! to be longer than the input can be is refused before memory is set aside for it, and every byte
//! must have been used at the end.

use bincode::config::{Configuration, Limit, LittleEndian, Varint, standard};
use bincode::error::{DecodeError, EncodeError};
use serde::{Deserialize, Serialize};

/// The most bytes that one value may take.
pub(crate) const FRAME_MAX: usize = 1 << 20;

/// bincode's limit counts an integer by its full width, up to 16 bytes, though a small one is a
/// single byte in the input. So input of n bytes may rightly count as up to 16·n.
const COUNTED_PER_BYTE: usize = 16;

/// A configuration that refuses a value which counts for more than `LIMIT` bytes.
type Limited<const LIMIT: usize> = Configuration<LittleEndian, Varint, Limit<LIMIT>>;

/// Why a value could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    /// The encoded value is, or would be, longer than [`FRAME_MAX`].
    #[error("a record of {bytes} bytes is over the limit of {FRAME_MAX}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// Bytes are left over behind the value.
    #[error("a record has {bytes} bytes left over at its end")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// The value cannot be expressed.
    #[error("cannot encode a record")]
    Encode(#[from] EncodeError),
    /// The bytes are not such a value.
    #[error("cannot decode a record")]
    Decode(#[from] DecodeError),
}

/// Appends the bytes of `value` to `out`. On an error `out` is as it was.
pub(crate) fn encode<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = out.len();
    let result = append(value, out);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn append<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let bytes = bincode::serde::encode_into_std_write(value, out, standard())?;
    if bytes > FRAME_MAX {
        return Err(CodecError::TooLong { bytes });
    }
    Ok(())
}

/// Reads a value that takes up all of `bytes`, and may borrow from them.
///
/// Sets aside at most 1 MiB at a time for what the input merely announces (16 MiB if the input is
/// over 64 KiB): a string or byte string by the limit, any other list by serde's own caution.
pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CodecError> {
    if bytes.len() > FRAME_MAX {
        return Err(CodecError::TooLong { bytes: bytes.len() });
    }
    if bytes.len() <= FRAME_MAX / COUNTED_PER_BYTE {
        decode_within(bytes, standard().with_limit::<FRAME_MAX>())
    } else {
        const LIMIT: usize = FRAME_MAX * COUNTED_PER_BYTE;
        decode_within(bytes, standard().with_limit::<LIMIT>())
    }
}

fn decode_within<'a, T: Deserialize<'a>, const LIMIT: usize>(
    bytes: &'a [u8],
    config: Limited<LIMIT>,
) -> Result<T, CodecError> {
    let (value, used) = bincode::serde::borrow_decode_from_slice(bytes, config)?;
    match bytes.len() - used {
        0 => Ok(value),
        bytes => Err(CodecError::Trailing { bytes }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_bytes::ByteBuf;
    use std::collections::BTreeMap;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Sample {
        Nothing,
        Named {
            path: ByteBuf,
            size: u64,
            mtime_ns: i128,
        },
        Hashes(Vec<[u8; 32]>),
    }

    fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(value, &mut bytes).unwrap();
        bytes
    }

    /// The bytes of a length, as they stand before a list or string.
    fn announced(len: u64) -> Vec<u8> {
        encoded(&len)
    }

    #[test]
    fn the_encoding_is_pinned() {
        let value = Sample::Named {
            path: ByteBuf::from(*b"a/b"),
            size: 300,
            mtime_ns: -1,
        };
        assert_eq!(
            encoded(&value),
            [1, 3, b'a', b'/', b'b', 251, 0x2c, 0x01, 1]
        );
        assert_eq!(encoded(&Sample::Nothing), [0]);
        assert_eq!(decode::<Sample>(&encoded(&value)).unwrap(), value);
    }

    #[test]
    fn encoding_appends() {
        let mut bytes = vec![9, 9];
        encode(&7u64, &mut bytes).unwrap();
        assert_eq!(bytes, [9, 9, 7]);
    }

    #[test]
    fn a_value_over_the_limit_is_refused_and_leaves_nothing_behind() {
        let mut bytes = vec![9, 9];
        let value = ByteBuf::from(vec![0; FRAME_MAX]);
        let error = encode(&value, &mut bytes).unwrap_err();
        assert!(matches!(error, CodecError::TooLong { .. }), "{error:?}");
        assert_eq!(bytes, [9, 9]);
        let error = decode::<ByteBuf>(&vec![0; FRAME_MAX + 1]).unwrap_err();
        assert!(matches!(error, CodecError::TooLong { .. }), "{error:?}");
    }

    #[test]
    fn whatever_could_be_encoded_can_be_decoded_however_small_its_integers() {
        for len in [1, 4000, FRAME_MAX / 16, FRAME_MAX - 5] {
            let small = vec![1i128; len];
            assert!(
                decode::<Vec<i128>>(&encoded(&small)).unwrap() == small,
                "{len}"
            );
        }
        let bytes = ByteBuf::from(vec![7; FRAME_MAX - 5]);
        assert_eq!(decode::<ByteBuf>(&encoded(&bytes)).unwrap(), bytes);
    }

    #[test]
    fn bytes_left_over_are_refused() {
        let mut bytes = encoded(&Sample::Nothing);
        bytes.extend([0, 0]);
        let error = decode::<Sample>(&bytes).unwrap_err();
        assert!(
            matches!(error, CodecError::Trailing { bytes: 2 }),
            "{error:?}"
        );
    }

    #[test]
    fn a_cut_value_is_an_error_at_every_length() {
        let bytes = encoded(&Sample::Hashes(vec![[5; 32]; 3]));
        for len in 0..bytes.len() {
            let error = decode::<Sample>(&bytes[..len]).unwrap_err();
            assert!(matches!(error, CodecError::Decode(_)), "{len}: {error:?}");
        }
    }

    #[test]
    fn an_announced_string_over_the_limit_is_refused_before_memory_is_set_aside() {
        for len in [FRAME_MAX as u64, 1 << 30, 1 << 46, 1 << 62, u64::MAX] {
            let bytes = announced(len);
            for result in [
                decode::<ByteBuf>(&bytes).map(drop),
                decode::<String>(&bytes).map(drop),
            ] {
                assert!(
                    matches!(result, Err(CodecError::Decode(DecodeError::LimitExceeded))),
                    "{len}: {result:?}"
                );
            }
        }
    }

    #[test]
    fn an_announced_list_that_is_not_there_is_an_error_and_no_great_allocation() {
        // Any of the longer ones would abort the test if memory were set aside for all of it.
        for len in [1000, 1 << 20, 1 << 46, 1 << 62, u64::MAX] {
            let bytes = announced(len);
            for result in [
                decode::<Vec<[u8; 32]>>(&bytes).map(drop),
                decode::<Vec<Vec<String>>>(&bytes).map(drop),
                decode::<BTreeMap<u64, u64>>(&bytes).map(drop),
            ] {
                assert!(
                    matches!(
                        result,
                        Err(CodecError::Decode(DecodeError::UnexpectedEnd { .. }))
                    ),
                    "{len}: {result:?}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Ok(value) = decode::<Sample>(&bytes) {
                prop_assert_eq!(decode::<Sample>(&encoded(&value)).unwrap(), value);
            }
        }
    }
}
