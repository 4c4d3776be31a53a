//! Files of one block or less: most files are, and no record is made of one before it is complete.

use super::*;

impl<F: Fs> Worker<'_, F> {
    /// Copies a file of one block or less: no record is made of it before it is complete.
    pub(super) fn copy_single(
        &mut self,
        work: &Work<F>,
        source: &SourceFile,
        stat: &Stat,
    ) -> Result<Reading<F>, Failure> {
        let (attempt, name, file) = self.create(work)?;
        match self.write_single(work, source, stat, &file) {
            Ok(Some((hash, dest))) => Ok(Reading::Done(Box::new(Completed {
                path: work.path.clone(),
                mtime_ns: stat.mtime_ns,
                dest,
                attempt: Some(attempt),
                content: Content::File {
                    size: stat.size,
                    hash,
                    blocks: false,
                },
                file: None,
            }))),
            Ok(None) => {
                self.discard(work, attempt, &name)?;
                Ok(Reading::Changed)
            }
            Err(Failure::Entry(error)) => {
                self.discard(work, attempt, &name)?;
                Err(error.into())
            }
            Err(failure) => Err(failure),
        }
    }

    fn write_single(
        &mut self,
        work: &Work<F>,
        source: &SourceFile,
        stat: &Stat,
        file: &F::File,
    ) -> Result<Option<(Hash32, DestMeta)>, Failure> {
        let mut hasher = BlockHasher::new(0, true);
        let mut sink = Sink::<F>::new(self.shared, file, 0);
        let at_dest = self.at_dest("write to the partial copy of", &work.path);
        let whole = self.for_each_piece(work, source, 0..stat.size, |piece, offset| {
            hasher.update(piece.bytes());
            sink.put(piece, offset)
        });
        match whole {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(PieceError::Stopped) => return Err(Failure::Stopped),
            Err(PieceError::Read(at, error)) => {
                return Err(self.survey(work, source, stat.size, (at, error)));
            }
            Err(PieceError::Visit(error)) => return Err(at_dest(error)),
        }
        sink.finish(stat.size).map_err(at_dest)?;
        if !self.is_unchanged(work, source, &source_id(stat))? {
            return Ok(None);
        }
        let dest = self.set_meta(work, source, file, stat)?;
        if self.shared.fs.flush_by() == FlushBy::Each {
            file.sync()
                .map_err(|error| self.flush_failed(work, error))?;
        }
        Ok(Some((hasher.finish(), dest)))
    }
}
