//! Walking what stands at a destination, whatever the manifest says of it.
//!
//! Depth first, through directory handles, following no symlink. Sprag's own directory at the top
//! is left out. At any moment it holds one directory's names and the paths of the directories
//! that are still to be looked into.

use std::io;

use crate::fs::{Fs, Kind, found};
use crate::path::RelPath;

/// What a walk comes across.
pub(crate) enum Step<'a, F: Fs> {
    /// An entry. Directories come before what is in them.
    Entry {
        /// The directory it is in.
        dir: &'a F::Dir,
        path: RelPath,
        kind: Kind,
    },
    /// A directory of which not everything could be listed.
    Unlisted { path: RelPath, error: io::Error },
}

/// Calls `visit` for everything below the directory `start`. What it fails with ends the walk.
pub(crate) fn walk<F: Fs, E>(
    fs: &F,
    start: &RelPath,
    mut visit: impl FnMut(Step<'_, F>) -> Result<(), E>,
) -> Result<(), E> {
    let mut waiting = vec![start.clone()];
    while let Some(path) = waiting.pop() {
        let listed = found(fs.open_dir(&path)).and_then(|dir| match dir {
            Some(dir) => Ok(Some((fs.list(&dir)?, dir))),
            None => Ok(None),
        });
        let (mut names, dir) = match listed {
            Ok(Some(listed)) => listed,
            // Gone since its parent was listed.
            Ok(None) => continue,
            Err(error) => {
                visit(Step::Unlisted { path, error })?;
                continue;
            }
        };
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let below = waiting.len();
        for (name, kind) in names {
            let child = match path.join(&name) {
                Ok(child) if child == RelPath::state_dir() => continue,
                Ok(child) => child,
                Err(error) => {
                    let path = path.clone();
                    let error = io::Error::new(io::ErrorKind::InvalidFilename, error);
                    visit(Step::Unlisted { path, error })?;
                    continue;
                }
            };
            if kind == Kind::Dir {
                waiting.push(child.clone());
            }
            let (dir, path) = (&dir, child);
            visit(Step::Entry { dir, path, kind })?;
        }
        waiting[below..].reverse();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::OsFs;

    #[test]
    fn a_walk_sees_everything_once_and_neither_follows_links_nor_enters_the_state() {
        let temp = tempfile::tempdir().unwrap();
        let at = |path: &str| temp.path().join(path);
        for dir in ["a/b", "c", ".sprag", "c/.sprag"] {
            std::fs::create_dir_all(at(dir)).unwrap();
        }
        for file in ["a/b/f", "c/f", ".sprag/manifest", "z"] {
            std::fs::write(at(file), "").unwrap();
        }
        std::os::unix::fs::symlink("a", at("link")).unwrap();
        let fs = OsFs::open_root(temp.path()).unwrap();
        let seen = |start: &str| {
            let mut seen = Vec::new();
            let start = RelPath::new(start).unwrap();
            let ended = walk(&fs, &start, |step| match step {
                Step::Entry { path, .. } => {
                    seen.push(path.to_string());
                    Ok(())
                }
                Step::Unlisted { error, .. } => Err(error),
            });
            assert!(ended.is_ok());
            seen
        };
        let all = ["a", "c", "link", "z", "a/b", "a/b/f", "c/.sprag", "c/f"];
        assert_eq!(seen(""), all);
        assert_eq!(seen("a"), ["a/b", "a/b/f"]);
        assert_eq!(seen("missing"), [""; 0]);
    }
}
