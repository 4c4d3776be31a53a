//! Reading a source in pieces that stay in a core's cache.

use std::io;

use crate::fs::source::SourceFile;

/// What is read and written at once.
pub(in crate::copy) const PIECE_BYTES: usize = 256 << 10;

/// Which side failed.
pub(in crate::copy) enum PieceError {
    Read(io::Error),
    Visit(io::Error),
}

/// Reads a range of a source in pieces. `false`: the source ended early.
pub(in crate::copy) fn for_each_piece(
    buf: &mut [u8],
    source: &SourceFile,
    range: std::ops::Range<u64>,
    mut visit: impl FnMut(&[u8], u64) -> io::Result<()>,
) -> Result<bool, PieceError> {
    let mut offset = range.start;
    while offset < range.end {
        let want = usize::try_from(range.end - offset).unwrap_or(usize::MAX);
        let want = want.min(buf.len());
        let piece = &mut buf[..want];
        let have = source.read(piece, offset).map_err(PieceError::Read)?;
        if have < want {
            return Ok(false);
        }
        visit(piece, offset).map_err(PieceError::Visit)?;
        offset += want as u64;
    }
    Ok(true)
}
