//! Hashes in a record, for serde: one behind the other as one string of bytes. As a list of arrays each of
//! their bytes would be read by itself.

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::Serializer;

use crate::hash::Hash32;

const HASH_BYTES: usize = size_of::<Hash32>();

pub(super) fn serialize<S: Serializer>(hashes: &[Hash32], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bytes(hashes.as_flattened())
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Hash32>, D::Error> {
    let bytes: &[u8] = Deserialize::deserialize(from)?;
    match bytes.as_chunks::<HASH_BYTES>() {
        (hashes, []) => Ok(hashes.to_vec()),
        _ => Err(D::Error::invalid_length(bytes.len(), &"whole hashes")),
    }
}
