//! The block hashes of a file that is read in pieces of any length.

use super::scribe::{FileHashes, Scribe};
use crate::block::BlockSize;
use crate::error::ManifestError;
use crate::fs::{Fs, Stat};
use crate::hash::BlockHasher;
use crate::path::RelPath;
use crate::plan::source_id;

/// A file whose bytes come one after the other.
pub(in crate::verify) struct Blocks<'a, F: Fs> {
    hashes: FileHashes<'a, F>,
    block_size: BlockSize,
    size: u64,
    at: u64,
    /// Of the block that is not read to its end.
    hasher: Option<BlockHasher>,
}

impl<'a, F: Fs> Blocks<'a, F> {
    /// Begins a file that has the length that `stat` says.
    pub(in crate::verify) fn new(scribe: &'a Scribe<F>, path: &RelPath, stat: &Stat) -> Self {
        let block_size = scribe.block_size();
        Blocks {
            hashes: scribe.file(path, source_id(stat)),
            block_size,
            size: stat.size,
            at: 0,
            hasher: None,
        }
    }

    /// Takes the next bytes. What is beyond the length is only counted.
    pub(in crate::verify) fn update(&mut self, mut bytes: &[u8]) -> Result<(), ManifestError> {
        while !bytes.is_empty() && self.at < self.size {
            let index = self.at / self.block_size.bytes();
            let left = self.block_size.range(index, self.size).end - self.at;
            let (now, rest) = bytes.split_at(bytes.len().min(left as usize));
            self.hasher().update(now);
            self.at += now.len() as u64;
            if now.len() as u64 == left {
                self.push()?;
            }
            bytes = rest;
        }
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn hasher(&mut self) -> &mut BlockHasher {
        let single = self.block_size.is_single(self.size);
        self.hasher
            .get_or_insert_with(|| BlockHasher::new(self.at, single))
    }

    fn push(&mut self) -> Result<(), ManifestError> {
        match self.hasher.take() {
            Some(hasher) => self.hashes.push(hasher.finish()),
            None => Ok(()),
        }
    }

    /// The hashes of all of it, and whether it had the length that it should have.
    pub(in crate::verify) fn finish(mut self) -> Result<(FileHashes<'a, F>, bool), ManifestError> {
        if self.size == 0 {
            self.hasher();
            self.push()?;
        }
        Ok((self.hashes, self.at == self.size))
    }
}
