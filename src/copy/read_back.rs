//! Reading back what was copied: with `--verify` while the copying goes on, and after a crash on a
//! file system without a journal at the end.
//!
//! Such a file system may give a new file space that an older name still claims, or take it away
//! with that name. It needs checking by its own tools; sprag makes sure that nothing it
//! reports as done was hit.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use rustix::io::Errno;

use super::Shared;
use super::committer::Committer;
use super::failure;
use crate::error::{EntryError, Error, PathError};
use crate::event::{CopySummary, ReadHow};
use crate::fs::{AlignedBuf, Fs, Kind};
use crate::hash::Hash32;
use crate::lock_mutex;
use crate::manifest::{Done, Entry, Record};
use crate::verify::medium;

/// What the user is told when such a run begins.
pub(super) const WARNING: &str = "the last copy here was cut off, and this file system keeps no \
    journal: all that is copied now is read back at the end. Then unmount it and check it \
    (fsck.exfat, fsck.vfat, chkdsk); `sprag clean` removes partial files that were left over";

/// So many separate bad ranges of a file are told; the last one reaches to the last bad block.
const RANGES_MAX: usize = 1024;

/// What reading a file back came to.
pub(super) struct ReadBack {
    /// The blocks that are not what was written, as ranges in bytes; neighbours are joined.
    pub(super) bad: Vec<Range<u64>>,
    /// Why it could not be read to its end, where that says nothing about the medium.
    failed: Option<io::Error>,
    /// How it was read; `None` if it could not be opened.
    pub(super) how: Option<ReadHow>,
    /// Bytes that were read.
    pub(super) bytes: u64,
}

impl ReadBack {
    fn add(&mut self, range: Range<u64>) {
        let full = self.bad.len() >= RANGES_MAX;
        match self.bad.last_mut() {
            Some(last) if full || last.end == range.start => last.end = range.end,
            _ => self.bad.push(range),
        }
    }

    /// Whether the whole file reads back as it was written.
    pub(super) fn is_right(&self) -> bool {
        self.failed.is_none() && self.bad.is_empty()
    }

    /// The ranges that are not known to be right; all of a file that could not be read.
    pub(super) fn not_read(self, size: u64) -> Vec<Range<u64>> {
        match self.failed {
            Some(_) => std::iter::once(0..size).collect(),
            None => self.bad,
        }
    }

    /// Takes out the failure to read the file at `path`, if nothing else is wrong with it.
    pub(super) fn failure(&mut self, path: PathBuf) -> Option<EntryError> {
        let error = self.failed.take_if(|_| self.bad.is_empty())?;
        Some(EntryError::NotVerified(PathError::new(
            "read back",
            path,
            error,
        )))
    }

    /// Notes that a range could not be read. Only some errors mean that its content is lost.
    fn fail(&mut self, range: Range<u64>, error: io::Error) {
        if is_of_medium(&error) || error.kind() == io::ErrorKind::NotFound {
            self.add(range);
        } else {
            self.failed = Some(error);
        }
    }

    /// Adds it to the totals.
    pub(super) fn count(&self, summary: &mut CopySummary) {
        summary.files_read_back += 1;
        summary.bytes_read_back += self.bytes;
        match self.how {
            Some(ReadHow::Direct) => summary.read_direct += 1,
            Some(ReadHow::Evicted) => summary.read_evicted += 1,
            Some(ReadHow::Cached) => summary.read_cached += 1,
            None => {}
        }
    }
}

/// Whether an error is that of a medium that does not give back what it holds: an I/O error, and what
/// reads past the page cache and file systems with checksums say instead.
fn is_of_medium(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::IO | Errno::NODATA | Errno::ILSEQ | Errno::BADMSG | Errno::UCLEAN)
    )
}

/// Reads a published file back from the medium. A block that the medium does not give back is a bad
/// one, unless the device is gone; any other error ends the reading. `None` if `stops`, which is told
/// how far it is, said to stop before the end.
pub(super) fn read_back<F: Fs>(
    shared: &Shared<F>,
    done: &Done,
    buf: &mut AlignedBuf,
    stops: impl Fn(u64) -> bool,
) -> Result<Option<ReadBack>, Error> {
    let fs = &*shared.fs;
    let hashes = hashes(shared, done)?;
    let unless_gone = |error: io::Error| match crate::fs::is_gone(fs, &error) {
        true => {
            let full = shared.full(&done.path);
            Err(failure::ends_run(fs, "read back", full, error))
        }
        false => Ok(error),
    };
    let mut found = ReadBack {
        bad: Vec::new(),
        failed: None,
        how: None,
        bytes: 0,
    };
    let (parent, name) = done.path.split().unwrap_or_default();
    let opened = fs.open_dir(&parent).and_then(|dir| {
        let reader = shared.medium.open(&dir, name)?;
        Ok((reader.stat()?.size == done.size, reader))
    });
    let mut reader = match opened {
        Ok((true, reader)) => reader,
        Ok((false, _)) => {
            found.add(0..done.size);
            return Ok(Some(found));
        }
        Err(error) => {
            found.fail(0..done.size, unless_gone(error)?);
            return Ok(Some(found));
        }
    };
    reader.read_ahead(done.size);
    for (index, hash) in (0..).zip(&hashes) {
        if stops(shared.block_size.range(index, done.size).start) {
            return Ok(None);
        }
        match reader.hash_block(buf, index, done.size) {
            Ok(read) if read == Some(*hash) => {}
            Ok(_) => found.add(shared.block_size.range(index, done.size)),
            Err(error) => {
                let range = shared.block_size.range(index, done.size);
                found.fail(range, unless_gone(error)?);
            }
        }
        if found.failed.is_some() {
            break;
        }
    }
    found.how = Some(reader.how());
    found.bytes = reader.bytes_read();
    Ok(Some(found))
}

/// The recorded hashes of a file's blocks.
pub(super) fn hashes<F: Fs>(shared: &Shared<F>, done: &Done) -> Result<Vec<Hash32>, Error> {
    if done.chain == 0 {
        return Ok(vec![done.hash]);
    }
    let failed = |error| failure::manifest_failed(&*shared.fs, error);
    let mut hashes = Vec::new();
    let store = lock_mutex(&shared.store);
    let chain = store.chain(done.chain).map_err(failed)?;
    let mut push = |_, hash: &Hash32| hashes.push(*hash);
    store.for_each_hash(&chain, &mut push).map_err(failed)?;
    Ok(hashes)
}

impl<F: Fs> Committer<'_, F> {
    /// Reads back every file whose record is at `since` or behind it, where the last run was cut off; what differs fails and is
    /// forgotten, so that a rerun copies it again. A run that is asked to stop does this all the same:
    /// the next one will not know of the crash.
    pub(super) fn read_back_since(&mut self, since: u64) {
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
            if !self.shared.was_cut(&path) {
                continue;
            }
            match read_back(self.shared, &done, &mut buf, |_| false) {
                Ok(None) => {}
                Ok(Some(mut found)) => {
                    found.count(&mut self.summary);
                    if !found.is_right() {
                        self.retract(&done);
                        let full = self.shared.full(&path);
                        let failure = found.failure(full.clone());
                        let error = failure.unwrap_or(EntryError::ReadBack(full));
                        self.entry_failed(path, Some(Kind::File), error);
                    }
                }
                Err(error) => self.fail(error),
            }
        }
    }

    /// Takes back that a file was copied: it does not read back right.
    pub(super) fn retract(&mut self, done: &Done) {
        self.record(&Record::Removed(done.path.clone()));
        self.summary.files_copied = self.summary.files_copied.saturating_sub(1);
        self.summary.bytes_total = self.summary.bytes_total.saturating_sub(done.size);
        self.uncount_file(done.size);
    }
}
