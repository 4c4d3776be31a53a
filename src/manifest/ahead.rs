//! Reading frames wherever they are: who reads one behind the other is given many at once.
//!
//! Several read at a time, each at a place of its own, and who copied wrote down what several workers
//! did in turns. So there are a few views of the file, and each stays where it is of use.

use std::io;
use std::sync::Mutex;

use super::journal::FRAME_PREFIX;
use super::window::{frame_bytes, is_bad_sector};
use crate::fs::FsFile;
use crate::lock_mutex;

/// So many places of the file are held in view.
const VIEWS: usize = 4;
/// A frame is first tried with one read of this many bytes, which is enough for nearly all.
const READ_BYTES: usize = 256;
/// Who reads frame after frame is given this many bytes at once,
const AHEAD_BYTES: usize = 64 << 10;
/// and so many before them, since they come in turns.
const BEHIND_BYTES: u64 = 16 << 10;
/// A frame that begins no further than this from the end of another was looked for by who read that
/// one: what lies between is garbage, of another kind, or still to come.
const NEAR_BYTES: u64 = 64 << 10;

/// What was read from a file last. Frames are never changed, so it stays true.
#[derive(Default)]
pub(super) struct Ahead(Mutex<Views>);

/// The view that was used last comes first.
#[derive(Default)]
struct Views([View; VIEWS]);

#[derive(Default)]
struct View {
    start: u64,
    bytes: Vec<u8>,
    /// Where the last frame that was asked for ends; 0 if none was.
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
        let mut views = lock_mutex(&self.0);
        let view = views.with_frame(file, (pos, end))?;
        let frame = view.frame(pos).map_or(0, <[u8]>::len);
        view.last_end = pos + frame as u64;
        take(view.at(pos).unwrap_or(&[]))
    }

    /// Gives `take` the frame that `is_it` knows, with its position, if it comes right behind one that
    /// was read before.
    pub(super) fn next<T>(
        &self,
        file: &impl FsFile,
        end: u64,
        is_it: impl Fn(u64, &[u8]) -> bool,
        take: impl FnOnce(u64, &[u8]) -> T,
    ) -> Option<T> {
        let mut views = lock_mutex(&self.0);
        let views = &mut views.0;
        let is_next = |view: &mut View| view.next(file, end).is_some_and(|(at, it)| is_it(at, it));
        let nth = views.iter_mut().position(is_next)?;
        views[..=nth].rotate_right(1);
        let view = &mut views[0];
        let pos = view.last_end;
        view.last_end += view.frame(pos)?.len() as u64;
        view.frame(pos).map(|frame| take(pos, frame))
    }
}

impl Views {
    /// A view, the first from now on, of all of the frame at `pos`, unless the file ends before it does.
    fn with_frame(&mut self, file: &impl FsFile, (pos, end): (u64, u64)) -> io::Result<&mut View> {
        let views = &mut self.0;
        if let Some(nth) = views.iter().position(|view| view.frame(pos).is_some()) {
            views[..=nth].rotate_right(1);
            return Ok(&mut views[0]);
        }
        let is_near = views.iter().any(|view| view.is_near(pos));
        views.rotate_right(1);
        let view = &mut views[0];
        let filled = match is_near {
            true => {
                let from = pos - BEHIND_BYTES.min(pos);
                view.fill(file, (from, end), BEHIND_BYTES as usize + AHEAD_BYTES)
            }
            false => view.fill(file, (pos, end), READ_BYTES),
        };
        match filled {
            // It may be what is around the frame that cannot be read.
            Err(error) if is_bad_sector(&error) => view.fill(file, (pos, end), FRAME_PREFIX)?,
            filled => filled?,
        }
        let frame = view.at(pos).and_then(frame_bytes);
        if let Some(frame) = frame.filter(|_| view.frame(pos).is_none()) {
            view.fill(file, (pos, end), frame)?;
        }
        Ok(view)
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

    /// The frame behind the last one that was asked for, and its position.
    fn next(&mut self, file: &impl FsFile, end: u64) -> Option<(u64, &[u8])> {
        let pos = self.last_end;
        if pos == 0 || pos >= end {
            return None;
        }
        if self.frame(pos).is_none() {
            // If that fails, whoever reads it finds out.
            self.fill(file, (pos, end), AHEAD_BYTES).ok()?;
        }
        Some((pos, self.frame(pos)?))
    }

    /// Whether who read here last may be who looks for the frame at `pos`.
    fn is_near(&self, pos: u64) -> bool {
        self.last_end > 0 && self.last_end.abs_diff(pos) <= NEAR_BYTES
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
