//! The id of a manifest: by it a destination is known again, wherever its drive is mounted.

use std::fmt;
use std::str::FromStr;

/// What a manifest was given when it was made: 128 random bits. As text, 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ManifestId(pub(crate) [u8; 16]);

impl fmt::Display for ManifestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ManifestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ManifestId({self})")
    }
}

/// A text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of a manifest has 32 hexadecimal digits")]
pub struct ManifestIdError;

impl FromStr for ManifestId {
    type Err = ManifestIdError;

    fn from_str(text: &str) -> Result<ManifestId, ManifestIdError> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ManifestIdError);
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| ManifestIdError)?;
        Ok(ManifestId(number.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = ManifestId(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes());
        assert_eq!(id.to_string(), "00112233445566778899aabbccddeeff");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn other_texts_are_no_ids() {
        for text in [
            "",
            "12",
            "+0112233445566778899aabbccddeeff0",
            "g0112233445566778899aabbccddeeff",
        ] {
            assert_eq!(text.parse::<ManifestId>(), Err(ManifestIdError), "{text}");
        }
    }
}
