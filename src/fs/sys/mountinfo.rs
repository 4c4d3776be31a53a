//! Which device a mount came from, out of the text of `/proc/self/mountinfo`.
//!
//! A line is `id parent major:minor root mount-point options [tag…] - type source super-options`,
//! where blanks and backslashes inside a field are written as three octal digits.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::fs::mounts::unescape;

/// The source of the mount with that id, if it is a path below `/dev`.
pub(super) fn device_of_mount(mountinfo: &[u8], mount_id: &[u8]) -> Option<PathBuf> {
    let source = unescape(behind_dash(mountinfo, mount_id, 1)?);
    source
        .starts_with(b"/dev/")
        .then(|| PathBuf::from(OsString::from_vec(source)))
}

/// Whether there is a mount with that id.
pub(super) fn has_mount(mountinfo: &[u8], mount_id: &[u8]) -> bool {
    let mut lines = mountinfo.split(|byte| *byte == b'\n');
    lines.any(|line| line.split(|byte| *byte == b' ').next() == Some(mount_id))
}

/// The type of the mount with that id, as `fuse.sshfs`.
pub(super) fn type_of_mount<'a>(mountinfo: &'a [u8], mount_id: &[u8]) -> Option<&'a [u8]> {
    behind_dash(mountinfo, mount_id, 0)
}

/// The options of the file system that is mounted with that id, as `rw,rtdev=/dev/sdb`.
pub(super) fn options_of_mount<'a>(mountinfo: &'a [u8], mount_id: &[u8]) -> Option<&'a [u8]> {
    behind_dash(mountinfo, mount_id, 2)
}

/// A field of the mount with that id, counted from the lone dash that ends the tags.
fn behind_dash<'a>(mountinfo: &'a [u8], mount_id: &[u8], nth: usize) -> Option<&'a [u8]> {
    mountinfo.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        if fields.next()? != mount_id {
            return None;
        }
        fields.find(|field| *field == b"-")?;
        fields.nth(nth)
    })
}

/// The mount id out of the text of a `/proc/self/fdinfo` file.
pub(super) fn mount_id(fdinfo: &[u8]) -> Option<&[u8]> {
    fdinfo
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"mnt_id:"))
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"\
22 27 0:21 / /proc rw,relatime - proc proc rw
36 27 0:45 /@ /mnt/a\\040b rw,noatime shared:7 master:1 - btrfs /dev/mapper/my\\040disk\\134x rw,subvol=/@
37 27 0:46 / /mnt/- rw - tmpfs none rw
cut off
38 27 0:47";

    #[test]
    fn the_source_is_found_behind_any_number_of_tags() {
        assert_eq!(
            device_of_mount(TEXT, b"36"),
            Some(PathBuf::from("/dev/mapper/my disk\\x"))
        );
    }

    #[test]
    fn a_mount_without_a_device_or_a_line_has_none() {
        for id in ["22", "37", "38", "3", "99", "cut"] {
            assert_eq!(device_of_mount(TEXT, id.as_bytes()), None, "{id}");
        }
    }

    #[test]
    fn a_mount_is_found_by_its_whole_id() {
        assert!(has_mount(TEXT, b"36") && has_mount(TEXT, b"22"));
        assert!(!has_mount(TEXT, b"3") && !has_mount(TEXT, b"27"));
    }

    #[test]
    fn the_type_stands_behind_the_dash() {
        assert_eq!(type_of_mount(TEXT, b"36"), Some(&b"btrfs"[..]));
        assert_eq!(type_of_mount(TEXT, b"37"), Some(&b"tmpfs"[..]));
        assert_eq!(type_of_mount(TEXT, b"38"), None);
    }

    #[test]
    fn the_options_of_a_file_system_stand_at_the_end() {
        assert_eq!(options_of_mount(TEXT, b"36"), Some(&b"rw,subvol=/@"[..]));
        assert_eq!(options_of_mount(TEXT, b"38"), None);
    }

    #[test]
    fn the_mount_id_is_read_from_fdinfo() {
        let text = b"pos:\t0\nflags:\t02300000\nmnt_id:\t36\nino:\t2\n";
        assert_eq!(mount_id(text), Some(&b"36"[..]));
        assert_eq!(mount_id(b"pos:\t0\n"), None);
    }
}
