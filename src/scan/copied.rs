//! Sources of a copy that is there already, to be compared with it: in whichever form they are given.
//!
//! The slash at the end of a source decides under which name its copy stands. Where content is proved
//! by hashes nothing hangs on it: what is recorded tells which of the two forms was copied.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Source;
use crate::error::{Error, SetupError};
use crate::fs::{Fs, Kind, source};
use crate::manifest::Store;
use crate::path::{RelPath, means_contents};

/// Finds the sources of what a manifest records. One of which it records nothing is refused: comparing
/// with it would compare nothing. What a damaged manifest lost may be just that, so there it is taken as
/// it is given.
pub(crate) fn recorded<F: Fs>(
    given: &[PathBuf],
    store: &Store<F>,
    dest: &Path,
) -> Result<Vec<Source>, Error> {
    let sources = given.iter().map(|path| {
        let is_known = |at: &RelPath| Ok(store.lookup(at)?.is_some());
        match Source::copied(path, is_known)? {
            Some(source) => Ok(source),
            None if store.salvaged().is_some() => Source::given(path),
            None => Err(SetupError::SourceNotRecorded {
                path: path.clone(),
                dest: dest.to_path_buf(),
            }
            .into()),
        }
    });
    sources.collect()
}

impl Source {
    /// Returns a source in the form in which more of its entries are known: as its contents, or as
    /// itself under its name. Between equals it is the form that was given. `None`: nothing of it is
    /// known in either.
    pub(crate) fn copied(
        path: &Path,
        mut is_known: impl FnMut(&RelPath) -> Result<bool, Error>,
    ) -> Result<Option<Source>, Error> {
        let unusable = |error| SetupError::Source {
            path: path.to_path_buf(),
            source: error,
        };
        let contents = means_contents(path);
        let itself = itself(path).map_err(unusable)?;
        // A symlink that leads nowhere is a source, too.
        let stat = source::stat_follow(path).or_else(|_| source::lstat(path));
        let stat = stat.map_err(unusable)?;
        let (mut in_root, mut in_itself) = (0, 0);
        if stat.kind == Kind::Dir {
            for name in source::names(path).map_err(unusable)? {
                let name = name.map_err(unusable)?;
                if let Ok(at) = RelPath::root().join(&name) {
                    in_root += u64::from(is_known(&at)?);
                }
                if let Some(Ok(at)) = itself.as_ref().map(|(_, dest)| dest.join(&name)) {
                    in_itself += u64::from(is_known(&at)?);
                }
            }
        }
        let is_itself = match in_root.max(in_itself) {
            // Of one that is empty now, or of a file, the name alone tells.
            0 => match &itself {
                Some((_, dest)) if is_known(dest)? => true,
                _ => return Ok(None),
            },
            _ if in_root == in_itself => !contents,
            most => most == in_itself,
        };
        let path = match itself.filter(|_| is_itself) {
            Some((path, _)) => path,
            None => path.to_path_buf(),
        };
        // A symlink to a directory stands for it where what is in the directory is known.
        let follow = !is_itself || in_itself > 0;
        let looked = source::look_and_hold(&path, follow).map_err(unusable)?;
        Source::resolve(&path, !is_itself, &looked, None).map(Some)
    }
}

/// A source without the slash that stands for its contents, and its name. `None` if it has none.
fn itself(path: &Path) -> io::Result<Option<(PathBuf, RelPath)>> {
    let named = match path.file_name() {
        // A path ends in its name, whatever slashes and dots follow.
        Some(name) => path.with_file_name(name),
        None => source::canonicalize(path)?,
    };
    let name = named.file_name();
    let dest = name.and_then(|name| RelPath::root().join(name.as_bytes()).ok());
    Ok(dest.map(|dest| (named, dest)))
}

/// Where a path of a copy comes from: of the sources that are copied to that place the first that has it
/// or, if none has it, the first; with its index.
pub(crate) fn origin(sources: &[Source], path: &RelPath) -> Option<(usize, PathBuf)> {
    let places = sources.iter().enumerate().filter_map(|(nth, source)| {
        let below = path.strip_prefix(&source.dest)?;
        Some((nth, below.below(&source.path)))
    });
    let mut places = places.peekable();
    let first = places.next()?;
    if places.peek().is_none() {
        return Some(first);
    }
    let mut all = std::iter::once(first.clone()).chain(places);
    let there = all.find(|(_, path)| source::lstat(path).is_ok());
    Some(there.unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The form in which a source was found, and where one of its entries is said to come from.
    fn found(path: &Path, known: &[&str]) -> Option<String> {
        let is_known = |path: &RelPath| Ok(known.contains(&path.to_string().as_str()));
        let source = Source::copied(path, is_known).unwrap()?;
        Some(source.dest.to_string())
    }

    #[test]
    fn a_source_is_found_in_the_form_that_was_copied_whichever_is_given() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("photos");
        std::fs::create_dir_all(dir.join("photos")).unwrap();
        std::fs::write(dir.join("a"), "").unwrap();
        std::fs::write(temp.path().join("file"), "").unwrap();
        std::fs::create_dir(temp.path().join("empty")).unwrap();
        let forms =
            |name: &str| ["", "/", "/."].map(|end| temp.path().join(format!("{name}{end}")));
        for given in forms("photos") {
            for (known, form) in [
                (&["photos", "photos/a", "photos/photos"][..], Some("photos")),
                (&["a", "photos"], Some(".")),
                (&["photos/a"], Some("photos")),
                (&["b", "photos2/a"], None),
            ] {
                assert_eq!(found(&given, known).as_deref(), form, "{given:?} {known:?}");
            }
        }
        let both = ["a", "photos/a", "photos", "photos/photos"];
        for (given, form) in forms("photos").iter().zip(["photos", ".", "."]) {
            assert_eq!(found(given, &both).as_deref(), Some(form), "as it is given");
        }
        for given in forms("empty") {
            assert_eq!(found(&given, &["empty"]).as_deref(), Some("empty"));
            assert_eq!(found(&given, &["a"]), None);
        }
        assert_eq!(
            found(&temp.path().join("file"), &["file"]).as_deref(),
            Some("file")
        );
        assert!(Source::copied(&temp.path().join("gone"), |_| Ok(true)).is_err());
    }

    #[test]
    fn a_path_comes_from_the_source_that_was_copied_to_it_and_has_it() {
        let temp = tempfile::tempdir().unwrap();
        let sources = ["one", "two", "photos"].map(|name| {
            let dir = temp.path().join(name);
            std::fs::create_dir(&dir).unwrap();
            std::fs::write(dir.join(format!("in {name}")), "").unwrap();
            let dir = match name {
                "photos" => dir,
                _ => dir.join(""),
            };
            Source::given(&dir).unwrap()
        });
        let of = |path: &str| origin(&sources, &RelPath::new(path).unwrap());
        let at = |nth, path: &str| {
            let dir = source::canonicalize(temp.path()).unwrap();
            Some((nth, dir.join(path)))
        };
        assert_eq!(of("in one"), at(0, "one/in one"));
        assert_eq!(of("in two"), at(1, "two/in two"));
        assert_eq!(of("photos/in photos").map(|(nth, _)| nth), Some(2));
        assert_eq!(of("gone"), at(0, "one/gone"));
        assert_eq!(
            origin(&sources[2..], &RelPath::new("photos2/a").unwrap()),
            None
        );
    }
}
