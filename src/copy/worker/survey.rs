//! Which bytes of a source cannot be read, once one read has failed for good.
//!
//! A disk with bad sectors takes long over each, so only so many failing reads are made in one
//! file; what lies behind the last of them is said to be unread, not to be bad.

use std::ops::Range;

use super::*;
use crate::error::Unread;

/// What is read at once where a larger read failed: a page, which no device has sectors beyond.
const STEP_BYTES: u64 = 4096;
/// So many failing reads are made in one file.
const FAILURES_MAX: u32 = 64;

impl<F: Fs> Worker<'_, F> {
    /// Reads on from `offset`, where `error` was met, and says what cannot be read. An error that
    /// is not the medium's is handed on as it is.
    pub(in crate::copy) fn survey(
        &mut self,
        work: &Work<F>,
        source: &SourceFile,
        size: u64,
        (offset, error): (u64, io::Error),
    ) -> Failure {
        let failure = failure::at_source(self.shared, &work.source, error);
        let Failure::Entry(EntryError::Unreadable(error)) = failure else {
            return failure;
        };
        if self.shared.should_stop() {
            return Failure::Stopped;
        }
        if !is_medium_error(&error.source) {
            return Failure::Entry(EntryError::Unreadable(error));
        }
        match self.bad_ranges(source, offset..size) {
            None => Failure::Stopped,
            // It could be read now: a rerun will.
            Some(unread) if unread.ranges.is_empty() => {
                Failure::Entry(EntryError::Unreadable(error))
            }
            Some(unread) => Failure::Entry(EntryError::BadRanges {
                path: work.source.clone(),
                unread,
                source: error.source,
            }),
        }
    }

    /// `None`: the run is to stop.
    fn bad_ranges(&mut self, source: &SourceFile, within: Range<u64>) -> Option<Unread> {
        let mut unread = Unread::default();
        let (mut at, mut failures) = (within.start, 0);
        // After a failure small steps are taken up to here.
        let mut fine_until = within.start;
        while at < within.end {
            if self.shared.should_stop() {
                return None;
            }
            if failures >= FAILURES_MAX {
                unread.not_tried = Some(at..within.end);
                break;
            }
            let fine = at < fine_until;
            let step = match fine {
                true => STEP_BYTES - at % STEP_BYTES,
                false => self.piece_bytes as u64,
            };
            let end = (at + step).min(within.end);
            self.shared.throttle.take(end - at);
            let piece = &mut self.buf[..(end - at) as usize];
            match source.read(piece, at) {
                // A file that got shorter has no more bytes to be bad.
                Ok(have) if (have as u64) < end - at => break,
                Ok(_) => at = end,
                Err(_) if !fine => fine_until = end,
                Err(_) => {
                    failures += 1;
                    unread.add(at..end);
                    at = end;
                }
            }
        }
        Some(unread)
    }
}

/// Whether an error says that bytes cannot be read, not that nothing can.
fn is_medium_error(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    matches!(
        errno,
        Some(Errno::IO | Errno::BADMSG | Errno::NODATA | Errno::REMOTEIO | Errno::ILSEQ)
    )
}
