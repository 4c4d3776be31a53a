//! The walk over a list of names: each with the directories that lead to it, once each.

use super::*;
use crate::file_list::FileList;

pub(super) struct Listed<'a> {
    source: &'a Source,
    /// What is left of the list, in its order.
    paths: std::slice::Iter<'a, RelPath>,
    /// The listed path on whose way the walk is.
    current: Option<&'a RelPath>,
    /// The directories from the source to there that were yielded.
    open: Vec<RelPath>,
    /// Nothing below this is yielded.
    skipped: Option<RelPath>,
}

pub(super) enum Step {
    /// A directory on the way: where it is, where it goes, and what it is.
    Parent(PathBuf, RelPath, Stat),
    Failed(ScanFailure),
    /// Walk from here.
    Walk(PathBuf),
}

impl<'a> Listed<'a> {
    pub(super) fn new(source: &'a Source, list: &'a FileList) -> Listed<'a> {
        Listed {
            source,
            paths: list.paths().iter(),
            current: None,
            open: Vec::new(),
            skipped: None,
        }
    }

    /// Leaves out what is below the directory that was just yielded.
    pub(super) fn skip_dir(&mut self) {
        self.skipped = self.open.last().cloned();
    }

    pub(super) fn next(&mut self) -> Option<Step> {
        loop {
            let path = match self.current {
                Some(path) => path,
                None => *self.current.insert(self.paths.next()?),
            };
            let skipped = self.skipped.as_ref();
            if skipped.is_some_and(|skipped| path.is_within(skipped)) {
                self.current = None;
                continue;
            }
            while let Some(open) = self.open.last() {
                if path.is_within(open) {
                    break;
                }
                self.open.pop();
            }
            if let Some(parent) = self.next_parent(path) {
                self.open.push(parent.clone());
                return Some(self.parent(&parent));
            }
            self.current = None;
            let here = path.below(&self.source.path);
            return Some(match source::lstat(&here) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    failed(path, EntryError::NotThere(here))
                }
                // What else may be wrong, the walk finds out.
                _ => Step::Walk(here),
            });
        }
    }

    /// The outermost directory on the way to `path` that was not yielded yet.
    fn next_parent(&self, path: &RelPath) -> Option<RelPath> {
        let (above, _) = path.split()?;
        let open = self.open.last().cloned().unwrap_or_default();
        let rest = above.strip_prefix(&open)?;
        let next = rest.components().next()?;
        open.join(next).ok()
    }

    fn parent(&mut self, path: &RelPath) -> Step {
        let here = path.below(&self.source.path);
        let error = match source::lstat(&here) {
            Ok(stat) if stat.kind == Kind::Dir => return Step::Parent(here, path.clone(), stat),
            Ok(_) => std::io::ErrorKind::NotADirectory.into(),
            Err(error) => error,
        };
        self.skip_dir();
        let error = match error.kind() {
            std::io::ErrorKind::NotFound => EntryError::NotThere(here),
            _ => EntryError::Unreadable(PathError::new("go into", here, error)),
        };
        failed(path, error)
    }
}

fn failed(path: &RelPath, error: EntryError) -> Step {
    Step::Failed(ScanFailure {
        dest: path.clone(),
        error,
    })
}
