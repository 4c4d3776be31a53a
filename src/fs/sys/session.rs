//! The boot and the mount that a directory belongs to: what tells a process that died from a
//! machine that lost power.
//!
//! While both are the same, the system still has all that was written through that mount.

use std::fs;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, StatxAttributes, StatxFlags, fstat, major, statx};

use super::linux::magic;
use super::traits::{BCACHEFS, BTRFS, OVERLAY, RAMFS, TMPFS, ZFS};

/// Asks statx for a mount id that is never given again (`STATX_MNT_ID_UNIQUE`, since Linux 6.8).
const MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// File systems of this machine whose device number is made up.
const LOCAL: [u32; 6] = [BCACHEFS, BTRFS, OVERLAY, RAMFS, TMPFS, ZFS];

/// The boot and the mount that an open directory belongs to; see
/// [`Fs::session`](crate::fs::Fs::session).
pub(crate) fn session(dir: impl AsFd) -> Option<([u8; 16], u64)> {
    if !is_local(&dir) {
        return None;
    }
    Some((boot_id()?, mount_identity(&dir)?))
}

/// The id that the kernel drew at random when it was booted.
fn boot_id() -> Option<[u8; 16]> {
    parse_uuid(&fs::read("/proc/sys/kernel/random/boot_id").ok()?)
}

/// The identity of the mount that an open directory is on. `None` where the kernel has only ids
/// that it gives to the next mount once one is unmounted: with those, a drive that was unplugged
/// and plugged in again looks as if it had been there all the time.
fn mount_identity(dir: impl AsFd) -> Option<u64> {
    let told = statx(&dir, c"", AtFlags::EMPTY_PATH, MNT_ID_UNIQUE).ok()?;
    let is_unique = StatxFlags::from_bits_retain(told.stx_mask).contains(MNT_ID_UNIQUE);
    is_unique.then_some(told.stx_mnt_id)
}

/// A number of the mount that something open is on, which no other mount has at the same time. 0 before
/// Linux 5.8, which does not tell.
pub(crate) fn mount_id(fd: impl AsFd) -> io::Result<u64> {
    let told = statx(&fd, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
    let is_told = StatxFlags::from_bits_retain(told.stx_mask).contains(StatxFlags::MNT_ID);
    Ok(if is_told { told.stx_mnt_id } else { 0 })
}

/// Whether an open directory is the top of a mount (Linux 5.8).
pub(crate) fn is_mount_top(dir: impl AsFd) -> bool {
    let told = statx(&dir, c"", AtFlags::EMPTY_PATH, StatxFlags::empty());
    told.is_ok_and(|told| told.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Whether what is written to a file system stays on this machine. A server can lose power, and what
/// it had not stored yet, while the mount of a client stays as it is. Those have no device, and so
/// have the FUSE file systems that are no `fuseblk`.
fn is_local(dir: impl AsFd) -> bool {
    let on_device = fstat(&dir).is_ok_and(|stat| major(stat.st_dev) != 0);
    on_device || magic(&dir).is_ok_and(|magic| LOCAL.contains(&magic))
}

/// The bytes of a UUID as text.
fn parse_uuid(text: &[u8]) -> Option<[u8; 16]> {
    let digits = text.trim_ascii().iter().filter(|byte| **byte != b'-');
    let digits: Vec<u8> = digits
        .map(|byte| char::from(*byte).to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    match rest {
        [] => bytes.try_into().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_is_read_as_a_uuid_and_nothing_else() {
        let text = b"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0\n";
        let bytes = [
            0x0f, 0x1e, 0x2d, 0x3c, 0x4b, 0x5a, 0x69, 0x78, 0x87, 0x96, 0xa5, 0xb4, 0xc3, 0xd2,
            0xe1, 0xf0,
        ];
        assert_eq!(parse_uuid(text), Some(bytes));
        for bad in [
            &text[..35],
            &text[..34],
            b"",
            b"0f1e2d3c 4b5a-6978-8796-a5b4c3d2e1f0",
        ] {
            assert_eq!(parse_uuid(bad), None);
        }
    }

    #[test]
    fn what_stays_on_this_machine_is_told_by_its_device_or_its_kind() {
        assert!(is_local(fs::File::open("/dev").unwrap()), "tmpfs");
        assert!(
            !is_local(fs::File::open("/proc").unwrap()),
            "unknown, without a device"
        );
    }
}
