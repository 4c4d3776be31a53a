//! Where power was lost since the last run, among the file systems that cannot bear it.
//!
//! Without a journal, what was not flushed must neither be kept nor removed after a power cut or an unplug.
//! After a killed process nothing of the kind is wrong. The two are told apart by what a run
//! notes in the manifest before it writes to such a file system: the boot, and the mount. While both are the
//! same nothing was lost; where they are not known, it may have been.

use crate::fs::{Fs, MountNo, found};
use crate::manifest::{Mounted, Store};
use crate::path::RelPath;

/// The mounted file systems without a journal on which power was lost.
#[derive(Debug, Default)]
pub(super) struct PowerCuts {
    /// Where the last run was cut off.
    hit: Mounts,
    /// Where any run was, and `sprag clean` was not run since: what is left over may lie in space that was
    /// given to others, which to remove it would take from them.
    unchecked: Mounts,
}

/// Some of the mounted file systems at the destination.
#[derive(Debug, Default)]
struct Mounts {
    /// The one that holds the manifest: its records were cut off with it, also those of the others.
    at_top: bool,
    below: Vec<MountNo>,
}

impl Mounts {
    fn any(&self) -> bool {
        self.at_top || !self.below.is_empty()
    }

    fn insert(&mut self, mount: MountNo) {
        if mount == MountNo::default() {
            self.at_top = true;
        } else if !self.below.contains(&mount) {
            self.below.push(mount);
        }
    }

    fn include(&self, mount: MountNo) -> bool {
        self.at_top || self.below.contains(&mount)
    }

    /// Whether they include the one that holds a name, and that lacks a journal.
    fn hold<F: Fs>(&self, fs: &F, path: &RelPath) -> bool {
        if !self.any() {
            return false;
        }
        let mount = fs.mount_of(path);
        fs.rules(mount).lacks_journal && self.include(mount)
    }
}

impl PowerCuts {
    /// What the manifest, just opened, and the system say of the time since the last run. `unfinished`:
    /// that did not come to its end.
    pub(super) fn since_the_last_run<F: Fs>(
        fs: &F,
        store: &Store<F>,
        unfinished: bool,
    ) -> PowerCuts {
        let mut cuts = PowerCuts::default();
        // Where more were written to than can be noted, those that are not count as cut off.
        let not_all_noted = store.mounted().len() == Mounted::KEPT_MAX && !store.is_sealed();
        if store.was_cut() || not_all_noted {
            cuts.note(MountNo::default());
        }
        for mounted in store.mounted() {
            if store.is_sealed() && !mounted.unchecked {
                continue;
            }
            let is_top = mounted.path.is_root();
            // Opening it tells what is mounted there.
            let is_same = session(fs, &mounted.path) == Some((mounted.boot, mounted.mount));
            let mount = fs.mount_of_dir(&mounted.path);
            if is_top != (mount == MountNo::default()) {
                continue;
            }
            if mounted.unchecked && unfinished || !is_top && !store.is_sealed() && !is_same {
                cuts.note(mount);
            } else if mounted.unchecked {
                cuts.unchecked.insert(mount);
            }
        }
        cuts
    }

    fn note(&mut self, mount: MountNo) {
        self.hit.insert(mount);
        self.unchecked.insert(mount);
    }

    /// Whether the last run was cut off anywhere.
    pub(super) fn any(&self) -> bool {
        self.hit.any()
    }

    /// Whether it was on the file system that holds a name.
    pub(super) fn hit<F: Fs>(&self, fs: &F, path: &RelPath) -> bool {
        self.hit.hold(fs, path)
    }

    /// Whether what is left over beside a name must not be removed.
    pub(super) fn keeps_left_overs<F: Fs>(&self, fs: &F, path: &RelPath) -> bool {
        self.unchecked.hold(fs, path)
    }

    /// What is to be noted of a directory, if it is on a file system without a journal.
    pub(super) fn noted<F: Fs>(&self, fs: &F, path: &RelPath) -> Option<Mounted> {
        let number = fs.mount_of_dir(path);
        if !fs.rules(number).lacks_journal {
            return None;
        }
        let (boot, mount) = session(fs, path).unwrap_or_default();
        Some(Mounted {
            path: path.clone(),
            boot,
            mount,
            unchecked: self.unchecked.include(number),
        })
    }

    /// What is to be noted of those that the last run wrote to, and of the one that holds the manifest; at most
    /// [`Mounted::KEPT_MAX`]. One that is not mounted now keeps what was noted, if it has to be checked.
    pub(super) fn now_mounted<F: Fs>(&self, fs: &F, store: &Store<F>) -> Vec<Mounted> {
        let mut noted: Vec<Mounted> = self.noted(fs, &RelPath::root()).into_iter().collect();
        for mounted in store.mounted().iter().filter(|it| !it.path.is_root()) {
            // Whether it is mounted still is known once it was opened.
            let is_there = matches!(found(fs.open_dir(&mounted.path)), Ok(Some(_)));
            let now = match is_there {
                true => self.noted(fs, &mounted.path),
                false => None,
            };
            noted.extend(now.or_else(|| mounted.unchecked.then(|| mounted.clone())));
        }
        noted.truncate(Mounted::KEPT_MAX);
        noted
    }
}

fn session<F: Fs>(fs: &F, path: &RelPath) -> Option<([u8; 16], u64)> {
    match path.is_root() {
        true => fs.session(&fs.root()),
        false => fs.session(&fs.open_dir(path).ok()?),
    }
}
