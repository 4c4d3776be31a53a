//! The hash list of a destination for a report: its digest, and the first of its lines.

use std::io::{self, Write};
use std::path::Path;

use sprag::{ExportFormat, error::Error};

/// So many lines are in the report itself.
const LINES_MAX: usize = 1000;
/// Longer lines are cut off in the report; the digest has them whole.
const LINE_BYTES_MAX: usize = 4096;

/// What `sprag export DEST` prints, in short.
pub(super) struct HashList {
    /// BLAKE3 of the whole list, in hexadecimal.
    pub(super) digest: String,
    /// How many files are in it.
    pub(super) files: u64,
    /// The first lines.
    pub(super) lines: Vec<String>,
}

impl HashList {
    /// Reads it from the manifest of `dest`, or from this one.
    pub(super) fn of(dest: &Path, manifest: Option<&Path>) -> Result<HashList, Error> {
        let mut taker = Taker::default();
        let summary = sprag::export(
            dest,
            manifest,
            ExportFormat::B3sum,
            &mut taker,
            &mut |_, _| {},
        )?;
        Ok(HashList {
            digest: taker.hasher.finalize().to_hex().to_string(),
            files: summary.files,
            lines: taker.lines,
        })
    }
}

/// Hashes all that is written to it, and keeps the first lines.
#[derive(Default)]
struct Taker {
    hasher: blake3::Hasher,
    line: Vec<u8>,
    lines: Vec<String>,
}

impl Write for Taker {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        for byte in bytes {
            if self.lines.len() == LINES_MAX {
                break;
            }
            if *byte == b'\n' {
                let line = String::from_utf8_lossy(&self.line).into_owned();
                self.lines.push(line);
                self.line.clear();
            } else if self.line.len() < LINE_BYTES_MAX {
                self.line.push(*byte);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_whole_list_and_only_the_first_lines_are_kept() {
        let list = "0123  a name\n".repeat(LINES_MAX + 5);
        let mut taker = Taker::default();
        for piece in list.as_bytes().chunks(7) {
            taker.write_all(piece).unwrap();
        }
        assert_eq!(taker.lines.len(), LINES_MAX);
        assert_eq!(taker.lines[LINES_MAX - 1], "0123  a name");
        assert_eq!(taker.hasher.finalize(), blake3::hash(list.as_bytes()));
    }
}
