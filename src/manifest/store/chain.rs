//! The blocks of one file: a chain of `Blocks` and `Cut` records that leads back to its `Begin`.

use crate::error::ManifestError;
use crate::manifest::Record;

/// The part of one `Blocks` record that still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChainLink {
    pub(super) pos: u64,
    /// Index of its first block.
    pub(crate) first: u64,
    /// How many of its hashes count; later cuts may have taken some away.
    pub(super) take: u64,
}

/// Where the hashes of a file are, in block order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) links: Vec<ChainLink>,
    /// How many blocks have a hash.
    pub(crate) blocks: u64,
    /// What all its frames take in the file, `Begin` included, in bytes.
    pub(super) frame_bytes: u64,
}

impl Chain {
    /// Walks from the last record back to the `Begin`. `None` if the records do not make a chain
    /// without gaps.
    pub(super) fn walk(
        last: u64,
        read_frame: impl Fn(u64) -> Result<(Record, u64), ManifestError>,
    ) -> Result<Option<Chain>, ManifestError> {
        let mut chain = Chain::default();
        // Blocks from this index on were cut off, or written again, later in the file.
        let mut limit = u64::MAX;
        let mut pos = last;
        let begin = loop {
            let (record, frame) = read_frame(pos)?;
            chain.frame_bytes += frame;
            let prev = match record {
                Record::Begin(_) => break pos,
                Record::Blocks(blocks) => {
                    let take = limit.saturating_sub(blocks.first);
                    let take = take.min(blocks.hashes.len() as u64);
                    if take > 0 {
                        let first = blocks.first;
                        chain.links.push(ChainLink { pos, first, take });
                    }
                    limit = limit.min(blocks.first);
                    blocks.prev
                }
                Record::Cut(cut) => {
                    limit = limit.min(cut.keep);
                    cut.prev
                }
                _ => return Ok(None),
            };
            if prev >= pos {
                return Ok(None);
            }
            pos = prev;
        };
        debug_assert!(begin <= last);
        chain.links.reverse();
        for link in &chain.links {
            if link.first != chain.blocks {
                return Ok(None);
            }
            chain.blocks += link.take;
        }
        Ok(Some(chain))
    }

    /// How many of the first blocks have their hash before `position` in the file.
    pub(crate) fn blocks_before(&self, position: u64) -> u64 {
        self.links
            .iter()
            .take_while(|link| link.pos < position)
            .map(|link| link.take)
            .sum()
    }
}
