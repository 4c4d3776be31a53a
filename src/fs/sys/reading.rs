//! How far the reads of a file can be shown to go past the memory of this machine.

use std::fs::File;
use std::io;

use rustix::fs::{fstatvfs, ioctl_getflags};

use super::cache::size_and_refusal;
use super::linux::magic;
use super::traits::{BTRFS, EXFAT, EXT, F2FS, MSDOS, NTFS3, XFS};
use crate::event::ReadHow;

/// `FS_INLINE_DATA_FL` of the inode's flags: the content lies in the inode.
const INLINE: u32 = 0x1000_0000;
/// `FS_COMPR_FL` of the inode's flags.
const COMPRESSED: u32 = 0x0000_0004;

/// An inode that holds content is no larger than a block, and no block is larger than this.
const BLOCK_BYTES_MAX: u64 = 64 << 10;
/// The content of a small file takes the place of block addresses in its f2fs inode, which is a
/// block of this size; in NTFS it lies in the file's record, which is no larger either.
const RECORD_BYTES_MAX: u64 = 4 << 10;

/// The most that can be claimed of reading an open file.
///
/// Content that lies among metadata can never be claimed to be read from the medium: metadata is
/// kept in caches of its own, which no call empties for a single file. Neither can what is read
/// through a file system that is not listed here: it may keep content in a cache beside the page
/// cache (ZFS, squashfs), have another file system below (overlay, eCryptfs) or another machine.
pub(crate) fn strictest(file: &File) -> io::Result<ReadHow> {
    let (size, refuses_direct) = size_and_refusal(file)?;
    let direct = match refuses_direct {
        true => ReadHow::Evicted,
        false => ReadHow::Direct,
    };
    Ok(match magic(file)? {
        EXT if is_inline(file, size) => ReadHow::Cached,
        // What it compresses it says to refuse; what lies in the record is no larger than that.
        NTFS3 if size <= RECORD_BYTES_MAX => ReadHow::Cached,
        EXFAT | EXT | MSDOS | NTFS3 | XFS => direct,
        // An inline extent is never larger than a sector, and nothing tells which files have one.
        // Compressed extents are read through the page cache, O_DIRECT or not.
        BTRFS if size <= fstatvfs(file)?.f_bsize => ReadHow::Cached,
        BTRFS => ReadHow::Evicted,
        // Its mount option `compress_cache` keeps compressed blocks in a cache of their own.
        F2FS if size <= RECORD_BYTES_MAX || is_compressed(file) => ReadHow::Cached,
        F2FS => ReadHow::Evicted,
        _ => ReadHow::Cached,
    })
}

/// Whether the content may lie in the inode.
fn is_inline(file: &File, size: u64) -> bool {
    match ioctl_getflags(file) {
        Ok(flags) => flags.bits() & INLINE != 0,
        Err(_) => size <= BLOCK_BYTES_MAX,
    }
}

/// Whether the content may be compressed.
fn is_compressed(file: &File) -> bool {
    ioctl_getflags(file).map_or(true, |flags| flags.bits() & COMPRESSED != 0)
}
