//! All frames of a manifest, from the first to the first bad one, in order.
//!
//! Most of the work is checking and decoding them, which needs nothing of the frames before. So a
//! large manifest is cut into chunks of whole frames, going by their lengths alone; several threads
//! check and decode a chunk each, and the frames are handed out in order on the thread that asked.
//! A length that is wrong leads the cutting astray, but not further than to the frame it belongs
//! to: that one's checksum is wrong too, and nothing behind it is handed out.

use std::io;
use std::ops::Range;
use std::sync::Mutex;
use std::thread;

use crossbeam_channel::{Receiver, Sender};

use super::journal::{FRAME_PREFIX, FRAMES_START};
use super::record::Record;
use super::window::{checked, frame_bytes};
use crate::codec;
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
pub(super) struct Frame {
    pub(super) pos: u64,
    /// Its length, with what stands before the payload.
    pub(super) bytes: u64,
    /// `None`: the payload is no record that this version knows.
    pub(super) record: Option<Record>,
}

/// Whole frames, going by their lengths, in memory that is used again.
struct Chunk {
    /// Where the first one stands.
    start: u64,
    buf: AlignedBuf,
    /// Where they are in it.
    frames: Range<usize>,
}

/// The good frames of one chunk.
struct Batch {
    frames: Vec<Frame>,
    /// Where they end.
    end: u64,
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

/// A batch, and where its frames are to go when they were handed out: memory is given back faster by
/// the thread that took it.
type Decoded = (Batch, Sender<Vec<Frame>>);
/// Where the places of the chunks go, in order: what is decoded comes out there.
type Order = Sender<Receiver<io::Result<Decoded>>>;

/// Calls `visit` with each frame that begins before the position `limit`, until there is a bad one or
/// `visit` says `false`. Gives the position of the one that ended it, or where the last one ends.
pub(super) fn each<F: FsFile>(
    file: &F,
    id: &[u8; 16],
    (file_len, limit): (u64, u64),
    mut visit: impl FnMut(&Frame) -> io::Result<bool>,
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
        let (mut end, mut chunk) = (cutter.pos, Chunk::new());
        while cutter.next(&mut chunk)? {
            let batch = Batch::decode(id, &chunk, Vec::new());
            let goes_on;
            (end, goes_on) = batch.hand_out(&mut visit)?;
            if !goes_on {
                break;
            }
        }
        return Ok(end);
    }
    let (order, ordered) = crossbeam_channel::bounded(AHEAD_CHUNKS);
    let desk = &Mutex::new((cutter, Some(order)));
    thread::scope(|scope| {
        for _ in 0..cores.min(THREADS_MAX) {
            scope.spawn(move || decode_chunks(desk, id));
        }
        hand_out(ordered, visit)
    })
}

/// Takes chunk after chunk and decodes it. Its place among the others is settled while it is cut.
fn decode_chunks<F: FsFile>(desk: &Mutex<(Cutter<'_, F>, Option<Order>)>, id: &[u8; 16]) {
    let (back, used) = crossbeam_channel::bounded(AHEAD_CHUNKS);
    let mut chunk = Chunk::new();
    loop {
        let decoded = {
            let mut desk = lock_mutex(desk);
            let (cutter, order) = &mut *desk;
            let cut = cutter.next(&mut chunk);
            let Some(to) = order.as_ref().filter(|_| !matches!(cut, Ok(false))) else {
                *order = None;
                return;
            };
            let (decoded, place) = crossbeam_channel::bounded(1);
            if to.send(place).is_err() {
                return;
            }
            if let Err(error) = cut {
                let _ = decoded.send(Err(error));
                *order = None;
                return;
            }
            decoded
        };
        let batch = Batch::decode(id, &chunk, used.try_recv().unwrap_or_default());
        // Fails only if nobody wants to know any more.
        let _ = decoded.send(Ok((batch, back.clone())));
    }
}

/// Hands out what the threads decode.
fn hand_out(
    ordered: Receiver<Receiver<io::Result<Decoded>>>,
    mut visit: impl FnMut(&Frame) -> io::Result<bool>,
) -> io::Result<u64> {
    let mut end = FRAMES_START;
    for decoded in ordered {
        let Ok(decoded) = decoded.recv() else {
            // Its thread panicked; so does the scope.
            break;
        };
        let (batch, back) = decoded?;
        let goes_on;
        (end, goes_on) = batch.hand_out(&mut visit)?;
        let _ = back.try_send(batch.frames);
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

impl Batch {
    /// Those of a chunk at `start`, in the memory of others that were handed out.
    fn decode(id: &[u8; 16], chunk: &Chunk, mut frames: Vec<Frame>) -> Batch {
        let (start, bytes) = (chunk.start, chunk.bytes());
        frames.clear();
        let mut at = 0;
        while at < bytes.len() {
            let pos = start + at as u64;
            let Some(payload) = checked(id, pos, &bytes[at..]) else {
                break;
            };
            let frame = FRAME_PREFIX + payload.len();
            frames.push(Frame {
                pos,
                bytes: frame as u64,
                record: codec::decode(payload).ok(),
            });
            at += frame;
        }
        Batch {
            frames,
            end: start + at as u64,
            is_cut: at < bytes.len(),
        }
    }

    /// Gives where it ended, and whether it goes on from there.
    fn hand_out(
        &self,
        visit: &mut impl FnMut(&Frame) -> io::Result<bool>,
    ) -> io::Result<(u64, bool)> {
        for frame in &self.frames {
            if !visit(frame)? {
                return Ok((frame.pos, false));
            }
        }
        Ok((self.end, !self.is_cut))
    }
}

#[cfg(test)]
mod tests;
