//! What is mounted where, as the system tells it, and what should be.
//!
//! Where the system has no such lists, they are empty.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::{source, superblock, sys};

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// Which directory of the file system shows there; `/` but for bind mounts and subvolumes.
    pub root: PathBuf,
    /// Its type, such as `ext4`.
    pub fs_type: String,
    /// What it was mounted from, such as `/dev/sdb1`.
    pub source: PathBuf,
}

impl Mount {
    /// Whether it is on a block device of this machine.
    pub fn is_on_device(&self) -> bool {
        self.source.starts_with("/dev")
    }

    /// A path that this mount shows, as a path from the root of its file system.
    pub fn hide(&self, path: &Path) -> Option<PathBuf> {
        Some(join(&self.root, path.strip_prefix(&self.point).ok()?))
    }

    /// The path of a file system's directory `inside` as this mount shows it, if it does.
    pub fn show(&self, inside: &Path) -> Option<PathBuf> {
        let below = inside.strip_prefix(&self.root).ok()?;
        Some(join(&self.point, below))
    }

    /// The UUID of the file system: as the system's list of devices names it, or, where there is no such
    /// list, as its superblock does. Without a list, only root is told.
    pub fn uuid(&self) -> Option<String> {
        self.listed_uuid()
            .or_else(|| superblock::uuid(self.is_on_device().then_some(&*self.source)?).ok()?)
    }

    fn listed_uuid(&self) -> Option<String> {
        let number = |path: &Path| {
            let meta = fs::metadata(path).ok()?;
            meta.file_type().is_block_device().then(|| meta.rdev())
        };
        let own = number(&self.source)?;
        let listed = fs::read_dir("/dev/disk/by-uuid").ok()?.flatten();
        let mut same = listed.filter(|entry| number(&entry.path()) == Some(own));
        same.next()?.file_name().into_string().ok()
    }
}

/// `join` without the slash that an empty path adds.
fn join(path: &Path, below: &Path) -> PathBuf {
    match below.as_os_str().is_empty() {
        true => path.to_path_buf(),
        false => path.join(below),
    }
}

/// Everything that this process sees mounted, in the order it was mounted.
pub fn mounts() -> Vec<Mount> {
    parse(&fs::read("/proc/self/mountinfo").unwrap_or_default())
}

/// The mount that shows `path`, which is canonical: of those at the longest prefix the last.
pub fn mount_of<'a>(path: &Path, mounts: &'a [Mount]) -> Option<&'a Mount> {
    let over = mounts.iter().filter(|mount| path.starts_with(&mount.point));
    over.max_by_key(|mount| mount.point.as_os_str().len())
}

/// Whether a directory is on a device that can be pulled: on USB, a card, or what says so. Not where the
/// system does not tell.
pub fn is_removable(dir: &Path) -> bool {
    let device = fs::File::open(dir).and_then(|dir| sys::Device::below(&dir));
    device.is_ok_and(|device| device.is_removable())
}

/// Whether a path in `dir`, a directory in which drives are mounted, is on the file system of `dir` itself: no
/// drive is mounted there. One that is mounted at `dir` counts as a drive.
pub fn is_unmounted_in(path: &Path, dir: &Path) -> bool {
    let path = resolved(path);
    if path == dir || !path.starts_with(dir) {
        return false;
    }
    let device = |path: &Path| fs::metadata(path).ok().map(|stat| stat.dev());
    let of_dir = device(dir);
    let is_drive = dir.parent().is_none_or(|above| device(above) != of_dir);
    let there = path.ancestors().find_map(device);
    !is_drive && there == of_dir
}

/// The absolute path without symlinks of what may not be there, or not all of it.
pub fn resolved(path: &Path) -> PathBuf {
    let path = source::absolute(path);
    let real = path.ancestors().find_map(|above| {
        let real = source::canonicalize(above).ok()?;
        Some(join(&real, path.strip_prefix(above).ok()?))
    });
    real.unwrap_or(path)
}

/// The mount points that an fstab lists.
pub fn listed_in(fstab: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(parse_fstab(&fs::read(fstab)?))
}

fn parse(mountinfo: &[u8]) -> Vec<Mount> {
    let lines = mountinfo.split(|byte| *byte == b'\n');
    let mount = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ').skip(3);
        let (root, point) = (path(fields.next()?), path(fields.next()?));
        // Any number of tags stand before the lone dash.
        fields.find(|field| *field == b"-")?;
        Some(Mount {
            point,
            root,
            fs_type: String::from_utf8_lossy(fields.next()?).into_owned(),
            source: path(fields.next()?),
        })
    };
    lines.filter_map(mount).collect()
}

fn parse_fstab(text: &[u8]) -> Vec<PathBuf> {
    let lines = text.split(|byte| *byte == b'\n');
    let point = |line: &[u8]| {
        let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
        let mut fields = line.split(blank).filter(|field| !field.is_empty());
        let first = fields.next().filter(|field| field[0] != b'#')?;
        let point = path(fields.next()?);
        let fs_type = fields.next()?;
        // Swap and the like have no mount point.
        (!first.is_empty() && point.is_absolute() && fs_type != b"swap").then_some(point)
    };
    lines.filter_map(point).collect()
}

/// A field in which blanks and backslashes are written as three octal digits.
fn path(field: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(unescape(field)))
}

/// Takes back the escaping of mount tables.
pub(super) fn unescape(field: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        match after {
            [
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                behind @ ..,
            ] if *first == b'\\' => {
                text.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = behind;
            }
            _ => {
                text.push(*first);
                rest = after;
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
36 22 8:17 / /mnt/a\\040b rw,noatime shared:7 master:1 - exfat /dev/sdb1 rw
37 22 0:46 /@home /home rw - btrfs /dev/mapper/disk rw,subvol=/@home
38 22 8:33 / /mnt/a\\040b rw - ext4 /dev/sdc1 rw
cut off
39 22 0:47";

    #[test]
    fn a_path_is_shown_by_the_last_mount_at_its_longest_prefix() {
        let mounts = parse(MOUNTS);
        assert_eq!(mounts.len(), 4);
        let source = |path: &str| {
            let mount = mount_of(Path::new(path), &mounts).unwrap();
            mount.source.to_str().unwrap().to_string()
        };
        assert_eq!(source("/mnt/a b/c"), "/dev/sdc1");
        assert_eq!(source("/mnt/a bc"), "/dev/sda1");
        assert_eq!(source("/home/me"), "/dev/mapper/disk");
        assert!(mounts.iter().all(Mount::is_on_device));
    }

    #[test]
    fn a_directory_inside_is_shown_below_the_mount_point_or_not_at_all() {
        let mounts = parse(MOUNTS);
        let home = &mounts[2];
        assert_eq!(home.show(Path::new("/@home/me")), Some("/home/me".into()));
        assert_eq!(home.show(Path::new("/@home")), Some("/home".into()));
        assert_eq!(home.show(Path::new("/@other")), None);
    }

    #[test]
    fn fstab_lists_mount_points_and_not_swap() {
        let text = b"# a comment\n\nUUID=1 / ext4 defaults 0 1\n\
            LABEL=x\t/mnt/my\\040drive\texfat\tnoauto\n/swapfile none swap sw 0 0\n\
            UUID=2 swap swap sw\nhalf a line\n";
        let points = [PathBuf::from("/"), "/mnt/my drive".into()];
        assert_eq!(parse_fstab(text), points);
    }
}
