//! Which paths the user wants verified.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use crate::error::{Error, SetupError};
use crate::filter::Filter;
use crate::fs::source;
use crate::path::RelPath;

/// Paths relative to the destination, each with what is below it; none is below another.
#[derive(Debug)]
pub(super) struct Wanted {
    tops: Vec<RelPath>,
    filter: Filter,
}

impl Wanted {
    /// Takes the paths as given: relative to `dest`, or absolute and below it. None means all.
    pub(super) fn new(
        given: &[impl AsRef<Path>],
        filter: Filter,
        dest: &Path,
    ) -> Result<Wanted, Error> {
        let mut tops = given
            .iter()
            .map(|path| relative(path.as_ref(), dest))
            .collect::<Result<Vec<_>, _>>()?;
        if given.is_empty() {
            tops.push(RelPath::root());
        }
        // By components a path sorts right before what is below it.
        tops.sort_by(|a, b| a.components().cmp(b.components()));
        tops.dedup_by(|path, kept| covers(kept, path));
        Ok(Wanted { tops, filter })
    }

    pub(super) fn tops(&self) -> &[RelPath] {
        &self.tops
    }

    /// Whether that is the whole destination.
    pub(super) fn is_all(&self) -> bool {
        self.tops.iter().any(RelPath::is_root) && self.filter.is_empty()
    }

    /// Whether rules leave anything out.
    pub(super) fn has_rules(&self) -> bool {
        !self.filter.is_empty()
    }

    /// Whether a rule leaves a path out, or a directory above it.
    pub(super) fn leaves_out(&self, path: &RelPath, is_dir: bool) -> bool {
        if self.filter.is_empty() {
            return false;
        }
        let mut at = RelPath::root();
        let mut components = path.components().peekable();
        while let Some(name) = components.next() {
            at = match at.join(name) {
                Ok(at) => at,
                // It is part of a path that is one.
                Err(_) => return false,
            };
            if self
                .filter
                .excludes(&at, is_dir || components.peek().is_some())
            {
                return true;
            }
        }
        false
    }

    /// What is wanted, in words.
    pub(super) fn text(&self) -> String {
        let tops: Vec<String> = self.tops.iter().map(RelPath::to_string).collect();
        let mut text = match self.tops.iter().any(RelPath::is_root) {
            true => "everything".to_owned(),
            false => tops.join(", "),
        };
        if !self.filter.is_empty() {
            text += &format!(" but for {}", self.filter.text());
        }
        text
    }

    /// The index of the path in `tops` that `path` is, or is below.
    pub(super) fn top_of(&self, path: &RelPath) -> Option<usize> {
        self.tops.iter().position(|top| covers(top, path))
    }
}

/// Whether `path` is `top` or below it.
fn covers(top: &RelPath, path: &RelPath) -> bool {
    match path.as_bytes().strip_prefix(top.as_bytes()) {
        Some(rest) => top.is_root() || rest.is_empty() || rest[0] == b'/',
        None => false,
    }
}

fn relative(path: &Path, dest: &Path) -> Result<RelPath, Error> {
    let outside = |what: String| {
        let source = io::Error::new(io::ErrorKind::InvalidInput, what);
        let path = path.to_path_buf();
        Error::Setup(SetupError::Dest { path, source })
    };
    let not_below = || outside(format!("it is not below {}", dest.display()));
    let below = if path.is_absolute() {
        match path.strip_prefix(dest) {
            Ok(below) => below,
            Err(_) => source::canonicalize(dest)
                .ok()
                .and_then(|dest| path.strip_prefix(dest).ok())
                .ok_or_else(not_below)?,
        }
    } else {
        path
    };
    let mut wanted = RelPath::root();
    for component in below.components() {
        wanted = match component {
            Component::CurDir => continue,
            Component::Normal(name) => wanted
                .join(name.as_bytes())
                .map_err(|error| outside(error.to_string()))?,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(not_below());
            }
        };
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tops(given: &[&str]) -> Vec<String> {
        let wanted = Wanted::new(given, Filter::default(), Path::new("/mnt/d")).unwrap();
        wanted.tops().iter().map(RelPath::to_string).collect()
    }

    #[test]
    fn paths_are_taken_relative_to_the_destination_or_absolute_below_it() {
        assert_eq!(tops(&[]), ["."]);
        assert_eq!(tops(&["./a/", "/mnt/d/b/c"]), ["a", "b/c"]);
        assert_eq!(tops(&["/mnt/d"]), ["."]);
        for bad in ["..", "a/../b", "/mnt/other", "/mnt/dd"] {
            let error = Wanted::new(&[bad], Filter::default(), Path::new("/mnt/d")).unwrap_err();
            assert!(error.to_string().contains("not below /mnt/d"), "{error}");
        }
    }

    #[test]
    fn a_path_below_another_is_wanted_once() {
        assert_eq!(
            tops(&["a/b/c", "a.txt", "a", "a/b", "ab"]),
            ["a", "a.txt", "ab"]
        );
        assert_eq!(tops(&["a", "."]), ["."]);
    }

    #[test]
    fn what_is_below_an_excluded_directory_is_left_out_with_it() {
        let mut rules = crate::filter::Rules::new();
        rules.exclude("cache/");
        rules.exclude("*.tmp");
        let wanted = Wanted::new(&[""; 0], rules.compile().unwrap(), Path::new("/d")).unwrap();
        let out = |path: &str, is_dir| wanted.leaves_out(&RelPath::new(path).unwrap(), is_dir);
        assert!(out("a/cache", true) && out("a/cache/b/c", false) && out("x.tmp", false));
        assert!(!out("a/cache", false) && !out("a/b", true));
        assert!(!wanted.is_all());
        assert_eq!(wanted.text(), "everything but for - cache/ - *.tmp");
    }

    #[test]
    fn a_path_is_wanted_if_it_is_given_or_below() {
        let wanted = Wanted::new(&["a", "b/c"], Filter::default(), Path::new("/d")).unwrap();
        let top_of = |path: &str| wanted.top_of(&RelPath::new(path).unwrap());
        assert_eq!(top_of("a"), Some(0));
        assert_eq!(top_of("a/x/y"), Some(0));
        assert_eq!(top_of("b/c/d"), Some(1));
        assert_eq!(top_of("b"), None);
        assert_eq!(top_of("ab"), None);
        assert_eq!(top_of(""), None);
    }
}
