//! Files of several blocks in progress, one a worker at most: their records.

use std::sync::Arc;

use super::*;
use crate::copy::message::Leaving;
use crate::copy::writes::Writes;
use crate::hash::Hash32;
use crate::manifest::{Begin, Cut, Partial, SourceId};

/// Hashes are recorded at least this many at a time, unless a barrier comes first.
const HASHES_A_RECORD: usize = 128;

/// A file in progress.
pub(super) struct Active<F: Fs> {
    path: RelPath,
    begin_pos: u64,
    last_pos: u64,
    /// Index of the block after the last recorded one.
    next: u64,
    hashes: Vec<Hash32>,
    adopts: bool,
    file: Option<Arc<F::File>>,
    writes: Writes,
    /// Something was written since the file was last flushed.
    dirty: bool,
    /// An earlier run began it.
    resumed: bool,
    /// How many blocks the flush under way covers, and how many are flushed.
    flushing: u64,
    flushed: u64,
    counted: InTotals,
}

/// Bytes of a file in progress that the totals of the run count: they are taken out again if the
/// file is given up, lest what takes its place be counted twice.
#[derive(Default)]
struct InTotals {
    written: u64,
    /// Of these, what was there before this run.
    before: u64,
    /// What is durable once the barrier under way is made.
    sealing: u64,
    durable: u64,
}

impl<F: Fs> Committer<'_, F> {
    pub(super) fn begin(
        &mut self,
        worker: usize,
        begin: Begin,
        file: Option<Arc<F::File>>,
        writes: Writes,
    ) {
        let adopts = begin.adopts;
        let path = begin.path.clone();
        if !adopts {
            self.dirty.parent(&path);
        }
        if let Some(pos) = self.record(&Record::Begin(begin)) {
            self.active[worker] = Some(Active {
                path,
                begin_pos: pos,
                last_pos: pos,
                next: 0,
                hashes: Vec::new(),
                adopts,
                file,
                writes,
                dirty: false,
                resumed: false,
                flushing: 0,
                flushed: 0,
                counted: InTotals::default(),
            });
        }
    }

    pub(super) fn resumed(
        &mut self,
        worker: usize,
        partial: Partial,
        bytes: u64,
        (file, writes): (Arc<F::File>, Writes),
    ) {
        self.summary.bytes_resumed += bytes;
        self.there_before(bytes);
        // Its name may be as young as its last block.
        self.dirty.parent(&partial.begin.path);
        let blocks = partial.blocks;
        self.active[worker] = Some(Active {
            path: partial.begin.path,
            begin_pos: partial.begin_pos,
            last_pos: partial.last_pos,
            next: blocks,
            hashes: Vec::new(),
            adopts: false,
            file: Some(file),
            writes,
            // It was flushed, now or by an earlier barrier; what was cut off is cut again if that is lost.
            dirty: false,
            resumed: true,
            flushing: blocks,
            flushed: blocks,
            counted: InTotals {
                written: bytes,
                before: bytes,
                sealing: bytes,
                durable: bytes,
            },
        });
        self.tell_progress();
    }

    /// Records the first `keep` blocks of a partial as the beginning of another source.
    pub(super) fn rebegin(
        &mut self,
        partial: Partial,
        source: SourceId,
        keep: u64,
        durable: Sender<()>,
    ) {
        let chain = self.store().chain(partial.last_pos);
        let Some(chain) = self.manifest(chain) else {
            return;
        };
        let begin = Begin {
            source,
            ..partial.begin
        };
        let Some(begin) = self.record(&Record::Begin(begin)) else {
            return;
        };
        let mut prev = begin;
        for link in chain.links.iter().take_while(|link| link.first < keep) {
            let hashes = self.store().hashes_of(link);
            let Some(mut hashes) = self.manifest(hashes) else {
                return;
            };
            hashes.truncate((keep - link.first) as usize);
            let record = Record::Blocks(Blocks {
                begin,
                prev,
                first: link.first,
                hashes,
            });
            let Some(pos) = self.record(&record) else {
                return;
            };
            prev = pos;
        }
        self.awaited.push((prev, Then::Tell(durable)));
    }

    pub(super) fn block(&mut self, worker: usize, hash: Hash32, bytes: u64) {
        let Some(active) = &mut self.active[worker] else {
            return;
        };
        active.hashes.push(hash);
        active.dirty = true;
        active.counted.written += bytes;
        if !active.adopts {
            self.summary.bytes_copied += bytes;
        }
        let full = active.hashes.len() >= HASHES_A_RECORD;
        self.written(bytes);
        if full {
            self.record_hashes(worker);
        }
    }

    /// Records the hashes of one file that are not recorded yet.
    fn record_hashes(&mut self, worker: usize) {
        let Some(active) = &mut self.active[worker] else {
            return;
        };
        if active.hashes.is_empty() {
            return;
        }
        let hashes = std::mem::take(&mut active.hashes);
        let count = hashes.len() as u64;
        let record = Record::Blocks(Blocks {
            begin: active.begin_pos,
            prev: active.last_pos,
            first: active.next,
            hashes,
        });
        let pos = self.record(&record);
        if let (Some(active), Some(pos)) = (&mut self.active[worker], pos) {
            active.next += count;
            active.last_pos = pos;
        }
    }

    /// Records what is known of all files in progress, and notes their data as to be flushed.
    pub(super) fn record_pending(&mut self) {
        for worker in 0..self.active.len() {
            self.record_hashes(worker);
            self.note_dirty(worker);
            if let Some(active) = &mut self.active[worker] {
                active.flushing = active.next;
                active.counted.sealing = active.counted.written;
            }
        }
    }

    /// A barrier is made: what it covered of the files in progress is durable.
    pub(super) fn pending_durable(&mut self) {
        for active in self.active.iter_mut().flatten() {
            active.counted.durable = active.counted.sealing;
        }
    }

    /// Takes out of the totals what they count of a file beyond its first `keep` bytes.
    fn uncount(&mut self, counted: &InTotals, keep: u64) {
        let beyond = |bytes: u64| bytes.saturating_sub(keep);
        self.progress.bytes_written -= beyond(counted.written);
        self.progress.bytes_before -= beyond(counted.before);
        self.progress.bytes_durable -= beyond(counted.durable);
        self.bytes_sealing -= beyond(counted.sealing);
    }

    /// What was noted as to be flushed is, but of a file to which a write failed: the flush may have
    /// been told of nothing because that write was. Such a file is cut back before a barrier is made.
    pub(super) fn pending_flushed(&mut self) {
        for worker in 0..self.active.len() {
            let Some(active) = &mut self.active[worker] else {
                continue;
            };
            if active.writes.failed() {
                self.cut_back(worker);
            } else {
                active.flushed = active.flushing;
            }
        }
    }

    fn note_dirty(&mut self, worker: usize) {
        let Some(active) = &mut self.active[worker] else {
            return;
        };
        if std::mem::take(&mut active.dirty) {
            match &active.file {
                Some(file) => self.dirty.large_file(&active.path, file),
                None => self.dirty.unlisted(&active.path),
            }
        }
    }

    pub(super) fn left(&mut self, worker: usize, leaving: Leaving) {
        match leaving {
            Leaving::Keep => {
                self.record_hashes(worker);
                self.note_dirty(worker);
                self.active[worker] = None;
            }
            Leaving::CutBack => self.cut_back(worker),
            Leaving::Forget(durable) => {
                let Some(active) = self.active[worker].take() else {
                    return;
                };
                self.uncount(&active.counted, 0);
                // What no barrier was ever made over is believed only after it was proved.
                let is_believed = active.resumed || active.begin_pos < self.covering;
                let durable = durable.and_then(|durable| match is_believed {
                    true => Some(durable),
                    // Whoever waits may have ended meanwhile.
                    false => {
                        let _ = durable.send(());
                        None
                    }
                });
                self.forget(active.path, durable.map(Then::Tell));
            }
        }
    }

    /// Keeps of a file only the blocks that were flushed before a write to it failed.
    fn cut_back(&mut self, worker: usize) {
        let Some(active) = self.active[worker].take() else {
            return;
        };
        let keep = active.flushed;
        let kept_bytes = keep.saturating_mul(self.shared.block_size.bytes());
        self.uncount(&active.counted, kept_bytes);
        if active.next > keep {
            self.record(&Record::Cut(Cut {
                begin: active.begin_pos,
                prev: active.last_pos,
                keep,
            }));
        }
    }

    /// Records the last hashes of a file; gives the position of its last record.
    pub(super) fn finish_blocks(&mut self, worker: usize) -> Option<u64> {
        self.record_hashes(worker);
        if let Some(active) = &mut self.active[worker] {
            // Its metadata was set after its last block.
            active.dirty = true;
        }
        self.note_dirty(worker);
        let active = self.active[worker].take()?;
        (!self.has_failed()).then_some(active.last_pos)
    }
}
