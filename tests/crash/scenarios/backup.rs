//! The copy of the manifest under power cuts: wherever a run is cut, a manifest that rots afterwards is
//! survived by its copy, if one was ever written; and after success there always is one.

use std::sync::Mutex;
use std::time::Duration;

use sprag::exit::Exit;
use sprag::fs::{Access, Fs, FsFile, FsMeta};
use sprag::path::RelPath;

use super::cases::Case;
use super::engine::{self, DONE, Stop};
use super::tree;
use crate::explore::{Budget, CrashState, Exploration, Explored};
use crate::sim::SimFs;

/// Flips a byte of the first record. `false`: there is no such byte.
fn rot_manifest(fs: &SimFs) -> bool {
    const AT: u64 = 4096 + 13;
    let Ok(dir) = fs.open_dir(&RelPath::state_dir()) else {
        return false;
    };
    let Ok(file) = fs.open(&dir, b"manifest", Access::Write) else {
        return false;
    };
    let mut byte = [0];
    let have = file.read_at(&mut byte, AT).expect("a disk without faults");
    have == 1 && file.write_at(&[byte[0] ^ 4], AT).is_ok()
}

fn has_copy(fs: &SimFs) -> bool {
    let dir = fs.open_dir(&RelPath::state_dir());
    dir.is_ok_and(|dir| {
        fs.stat(&dir, b"manifest.bak")
            .is_ok_and(|stat| stat.is_some())
    })
}

pub(super) const WHOLE: &str = "backed up";
pub(super) const EACH: &str = "backed up each";
pub(super) const GROWN: &str = "backed up again";
pub(super) const COMPACTED: &str = "backed up and compacted";

/// They share the place of their source with the long exploration.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A quick run.
const QUICK: Budget = Budget {
    states: 250,
    time: Some(Duration::from_secs(6)),
};

/// Cuts the power during a copy, then has the manifest rot.
pub(super) fn explore(scenario: &'static str, budget: Budget) -> Explored {
    let _one = ONE_AT_A_TIME.lock();
    let name = match scenario {
        EACH => "overwriting each",
        // There is a copy already, to which is appended.
        GROWN => "metadata mends",
        COMPACTED => "compacting",
        _ => "overwriting",
    };
    let case = Case::named(name, scenario);
    let (log, expected) = case.recorded();
    let exploration = Exploration::of(scenario, &log, budget);
    let check = |state: CrashState<'_>| {
        let fs = SimFs::with_disk(state.disk, case.flush_by, Duration::ZERO);
        let copy = has_copy(&fs);
        if state.marks.contains(&DONE) && !copy {
            return Err("success was reported, and there is no copy of the manifest".into());
        }
        if !rot_manifest(&fs) {
            return Ok(());
        }
        let end = expected.run(&fs, Stop::Never);
        match end.exit {
            // Nothing vouched for the record that rotted, or there was nothing to fall back on.
            Exit::BadManifest if !copy => return Ok(()),
            Exit::Done => {}
            _ => return Err(end.describe()),
        }
        let found = tree::of_disk(&fs.disk());
        tree::holds(&found.tree, &expected.after)?;
        engine::verify(&fs)
    };
    exploration.run(check)
}

#[test]
fn a_manifest_that_rots_after_a_power_cut_is_survived_by_its_copy() {
    explore(WHOLE, QUICK).conclude();
}

#[test]
fn a_copy_that_was_being_appended_to_stands_in_all_the_same() {
    explore(GROWN, QUICK).conclude();
}

#[test]
fn a_manifest_that_rots_right_after_it_was_compacted_is_survived_by_its_copy() {
    explore(COMPACTED, QUICK).conclude();
}

#[test]
fn the_copy_is_there_where_each_file_has_to_be_flushed_too() {
    explore(EACH, QUICK).conclude();
}
