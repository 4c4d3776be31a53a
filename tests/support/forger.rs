//! Forges manifests whose checksums are right and whose records may say anything.

use std::fs;
use std::hash::Hasher;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use sprag::hash::{self, Hash32};
use twox_hash::XxHash64;

use super::*;

const HEADER: usize = 4096;
const BLOCK: usize = 64 << 10;
/// The content of the small file.
pub(crate) const SMALL: &[u8] = b"small";
pub(crate) const LARGE_BYTES: usize = 2 * BLOCK + 999;

/// The manifest of a destination, made of whatever records.
pub(crate) struct Forger {
    pub(crate) bytes: Vec<u8>,
    pub(crate) source: PathBuf,
    pub(crate) dest: PathBuf,
}

impl Forger {
    /// Appends a frame with the right checksum; gives its position.
    pub(crate) fn frame(&mut self, payload: &[u8]) -> u64 {
        let pos = self.bytes.len() as u64;
        let len = (payload.len() as u32).to_le_bytes();
        let mut hasher = XxHash64::with_seed(0);
        hasher.write(&self.bytes[16..48]);
        hasher.write(&pos.to_le_bytes());
        hasher.write(&(payload.len() as u64).to_le_bytes());
        hasher.write(payload);
        self.bytes.extend_from_slice(&len);
        self.bytes.extend_from_slice(&hasher.finish().to_le_bytes());
        self.bytes.extend_from_slice(payload);
        pos
    }

    /// Begins a file of the source as that is now, with something under its partial name.
    pub(crate) fn begin_for_real(&mut self, path: &str, partial: &[u8]) -> u64 {
        self.begin_in("", path, partial)
    }

    /// The same with a path that begins with this directory, and the partial in it.
    pub(crate) fn begin_in(&mut self, dir: &str, path: &str, partial: &[u8]) -> u64 {
        let recorded = format!("{dir}{path}");
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"sprag partial").update(&self.bytes[16..32]);
        hasher.update(&[0]).update(recorded.as_bytes());
        let hash = hasher.finalize();
        let nonce = u32::from_le_bytes(hash.as_bytes()[..4].try_into().unwrap());
        let id = hash::to_hex(&self.bytes[16..20]);
        let name = format!(".sprag-{id}{nonce:08x}.partial");
        fs::write(self.dest.join(dir).join(name), partial).unwrap();
        let meta = fs::metadata(self.source.join(path)).unwrap();
        // Signed numbers go by their double.
        let ns = |s: i64, ns: i64| number(2 * (s * 1_000_000_000 + ns) as u64);
        let mtime = ns(meta.mtime(), meta.mtime_nsec());
        let ctime = ns(meta.ctime(), meta.ctime_nsec());
        let (path, size) = (text(recorded.as_bytes()), number(meta.size()));
        let ino = number(meta.ino());
        self.frame(&[&[4][..], &path, &size, &mtime, &ctime, &ino, &[0, 0]].concat())
    }

    /// Vouches for everything so far.
    pub(crate) fn barriers(&mut self) {
        for _ in 0..2 {
            let covers = self.bytes.len() as u64;
            self.frame(&[&[11][..], &number(covers)].concat());
        }
    }
}

/// A number as the manifest has it.
pub(crate) fn number(number: u64) -> Vec<u8> {
    match number {
        0..251 => vec![number as u8],
        251..0x1_0000 => [&[251][..], &(number as u16).to_le_bytes()].concat(),
        0x1_0000..0x1_0000_0000 => [&[252][..], &(number as u32).to_le_bytes()].concat(),
        _ => [&[253][..], &number.to_le_bytes()].concat(),
    }
}

pub(crate) fn text(bytes: &[u8]) -> Vec<u8> {
    [&number(bytes.len() as u64)[..], bytes].concat()
}

pub(crate) fn begin(path: &[u8], size: u64) -> Vec<u8> {
    [&[4][..], &text(path), &number(size), &[0, 0, 0, 0, 0]].concat()
}

pub(crate) fn blocks(begin: u64, prev: u64, first: u64, hashes: &[Hash32]) -> Vec<u8> {
    let places = [number(begin), number(prev), number(first)].concat();
    [&[5][..], &places, &text(&hashes.concat())].concat()
}

pub(crate) fn cut(begin: u64, prev: u64, keep: u64) -> Vec<u8> {
    [&[6][..], &number(begin), &number(prev), &number(keep)].concat()
}

/// `attempt` as it is encoded.
pub(crate) fn done(path: &[u8], size: u64, hash: &Hash32, attempt: &[u8], chain: u64) -> Vec<u8> {
    let (path, size, chain) = (text(path), number(size), number(chain));
    // Times and owner 0, no attributes, no change times, and settled.
    let (meta, end) = (&[0; 8][..], &[0, 0][..]);
    [
        &[7],
        &path[..],
        &size,
        meta,
        &text(hash),
        attempt,
        &chain,
        end,
    ]
    .concat()
}

pub(crate) fn link(path: &[u8], to: &[u8]) -> Vec<u8> {
    [&[9][..], &text(path), &text(to)].concat()
}

/// The content of the large file.
pub(crate) fn large() -> Vec<u8> {
    Rng::new(9).bytes(LARGE_BYTES)
}

/// A copy of two files, and what forges a manifest for it.
pub(crate) fn forger(temp: &Path) -> Forger {
    let path = |name: &str| temp.join(name);
    write(path("source/a"), SMALL);
    write(path("source/large"), large());
    write(path("outside/file"), "not ours");
    copy(
        0,
        ["--block-size=64K".into(), path("source/."), path("dest")],
    );
    symlink("../outside", path("dest/out")).unwrap();
    Forger {
        bytes: fs::read(path("dest/.sprag/manifest")).unwrap()[..HEADER].to_vec(),
        source: path("source"),
        dest: path("dest"),
    }
}
