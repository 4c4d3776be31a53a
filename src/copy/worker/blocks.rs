//! Files of several blocks: each block is reported when it is written, so that the next run can go on
//! behind it.

use std::ops::Range;

use super::*;
use crate::fs::source::Extent;
use crate::hash::hash_zeros;
use crate::manifest::Entry;
use crate::plan::may_resume;

/// After so many bytes of a file the device is to begin with them, so that it works from the beginning
/// and not only when a barrier is due.
const WRITE_OUT_BYTES: u64 = 8 << 20;

impl<F: Fs> Worker<'_, F> {
    /// Goes on with a partial. `None`: it is not what the manifest says, or its source begins in another way,
    /// and it is gone now.
    pub(super) fn resume(
        &mut self,
        work: &Work<F>,
        source: &SourceFile,
        settled: &source::Settled,
        partial: &Partial,
    ) -> Result<Option<Reading<F>>, Failure> {
        let stat = &settled.stat;
        self.writes = self.writes_to(&work.path);
        let (fs, attempt) = (&*self.shared.fs, partial.begin.attempt);
        let name = self.shared.names.reserve(&work.path, attempt);
        let at_dest = self.at_dest("open the partial copy of", &work.path);
        let file = crate::fs::found(fs.open(&work.dir, &name, crate::fs::Access::Write))
            .map_err(&at_dest)?;
        // A forged manifest may hold more blocks of a file than it can have.
        let size = self.shared.block_size;
        let fits = !size.is_single(stat.size) && partial.blocks <= size.count(stat.size);
        let recorded = partial.blocks.saturating_mul(size.bytes()).min(stat.size);
        let is_whole = match &file {
            Some(file) => {
                let there = file.stat().map_err(&at_dest)?;
                there.size >= recorded && self.shared.is_own(&there)
            }
            None => false,
        };
        let going_on = match fits && is_whole && may_resume(&partial.begin.source, stat) {
            true => self.going_on(work, source, settled, partial)?,
            false => None,
        };
        let (Some(file), Some(partial)) = (file, going_on) else {
            let path = work.path.clone();
            self.drop_recorded(work, attempt, |durable| Message::Forget {
                path,
                durable: Some(durable),
            })?;
            return Ok(None);
        };
        let kept = partial.blocks.saturating_mul(size.bytes()).min(stat.size);
        file.set_len(kept).map_err(&at_dest)?;
        let mut merger = TreeMerger::new(size);
        {
            let store = lock_mutex(&self.shared.store);
            let failed = |error| Failure::Fatal(failure::manifest_failed(fs, error));
            let chain = store.chain(partial.last_pos).map_err(failed)?;
            store
                .for_each_hash(&chain, |_, hash| merger.push(*hash))
                .map_err(failed)?;
        }
        let file = Arc::new(file);
        self.send(Message::Resumed {
            worker: self.number,
            partial,
            bytes: kept,
            file: Arc::clone(&file),
            writes: self.writes.clone(),
        })?;
        let written = self.write_blocks(work, source, stat, &file, merger);
        let settled = self.settle_blocks(work, stat, attempt, written);
        settled.map(Some)
    }

    /// The partial as it can be gone on with from this source. One that was begun from another source, or from
    /// one that may have been written to, is recorded anew up to the first block that differs: what follows
    /// would be taken for the other source's. `None`: the first block differs.
    fn going_on(
        &mut self,
        work: &Work<F>,
        source: &SourceFile,
        settled: &source::Settled,
        partial: &Partial,
    ) -> Result<Option<Partial>, Failure> {
        if partial.begin.source == source_id(&settled.stat) {
            return Ok(Some(partial.clone()));
        }
        let keep = self.blocks_in_source(work, source, &settled.stat, partial)?;
        if keep == 0 {
            return Ok(None);
        }
        let (told, durable) = crossbeam_channel::bounded(1);
        self.send(Message::Rebegin {
            partial: Box::new(partial.clone()),
            source: settled_id(settled),
            keep,
            durable: told,
        })?;
        // If nobody answers, there will be no barrier any more.
        durable.recv().map_err(|_| Failure::Stopped)?;
        let known = lock_mutex(&self.shared.store).lookup(&work.path);
        let failed = |error| Failure::Fatal(failure::manifest_failed(&*self.shared.fs, error));
        match known.map_err(failed)? {
            Some((_, Entry::Partial(begun))) => Ok(Some(begun)),
            _ => Ok(None),
        }
    }

    /// How many of the recorded blocks a source has, one behind the other.
    fn blocks_in_source(
        &mut self,
        work: &Work<F>,
        source: &SourceFile,
        stat: &Stat,
        partial: &Partial,
    ) -> Result<u64, Failure> {
        let shared = self.shared;
        let failed = |error| Failure::Fatal(failure::manifest_failed(&*shared.fs, error));
        let chain = lock_mutex(&shared.store).chain(partial.last_pos);
        for link in &chain.map_err(failed)?.links {
            let hashes = lock_mutex(&shared.store).hashes_of(link);
            for (index, hash) in (link.first..).zip(hashes.map_err(failed)?) {
                let range = shared.block_size.range(index, stat.size);
                self.reached(range.start);
                let mut hasher = BlockHasher::new(range.start, false);
                let read = self.for_each_piece(work, (source, stat.size), range, |piece, _| {
                    hasher.update(piece.bytes());
                    Ok(())
                });
                match read {
                    Ok(true) if hasher.finish() == hash => {}
                    Ok(_) | Err(PieceError::Visit(_)) => return Ok(index),
                    Err(PieceError::Stopped) => return Err(Failure::Stopped),
                    Err(PieceError::Read(at, error)) => {
                        return Err(self.survey(work, source, stat.size, (at, error)));
                    }
                }
            }
        }
        Ok(partial.blocks)
    }

    /// Writes the blocks that `merger` does not have yet, then the metadata.
    pub(super) fn write_blocks(
        &mut self,
        work: &Work<F>,
        source: &SourceFile,
        stat: &Stat,
        file: &Arc<F::File>,
        mut merger: TreeMerger,
    ) -> Result<Option<(Hash32, DestMeta)>, Failure> {
        let size = self.shared.block_size;
        let mut begun = size.range(merger.count(), stat.size).start;
        let mut index = merger.count();
        while index < size.count(stat.size) {
            if self.shared.should_stop() {
                return Err(Failure::Stopped);
            }
            let in_hole = self.blocks_in_hole(source, index, stat.size);
            if in_hole > 1 {
                let blocks = index..index + in_hole;
                self.write_hole(work, file, blocks, &mut merger)?;
                index += in_hole;
                continue;
            }
            let range = size.range(index, stat.size);
            self.shared.board.reached(self.number, range.start);
            let (bytes, end) = (range.end - range.start, range.end);
            let block = (range, false);
            let Some(hash) = self.write_range(work, (source, stat.size), file, block)? else {
                return Ok(None);
            };
            self.report_block(&mut merger, hash, bytes)?;
            if end - begun >= WRITE_OUT_BYTES {
                file.begin_writing_out(begun..end);
                begun = end;
            }
            index += 1;
        }
        if !self.is_unchanged(work, source, &source_id(stat))? {
            return Ok(None);
        }
        let dest = self.set_meta(work, source, file, stat)?;
        Ok(Some((merger.finish(), dest)))
    }

    /// Returns how many full blocks, beginning with `index`, lie in a hole of the source. At most a checkpoint of
    /// them is returned, because the run may then have to wait or to stop. The last block of a file never counts:
    /// reading it shows where the file ends.
    fn blocks_in_hole(&self, source: &SourceFile, index: u64, size: u64) -> u64 {
        let block = self.shared.block_size;
        let start = block.range(index, size).start;
        let last = block.range(block.count(size) - 1, size).start;
        match source.extent(start) {
            Extent::Hole(end) => {
                let bytes = end.min(last).saturating_sub(start);
                bytes.min(self.shared.options.checkpoint_bytes) / block.bytes()
            }
            Extent::Data(_) => 0,
        }
    }

    /// Leaves blocks out that lie in a hole, and reports them as written.
    fn write_hole(
        &mut self,
        work: &Work<F>,
        file: &F::File,
        blocks: Range<u64>,
        merger: &mut TreeMerger,
    ) -> Result<(), Failure> {
        let bytes = self.shared.block_size.bytes();
        let range = blocks.start * bytes..blocks.end * bytes;
        self.shared.board.hashes_hole(self.number, range.start);
        let hashes = hash_zeros(blocks, self.shared.block_size);
        let sink = Sink::<F>::new(self.shared, file, range.start);
        let made = self.writes.make(|| sink.finish(range.end));
        made.map_err(self.at_dest("write to the partial copy of", &work.path))?;
        for hash in hashes {
            self.report_block(merger, hash, bytes)?;
        }
        Ok(())
    }

    /// Reports that the next block is written.
    fn report_block(
        &self,
        merger: &mut TreeMerger,
        hash: Hash32,
        bytes: u64,
    ) -> Result<(), Failure> {
        merger.push(hash);
        self.send(Message::Block {
            worker: self.number,
            hash,
            bytes,
        })
    }

    /// Tells the committer how the writing of blocks ended, and makes a completion of it.
    pub(super) fn settle_blocks(
        &self,
        work: &Work<F>,
        source: &Stat,
        attempt: u8,
        written: Result<Option<(Hash32, DestMeta)>, Failure>,
    ) -> Result<Reading<F>, Failure> {
        match written {
            Ok(Some((hash, dest))) => Ok(Reading::Done(Box::new(Completed {
                path: work.path.clone(),
                mtime_ns: source.mtime_ns,
                dest,
                attempt: Some(attempt),
                content: Content::File {
                    size: source.size,
                    hash,
                    blocks: true,
                    ctimes: self.shared.ctimes(source),
                    unsettled: false,
                },
                // The committer has it from the beginning of the file.
                file: None,
            }))),
            Ok(None) => {
                self.drop_blocks(work, attempt)?;
                Ok(Reading::Changed)
            }
            Err(failure) => {
                let leaving = match self.writes.failed() {
                    true => Leaving::CutBack,
                    false => Leaving::Keep,
                };
                self.send(Message::Left {
                    worker: self.number,
                    leaving,
                })?;
                Err(failure)
            }
        }
    }

    /// Gives up the file of several blocks that this worker is at.
    pub(in crate::copy) fn drop_blocks(&self, work: &Work<F>, attempt: u8) -> Result<(), Failure> {
        self.drop_recorded(work, attempt, |durable| Message::Left {
            worker: self.number,
            leaving: Leaving::Forget(Some(durable)),
        })
    }
}
