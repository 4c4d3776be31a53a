//! Writing a partial without writing its holes.
//!
//! What was never written reads as zeros, so a hole is kept by leaving it out. Only at the end of
//! each block the file has to be made as long as if all had been written: that is how much of it
//! counts as there.

use super::*;

/// With `--sparse`, so many zeros in a row, at a multiple of as many, become a hole. The unit in
/// which nearly all file systems give space.
const UNIT_BYTES: u64 = 4096;
static ZEROS: [u8; UNIT_BYTES as usize] = [0; UNIT_BYTES as usize];

/// A part of a partial that is being written, front to back.
pub(in crate::copy) struct Sink<'a, F: Fs> {
    file: &'a F::File,
    /// Turn runs of zeros into holes.
    sparse: bool,
    /// Where the last write ended.
    written: u64,
}

impl<'a, F: Fs> Sink<'a, F> {
    /// Begins at `start`; the file ends there.
    pub(super) fn new(shared: &Shared<F>, file: &'a F::File, start: u64) -> Sink<'a, F> {
        Sink::at(file, start, shared.options.sparse)
    }

    /// The same; `sparse` turns runs of zeros into holes.
    pub(in crate::copy) fn at(file: &'a F::File, start: u64, sparse: bool) -> Sink<'a, F> {
        Sink {
            file,
            sparse,
            written: start,
        }
    }

    /// Takes what comes at `offset`.
    pub(in crate::copy) fn put(&mut self, piece: Piece<'_>, offset: u64) -> io::Result<()> {
        match piece {
            Piece::Hole(_) => Ok(()),
            Piece::Data(bytes) if self.sparse => self.put_sparsely(bytes, offset),
            Piece::Data(bytes) => self.write(bytes, offset),
        }
    }

    fn put_sparsely(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        // The part from `from` to `at` is to be written.
        let (mut from, mut at) = (0, 0);
        while at < bytes.len() {
            let unit = UNIT_BYTES - (offset + at as u64) % UNIT_BYTES;
            let end = bytes.len().min(at + unit as usize);
            if bytes[at..end] == ZEROS[..end - at] {
                self.write(&bytes[from..at], offset + from as u64)?;
                from = end;
            }
            at = end;
        }
        self.write(&bytes[from..], offset + from as u64)
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if offset > self.written {
            self.begin_hole()?;
        }
        self.file.write_at(bytes, offset)?;
        self.written = offset + bytes.len() as u64;
        Ok(())
    }

    /// Makes the file reach up to `end`.
    pub(in crate::copy) fn finish(self, end: u64) -> io::Result<()> {
        if self.written == end {
            return Ok(());
        }
        self.begin_hole()?;
        self.file.set_len(end)
    }

    /// Gives back what the file system holds ready behind the end of a file that grows, as XFS
    /// does: it would stay in the hole for good.
    fn begin_hole(&self) -> io::Result<()> {
        match self.written {
            0 => Ok(()),
            written => self.file.set_len(written),
        }
    }
}
