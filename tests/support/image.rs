//! A file system in an image, mounted through a loop device, that can be changed from below: what
//! stands on the medium is then not what the page cache holds.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{is_root_with, skip};

pub(crate) struct Image {
    pub(crate) file: PathBuf,
    pub(crate) mount: PathBuf,
    options: &'static str,
    _temp: tempfile::TempDir,
}

impl Image {
    /// Makes and mounts one. `None`: the machine does not let us, and the reason was told.
    pub(crate) fn new(
        test: &str,
        fs_type: &str,
        bytes: u64,
        options: &'static str,
    ) -> Option<Image> {
        Image::made_with(test, fs_type, bytes, &[], options)
    }

    /// The same, made with options of its mkfs.
    pub(crate) fn made_with(
        test: &str,
        fs_type: &str,
        bytes: u64,
        mkfs_options: &[&str],
        options: &'static str,
    ) -> Option<Image> {
        let mkfs = format!("mkfs.{fs_type}");
        if !is_root_with(test, &[&mkfs, "mount"]) {
            return None;
        }
        let temp = tempfile::tempdir().unwrap();
        let (file, mount) = (temp.path().join("image"), temp.path().join("mount"));
        fs::create_dir(&mount).unwrap();
        fs::File::create(&file).unwrap().set_len(bytes).unwrap();
        let mut mkfs = Command::new(mkfs);
        tool(mkfs.arg("-q").args(mkfs_options).arg(&file)).unwrap();
        let image = Image {
            file,
            mount,
            options,
            _temp: temp,
        };
        match image.mount_with("") {
            Ok(()) => Some(image),
            Err(why) => {
                skip(test, &format!("to mount a loop image of {fs_type}: {why}"));
                None
            }
        }
    }

    fn mount_with(&self, more: &str) -> Result<(), String> {
        let options = ["loop", self.options, more];
        let options: Vec<&str> = options.into_iter().filter(|o| !o.is_empty()).collect();
        let mut mount = Command::new("mount");
        mount.arg("-o").arg(options.join(","));
        tool(mount.arg(&self.file).arg(&self.mount))
    }

    /// Unmounts and mounts again with further options; the page cache knows nothing afterwards.
    pub(crate) fn mount_again(&self, more: &str) {
        tool(Command::new("umount").arg(&self.mount)).unwrap();
        self.mount_with(more).unwrap();
    }

    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.mount.join(path)
    }

    /// How many reads its block device has answered.
    pub(crate) fn reads(&self) -> u64 {
        let mut losetup = Command::new("losetup");
        losetup.args(["--noheadings", "--output", "NAME", "--associated"]);
        let named = losetup.arg(&self.file).output().unwrap();
        let named = String::from_utf8(named.stdout).unwrap();
        let name = named.trim().rsplit('/').next().unwrap().to_string();
        assert!(!name.is_empty(), "it is on a loop device");
        let stat = fs::read_to_string(format!("/sys/block/{name}/stat")).unwrap();
        stat.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Where in the image these bytes, which must be flushed and unique, begin.
    pub(crate) fn find(&self, bytes: &[u8]) -> u64 {
        let image = fs::read(&self.file).unwrap();
        let mut found = image
            .chunks(512)
            .enumerate()
            .filter(|(_, sector)| sector.starts_with(&bytes[..512.min(bytes.len())]));
        let (sector, _) = found.next().expect("the content is in the image");
        assert!(found.next().is_none(), "the content is there twice");
        sector as u64 * 512
    }

    /// Changes bytes of the medium below the file system, which takes no notice.
    pub(crate) fn change(&self, offset: u64, change: impl FnOnce(&mut [u8]), len: usize) {
        let file = fs::File::options()
            .read(true)
            .write(true)
            .open(&self.file)
            .unwrap();
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, offset).unwrap();
        change(&mut bytes);
        file.write_all_at(&bytes, offset).unwrap();
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = tool(Command::new("umount").arg("--lazy").arg(&self.mount));
    }
}

/// Runs a command to its end. What it complained about, if it failed.
pub(crate) fn tool(command: &mut Command) -> Result<(), String> {
    let output = command.output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_string()),
    }
}
