//! Comparing with the sources too: when the two differ, which side is no longer what was copied.
//!
//! The manifest is the judge: it says what both held when it was written. A source is read through
//! the page cache; it is the destination that is on trial.

use std::io;
use std::ops::Range;
use std::path::Path;

use super::check::Checker;
use super::{Compared, Halt};
use crate::block::BlockSize;
use crate::error::PathError;
use crate::event::{SourceState, Verdict};
use crate::fs::source::{self, SourceFile};
use crate::fs::{Fs, Kind, Stat, found};
use crate::hash::{BlockHasher, Hash32, TreeMerger};
use crate::manifest::{Done, Entry};
use crate::options::Reading;
use crate::path::RelPath;
use crate::scan;

impl<F: Fs> Checker<'_, F> {
    /// Compares an entry with its source, and says whether its copy has changed as well. `None`: nothing
    /// is known of a source.
    pub(super) fn compare(
        &mut self,
        path: &RelPath,
        entry: &Entry,
        verdict: &Verdict,
    ) -> Result<Option<Compared>, Halt> {
        let kind = match entry {
            Entry::Dir(_) => Kind::Dir,
            Entry::Symlink(_) => Kind::Symlink,
            Entry::Done(_) => Kind::File,
            // Nothing is recorded yet, or it is recorded under another name.
            _ => return Ok(None),
        };
        let Some((nth, from)) = scan::origin(&self.shared.against, path) else {
            return Ok(None);
        };
        let source = match self.source_state(&from, kind, entry) {
            Ok(state) => state,
            Err(Failed::Halt(halt)) => return Err(halt),
            Err(Failed::Io(error)) => {
                Some(SourceState::Unreadable(PathError::new("read", from, error)))
            }
        };
        let dest_changed = matches!(
            verdict,
            Verdict::Corrupt { .. } | Verdict::Modified { .. } | Verdict::Missing
        );
        Ok(Some(Compared {
            path: path.clone(),
            nth,
            source,
            dest_changed,
        }))
    }

    /// What has become of a source. `None`: it is as it was copied.
    fn source_state(
        &mut self,
        from: &Path,
        kind: Kind,
        entry: &Entry,
    ) -> Result<Option<SourceState>, Failed> {
        let stat = match found(source::lstat(from)) {
            Ok(Some(stat)) => stat,
            Ok(None) => return Ok(Some(SourceState::Missing)),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Ok(Some(SourceState::Missing));
            }
            Err(error) => return Err(Failed::Io(error)),
        };
        // A source that was given as a symlink to a directory.
        let given = stat.kind == Kind::Symlink && kind == Kind::Dir;
        if stat.kind != kind && !given {
            return Ok(Some(SourceState::Edited));
        }
        let same = match entry {
            Entry::Symlink(link) => source::read_link(from)? == link.target,
            Entry::Done(done) => return self.file_state(from, &stat, done),
            _ => true,
        };
        Ok((!same).then_some(SourceState::Edited))
    }

    fn file_state(
        &mut self,
        from: &Path,
        stat: &Stat,
        done: &Done,
    ) -> Result<Option<SourceState>, Failed> {
        let same_stat = (stat.size, stat.mtime_ns) == (done.size, done.mtime_ns);
        let whole = self.shared.reading == Reading::Everything;
        let same = match stat.size == done.size {
            true if whole => self.source_hash(from, done.size)? == Some(done.hash),
            same_size => same_size && same_stat,
        };
        Ok(match (same, same_stat) {
            (true, _) => None,
            // A source that had not settled may have been edited and show the same time.
            (false, true) if !done.unsettled => Some(SourceState::Rotten),
            (false, _) => Some(SourceState::Edited),
        })
    }

    /// The hash of a source file. `None` if it is not so long any more, or longer.
    fn source_hash(&mut self, from: &Path, size: u64) -> Result<Option<Hash32>, Failed> {
        let file = SourceFile::open(from)?;
        file.advise_sequential();
        let block_size: BlockSize = self.shared.store.block_size();
        let mut merger = TreeMerger::new(block_size);
        for index in 0..block_size.count(size) {
            let range = block_size.range(index, size);
            let single = block_size.is_single(size);
            let each = |bytes| {
                self.shared.check_stop()?;
                self.shared.throttle.take(bytes);
                Ok(())
            };
            match hash_block(&file, &mut self.buf, range, single, each)? {
                Some(hash) => merger.push(hash),
                None => return Ok(None),
            }
        }
        Ok(file.ends_at(size)?.then(|| merger.finish()))
    }
}

/// The hash of a block of a source, which is `single` if it is all of the file. `None` if the file
/// ends within it. `each` is called before each piece.
pub(super) fn hash_block(
    file: &SourceFile,
    buf: &mut [u8],
    range: Range<u64>,
    single: bool,
    mut each: impl FnMut(u64) -> Result<(), Halt>,
) -> Result<Option<Hash32>, Failed> {
    let mut hasher = BlockHasher::new(range.start, single);
    let mut at = range.start;
    while at < range.end {
        // No more than the buffer holds, so it fits.
        let wanted = (range.end - at).min(buf.len() as u64) as usize;
        each(wanted as u64).map_err(Failed::Halt)?;
        if file.read(&mut buf[..wanted], at)? < wanted {
            return Ok(None);
        }
        hasher.update(&buf[..wanted]);
        at += wanted as u64;
    }
    Ok(Some(hasher.finish()))
}

/// Why nothing is known of a source.
pub(super) enum Failed {
    Io(io::Error),
    Halt(Halt),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        Failed::Io(error)
    }
}
