//! The walk: sources into entries, in file-name order, each with its path at the destination.
//!
//! What the user's rules leave out is yielded once, marked as such; a directory among it is not gone
//! into. It reads names and `lstat` only. What a source may not be (missing, around or inside the
//! destination) was settled before; see `copy::setup`.

use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{EntryError, PathError};
use crate::fs::source::{Held, Tree};
use crate::fs::{FileId, Kind, Stat, source};
use crate::manifest::{self, STATE_DIR};
use crate::path::{Printable, RelPath, bytes_below};
use crate::selection::Selection;
use crate::system_folders::LOST_AND_FOUND;

mod copied;
mod first_names;
mod given;
mod listed;
mod walked;

pub(crate) use copied::{origin, recorded};
pub(crate) use first_names::FirstNames;
use listed::Listed;
pub(crate) use walked::{MountPoints, Walked};

/// One source, resolved.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Where the walk begins.
    pub(crate) path: PathBuf,
    /// Where that goes at the destination; the root for a source that means its contents.
    pub(crate) dest: RelPath,
    /// Which file or directory it is.
    pub(crate) id: FileId,
    pub(crate) is_dir: bool,
    /// The directory itself, as it was looked at.
    pub(crate) held: Option<Held>,
    /// The destination, which may lie in it.
    pub(crate) copied_to: Option<CopiedTo>,
}

/// The destination of a copy, as a walk may come across it.
#[derive(Debug, Clone)]
pub(crate) struct CopiedTo {
    id: FileId,
    /// Where it is below the source, as far as paths tell: on some FUSE file systems ids do not last.
    below: Option<RelPath>,
}

impl Source {
    /// Which directory it is, if it is one.
    pub(crate) fn dir(&self) -> Option<FileId> {
        self.is_dir.then_some(self.id)
    }

    /// Has the walk leave out the directory that is copied to.
    pub(crate) fn leave_out(&mut self, dest: &Path, id: FileId) {
        let below = || {
            let (source, dest) = (source::canonicalize(&self.path), source::canonicalize(dest));
            let (source, dest) = (source.ok()?, dest.ok()?);
            RelPath::new(bytes_below(&dest, &source)?).ok()
        };
        let below = below().filter(|below| !below.is_root());
        self.copied_to = Some(CopiedTo { id, below });
    }

    /// Whether a directory in it is the one that is copied to.
    pub(crate) fn is_copied_to(&self, path: &Path, stat: &Stat) -> bool {
        let Some(dest) = &self.copied_to else {
            return false;
        };
        let at = |below: &RelPath| bytes_below(path, &self.path) == Some(below.as_bytes());
        stat.kind == Kind::Dir && (stat.id() == dest.id || dest.below.as_ref().is_some_and(at))
    }

    /// The source as an absolute path, with the slash that says that its contents are meant.
    pub(crate) fn as_given(&self) -> Vec<u8> {
        let path = source::absolute(&self.path);
        let mut bytes = path.as_os_str().as_bytes().to_vec();
        if self.dest.is_root() && bytes.last() != Some(&b'/') {
            bytes.push(b'/');
        }
        bytes
    }

    /// Where the entry that goes to `dest` would be in it.
    fn at(&self, dest: &RelPath) -> Option<PathBuf> {
        let below = dest.strip_prefix(&self.dest)?;
        Some(below.below(&self.path))
    }

    /// Whether it is another source, or has that one's entries at the same places.
    pub(crate) fn holds(&self, other: &Source) -> bool {
        let there = self.at(&other.dest).map(|path| source::lstat(&path));
        there.is_some_and(|there| there.is_ok_and(|there| there.id() == other.id))
    }

    /// Its own name, if it is a single entry that gets another one.
    fn name(&self) -> Option<RelPath> {
        let name = self.path.file_name()?.as_bytes();
        let renamed = !self.dest.is_root() && self.dest.name() != name;
        renamed.then(|| RelPath::new(name).ok())?
    }
}

/// An entry of a source tree.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// Where it is.
    pub(crate) source: PathBuf,
    /// Where it goes.
    pub(crate) dest: RelPath,
    /// What it is.
    pub(crate) stat: Stat,
    /// Why it is left out, if it is.
    pub(crate) left_out: Option<LeftOut>,
    /// What a source before this one puts at the same place, unless both are directories.
    pub(crate) earlier: Option<PathBuf>,
}

/// Why the walk leaves an entry out, with all that is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeftOut {
    /// A rule of the user's.
    Rule,
    /// It is the destination: the copy would copy itself.
    Destination,
    /// It is the state that sprag keeps of another copy.
    State,
    /// It would go where sprag keeps the state of this one.
    Reserved,
    /// It belongs to the file system, and may not be read.
    LostAndFound,
}

impl LeftOut {
    /// The failure that it is, if it is one.
    pub(crate) fn error(self, path: &Path) -> Option<EntryError> {
        (self == LeftOut::Reserved).then(|| EntryError::Reserved(path.to_path_buf()))
    }

    /// What is to be said of it, beside that it was skipped.
    pub(crate) fn notice(self, path: &Path) -> Option<String> {
        let path = Printable(path);
        match self {
            LeftOut::Destination => Some(format!(
                "{path} is the destination, and was left out of the copy"
            )),
            LeftOut::LostAndFound => Some(format!(
                "{path} belongs to the file system, and may not be read: it was left out of the copy"
            )),
            LeftOut::Rule | LeftOut::State | LeftOut::Reserved => None,
        }
    }
}

/// What the walk yields for an entry it cannot hand on.
#[derive(Debug)]
pub(crate) struct ScanFailure {
    /// Where it would have gone; its nearest valid parent, if its own name is impossible.
    pub(crate) dest: RelPath,
    /// Why.
    pub(crate) error: EntryError,
}

/// Walks one source, or what a list names of it.
pub(crate) struct Scan<'a> {
    /// The walk under way. Those before it wait; there are some only where a list is gone through.
    walks: Vec<Tree>,
    listed: Option<Listed<'a>>,
    source: &'a Source,
    /// The sources before it: what they have, too, is theirs.
    before: &'a [Source],
    selection: &'a Selection,
    /// [`Source::name`].
    renamed: Option<RelPath>,
}

impl<'a> Scan<'a> {
    /// Walks the source of this number.
    pub(crate) fn new(sources: &'a [Source], number: usize, selection: &'a Selection) -> Scan<'a> {
        let source = &sources[number];
        let listed = selection.files_from.as_ref();
        let mut scan = Scan {
            walks: Vec::new(),
            listed: listed.map(|list| Listed::new(source, list)),
            source,
            before: &sources[..number],
            selection,
            renamed: source.name(),
        };
        if scan.listed.is_none() {
            scan.walk_from(&source.path);
        }
        scan
    }

    fn walk_from(&mut self, path: &Path) {
        let below = bytes_below(path, &self.source.path).map(RelPath::new);
        let from = match (&self.source.held, below) {
            (Some(held), Some(Ok(below))) => Some((Arc::clone(held), below)),
            _ => None,
        };
        let walk = Tree::new(path, from, self.selection.one_file_system);
        self.walks.push(walk);
    }

    /// Leaves out the contents of the directory that was just yielded.
    pub(crate) fn skip_dir(&mut self) {
        match &mut self.listed {
            Some(listed) if !listed.is_walked() => listed.skip_dir(),
            _ => {
                if let Some(walk) = self.walks.last_mut() {
                    walk.skip_dir();
                }
            }
        }
    }

    /// The next entry, in the place of one that is done with: its memory is used again.
    pub(crate) fn next_in(&mut self, spare: &mut Scanned) -> Option<Result<(), ScanFailure>> {
        loop {
            if let Some(item) = self.next_walked(spare) {
                if item.is_ok() && self.is_given_before(spare) {
                    continue;
                }
                return Some(item);
            }
            match self.listed.as_mut()?.next()? {
                listed::Step::Parent(path, dest, stat) => {
                    *spare = Scanned {
                        source: path,
                        dest,
                        stat,
                        left_out: None,
                        earlier: None,
                    };
                    // The way to what is listed; rules are for what is at its end.
                    spare.left_out = left_out_always(self.source, spare);
                    if spare.left_out.is_some() {
                        self.skip_dir();
                    }
                    return Some(Ok(()));
                }
                listed::Step::Failed(failure) => return Some(Err(failure)),
                listed::Step::Walk(path) => self.walk_from(&path),
                listed::Step::Resume => {}
            }
        }
    }

    /// Whether one of the sources before has this very entry, at the same place. Notes what else they
    /// have there.
    fn is_given_before(&self, scanned: &mut Scanned) -> bool {
        scanned.earlier = None;
        for source in self.before {
            let Some(path) = source.at(&scanned.dest) else {
                continue;
            };
            let Ok(there) = source::lstat(&path) else {
                continue;
            };
            // What its walk does not go into, it does not have.
            let is_walked = !self.selection.one_file_system || there.dev == source.id.dev;
            if there.id() == scanned.stat.id() && is_walked {
                return true;
            }
            let merges = there.kind == Kind::Dir && scanned.stat.kind == Kind::Dir;
            if !merges && scanned.left_out.is_none() {
                scanned.earlier.get_or_insert(path);
            }
        }
        false
    }

    /// The next entry of the walk under way. `None`: it is over, or there is none.
    fn next_walked(&mut self, spare: &mut Scanned) -> Option<Result<(), ScanFailure>> {
        let listed = self.listed.as_mut();
        let mut listed = match listed {
            Some(listed) if !listed.is_walked() => return None,
            listed => listed,
        };
        let walk = self.walks.last_mut()?;
        let Some(looked_at) = walk.advance() else {
            self.walks.pop();
            if let Some(listed) = listed {
                listed.end_walk();
            }
            return None;
        };
        let is_dir = |stat: &Stat| stat.kind == Kind::Dir;
        if walk.is_root() && !self.source.is_dir && looked_at.as_ref().is_ok_and(is_dir) {
            // It was none when it was first looked at, and nothing in it is reached from there.
            walk.skip_dir();
            let error = EntryError::Replaced(self.source.path.clone());
            let dest = self.source.dest.clone();
            return Some(Err(ScanFailure { dest, error }));
        }
        if looked_at.is_err() {
            // What cannot be looked at fails once, with all that may be in it.
            walk.skip_dir();
        }
        let put = put_in(spare, self.source, walk.path(), looked_at);
        let dest = match &put {
            Ok(()) => &spare.dest,
            Err(failure) => &failure.dest,
        };
        if let Some(listed) = &mut listed {
            listed.meet(dest);
        }
        // Of one file under a new name, the rules speak of the source.
        let named = self.renamed.as_ref().unwrap_or(dest);
        if put.is_err() {
            let is_dir = walk.is_listed_as_dir();
            let by_rule = self.selection.leaves_out_unseen(named, is_dir);
            return Some(put.or_else(|failure| {
                if by_rule {
                    *spare = unseen(walk.path(), failure.dest, is_dir.unwrap_or_default());
                    Ok(())
                } else {
                    Err(failure)
                }
            }));
        }
        let by_rule = self.selection.leaves_out(named, &spare.stat);
        let stays_out = spare.stat.kind == Kind::Dir && (by_rule || !walk.goes_in());
        spare.left_out = left_out_always(self.source, spare);
        let is_on_the_way = stays_out
            && spare.left_out.is_none()
            && listed.is_some_and(|listed| listed.enter(&spare.dest));
        if by_rule && !is_on_the_way {
            spare.left_out = Some(LeftOut::Rule);
        }
        if spare.stat.kind == Kind::Dir && (spare.left_out.is_some() || is_on_the_way) {
            walk.skip_dir();
        }
        Some(Ok(()))
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<Scanned, ScanFailure>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut scanned = Scanned::default();
        let next = self.next_in(&mut scanned)?;
        Some(next.map(|()| scanned))
    }
}

/// An entry that cannot be looked at and that a rule leaves out by its name.
fn unseen(path: &Path, dest: RelPath, is_dir: bool) -> Scanned {
    let kind = if is_dir { Kind::Dir } else { Kind::File };
    Scanned {
        source: path.to_path_buf(),
        dest,
        stat: Stat {
            kind,
            ..Stat::default()
        },
        left_out: Some(LeftOut::Rule),
        earlier: None,
    }
}

/// Puts an entry that was looked at in the place of another.
fn put_in(
    spare: &mut Scanned,
    from: &Source,
    path: &Path,
    looked_at: std::io::Result<Stat>,
) -> Result<(), ScanFailure> {
    let dest = dest_of(from, path, std::mem::take(&mut spare.dest))?;
    match looked_at {
        Ok(stat) => {
            (spare.dest, spare.stat) = (dest, stat);
            let source = spare.source.as_mut_os_string();
            source.clear();
            source.push(path);
            Ok(())
        }
        Err(error) => Err(failure(dest, path, error)),
    }
}

/// Where a path of a source goes, in the memory of another.
fn dest_of(from: &Source, path: &Path, spare: RelPath) -> Result<RelPath, ScanFailure> {
    let quick =
        bytes_below(path, &from.path).and_then(|below| from.dest.join_all(below, spare).ok());
    if let Some(dest) = quick {
        return Ok(dest);
    }
    let below = path.strip_prefix(&from.path).unwrap_or(path);
    let mut dest = from.dest.clone();
    for part in below.components() {
        dest = dest
            .join(part.as_os_str().as_bytes())
            .map_err(|reason| ScanFailure {
                dest: dest.clone(),
                error: EntryError::Path {
                    path: path.to_path_buf(),
                    reason,
                },
            })?;
    }
    Ok(dest)
}

/// Why an entry is left out that no rule leaves out.
fn left_out_always(from: &Source, scanned: &Scanned) -> Option<LeftOut> {
    let Scanned {
        source, dest, stat, ..
    } = scanned;
    if from.is_copied_to(source, stat) {
        return Some(LeftOut::Destination);
    }
    // What the user names himself is meant.
    let is_given = dest == &from.dest;
    let may_be_state = stat.kind == Kind::Dir && dest.name() == STATE_DIR && !is_given;
    if may_be_state && manifest::is_state(source) {
        return Some(LeftOut::State);
    }
    if dest.name() == LOST_AND_FOUND && is_lost_and_found(from, scanned) {
        return Some(LeftOut::LostAndFound);
    }
    (dest.components().next() == Some(STATE_DIR)).then_some(LeftOut::Reserved)
}

/// Whether an entry is a directory at the top of a source that may not be read.
fn is_lost_and_found(from: &Source, scanned: &Scanned) -> bool {
    let is_at_top = scanned.source.parent() == Some(from.path.as_path());
    let is_closed = || {
        let names = source::names(&scanned.source);
        names.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
    };
    is_at_top && scanned.stat.kind == Kind::Dir && is_closed()
}

fn failure(dest: RelPath, path: &Path, source: std::io::Error) -> ScanFailure {
    let error = if source.kind() == std::io::ErrorKind::NotFound {
        EntryError::Vanished(path.to_path_buf())
    } else {
        EntryError::Unreadable(PathError::new("read", path, source))
    };
    ScanFailure { dest, error }
}

/// What the selection made of the entries of the sources. A directory of which only the contents are
/// copied is none of them.
#[derive(Debug, Default)]
pub(crate) struct Selected {
    any: AtomicBool,
    left_out: AtomicBool,
}

impl Selected {
    /// Notes an entry.
    pub(crate) fn note(&self, scanned: &Scanned) {
        if scanned.left_out == Some(LeftOut::Rule) {
            self.left_out.store(true, Ordering::Relaxed);
        } else if scanned.left_out.is_none() && !scanned.dest.is_root() {
            self.any.store(true, Ordering::Relaxed);
        }
    }

    /// Whether there were entries, and all of them were left out.
    pub(crate) fn is_empty(&self) -> bool {
        self.left_out.load(Ordering::Relaxed) && !self.any.load(Ordering::Relaxed)
    }
}

/// Walks all sources and gives what was met, and whether all of it could be looked at.
pub(crate) fn all(
    sources: &[Source],
    selection: &Selection,
    mut visit: impl FnMut(&Scanned) -> ControlFlow<()>,
) -> ControlFlow<(), (Walked, bool)> {
    let (mut walked, mut is_whole) = (Walked::default(), true);
    let mut scanned = Scanned::default();
    for (number, source) in sources.iter().enumerate() {
        let mut scan = Scan::new(sources, number, selection);
        let mut mount_points = MountPoints::new(source);
        while let Some(next) = scan.next_in(&mut scanned) {
            if next.is_err() {
                is_whole = false;
                continue;
            }
            mount_points.meet(&scanned);
            walked.meet(&scanned.dest);
            visit(&scanned)?;
        }
        walked.mount_points(mount_points);
    }
    walked.over();
    ControlFlow::Continue((walked, is_whole))
}

/// Walks all sources and passes over what cannot be read, which is the real walk's to report.
pub(crate) fn each(
    sources: &[Source],
    selection: &Selection,
    mut visit: impl FnMut(&Scanned) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut scanned = Scanned::default();
    for number in 0..sources.len() {
        let mut scan = Scan::new(sources, number, selection);
        while let Some(next) = scan.next_in(&mut scanned) {
            if next.is_ok() {
                visit(&scanned)?;
            }
        }
    }
    ControlFlow::Continue(())
}
