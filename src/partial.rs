//! The names of partial files: `.sprag-<16 hex>.partial`, beside the final name.
//!
//! The first 8 digits are the beginning of the manifest's id, so that a destination knows its own;
//! the others follow from id, path and *attempt*, a small number that sidesteps a name in use. The
//! length is fixed and short: a final name of any length can have a partial.

use std::borrow::Borrow;
use std::ops::Deref;

use crate::hash::{hex_digits, partial_nonce, to_hex};
use crate::path::RelPath;

const PREFIX: &[u8] = b".sprag-";
const SUFFIX: &[u8] = b".partial";
const ID_BYTES: usize = 4;
const HEX_DIGITS: usize = 16;
const NAME_BYTES: usize = PREFIX.len() + HEX_DIGITS + SUFFIX.len();

/// The name of a partial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PartialName([u8; NAME_BYTES]);

impl Deref for PartialName {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for PartialName {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// The name of the partial of `path`, in the directory of `path`.
pub(crate) fn name(id: &[u8; 16], path: &RelPath, attempt: u8) -> PartialName {
    let nonce = partial_nonce(id, path.as_bytes(), attempt).to_be_bytes();
    let mut name = [0; NAME_BYTES];
    let (prefix, rest) = name.split_at_mut(PREFIX.len());
    let (digits, suffix) = rest.split_at_mut(HEX_DIGITS);
    prefix.copy_from_slice(PREFIX);
    let bytes = id[..ID_BYTES].iter().chain(&nonce);
    for (digits, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        digits.copy_from_slice(&hex_digits(*byte));
    }
    suffix.copy_from_slice(SUFFIX);
    PartialName(name)
}

/// Whether a name has the form of a partial of the destination with this id.
pub(crate) fn is_ours(id: &[u8; 16], name: &[u8]) -> bool {
    let digits = name
        .strip_prefix(&own_prefix(id)[..])
        .and_then(|rest| rest.strip_suffix(SUFFIX));
    digits.is_some_and(|digits| {
        digits.len() == HEX_DIGITS - 2 * ID_BYTES
            && digits
                .iter()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn own_prefix(id: &[u8; 16]) -> Vec<u8> {
    let mut prefix = PREFIX.to_vec();
    prefix.extend_from_slice(to_hex(&id[..ID_BYTES]).as_bytes());
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: [u8; 16] = [0xab; 16];

    #[test]
    fn a_name_has_a_fixed_form_and_differs_by_id_path_and_attempt() {
        let path = RelPath::new("a/b").unwrap();
        let one = name(&ID, &path, 0);
        assert_eq!(one.len(), NAME_BYTES);
        assert!(one.starts_with(b".sprag-abababab"));
        assert_eq!(one, name(&ID, &path, 0));
        assert_ne!(one, name(&ID, &path, 1));
        assert_ne!(one, name(&ID, &RelPath::new("a/c").unwrap(), 0));
        assert_ne!(one, name(&[0xac; 16], &path, 0));
    }

    #[test]
    fn only_names_of_the_same_id_and_exact_form_are_ours() {
        let path = RelPath::new("a/b").unwrap();
        assert!(is_ours(&ID, &name(&ID, &path, 7)));
        assert!(!is_ours(&[1; 16], &name(&ID, &path, 7)));
        for strange in [
            &b".sprag-abababab1234567.partial"[..],
            b".sprag-abababab123456789.partial",
            b".sprag-abababab1234567G.partial",
            b".sprag-ABABABAB12345678.partial",
            b".sprag-abababab12345678.partial2",
            b"x.sprag-abababab12345678.partial",
            b".sprag",
            b"",
        ] {
            assert!(!is_ours(&ID, strange), "{strange:?}");
        }
    }
}
