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
                    ctimes: self.shared.ctimes(stat),
                    unsettled: false,
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
        let range = 0..stat.size;
        let Some(hash) = self.write_range(work, (source, stat.size), file, (range, true))? else {
            return Ok(None);
        };
        if !self.is_unchanged(work, source, &source_id(stat))? {
            return Ok(None);
        }
        let dest = self.set_meta(work, source, file, stat)?;
        if self.shared.flushes_each(&work.path) {
            file.sync()
                .map_err(|error| self.flush_failed(work, error))?;
        }
        Ok(Some((hash, dest)))
    }
}
