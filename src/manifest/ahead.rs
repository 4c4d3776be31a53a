//! Reading frames wherever they are: who reads one behind the other is given many at once.

use std::io;
use std::sync::Mutex;

use super::journal::FRAME_PREFIX;
use super::window::{frame_bytes, is_bad_sector};
use crate::fs::FsFile;
use crate::lock_mutex;

/// A frame is first tried with one read of this many bytes, which is enough for nearly all.
const READ_BYTES: usize = 256;
/// Who reads frame after frame is given this many bytes at once.
const AHEAD_BYTES: usize = 64 << 10;
/// A frame that begins no further than this behind the last one is the next one: what lies
/// between is garbage, or of another kind.
const NEAR_BYTES: u64 = 4 << 10;

/// What was read from a file last. Frames are never changed, so it stays true.
#[derive(Default)]
pub(super) struct Ahead(Mutex<View>);

#[derive(Default)]
struct View {
    start: u64,
    bytes: Vec<u8>,
    /// Where the last frame that was asked for ends.
    last_end: u64,
}

impl Ahead {
    /// Gives `take` what the file holds from `pos` on: all of the frame there, unless the file ends
    /// before it does. Nothing behind `end` is looked at.
    pub(super) fn read<T>(
        &self,
        file: &impl FsFile,
        (pos, end): (u64, u64),
        take: impl FnOnce(&[u8]) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut view = lock_mutex(&self.0);
        if view.frame(pos).is_none() {
            let is_next = pos >= view.last_end && pos - view.last_end <= NEAR_BYTES;
            let len = if is_next { AHEAD_BYTES } else { READ_BYTES };
            match view.fill(file, (pos, end), len) {
                // It may be what is behind the frame that cannot be read.
                Err(error) if is_bad_sector(&error) => {
                    view.fill(file, (pos, end), FRAME_PREFIX)?;
                }
                filled => filled?,
            }
            let frame = frame_bytes(&view.bytes);
            if let Some(frame) = frame.filter(|frame| *frame > view.bytes.len()) {
                view.fill(file, (pos, end), frame)?;
            }
        }
        let frame = view.frame(pos).map_or(0, <[u8]>::len);
        view.last_end = pos + frame as u64;
        take(view.at(pos).unwrap_or(&[]))
    }
}

impl View {
    /// What is there from `pos` on.
    fn at(&self, pos: u64) -> Option<&[u8]> {
        let skip = usize::try_from(pos.checked_sub(self.start)?).ok()?;
        self.bytes.get(skip..)
    }

    /// The frame at `pos`, if all of it is there.
    fn frame(&self, pos: u64) -> Option<&[u8]> {
        let bytes = self.at(pos)?;
        bytes.get(..frame_bytes(bytes)?)
    }

    fn fill(&mut self, file: &impl FsFile, (pos, end): (u64, u64), len: usize) -> io::Result<()> {
        let there = usize::try_from(end.saturating_sub(pos)).unwrap_or(usize::MAX);
        self.start = pos;
        self.bytes.resize(len.min(there), 0);
        let read = file.read_at(&mut self.bytes, pos);
        self.bytes.truncate(*read.as_ref().unwrap_or(&0));
        read.map(drop)
    }
}
