//! What sysfs says of the block device below a file system: whether it is still there, and whether it
//! has to seek.
//!
//! The devices are noted while all is well and looked for later. A device that maps others
//! (encryption, LVM) outlives them, so its lowest ones are noted too. What is not noticed: a
//! device that still exists but answers no more, and one leg of several that is missing.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, fstat, fstatfs, major, minor};
use rustix::io::Errno;

use super::mountinfo;

/// Mapped devices stand on others at most this deep; a bound, not a limit of the system.
const DEPTH_MAX: usize = 8;

/// The devices below an open directory.
#[derive(Debug)]
pub(crate) struct Device {
    /// The one the file system is on, if it is on one and sysfs shows it.
    own: Option<PathBuf>,
    /// The ones that it stands on in the end; itself where it maps no other.
    lowest: Vec<PathBuf>,
}

impl Device {
    /// Finds the devices below `root`.
    pub(crate) fn below(root: impl AsFd) -> io::Result<Device> {
        let dev = fstat(&root)?.st_dev;
        let number = if major(dev) == 0 {
            // Not the number of a device: btrfs and others make one up for each mount.
            mounted_device(&root)
        } else {
            Some(dev)
        };
        let own = number
            .map(|dev| PathBuf::from(format!("/sys/dev/block/{}:{}", major(dev), minor(dev))))
            .filter(|path| path.exists());
        let mut lowest = Vec::new();
        if let Some(own) = &own {
            find_lowest(own.clone(), DEPTH_MAX, &mut lowest);
        }
        Ok(Device { own, lowest })
    }

    /// Whether any of the lowest ones has to seek. Where the system does not say, as of a share of
    /// another machine, none does.
    pub(crate) fn seeks(&self) -> bool {
        self.lowest.iter().any(|device| is_rotational(device))
    }

    /// Whether any of the lowest ones can be pulled, as far as the system says.
    pub(crate) fn is_removable(&self) -> bool {
        self.lowest.iter().any(|device| is_removable(device))
    }

    /// Whether the file system of `root` is no longer mounted anywhere that this process sees: it
    /// was unmounted lazily, as systems do with a drive that vanished. As long as handles are open
    /// such a file system may go on working, so this matters only after an error.
    pub(crate) fn detached(root: impl AsFd) -> bool {
        let fd = root.as_fd().as_raw_fd();
        let fdinfo = fs::read(format!("/proc/self/fdinfo/{fd}"));
        let mounts = fs::read("/proc/self/mountinfo");
        match (fdinfo, mounts) {
            (Ok(fdinfo), Ok(mounts)) => {
                mountinfo::mount_id(&fdinfo).is_some_and(|id| !mountinfo::has_mount(&mounts, id))
            }
            _ => false,
        }
    }

    /// Whether they are gone, or `root` answers as if they were.
    pub(crate) fn gone(&self, root: impl AsFd) -> bool {
        let missing = |path: &PathBuf| matches!(fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound);
        self.own.as_ref().is_some_and(missing)
            || (!self.lowest.is_empty() && self.lowest.iter().all(missing))
            || look(root).is_err_and(says_gone)
    }
}

/// Whether the device of this directory of sysfs says so. A partition has no queue of its own but
/// its disk's, whose directory it is in.
fn is_rotational(device: &Path) -> bool {
    let said = ["queue/rotational", "../queue/rotational"]
        .iter()
        .find_map(|file| fs::read(device.join(file)).ok());
    said.is_some_and(|said| said.trim_ascii() == b"1")
}

/// Whether the device of this directory of sysfs can be pulled. It, or what it hangs on, says so; if nothing
/// does, what hangs on USB can be, and so can a card.
fn is_removable(device: &Path) -> bool {
    let Ok(device) = fs::canonicalize(device) else {
        return false;
    };
    let said = device.ancestors().find_map(|above| {
        let said = fs::read_to_string(above.join("removable")).ok()?;
        match said.trim() {
            "1" | "removable" => Some(true),
            "fixed" => Some(false),
            // A disk of its own that does not come out of its drive; an unknown port.
            _ => None,
        }
    });
    said.unwrap_or_else(|| {
        let parts = device
            .components()
            .filter_map(|part| part.as_os_str().to_str());
        parts.into_iter().any(|part| {
            ["usb", "mmc", "memstick"].iter().any(|bus| {
                let number = part.strip_prefix(bus);
                number
                    .is_some_and(|number| number.starts_with(|first: char| first.is_ascii_digit()))
            })
        })
    })
}

/// Calls that need an answer from the file system, and change nothing.
fn look(root: impl AsFd) -> Result<(), Errno> {
    fstatfs(&root)?;
    match Dir::read_from(&root)?.read() {
        Some(Err(errno)) => Err(errno),
        _ => Ok(()),
    }
}

fn says_gone(errno: Errno) -> bool {
    // The last two are FUSE without its daemon.
    matches!(
        errno,
        Errno::NODEV | Errno::NXIO | Errno::STALE | Errno::NOTCONN | Errno::CONNABORTED
    )
}

/// The number of the device that the mount of `root` names as its source.
fn mounted_device(root: impl AsFd) -> Option<u64> {
    let fd = root.as_fd().as_raw_fd();
    let fdinfo = fs::read(format!("/proc/self/fdinfo/{fd}")).ok()?;
    let mounts = fs::read("/proc/self/mountinfo").ok()?;
    let source = mountinfo::device_of_mount(&mounts, mountinfo::mount_id(&fdinfo)?)?;
    let metadata = fs::metadata(source).ok()?;
    metadata
        .file_type()
        .is_block_device()
        .then(|| metadata.rdev())
}

/// Follows `slaves` directories down. Each entry leads to another device's directory.
fn find_lowest(device: PathBuf, depth: usize, lowest: &mut Vec<PathBuf>) {
    let below: Vec<PathBuf> = fs::read_dir(device.join("slaves"))
        .into_iter()
        .flatten()
        .flatten()
        // The link itself stays until the mapping is taken down; the number is what vanishes.
        .filter_map(|entry| fs::read_to_string(entry.path().join("dev")).ok())
        .map(|number| PathBuf::from(format!("/sys/dev/block/{}", number.trim())))
        .collect();
    if below.is_empty() || depth == 0 {
        lowest.push(device);
    } else {
        for path in below {
            find_lowest(path, depth - 1, lowest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_gone_when_its_own_entry_or_all_of_its_lowest_are() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::File::open(dir.path()).unwrap();
        let here = dir.path().join("here");
        let missing = dir.path().join("missing");
        fs::write(&here, "").unwrap();
        let gone = |own: Option<&PathBuf>, lowest: &[&PathBuf]| {
            let device = Device {
                own: own.cloned(),
                lowest: lowest.iter().map(|path| (*path).clone()).collect(),
            };
            device.gone(&root)
        };
        assert!(!gone(None, &[]));
        assert!(!gone(Some(&here), &[&here]));
        assert!(gone(Some(&missing), &[&missing]));
        assert!(gone(Some(&here), &[&missing]));
        assert!(!gone(Some(&here), &[&here, &missing]));
    }

    #[test]
    fn it_seeks_when_one_of_the_lowest_devices_or_the_disk_of_a_partition_says_so() {
        let sys = tempfile::tempdir().unwrap();
        let disk = |name: &str, says: Option<&str>| {
            let disk = sys.path().join(name);
            fs::create_dir_all(disk.join("queue")).unwrap();
            if let Some(says) = says {
                fs::write(disk.join("queue/rotational"), says).unwrap();
            }
            disk
        };
        let spinning = disk("sda", Some("1\n"));
        let flash = disk("nvme0n1", Some("0\n"));
        let silent = disk("nbd0", None);
        // As in /sys/dev/block: a link to the partition's directory in the disk's.
        fs::create_dir(spinning.join("sda1")).unwrap();
        let partition = sys.path().join("8:1");
        std::os::unix::fs::symlink(spinning.join("sda1"), &partition).unwrap();
        let seeks = |lowest: &[&PathBuf]| {
            let device = Device {
                own: None,
                lowest: lowest.iter().map(|path| (*path).clone()).collect(),
            };
            device.seeks()
        };
        assert!(seeks(&[&spinning]));
        assert!(seeks(&[&partition]));
        assert!(seeks(&[&flash, &partition]));
        assert!(!seeks(&[&flash]));
        assert!(!seeks(&[&silent]));
        assert!(!seeks(&[]));
    }

    #[test]
    fn a_device_can_be_pulled_if_it_or_its_port_says_so_or_it_hangs_on_usb() {
        let sys = tempfile::tempdir().unwrap();
        let disk = |path: &str, says: &[(&str, &str)]| {
            let disk = sys.path().join(path);
            fs::create_dir_all(&disk).unwrap();
            for (at, text) in says {
                fs::write(sys.path().join(at).join("removable"), text).unwrap();
            }
            is_removable(&disk)
        };
        assert!(!disk(
            "pci0/ata1/block/sda/sda1",
            &[("pci0/ata1/block/sda", "0\n")]
        ));
        assert!(disk(
            "pci0/usb1/1-2/block/sdb",
            &[("pci0/usb1/1-2/block/sdb", "0\n")]
        ));
        assert!(!disk(
            "pci0/usb2/2-1/block/sdc",
            &[("pci0/usb2/2-1", "fixed\n")]
        ));
        assert!(disk("pci1/nvme0/block/nvme0n1", &[("pci1", "removable\n")]));
        assert!(disk("pci2/block/sr0", &[("pci2/block/sr0", "1\n")]));
        assert!(disk("soc/mmc0/block/mmcblk0", &[]));
        assert!(!disk("virtual/block/loop0", &[]));
        assert!(!is_removable(&sys.path().join("none")));
    }

    #[test]
    fn the_errors_of_a_lost_device_are_told_from_others() {
        assert!(says_gone(Errno::NODEV));
        assert!(says_gone(Errno::NOTCONN));
        assert!(!says_gone(Errno::IO));
        assert!(!says_gone(Errno::ROFS));
    }
}
