//! Reading back what the medium holds of one file, block by block, as block hashes.
//!
//! Every read is aligned for O_DIRECT, the one of the last piece too: it asks for more than the
//! file has and takes what comes. The caller brings the buffer, so that it serves many files.

use std::io;
use std::sync::Arc;

use crate::block::BlockSize;
use crate::event::ReadHow;
use crate::fs::{ALIGN, AlignedBuf, Fs, FsFile, Stat};
use crate::hash::{BlockHasher, Hash32};
use crate::throttle::Throttle;

/// The most that is read at once: enough for a drive to stream, little enough to stop soon.
const PIECE_BYTES: usize = 1 << 20;

/// A file that is read back.
pub(crate) struct MediumReader<F: Fs> {
    file: F::File,
    block_size: BlockSize,
    bytes_read: u64,
    throttle: Arc<Throttle>,
}

/// A buffer for [`MediumReader::hash_block`].
pub(crate) fn buffer() -> AlignedBuf {
    AlignedBuf::new(PIECE_BYTES)
}

/// The same, no larger than what keeps a limited flow even.
pub(crate) fn even_buffer(throttle: &Throttle) -> AlignedBuf {
    AlignedBuf::new(throttle.piece(PIECE_BYTES))
}

impl<F: Fs> MediumReader<F> {
    /// Opens a regular file past the page cache, as far as the file system allows.
    pub(crate) fn open(
        fs: &F,
        dir: &F::Dir,
        name: &[u8],
        block_size: BlockSize,
        throttle: &Arc<Throttle>,
    ) -> io::Result<MediumReader<F>> {
        Ok(MediumReader {
            file: fs.open_medium(dir, name)?,
            block_size,
            bytes_read: 0,
            throttle: Arc::clone(throttle),
        })
    }

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

    /// Bytes of the file that were read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Reads at an aligned offset what was read before; it does not count as progress.
    pub(crate) fn read_again(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
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
        debug_assert!(!buf.is_empty() && buf.len().is_multiple_of(ALIGN));
        if index >= self.block_size.count(file_size) {
            return Ok(None);
        }
        let range = self.block_size.range(index, file_size);
        let mut hasher = BlockHasher::new(range.start, self.block_size.is_single(file_size));
        let most = self.throttle.piece(buf.len());
        let mut at = range.start;
        while at < range.end {
            // No more than the buffer holds, so it fits.
            let wanted = (range.end - at).min(most as u64) as usize;
            self.throttle.take(wanted as u64);
            let asked = wanted.next_multiple_of(ALIGN);
            let have = self.file.read_at(&mut buf[..asked], at)?.min(wanted);
            self.bytes_read += have as u64;
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

    fn unlimited() -> Arc<Throttle> {
        Arc::new(Throttle::new(None, Stopper::new()))
    }

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n / 3 + n / 1000) as u8).collect()
    }

    #[test]
    fn blocks_read_back_merge_to_the_hash_of_the_file_at_every_odd_length() {
        let temp = tempfile::tempdir().unwrap();
        let fs = OsFs::open_root(temp.path()).unwrap();
        let size = BlockSize::MIN;
        let mut buf = buffer();
        for len in [0, 1, 4095, 4096, 65_536, 65_537, 200_000] {
            let content = content(len);
            std::fs::write(temp.path().join("f"), &content).unwrap();
            let mut reader = MediumReader::open(&fs, &fs.root(), b"f", size, &unlimited()).unwrap();
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
        let fs = OsFs::open_root(temp.path()).unwrap();
        let content = content(150_000);
        std::fs::write(temp.path().join("f"), &content).unwrap();
        let size = BlockSize::new(1 << 18).unwrap();
        let mut reader = MediumReader::open(&fs, &fs.root(), b"f", size, &unlimited()).unwrap();
        let mut small = AlignedBuf::new(ALIGN);
        let hash = reader.hash_block(&mut small, 0, 150_000).unwrap();
        assert_eq!(hash, Some(*blake3::hash(&content).as_bytes()));
    }

    #[test]
    fn a_file_that_ends_too_early_has_no_such_block_and_one_that_goes_on_does() {
        let temp = tempfile::tempdir().unwrap();
        let fs = OsFs::open_root(temp.path()).unwrap();
        let content = content(100_000);
        std::fs::write(temp.path().join("f"), &content).unwrap();
        let mut reader =
            MediumReader::open(&fs, &fs.root(), b"f", BlockSize::MIN, &unlimited()).unwrap();
        let mut buf = buffer();
        assert!(reader.hash_block(&mut buf, 0, 100_001).unwrap().is_some());
        assert_eq!(reader.hash_block(&mut buf, 1, 100_001).unwrap(), None);
        let shorter = reader.hash_block(&mut buf, 0, 50_000).unwrap();
        assert_eq!(shorter, Some(*blake3::hash(&content[..50_000]).as_bytes()));
    }
    #[test]
    fn a_block_that_a_file_of_that_size_cannot_have_is_not_there() {
        let temp = tempfile::tempdir().unwrap();
        let fs = OsFs::open_root(temp.path()).unwrap();
        std::fs::write(temp.path().join("f"), content(100_001)).unwrap();
        let mut reader =
            MediumReader::open(&fs, &fs.root(), b"f", BlockSize::MIN, &unlimited()).unwrap();
        let mut buf = buffer();
        for (index, size) in [(2, 100_001), (1, 5), (1, 0), (u64::MAX, 100_001)] {
            assert_eq!(reader.hash_block(&mut buf, index, size).unwrap(), None);
        }
    }
}
