//! Where power was lost since the last run, among the file systems that cannot bear it.
//!
//! Without a journal, what was not flushed must neither be kept nor removed after a power cut or an unplug.
//! After a killed process nothing of the kind is wrong. The two are told apart by what a run
//! notes in the manifest before it writes to such a file system: the boot, and the mount. While both are the
//! same nothing was lost; where they are not known, it may have been.

use crate::fs::{Fs, MountNo, found};
use crate::manifest::{Mounted, Store};
use crate::path::RelPath;

/// The mounted file systems without a journal on which the last run was cut off.
#[derive(Debug, Default)]
pub(super) struct PowerCuts {
    /// On the one that holds the manifest: then the records of the others were cut off as well.
    at_top: bool,
    below: Vec<MountNo>,
}

impl PowerCuts {
    /// What the manifest, just opened, and the system say of the time since the last run.
    pub(super) fn since_the_last_run<F: Fs>(fs: &F, store: &Store<F>) -> PowerCuts {
        let mut cuts = PowerCuts {
            at_top: store.was_cut(),
            below: Vec::new(),
        };
        if store.is_sealed() {
            return cuts;
        }
        for mounted in store.mounted() {
            let now = session(fs, &mounted.path);
            let mount = fs.mount_of_dir(&mounted.path);
            let is_same = now == Some((mounted.boot, mounted.mount));
            if mount != MountNo::default() && !is_same && !cuts.below.contains(&mount) {
                cuts.below.push(mount);
            }
        }
        cuts
    }

    /// Whether there was any.
    pub(super) fn any(&self) -> bool {
        self.at_top || !self.below.is_empty()
    }

    /// Whether there was one on the file system that holds a name.
    pub(super) fn hit<F: Fs>(&self, fs: &F, path: &RelPath) -> bool {
        if !self.any() {
            return false;
        }
        let mount = fs.mount_of(path);
        fs.rules(mount).lacks_journal && (self.at_top || self.below.contains(&mount))
    }
}

/// What is to be noted of a directory, if it is on a file system without a journal.
pub(super) fn noted<F: Fs>(fs: &F, path: &RelPath) -> Option<Mounted> {
    let lacks_journal = fs.rules(fs.mount_of_dir(path)).lacks_journal;
    let (boot, mount) = session(fs, path).unwrap_or_default();
    let path = path.clone();
    lacks_journal.then_some(Mounted { path, boot, mount })
}

/// What is to be noted of those that the last run wrote to, and of the one that holds the manifest.
pub(super) fn now_mounted<F: Fs>(fs: &F, store: &Store<F>) -> Vec<Mounted> {
    let mut paths = vec![RelPath::root()];
    let below = store.mounted().iter().map(|mounted| &mounted.path);
    paths.extend(below.filter(|path| !path.is_root()).cloned());
    // Whether they are mounted still is known once they were opened.
    paths.retain(|path| path.is_root() || matches!(found(fs.open_dir(path)), Ok(Some(_))));
    paths.iter().filter_map(|path| noted(fs, path)).collect()
}

fn session<F: Fs>(fs: &F, path: &RelPath) -> Option<([u8; 16], u64)> {
    match path.is_root() {
        true => fs.session(&fs.root()),
        false => fs.session(&fs.open_dir(path).ok()?),
    }
}
