//! Sources as they are given on the command line, resolved.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Source;
use crate::error::{Error, SetupError};
use crate::fs::source::{self, Held};
use crate::fs::{Kind, Stat};
use crate::path::{RelPath, means_contents};

impl Source {
    /// A source as it was given: with a slash at its end, its contents are meant.
    pub(crate) fn given(path: &Path) -> Result<Source, Error> {
        let contents = means_contents(path);
        let looked = source::look_and_hold(path, contents);
        let looked = looked.map_err(|source| SetupError::Source {
            path: path.to_path_buf(),
            source,
        })?;
        Source::resolve(path, contents, &looked, None)
    }

    /// A source that was looked at; `file_name` is what its copy is to be called, if not as it is.
    pub(crate) fn resolve(
        path: &Path,
        contents: bool,
        looked: &(Stat, Option<Held>),
        file_name: Option<&OsStr>,
    ) -> Result<Source, Error> {
        if contents {
            let unusable = |source| SetupError::Source {
                path: path.to_path_buf(),
                source,
            };
            let path = source::canonicalize(path).map_err(unusable)?;
            return Ok(source_at(path, RelPath::root(), looked));
        }
        let unnamed = || SetupError::SourceName {
            path: path.to_path_buf(),
        };
        let name = file_name.or(path.file_name()).ok_or_else(unnamed)?;
        let dest = RelPath::root().join(name.as_bytes());
        let dest = dest.map_err(|_| unnamed())?;
        Ok(source_at(path.to_path_buf(), dest, looked))
    }
}

fn source_at(path: PathBuf, dest: RelPath, (stat, held): &(Stat, Option<Held>)) -> Source {
    Source {
        path,
        dest,
        id: stat.id(),
        is_dir: stat.kind == Kind::Dir,
        held: held.clone(),
        copied_to: None,
    }
}
