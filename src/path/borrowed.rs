//! Paths that are only looked at: checked like a [`RelPath`](super::RelPath), and not copied.

use serde::de::{Deserialize, Deserializer, Error};

use super::{RelPath, RelPathError, check};

/// A path relative to the root of a destination, whose bytes somebody else holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PathRef<'a>(&'a [u8]);

impl<'a> PathRef<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<PathRef<'a>, RelPathError> {
        check(bytes).map(|()| PathRef(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> From<&'a RelPath> for PathRef<'a> {
    fn from(path: &'a RelPath) -> PathRef<'a> {
        PathRef(path.as_bytes())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for PathRef<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<PathRef<'a>, D::Error> {
        let bytes: &[u8] = Deserialize::deserialize(from)?;
        PathRef::new(bytes).map_err(Error::custom)
    }
}
