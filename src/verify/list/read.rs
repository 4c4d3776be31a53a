//! Reading a list line by line, however long its lines are.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;

use super::line::{self, Line, LineError, Tree};
use crate::file_list::without_byte_order_mark;
use crate::fs::source;
use crate::options::ChecksumList;
use crate::path::PATH_BYTES_MAX;

/// Every byte of a path may be escaped; hash, tag and blanks come on top.
const LINE_BYTES_MAX: u64 = 2 * PATH_BYTES_MAX as u64 + 128;

/// A list that is open.
pub(super) struct List {
    lines: BufReader<Box<dyn Read + Send>>,
    number: u64,
}

impl List {
    pub(super) fn open(list: &ChecksumList) -> io::Result<List> {
        let bytes: Box<dyn Read + Send> = match list {
            ChecksumList::File(path) => Box::new(source::open_to_read(path)?),
            ChecksumList::Held(_, content) => Box::new(Cursor::new(Arc::clone(content))),
        };
        Ok(List {
            lines: BufReader::new(bytes),
            number: 0,
        })
    }

    /// The next line that is neither empty nor a comment, and its number. `None` at the end.
    pub(super) fn next(
        &mut self,
        tree: &Tree,
    ) -> io::Result<Option<(u64, Result<Line, LineError>)>> {
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
            let text = match self.number {
                1 => without_byte_order_mark(&line),
                _ => &line,
            };
            match line::parse(text, tree) {
                Ok(None) => {}
                Ok(Some(line)) => return Ok(Some((self.number, Ok(line)))),
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
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        let (hex, tree) = (
            "ab".repeat(32),
            Tree::at(std::path::Path::new("/mnt/drive")),
        );
        for first in ["", "# made by hand\r\n", "\r\n"] {
            let content = format!("\u{feff}{first}{hex}  a\r\n").into_bytes();
            let held = ChecksumList::Held("list".into(), content.into());
            let mut list = List::open(&held).unwrap();
            let (_, read) = list.next(&tree).unwrap().unwrap();
            assert_eq!(read.unwrap().paths[0].as_bytes(), b"a", "{first:?}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_the_next_one_read() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("list");
        let (hex, tree) = (
            "ab".repeat(32),
            Tree::at(std::path::Path::new("/mnt/drive")),
        );
        let long = "x".repeat(100_000);
        std::fs::write(&path, format!("\n# a\n{long}\n{hex}  last")).unwrap();
        let mut list = List::open(&ChecksumList::File(path)).unwrap();
        let (number, read) = list.next(&tree).unwrap().unwrap();
        assert_eq!((number, read), (3, Err(LineError::TooLong)));
        let (number, read) = list.next(&tree).unwrap().unwrap();
        assert_eq!(number, 4);
        assert_eq!(read.unwrap().paths[0].as_bytes(), b"last");
        assert!(list.next(&tree).unwrap().is_none());
    }
}
