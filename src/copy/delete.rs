//! Deleting what the sources do not have: after everything that they have is durable or, if that is asked
//! for to make room, before anything is copied.
//!
//! In batches: the manifest forgets a batch of entries, durably; then they are removed; the removals
//! become durable with the next barrier. So after a crash there may be entries that nothing
//! speaks for, which a rerun deletes, and never a record of something that was deleted.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use super::committer::Committer;
use super::failure;
use crate::event::{EntryCounts, Event, Outcome};
use crate::exit::Exit;
use crate::extraneous::{Extraneous, Found, Untouchable, left_mounted};
use crate::fs::{Fs, Kind, Meta, found};
use crate::lock_mutex;
use crate::manifest::{Entry, Record, SlotKind};
use crate::partial;
use crate::path::RelPath;
use crate::plan::DIR_WORKING_BITS;
use crate::scan::{self, Source, Walked};
use crate::selection::Delete;

/// So many entries are deleted between two barriers.
const BATCH_MAX: usize = 1024;

pub(super) const WALK_FAILED: &str = "nothing was deleted, because not all of the source could be walked: what was not seen \
    there would look as if it were gone";

/// What the walk came to, besides what it named.
#[derive(Default)]
struct Tally {
    named: u64,
    kept: u64,
    over: EntryCounts,
    /// A source is not what was walked.
    moved: bool,
}

impl<F: Fs> Committer<'_, F> {
    /// Deletes what is extraneous before anything is copied, if that is wanted.
    pub(super) fn delete_before(&mut self, sources: &[Source]) {
        let shared = self.shared;
        let Some(rules) = shared.options.delete.filter(|rules| rules.before) else {
            return;
        };
        let walk = scan::all(sources, &shared.options.selection, |_| {
            match shared.should_stop() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        let ControlFlow::Continue((walked, is_whole)) = walk else {
            return;
        };
        if !is_whole {
            // The walk that copies tells of it.
            shared.walk_failed.store(true, Ordering::Relaxed);
        }
        self.delete_unmet(sources, walked, rules);
        if !self.has_failed() {
            // What was removed gives its room back when that is durable.
            self.barrier_now();
        }
    }

    /// Deletes what is extraneous, if that is wanted and was not done before.
    pub(super) fn delete(&mut self, sources: &[Source]) {
        if let Some(rules) = self.shared.options.delete.filter(|rules| !rules.before) {
            let mut walked = std::mem::take(&mut *lock_mutex(&self.shared.walked));
            walked.over();
            self.delete_unmet(sources, walked, rules);
        }
    }

    /// Deletes what is extraneous, and was not met by a walk of the sources.
    fn delete_unmet(&mut self, sources: &[Source], walked: Walked, rules: Delete) {
        if self.shared.walk_failed.load(Ordering::Relaxed) {
            return self.emit(Event::Warning(WALK_FAILED.into()));
        }
        let shared = self.shared;
        let names = &shared.names;
        let stays =
            |partial: &RelPath| names.is_in_use(partial.name()) || shared.left_overs_stay(partial);
        let untouchable = Untouchable {
            id: *names.id(),
            stays: &stays,
        };
        let from = (sources, &walked);
        let mut walk = Extraneous::new(&*shared.fs, from, &shared.options, untouchable);
        if let Some(error) = walk.moved() {
            return self.entry_failed(RelPath::root(), Some(Kind::Dir), error);
        }
        self.drop_partials(&walk);
        let mut tally = Tally::default();
        let max = rules.max.unwrap_or(u64::MAX);
        loop {
            let mut batch = Vec::new();
            for found in walk.by_ref() {
                if let Some(entry) = self.note_found(found, max, &mut tally) {
                    batch.push(entry);
                }
                if batch.len() >= BATCH_MAX || tally.moved || self.shared.should_stop() {
                    break;
                }
            }
            if batch.is_empty() || tally.moved || self.shared.should_stop() {
                break;
            }
            if !self.delete_batch(&batch, &walk) {
                break;
            }
            self.pump_all();
        }
        self.forget_links();
        self.conclude(&tally);
    }

    /// Takes up what the walk found; gives what is to be deleted.
    fn note_found(&mut self, found: Found, max: u64, tally: &mut Tally) -> Option<(RelPath, Kind)> {
        match found {
            Found::Extraneous { path, kind } => {
                if tally.named >= max {
                    tally.over.add(Some(kind));
                    return None;
                }
                tally.named += 1;
                return Some((path, kind));
            }
            Found::Kept => tally.kept += 1,
            Found::Mounted(path) => {
                let text = left_mounted(&self.shared.full(&path));
                self.emit(Event::Warning(text));
            }
            Found::OtherSpelling(path) => {
                let text = format!(
                    "nothing was deleted in {}: the file system takes names there for names of the source that are spelled differently",
                    crate::path::Printable(&self.shared.full(&path))
                );
                self.emit(Event::Warning(text));
            }
            Found::Unlisted { path, error } => {
                let full = self.shared.full(&path);
                let failure = failure::naming(&self.shared.fs, "list", full)(error);
                self.finish_failed(path, Some(Kind::Dir), failure);
            }
            Found::Unseen { path, error } => self.entry_failed(path, None, error),
            Found::Moved { path, error } => {
                tally.moved = true;
                self.entry_failed(path, Some(Kind::Dir), error);
            }
        }
        None
    }

    /// Removes partial files that will never be gone on with, because their source is gone.
    fn drop_partials(&mut self, walk: &Extraneous<'_, F>) {
        let mut dropped = Vec::new();
        let positions = self.store().positions_of(SlotKind::Partial);
        for pos in positions {
            let entry = self.store().entry_at(pos);
            let Some((path, Entry::Partial(partial))) = self.manifest(entry) else {
                return;
            };
            // What cannot be told now will be told by the walk.
            if matches!(walk.is_extraneous(&path, Kind::File), Ok(true)) {
                self.record(&Record::Removed(path.clone()));
                dropped.push((path, partial.begin));
            }
        }
        if dropped.is_empty() || !self.make_forgotten() {
            return;
        }
        for (path, begin) in dropped {
            if !begin.adopts {
                let name = self.shared.names.name(&path, begin.attempt);
                self.remove(&path, &name, Kind::File);
                self.shared.names.release(&path, begin.attempt);
            }
        }
    }

    /// Whether the next batch may follow.
    fn delete_batch(&mut self, batch: &[(RelPath, Kind)], walk: &Extraneous<'_, F>) -> bool {
        for (path, _) in batch {
            let known = self.store().lookup(path);
            if let Some(Some(_)) = self.manifest(known) {
                self.record(&Record::Removed(path.clone()));
            }
        }
        if !self.make_forgotten() {
            return false;
        }
        // A source that was unmounted meanwhile looks empty.
        if let Some(error) = walk.moved() {
            self.entry_failed(RelPath::root(), Some(Kind::Dir), error);
            return false;
        }
        for (path, kind) in batch {
            if self.shared.should_stop() {
                return false;
            }
            if self.remove(path, path.name(), *kind) {
                self.summary.deleted.add(Some(*kind));
                let (path, outcome) = (path.clone(), Outcome::Deleted);
                self.emit(Event::Entry { path, outcome });
            }
        }
        true
    }

    /// Forgets hard links whose first name was deleted: nothing says any more what they hold.
    fn forget_links(&mut self) {
        let positions = self.store().positions_of(SlotKind::Link);
        for pos in positions {
            let entry = self.store().entry_at(pos);
            let Some((path, Entry::Link(link))) = self.manifest(entry) else {
                return;
            };
            let target = self.store().lookup(&link.to);
            if let Some(None) = self.manifest(target) {
                self.record(&Record::Removed(path));
            }
        }
    }

    /// Makes what was recorded durable; whether that went well.
    fn make_forgotten(&mut self) -> bool {
        if self.has_unsealed() {
            self.barrier_now();
        }
        !self.has_failed()
    }

    /// Removes one name beside `path`.
    fn remove(&mut self, path: &RelPath, name: &[u8], kind: Kind) -> bool {
        let fs = &*self.shared.fs;
        let Some((parent, _)) = path.split() else {
            return false;
        };
        let is_partial = partial::is_ours(self.shared.names.id(), name);
        let removed = self.open_for_removal(&parent).and_then(|dir| match kind {
            Kind::Dir => fs.remove_dir(&dir, name).map(|()| true),
            _ if is_partial => self.shared.clear_left_over(path, &dir, name),
            _ => fs.remove(&dir, name).map(|()| true),
        });
        match found(removed) {
            Ok(Some(false)) => false,
            Ok(_) => {
                self.dirty.parent(path);
                self.mark_parent(path);
                true
            }
            Err(error) => {
                let full = self.shared.full(path);
                let failure = failure::naming(&self.shared.fs, "delete", full)(error);
                self.finish_failed(path.clone(), Some(kind), failure);
                false
            }
        }
    }

    /// Opens a directory so that names can be removed from it.
    fn open_for_removal(&self, path: &RelPath) -> std::io::Result<F::Dir> {
        let fs = &*self.shared.fs;
        let Some(dir) = fs.open_dir_on_root_mount(path)? else {
            return Err(std::io::ErrorKind::CrossesDevices.into());
        };
        let mode = fs.stat_dir(&dir)?.mode;
        if mode & DIR_WORKING_BITS != DIR_WORKING_BITS {
            let meta = Meta {
                mode: Some(mode | DIR_WORKING_BITS),
                ..Meta::default()
            };
            fs.set_dir_meta(&dir, &meta)?;
        }
        Ok(dir)
    }

    fn conclude(&mut self, tally: &Tally) {
        if tally.kept > 0 {
            let (some, they) = match tally.kept {
                1 => ("1 directory", "was not deleted, because it holds"),
                many => (
                    &*format!("{many} directories"),
                    "were not deleted, because they hold",
                ),
            };
            let text = format!(
                "{some} that the source does not have {they} entries that are excluded or in use"
            );
            self.emit(Event::Warning(text));
        }
        if tally.over.total() > 0 {
            let text = format!(
                "--max-delete stopped the deletions; not deleted, though no source has it: {}",
                tally.over
            );
            self.emit(Event::Warning(text));
            self.note_exit(Exit::DeleteLimit);
        }
    }
}
