//! Judging one record by what stands at its path.
//!
//! Content comes first; only where it is as recorded, the metadata is looked at. An I/O error is a verdict on that path and never ends the run, unless the device is gone.

use std::io;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::{At, BlockCount, Checked, Halt, Report, Shared, Work, doubt, medium};
use crate::error::{ManifestError, PathError};
use crate::event::{ReadHow, Verdict};
use crate::fs::{AlignedBuf, Fs, Kind, Stat, is_not_there};
use crate::manifest::{DirRecord, Done, Entry, Link, Partial, SpecialRecord, SymlinkRecord};
use crate::partial;
use crate::path::{Printable, RelPath};

/// A verdict, and how the content was read if it was.
pub(super) type Judged = (Verdict, Option<ReadHow>);

/// Why a path has no verdict yet.
pub(super) enum Trouble {
    /// This path cannot be read.
    Path(PathError),
    /// The thread ends.
    Halt(Halt),
}

impl From<PathError> for Trouble {
    fn from(error: PathError) -> Trouble {
        Trouble::Path(error)
    }
}

impl From<Halt> for Trouble {
    fn from(halt: Halt) -> Trouble {
        Trouble::Halt(halt)
    }
}

/// One worker.
pub(super) struct Checker<'a, F: Fs> {
    pub(super) shared: &'a Shared<F>,
    pub(super) reports: &'a Sender<Report>,
    pub(super) buf: AlignedBuf,
    /// Bytes that were read and not reported yet.
    pub(super) unreported_bytes: u64,
    /// The blocks to read of the file at hand; `None`: all.
    pub(super) chosen: Option<Vec<u64>>,
    /// What was read of it so far, and what was not.
    pub(super) blocks: BlockCount,
    /// The directory that was opened last: the next file is likely to be in it too.
    dir: Option<(RelPath, Arc<F::Dir>)>,
}

/// Checks records until there are no more.
pub(super) fn run<F: Fs>(shared: &Shared<F>, works: &Receiver<Work>, reports: &Sender<Report>) {
    let mut checker = Checker {
        shared,
        reports,
        buf: medium::buffer(),
        unreported_bytes: 0,
        chosen: None,
        blocks: BlockCount::default(),
        dir: None,
    };
    let result = works.iter().try_for_each(|work| checker.work(work));
    let reported = checker.report_bytes();
    shared.signals.ended(reports, result.and(reported));
}

impl<F: Fs> Checker<'_, F> {
    fn work(&mut self, work: Work) -> Result<(), Halt> {
        self.shared.check_stop()?;
        let Work { pos, ordinal, .. } = work;
        self.chosen = work.blocks;
        self.blocks = BlockCount::default();
        let (path, entry) = self
            .shared
            .store
            .entry_at(pos)
            .map_err(|error| self.shared.manifest_failed(error))?;
        let (verdict, how) = match self.judge(&path, &entry) {
            Ok(judged) => judged,
            Err(Trouble::Path(error)) => (Verdict::Unreadable { error }, None),
            Err(Trouble::Halt(halt)) => return Err(halt),
        };
        let verdict = match self.shared.in_doubt(pos, &entry) {
            true => doubt::doubted(verdict),
            false => verdict,
        };
        let compared = self.compare(&path, &entry, &verdict)?;
        let kind = self.shared.store.kind_of(&entry);
        let kind = kind.map_err(|error| self.shared.manifest_failed(error))?;
        let checked = Checked {
            path,
            kind,
            verdict,
            how,
            at: Some(At { pos, ordinal }),
            blocks: self.blocks,
        };
        self.shared.report(self.reports, checked)?;
        match compared {
            Some(compared) => {
                let report = Report::Compared(compared);
                self.reports.send(report).map_err(|_| Halt::Stopped)
            }
            None => Ok(()),
        }
    }

    fn judge(&mut self, path: &RelPath, entry: &Entry) -> Result<Judged, Trouble> {
        match entry {
            Entry::Dir(dir) => Ok((self.dir(path, dir)?, None)),
            Entry::Special(special) => {
                let verdict = self.special(path, special)?;
                let attempt = Some(special.attempt);
                let verdict = self.unless_unpublished(path, attempt, 0, verdict)?;
                Ok((verdict, None))
            }
            Entry::Symlink(link) => {
                let verdict = self.symlink(path, link)?;
                let verdict = self.unless_unpublished(path, Some(link.attempt), 0, verdict)?;
                Ok((verdict, None))
            }
            Entry::Done(done) => {
                let (verdict, how) = self.file(path, done)?;
                let verdict = self.unless_unpublished(path, done.attempt, done.size, verdict)?;
                Ok((verdict, how))
            }
            Entry::Link(link) => self.link(path, link),
            Entry::Partial(partial) => Ok((self.incomplete(partial), None)),
            Entry::LinkWanted(_) => Ok((Verdict::Incomplete { bytes: 0, of: 0 }, None)),
        }
    }

    fn incomplete(&self, partial: &Partial) -> Verdict {
        let of = partial.begin.source.size;
        let bytes = partial
            .blocks
            .saturating_mul(self.shared.store.block_size().bytes())
            .min(of);
        Verdict::Incomplete { bytes, of }
    }

    /// What a run that was killed between recording and renaming left is not damage: it is whole
    /// under its partial name, and the next run gives it the final one.
    fn unless_unpublished(
        &mut self,
        path: &RelPath,
        attempt: Option<u8>,
        size: u64,
        verdict: Verdict,
    ) -> Result<Verdict, Trouble> {
        let (Some(attempt), false) = (attempt, matches!(verdict, Verdict::Ok)) else {
            return Ok(verdict);
        };
        let name = partial::name(self.shared.store.id(), path, attempt);
        let waits = match self.parent(path)? {
            Some(dir) => self.at("look at", path, self.shared.fs.stat(&dir, &name))?,
            None => None,
        };
        Ok(match waits {
            Some(_) => Verdict::Incomplete {
                bytes: size,
                of: size,
            },
            None => verdict,
        })
    }

    fn dir(&mut self, path: &RelPath, dir: &DirRecord) -> Result<Verdict, Trouble> {
        Ok(match self.stat(path)? {
            None => Verdict::Missing,
            Some(stat) if stat.kind == Kind::Dir => {
                self.metadata(path, &stat, &dir.dest, dir.mtime_ns)?
            }
            Some(stat) => other_kind(stat.kind, Kind::Dir),
        })
    }

    fn special(&mut self, path: &RelPath, special: &SpecialRecord) -> Result<Verdict, Trouble> {
        let Some(stat) = self.stat(path)? else {
            return Ok(Verdict::Missing);
        };
        match stat.kind {
            Kind::Special(what) if what == special.what => {
                self.metadata(path, &stat, &special.dest, special.mtime_ns)
            }
            found => Ok(other_kind(found, Kind::Special(special.what))),
        }
    }

    fn symlink(&mut self, path: &RelPath, link: &SymlinkRecord) -> Result<Verdict, Trouble> {
        let Some(stat) = self.stat(path)? else {
            return Ok(Verdict::Missing);
        };
        if stat.kind != Kind::Symlink {
            return Ok(other_kind(stat.kind, Kind::Symlink));
        }
        let Some(dir) = self.parent(path)? else {
            return Ok(Verdict::Missing);
        };
        let target = self.shared.fs.read_symlink(&dir, path.name());
        let target = self.at("read", path, target)?;
        if target == link.target {
            return self.metadata(path, &stat, &link.dest, link.mtime_ns);
        }
        let what = format!(
            "it points to {}, recorded as {}",
            Printable(as_path(&target)),
            Printable(as_path(&link.target))
        );
        Ok(Verdict::Modified { what, damage: None })
    }

    fn file(&mut self, path: &RelPath, done: &Done) -> Result<Judged, Trouble> {
        let Some(stat) = self.stat(path)? else {
            return Ok((Verdict::Missing, None));
        };
        let (verdict, how) = self.content(path, done, &stat)?;
        let is_good = matches!(
            verdict,
            Verdict::Ok | Verdict::Sampled { .. } | Verdict::Unread | Verdict::Unproven
        );
        if !is_good {
            return Ok((verdict, how));
        }
        match self.metadata(path, &stat, &done.dest, done.mtime_ns)? {
            Verdict::Ok => Ok((verdict, how)),
            worse => Ok((worse, how)),
        }
    }

    /// A further name of a file, symlink or special file. While it is the same inode, it is checked
    /// once, under the first name; a name of its own is compared with what that one should hold.
    fn link(&mut self, path: &RelPath, link: &Link) -> Result<Judged, Trouble> {
        let Some(stat) = self.stat(path)? else {
            return Ok((Verdict::Missing, None));
        };
        let known = self.shared.store.lookup(&link.to);
        let known = known.map_err(|error| self.failed(error))?;
        let to = self.stat(&link.to)?;
        let is_same = |kind| to.is_some_and(|to| stat.kind == kind && same_inode(&to, &stat));
        match known.map(|(_, entry)| entry) {
            Some(Entry::Done(_)) if is_same(Kind::File) => Ok((Verdict::Ok, None)),
            Some(Entry::Done(done)) => self.content(path, &done, &stat),
            Some(Entry::Symlink(_)) if is_same(Kind::Symlink) => Ok((Verdict::Ok, None)),
            Some(Entry::Symlink(link)) => Ok((self.symlink(path, &link)?, None)),
            Some(Entry::Special(first)) if is_same(Kind::Special(first.what)) => {
                Ok((Verdict::Ok, None))
            }
            Some(Entry::Special(first)) => Ok((self.special(path, &first)?, None)),
            // The first name is being copied anew, and this one will be linked to it again.
            _ => Ok((Verdict::Incomplete { bytes: 0, of: 0 }, None)),
        }
    }

    /// What stands at a path. `None` if nothing does, or something on the way is no directory.
    fn stat(&mut self, path: &RelPath) -> Result<Option<Stat>, Trouble> {
        let fs = &*self.shared.fs;
        if path.is_root() {
            return Ok(Some(self.at("look at", path, fs.stat_dir(&fs.root()))?));
        }
        match self.parent(path)? {
            Some(dir) => self.at("look at", path, fs.stat(&dir, path.name())),
            None => Ok(None),
        }
    }

    /// The directory that a path is in. `None` if there is none.
    pub(super) fn parent(&mut self, path: &RelPath) -> Result<Option<Arc<F::Dir>>, Trouble> {
        let (parent, _) = path.split().unwrap_or_default();
        if let Some((at, dir)) = &self.dir
            && *at == parent
        {
            return Ok(Some(Arc::clone(dir)));
        }
        let opened = self.shared.fs.open_dir(&parent);
        if opened.as_ref().is_err_and(is_not_there) {
            return Ok(None);
        }
        let dir = Arc::new(self.at("open", &parent, opened)?);
        self.dir = Some((parent, Arc::clone(&dir)));
        Ok(Some(dir))
    }

    /// Adds to an I/O error what was tried on which path.
    pub(super) fn at<T>(
        &self,
        action: &'static str,
        path: &RelPath,
        result: io::Result<T>,
    ) -> Result<T, Trouble> {
        result.map_err(|error| self.shared.problem(action, path, error).into())
    }

    pub(super) fn failed(&self, error: ManifestError) -> Trouble {
        self.shared.manifest_failed(error).into()
    }
}

pub(super) fn other_kind(found: Kind, recorded: Kind) -> Verdict {
    let what = format!(
        "it is {}, recorded as {}",
        found.describe(),
        recorded.describe()
    );
    Verdict::Modified { what, damage: None }
}

fn same_inode(a: &Stat, b: &Stat) -> bool {
    a.id() == b.id()
}

fn as_path(bytes: &[u8]) -> &std::path::Path {
    use std::os::unix::ffi::OsStrExt;
    std::path::Path::new(std::ffi::OsStr::from_bytes(bytes))
}
