//! What a destination has and its sources have not: what `--delete` is about. It looks and names; it
//! changes nothing.
//!
//! Only directories that some source has as well are looked through, so nothing outside of what was
//! copied is ever named. Never named are: sprag's own state, here and in directories that are destinations
//! of their own; partial files that are in use; what the rules leave out, and the folders of the file system and
//! the desktop at the top of a mount (unless asked for); what is on
//! another mount than the destination's root; sources; and directories that hold any of those. An entry that the
//! walk of this run met is not named, even if the source does not have it any more: a file system
//! may have been unmounted there. Nor is one that the source may have after all, because looking
//! there failed or the file system takes other names for it.
//!
//! One directory's names are held at a time, and those of the directories above it.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{EntryError, PathError};
use crate::fs::{FileId, Fs, Kind, found, is_not_there, source};
use crate::manifest::{self, STATE_DIR};
use crate::options::CopyOptions;
use crate::partial;
use crate::path::{Printable, RelPath, parent_of};
use crate::scan::{Source, Walked};
use crate::system_folders;

/// What was found.
#[derive(Debug)]
pub(crate) enum Found {
    /// It is extraneous; what is in a directory comes before it.
    Extraneous { path: RelPath, kind: Kind },
    /// Extraneous, but it stays, because something in it has to.
    Kept,
    /// The file system takes names of the source in this directory for names that are spelled
    /// differently, so none of its entries is known to be extraneous.
    OtherSpelling(RelPath),
    /// A directory at the destination could not be looked through.
    Unlisted { path: RelPath, error: io::Error },
    /// A source could not be looked at, so that nothing is known of the entry.
    Unseen { path: RelPath, error: EntryError },
    /// A directory is on another mount than the destination's root. It stays, with all that is in it.
    Mounted(RelPath),
    /// The source of a directory is on another file system than it was when it was walked.
    Moved { path: RelPath, error: EntryError },
}

/// What is not to be touched, whatever the sources have.
pub(crate) struct Untouchable<'a> {
    /// The id of the manifest; partial files of other destinations are ordinary files here.
    pub(crate) id: [u8; 16],
    /// Whether a partial file is in use, or has to stay for another reason.
    pub(crate) stays: &'a dyn Fn(&RelPath) -> bool,
}

/// The walk that finds it.
pub(crate) struct Extraneous<'a, F: Fs> {
    fs: &'a F,
    sources: &'a [Source],
    options: &'a CopyOptions,
    walked: &'a Walked,
    untouchable: Untouchable<'a>,
    /// The sources that stand in the destination.
    inner: Vec<FileId>,
    /// Where it begins: the outermost directories that were copied.
    roots: Vec<RelPath>,
    next_root: usize,
    open: Vec<Level>,
    /// What was found besides, to be told first.
    told: VecDeque<Found>,
}

/// A directory on the way.
struct Level {
    path: RelPath,
    /// Its entries that are left to look at.
    names: std::vec::IntoIter<(Vec<u8>, Kind, Fate)>,
    /// It is extraneous itself.
    extraneous: bool,
    /// Something in it stays.
    holds_kept: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It stays, and nothing in it is looked at.
    Stays,
    /// A directory that stays; what is in it may not.
    Enter,
    Extraneous,
}

impl<'a, F: Fs> Extraneous<'a, F> {
    pub(crate) fn new(
        fs: &'a F,
        (sources, walked): (&'a [Source], &'a Walked),
        options: &'a CopyOptions,
        untouchable: Untouchable<'a>,
    ) -> Extraneous<'a, F> {
        let copied = |path: &&RelPath| !options.selection.filter.excludes(path, true);
        let dirs = sources.iter().filter(|source| source.is_dir);
        let mut roots: Vec<RelPath> = dirs
            .map(|source| &source.dest)
            .filter(copied)
            .cloned()
            .collect();
        roots.sort();
        roots.dedup_by(|path, kept| path.strip_prefix(kept).is_some());
        Extraneous {
            fs,
            sources,
            options,
            walked,
            untouchable,
            inner: inner_sources(fs, sources),
            roots,
            next_root: 0,
            open: Vec::new(),
            told: VecDeque::new(),
        }
    }

    /// Whether no source has an entry of this path, so that what is at the destination is
    /// extraneous. `kind`: what it is there.
    pub(crate) fn is_extraneous(&self, path: &RelPath, kind: Kind) -> io::Result<bool> {
        let inside = |root: &RelPath| path != root && path.strip_prefix(root).is_some();
        if !self.roots.iter().any(inside) {
            return Ok(false);
        }
        let mut above = RelPath::root();
        for component in path.components() {
            let here = above.join(component).map_err(io::Error::other)?;
            let kind = if here == *path { kind } else { Kind::Dir };
            match self.judge(&here, kind) {
                Ok(Fate::Enter) => above = here,
                Ok(fate) => return Ok(fate == Fate::Extraneous),
                Err(NotJudged::Unseen(error)) => return Err(error.source),
                Err(NotJudged::Moved(_)) => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Returns an error if a source, or a mount point below one, is not what was walked: then nothing
    /// may be deleted.
    pub(crate) fn moved(&self) -> Option<EntryError> {
        let one_file_system = self.options.selection.one_file_system;
        let moved = self.walked.moved(self.sources, one_file_system);
        moved.map(EntryError::SourceMoved)
    }

    /// What is to become of an entry in a directory that stays.
    fn judge(&self, path: &RelPath, kind: Kind) -> Result<Fate, NotJudged> {
        if let Some(fate) = self.judge_by_name(path, kind) {
            return Ok(fate);
        }
        let mut fate = Fate::Extraneous;
        for source in self.sources {
            let Some(below) = path.strip_prefix(&source.dest) else {
                continue;
            };
            let at = below.below(&source.path);
            match source::lstat(&at) {
                Ok(stat) if source.is_copied_to(&at, &stat) => fate = Fate::Stays,
                Ok(stat) => {
                    let elsewhere = source.dir().is_some_and(|dir| dir.dev != stat.dev);
                    // A mount point was not walked, whatever is there now.
                    let crosses = self.options.selection.one_file_system
                        && (elsewhere || self.walked.is_mount_point(&at));
                    let enters = kind == Kind::Dir && stat.kind == Kind::Dir && !crosses;
                    if enters && !self.walked.is_where_it_was(source, &at, &stat) {
                        return Err(NotJudged::Moved(at));
                    }
                    match fate {
                        Fate::Enter => {}
                        _ if enters => fate = Fate::Enter,
                        _ => fate = Fate::Stays,
                    }
                }
                Err(error) if is_not_there(&error) => {}
                Err(error) => {
                    let error = PathError::new("look at", at, error);
                    return Err(NotJudged::Unseen(error));
                }
            }
        }
        if fate == Fate::Extraneous && self.walked.has_met(path) {
            fate = Fate::Stays;
        }
        Ok(fate)
    }

    /// What the name alone says, wherever the entry is.
    fn judge_by_name(&self, path: &RelPath, kind: Kind) -> Option<Fate> {
        let name = path.name();
        if *path == RelPath::state_dir() {
            return Some(Fate::Stays);
        }
        if name == STATE_DIR && kind == Kind::Dir && manifest::is_state_at(self.fs, path) {
            return Some(Fate::Stays);
        }
        if partial::is_ours(&self.untouchable.id, name) {
            return Some(match (self.untouchable.stays)(path) {
                true => Fate::Stays,
                false => Fate::Extraneous,
            });
        }
        let is_excluded = (self.options.selection.filter).excludes(path, kind == Kind::Dir);
        let takes_excluded = self.options.delete.is_some_and(|delete| delete.excluded);
        match is_excluded {
            true if takes_excluded => Some(Fate::Extraneous),
            true => Some(Fate::Stays),
            false if !takes_excluded && self.is_system_folder(path) => Some(Fate::Stays),
            false => None,
        }
    }

    fn is_system_folder(&self, path: &RelPath) -> bool {
        let is_at_top = path.components().nth(1).is_none();
        is_at_top && system_folders::hold(self.fs, path)
    }

    /// Whether a name is a source that stands in the destination.
    fn is_source(&self, dir: &F::Dir, name: &[u8]) -> io::Result<bool> {
        if self.inner.is_empty() {
            return Ok(false);
        }
        let there = self.fs.stat(dir, name)?;
        Ok(there.is_some_and(|there| self.inner.contains(&there.id())))
    }

    /// Lists a directory and judges its entries.
    fn enter(&mut self, path: RelPath, extraneous: bool) -> io::Result<()> {
        let Some(dir) = self.fs.open_dir_on_root_mount(&path)? else {
            self.told.push_back(Found::Mounted(path));
            self.hold();
            return Ok(());
        };
        let mut listed = self.fs.list(&dir)?;
        listed.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut names = Vec::with_capacity(listed.len());
        let mut any = false;
        for (name, kind) in listed {
            let fate = match path.join(&name) {
                // A name that cannot be copied cannot be from us.
                Err(_) => Fate::Stays,
                Ok(child) if extraneous => {
                    self.judge_by_name(&child, kind).unwrap_or(Fate::Extraneous)
                }
                Ok(child) => self.judge(&child, kind).unwrap_or_else(|why| {
                    self.told.push_back(why.found(child));
                    Fate::Stays
                }),
            };
            let fate = match fate {
                Fate::Extraneous if self.is_source(&dir, &name)? => Fate::Stays,
                fate => fate,
            };
            any |= fate == Fate::Extraneous;
            names.push((name, kind, fate));
        }
        if any && !extraneous && self.has_other_spellings(&path, &dir, &names)? {
            names.retain(|(_, _, fate)| *fate != Fate::Extraneous);
            self.told.push_back(Found::OtherSpelling(path.clone()));
        }
        self.open.push(Level {
            path,
            names: names.into_iter(),
            extraneous,
            holds_kept: false,
        });
        Ok(())
    }

    /// Whether an entry of a source is here under a name that is not its own, as on file systems that
    /// do not tell upper from lower case. What is listed under that name is then not
    /// extraneous, whatever it seems.
    fn has_other_spellings(
        &self,
        path: &RelPath,
        dir: &F::Dir,
        names: &[(Vec<u8>, Kind, Fate)],
    ) -> io::Result<bool> {
        for source in self.sources {
            let Some(below) = path.strip_prefix(&source.dest) else {
                continue;
            };
            let wanted = match source::names(&below.below(&source.path)) {
                Ok(wanted) => wanted,
                Err(error) if is_not_there(&error) => continue,
                Err(error) => return Err(error),
            };
            for name in wanted {
                let name = name?;
                let listed = names.binary_search_by(|(listed, _, _)| listed.as_slice().cmp(&name));
                if listed.is_err() && self.fs.stat(dir, &name)?.is_some() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Goes into a directory; one that is gone by now has nothing in it.
    fn try_enter(&mut self, path: RelPath, extraneous: bool) -> Option<Found> {
        match found(self.enter(path.clone(), extraneous)) {
            Ok(_) => None,
            Err(error) => {
                self.hold();
                Some(Found::Unlisted { path, error })
            }
        }
    }

    /// Something in the directory under way stays.
    fn hold(&mut self) {
        if let Some(level) = self.open.last_mut() {
            level.holds_kept = true;
        }
    }

    /// Leaves the directory under way.
    fn leave(&mut self, level: Level) -> Option<Found> {
        if !level.extraneous {
            return None;
        }
        if level.holds_kept {
            self.hold();
            return Some(Found::Kept);
        }
        Some(Found::Extraneous {
            path: level.path,
            kind: Kind::Dir,
        })
    }

    /// Looks at one entry of the directory under way.
    fn step(&mut self, path: RelPath, kind: Kind, fate: Fate) -> Option<Found> {
        match fate {
            Fate::Stays => {
                self.hold();
                None
            }
            Fate::Enter => self.try_enter(path, false),
            Fate::Extraneous if kind == Kind::Dir => self.try_enter(path, true),
            Fate::Extraneous => Some(Found::Extraneous { path, kind }),
        }
    }
}

impl<F: Fs> Iterator for Extraneous<'_, F> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            if let Some(told) = self.told.pop_front() {
                return Some(told);
            }
            let found = match self.open.pop() {
                None => {
                    let root = self.roots.get(self.next_root)?.clone();
                    self.next_root += 1;
                    // What is no directory here was a conflict, and stays as it is.
                    match found(self.fs.open_dir(&root)) {
                        Ok(Some(_)) => self.try_enter(root, false),
                        _ => None,
                    }
                }
                Some(mut level) => match level.names.next() {
                    None => self.leave(level),
                    Some((name, kind, fate)) => {
                        let child = level.path.join(&name);
                        self.open.push(level);
                        // It was joined before.
                        child.ok().and_then(|child| self.step(child, kind, fate))
                    }
                },
            };
            if found.is_some() {
                return found;
            }
        }
    }
}

/// The sources that stand in the destination.
fn inner_sources<F: Fs>(fs: &F, sources: &[Source]) -> Vec<FileId> {
    let Ok(root) = fs.stat_dir(&fs.root()) else {
        return Vec::new();
    };
    let is_inside = |source: &&Source| {
        let above = source::ids_upwards(&parent_of(&source.path));
        above.is_ok_and(|above| above.contains(&root.id()))
    };
    let inside = sources.iter().filter(is_inside);
    inside.map(|source| source.id).collect()
}

/// What is said of a directory that another file system, or another directory, is mounted on.
pub(crate) fn left_mounted(path: &Path) -> String {
    format!(
        "nothing was deleted in {}: another file system or directory is mounted there",
        Printable(path)
    )
}

/// Why nothing can be said of an entry.
enum NotJudged {
    /// Looking for it in a source failed.
    Unseen(PathError),
    /// Its source is on another file system than it was.
    Moved(PathBuf),
}

impl NotJudged {
    fn found(self, path: RelPath) -> Found {
        match self {
            NotJudged::Unseen(error) => Found::Unseen {
                path,
                error: EntryError::Undecided(error),
            },
            NotJudged::Moved(source) => Found::Moved {
                path,
                error: EntryError::SourceMoved(source),
            },
        }
    }
}
