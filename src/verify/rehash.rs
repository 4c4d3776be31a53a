//! Reading a whole file back from the medium, for lists that know a hash of it and nothing else.

use std::io;

use sha2::{Digest, Sha256};

use crate::fs::{AlignedBuf, FsFile};
use crate::hash::{BlockHasher, Hash32};

/// What a list's hashes are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Blake3,
    Sha256,
}

/// The hashes of one file, of which some or all are wanted.
pub(crate) struct Digests {
    blake3: Option<BlockHasher>,
    sha256: Option<Sha256>,
}

impl Digests {
    /// Both, or the one that is wanted.
    pub(crate) fn new(only: Option<Algorithm>) -> Digests {
        let wanted = |algorithm| only.is_none_or(|only| only == algorithm);
        Digests {
            blake3: wanted(Algorithm::Blake3).then(|| BlockHasher::new(0, true)),
            sha256: wanted(Algorithm::Sha256).then(Sha256::new),
        }
    }

    /// Of a file whose block hashes are made too: those that they do not give.
    pub(crate) fn beside_blocks(only: Option<Algorithm>) -> Digests {
        Digests {
            blake3: None,
            sha256: (only != Some(Algorithm::Blake3)).then(Sha256::new),
        }
    }

    /// Takes the next bytes of the file.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        if let Some(hasher) = &mut self.blake3 {
            hasher.update(bytes);
        }
        if let Some(hasher) = &mut self.sha256 {
            hasher.update(bytes);
        }
    }

    /// The hashes that were wanted.
    pub(crate) fn finish(self) -> Hashes {
        Hashes {
            blake3: self.blake3.map(BlockHasher::finish),
            sha256: self.sha256.map(|hasher| hasher.finalize().into()),
        }
    }
}

/// The hashes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hashes {
    pub(crate) blake3: Option<Hash32>,
    pub(crate) sha256: Option<Hash32>,
}

/// Reads a file from its beginning to its end; gives its length, or `None` if `visit` gave up.
/// `buf` is as for the reading of blocks.
pub(crate) fn read_whole(
    file: &impl FsFile,
    buf: &mut AlignedBuf,
    mut visit: impl FnMut(&[u8]) -> bool,
) -> io::Result<Option<u64>> {
    let mut at = 0;
    loop {
        let have = file.read_at(buf, at)?;
        if have > 0 && !visit(&buf[..have]) {
            return Ok(None);
        }
        at += have as u64;
        if have < buf.len() {
            return Ok(Some(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{ALIGN, Fs, FsMeta, OsFs};
    use crate::hash::to_hex;

    #[test]
    fn a_file_is_read_to_its_end_and_hashed_both_ways() {
        let temp = tempfile::tempdir().unwrap();
        let fs = OsFs::open_root(temp.path()).unwrap();
        for len in [0, 1, ALIGN - 1, ALIGN, 3 * ALIGN, 3 * ALIGN + 7] {
            let content = vec![b'x'; len];
            std::fs::write(temp.path().join("f"), &content).unwrap();
            let file = fs.open_medium(&fs.root(), b"f").unwrap();
            let mut digests = Digests::new(None);
            let mut buf = AlignedBuf::new(2 * ALIGN);
            let read = read_whole(&file, &mut buf, |piece| {
                digests.update(piece);
                true
            });
            assert_eq!(read.unwrap(), Some(len as u64));
            let hashes = digests.finish();
            assert_eq!(hashes.blake3, Some(blake3::hash(&content).into()));
            assert_eq!(hashes.sha256, Some(Sha256::digest(&content).into()));
        }
    }

    #[test]
    fn only_what_is_wanted_is_hashed_and_sha256_is_the_standard_one() {
        let mut digests = Digests::new(Some(Algorithm::Sha256));
        digests.update(b"abc");
        let hashes = digests.finish();
        assert_eq!(hashes.blake3, None);
        assert_eq!(
            to_hex(&hashes.sha256.unwrap()),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
