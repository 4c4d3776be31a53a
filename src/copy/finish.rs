//! The end of a run that has everything else: hard links, deletions, then the metadata of
//! directories, which each entry put into them or taken out of them had changed.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;

use super::classify::Doing;
use super::committer::Committer;
use super::failure::{self, Failure};
use crate::error::EntryError;
use crate::event::Outcome;
use crate::fs::{FileId, Fs, Kind, Meta, Xattrs};
use crate::manifest::{DestMeta, DirRecord, Entry, Link, Record, Seen};
use crate::path::RelPath;
use crate::scan::Source;

/// Which directories they are that a run has met: what is set on them in the end is set on no other that
/// takes their place. Of each some 40 bytes are kept.
#[derive(Debug, Default)]
pub(super) struct MetDirs {
    key: RandomState,
    ids: HashMap<u64, FileId>,
}

impl MetDirs {
    pub(super) fn note(&mut self, path: &RelPath, id: Option<FileId>) {
        let hash = self.key.hash_one(path.as_bytes());
        self.ids.extend(id.map(|id| (hash, id)));
    }

    fn get(&self, path: &RelPath) -> Option<FileId> {
        let hash = self.key.hash_one(path.as_bytes());
        self.ids.get(&hash).copied()
    }
}

impl<F: Fs> Committer<'_, F> {
    /// Does what was marked as due.
    pub(super) fn finish(&mut self, sources: &[Source]) {
        let due = self.store().due();
        self.each_due(&due, |this, entry| {
            if let Entry::Link(link) | Entry::LinkWanted(link) = entry {
                this.finish_link(link);
            }
        });
        self.delete(sources);
        if self.has_failed() {
            return;
        }
        if self.dirty.has_each() && self.has_unsealed() {
            // A directory's final mode may keep us from opening it once more to flush it.
            self.barrier_now();
        }
        // Links changed directories, too. Those inside come before those that hold them, whose
        // final mode may lock us out.
        let mut due = self.store().due();
        due.reverse();
        self.each_due(&due, |this, entry| {
            if let Entry::Dir(dir) = entry {
                this.finish_dir(&dir);
            }
        });
    }

    fn each_due(&mut self, due: &[u64], mut each: impl FnMut(&mut Self, Entry)) {
        for pos in due {
            if self.has_failed() {
                return;
            }
            let entry = self.store().entry_at(*pos);
            if let Some((_, entry)) = self.manifest(entry) {
                each(self, entry);
            }
        }
    }

    fn finish_link(&mut self, link: Link) {
        match self.make_link(&link) {
            Ok((outcome, kind)) => {
                self.summary_link(outcome, kind);
                if outcome == Outcome::Copied {
                    self.record(&Record::Link(link.clone()));
                    self.dirty.parent(&link.path);
                    self.mark_parent(&link.path);
                }
                self.tell_entry(link.path, outcome);
            }
            Err(failure) => {
                let link = Entry::Link(link);
                let kind = self.store().kind_of(&link);
                let kind = self.manifest(kind).flatten();
                self.finish_failed(link.path().clone(), kind, failure);
            }
        }
    }

    fn summary_link(&mut self, outcome: Outcome, kind: Kind) {
        match (outcome, kind) {
            (Outcome::Skipped, kind) => self.summary.skipped.add(Some(kind)),
            (_, Kind::Symlink) => self.summary.symlinks += 1,
            (_, Kind::Special(_)) => self.summary.specials += 1,
            (Outcome::Unchanged, _) => self.summary.files_unchanged += 1,
            _ => self.summary.files_copied += 1,
        }
    }

    pub(super) fn finish_failed(&mut self, path: RelPath, kind: Option<Kind>, failure: Failure) {
        match failure {
            Failure::Entry(error) => self.entry_failed(path, kind, error),
            Failure::Fatal(error) => self.fail(error),
            Failure::Stopped => {}
        }
    }

    /// Makes a link under a partial name and renames it into place, unless it is there. Gives what
    /// it is a link of, too.
    fn make_link(&mut self, link: &Link) -> Result<(Outcome, Kind), Failure> {
        let fs = &*self.shared.fs;
        let full = self.shared.full(&link.path);
        let at_dest = |error: io::Error| {
            failure::at_dest(fs, Doing::Name, "make the hard link", full.clone(), error)
        };
        let (Some((dir, name)), Some((to_dir, to_name))) = (link.path.split(), link.to.split())
        else {
            return Err(at_dest(io::ErrorKind::InvalidInput.into()));
        };
        let failed = || EntryError::LinkTarget {
            path: full.clone(),
            to: link.to.clone(),
        };
        let target = self.store().lookup(&link.to);
        match target.map_err(|error| Failure::Fatal(failure::manifest_failed(fs, error)))? {
            Some((_, Entry::Done(_) | Entry::Symlink(_) | Entry::Special(_))) => {}
            _ => return Err(failed().into()),
        }
        let dir = fs.open_dir(&dir).map_err(at_dest)?;
        let to_dir = fs.open_dir(&to_dir).map_err(at_dest)?;
        let to = fs.stat(&to_dir, to_name).map_err(at_dest)?;
        let to = to.ok_or_else(failed)?;
        let there = fs.stat(&dir, name).map_err(at_dest)?;
        if there.is_some_and(|there| there.id() == to.id()) {
            let known = self.store().lookup(&link.path);
            let known =
                known.map_err(|error| Failure::Fatal(failure::manifest_failed(fs, error)))?;
            let outcome = match known {
                Some((_, Entry::Link(_))) => Outcome::Unchanged,
                _ => Outcome::Copied,
            };
            return Ok((outcome, to.kind));
        }
        if crate::plan::plan_link_under(self.shared.options.existing, &to, there.as_ref()) {
            self.record(&Record::Removed(link.path.clone()));
            return Ok((Outcome::Skipped, to.kind));
        }
        self.shared.check_place(&dir, &link.path)?;
        let (attempt, partial, ()) = self
            .shared
            .make_partial(&link.path, &dir, |name| {
                fs.link(&to_dir, to_name, &dir, name)
            })
            .map_err(at_dest)?;
        let renamed = fs.rename(&dir, &partial, &dir, name);
        self.shared.names.release(&link.path, attempt);
        renamed.map_err(at_dest)?;
        Ok((Outcome::Copied, to.kind))
    }

    fn finish_dir(&mut self, dir: &DirRecord) {
        let (fs, options) = (&*self.shared.fs, &self.shared.options);
        let meta = Meta {
            mode: Some(dir.dest.asked_mode()),
            owner: options.owner.then_some(dir.dest.asked_owner()),
            times_ns: options.times.then_some((dir.atime_ns, dir.mtime_ns)),
            ..Meta::default()
        };
        let opened = match dir.path.is_root() {
            true => Ok(fs.root()),
            false => fs.open_dir(&dir.path).map(Arc::new),
        };
        let set = opened.and_then(|open| {
            let there = fs.stat_dir(&open)?;
            let is_it = match self.met.get(&dir.path) {
                Some(id) => id == there.id(),
                // An earlier run left it to be done.
                None => self.shared.is_ours_or(&there, dir.dest.asked_owner().0),
            };
            if !is_it {
                return Err(crate::fs::swapped());
            }
            fs.set_dir_meta(&open, &meta)?;
            let seen = Seen::new(fs.stat_dir(&open)?, Xattrs::default());
            Ok((open, seen))
        });
        self.dirty.unlisted_in(&dir.path);
        if let Ok((open, _)) = &set
            && self.shared.flushes_dirs_of(&dir.path)
            && let Err(error) = fs.sync_dir(open)
        {
            let full = self.shared.full(&dir.path);
            return self.fail(failure::flush_failed(
                &*self.shared.fs,
                "flush",
                full,
                error,
            ));
        }
        match set {
            Ok((_, seen)) => self.dir_shows(dir, &meta, &seen),
            Err(error) => {
                let full = self.shared.full(&dir.path);
                let failure = failure::at_dest(fs, Doing::Name, "set the metadata of", full, error);
                // It was counted as there.
                self.summary.dirs = self.summary.dirs.saturating_sub(1);
                self.finish_failed(dir.path.clone(), Some(Kind::Dir), failure);
            }
        }
    }

    /// Notes what the destination made of a directory's metadata, if that is not what was asked.
    fn dir_shows(&mut self, dir: &DirRecord, meta: &Meta, seen: &Seen) {
        let dest = DestMeta::of(meta, dir.mtime_ns, seen, Some(&dir.dest));
        self.tell_lesser(&dir.path, &dest, dir.mtime_ns);
        if dest != dir.dest {
            let path = dir.path.clone();
            self.record(&Record::Dir(DirRecord { path, dest, ..*dir }));
        }
    }
}
