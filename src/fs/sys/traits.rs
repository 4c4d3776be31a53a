//! What is known of each kind of file system, as far as it changes how a destination is written to.
//!
//! These are lists of what is known to be good. A file system that is in none of them gets the most
//! careful treatment: flushed file by file and as a whole, and taken to have no journal.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{fstat, major, minor};

use super::super::FlushBy;
use super::{Traits, kernel_release, magic, mountinfo};

// `f_type` of statfs(2).
pub(super) const BCACHEFS: u32 = 0xCA45_1A4E;
pub(super) const BTRFS: u32 = 0x9123_683E;
pub(super) const CIFS: u32 = 0xFF53_4D42;
pub(super) const EXFAT: u32 = 0x2011_BAB0;
pub(super) const EXT: u32 = 0xEF53;
pub(super) const F2FS: u32 = 0xF2F5_2010;
pub(super) const FUSE: u32 = 0x6573_5546;
const JFS: u32 = 0x3153_464A;
pub(super) const MSDOS: u32 = 0x4D44;
pub(super) const NFS: u32 = 0x6969;
const NILFS: u32 = 0x3434;
pub(super) const NTFS3: u32 = 0x7366_746E;
pub(super) const OVERLAY: u32 = 0x794C_7630;
pub(super) const RAMFS: u32 = 0x8584_58F6;
const REISERFS: u32 = 0x5265_4973;
pub(super) const SMB2: u32 = 0xFE53_4D42;
pub(super) const TMPFS: u32 = 0x0102_1994;
pub(super) const V9FS: u32 = 0x0102_1997;
pub(super) const XFS: u32 = 0x5846_5342;
pub(super) const ZFS: u32 = 0x2FC1_2FC1;

/// The file systems whose `syncfs` tells of every failure and sends the device its flush, each
/// with the first Linux of which that is known.
///
/// Three things must hold of a kernel, whatever the file system:
///
/// - 5.8, 735e4ae5ba28 "vfs: track per-sb writeback errors and report them to syncfs": data that
///   could not be written is told of. `mapping_set_error()` notes it, `SYSCALL_DEFINE1(syncfs)`
///   checks `s_wb_err`.
/// - 5.8, 485e9605c052 "fs/buffer.c: record blockdev write errors in super_block that it backs":
///   the same of metadata that is written through the block device.
/// - 5.17, 5679897eb104 "vfs: make sync_filesystem return errors from ->sync_fs": what the file
///   system itself says is passed on: a commit or a flush that failed. Before that it was dropped.
///
/// A file system that has shut itself down may answer 0 (`f2fs_sync_fs()`, and `ext4_sync_fs()` in
/// older kernels). Its fsync fails then, and one follows each `syncfs`: of the manifest, or of
/// the directory by which a file system inside the destination is known.
const SYNCFS: [(u32, (u32, u32)); 5] = [
    // btrfs_sync_fs() waits for the ordered extents and commits; write_all_supers() flushes all
    // devices, in barrier_all_devices(), before the superblocks, which are written with FUA.
    (BTRFS, (5, 17)),
    // ext4_sync_fs() waits for the journal's commit, which flushes the device, or flushes it itself
    // where no commit does: jbd2_trans_will_send_data_barrier(). Without a journal it flushes before
    // the last metadata is written; the fsync that follows flushes after it.
    (EXT, (5, 17)),
    // f2fs_sync_fs() makes a checkpoint: f2fs_flush_device_cache(), then commit_checkpoint() with
    // PREFLUSH and FUA.
    (F2FS, (5, 17)),
    // There is no device, and nothing to fail.
    (TMPFS, (0, 0)),
    // xfs_fs_sync_fs() forces the log, which is written with PREFLUSH and FUA; its errors are told
    // since 2d86293c7075 "xfs: return errors in xfs_fs_sync_fs". A realtime device of its own is
    // not flushed by that: see `has_realtime_device`.
    (XFS, (5, 17)),
];

/// The file systems that keep a file and the space it takes together, whatever moment the power
/// is cut at.
const JOURNALED: [u32; 9] = [
    // Copy on write: all trees change with one superblock; freed extents stay pinned until then.
    BTRFS, BCACHEFS, ZFS,
    // Allocation and inode are logged in one transaction; freed space is busy until it is on disk.
    XFS, JFS, REISERFS,
    // A checkpoint names a whole state; blocks that it names are not given out before the next.
    F2FS, NILFS,
    // Nothing survives, so nothing contradicts itself. Its elder RAMFS is `lives_in_memory`, too.
    TMPFS,
];

/// The file systems on which device and inode number tell a file from every other. Not among them are those
/// that show what others hold (overlayfs, FUSE, network file systems): one file can have two numbers.
const LASTING_IDS: [u32; 14] = [
    BCACHEFS, BTRFS, EXFAT, EXT, F2FS, JFS, MSDOS, NILFS, NTFS3, RAMFS, REISERFS, TMPFS, XFS, ZFS,
];

/// Whether device and inode number of a file tell it from every other on the file system of something open.
pub(crate) fn has_lasting_ids(fd: impl AsFd) -> bool {
    magic(fd).is_ok_and(|magic| LASTING_IDS.contains(&magic))
}

/// What has to be asked of the mount itself, since the number does not tell.
struct Asked {
    /// Of ext2, ext3 and ext4: what drives it.
    ext: Ext,
    /// Of XFS: whether a part of it is on a device that `syncfs` does not flush.
    has_realtime_device: bool,
}

/// What drives a file system that says to be ext2, ext3 or ext4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ext {
    /// The ext4 driver, with a journal.
    Journal,
    /// The ext4 driver, without one.
    NoJournal,
    /// The ext2 driver, or nobody says.
    Unknown,
}

/// What is to be known about the file system that holds an open directory.
pub(crate) fn traits(fd: impl AsFd) -> io::Result<Traits> {
    let magic = magic(&fd)?;
    let asked = Asked {
        ext: match magic {
            EXT => ext(&fd),
            _ => Ext::Unknown,
        },
        has_realtime_device: magic == XFS && has_realtime_device(&fd),
    };
    Ok(traits_of(magic, kernel_release(), &asked))
}

fn traits_of(magic: u32, kernel_release: &[u8], asked: &Asked) -> Traits {
    let is_whole = match magic {
        EXT => asked.ext != Ext::Unknown,
        XFS => !asked.has_realtime_device,
        _ => true,
    };
    let is_whole = is_whole && syncfs_is_known_since(magic, kernel_release);
    let has_journal = match magic {
        EXT => asked.ext == Ext::Journal,
        RAMFS => true,
        _ => JOURNALED.contains(&magic),
    };
    Traits {
        flush_by: match is_whole {
            true => FlushBy::Whole,
            false => FlushBy::Each,
        },
        // Renaming there enters the name with neither size nor place; the inode brings them.
        renames_want_flush: magic == MSDOS,
        lacks_journal: !has_journal,
        may_lack_modes: matches!(magic, MSDOS | EXFAT | FUSE | NTFS3),
    }
}

fn syncfs_is_known_since(magic: u32, kernel_release: &[u8]) -> bool {
    let known = SYNCFS.iter().find(|(known, _)| *known == magic);
    known.is_some_and(|(_, since)| is_at_least(kernel_release, *since))
}

/// Whether a kernel is of this version or a later one. One that does not say is of none.
fn is_at_least(kernel_release: &[u8], since: (u32, u32)) -> bool {
    let mut numbers = kernel_release
        .split(|byte| !byte.is_ascii_digit())
        .map(|digits| std::str::from_utf8(digits).ok()?.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= since,
        _ => since == (0, 0),
    }
}

/// What drives an ext2, ext3 or ext4. Only the ext4 driver has a directory in sysfs; its
/// `journal_task` names a process if there is a journal, and holds `<none>` if there is none.
fn ext(fd: impl AsFd) -> Ext {
    let journal_task = || {
        let dev = fstat(fd).ok()?.st_dev;
        let device = format!("/sys/dev/block/{}:{}", major(dev), minor(dev));
        let device = fs::read_link(device).ok()?;
        let name = device.file_name()?.to_str()?;
        fs::read(format!("/sys/fs/ext4/{name}/journal_task")).ok()
    };
    ext_by(journal_task().as_deref())
}

fn ext_by(journal_task: Option<&[u8]>) -> Ext {
    match journal_task.map(<[u8]>::trim_ascii) {
        Some(b"<none>") => Ext::NoJournal,
        Some(process) if !process.is_empty() && process.iter().all(u8::is_ascii_digit) => {
            Ext::Journal
        }
        _ => Ext::Unknown,
    }
}

/// Whether an XFS keeps data on a device that its log does not flush. fsync flushes it.
fn has_realtime_device(fd: impl AsFd) -> bool {
    let number = fd.as_fd().as_raw_fd();
    let read = || {
        let fdinfo = fs::read(format!("/proc/self/fdinfo/{number}")).ok()?;
        let mounts = fs::read("/proc/self/mountinfo").ok()?;
        let options = mountinfo::options_of_mount(&mounts, mountinfo::mount_id(&fdinfo)?)?;
        let mut options = options.split(|byte| *byte == b',');
        Some(options.any(|option| option.starts_with(b"rtdev=")))
    };
    // A mount that is not listed may have one.
    read().unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kind of which there is no list.
    const HFS_PLUS: u32 = 0x482B;

    const NOW: &[u8] = b"6.1.0-13-amd64";

    fn with(magic: u32, release: &[u8], ext: Ext, has_realtime_device: bool) -> Traits {
        let asked = Asked {
            ext,
            has_realtime_device,
        };
        traits_of(magic, release, &asked)
    }

    fn plain(magic: u32) -> Traits {
        with(magic, NOW, Ext::Unknown, false)
    }

    #[test]
    fn one_flush_for_all_is_believed_only_where_it_is_known_to_tell_errors_and_to_flush() {
        for magic in [BTRFS, F2FS, XFS, TMPFS] {
            assert_eq!(plain(magic).flush_by, FlushBy::Whole, "{magic:x}");
        }
        for magic in [
            BCACHEFS, CIFS, EXFAT, FUSE, HFS_PLUS, JFS, MSDOS, NFS, NILFS, NTFS3, OVERLAY, SMB2,
            V9FS, ZFS, 0,
        ] {
            assert_eq!(plain(magic).flush_by, FlushBy::Each, "{magic:x}");
        }
    }

    #[test]
    fn a_kernel_that_drops_the_errors_of_a_file_system_is_asked_file_by_file() {
        let by = |release: &str| {
            let by = |magic| with(magic, release.as_bytes(), Ext::Journal, false).flush_by;
            assert_eq!(by(TMPFS), FlushBy::Whole, "{release}");
            [EXT, XFS, BTRFS, F2FS].map(by)
        };
        for release in ["5.17", "5.17.0-rc1", "6.1.0-13-amd64", "10.0"] {
            assert_eq!(by(release), [FlushBy::Whole; 4], "{release}");
        }
        for release in ["5.16.20", "5.8", "4.19", "unknown", ""] {
            assert_eq!(by(release), [FlushBy::Each; 4], "{release}");
        }
    }

    #[test]
    fn an_xfs_with_a_realtime_device_is_flushed_file_by_file() {
        assert_eq!(with(XFS, NOW, Ext::Unknown, true).flush_by, FlushBy::Each);
    }

    #[test]
    fn only_what_is_known_to_have_a_journal_counts_as_if_it_had_one() {
        let ext = |ext| with(EXT, NOW, ext, false).lacks_journal;
        assert!(!ext(Ext::Journal));
        assert!(ext(Ext::NoJournal) && ext(Ext::Unknown));
        for magic in [
            BCACHEFS, BTRFS, F2FS, JFS, NILFS, RAMFS, REISERFS, TMPFS, XFS, ZFS,
        ] {
            assert!(!plain(magic).lacks_journal, "{magic:x}");
        }
        for magic in [
            CIFS, EXFAT, FUSE, HFS_PLUS, MSDOS, NFS, NTFS3, OVERLAY, SMB2, V9FS, 0,
        ] {
            assert!(plain(magic).lacks_journal, "{magic:x}");
        }
    }

    #[test]
    fn the_journal_of_an_ext4_is_known_by_its_process() {
        assert_eq!(ext_by(Some(b"12889\n")), Ext::Journal);
        // A journal's process that this one's container does not see.
        assert_eq!(ext_by(Some(b"0\n")), Ext::Journal);
        assert_eq!(ext_by(Some(b"<none>\n")), Ext::NoJournal);
        for unknown in [None, Some(&b""[..]), Some(b"something"), Some(b"\n")] {
            assert_eq!(ext_by(unknown), Ext::Unknown, "{unknown:?}");
        }
    }
}
