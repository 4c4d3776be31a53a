//! The walk over a list of names: each with the directories that lead to it, once each.
//!
//! A listed path may be below another one. It is met by the walk of that one, and fails if it is not
//! there. Where that walk does not go into a directory on the way (a rule leaves it out, or another file
//! system is mounted on it), the walk waits until all that the list names below
//! it was yielded.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::*;
use crate::file_list::FileList;

pub(super) struct Listed<'a> {
    source: &'a Source,
    /// The rest of the list, in its order.
    paths: &'a [RelPath],
    /// The listed path on whose way the walk is.
    current: Option<&'a RelPath>,
    /// The listed paths that walks began with which are not over.
    walked: Vec<&'a RelPath>,
    /// Directories of waiting walks. What the list names below the last one is next.
    entered: Vec<RelPath>,
    /// Listed paths that a walk should have met and did not.
    unmet: VecDeque<&'a RelPath>,
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
    /// Go on with the walk that waits.
    Resume,
}

impl<'a> Listed<'a> {
    pub(super) fn new(source: &'a Source, list: &'a FileList) -> Listed<'a> {
        Listed {
            source,
            paths: list.paths(),
            current: None,
            walked: Vec::new(),
            entered: Vec::new(),
            unmet: VecDeque::new(),
            open: Vec::new(),
            skipped: None,
        }
    }

    /// Leaves out what is below the directory that was just yielded.
    pub(super) fn skip_dir(&mut self) {
        self.skipped = self.open.last().cloned();
    }

    /// Whether a walk is under way, and not a step of the list.
    pub(super) fn is_walked(&self) -> bool {
        self.walked.len() > self.entered.len()
    }

    /// Notes that the walk met a path. It did not meet what the list names before it.
    pub(super) fn meet(&mut self, path: &RelPath) {
        while let [next, rest @ ..] = self.paths {
            match next.components().cmp(path.components()) {
                Ordering::Less => self.unmet.push_back(next),
                Ordering::Equal => {}
                Ordering::Greater => return,
            }
            self.paths = rest;
        }
    }

    /// Goes through what the list names below a directory that was met and that the walk does not go
    /// into. The walk waits meanwhile. Returns `false` if the list names nothing there.
    pub(super) fn enter(&mut self, dir: &RelPath) -> bool {
        let is_below = self.paths.first().is_some_and(|next| next.is_within(dir));
        if is_below {
            self.leave_dirs(dir);
            self.open.push(dir.clone());
            self.entered.push(dir.clone());
        }
        is_below
    }

    /// Notes that the walk is over.
    pub(super) fn end_walk(&mut self) {
        let Some(top) = self.walked.pop() else {
            return;
        };
        while let [next, rest @ ..] = self.paths
            && next.is_within(top)
        {
            self.unmet.push_back(next);
            self.paths = rest;
        }
    }

    pub(super) fn next(&mut self) -> Option<Step> {
        loop {
            if let Some(path) = self.unmet.pop_front() {
                if !self.is_skipped(path)
                    && let Some(step) = self.check(path)
                {
                    return Some(step);
                }
                continue;
            }
            let path = match self.current {
                Some(path) => path,
                None => {
                    let next = self.paths.first();
                    if let Some(dir) = self.entered.last()
                        && next.is_none_or(|next| !next.is_within(dir))
                    {
                        self.entered.pop();
                        return Some(Step::Resume);
                    }
                    let (next, rest) = self.paths.split_first()?;
                    self.paths = rest;
                    *self.current.insert(next)
                }
            };
            if self.is_skipped(path) {
                self.current = None;
                continue;
            }
            self.leave_dirs(path);
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
                _ => {
                    self.walked.push(path);
                    Step::Walk(here)
                }
            });
        }
    }

    fn is_skipped(&self, path: &RelPath) -> bool {
        let skipped = self.skipped.as_ref();
        skipped.is_some_and(|skipped| path.is_within(skipped))
    }

    /// Closes the directories that do not lead to `path`.
    fn leave_dirs(&mut self, path: &RelPath) {
        while let Some(open) = self.open.last() {
            if path.is_within(open) {
                break;
            }
            self.open.pop();
        }
    }

    /// Says why the walk did not meet a listed path. `None`: it is there, so that it came meanwhile
    /// or was left out with a directory above it.
    fn check(&mut self, path: &RelPath) -> Option<Step> {
        let mut here = RelPath::root();
        for name in path.components() {
            here = here.join(name).ok()?;
            let at = here.below(&self.source.path);
            let error = match source::lstat(&at) {
                Ok(stat) if stat.kind == Kind::Dir || here == *path => continue,
                Ok(_) => std::io::ErrorKind::NotADirectory.into(),
                Err(error) => error,
            };
            let failed = cannot_go_into(&here, at, error);
            self.skipped = Some(here);
            return Some(failed);
        }
        None
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
        cannot_go_into(path, here, error)
    }
}

fn cannot_go_into(path: &RelPath, here: PathBuf, error: std::io::Error) -> Step {
    let error = match error.kind() {
        std::io::ErrorKind::NotFound => EntryError::NotThere(here),
        _ => EntryError::Unreadable(PathError::new("go into", here, error)),
    };
    failed(path, error)
}

fn failed(path: &RelPath, error: EntryError) -> Step {
    Step::Failed(ScanFailure {
        dest: path.clone(),
        error,
    })
}
