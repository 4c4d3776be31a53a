//! The list of names that `--files-from` gives: what to copy of a source, and nothing else of it.
//! Pure: bytes in, paths out. It is held in memory, whatever its length.

use crate::path::{RelPath, RelPathError};

/// The byte order mark of UTF-8, which editors on Windows write at the beginning of a file.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Paths relative to a source, each with all that is below it, in the order of a walk. None is there
/// twice. One may be below another: it has to be there, and is copied though a rule leaves out a
/// directory above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileList {
    paths: Vec<RelPath>,
}

/// A line that is no path below the source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the list of files names \"{}\", which is no path below the source ({reason}): write it relative to the source, without ..",
    line.escape_ascii()
)]
pub struct FileListError {
    line: Vec<u8>,
    reason: RelPathError,
}

impl FileList {
    /// Reads a list, one path a line. Empty lines and those that begin with `#` or `;` say nothing;
    /// slashes at both ends and `.` as a component are dropped. With `nul`, a NUL ends a line, and
    /// nothing is a comment.
    pub fn new(content: &[u8], nul: bool) -> Result<FileList, FileListError> {
        let mut paths = lines(content, nul)
            .map(|line| {
                relative(line).map_err(|reason| FileListError {
                    line: line.to_vec(),
                    reason,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        // By components, as the walk goes; a path sorts right before what is below it.
        paths.sort_by(|a, b| a.components().cmp(b.components()));
        paths.dedup();
        Ok(FileList { paths })
    }

    pub(crate) fn paths(&self) -> &[RelPath] {
        &self.paths
    }
}

fn relative(line: &[u8]) -> Result<RelPath, RelPathError> {
    let parts = line.split(|byte| *byte == b'/');
    parts
        .filter(|part| !part.is_empty() && *part != b".")
        .try_fold(RelPath::root(), |path, part| path.join(part))
}

/// Returns the content of a text file, or its first line, without a byte order mark.
pub(crate) fn without_byte_order_mark(content: &[u8]) -> &[u8] {
    content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content)
}

/// Returns the lines of a file that the user wrote. Empty lines are left out. Unless a NUL ends the
/// lines, so are comments and a byte order mark. Lists with NULs come from programs and are exact.
pub(crate) fn lines(content: &[u8], nul: bool) -> impl Iterator<Item = &[u8]> {
    let content = if nul {
        content
    } else {
        without_byte_order_mark(content)
    };
    content
        .split(move |byte| match nul {
            true => *byte == 0,
            false => matches!(byte, b'\n' | b'\r'),
        })
        .filter(move |line| !line.is_empty() && (nul || !matches!(line[0], b'#' | b';')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(content: &[u8], nul: bool) -> Vec<String> {
        let list = FileList::new(content, nul).unwrap();
        list.paths().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_list_is_sorted_as_the_walk_goes_and_names_nothing_twice() {
        let content = b"b\n# no\n;no\n\n/a/./c//\r\na-b\n./a/c/d\nb\n./#yes";
        assert_eq!(paths(content, false), ["#yes", "a/c", "a/c/d", "a-b", "b"]);
        assert_eq!(paths(b"#a\0b\nc\0\0", true), ["#a", "b\\nc"]);
        assert_eq!(paths(b"a\n.\nb", false), [".", "a", "b"]);
        assert_eq!(paths(b"", false), [""; 0]);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        assert_eq!(paths(b"\xef\xbb\xbfa\r\nb\r\n", false), ["a", "b"]);
        assert_eq!(paths(b"\xef\xbb\xbf# no\na", false), ["a"]);
        let names = lines(b"a\n\xef\xbb\xbfb", false).collect::<Vec<_>>();
        assert_eq!(names, [&b"a"[..], b"\xef\xbb\xbfb"]);
        let names = lines(b"\xef\xbb\xbfa\0", true).collect::<Vec<_>>();
        assert_eq!(names, [b"\xef\xbb\xbfa"]);
    }

    #[test]
    fn a_path_that_leaves_the_source_is_refused() {
        for line in [&b"../a"[..], b"a/../..", b"a\0b"] {
            let error = FileList::new(line, false).unwrap_err().to_string();
            assert!(error.contains("relative to the source"), "{error}");
        }
    }
}
