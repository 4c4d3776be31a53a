//! What a file system says of itself, and what is known of it by its number or its mount.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use super::super::{About, FsKind};
use super::linux::magic;
use super::traits::{
    BCACHEFS, BTRFS, CIFS, EXFAT, EXT, F2FS, FUSE, MSDOS, NFS, NTFS3, RAMFS, SMB2, TMPFS, V9FS,
    XFS, ZFS,
};
use super::{is_root, mountinfo, retry};

/// `FS_CASEFOLD_FL` of the inode's flags.
const CASEFOLD: u32 = 0x4000_0000;

/// Asks the file system that holds an open directory.
pub(crate) fn about(fd: impl AsFd) -> io::Result<About> {
    let stat = retry(|| rustix::fs::fstatvfs(&fd))?;
    let blocks = match is_root() {
        // What is kept back is kept back for root.
        true => stat.f_bfree,
        false => stat.f_bavail,
    };
    let free_bytes = match stat.f_blocks {
        // A daemon that does not say: fusefat is one.
        0 => u64::MAX,
        _ => blocks.saturating_mul(stat.f_frsize),
    };
    let magic = magic(&fd)?;
    let kind = match magic {
        FUSE => mount_type(&fd).map_or(FsKind::Fuse, |text| fuse_kind(&text, || is_ntfs(&fd))),
        other => kind_of(other),
    };
    Ok(About {
        kind,
        name_bytes_max: stat.f_namemax,
        unit_bytes: stat.f_frsize.max(1),
        free_bytes,
        free_inodes: (kind.tells_inodes() && stat.f_files > 0).then_some(stat.f_ffree),
    })
}

/// Whether names in this directory are the same in any case. ext4, F2FS and tmpfs have it as a
/// flag of each directory.
pub(crate) fn dir_folds(dir: impl AsFd) -> bool {
    rustix::fs::ioctl_getflags(dir).is_ok_and(|flags| flags.bits() & CASEFOLD != 0)
}

fn kind_of(magic: u32) -> FsKind {
    match magic {
        EXT => FsKind::Ext,
        XFS => FsKind::Xfs,
        TMPFS | RAMFS => FsKind::Tmpfs,
        BTRFS | ZFS | F2FS | BCACHEFS => FsKind::Compressing,
        MSDOS => FsKind::Fat,
        EXFAT => FsKind::ExFat,
        NTFS3 => FsKind::Ntfs,
        NFS | CIFS | SMB2 | V9FS => FsKind::Network,
        _ => FsKind::Other,
    }
}

/// The type of the mount that an open directory is on.
fn mount_type(fd: impl AsFd) -> Option<Vec<u8>> {
    let number = fd.as_fd().as_raw_fd();
    let fdinfo = fs::read(format!("/proc/self/fdinfo/{number}")).ok()?;
    let mounts = fs::read("/proc/self/mountinfo").ok()?;
    let id = mountinfo::mount_id(&fdinfo)?;
    mountinfo::type_of_mount(&mounts, id).map(<[u8]>::to_vec)
}

/// Whether an open directory has an attribute that ntfs-3g shows of each.
fn is_ntfs(fd: impl AsFd) -> bool {
    rustix::fs::fgetxattr_query(fd, c"system.ntfs_attrib").is_ok()
}

/// FUSE has one number for all; the mount's type says more: `fuseblk` for what stands on a block
/// device, and often the daemon's name behind a dot. The two that are in wide use give none:
/// ntfs-3g, which can be asked, and exfat-fuse.
fn fuse_kind(mount_type: &[u8], is_ntfs: impl Fn() -> bool) -> FsKind {
    let text = String::from_utf8_lossy(mount_type).to_ascii_lowercase();
    let daemon = text.split_once('.').map_or("", |(_, daemon)| daemon);
    if daemon.contains("exfat") {
        FsKind::FuseExFat
    } else if daemon.contains("ntfs") {
        FsKind::FuseNtfs
    } else if daemon.contains("fat") {
        FsKind::Fat
    } else if text == "fuseblk" {
        match is_ntfs() {
            true => FsKind::FuseNtfs,
            false => FsKind::FuseExFat,
        }
    } else if ["sshfs", "rclone", "nfs", "smb", "gvfs"]
        .iter()
        .any(|net| daemon.contains(net))
    {
        FsKind::Network
    } else {
        FsKind::Fuse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_fuse_is_told_by_the_type_of_the_mount() {
        assert_eq!(fuse_kind(b"fuseblk", || true), FsKind::FuseNtfs);
        for (text, kind) in [
            (&b"fuseblk"[..], FsKind::FuseExFat),
            (b"fuseblk.exfat", FsKind::FuseExFat),
            (b"fuse.exfat-fuse", FsKind::FuseExFat),
            (b"fuse.fusefat", FsKind::Fat),
            (b"fuse.ntfs-3g", FsKind::FuseNtfs),
            (b"fuseblk.fuse2fs", FsKind::Fuse),
            (b"fuse.sshfs", FsKind::Network),
            (b"fuse", FsKind::Fuse),
            (b"fuse.mergerfs", FsKind::Fuse),
        ] {
            assert_eq!(
                fuse_kind(text, || false),
                kind,
                "{}",
                String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn a_file_system_tells_its_room_and_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let about = about(fs::File::open(dir.path()).unwrap()).unwrap();
        assert!(about.free_bytes > 0 && about.unit_bytes > 0);
        assert!(about.name_bytes_max >= 143);
        let proc = super::about(fs::File::open("/proc").unwrap()).unwrap();
        assert_eq!((proc.kind, proc.free_inodes), (FsKind::Other, None));
        // It has no blocks, so it has none too few.
        assert_eq!(proc.free_bytes, u64::MAX);
    }

    #[test]
    fn a_plain_directory_does_not_ignore_case() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!dir_folds(fs::File::open(dir.path()).unwrap()));
    }
}
