//! The second half of recovery: what was found out is acted on, recorded and made durable.

use super::*;

impl<F: Fs> Recovery<'_, F> {
    /// Flushes what was proved, renames what has to be, records the rest, and makes two barriers. `false`: the run
    /// was asked to stop before that was done.
    pub(super) fn apply(&self) -> Result<bool, Error> {
        let fs = &*self.shared.fs;
        self.flush_all()?;
        for finding in std::mem::take(&mut *lock_mutex(&self.findings)) {
            if self.shared.should_stop() {
                return Ok(false);
            }
            match finding {
                Finding::True => {}
                Finding::Rename { path, attempt } => self.rename(path, attempt)?,
                Finding::Cut { partial, keep } => self.record(&Record::Cut(Cut {
                    begin: partial.begin_pos,
                    prev: partial.last_pos,
                    keep,
                }))?,
                Finding::Untrue(path) => self.record(&Record::Removed(path))?,
            }
        }
        self.flush_all()?;
        self.flush_dirs()?;
        let mut store = lock_mutex(&self.shared.store);
        for _ in 0..3 {
            // The first round flushes the records, the others the barriers that cover them.
            let path = store.path().to_path_buf();
            let failed = |error| failure::manifest_failed(fs, error);
            store.write_out().map_err(failed)?;
            let file = store.file();
            let flushed = file.sync().at("flush", &path);
            let flushed = flushed.and_then(|()| self.shared.settle_manifest(&file));
            flushed.map_err(|e| failure::flush_failed(fs, e.action, e.path, e.source))?;
            let covers = store.end();
            store.barrier(covers).map_err(failed)?;
        }
        Ok(true)
    }

    /// Flushes every mounted file system that takes one flush for all; of the others, each file was
    /// flushed when it was looked at.
    fn flush_all(&self) -> Result<(), Error> {
        let fs = &*self.shared.fs;
        for mount in fs.mounts() {
            let rules = fs.rules(mount);
            if rules.flush_by == FlushBy::Whole || rules.lacks_journal {
                let dest = self.shared.dest.clone();
                let flushed = fs.sync_mount(mount);
                flushed.map_err(|error| failure::flush_failed(fs, "flush", dest, error))?;
            }
        }
        // Once more by way of the manifest, for a device that answers the first a little early.
        let file = lock_mutex(&self.shared.store).file();
        let dest = self.shared.dest.clone();
        let flushed = file.sync();
        flushed.map_err(|error| failure::flush_failed(fs, "flush the manifest in", dest, error))
    }

    /// Flushes the directories of all that was looked at, where each has to be flushed by itself: a name
    /// that was found there may have been given right before the last run was killed.
    fn flush_dirs(&self) -> Result<(), Error> {
        let fs = &*self.shared.fs;
        let dirs = std::mem::take(&mut *lock_mutex(&self.dirs));
        for dir in dirs {
            if self.shared.flushes_dirs_of(&dir) {
                let full = self.shared.full(&dir);
                let flushed = match found_dir(fs, &dir) {
                    Ok(Some(open)) => fs.sync_dir(&open),
                    // Nothing that was looked at is there then.
                    Ok(None) => Ok(()),
                    Err(error) => Err(error),
                };
                flushed.map_err(|error| failure::flush_failed(fs, "flush", full, error))?;
            }
        }
        Ok(())
    }

    /// Gives a proved file its final name.
    fn rename(&self, path: RelPath, attempt: u8) -> Result<(), Error> {
        let fs = &*self.shared.fs;
        let name = self.partial_name(&path, attempt);
        let Some((parent, _)) = path.split() else {
            return Ok(());
        };
        let renamed = fs
            .open_dir(&parent)
            .and_then(|dir| fs.rename(&dir, &name, &dir, path.name()));
        if self.unless_gone(&path, renamed)?.is_none() {
            self.record(&Record::Removed(path))?;
        }
        Ok(())
    }

    fn record(&self, record: &Record) -> Result<(), Error> {
        let appended = lock_mutex(&self.shared.store).append(record);
        appended
            .map(drop)
            .map_err(|error| failure::manifest_failed(&*self.shared.fs, error))
    }
}
