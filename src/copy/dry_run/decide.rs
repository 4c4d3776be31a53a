//! What would become of one entry.

use std::io;
use std::path::Path;

use super::*;
use crate::copy::metadata;
use crate::fs::source::SourceEntry;
use crate::fs::{FileId, FsMeta, Meta, OsDir, Stat, Times, Xattrs};
use crate::manifest::{Entry, Seen};
use crate::plan::{self, DirPlan, FilePlan, SymlinkPlan};

/// What stands at a path, with its target if it is a symlink.
struct Looked {
    seen: Seen,
    target: Option<Vec<u8>>,
}

impl DryRun {
    pub(super) fn known(&self, path: &RelPath) -> Result<Option<Entry>, Error> {
        let store = self.there.as_ref().and_then(|there| there.store.as_ref());
        let found = store.map(|store| store.lookup(path)).transpose()?;
        Ok(found.flatten().map(|(_, entry)| entry))
    }

    /// What stands at the destination.
    fn look(&self, path: &RelPath) -> Result<Option<Looked>, EntryError> {
        let Some(There { fs, .. }) = &self.there else {
            return Ok(None);
        };
        let wants_xattrs = metadata::wants_xattrs(&self.options);
        let looked = match path.split() {
            None => look_at_root(fs, wants_xattrs).map(Some),
            Some((parent, name)) => found(fs.open_dir(&parent)).and_then(|dir| match dir {
                Some(dir) => look_at(fs, &dir, name, wants_xattrs),
                None => Ok(None),
            }),
        };
        let full = path.below(&self.setup.root);
        looked.map_err(|error| EntryError::Dest(PathError::new("look at", full, error)))
    }

    fn source_entry(&self, path: &Path) -> io::Result<SourceEntry> {
        match self.roots.iter().find(|root| root.holds(path)) {
            Some(root) => root.entry(path),
            None => Ok(SourceEntry::given(path)),
        }
    }

    fn wanted(&self, scanned: &Scanned, there: Option<&Seen>) -> Result<Meta, EntryError> {
        let xattrs = match metadata::wants_xattrs(&self.options) {
            true => (self.source_entry(&scanned.source))
                .and_then(|entry| entry.xattrs())
                .map_err(|e| unreadable(scanned, e))?,
            false => Xattrs::default(),
        };
        let there = there.map(|there| &there.stat);
        let (options, stat) = (&self.options, &scanned.stat);
        let inherited = metadata::Inherited::default();
        Ok(metadata::wanted(
            options, self.own, stat, xattrs, there, inherited,
        ))
    }

    pub(super) fn plan(
        &mut self,
        scanned: &Scanned,
        met: &mut HashSet<FileId>,
    ) -> Result<Result<Outcome, EntryError>, Error> {
        if let Some(why) = scanned.left_out {
            let error = why.error(&scanned.source);
            return Ok(error.map_or(Ok(Outcome::Skipped), Err));
        }
        let (stat, path) = (&scanned.stat, &scanned.dest);
        let known = self.known(path)?;
        let looked = self.cannot_stand(scanned).and_then(|()| self.look(path));
        let there = match looked {
            Ok(there) => there,
            Err(error) => return Ok(Err(error)),
        };
        Ok(match stat.kind {
            Kind::Dir => self.plan_dir(scanned, known.as_ref(), there.map(|there| there.seen)),
            _ if stat.nlink > 1
                && self.options.hard_links
                && self.forecast.limits.holds_links_of(stat.kind)
                && !met.insert(stat.id()) =>
            {
                Ok(match (known, there) {
                    (Some(Entry::Link(_)), Some(_)) => Outcome::Unchanged,
                    _ => Outcome::Copied,
                })
            }
            Kind::Symlink => self.plan_symlink(scanned, known.as_ref(), there),
            Kind::File => self.plan_file(scanned, known.as_ref(), there.map(|there| there.seen)),
            Kind::Special(_) => {
                self.plan_special(scanned, known.as_ref(), there.map(|there| there.seen))
            }
        })
    }

    fn conflict(&self, path: &RelPath, found: Kind, wanted: Kind) -> EntryError {
        EntryError::Conflict {
            path: path.below(&self.setup.root),
            found: found.describe(),
            wanted: wanted.describe(),
        }
    }

    fn plan_dir(
        &self,
        scanned: &Scanned,
        known: Option<&Entry>,
        there: Option<Seen>,
    ) -> Result<Outcome, EntryError> {
        let wanted = self.wanted(scanned, there.as_ref())?;
        match plan::plan_dir(&scanned.stat, &wanted, known, there.as_ref()) {
            DirPlan::Conflict(found) => Err(self.conflict(&scanned.dest, found, Kind::Dir)),
            // A copy makes DEST before it looks at it.
            DirPlan::Make if scanned.dest.is_root() => Ok(Outcome::Adopted),
            DirPlan::Make => Ok(Outcome::Copied),
            DirPlan::Keep { mend: false } => Ok(Outcome::Unchanged),
            DirPlan::Keep { mend: true } => Ok(match known {
                Some(Entry::Dir(_)) => Outcome::Mended,
                _ => Outcome::Adopted,
            }),
        }
    }

    /// Whether metadata is as recorded, of an entry whose content is.
    fn unchanged_or_mended(
        &self,
        scanned: &Scanned,
        known: Option<&Entry>,
        there: &Seen,
    ) -> Result<Outcome, EntryError> {
        let recorded = match known {
            Some(Entry::Done(done)) => (&done.dest, done.mtime_ns),
            Some(Entry::Symlink(link)) => (&link.dest, link.mtime_ns),
            Some(Entry::Special(special)) => (&special.dest, special.mtime_ns),
            _ => return Ok(Outcome::Unchanged),
        };
        let wanted = self.wanted(scanned, Some(there))?;
        let drifted = plan::has_drifted(&scanned.stat, &wanted, there, recorded);
        Ok(match drifted {
            true => Outcome::Mended,
            false => Outcome::Unchanged,
        })
    }

    fn plan_special(
        &self,
        scanned: &Scanned,
        known: Option<&Entry>,
        there: Option<Seen>,
    ) -> Result<Outcome, EntryError> {
        let wanted = scanned.stat.kind;
        match there {
            Some(_) if self.options.existing.ignore => Ok(Outcome::Skipped),
            Some(there) if there.stat.kind == Kind::Dir => {
                Err(self.conflict(&scanned.dest, Kind::Dir, wanted))
            }
            Some(there)
                if there.stat.kind == wanted && !plan::comes_apart(&scanned.stat, known) =>
            {
                match known {
                    Some(Entry::Special(_)) => self.unchanged_or_mended(scanned, known, &there),
                    _ => Ok(Outcome::Mended),
                }
            }
            _ => Ok(Outcome::Copied),
        }
    }

    /// How the destination shows times, if it is there.
    fn times(&self) -> Times {
        self.there
            .as_ref()
            .map_or(Times::EXACT, |there| there.times)
    }

    fn plan_file(
        &mut self,
        scanned: &Scanned,
        known: Option<&Entry>,
        there: Option<Seen>,
    ) -> Result<Outcome, EntryError> {
        let (stat, path) = (&scanned.stat, &scanned.dest);
        let dest = there.as_ref().map(|there| &there.stat);
        let mut to_copy = 0;
        let plan = plan::plan_file_under((self.options.existing, self.times()), stat, known, dest);
        let outcome = match (plan, &there) {
            (FilePlan::Conflict(found), _) => return Err(self.conflict(path, found, Kind::File)),
            (FilePlan::Leave, _) => return Ok(Outcome::Skipped),
            (FilePlan::Unchanged | FilePlan::Check, Some(there)) => {
                self.unchanged_or_mended(scanned, known, there)?
            }
            (FilePlan::Unchanged | FilePlan::Check, None) => Outcome::Unchanged,
            (FilePlan::Adopt, _) => Outcome::Adopted,
            (FilePlan::Copy, _) => {
                to_copy = stat.size;
                Outcome::Copied
            }
            (FilePlan::Resume, _) => {
                let resumed = self.resumed(known, stat);
                self.summary.bytes_resumed += resumed;
                to_copy = stat.size - resumed;
                Outcome::Copied
            }
        };
        self.summary.bytes_total += stat.size;
        self.summary.bytes_copied += to_copy;
        Ok(outcome)
    }

    /// How much of a file is there under its partial name.
    fn resumed(&self, known: Option<&Entry>, stat: &Stat) -> u64 {
        let store = self.there.as_ref().and_then(|there| there.store.as_ref());
        match (known, store) {
            (Some(Entry::Partial(partial)), Some(store)) => {
                let block = store.block_size().bytes();
                partial.blocks.saturating_mul(block).min(stat.size)
            }
            _ => 0,
        }
    }

    fn plan_symlink(
        &self,
        scanned: &Scanned,
        known: Option<&Entry>,
        there: Option<Looked>,
    ) -> Result<Outcome, EntryError> {
        let target = (self.source_entry(&scanned.source))
            .and_then(|entry| entry.read_link())
            .map_err(|e| unreadable(scanned, e))?;
        if let Some(tag) = source::windows_only(&target) {
            let path = scanned.source.clone();
            return Err(EntryError::WindowsOnly { path, tag });
        }
        let dest = there
            .as_ref()
            .map(|there| (there.seen.stat.kind, there.target.as_deref()));
        let plan =
            plan::plan_symlink_under(self.options.existing, (&scanned.stat, &target), known, dest);
        match (plan, &there) {
            (SymlinkPlan::Conflict(found), _) => {
                Err(self.conflict(&scanned.dest, found, Kind::Symlink))
            }
            (SymlinkPlan::Leave, _) => Ok(Outcome::Skipped),
            (SymlinkPlan::Unchanged, Some(there)) => {
                self.unchanged_or_mended(scanned, known, &there.seen)
            }
            (SymlinkPlan::Unchanged, None) => Ok(Outcome::Unchanged),
            (SymlinkPlan::Adopt, _) => Ok(Outcome::Adopted),
            (SymlinkPlan::Make, _) => Ok(Outcome::Copied),
        }
    }
}

fn look_at_root(fs: &OsFs, wants_xattrs: bool) -> io::Result<Looked> {
    let root = fs.root();
    let xattrs = match wants_xattrs {
        true => fs.dir_xattrs(&root)?,
        false => Xattrs::default(),
    };
    Ok(Looked {
        seen: Seen::new(fs.stat_dir(&root)?, xattrs),
        target: None,
    })
}

fn look_at(fs: &OsFs, dir: &OsDir, name: &[u8], wants_xattrs: bool) -> io::Result<Option<Looked>> {
    let Some(stat) = fs.stat(dir, name)? else {
        return Ok(None);
    };
    let xattrs = match wants_xattrs {
        true => fs.xattrs(dir, name)?,
        false => Xattrs::default(),
    };
    let target = match stat.kind {
        Kind::Symlink => Some(fs.read_symlink(dir, name)?),
        _ => None,
    };
    Ok(Some(Looked {
        seen: Seen::new(stat, xattrs),
        target,
    }))
}

fn unreadable(scanned: &Scanned, error: io::Error) -> EntryError {
    EntryError::Unreadable(PathError::new("read", &scanned.source, error))
}
