//! Frames: how records lie in the file one behind the other, and where the good ones end.
//!
//! ```text
//!    0   4  length of the payload in bytes, little endian, 1..=FRAME_MAX
//!    4   8  checksum over the file's key, position of the frame, length and payload
//!   12   …  payload: one bincode `Record`
//! ```
//!
//! What was appended after the last flush may be there in any part after a power cut: a bad frame
//! with good frames behind it is therefore *torn*, and cut off, as long as no barrier vouches for
//! its position. If the last barrier but one does, it is *damage*, and nothing is cut.

use std::io;
use std::sync::Arc;

use super::ahead::Ahead;
use super::frames::{self, Chunk};
use super::glance::Glance;
use super::header::HEADER_BYTES;
use super::index::PathHasher;
use super::record::{self, Record};
use super::window::{Window, checked, frame_bytes};
use crate::checksum::{FileKey, frame_checksum};
use crate::codec;
use crate::fs::FsFile;

/// Where the first frame is.
pub(crate) const FRAMES_START: u64 = HEADER_BYTES as u64;
/// What stands before a payload, in bytes.
pub(super) const FRAME_PREFIX: usize = 12;

/// Appended frames are handed to the system in pieces of about this many bytes.
const WRITE_BYTES: usize = 64 << 10;
/// Looking for good frames behind a bad one gives up after going over, or hashing, this many bytes
/// in vain.
pub(super) const RESYNC_BYTES_MAX: u64 = 256 << 20;

/// What is said of a frame that is not good.
pub(super) const BAD_CHECKSUM: &str = "a record does not match its checksum";
/// What is said of a frame that is good and holds what is none of the records.
pub(super) const NO_RECORD: &str = "a record that is whole cannot be understood";

/// The appending end of a manifest, and random reads of it.
pub(super) struct Journal<F> {
    file: Arc<F>,
    key: FileKey,
    /// Read only: what stands before `file`, whose positions begin behind it.
    before: Option<Before<F>>,
    /// Everything before this position was handed to the system.
    written: u64,
    pending: Vec<u8>,
    failed: bool,
    ahead: Ahead,
}

/// Another file, whose frames come before those of the first.
struct Before<F> {
    file: Arc<F>,
    key: FileKey,
    ahead: Ahead,
    /// What is added to the positions of the first.
    base: u64,
}

/// What a scan found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ScanEnd {
    /// Where the good frames end.
    pub(super) end: u64,
    /// What lies before this position is trusted.
    pub(super) trusted: u64,
    /// What the last barrier covers: everything said before this position was flushed. The first
    /// frame's position if there is none.
    pub(super) covered: u64,
    /// Whether nothing was said that the last barrier does not cover.
    pub(super) sealed: bool,
    /// What the barriers take.
    pub(super) barrier_bytes: u64,
    /// The first bad frame, if a barrier behind it vouches for it.
    pub(super) damage: Option<(u64, &'static str)>,
}

impl<F: FsFile> Journal<F> {
    pub(super) fn new(file: Arc<F>, key: FileKey, end: u64) -> Journal<F> {
        Journal {
            file,
            key,
            before: None,
            written: end,
            pending: Vec::new(),
            failed: false,
            ahead: Ahead::default(),
        }
    }

    /// The same to be read only, with another file before it: its own positions begin at `base`.
    pub(super) fn behind(self, before: Arc<F>, key: FileKey, base: u64) -> Self {
        Journal {
            written: base.saturating_add(self.written),
            before: Some(Before {
                file: before,
                key,
                ahead: Ahead::default(),
                base,
            }),
            ..self
        }
    }

    pub(super) fn file(&self) -> &Arc<F> {
        &self.file
    }

    /// Where the next frame will begin.
    pub(super) fn end(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    /// Appends a record and returns its position. It may not be handed to the system yet.
    pub(super) fn append(&mut self, record: &Record) -> io::Result<u64> {
        self.check()?;
        let pos = self.end();
        let start = self.pending.len();
        self.pending.extend_from_slice(&[0; FRAME_PREFIX]);
        if let Err(error) = codec::encode(record, &mut self.pending) {
            self.pending.truncate(start);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        let payload = &self.pending[start + FRAME_PREFIX..];
        let len = (payload.len() as u32).to_le_bytes();
        let checksum = frame_checksum(&self.key, pos, payload).to_le_bytes();
        self.pending[start..start + 4].copy_from_slice(&len);
        self.pending[start + 4..start + FRAME_PREFIX].copy_from_slice(&checksum);
        if self.pending.len() >= WRITE_BYTES {
            self.write_out()?;
        }
        Ok(pos)
    }

    /// Appends the frames of another file of the same manifest as they are, up to the position
    /// `end` of both. Says whether all of them are good.
    pub(super) fn append_frames(&mut self, from: &F, end: u64) -> io::Result<bool> {
        let mut window = Window::new(from, end);
        while self.end() < end {
            let Some(frame) = window.whole_frame(&self.key, self.end())? else {
                return Ok(false);
            };
            self.pending.extend_from_slice(frame);
            if self.pending.len() >= WRITE_BYTES {
                self.write_out()?;
            }
        }
        Ok(true)
    }

    /// Hands everything appended to the system, so that it outlives this process.
    pub(super) fn write_out(&mut self) -> io::Result<()> {
        self.check()?;
        if self.pending.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.file.write_at(&self.pending, self.written) {
            self.failed = true;
            return Err(error);
        }
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// After a failed write the end of the file is unknown: nothing more may be appended.
    fn check(&self) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write to the manifest failed"));
        }
        Ok(())
    }

    /// Reads the record at a position, and the length of its frame.
    pub(super) fn read(&self, pos: u64) -> io::Result<(Record, u64)> {
        if pos >= self.written {
            let start = usize::try_from(pos - self.written).unwrap_or(usize::MAX);
            return decode(&self.key, pos, self.pending.get(start..).unwrap_or(&[]));
        }
        let (file, key, ahead, base) = match &self.before {
            Some(before) if pos < before.base => (&before.file, &before.key, &before.ahead, 0),
            Some(before) => (&self.file, &self.key, &self.ahead, before.base),
            None => (&self.file, &self.key, &self.ahead, 0),
        };
        let within = (pos - base, self.written - base);
        let read = ahead.read(&**file, within, |bytes| decode(key, pos - base, bytes));
        let (mut record, frame) = read?;
        record.move_by(base);
        Ok((record, frame))
    }

    /// Gives `take` the record that follows one that was read before, with its position, if it seems to
    /// be about this path and `counts`. `None`, too, if it is bad: whoever reads it where it stands finds
    /// that out.
    pub(super) fn next_about<T>(
        &self,
        path: &[u8],
        counts: impl Fn(u64) -> bool,
        take: impl FnOnce(u64, &[u8]) -> Option<T>,
    ) -> Option<T> {
        if self.before.is_some() {
            return None;
        }
        let is_it = |pos, frame: &[u8]| {
            let payload = frame.get(FRAME_PREFIX..);
            payload.is_some_and(|payload| record::seems_about(payload, path)) && counts(pos)
        };
        let take = |pos, frame: &[u8]| take(pos, checked(&self.key, pos, frame)?);
        self.ahead
            .next(&*self.file, self.written, is_it, take)
            .flatten()
    }
}

/// The record in the frame that begins with `bytes`, and the length of the frame.
fn decode(key: &FileKey, pos: u64, bytes: &[u8]) -> io::Result<(Record, u64)> {
    let frame = frame_bytes(bytes).ok_or_else(|| bad(pos))?;
    let payload = checked(key, pos, bytes).ok_or_else(|| bad(pos))?;
    let record = codec::decode(payload)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok((record, frame as u64))
}

fn bad(pos: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the record at byte {pos} of the manifest is damaged"),
    )
}

/// A frame as `scan` hands it out.
pub(super) struct Scanned<'a> {
    pub(super) pos: u64,
    pub(super) glance: &'a Glance,
    /// Some of what comes behind it.
    pub(super) behind: &'a [(u64, Glance)],
    chunk: &'a Chunk,
}

impl Scanned<'_> {
    /// Its payload. It was another thread that looked at it, so it may take a while to come near.
    pub(super) fn payload(&self) -> &[u8] {
        self.chunk.payload(self.pos)
    }

    /// How long it is.
    pub(super) fn bytes(&self) -> u64 {
        (FRAME_PREFIX + self.payload().len()) as u64
    }
}

/// Reads every frame in order, up to the end, to the first bad one, or to the position `limit`.
///
/// `visit` gets each frame but the barriers; what it refuses is damage, since the frame itself is whole.
pub(super) fn scan<F: FsFile>(
    file: &F,
    key: &FileKey,
    limit: u64,
    paths: &PathHasher,
    mut visit: impl FnMut(Scanned<'_>) -> io::Result<Result<(), &'static str>>,
) -> io::Result<ScanEnd> {
    let file_len = file.stat()?.size;
    let mut barriers = Barriers::default();
    let (mut covered, mut sealed) = (FRAMES_START, true);
    let mut barrier_bytes = 0;
    let mut refused = None;
    let take = |frames: &mut Vec<_>, pos, payload: &[u8]| {
        frames.push((pos, Glance::of(payload, paths)));
    };
    let end = frames::each(file, key, (file_len, limit), take, |frames, chunk| {
        let mut rest = &frames[..];
        while let [(pos, glance), behind @ ..] = rest {
            let pos = *pos;
            rest = behind;
            let said = match glance {
                Glance::Unknown => Err(NO_RECORD),
                Glance::Barrier { covers } => {
                    (covered, sealed) = (*covers, *covers == pos);
                    barrier_bytes += (FRAME_PREFIX + chunk.payload(pos).len()) as u64;
                    barriers.note(pos, *covers)
                }
                Glance::Sets { .. } | Glance::Whole(_) => {
                    sealed = false;
                    visit(Scanned {
                        pos,
                        glance,
                        behind,
                        chunk,
                    })?
                }
            };
            refused = said.err().map(|what| (pos, what));
            if refused.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    })?;
    let trusted = barriers.trusted();
    let (end, damage) = match refused {
        Some((pos, what)) => (pos, Some((pos, what))),
        None if end < file_len.min(limit) => {
            let mut window = Window::new(file, file_len);
            (end, vouched(&mut window, key, end, barriers)?)
        }
        None => (end, None),
    };
    Ok(ScanEnd {
        end,
        trusted,
        covered,
        sealed: sealed && end == file_len.min(limit),
        barrier_bytes,
        damage,
    })
}

/// Looks behind the bad frame at `bad` for barriers that say it was once whole.
fn vouched<F: FsFile>(
    window: &mut Window<'_, F>,
    key: &FileKey,
    bad: u64,
    mut barriers: Barriers,
) -> io::Result<Option<(u64, &'static str)>> {
    let mut tried: u64 = 0;
    let mut pos = bad + 1;
    while pos + (FRAME_PREFIX as u64) < window.file_len {
        let Some(payload) = window.frame(key, pos)? else {
            tried += 1 + window.tried_bytes;
            if tried > RESYNC_BYTES_MAX {
                return Ok(Some((bad, BAD_CHECKSUM)));
            }
            pos += 1;
            continue;
        };
        let frame = (FRAME_PREFIX + payload.len()) as u64;
        if let Ok(Record::Barrier { covers }) = codec::decode::<Record>(payload)
            && barriers.note(pos, covers).is_ok()
            && barriers.trusted() > bad
        {
            return Ok(Some((bad, BAD_CHECKSUM)));
        }
        pos += frame;
    }
    Ok(None)
}

/// The last two barriers of a manifest.
#[derive(Debug, Clone, Copy, Default)]
struct Barriers {
    last: Option<u64>,
    but_one: Option<u64>,
}

impl Barriers {
    fn note(&mut self, pos: u64, covers: u64) -> Result<(), &'static str> {
        if covers > pos || covers < self.last.unwrap_or(FRAMES_START) {
            return Err("a barrier covers what it cannot");
        }
        self.but_one = self.last.replace(covers);
        Ok(())
    }

    fn trusted(&self) -> u64 {
        self.but_one.unwrap_or(FRAMES_START)
    }
}
