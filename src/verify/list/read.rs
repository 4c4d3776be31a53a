//! Reading a list line by line, however long its lines are.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::line::{self, LineError, Listed};
use crate::fs::source::SourceFile;
use crate::path::PATH_BYTES_MAX;

/// Every byte of a path may be escaped; hash, tag and blanks come on top.
const LINE_BYTES_MAX: u64 = 2 * PATH_BYTES_MAX as u64 + 128;

/// A list that is open.
pub(super) struct List {
    lines: BufReader<Bytes>,
    number: u64,
}

/// A file read from its beginning on.
struct Bytes {
    file: SourceFile,
    at: u64,
}

impl Read for Bytes {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let have = self.file.read(buf, self.at)?;
        self.at += have as u64;
        Ok(have)
    }
}

impl List {
    pub(super) fn open(path: &Path) -> io::Result<List> {
        let file = SourceFile::open(path)?;
        Ok(List {
            lines: BufReader::new(Bytes { file, at: 0 }),
            number: 0,
        })
    }

    /// The next line that is neither empty nor a comment, and its number. `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Result<Listed, LineError>)>> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let limit = LINE_BYTES_MAX + 1;
            if self
                .lines
                .by_ref()
                .take(limit)
                .read_until(b'\n', &mut line)?
                == 0
            {
                return Ok(None);
            }
            self.number += 1;
            if line.last() == Some(&b'\n') {
                line.pop();
            } else if line.len() as u64 == limit {
                self.skip_line()?;
                return Ok(Some((self.number, Err(LineError::TooLong))));
            }
            match line::parse(&line) {
                Ok(None) => {}
                Ok(Some(listed)) => return Ok(Some((self.number, Ok(listed)))),
                Err(error) => return Ok(Some((self.number, Err(error)))),
            }
        }
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let bytes = self.lines.fill_buf()?;
            let (skip, ended) = match bytes.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (bytes.len(), bytes.is_empty()),
            };
            self.lines.consume(skip);
            if ended {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_the_next_one_read() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("list");
        let hex = "ab".repeat(32);
        let long = "x".repeat(100_000);
        std::fs::write(&path, format!("\n# a\n{long}\n{hex}  last")).unwrap();
        let mut list = List::open(&path).unwrap();
        let (number, read) = list.next().unwrap().unwrap();
        assert_eq!((number, read), (3, Err(LineError::TooLong)));
        let (number, read) = list.next().unwrap().unwrap();
        assert_eq!(number, 4);
        assert_eq!(read.unwrap().path.as_bytes(), b"last");
        assert!(list.next().unwrap().is_none());
    }
}
