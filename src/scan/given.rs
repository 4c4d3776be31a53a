//! Sources as they are given on the command line, resolved.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Source;
use crate::error::{Error, SetupError};
use crate::fs::{Kind, Stat, source};
use crate::path::{RelPath, means_contents};

impl Source {
    /// A source as it was given: with a slash at its end, its contents are meant.
    pub(crate) fn given(path: &Path) -> Result<Source, Error> {
        let contents = means_contents(path);
        let stat = match contents {
            true => source::stat_follow(path),
            false => source::lstat(path),
        };
        let stat = stat.map_err(|source| SetupError::Source {
            path: path.to_path_buf(),
            source,
        })?;
        Source::resolve(path, contents, &stat, None)
    }

    /// A source that was looked at; `file_name` is what its copy is to be called, if not as it is.
    pub(crate) fn resolve(
        path: &Path,
        contents: bool,
        stat: &Stat,
        file_name: Option<&OsStr>,
    ) -> Result<Source, Error> {
        let dir = (stat.kind == Kind::Dir).then(|| stat.id());
        if contents {
            let unusable = |source| SetupError::Source {
                path: path.to_path_buf(),
                source,
            };
            let path = source::canonicalize(path).map_err(unusable)?;
            let dest = RelPath::root();
            return Ok(Source { path, dest, dir });
        }
        let unnamed = || SetupError::SourceName {
            path: path.to_path_buf(),
        };
        let name = file_name.or(path.file_name()).ok_or_else(unnamed)?;
        let dest = RelPath::root().join(name.as_bytes());
        let dest = dest.map_err(|_| unnamed())?;
        let path = path.to_path_buf();
        Ok(Source { path, dest, dir })
    }

    /// Whether it and a directory are, or hold, one another.
    pub(crate) fn overlaps(&self, other: &Path) -> bool {
        let own = source::canonicalize(&self.path);
        match (own, source::canonicalize(other)) {
            (Ok(own), Ok(other)) => own.starts_with(&other) || other.starts_with(&own),
            _ => false,
        }
    }
}
