//! The list of names that `--files-from` gives: what to copy of a source, and nothing else of it.
//! Pure: bytes in, paths out. It is held in memory, whatever its length.

use crate::path::{RelPath, RelPathError};

/// Paths relative to a source, each with all that is below it. None is below another.
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
        paths.dedup_by(|path, kept| path.strip_prefix(kept).is_some());
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

/// The lines of a file that the user wrote, without empty ones and, unless a NUL ends them, without
/// comments.
pub(crate) fn lines(content: &[u8], nul: bool) -> impl Iterator<Item = &[u8]> {
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
        assert_eq!(paths(content, false), ["#yes", "a/c", "a-b", "b"]);
        assert_eq!(paths(b"#a\0b\nc\0\0", true), ["#a", "b\\nc"]);
        assert_eq!(paths(b"a\n.\nb", false), ["."]);
        assert_eq!(paths(b"", false), [""; 0]);
    }

    #[test]
    fn a_path_that_leaves_the_source_is_refused() {
        for line in [&b"../a"[..], b"a/../..", b"a\0b"] {
            let error = FileList::new(line, false).unwrap_err().to_string();
            assert!(error.contains("relative to the source"), "{error}");
        }
    }
}
