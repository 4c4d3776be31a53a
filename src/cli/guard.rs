//! Guards against writing where the drive should be and is not, and waiting until it is there.

use std::path::{Path, PathBuf};

use clap::Args;
use sprag::error::{Error, SetupError};
use sprag::fs::mounts;
use sprag::{CopyOptions, Wait};

use super::remembered::Remembered;
use super::units;

const RESUME: &str = "Resume and durability";
/// The directories in which drives are mounted, by hand or by the desktop.
const DRIVE_DIRS: [&str; 3] = ["/media", "/mnt", "/run/media"];
/// What util-linux takes as the path of another fstab.
const FSTAB_VARIABLE: &str = "LIBMOUNT_FSTAB";

/// Flags about drives that are not there.
#[derive(Debug, Args)]
pub(crate) struct Guards {
    /// Wait for a drive that is gone, for DURATION or until it is back, and go on
    ///
    /// The destination is known again by its manifest, at the same path or at another mount point; a
    /// source by its path. At the start it is waited for a destination that an earlier run knew.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true,
        default_missing_value = "forever", value_parser = parse_wait, help_heading = RESUME)]
    pub(crate) wait: Option<Wait>,

    /// Begin afresh where an earlier copy was and is no more
    ///
    /// Without it such a destination is refused: its drive may not be mounted.
    #[arg(long, conflicts_with = "require_manifest", help_heading = RESUME)]
    pub(crate) new: bool,

    /// Do not ask whether drives should be mounted where DEST and the SOURCEs are
    ///
    /// Without it, a place is refused that is below a mount point of /etc/fstab at which nothing is mounted, or
    /// on the system disk in a directory for drives: /media, /mnt, /run/media. So is a SOURCE that the last run
    /// copied from and that is empty now, or, with --delete, that is on another file system and lacks more than
    /// half of what was copied from it.
    #[arg(long, help_heading = RESUME)]
    pub(crate) no_mount_check: bool,
}

/// Whose state is believed.
#[derive(Debug, Args)]
pub(crate) struct Trust {
    /// Believe the state in DEST, whoever can have written it
    ///
    /// Without it, `.sprag` has to belong to you or to root, and nobody else may write it: what it says
    /// decides what is compared, replaced and removed. For drives that several people copy to.
    #[arg(long)]
    pub(crate) trust_state: bool,
}

impl Guards {
    /// Sets the options that follow, and refuses a destination whose drive is not mounted.
    pub(crate) fn apply(
        &self,
        options: &mut CopyOptions,
        remembered: &Remembered,
    ) -> Result<(), Error> {
        options.wait = self.wait;
        options.any_source = self.no_mount_check;
        if !self.new {
            options.known = remembered.look_up(&options.dest);
        }
        if self.no_mount_check {
            return Ok(());
        }
        let waits = options.wait.is_some() && !options.known.is_empty();
        // Who waits for a manifest writes nothing without it.
        let dest = (!waits).then_some(&options.dest);
        must_be_mounted(dest.into_iter().chain(&options.sources))
    }
}

/// Refuses places where a drive should be mounted, and none is.
pub(crate) fn must_be_mounted<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Result<(), Error> {
    let fstab = std::env::var_os(FSTAB_VARIABLE).unwrap_or_else(|| "/etc/fstab".into());
    let listed = mounts::listed_in(Path::new(&fstab)).unwrap_or_default();
    let mounted: Vec<PathBuf> = mounts::mounts().into_iter().map(|m| m.point).collect();
    for path in paths {
        if let Some(point) = unmounted(path, &listed, &mounted) {
            let path = path.clone();
            return Err(SetupError::NotMounted { path, point }.into());
        }
        let on_system_disk = |dir: &&Path| mounts::is_unmounted_in(path, dir);
        if let Some(dir) = DRIVE_DIRS.iter().map(Path::new).find(on_system_disk) {
            let (path, dir) = (path.clone(), dir.to_path_buf());
            return Err(SetupError::NoDrive { path, dir }.into());
        }
    }
    Ok(())
}

/// The mount point over a path that is listed and not mounted.
fn unmounted(path: &Path, listed: &[PathBuf], mounted: &[PathBuf]) -> Option<PathBuf> {
    let by_name = sprag::fs::source::absolute(path);
    let real = mounts::resolved(path);
    let over = |point: &&PathBuf| by_name.starts_with(point) || real.starts_with(point);
    let missing = |point: &&PathBuf| !mounted.contains(point);
    listed.iter().filter(over).find(missing).cloned()
}

fn parse_wait(text: &str) -> Result<Wait, String> {
    match text {
        "forever" => Ok(Wait::Forever),
        text => units::parse_interval(text).map(Wait::For),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_listed_mount_point_over_the_destination_has_to_be_mounted() {
        let listed = ["/", "/nowhere/drive"].map(PathBuf::from);
        let all = ["/", "/nowhere/drive"].map(PathBuf::from);
        let root_only = &all[..1];
        let check = |dest: &str, mounted: &[PathBuf]| unmounted(Path::new(dest), &listed, mounted);
        assert_eq!(check("/nowhere/drive/a", &all), None);
        assert_eq!(check("/nowhere/drive/a", root_only), Some(all[1].clone()));
        assert_eq!(check("/nowhere/drive", root_only), Some(all[1].clone()));
        assert_eq!(check("/nowhere/driver", root_only), None);
        assert_eq!(check("/nowhere", root_only), None);
    }

    #[test]
    fn a_wait_is_for_ever_or_for_a_duration() {
        assert_eq!(parse_wait("forever"), Ok(Wait::Forever));
        assert_eq!(parse_wait("2m"), Ok(Wait::For(Duration::from_secs(120))));
        assert!(parse_wait("soon").is_err());
    }
}
