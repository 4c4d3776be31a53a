//! Paths inside a destination: relative, byte-exact, and safe to join to a directory handle.
//!
//! A [`RelPath`] never leaves the tree it is relative to: it has no root, no `.` or `..`, no empty
//! component and no NUL. It is any bytes otherwise; [`Printable`] makes it fit for a terminal.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

mod borrowed;

pub(crate) use borrowed::PathRef;

/// The longest path that is accepted, in bytes.
pub const PATH_BYTES_MAX: usize = 4096;

/// A path relative to the root of a destination. The empty path is the root itself.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "serde_bytes::ByteBuf", into = "serde_bytes::ByteBuf")]
pub struct RelPath {
    bytes: Vec<u8>,
}

/// Why some bytes are not a path inside a destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelPathError {
    /// Longer than [`PATH_BYTES_MAX`].
    #[error("the path is {0} bytes long, more than {PATH_BYTES_MAX}")]
    TooLong(usize),
    /// It starts with `/`.
    #[error("the path is absolute")]
    Absolute,
    /// `.`, `..`, an empty component or a NUL.
    #[error("the path has a component that is empty, \".\", \"..\" or contains NUL")]
    Component,
}

impl RelPath {
    /// The root of the destination.
    pub fn root() -> RelPath {
        RelPath::default()
    }

    /// The directory of sprag's own state, at the top of each destination.
    pub fn state_dir() -> RelPath {
        RelPath {
            bytes: b".sprag".to_vec(),
        }
    }

    /// Where [`crate::left_over`] moves files.
    pub(crate) fn left_over_dir() -> RelPath {
        RelPath {
            bytes: b".sprag/left-over".to_vec(),
        }
    }

    /// Checks bytes that come from outside, a manifest for one.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<RelPath, RelPathError> {
        let bytes = bytes.into();
        check(&bytes)?;
        Ok(RelPath { bytes })
    }

    /// This path with one more component.
    pub fn join(&self, name: &[u8]) -> Result<RelPath, RelPathError> {
        let mut bytes = Vec::with_capacity(self.bytes.len() + 1 + name.len());
        if !self.is_root() {
            bytes.extend_from_slice(&self.bytes);
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        if !is_component(name) {
            return Err(RelPathError::Component);
        }
        RelPath::new(bytes)
    }

    /// This path with all of another behind it, in the memory of one that is done with.
    pub(crate) fn join_all(&self, below: &[u8], spare: RelPath) -> Result<RelPath, RelPathError> {
        let mut bytes = spare.bytes;
        bytes.clear();
        bytes.reserve(self.bytes.len() + 1 + below.len());
        bytes.extend_from_slice(&self.bytes);
        if !self.is_root() && !below.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(below);
        RelPath::new(bytes)
    }

    /// The bytes, components separated by `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether this is the root of the destination.
    pub fn is_root(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The path without its last component, and that component. `None` for the root.
    pub fn split(&self) -> Option<(RelPath, &[u8])> {
        if self.is_root() {
            return None;
        }
        Some(match self.bytes.iter().rposition(|b| *b == b'/') {
            None => (RelPath::root(), &self.bytes),
            Some(at) => (
                RelPath {
                    bytes: self.bytes[..at].to_vec(),
                },
                &self.bytes[at + 1..],
            ),
        })
    }

    /// Whether this is right in `dir`, not further below it.
    pub(crate) fn stands_in(&self, dir: &RelPath) -> bool {
        let parent = match self.bytes.iter().rposition(|b| *b == b'/') {
            None => &[],
            Some(at) => &self.bytes[..at],
        };
        parent == &dir.bytes[..] && !self.is_root()
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &[u8] {
        match self.bytes.iter().rposition(|b| *b == b'/') {
            None => &self.bytes,
            Some(at) => &self.bytes[at + 1..],
        }
    }

    /// What is left of this path below `prefix`. `None` if it is not below it; the root if it is
    /// the same.
    pub fn strip_prefix(&self, prefix: &RelPath) -> Option<RelPath> {
        if prefix.is_root() {
            return Some(self.clone());
        }
        let rest = self.bytes.strip_prefix(&prefix.bytes[..])?;
        let bytes = match rest.first() {
            None => Vec::new(),
            Some(b'/') => rest[1..].to_vec(),
            Some(_) => return None,
        };
        Some(RelPath { bytes })
    }

    /// Whether this is `dir` or below it.
    pub(crate) fn is_within(&self, dir: &RelPath) -> bool {
        let rest = self.bytes.strip_prefix(&dir.bytes[..]);
        rest.is_some_and(|rest| dir.is_root() || matches!(rest.first(), None | Some(b'/')))
    }

    /// The components, outermost first.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.split(|b| *b == b'/').filter(|c| !c.is_empty())
    }

    /// As a standard path, still relative.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.bytes))
    }

    /// Joined below `root`.
    pub fn below(&self, root: &Path) -> PathBuf {
        if self.is_root() {
            root.to_path_buf()
        } else {
            root.join(self.as_path())
        }
    }

    /// The standard path, owned.
    pub fn to_path_buf(&self) -> PathBuf {
        PathBuf::from(OsString::from_vec(self.bytes.clone()))
    }
}

/// Whether some bytes are a path inside a destination.
fn check(bytes: &[u8]) -> Result<(), RelPathError> {
    if bytes.len() > PATH_BYTES_MAX {
        return Err(RelPathError::TooLong(bytes.len()));
    }
    if bytes.first() == Some(&b'/') {
        return Err(RelPathError::Absolute);
    }
    if !bytes.is_empty() && !are_components(bytes) {
        return Err(RelPathError::Component);
    }
    Ok(())
}

/// Whether every part of a path may stand in one. One look at each byte: every path of a run comes here.
fn are_components(path: &[u8]) -> bool {
    let mut start = 0;
    for (at, byte) in path.iter().enumerate() {
        match byte {
            0 => return false,
            b'/' => {
                if !names_something(&path[start..at]) {
                    return false;
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    names_something(&path[start..])
}

/// Whether a part of a path is a name, and not a way to elsewhere.
fn names_something(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..")
}

fn is_component(name: &[u8]) -> bool {
    !name.contains(&b'/') && are_components(name)
}

impl Clone for RelPath {
    fn clone(&self) -> RelPath {
        let bytes = self.bytes.clone();
        RelPath { bytes }
    }

    /// Into the memory that is there, which is what the derived one would not do.
    fn clone_from(&mut self, source: &RelPath) {
        self.bytes.clone_from(&source.bytes);
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_path())
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(self.as_path()).fmt(f)
    }
}

impl TryFrom<serde_bytes::ByteBuf> for RelPath {
    type Error = RelPathError;
    fn try_from(bytes: serde_bytes::ByteBuf) -> Result<RelPath, RelPathError> {
        RelPath::new(bytes.into_vec())
    }
}

impl From<RelPath> for serde_bytes::ByteBuf {
    fn from(path: RelPath) -> serde_bytes::ByteBuf {
        serde_bytes::ByteBuf::from(path.bytes)
    }
}

/// Shows text from outside cleaned, as [`Printable`] does with a path.
pub struct PrintableText<'a>(pub &'a str);

impl fmt::Display for PrintableText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if is_hidden(c) {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// Shows a path with control characters escaped and bad UTF-8 replaced, so that a file name can
/// neither move the cursor nor forge a line of output.
pub struct Printable<'a>(pub &'a Path);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.as_os_str().is_empty() {
            return f.write_str(".");
        }
        PrintableText(&self.0.to_string_lossy()).fmt(f)
    }
}

/// Whether a character is not shown as itself: one that a terminal acts on, one that reorders or hides what
/// stands beside it, or one that looks like nothing (format characters, fillers and tags of Unicode 16).
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// What a path has behind the directory that it begins with, byte for byte.
pub(crate) fn bytes_below<'a>(path: &'a Path, dir: &Path) -> Option<&'a [u8]> {
    let dir = dir.as_os_str().as_bytes();
    let below = path.as_os_str().as_bytes().strip_prefix(dir)?;
    match below.is_empty() || dir.ends_with(b"/") {
        true => Some(below),
        false => below.strip_prefix(b"/"),
    }
}

/// Whether a source means its contents: it ends in `/`, `.` or `..`, as with rsync.
pub(crate) fn means_contents(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    let last = bytes.rsplit(|b| *b == b'/').next().unwrap_or_default();
    last.is_empty() || last == b"." || last == b".."
}

/// The directory a path is in; the current one for a bare name.
pub(crate) fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        Some(_) => PathBuf::from("."),
        None => PathBuf::from("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_tree_are_refused() {
        for bad in [
            "/a", "..", "a/..", "a/../b", ".", "a//b", "a/", "a/./b", "a\0b",
        ] {
            assert!(RelPath::new(bad).is_err(), "{bad:?}");
        }
        assert!(RelPath::new(vec![b'x'; PATH_BYTES_MAX + 1]).is_err());
        for good in ["", "a", "a/b", "...", "a b", "\u{fffd}", ".hidden"] {
            assert!(RelPath::new(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn join_and_split_are_inverse() {
        let dir = RelPath::root().join(b"a").unwrap().join(b"b").unwrap();
        let (parent, name) = dir.split().unwrap();
        assert_eq!((parent.as_bytes(), name), (&b"a"[..], &b"b"[..]));
        assert_eq!(parent.split().unwrap().0, RelPath::root());
        assert_eq!(RelPath::root().split(), None);
        assert!(RelPath::root().join(b"a/b").is_err());
        assert!(RelPath::root().join(b"..").is_err());
    }

    #[test]
    fn a_path_stands_in_what_splitting_gives() {
        let path = |at: &str| RelPath::new(at).unwrap();
        for (dir, at, is) in [
            ("", "a", true),
            ("a", "a/b", true),
            ("a/b", "a/b/c", true),
            ("", "", false),
            ("", "a/b", false),
            ("a", "ab", false),
            ("a", "ab/c", false),
            ("a", "a", false),
        ] {
            assert_eq!(path(at).stands_in(&path(dir)), is, "{dir} {at}");
            let parent = path(at).split().map(|(parent, _)| parent);
            assert_eq!(parent == Some(path(dir)), is, "{dir} {at}");
        }
    }

    #[test]
    fn a_prefix_ends_at_a_component() {
        let path = RelPath::new("a/bc/d").unwrap();
        let below = |prefix: &str| path.strip_prefix(&RelPath::new(prefix).unwrap());
        assert_eq!(below(""), Some(path.clone()));
        assert_eq!(below("a/bc"), Some(RelPath::new("d").unwrap()));
        assert_eq!(below("a/bc/d"), Some(RelPath::root()));
        assert_eq!(below("a/b"), None);
        assert_eq!(below("a/bc/d/e"), None);
    }

    #[test]
    fn a_hostile_name_cannot_drive_the_terminal() {
        let path = RelPath::new("a\x1b[2J\n\u{202e}b").unwrap();
        assert_eq!(path.to_string(), "a\\u{1b}[2J\\n\\u{202e}b");
        assert_eq!(RelPath::root().to_string(), ".");
    }
}
