//! After a crash on a file system without a journal: what this run wrote is read back before the
//! run says that it is done.
//!
//! Such a file system may give a new file space that an older name still claims, or take it away
//! with that name. It needs checking by its own tools; sprag makes sure that nothing it
//! reports as done was hit.

use super::committer::Committer;
use super::failure;
use crate::error::EntryError;
use crate::event::Phase;
use crate::fs::Fs;
use crate::hash::Hash32;
use crate::lock_mutex;
use crate::manifest::{Done, Entry, Record};
use crate::verify::medium::{self, MediumReader};

/// What the user is told when such a run begins.
pub(super) const WARNING: &str = "the last copy here was cut off, and this file system keeps no \
    journal: all that is copied now is read back at the end. Then unmount it and check it \
    (fsck.exfat, fsck.vfat, chkdsk); `sprag clean` removes partial files that were left over";

impl<F: Fs> Committer<'_, F> {
    /// Reads back every file whose record is at `since` or behind it; what differs fails and is
    /// forgotten, so that a rerun copies it again. A run that is asked to stop does this all the same:
    /// the next one will not know of the crash.
    pub(super) fn read_back(&mut self, since: u64) {
        self.enter(Phase::ReadingBack);
        let mut buf = medium::buffer();
        let mut positions = self.store().positions();
        positions.retain(|pos| *pos >= since);
        for pos in positions {
            if self.has_failed() {
                return;
            }
            let entry = self.store().entry_at(pos);
            let Some((path, entry)) = self.manifest(entry) else {
                return;
            };
            let Entry::Done(done) = entry else {
                continue;
            };
            match self.reads_back(&done, &mut buf) {
                Ok(true) => {}
                Ok(false) => {
                    self.record(&Record::Removed(path.clone()));
                    self.summary.files_copied = self.summary.files_copied.saturating_sub(1);
                    self.summary.bytes_total = self.summary.bytes_total.saturating_sub(done.size);
                    let full = self.shared.full(&path);
                    self.entry_failed(path, EntryError::ReadBack(full));
                }
                Err(error) => self.fail(error),
            }
        }
    }

    fn reads_back(
        &self,
        done: &Done,
        buf: &mut crate::fs::AlignedBuf,
    ) -> Result<bool, crate::error::Error> {
        let fs = &*self.shared.fs;
        let mut hashes: Vec<Hash32> = Vec::new();
        if done.chain == 0 {
            hashes.push(done.hash);
        } else {
            let store = lock_mutex(&self.shared.store);
            let failed = |error| failure::manifest_failed(fs, error);
            let chain = store.chain(done.chain).map_err(failed)?;
            let mut push = |_, hash: &Hash32| hashes.push(*hash);
            store.for_each_hash(&chain, &mut push).map_err(failed)?;
        }
        let Some((parent, name)) = done.path.split() else {
            return Ok(false);
        };
        let read = fs.open_dir(&parent).and_then(|dir| {
            let mut reader = MediumReader::open(fs, &dir, name, self.shared.block_size)?;
            for (index, hash) in (0..).zip(&hashes) {
                if reader.hash_block(buf, index, done.size)? != Some(*hash) {
                    return Ok(false);
                }
            }
            Ok(reader.stat()?.size == done.size)
        });
        match read {
            Ok(same) => Ok(same),
            Err(error) if crate::fs::is_gone(fs, &error) => {
                let full = self.shared.full(&done.path);
                Err(failure::ends_run(fs, "read back", full, error))
            }
            Err(_) => Ok(false),
        }
    }
}
