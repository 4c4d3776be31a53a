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

    /// Shows a file in the place of another.
    pub(crate) fn bind_file(test: &str, file: &Path, at: &Path) -> Option<Mount> {
        Mount::over(test, &["--bind", file.to_str().unwrap()], at)
    }

    /// Shows the lower directory with what the upper one has over it.
    pub(crate) fn overlay(
        test: &str,
        [lower, upper, work]: [&Path; 3],
        at: &Path,
    ) -> Option<Mount> {
        let [lower, upper, work] = [lower, upper, work].map(Path::display);
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        Mount::new(test, &["-t", "overlay", "overlay", "-o", &options], at)
    }

    /// Shows directories as one, by mergerfs, which gives files numbers of their own.
    pub(crate) fn merged(test: &str, [one, other]: [&Path; 2], at: &Path) -> Option<Mount> {
        if !is_root_with(test, &["mergerfs"]) {
            return None;
        }
        let branches = format!("{}:{}", one.display(), other.display());
        // Names and attributes are cached for longer than any test takes.
        let options = "cache.entry=600,cache.attr=600";
        Mount::new(test, &["-t", "fuse.mergerfs", &branches, "-o", options], at)
    }

    fn new(test: &str, args: &[&str], at: &Path) -> Option<Mount> {
        std::fs::create_dir_all(at).unwrap();
        Mount::over(test, args, at)
    }

    /// Mounts over what is there.
    fn over(test: &str, args: &[&str], at: &Path) -> Option<Mount> {
        if !is_root_with(test, &["mount"]) {
            return None;
        }
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
