//! All frames of a manifest, from the first to the first bad one, in order.
//!
//! Most of the work is checking them and reading what is in them, which needs nothing of the frames
//! before. So a large manifest is cut into chunks of whole frames, going by their lengths alone; several
//! threads check and read a chunk each, and the frames are handed out in order on the thread that asked.
//! A length that is wrong leads the cutting astray, but not further than to the frame it belongs
//! to: that one's checksum is wrong too, and nothing behind it is handed out.

use std::io;
use std::ops::Range;
use std::sync::Mutex;
use std::thread;

use crossbeam_channel::{Receiver, Sender};

use super::journal::{FRAME_PREFIX, FRAMES_START};
use super::window::{checked, frame_bytes};
use crate::fs::{ALIGN, AlignedBuf, FsFile};
use crate::lock_mutex;

/// A chunk is about this long, or one frame that is longer.
const CHUNK_BYTES: usize = 32 << 10;
/// A manifest of fewer bytes is read without further threads.
const ALONE_BYTES: u64 = 1 << 20;
const THREADS_MAX: usize = 4;
/// So many chunks are read that were not handed out yet.
const AHEAD_CHUNKS: usize = 4;

/// One good frame.
pub(super) struct Frame<'a, T> {
    pub(super) pos: u64,
    pub(super) payload: &'a [u8],
    /// What was read from the payload.
    pub(super) read: &'a T,
}

/// Whole frames, going by their lengths, in memory that is used again.
struct Chunk {
    /// Where the first one stands.
    start: u64,
    buf: AlignedBuf,
    /// Where they are in it.
    frames: Range<usize>,
}

/// A chunk and what was read from its good frames.
struct Batch<T> {
    chunk: Chunk,
    /// Of each frame its length and what was read from it.
    frames: Vec<(usize, T)>,
    /// There was a bad one.
    is_cut: bool,
}

/// Cuts the file into chunks of frames that are whole, going by their lengths.
struct Cutter<'a, F> {
    file: &'a F,
    file_len: u64,
    limit: u64,
    pos: u64,
    /// What stands at `pos` cannot be a frame.
    over: bool,
}

/// A batch, and where it goes when its frames were handed out: memory is given back faster by the thread
/// that took it.
type Checked<T> = (Batch<T>, Sender<Batch<T>>);
/// Where the places of the chunks go, in order: what is read from them comes out there.
type Order<T> = Sender<Receiver<io::Result<Checked<T>>>>;

/// Calls `visit` with each frame that begins before the position `limit`, until there is a bad one or
/// `visit` says `false`. Gives the position of the one that ended it, or where the last one ends.
/// What `read` takes from a payload comes with the frame; it may be asked ahead, on any thread.
pub(super) fn each<F: FsFile, T: Send>(
    file: &F,
    id: &[u8; 16],
    (file_len, limit): (u64, u64),
    read: impl Fn(&[u8]) -> T + Sync,
    mut visit: impl FnMut(Frame<'_, T>) -> io::Result<bool>,
) -> io::Result<u64> {
    let mut cutter = Cutter {
        file,
        file_len,
        limit,
        pos: FRAMES_START,
        over: false,
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    if cores == 1 || file_len.min(limit) < ALONE_BYTES {
        let (mut end, mut batch) = (cutter.pos, Batch::new());
        while cutter.next(&mut batch.chunk)? {
            batch.check(id, &read);
            let goes_on;
            (end, goes_on) = batch.hand_out(&mut visit)?;
            if !goes_on {
                break;
            }
        }
        return Ok(end);
    }
    let (order, ordered) = crossbeam_channel::bounded(AHEAD_CHUNKS);
    let (desk, read) = (&Mutex::new((cutter, Some(order))), &read);
    thread::scope(|scope| {
        for _ in 0..cores.min(THREADS_MAX) {
            scope.spawn(move || check_chunks(desk, id, read));
        }
        hand_out(ordered, visit)
    })
}

/// Takes chunk after chunk and checks it. Its place among the others is settled while it is cut.
fn check_chunks<F: FsFile, T: Send>(
    desk: &Mutex<(Cutter<'_, F>, Option<Order<T>>)>,
    id: &[u8; 16],
    read: &(impl Fn(&[u8]) -> T + Sync),
) {
    let (back, used) = crossbeam_channel::bounded(AHEAD_CHUNKS);
    loop {
        let mut batch = used.try_recv().unwrap_or_else(|_| Batch::new());
        let checked = {
            let mut desk = lock_mutex(desk);
            let (cutter, order) = &mut *desk;
            let cut = cutter.next(&mut batch.chunk);
            let Some(to) = order.as_ref().filter(|_| !matches!(cut, Ok(false))) else {
                *order = None;
                return;
            };
            let (checked, place) = crossbeam_channel::bounded(1);
            if to.send(place).is_err() {
                return;
            }
            if let Err(error) = cut {
                let _ = checked.send(Err(error));
                *order = None;
                return;
            }
            checked
        };
        batch.check(id, read);
        // Fails only if nobody wants to know any more.
        let _ = checked.send(Ok((batch, back.clone())));
    }
}

/// Hands out what the threads checked.
fn hand_out<T>(
    ordered: Receiver<Receiver<io::Result<Checked<T>>>>,
    mut visit: impl FnMut(Frame<'_, T>) -> io::Result<bool>,
) -> io::Result<u64> {
    let mut end = FRAMES_START;
    for checked in ordered {
        let Ok(checked) = checked.recv() else {
            // Its thread panicked; so does the scope.
            break;
        };
        let (batch, back) = checked?;
        let goes_on;
        (end, goes_on) = batch.hand_out(&mut visit)?;
        let _ = back.try_send(batch);
        if !goes_on {
            break;
        }
    }
    Ok(end)
}

impl Chunk {
    fn new() -> Chunk {
        Chunk {
            start: FRAMES_START,
            // The first frame need not begin where a page does.
            buf: AlignedBuf::new(CHUNK_BYTES + ALIGN),
            frames: 0..0,
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.buf[self.frames.clone()]
    }
}

impl<F: FsFile> Cutter<'_, F> {
    /// Reads the next frames; `false`: there are no more. What is read is aligned, so that it can come
    /// past the page cache.
    fn next(&mut self, chunk: &mut Chunk) -> io::Result<bool> {
        let mut want = CHUNK_BYTES;
        while !self.over && self.pos < self.limit {
            let skip = (self.pos % ALIGN as u64) as usize;
            let from = self.pos - skip as u64;
            let len = (skip + want).next_multiple_of(ALIGN);
            if chunk.buf.len() < len {
                chunk.buf = AlignedBuf::new(len);
            }
            let have = self.file.read_at(&mut chunk.buf[..len], from)?;
            let left = usize::try_from(self.file_len.saturating_sub(from)).unwrap_or(usize::MAX);
            let have = have.min(left);
            let bytes = chunk.buf.get(skip..have).unwrap_or_default();
            let (whole, behind) = whole_frames(bytes, self.limit - self.pos);
            self.over = match behind {
                Behind::Limit => false,
                Behind::Part(_) => have < len,
                Behind::Wrong => true,
            };
            if whole > 0 {
                (chunk.start, chunk.frames) = (self.pos, skip..skip + whole);
                self.pos += whole as u64;
                return Ok(true);
            }
            if let Behind::Part(frame) = behind {
                want = frame;
            }
        }
        Ok(false)
    }
}

/// What comes behind whole frames.
enum Behind {
    /// A frame that is not wanted.
    Limit,
    /// Part of a frame that is at least so long.
    Part(usize),
    /// No frame.
    Wrong,
}

/// How many bytes at the beginning are whole frames, of those that begin before `limit`.
fn whole_frames(bytes: &[u8], limit: u64) -> (usize, Behind) {
    let mut whole = 0;
    while (whole as u64) < limit {
        let rest = &bytes[whole..];
        match frame_bytes(rest) {
            Some(frame) if frame <= rest.len() => whole += frame,
            Some(frame) => return (whole, Behind::Part(frame)),
            None if rest.len() < FRAME_PREFIX => return (whole, Behind::Part(FRAME_PREFIX)),
            None => return (whole, Behind::Wrong),
        }
    }
    (whole, Behind::Limit)
}

impl<T> Batch<T> {
    fn new() -> Batch<T> {
        Batch {
            chunk: Chunk::new(),
            frames: Vec::new(),
            is_cut: false,
        }
    }

    /// Checks the frames of its chunk and reads what is in them, up to the first bad one.
    fn check(&mut self, id: &[u8; 16], read: &impl Fn(&[u8]) -> T) {
        let (mut pos, mut rest) = (self.chunk.start, self.chunk.bytes());
        self.frames.clear();
        while let Some(payload) = checked(id, pos, rest) {
            let frame = FRAME_PREFIX + payload.len();
            self.frames.push((frame, read(payload)));
            pos += frame as u64;
            rest = &rest[frame..];
        }
        self.is_cut = !rest.is_empty();
    }

    /// Gives where it ended, and whether it goes on from there.
    fn hand_out(
        &self,
        visit: &mut impl FnMut(Frame<'_, T>) -> io::Result<bool>,
    ) -> io::Result<(u64, bool)> {
        let (mut pos, mut rest) = (self.chunk.start, self.chunk.bytes());
        for (len, read) in &self.frames {
            let (frame, behind) = rest.split_at(*len);
            let payload = &frame[FRAME_PREFIX..];
            if !visit(Frame { pos, payload, read })? {
                return Ok((pos, false));
            }
            pos += *len as u64;
            rest = behind;
        }
        Ok((pos, !self.is_cut))
    }
}

#[cfg(test)]
mod tests;
