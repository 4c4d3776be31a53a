//! The recorded hashes as a list that `b3sum --check` takes, run in the destination's root.
//!
//! Nothing but the manifest is read. Lines come in its order, so that no tree's names have to be
//! held to sort them.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::error::{Error, PathContext};
use crate::hash::{Hash32, to_hex};
use crate::manifest::{Entry, OpenMode};
use crate::path::RelPath;

/// What was exported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ExportSummary {
    /// Files in the list; each hard link is one.
    pub files: u64,
    /// Files left out because their copy is not finished.
    pub incomplete: u64,
    /// Files left out because their path is not UTF-8 or has U+FFFD in it: b3sum's list has no
    /// form for them.
    pub not_representable: u64,
}

/// Writes the list of hashes of `dest` to `out`. `out` is flushed.
///
/// # Errors
///
/// As [`status`](super::status), and what `out` returns, as [`Error::Io`].
pub fn export(dest: &Path, out: &mut dyn Write) -> Result<ExportSummary, Error> {
    let (_, store) = super::open(dest, OpenMode::Read)?;
    let mut summary = ExportSummary::default();
    let mut list = io::BufWriter::new(out);
    let failed = |written: io::Result<()>| written.at("write the list of", dest);
    for pos in store.positions() {
        let (path, entry) = store.entry_at(pos)?;
        let hash = match entry {
            Entry::Done(done) => done.hash,
            Entry::Link(link) => match store.lookup(&link.to)? {
                Some((_, Entry::Done(done))) => done.hash,
                _ => {
                    summary.incomplete += 1;
                    continue;
                }
            },
            Entry::Partial(_) | Entry::LinkWanted(_) => {
                summary.incomplete += 1;
                continue;
            }
            Entry::Dir(_) | Entry::Symlink(_) => continue,
        };
        match line(&hash, &path) {
            Some(line) => {
                failed(list.write_all(line.as_bytes()))?;
                summary.files += 1;
            }
            None => summary.not_representable += 1,
        }
    }
    failed(list.flush())?;
    Ok(summary)
}

/// A line of the list. `None` if it has no form for the path.
fn line(hash: &Hash32, path: &RelPath) -> Option<String> {
    let path = str::from_utf8(path.as_bytes()).ok()?;
    if path.contains(char::REPLACEMENT_CHARACTER) {
        return None;
    }
    // By itself a dash would mean standard input.
    let path = if path == "-" { "./-" } else { path };
    let hash = to_hex(hash);
    if !path.contains(['\\', '\n', '\r']) {
        return Some(format!("{hash}  {path}\n"));
    }
    let escaped = path
        .replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\r', "\\r");
    Some(format!("\\{hash}  {escaped}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(path: &[u8]) -> Option<String> {
        let line = line(&[0xab; 32], &RelPath::new(path).unwrap())?;
        Some(line.replace(&"ab".repeat(32), "H"))
    }

    #[test]
    fn names_are_escaped_as_b3sum_escapes_them() {
        let plain = path_of("a b/\u{e9}  c".as_bytes());
        assert_eq!(plain.as_deref(), Some("H  a b/\u{e9}  c\n"));
        let escaped = path_of(b"a\\n\nb\rc");
        assert_eq!(escaped.as_deref(), Some("\\H  a\\\\n\\nb\\rc\n"));
        assert_eq!(path_of(b"-").as_deref(), Some("H  ./-\n"));
        assert_eq!(path_of(b"d/-").as_deref(), Some("H  d/-\n"));
    }

    #[test]
    fn names_that_b3sum_refuses_have_no_line() {
        assert_eq!(path_of(b"\xff"), None);
        assert_eq!(path_of("\u{fffd}".as_bytes()), None);
    }
}
