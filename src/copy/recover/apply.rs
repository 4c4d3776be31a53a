//! The second half of recovery: what was found out is acted on, recorded and made durable.

use super::*;

impl<F: Fs> Recovery<'_, F> {
    /// Flushes what was proved, renames what has to be, records the rest, and makes two barriers.
    pub(super) fn apply(&self) -> Result<(), Error> {
        let fs = &*self.shared.fs;
        self.flush_all()?;
        let mut renamed = Vec::new();
        for finding in std::mem::take(&mut *lock_mutex(&self.findings)) {
            match finding {
                Finding::True => {}
                Finding::Rename { path, attempt } => renamed.extend(self.rename(path, attempt)?),
                Finding::Cut { partial, keep } => self.record(&Record::Cut(Cut {
                    begin: partial.begin_pos,
                    prev: partial.last_pos,
                    keep,
                }))?,
                Finding::Untrue(path) => self.record(&Record::Removed(path))?,
            }
        }
        self.flush_all()?;
        renamed.dedup();
        for parent in renamed {
            if self.shared.flushes_dirs_of(&parent) {
                let full = self.shared.full(&parent);
                let flushed = fs.open_dir(&parent).and_then(|dir| fs.sync_dir(&dir));
                flushed
                    .map_err(|error| failure::flush_failed(self.shared, "flush", full, error))?;
            }
        }
        let mut store = lock_mutex(&self.shared.store);
        for _ in 0..3 {
            // The first round flushes the records, the others the barriers that cover them.
            let path = store.path().to_path_buf();
            let failed = |error| failure::manifest_failed(fs, error);
            store.write_out().map_err(failed)?;
            let flushed = store.file().sync().at("flush", &path);
            flushed.map_err(|e| failure::flush_failed(self.shared, e.action, e.path, e.source))?;
            let covers = store.end();
            store.barrier(covers).map_err(failed)?;
        }
        Ok(())
    }

    /// Flushes every mounted file system that takes one flush for all; of the others, each file was
    /// flushed when it was looked at.
    fn flush_all(&self) -> Result<(), Error> {
        let fs = &*self.shared.fs;
        for mount in fs.mounts() {
            if fs.rules(mount).flush_by == FlushBy::Whole {
                let dest = self.shared.dest.clone();
                let flushed = fs.sync_mount(mount);
                flushed
                    .map_err(|error| failure::flush_failed(self.shared, "flush", dest, error))?;
            }
        }
        // Once more by way of the manifest, for a device that answers the first a little early.
        let file = lock_mutex(&self.shared.store).file();
        let dest = self.shared.dest.clone();
        let flushed = file.sync();
        flushed.map_err(|error| {
            failure::flush_failed(self.shared, "flush the manifest in", dest, error)
        })
    }

    /// Gives a proved file its final name. Gives the directory, if it was renamed.
    fn rename(&self, path: RelPath, attempt: u8) -> Result<Option<RelPath>, Error> {
        let fs = &*self.shared.fs;
        let name = self.partial_name(&path, attempt);
        let Some((parent, _)) = path.split() else {
            return Ok(None);
        };
        let renamed = fs
            .open_dir(&parent)
            .and_then(|dir| fs.rename(&dir, &name, path.name()));
        if self.unless_gone(&path, renamed)?.is_none() {
            self.record(&Record::Removed(path))?;
            return Ok(None);
        }
        Ok(Some(parent))
    }

    fn record(&self, record: &Record) -> Result<(), Error> {
        let appended = lock_mutex(&self.shared.store).append(record);
        appended
            .map(drop)
            .map_err(|error| failure::manifest_failed(&*self.shared.fs, error))
    }
}
