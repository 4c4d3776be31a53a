//! Reading back what the medium holds of one file, block by block, as block hashes.
//!
//! Every read is aligned for O_DIRECT, the one of the last piece too: it asks for more than the
//! file has and takes what comes. The caller brings the buffer, so that it serves many files; the
//! blocks of large files are read ahead by threads that have their own.

use std::io;
use std::sync::Arc;

use super::readers::{RUN_BYTES, Readers, Taker};
use crate::block::BlockSize;
use crate::event::ReadHow;
use crate::fs::{ALIGN, AlignedBuf, Fs, FsFile, Stat};
use crate::hash::{BlockHasher, Hash32};
use crate::throttle::Throttle;

/// The most that is read at once for a block that is not read ahead: enough for a drive to stream,
/// little enough to stop soon.
const PIECE_BYTES: usize = 1 << 20;

/// A destination whose files are read back.
pub(crate) struct Medium<F: Fs> {
    fs: Arc<F>,
    block_size: BlockSize,
    throttle: Arc<Throttle>,
    readers: Readers<F::File>,
}

/// A file that is read back.
pub(crate) struct MediumReader<'a, F: Fs> {
    medium: &'a Medium<F>,
    file: Arc<F::File>,
    ahead: Option<Taker<'a, F::File>>,
    bytes_read: u64,
}

/// A file of which blocks are read.
pub(super) struct Reading<R: FsFile> {
    pub(super) file: Arc<R>,
    pub(super) file_size: u64,
    pub(super) block_size: BlockSize,
    pub(super) throttle: Arc<Throttle>,
}

/// What reading a block came to.
pub(super) struct BlockRead {
    /// `None`: the file ends within it.
    pub(super) hash: io::Result<Option<Hash32>>,
    /// Bytes that were read.
    pub(super) bytes: u64,
}

/// A buffer for [`MediumReader::hash_block`].
pub(crate) fn buffer() -> AlignedBuf {
    AlignedBuf::new(PIECE_BYTES)
}

/// The same, no larger than what keeps a limited flow even.
pub(crate) fn even_buffer(throttle: &Throttle) -> AlignedBuf {
    AlignedBuf::new(throttle.piece(PIECE_BYTES))
}

impl<F: Fs> Medium<F> {
    pub(crate) fn new(fs: &Arc<F>, block_size: BlockSize, throttle: &Arc<Throttle>) -> Medium<F> {
        Medium {
            fs: Arc::clone(fs),
            block_size,
            throttle: Arc::clone(throttle),
            readers: Readers::new(),
        }
    }

    /// Opens a regular file past the page cache, as far as the file system allows.
    pub(crate) fn open(&self, dir: &F::Dir, name: &[u8]) -> io::Result<MediumReader<'_, F>> {
        Ok(MediumReader {
            medium: self,
            file: Arc::new(self.fs.open_medium(dir, name)?),
            ahead: None,
            bytes_read: 0,
        })
    }
}

impl<F: Fs> MediumReader<'_, F> {
    /// What `fstat` says now.
    pub(crate) fn stat(&self) -> io::Result<Stat> {
        self.file.stat()
    }

    /// How the reads were answered so far.
    pub(crate) fn how(&self) -> ReadHow {
        self.file.how()
    }

    /// The open file.
    pub(crate) fn file(&self) -> &F::File {
        &self.file
    }

    /// Bytes of the file that were read so far, of the blocks that were asked for.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Reads at an aligned offset what was read before; it does not count as progress.
    pub(crate) fn read_again(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    /// Says that all blocks of a file that should be `file_size` bytes long will be asked for, in
    /// order. If there are many they are read ahead; with a low limit they are not, so that the
    /// flow that is told stays as even as the one that is.
    pub(crate) fn read_ahead(&mut self, file_size: u64) {
        let medium = self.medium;
        let is_slow = medium.throttle.piece(RUN_BYTES) < RUN_BYTES;
        if file_size > RUN_BYTES as u64 && !is_slow {
            let blocks = 0..medium.block_size.count(file_size);
            let reading = Arc::new(self.reading(file_size));
            self.ahead = medium.readers.begin(&reading, blocks);
        }
    }

    /// The hash of block `index` of a file that should be `file_size` bytes long: the file hash if
    /// it is a single block, the chaining value otherwise. `None` if the file ends within it, or if
    /// a file of that size has no such block.
    ///
    /// `buf` is from [`buffer`], or any other whose length is a multiple of [`ALIGN`].
    pub(crate) fn hash_block(
        &mut self,
        buf: &mut AlignedBuf,
        index: u64,
        file_size: u64,
    ) -> io::Result<Option<Hash32>> {
        if index >= self.medium.block_size.count(file_size) {
            return Ok(None);
        }
        let ahead = self.ahead.as_mut().and_then(|ahead| ahead.take(index));
        let read = ahead.unwrap_or_else(|| self.reading(file_size).block(buf, index));
        self.bytes_read += read.bytes;
        read.hash
    }

    fn reading(&self, file_size: u64) -> Reading<F::File> {
        Reading {
            file: Arc::clone(&self.file),
            file_size,
            block_size: self.medium.block_size,
            throttle: Arc::clone(&self.medium.throttle),
        }
    }
}

impl<R: FsFile> Reading<R> {
    /// Reads and hashes one block, in pieces that the buffer holds.
    pub(super) fn block(&self, buf: &mut AlignedBuf, index: u64) -> BlockRead {
        let mut bytes = 0;
        let hash = self.hash(buf, index, &mut bytes);
        BlockRead { hash, bytes }
    }

    fn hash(
        &self,
        buf: &mut AlignedBuf,
        index: u64,
        bytes: &mut u64,
    ) -> io::Result<Option<Hash32>> {
        debug_assert!(!buf.is_empty() && buf.len().is_multiple_of(ALIGN));
        let range = self.block_size.range(index, self.file_size);
        let single = self.block_size.is_single(self.file_size);
        let mut hasher = BlockHasher::new(range.start, single);
        let most = self.throttle.piece(buf.len());
        let mut at = range.start;
        while at < range.end {
            // No more than the buffer holds, so it fits.
            let wanted = (range.end - at).min(most as u64) as usize;
            self.throttle.take(wanted as u64);
            let asked = wanted.next_multiple_of(ALIGN);
            let have = self.file.read_at(&mut buf[..asked], at)?.min(wanted);
            *bytes += have as u64;
            if have < wanted {
                return Ok(None);
            }
            hasher.update(&buf[..wanted]);
            at += wanted as u64;
        }
        Ok(Some(hasher.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{FsMeta, OsFs};
    use crate::hash::TreeMerger;
    use crate::stop::Stopper;

    fn medium(fs: &Arc<OsFs>, size: BlockSize) -> Medium<OsFs> {
        let unlimited = Throttle::new(None, Stopper::new());
        Medium::new(fs, size, &Arc::new(unlimited))
    }

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n / 3 + n / 1000) as u8).collect()
    }

    #[test]
    fn blocks_read_back_merge_to_the_hash_of_the_file_at_every_odd_length() {
        let temp = tempfile::tempdir().unwrap();
        let fs = Arc::new(OsFs::open_root(temp.path()).unwrap());
        let size = BlockSize::MIN;
        let mut buf = buffer();
        for len in [0, 1, 4095, 4096, 65_536, 65_537, 200_000, 3_000_001] {
            let content = content(len);
            std::fs::write(temp.path().join("f"), &content).unwrap();
            let medium = medium(&fs, size);
            let mut reader = medium.open(&fs.root(), b"f").unwrap();
            reader.read_ahead(len as u64);
            let mut merger = TreeMerger::new(size);
            for index in 0..size.count(len as u64) {
                let hash = reader.hash_block(&mut buf, index, len as u64).unwrap();
                merger.push(hash.unwrap());
            }
            assert_eq!(merger.finish(), *blake3::hash(&content).as_bytes(), "{len}");
            assert_eq!(reader.bytes_read(), len as u64);
            assert_eq!(reader.stat().unwrap().size, len as u64);
            assert_eq!(reader.file().how(), reader.how());
        }
    }

    #[test]
    fn a_buffer_smaller_than_a_block_gives_the_same_hash() {
        let temp = tempfile::tempdir().unwrap();
        let fs = Arc::new(OsFs::open_root(temp.path()).unwrap());
        let content = content(150_000);
        std::fs::write(temp.path().join("f"), &content).unwrap();
        let size = BlockSize::new(1 << 18).unwrap();
        let medium = medium(&fs, size);
        let mut reader = medium.open(&fs.root(), b"f").unwrap();
        let mut small = AlignedBuf::new(ALIGN);
        let hash = reader.hash_block(&mut small, 0, 150_000).unwrap();
        assert_eq!(hash, Some(*blake3::hash(&content).as_bytes()));
    }

    #[test]
    fn a_file_that_ends_too_early_has_no_such_block_and_one_that_goes_on_does() {
        let temp = tempfile::tempdir().unwrap();
        let fs = Arc::new(OsFs::open_root(temp.path()).unwrap());
        let content = content(100_000);
        std::fs::write(temp.path().join("f"), &content).unwrap();
        let medium = medium(&fs, BlockSize::MIN);
        let mut reader = medium.open(&fs.root(), b"f").unwrap();
        let mut buf = buffer();
        assert!(reader.hash_block(&mut buf, 0, 100_001).unwrap().is_some());
        assert_eq!(reader.hash_block(&mut buf, 1, 100_001).unwrap(), None);
        let shorter = reader.hash_block(&mut buf, 0, 50_000).unwrap();
        assert_eq!(shorter, Some(*blake3::hash(&content[..50_000]).as_bytes()));
    }
    #[test]
    fn a_block_that_a_file_of_that_size_cannot_have_is_not_there() {
        let temp = tempfile::tempdir().unwrap();
        let fs = Arc::new(OsFs::open_root(temp.path()).unwrap());
        std::fs::write(temp.path().join("f"), content(100_001)).unwrap();
        let medium = medium(&fs, BlockSize::MIN);
        let mut reader = medium.open(&fs.root(), b"f").unwrap();
        let mut buf = buffer();
        for (index, size) in [(2, 100_001), (1, 5), (1, 0), (u64::MAX, 100_001)] {
            assert_eq!(reader.hash_block(&mut buf, index, size).unwrap(), None);
        }
    }
}
