//! Single frames: where one stands, whether it is whole, and a view of the file that moves over them.

use std::io;

use rustix::io::Errno;

use super::journal::FRAME_PREFIX;
use crate::checksum::{FileKey, frame_checksum};
use crate::codec::FRAME_MAX;
use crate::fs::FsFile;

/// A moving view reads ahead by this many bytes.
const READ_AHEAD_BYTES: usize = 256 << 10;

/// What a drive cannot read comes at least in pieces of so many bytes.
const SECTOR_BYTES: u64 = 4096;

/// Whether an error is that of a medium which cannot give back what it holds.
pub(super) fn is_bad_sector(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::IO)
}

/// As [`FsFile::read_at`]; what the medium does not give back comes as zeros.
pub(super) fn read_what_can_be<F: FsFile>(file: &F, buf: &mut [u8], pos: u64) -> io::Result<usize> {
    match file.read_at(buf, pos) {
        Err(error) if is_bad_sector(&error) => {}
        read => return read,
    }
    let mut have = 0;
    while have < buf.len() {
        let at = pos + have as u64;
        // At most a sector, so it fits.
        let want = (SECTOR_BYTES - at % SECTOR_BYTES) as usize;
        let end = buf.len().min(have + want);
        match file.read_at(&mut buf[have..end], at) {
            Ok(read) if read < end - have => return Ok(have + read),
            Ok(_) => {}
            Err(error) if is_bad_sector(&error) => buf[have..end].fill(0),
            Err(error) => return Err(error),
        }
        have = end;
    }
    Ok(have)
}

/// The length of the frame that begins with `bytes`, if its length field can be right.
pub(super) fn frame_bytes(bytes: &[u8]) -> Option<usize> {
    let len = bytes.get(..4)?;
    let len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]) as usize;
    (1..=FRAME_MAX).contains(&len).then_some(FRAME_PREFIX + len)
}

/// The payload of the frame that begins with `bytes`, if all of it is there and right.
pub(super) fn checked<'a>(key: &FileKey, pos: u64, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let frame = bytes.get(..frame_bytes(bytes)?)?;
    let (prefix, payload) = frame.split_at(FRAME_PREFIX);
    let mut checksum = [0; 8];
    checksum.copy_from_slice(&prefix[4..]);
    (u64::from_le_bytes(checksum) == frame_checksum(key, pos, payload)).then_some(payload)
}

/// A moving view of the file that reads ahead.
pub(super) struct Window<'a, F> {
    file: &'a F,
    pub(super) file_len: u64,
    start: u64,
    bytes: Vec<u8>,
    /// What cannot be read counts as zeros.
    patchy: bool,
    /// How many bytes the last call of `frame` hashed without success.
    pub(super) tried_bytes: u64,
}

impl<'a, F: FsFile> Window<'a, F> {
    pub(super) fn new(file: &'a F, file_len: u64) -> Window<'a, F> {
        Window {
            file,
            file_len,
            start: 0,
            bytes: Vec::new(),
            patchy: false,
            tried_bytes: 0,
        }
    }

    /// A view in which what cannot be read counts as zeros.
    pub(super) fn patchy(file: &'a F, file_len: u64) -> Window<'a, F> {
        Window {
            patchy: true,
            ..Window::new(file, file_len)
        }
    }

    /// Where the frame at `pos` would end, going by its length alone. `None` if that cannot be right.
    pub(super) fn end_of_frame(&mut self, pos: u64) -> io::Result<Option<u64>> {
        let frame = frame_bytes(self.view(pos, FRAME_PREFIX)?);
        let end = frame.and_then(|frame| pos.checked_add(frame as u64));
        Ok(end.filter(|end| *end <= self.file_len))
    }

    /// The payload of the frame at `pos`; `None` if there is no good frame.
    pub(super) fn frame(&mut self, key: &FileKey, pos: u64) -> io::Result<Option<&[u8]>> {
        let frame = self.whole_frame(key, pos)?;
        Ok(frame.map(|frame| &frame[FRAME_PREFIX..]))
    }

    /// The frame at `pos` with what stands before its payload; `None` if there is no good frame.
    pub(super) fn whole_frame(&mut self, key: &FileKey, pos: u64) -> io::Result<Option<&[u8]>> {
        self.tried_bytes = 0;
        let Some(end) = self.end_of_frame(pos)? else {
            return Ok(None);
        };
        let frame = (end - pos) as usize;
        self.tried_bytes = end - pos;
        let bytes = self.view(pos, frame)?;
        Ok(checked(key, pos, bytes).and_then(|_| bytes.get(..frame)))
    }

    /// The bytes from `pos` on, at least `want` of them unless the file ends before.
    fn view(&mut self, pos: u64, want: usize) -> io::Result<&[u8]> {
        let have_end = self.start + self.bytes.len() as u64;
        if pos < self.start || pos + want as u64 > have_end {
            let left = usize::try_from(self.file_len.saturating_sub(pos)).unwrap_or(usize::MAX);
            self.bytes.resize(want.max(READ_AHEAD_BYTES).min(left), 0);
            self.start = pos;
            let have = match self.patchy {
                true => read_what_can_be(self.file, &mut self.bytes, pos)?,
                false => self.file.read_at(&mut self.bytes, pos)?,
            };
            self.bytes.truncate(have);
        }
        Ok(&self.bytes[(pos - self.start) as usize..])
    }
}
