//! Counting the records that are about no entry: of runs, verifications, barriers and removals.
//!
//! Each of them gives way to a newer one that says the same. If they were not counted as garbage, a
//! manifest would grow for as long as there are runs, even where nothing is copied any more.

use super::*;

/// Garbage below this many bytes is never worth a new file.
const GARBAGE_BYTES_MIN: u64 = 64 << 10;

/// What such frames take, in bytes; what counts of verifications is known by them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Overhead {
    garbage: u64,
    /// The beginning of the last run, and its mounts.
    run: u64,
    run_end: u64,
    /// The `ReadBack` that is due.
    read_back: u64,
}

impl Overhead {
    /// Counts frames that nobody asks for.
    pub(super) fn waste(&mut self, bytes: u64) {
        self.garbage += bytes;
    }

    pub(super) fn run_begin(&mut self, bytes: u64) {
        self.garbage += std::mem::replace(&mut self.run, bytes);
        self.garbage += std::mem::take(&mut self.run_end);
    }

    pub(super) fn mounted(&mut self, bytes: u64) {
        self.run += bytes;
    }

    pub(super) fn run_end(&mut self, bytes: u64) {
        self.garbage += std::mem::replace(&mut self.run_end, bytes);
    }

    pub(super) fn read_back(&mut self, due: bool, bytes: u64) {
        // What is due stays due from where it was first.
        if due && self.read_back == 0 {
            self.read_back = bytes;
            return;
        }
        self.garbage += bytes;
        if !due {
            self.garbage += std::mem::take(&mut self.read_back);
        }
    }
}

impl<F: Fs> Store<F> {
    /// Whether garbage outweighs content.
    pub(crate) fn wants_compaction(&self) -> bool {
        let known = self.garbage_bytes + self.overhead.garbage;
        if self.outweighs(known) {
            return true;
        }
        // What verifications left is looked at only where that may make a difference. What cannot be
        // read cannot be compacted either.
        self.outweighs(known + self.verify.verified_bytes())
            && self
                .verified_garbage()
                .is_ok_and(|bytes| self.outweighs(known + bytes))
    }

    fn outweighs(&self, garbage: u64) -> bool {
        let content = (self.end() - FRAMES_START).saturating_sub(garbage);
        garbage >= GARBAGE_BYTES_MIN && garbage > content
    }
}
