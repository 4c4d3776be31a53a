//! Comparing a file's content, block by block, with the hashes in the manifest.

use std::ops::Range;

use super::check::{Checker, Judged, Trouble, other_kind};
use super::damage::BadBlocks;
use super::medium::MediumReader;
use super::{Halt, REPORT_BYTES, Report};
use crate::error::ManifestError;
use crate::event::{ReadHow, Verdict};
use crate::fs::{Fs, Kind, Stat, Times, found};
use crate::hash::{Hash32, TreeMerger};
use crate::manifest::Done;
use crate::path::RelPath;
use crate::plan::is_as_published;

/// So many ranges are spelled out where a verdict is in words.
const RANGES_IN_WORDS: usize = 5;

impl<F: Fs> Checker<'_, F> {
    /// Judges what stands at `path`, `stat` as it was found, by the record `done`.
    pub(super) fn content(
        &mut self,
        path: &RelPath,
        done: &Done,
        stat: &Stat,
    ) -> Result<Judged, Trouble> {
        if stat.kind != Kind::File {
            return Ok((other_kind(stat.kind, Kind::File), None));
        }
        if stat.size != done.size {
            let what = format!("it is {} bytes long, recorded as {}", stat.size, done.size);
            return Ok((Verdict::Modified { what, damage: None }, None));
        }
        if self.chosen.as_ref().is_some_and(Vec::is_empty) {
            self.pass_over(
                0..self.shared.store.block_size().count(done.size),
                done.size,
            );
            return Ok((seen(self.shared.times, done, stat, Verdict::Unread), None));
        }
        let shared = self.shared;
        let _stream = shared.streams.take(done.size);
        let Some(dir) = self.parent(path)? else {
            return Ok((Verdict::Missing, None));
        };
        let opened = shared.medium.open(&dir, path.name());
        let Some(mut reader) = self.at("open", path, found(opened))? else {
            return Ok((Verdict::Missing, None));
        };
        let mut recorded = RecordedHashes::default();
        let bad = self.bad_blocks(path, done, &mut reader, &mut recorded)?;
        if bad.is_empty() {
            let how = reader.how();
            if self.blocks.read == 0 && self.blocks.unread > 0 {
                return Ok((seen(shared.times, done, stat, Verdict::Unread), None));
            }
            if self.blocks.unread > 0 {
                let part = Verdict::Sampled {
                    blocks_read: self.blocks.read,
                    blocks: self.blocks.read + self.blocks.unread,
                };
                return Ok((seen(shared.times, done, stat, part), Some(how)));
            }
            let proved = how != ReadHow::Cached || !shared.require_medium;
            let verdict = if proved {
                Verdict::Ok
            } else {
                Verdict::Unproven
            };
            return Ok((verdict, Some(how)));
        }
        let damage = self.examine(path, &mut reader, bad, &recorded)?;
        let how = Some(reader.how());
        // As it is now: whoever wrote to it meanwhile has modified it.
        let stat = self.at("look at", path, reader.stat())?;
        if is_as_published(self.shared.times, done, &stat) {
            return Ok((Verdict::Corrupt { damage }, how));
        }
        let what = format!(
            "its modification time is not the recorded one, and its content differs {}",
            in_words(&damage.ranges)
        );
        let damage = Some(damage);
        Ok((Verdict::Modified { what, damage }, how))
    }

    fn bad_blocks(
        &mut self,
        path: &RelPath,
        done: &Done,
        reader: &mut MediumReader<'_, F>,
        recorded: &mut RecordedHashes,
    ) -> Result<BadBlocks, Trouble> {
        let block_size = self.shared.store.block_size();
        let mut bad = BadBlocks::new(block_size, done.size);
        if block_size.is_single(done.size) {
            if !self.is_as_recorded(path, reader, 0, done.size, &done.hash)? {
                bad.add(0);
            }
            return Ok(bad);
        }
        let shared = self.shared;
        let chain = match done.chain {
            0 => Ok(None),
            last => shared.store.chain(last).map(Some),
        };
        let chain = match (chain, shared.store.salvaged()) {
            (Ok(Some(chain)), None) => chain,
            (Ok(Some(chain)), Some(_)) if chain.blocks == block_size.count(done.size) => chain,
            (Ok(None), None) => {
                bad.add_all();
                return Ok(bad);
            }
            (Err(error), None) | (Err(error @ ManifestError::Io(_)), _) => {
                return Err(self.failed(error));
            }
            // Its blocks' hashes are lost, or some of them.
            (_, Some(_)) => return self.by_file_hash(path, done, reader),
        };
        if self.chosen.is_none() {
            reader.read_ahead(done.size);
        }
        let mut merger = TreeMerger::new(block_size);
        let mut ended = Ok(());
        let visited = shared.store.for_each_hash(&chain, |index, hash| {
            merger.push(*hash);
            if ended.is_ok() {
                match self.is_as_recorded(path, reader, index, done.size, hash) {
                    Ok(true) => {}
                    Ok(false) => bad.add(index),
                    Err(trouble) => ended = Err(trouble),
                }
            }
        });
        visited.map_err(|error| self.failed(error))?;
        ended?;
        // Blocks that are not those of the file's own hash prove nothing.
        if merger.count() != block_size.count(done.size) || merger.finish() != done.hash {
            bad.add_all();
        } else if !bad.is_empty() {
            let keep = |index, hash: &Hash32| recorded.keep(index, hash);
            let visited = shared.store.for_each_hash(&chain, keep);
            visited.map_err(|error| self.failed(error))?;
        }
        Ok(bad)
    }

    /// Compares all of a file with its own hash alone: where it is bad cannot be told.
    fn by_file_hash(
        &mut self,
        path: &RelPath,
        done: &Done,
        reader: &mut MediumReader<'_, F>,
    ) -> Result<BadBlocks, Trouble> {
        let block_size = self.shared.store.block_size();
        let mut bad = BadBlocks::new(block_size, done.size);
        let blocks = block_size.count(done.size);
        if self.chosen.is_some() {
            self.pass_over(0..blocks, done.size);
            return Ok(bad);
        }
        reader.read_ahead(done.size);
        let mut merger = TreeMerger::new(block_size);
        for index in 0..blocks {
            self.blocks.read += 1;
            match self.block(path, reader, index, done.size)? {
                Some(hash) => merger.push(hash),
                None => break,
            }
        }
        if merger.count() != blocks || merger.finish() != done.hash {
            bad.add_all();
        }
        Ok(bad)
    }

    /// Whether a block is as recorded; one that was not chosen to be read counts as that.
    fn is_as_recorded(
        &mut self,
        path: &RelPath,
        reader: &mut MediumReader<'_, F>,
        index: u64,
        file_size: u64,
        recorded: &Hash32,
    ) -> Result<bool, Trouble> {
        let chosen = |blocks: &Vec<u64>| blocks.binary_search(&index).is_ok();
        if !self.chosen.as_ref().is_none_or(chosen) {
            self.pass_over(index..index + 1, file_size);
            return Ok(true);
        }
        self.blocks.read += 1;
        Ok(self.block(path, reader, index, file_size)? == Some(*recorded))
    }

    /// Counts blocks that are not read.
    fn pass_over(&mut self, blocks: Range<u64>, file_size: u64) {
        let block_size = self.shared.store.block_size();
        self.blocks.unread += blocks.end - blocks.start;
        let last = block_size.range(blocks.end.saturating_sub(1), file_size);
        let first = block_size.range(blocks.start, file_size);
        self.blocks.unread_bytes += last.end.saturating_sub(first.start);
    }

    fn block(
        &mut self,
        path: &RelPath,
        reader: &mut MediumReader<'_, F>,
        index: u64,
        file_size: u64,
    ) -> Result<Option<Hash32>, Trouble> {
        self.shared.check_stop()?;
        let before = reader.bytes_read();
        let hash = reader.hash_block(&mut self.buf, index, file_size);
        self.unreported_bytes += reader.bytes_read() - before;
        if self.unreported_bytes >= REPORT_BYTES {
            self.report_bytes()?;
        }
        self.at("read", path, hash)
    }

    /// Reports the bytes that were read since the last time.
    pub(super) fn report_bytes(&mut self) -> Result<(), Halt> {
        let bytes = std::mem::take(&mut self.unreported_bytes);
        if bytes == 0 {
            return Ok(());
        }
        let report = Report::Read { bytes };
        self.reports.send(report).map_err(|_| Halt::Stopped)
    }
}

/// The recorded hashes of a damaged file's blocks, in order.
#[derive(Default)]
pub(super) struct RecordedHashes(Vec<Hash32>);

impl RecordedHashes {
    /// Keeps 32 bytes a block, up to the files of a few TiB; those beyond are compared with less.
    const KEPT_MAX: u64 = 1 << 22;

    fn keep(&mut self, index: u64, hash: &Hash32) {
        if index == self.0.len() as u64 && index < Self::KEPT_MAX {
            self.0.push(*hash);
        }
    }

    /// Whether `hash` is what was recorded for the block of that index.
    pub(super) fn is(&self, index: u64, hash: &Hash32) -> bool {
        usize::try_from(index).is_ok_and(|index| self.0.get(index) == Some(hash))
    }
}

/// The verdict on a file that was not read, or in part, by what `stat` says of it.
fn seen(times: Times, done: &Done, stat: &Stat, verdict: Verdict) -> Verdict {
    if is_as_published(times, done, stat) {
        return verdict;
    }
    let what = "its modification time is not the recorded one; not all of its content was read";
    Verdict::Modified {
        what: what.to_owned(),
        damage: None,
    }
}

pub(super) fn in_words(ranges: &[Range<u64>]) -> String {
    let shown: Vec<String> = ranges
        .iter()
        .take(RANGES_IN_WORDS)
        .map(|range| format!("{}..{}", range.start, range.end))
        .collect();
    let more = match ranges.len().saturating_sub(RANGES_IN_WORDS) {
        0 => String::new(),
        more => format!(" and {more} more ranges"),
    };
    format!("in bytes {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_ranges_are_summed_up_in_words() {
        let ranges: Vec<_> = (0..7).map(|n| 10 * n..10 * n + 1).collect();
        assert_eq!(in_words(&ranges[..1]), "in bytes 0..1");
        assert!(in_words(&ranges).ends_with("40..41 and 2 more ranges"));
    }
}
