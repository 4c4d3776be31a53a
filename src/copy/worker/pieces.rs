//! Reading a source in pieces that stay in a core's cache.

use std::ops::Range;

use super::*;
use crate::fs::source::Extent;

/// What is read and written at once.
pub(in crate::copy) const PIECE_BYTES: usize = 256 << 10;

static ZEROS: [u8; PIECE_BYTES] = [0; PIECE_BYTES];

/// A part of a source.
#[derive(Clone, Copy)]
pub(in crate::copy) enum Piece<'a> {
    /// It was read.
    Data(&'a [u8]),
    /// It is a hole, which is not read: these zeros are what reading would give.
    Hole(&'static [u8]),
}

impl Piece<'_> {
    pub(in crate::copy) fn bytes(&self) -> &[u8] {
        match self {
            Piece::Data(bytes) | Piece::Hole(bytes) => bytes,
        }
    }
}

/// Which side failed.
pub(in crate::copy) enum PieceError {
    /// The source, in the piece that begins at this offset.
    Read(u64, io::Error),
    Visit(io::Error),
    /// The run is to stop.
    Stopped,
}

impl<F: Fs> Worker<'_, F> {
    /// Copies a range of a source of so many bytes, and gives its hash; `single`: it is the whole
    /// file. `None`: the source ended early.
    pub(super) fn write_range(
        &mut self,
        work: &Work<F>,
        (source, size): (&SourceFile, u64),
        file: &F::File,
        (range, single): (Range<u64>, bool),
    ) -> Result<Option<Hash32>, Failure> {
        let at_dest = self.at_dest("write to the partial copy of", &work.path);
        let mut hasher = BlockHasher::new(range.start, single);
        let mut sink = Sink::<F>::new(self.shared, file, range.start);
        let writes = self.writes.clone();
        let whole = self.for_each_piece(work, (source, size), range.clone(), |piece, offset| {
            hasher.update(piece.bytes());
            writes.make(|| sink.put(piece, offset))
        });
        match whole {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(PieceError::Stopped) => return Err(Failure::Stopped),
            Err(PieceError::Read(at, error)) => {
                return Err(self.survey(work, source, size, (at, error)));
            }
            Err(PieceError::Visit(error)) => return Err(at_dest(error)),
        }
        writes.make(|| sink.finish(range.end)).map_err(at_dest)?;
        Ok(Some(hasher.finish()))
    }

    /// Reads a range of a source of so many bytes in pieces, each again if that is worth it, but for its
    /// holes. `false`: the source ended early, or does not end where it should.
    pub(in crate::copy) fn for_each_piece(
        &mut self,
        work: &Work<F>,
        (source, size): (&SourceFile, u64),
        range: Range<u64>,
        mut visit: impl FnMut(Piece<'_>, u64) -> io::Result<()>,
    ) -> Result<bool, PieceError> {
        let trier = self.trier();
        let mut offset = range.start;
        let mut end_is_seen = range.end < size;
        while offset < range.end {
            let mut want = to_len(range.end - offset).min(self.piece_bytes);
            match source.extent(offset) {
                Extent::Data(end) => want = want.min(to_len(end - offset)),
                Extent::Hole(end) => {
                    let zeros = &ZEROS[..want.min(to_len(end - offset))];
                    visit(Piece::Hole(zeros), offset).map_err(PieceError::Visit)?;
                    offset += zeros.len() as u64;
                    if self.shared.should_stop() {
                        return Err(PieceError::Stopped);
                    }
                    continue;
                }
            }
            self.shared.throttle.take(want as u64);
            if self.shared.should_stop() {
                return Err(PieceError::Stopped);
            }
            // With one more byte than there should be, the end of the file costs no call of its own.
            let to_end = offset + want as u64 == size;
            let piece = &mut self.buf[..want + usize::from(to_end)];
            let read = trier.read(&work.source, || match to_end {
                true => source.read_to_end(piece, offset),
                false => source.read(piece, offset),
            });
            let have = read.map_err(|error| PieceError::Read(offset, error))?;
            if have != want {
                return Ok(false);
            }
            end_is_seen |= to_end;
            visit(Piece::Data(&piece[..want]), offset).map_err(PieceError::Visit)?;
            offset += want as u64;
        }
        if end_is_seen {
            return Ok(true);
        }
        let ends = trier.read(&work.source, || source.ends_at(size));
        ends.map_err(|error| PieceError::Read(offset, error))
    }
}

fn to_len(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
