//! Publishing: files whose data is flushed get their final names.
//!
//! Their records go to the system before the renames, so that a process killed in between leaves
//! a manifest that knows of every name. Both are covered by the next barrier only; until then a
//! rerun finds each of them under the one name or the other and proves it by its hashes.

use super::*;
use crate::copy::failure::Failure;
use crate::fs::found;
use crate::hash::Hash32;
use crate::manifest::{Ctimes, SpecialRecord};

impl<F: Fs> Committer<'_, F> {
    /// Records files that are about to get their final names, and hands the records to the system.
    /// Gives the positions of those of files that were written.
    pub(super) fn record_published(&mut self, files: &[Waiting<F>]) -> Vec<u64> {
        let mut positions = Vec::new();
        let now_ms = crate::time::now_ms();
        for waiting in files {
            let Some(pos) = self.record(&done_record(waiting, now_ms)) else {
                return Vec::new();
            };
            let is_file = matches!(waiting.completed.content, Content::File { .. });
            if self.reading.is_some() && is_file && waiting.completed.attempt.is_some() {
                positions.push(pos);
            }
        }
        let written_out = self.store().write_out();
        match self.manifest(written_out) {
            Some(()) => positions,
            None => Vec::new(),
        }
    }

    /// A file has its final name.
    pub(super) fn published(&mut self, completed: Completed<F>) {
        // A name came or, beside an adopted file, a left-over one went: the directory's times show it.
        self.mark_parent(&completed.path);
        let outcome = match completed.attempt {
            Some(_) => {
                self.dirty.parent(&completed.path);
                if self.shared.rules_of(&completed.path).renames_want_flush {
                    self.dirty.everything(&completed.path);
                }
                Outcome::Copied
            }
            None => Outcome::Adopted,
        };
        match completed.content {
            Content::Symlink { .. } => self.summary.symlinks += 1,
            Content::Special(_) => self.summary.specials += 1,
            Content::File { size, .. } | Content::Repaired { size, .. } => {
                self.summary.bytes_total += size;
                match outcome {
                    Outcome::Adopted => self.summary.files_adopted += 1,
                    _ => self.summary.files_copied += 1,
                }
            }
        }
        let path = completed.path;
        self.emit(Event::Entry { path, outcome });
    }

    /// The rename failed: the record that ran ahead of it is taken back. The partial stays until that
    /// is durable; without it, a crash could make the record speak for an older file of that name.
    pub(super) fn not_published(&mut self, completed: Completed<F>, failure: Failure) {
        match failure {
            Failure::Entry(error) => {
                self.uncount_file(completed.size());
                let kind = completed.kind();
                let path = completed.path;
                let remove = |attempt| Then::Remove {
                    path: path.clone(),
                    attempt,
                };
                self.forget(path.clone(), completed.attempt.map(remove));
                self.entry_failed(path, Some(kind), error);
            }
            Failure::Fatal(error) => {
                // Once a barrier covered its record, nobody would look for it under its partial name.
                self.shared.latch.close();
                self.fail(error);
            }
            Failure::Stopped => {}
        }
    }

    /// Subtracts a whole file from the totals of what is written.
    pub(in crate::copy) fn uncount_file(&mut self, size: u64) {
        let now = &mut self.progress;
        now.bytes_written = now.bytes_written.saturating_sub(size);
        self.bytes_sealing = self.bytes_sealing.saturating_sub(size);
        // How much of it was there before, or durable, nobody knows any more.
        now.bytes_durable = now.bytes_durable.min(self.bytes_sealing);
        now.bytes_before = now.bytes_before.min(now.bytes_written);
    }

    /// Removes a partial that nothing speaks of any more. Left over at worst: its name is ours and is
    /// cleared away when it is in the way.
    pub(super) fn remove_partial(&mut self, path: &RelPath, attempt: u8) {
        let (fs, name) = (&*self.shared.fs, self.shared.names.name(path, attempt));
        if let Some((parent, _)) = path.split()
            && let Ok(dir) = fs.open_dir(&parent)
        {
            let _ = found(fs.remove(&dir, &name));
            self.dirty.parent(path);
        }
        self.shared.names.release(path, attempt);
    }

    /// A name in it changed, and with that its modification time: the directory that holds `path`
    /// gets its metadata again at the end of the run.
    pub(in crate::copy) fn mark_parent(&mut self, path: &RelPath) {
        if self.due_dir.as_ref().is_some_and(|dir| path.stands_in(dir)) {
            return;
        }
        let Some((parent, _)) = path.split() else {
            return;
        };
        let found = self.store().lookup(&parent);
        if let Some(Some((pos, Entry::Dir(_)))) = self.manifest(found) {
            self.store().set_due(&parent, pos);
        }
        self.due_dir = Some(parent);
    }
}

/// The record of what gets its final name right behind it, unless it has it.
fn done_record<F: Fs>(waiting: &Waiting<F>, now_ms: u64) -> Record {
    let completed = &waiting.completed;
    let done = |size: u64, hash: Hash32, chain: u64, ctimes: Option<Ctimes>, unsettled: bool| {
        Record::Done(Done {
            path: completed.path.clone(),
            size,
            mtime_ns: completed.mtime_ns,
            dest: completed.dest,
            hash,
            attempt: completed.attempt,
            chain,
            ctimes: match completed.attempt {
                Some(_) => ctimes.map(|ctimes| ctimes.at(now_ms)),
                None => ctimes,
            },
            unsettled,
        })
    };
    match &completed.content {
        Content::File {
            size,
            hash,
            ctimes,
            unsettled,
            ..
        } => done(*size, *hash, waiting.chain, *ctimes, *unsettled),
        Content::Repaired {
            size,
            hash,
            chain,
            unsettled,
            ..
        } => done(*size, *hash, *chain, None, *unsettled),
        Content::Special(what) => Record::Special(SpecialRecord {
            path: completed.path.clone(),
            what: *what,
            mtime_ns: completed.mtime_ns,
            dest: completed.dest,
            attempt: completed.attempt.unwrap_or(0),
        }),
        Content::Symlink { target } => Record::Symlink(SymlinkRecord {
            path: completed.path.clone(),
            target: target.clone(),
            mtime_ns: completed.mtime_ns,
            dest: completed.dest,
            attempt: completed.attempt.unwrap_or(0),
        }),
    }
}
