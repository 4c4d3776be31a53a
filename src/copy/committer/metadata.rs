//! Directories, and entries of which only the metadata was set: they are recorded at once, since
//! they have no content that would have to be flushed first.

use super::*;
use crate::copy::metadata::Mtime;
use crate::fs::Stat;
use crate::manifest::{DestMeta, DirRecord};
use crate::path::Printable;

impl<F: Fs> Committer<'_, F> {
    /// Notes a directory. `mend`: its metadata is to be set at the end of the run, and this is what
    /// it shall show then.
    pub(super) fn dir(
        &mut self,
        path: RelPath,
        stat: &Stat,
        mend: Option<DestMeta>,
        outcome: Outcome,
    ) {
        self.summary.dirs += 1;
        if outcome == Outcome::Mended {
            self.summary.mended.add(Some(Kind::Dir));
        }
        if self.shared.after_cut {
            // Nothing else would flush what was renamed into it, if all of that is there.
            match self.shared.flushes_dirs_of(&path) {
                true => self.dirty.dir(&path),
                false => self.dirty.unlisted_in(&path),
            }
            self.dirty.parent(&path);
            self.oldest.get_or_insert_with(Instant::now);
        }
        if let Some(dest) = mend {
            self.dirty.parent(&path);
            // It may have been made now, which the parent's time shows.
            self.mark_parent(&path);
            let record = Record::Dir(DirRecord {
                path: path.clone(),
                atime_ns: stat.atime_ns,
                mtime_ns: stat.mtime_ns,
                dest,
            });
            if let Some(pos) = self.record(&record) {
                self.store().set_due(&path, pos);
            }
        }
        self.tell_entry(path, outcome);
    }

    /// Records an entry whose metadata was set right. It has been flushed by itself where that
    /// has to be; should a crash undo it, the next run sees that and does it again.
    pub(super) fn mended(&mut self, path: RelPath, record: &Record) {
        if self.record(record).is_none() {
            return;
        }
        self.dirty.unlisted(&path);
        let mended = &mut self.summary.mended;
        match record {
            Record::Done(done) => {
                mended.add(Some(Kind::File));
                self.tell_lesser(&path, &done.dest, done.mtime_ns);
                self.summary.files_unchanged += 1;
                self.summary.bytes_total += done.size;
                self.there_before(done.size);
            }
            Record::Special(special) => {
                mended.add(Some(Kind::Special(special.what)));
                self.tell_lesser(&path, &special.dest, special.mtime_ns);
                self.summary.specials += 1;
            }
            Record::Symlink(link) => {
                mended.add(Some(Kind::Symlink));
                self.tell_lesser(&path, &link.dest, link.mtime_ns);
                self.summary.symlinks += 1;
            }
            _ => {}
        }
        let outcome = Outcome::Mended;
        self.emit(Event::Entry { path, outcome });
    }

    /// Says, once a kind, what the destination could not hold.
    pub(in crate::copy) fn tell_lesser(
        &mut self,
        path: &RelPath,
        dest: &DestMeta,
        source_mtime_ns: i128,
    ) {
        let Some(mut lesser) = dest.lesser else {
            return;
        };
        // What is outside of its range was told of by name.
        let range = self.shared.limits.kind.times_ns();
        lesser.mtime &= range.contains(&source_mtime_ns);
        let mtime = Mtime {
            wanted_ns: source_mtime_ns,
            there_ns: dest.mtime_ns(source_mtime_ns),
            now_ns: i128::from(crate::time::now_ms()) * 1_000_000,
        };
        let full = || self.shared.full(path);
        if let Some(unfit) = self.shared.told.take_unfit(path) {
            lesser.xattrs = None;
            self.emit(Event::Warning(format!(
                "the extended attributes of {} do not all fit on the destination: left out is {unfit}",
                Printable(&full())
            )));
        }
        for text in self.shared.told.news(lesser, mtime, full) {
            self.emit(Event::Warning(text));
        }
    }
}
