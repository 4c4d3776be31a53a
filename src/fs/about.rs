//! What a file system is, and how much room it has. Tables only; asking is for `sys`.

/// Kinds of file systems, as far as they hold different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FsKind {
    /// ext2, ext3, ext4.
    Ext,
    /// XFS.
    Xfs,
    /// In memory: tmpfs, ramfs.
    Tmpfs,
    /// One that compresses or shares blocks, so that less space than the sizes say may do: btrfs,
    /// ZFS, bcachefs, F2FS.
    Compressing,
    /// FAT32 and its elders.
    Fat,
    /// exFAT by the kernel.
    ExFat,
    /// NTFS by the kernel.
    Ntfs,
    /// exFAT by exfat-fuse.
    FuseExFat,
    /// NTFS by ntfs-3g.
    FuseNtfs,
    /// Something else behind FUSE.
    Fuse,
    /// A share of another machine.
    Network,
    /// None of these.
    Other,
}

impl FsKind {
    /// The name for messages.
    pub fn describe(self) -> &'static str {
        match self {
            FsKind::Ext => "ext4",
            FsKind::Xfs => "XFS",
            FsKind::Tmpfs => "tmpfs",
            FsKind::Compressing => "a compressing file system",
            FsKind::Fat => "FAT32",
            FsKind::ExFat | FsKind::FuseExFat => "exFAT",
            FsKind::Ntfs | FsKind::FuseNtfs => "NTFS",
            FsKind::Fuse => "a FUSE file system",
            FsKind::Network => "a network file system",
            FsKind::Other => "its file system",
        }
    }

    /// How many names a file can have, as far as that is known.
    pub fn links_max(self) -> u64 {
        match self {
            FsKind::Ext => 65_000,
            _ => u64::MAX,
        }
    }

    /// Whether the owner that a file shows is its own. FAT and NTFS have none, a FUSE daemon shows whom it
    /// likes, and a server may show another than who made it (`root_squash`).
    pub fn keeps_owners(self) -> bool {
        matches!(
            self,
            FsKind::Ext | FsKind::Xfs | FsKind::Tmpfs | FsKind::Compressing | FsKind::Other
        )
    }

    /// Whether a file can have attributes of its owner's, so that one that it has not did not fit.
    pub fn keeps_attributes(self) -> bool {
        matches!(self, FsKind::Ext | FsKind::Xfs | FsKind::Compressing)
    }

    /// Whether it takes every name of up to 255 bytes, so that nothing has to be tried.
    pub fn takes_any_name(self) -> bool {
        matches!(
            self,
            FsKind::Ext | FsKind::Xfs | FsKind::Tmpfs | FsKind::Compressing
        )
    }

    /// Whether people carry it to Windows.
    pub fn is_windows(self) -> bool {
        matches!(
            self,
            FsKind::Fat | FsKind::ExFat | FsKind::FuseExFat | FsKind::Ntfs | FsKind::FuseNtfs
        )
    }

    /// The largest file, where that is less than any real file needs.
    pub fn file_bytes_max(self) -> Option<u64> {
        match self {
            // The size has 32 bits in a directory entry.
            FsKind::Fat => Some(u64::from(u32::MAX)),
            _ => None,
        }
    }

    /// The modification times that can be kept, in ns since the Unix epoch.
    pub fn times_ns(self) -> std::ops::RangeInclusive<i128> {
        const NS_PER_S: i128 = 1_000_000_000;
        match self {
            // 1980-01-01 to 2107-12-31 of whatever time zone; a day off at each end is safe.
            FsKind::Fat | FsKind::ExFat | FsKind::FuseExFat => {
                315_619_200 * NS_PER_S..=4_354_732_799 * NS_PER_S
            }
            _ => i128::MIN..=i128::MAX,
        }
    }

    /// Whether too little free space, as it tells it, means that a copy cannot succeed.
    pub fn tells_space(self) -> bool {
        matches!(
            self,
            FsKind::Ext
                | FsKind::Xfs
                | FsKind::Tmpfs
                | FsKind::Fat
                | FsKind::ExFat
                | FsKind::FuseExFat
                | FsKind::FuseNtfs
        )
    }

    /// Whether its number of free inodes is a real bound, not one made up for programs that ask.
    pub fn tells_inodes(self) -> bool {
        matches!(self, FsKind::Ext | FsKind::Xfs | FsKind::Tmpfs)
    }

    /// Whether the space of a sparse file's holes is not needed.
    pub fn keeps_holes(self) -> bool {
        !matches!(self, FsKind::Fat | FsKind::ExFat | FsKind::FuseExFat)
    }
}

/// What a file system says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// What it is.
    pub kind: FsKind,
    /// The longest name, in bytes. Where names are kept as UTF-16, this is an upper bound.
    pub name_bytes_max: u64,
    /// What space is given out in, in bytes.
    pub unit_bytes: u64,
    /// Free space for this user, in bytes.
    pub free_bytes: u64,
    /// Free inodes, if it counts them.
    pub free_inodes: Option<u64>,
}

impl About {
    /// A file system without limits.
    pub fn unlimited() -> About {
        About {
            kind: FsKind::Ext,
            name_bytes_max: 255,
            unit_bytes: 4096,
            free_bytes: u64::MAX,
            free_inodes: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fat_and_exfat_have_a_short_range_of_times() {
        let year_1979 = 300_000_000 * 1_000_000_000;
        let year_2024 = 1_704_067_200 * 1_000_000_000;
        let year_2200 = 7_258_118_400 * 1_000_000_000;
        for (kind, time, kept) in [
            (FsKind::Fat, year_1979, false),
            (FsKind::Fat, year_2024, true),
            (FsKind::ExFat, year_2200, false),
            (FsKind::FuseExFat, year_1979, false),
            (FsKind::Ext, year_2200, true),
            (FsKind::Ntfs, year_1979, true),
        ] {
            assert_eq!(kind.times_ns().contains(&time), kept, "{kind:?} {time}");
        }
    }
}
