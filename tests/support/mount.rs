//! A file system that comes and goes while a program runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::image::tool;
use super::{is_root_with, skip};

/// Something mounted at a directory, until it is dropped.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Mounts an empty file system in memory. `None`: the machine does not let us, and the reason was
    /// told.
    pub(crate) fn tmpfs(test: &str, at: &Path) -> Option<Mount> {
        Mount::new(test, &["-t", "tmpfs", "tmpfs"], at)
    }

    /// Shows a directory in another place.
    pub(crate) fn bind(test: &str, dir: &Path, at: &Path) -> Option<Mount> {
        Mount::new(test, &["--bind", dir.to_str().unwrap()], at)
    }

    fn new(test: &str, args: &[&str], at: &Path) -> Option<Mount> {
        if !is_root_with(test, &["mount"]) {
            return None;
        }
        std::fs::create_dir_all(at).unwrap();
        match tool(Command::new("mount").args(args).arg(at)) {
            Ok(()) => Some(Mount(at.to_path_buf())),
            Err(why) => {
                skip(test, &format!("to mount at {}: {why}", at.display()));
                None
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = tool(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}
