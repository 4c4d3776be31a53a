//! exFAT, NTFS and FAT32 by their FUSE drivers, in images. The first two have to stand on a block
//! device, so this needs root, loop devices and /dev/fuse.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::image::tool;
use super::{is_root_with, skip};

const FAT: &str = "fusefat";

pub(crate) struct FuseImage {
    pub(crate) mount: PathBuf,
    driver: &'static str,
    temp: tempfile::TempDir,
}

impl FuseImage {
    /// `None`: the machine does not let us, and the reason was told.
    pub(crate) fn exfat(test: &str) -> Option<FuseImage> {
        FuseImage::new(test, &["mkfs.exfat"], "exfat-fuse")
    }

    /// FAT32. `None`: the machine does not let us, and the reason was told.
    pub(crate) fn fat(test: &str) -> Option<FuseImage> {
        FuseImage::new(test, &["mkfs.vfat", "-F", "32"], FAT)
    }

    /// `None`: the machine does not let us, and the reason was told.
    pub(crate) fn ntfs(test: &str) -> Option<FuseImage> {
        FuseImage::new(test, &["mkfs.ntfs", "-Q", "-F"], "ntfs-3g")
    }

    fn new(test: &str, mkfs: &[&str], driver: &'static str) -> Option<FuseImage> {
        if !Path::new("/dev/fuse").exists() {
            skip(test, "/dev/fuse");
            return None;
        }
        let helper = match driver {
            FAT => driver.to_string(),
            _ => format!("mount.{driver}"),
        };
        if !is_root_with(test, &[mkfs[0], &helper, "mount"]) {
            return None;
        }
        let temp = tempfile::tempdir().unwrap();
        let (file, mount) = (temp.path().join("image"), temp.path().join("mount"));
        fs::create_dir(&mount).unwrap();
        fs::File::create(&file).unwrap().set_len(64 << 20).unwrap();
        tool(Command::new(mkfs[0]).args(&mkfs[1..]).arg(&file)).unwrap();
        let image = FuseImage {
            mount,
            driver,
            temp,
        };
        match image.mounted() {
            Ok(()) => Some(image),
            Err(why) => {
                skip(test, &format!("to mount an image with {driver}: {why}"));
                None
            }
        }
    }

    fn mounted(&self) -> Result<(), String> {
        let mut mount = match self.driver {
            // It takes the image itself, and has to be told that it is to be written.
            FAT => Command::new(FAT),
            _ => Command::new("mount"),
        };
        match self.driver {
            FAT => mount.args(["-o", "rw+"]),
            driver => mount.args(["-t", driver, "-o", "loop"]),
        };
        tool(mount.arg(self.temp.path().join("image")).arg(&self.mount))
    }

    /// Unmounts and mounts again: what is there now is what is on the medium.
    pub(crate) fn mount_again(&self) {
        tool(Command::new("umount").arg(&self.mount)).unwrap();
        self.mounted().unwrap();
    }

    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.mount.join(path)
    }
}

impl Drop for FuseImage {
    fn drop(&mut self) {
        let _ = tool(Command::new("umount").arg("--lazy").arg(&self.mount));
    }
}
