//! The walk: sources into entries, in file-name order, each with its path at the destination.
//!
//! What the user's rules leave out is yielded once, marked as such; a directory among it is not gone
//! into. It reads names and `lstat` only. What a source may not be (missing, around or inside the
//! destination) was settled before; see `copy::setup`.

use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::error::{EntryError, PathError};
use crate::fs::{Kind, Stat, source};
use crate::manifest::STATE_DIR;
use crate::path::{RelPath, bytes_below};
use crate::selection::Selection;

mod first_names;
mod given;
mod listed;

pub(crate) use first_names::FirstNames;
use listed::Listed;

/// One source, resolved.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Where the walk begins.
    pub(crate) path: PathBuf,
    /// Where that goes at the destination; the root for a source that means its contents.
    pub(crate) dest: RelPath,
    /// Device and inode, if it is a directory.
    pub(crate) dir: Option<(u64, u64)>,
}

impl Source {
    /// The source as an absolute path, with the slash that says that its contents are meant.
    pub(crate) fn as_given(&self) -> Vec<u8> {
        let path = source::absolute(&self.path);
        let mut bytes = path.as_os_str().as_bytes().to_vec();
        if self.dest.is_root() && bytes.last() != Some(&b'/') {
            bytes.push(b'/');
        }
        bytes
    }

    /// Its own name, if it is a single entry that gets another one.
    fn name(&self) -> Option<RelPath> {
        let name = self.path.file_name()?.as_bytes();
        let renamed = !self.dest.is_root() && self.dest.name() != name;
        renamed.then(|| RelPath::new(name).ok())?
    }
}

/// An entry of a source tree.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// Where it is.
    pub(crate) source: PathBuf,
    /// Where it goes.
    pub(crate) dest: RelPath,
    /// What it is.
    pub(crate) stat: Stat,
    /// A rule of the user's leaves it out.
    pub(crate) left_out: bool,
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
    walk: Option<walkdir::IntoIter>,
    listed: Option<Listed<'a>>,
    source: &'a Source,
    selection: &'a Selection,
    /// [`Source::name`].
    renamed: Option<RelPath>,
    /// The directory that was yielded last: an error without a path is about listing it, since
    /// such errors are sorted before its entries.
    last_dir: PathBuf,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(source: &'a Source, selection: &'a Selection) -> Scan<'a> {
        let listed = selection.files_from.as_ref();
        let mut scan = Scan {
            walk: None,
            listed: listed.map(|list| Listed::new(source, list)),
            source,
            selection,
            renamed: source.name(),
            last_dir: source.path.clone(),
        };
        if scan.listed.is_none() {
            scan.walk_from(&source.path);
        }
        scan
    }

    fn walk_from(&mut self, path: &Path) {
        let walk = WalkDir::new(path)
            .follow_links(false)
            .follow_root_links(false)
            .same_file_system(self.selection.one_file_system)
            // By file name; what stands before the names is the same.
            .sort_by(|a, b| a.path().as_os_str().cmp(b.path().as_os_str()))
            .into_iter();
        self.walk = Some(walk);
        self.last_dir = path.to_path_buf();
    }

    /// Leaves out the contents of the directory that was just yielded.
    pub(crate) fn skip_dir(&mut self) {
        match (&mut self.walk, &mut self.listed) {
            (Some(walk), _) => walk.skip_current_dir(),
            (None, Some(listed)) => listed.skip_dir(),
            (None, None) => {}
        }
    }

    fn dest_of(&self, path: &Path) -> Result<RelPath, ScanFailure> {
        let quick = bytes_below(path, &self.source.path)
            .and_then(|below| self.source.dest.join_all(below).ok());
        if let Some(dest) = quick {
            return Ok(dest);
        }
        let below = path.strip_prefix(&self.source.path).unwrap_or(path);
        let mut dest = self.source.dest.clone();
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

    fn entry(&self, entry: DirEntry) -> Result<Scanned, ScanFailure> {
        let dest = self.dest_of(entry.path())?;
        match entry.metadata() {
            Ok(metadata) => {
                let stat = source::from_metadata(&metadata);
                Ok(self.scanned(entry.into_path(), dest, stat))
            }
            Err(error) => Err(failure(dest, entry.path(), error)),
        }
    }

    fn scanned(&self, source: PathBuf, dest: RelPath, stat: Stat) -> Scanned {
        let left_out = match &self.renamed {
            // One file under a new name: the rules speak of the source.
            Some(name) => self.selection.leaves_out(name, &stat),
            None => self.selection.leaves_out(&dest, &stat),
        };
        Scanned {
            source,
            dest,
            stat,
            left_out,
        }
    }

    /// The next entry of the walk under way. `None`: it is over, or there is none.
    fn next_walked(&mut self) -> Option<Result<Scanned, ScanFailure>> {
        loop {
            let walk = self.walk.as_mut()?;
            let item = match walk.next() {
                None => {
                    self.walk = None;
                    return None;
                }
                Some(Ok(entry)) if is_state(&entry) => {
                    walk.skip_current_dir();
                    continue;
                }
                Some(Ok(entry)) => {
                    let is_dir = entry.file_type().is_dir();
                    if is_dir {
                        self.last_dir = entry.path().to_path_buf();
                    }
                    let scanned = self.entry(entry);
                    if is_dir && scanned.as_ref().is_ok_and(|scanned| scanned.left_out) {
                        self.skip_dir();
                    }
                    scanned
                }
                Some(Err(error)) => {
                    let path = error.path().unwrap_or(&self.last_dir).to_path_buf();
                    match self.dest_of(&path) {
                        Ok(dest) => Err(failure(dest, &path, error)),
                        Err(failure) => Err(failure),
                    }
                }
            };
            return Some(item);
        }
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<Scanned, ScanFailure>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.next_walked() {
                return Some(item);
            }
            match self.listed.as_mut()?.next()? {
                listed::Step::Parent(path, dest, stat) => {
                    // The way to what is listed; rules are for what is at its end.
                    return Some(Ok(Scanned {
                        source: path,
                        dest,
                        stat,
                        left_out: false,
                    }));
                }
                listed::Step::Failed(failure) => return Some(Err(failure)),
                listed::Step::Walk(path) => self.walk_from(&path),
            }
        }
    }
}

/// The state of another run, which is that destination's and is never copied.
fn is_state(entry: &DirEntry) -> bool {
    entry.file_type().is_dir() && entry.depth() > 0 && entry.file_name().as_bytes() == STATE_DIR
}

fn failure(dest: RelPath, path: &Path, error: walkdir::Error) -> ScanFailure {
    let source = error
        .into_io_error()
        .unwrap_or_else(|| std::io::Error::other("the directory tree contains itself"));
    let error = if source.kind() == std::io::ErrorKind::NotFound {
        EntryError::Vanished(path.to_path_buf())
    } else {
        EntryError::Unreadable(PathError::new("read", path, source))
    };
    ScanFailure { dest, error }
}

/// What one of the sources before put at the same destination path, unless both are directories.
pub(crate) fn earlier(before: &[Source], scanned: &Scanned) -> Option<PathBuf> {
    before.iter().find_map(|earlier| {
        let below = scanned.dest.strip_prefix(&earlier.dest)?;
        let path = below.below(&earlier.path);
        let stat = source::lstat(&path).ok()?;
        let merges = stat.kind == Kind::Dir && scanned.stat.kind == Kind::Dir;
        (!merges).then_some(path)
    })
}

/// Walks all sources and passes over what cannot be read, which is the real walk's to report.
pub(crate) fn each(
    sources: &[Source],
    selection: &Selection,
    mut visit: impl FnMut(&Scanned) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut all = sources
        .iter()
        .flat_map(|source| Scan::new(source, selection).flatten());
    all.try_for_each(|scanned| visit(&scanned))
}
