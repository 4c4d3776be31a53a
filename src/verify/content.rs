//! Comparing a file's content, block by block, with the hashes in the manifest.

use std::ops::Range;

use super::check::{Checker, Judged, Trouble, other_kind};
use super::medium::MediumReader;
use super::{Halt, Report};
use crate::block::BlockSize;
use crate::event::Verdict;
use crate::fs::{Fs, Kind, Stat, found};
use crate::hash::{Hash32, TreeMerger};
use crate::manifest::Done;
use crate::path::RelPath;
use crate::plan::is_as_published;

/// Reading is reported after about this many bytes.
const REPORT_BYTES: u64 = 4 << 20;
/// So many ranges of bad blocks are told apart. If there are more, the last one reaches from its
/// beginning to the last bad block, good ones between them included.
const RANGES_MAX: usize = 1 << 16;
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
            return Ok((Verdict::Modified { what }, None));
        }
        let Some(dir) = self.parent(path)? else {
            return Ok((Verdict::Missing, None));
        };
        let shared = self.shared;
        let opened = MediumReader::open(&*shared.fs, &dir, path.name(), shared.store.block_size());
        let Some(mut reader) = self.at("open", path, found(opened))? else {
            return Ok((Verdict::Missing, None));
        };
        let ranges = self.bad_ranges(path, done, &mut reader)?;
        let how = Some(reader.how());
        if ranges.is_empty() {
            return Ok((Verdict::Ok, how));
        }
        // As it is now: whoever wrote to it meanwhile has modified it.
        let stat = self.at("look at", path, reader.stat())?;
        if is_as_published(done, &stat) {
            return Ok((Verdict::Corrupt { ranges }, how));
        }
        let what = format!(
            "its modification time is not the recorded one, and its content differs {}",
            in_words(&ranges)
        );
        Ok((Verdict::Modified { what }, how))
    }

    fn bad_ranges(
        &mut self,
        path: &RelPath,
        done: &Done,
        reader: &mut MediumReader<F>,
    ) -> Result<Vec<Range<u64>>, Trouble> {
        let block_size = self.shared.store.block_size();
        let mut bad = BadRanges::new(block_size, done.size);
        if block_size.is_single(done.size) {
            if self.block(path, reader, 0, done.size)? != Some(done.hash) {
                bad.add(0);
            }
            return Ok(bad.ranges);
        }
        let shared = self.shared;
        if done.chain == 0 {
            return Ok(bad.whole());
        }
        let chain = shared.store.chain(done.chain);
        let chain = chain.map_err(|error| self.failed(error))?;
        let mut merger = TreeMerger::new(block_size);
        let mut ended = Ok(());
        let visited = shared.store.for_each_hash(&chain, |index, hash| {
            merger.push(*hash);
            if ended.is_ok() {
                match self.block(path, reader, index, done.size) {
                    Ok(found) if found == Some(*hash) => {}
                    Ok(_) => bad.add(index),
                    Err(trouble) => ended = Err(trouble),
                }
            }
        });
        visited.map_err(|error| self.failed(error))?;
        ended?;
        // Blocks that are not those of the file's own hash prove nothing.
        if merger.count() != block_size.count(done.size) || merger.finish() != done.hash {
            return Ok(bad.whole());
        }
        Ok(bad.ranges)
    }

    fn block(
        &mut self,
        path: &RelPath,
        reader: &mut MediumReader<F>,
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

/// Bad blocks as byte ranges, neighbours joined.
struct BadRanges {
    block_size: BlockSize,
    file_size: u64,
    ranges: Vec<Range<u64>>,
}

impl BadRanges {
    fn new(block_size: BlockSize, file_size: u64) -> BadRanges {
        BadRanges {
            block_size,
            file_size,
            ranges: Vec::new(),
        }
    }

    /// Adds a block; blocks come in ascending order.
    fn add(&mut self, index: u64) {
        let range = self.block_size.range(index, self.file_size);
        let full = self.ranges.len() >= RANGES_MAX;
        match self.ranges.last_mut() {
            Some(last) if full || last.end == range.start => last.end = range.end,
            _ => self.ranges.push(range),
        }
    }

    /// All of the file.
    fn whole(mut self) -> Vec<Range<u64>> {
        self.ranges.clear();
        self.ranges.push(0..self.file_size);
        self.ranges
    }
}

fn in_words(ranges: &[Range<u64>]) -> String {
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
    fn neighbouring_bad_blocks_are_one_range_and_the_last_ends_with_the_file() {
        let mut bad = BadRanges::new(BlockSize::MIN, 5 * 65_536 + 7);
        for index in [1, 2, 4, 5] {
            bad.add(index);
        }
        assert_eq!(bad.ranges, [65_536..3 * 65_536, 4 * 65_536..5 * 65_536 + 7]);
    }

    #[test]
    fn the_list_of_ranges_stays_bounded_and_still_covers_every_bad_block() {
        let blocks = 4 * RANGES_MAX as u64;
        let mut bad = BadRanges::new(BlockSize::MIN, blocks << 16);
        for index in (0..blocks).step_by(2) {
            bad.add(index);
        }
        assert_eq!(bad.ranges.len(), RANGES_MAX);
        assert_eq!(bad.ranges.last().unwrap().end, (blocks - 1) << 16);
    }

    #[test]
    fn many_ranges_are_summed_up_in_words() {
        let ranges: Vec<_> = (0..7).map(|n| 10 * n..10 * n + 1).collect();
        assert_eq!(in_words(&ranges[..1]), "in bytes 0..1");
        assert!(in_words(&ranges).ends_with("40..41 and 2 more ranges"));
    }
}
