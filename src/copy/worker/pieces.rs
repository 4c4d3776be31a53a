//! Reading a source in pieces that stay in a core's cache.

use std::ops::Range;

use super::*;

/// What is read and written at once.
pub(in crate::copy) const PIECE_BYTES: usize = 256 << 10;

/// Which side failed.
pub(in crate::copy) enum PieceError {
    /// The source, in the piece that begins at this offset.
    Read(u64, io::Error),
    Visit(io::Error),
    /// The run is to stop.
    Stopped,
}

impl<F: Fs> Worker<'_, F> {
    /// Reads a range of a source in pieces, each again if that is worth it. `false`: the source
    /// ended early.
    pub(in crate::copy) fn for_each_piece(
        &mut self,
        work: &Work<F>,
        source: &SourceFile,
        range: Range<u64>,
        mut visit: impl FnMut(&[u8], u64) -> io::Result<()>,
    ) -> Result<bool, PieceError> {
        let trier = self.trier();
        let mut offset = range.start;
        while offset < range.end {
            let want = usize::try_from(range.end - offset).unwrap_or(usize::MAX);
            let want = want.min(self.buf.len());
            self.shared.throttle.take(want as u64);
            if self.shared.should_stop() {
                return Err(PieceError::Stopped);
            }
            let piece = &mut self.buf[..want];
            let read = trier.read(&work.source, || source.read(piece, offset));
            let have = read.map_err(|error| PieceError::Read(offset, error))?;
            if have < want {
                return Ok(false);
            }
            visit(piece, offset).map_err(PieceError::Visit)?;
            offset += want as u64;
        }
        Ok(true)
    }
}
