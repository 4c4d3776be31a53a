//! Repair under power cuts: a rotten file stays the rotten file or becomes the right one, whatever is
//! cut, and running the repair again ends with everything right.

use std::sync::Mutex;
use std::time::Duration;

use rustix::io::Errno;
use sprag::exit::Exit;
use sprag::fs::{Access, FlushBy, Fs, FsFile, FsMeta, Meta};
use sprag::path::RelPath;

use super::check::FLUSH_TAKES;
use super::engine::{self, DONE, End, Stop};
use super::source::{BLOCK, Source};
use super::tree::{self, Tree};
use crate::explore::{Budget, CrashState, Exploration, Explored, recorded};
use crate::sim::{Call, Disk, FaultPlan, Log, Replay, Rng, SimFs};

pub(super) const WHOLE: &str = "repairing";
pub(super) const EACH: &str = "repairing each";

/// They share the place of their source with the long exploration.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A quick run.
const QUICK: Budget = Budget {
    states: 400,
    time: Some(Duration::from_secs(8)),
};

struct Lab {
    source: Source,
    flush_by: FlushBy,
    good: Tree,
}

/// Flips a byte and gives the file back its times.
pub(crate) fn rot(fs: &SimFs, path: &str, offset: u64) {
    let path = RelPath::new(path).expect("a path");
    let (parent, name) = path.split().expect("a file");
    let dir = fs.open_dir(&parent).expect("a disk without faults");
    let stat = fs
        .stat(&dir, name)
        .expect("a disk without faults")
        .expect("a file");
    let file = fs
        .open(&dir, name, Access::Write)
        .expect("a disk without faults");
    let mut byte = [0];
    file.read_at(&mut byte, offset)
        .expect("a disk without faults");
    file.write_at(&[byte[0] ^ 1], offset)
        .expect("a disk without faults");
    let meta = Meta {
        times_ns: Some((stat.atime_ns, stat.mtime_ns)),
        ..Meta::default()
    };
    file.set_meta(&meta).expect("a disk without faults");
}

/// The disk as it is, all of it durable.
pub(crate) fn settle(fs: &SimFs) -> Disk {
    fs.sync_all().expect("a disk without faults");
    Replay::at_end(&fs.log()).disk(&[])
}

impl Lab {
    fn new(name: &str, flush_by: FlushBy) -> Lab {
        let source = Source::of(name);
        source.clear();
        source.file("large", 1, 9 * BLOCK + 77);
        source.file("d/small", 1, 5000);
        source.file("d/e/gone", 1, 2 * BLOCK);
        source.file("whole", 1, 3 * BLOCK);
        source.link("hard", "large");
        source.symlink("d/link", "small");
        for dir in ["d/e", "d", "."] {
            source.dir_time(dir);
        }
        let good = tree::of_source(&source.dir);
        Lab {
            source,
            flush_by,
            good,
        }
    }

    /// A disk with a copy that rotted since, and lost a directory and a link.
    fn rotten(&self) -> Disk {
        let fs = SimFs::new(self.flush_by);
        let end = engine::run(&fs, engine::options(&self.source.dir), Stop::Never);
        assert_eq!(end.exit, Exit::Done, "{}", end.describe());
        rot(&fs, "large", 3 * BLOCK as u64 + 5);
        rot(&fs, "large", 9 * BLOCK as u64 + 70);
        rot(&fs, "d/small", 17);
        let open = |path: &str| {
            let path = RelPath::new(path).expect("a path");
            fs.open_dir(&path).expect("a disk without faults")
        };
        let removed = fs
            .remove(&open("d/e"), b"gone")
            .and_then(|()| fs.remove_dir(&open("d"), b"e"))
            .and_then(|()| fs.remove(&open("d"), b"link"));
        removed.expect("a disk without faults");
        settle(&fs)
    }

    fn repair(&self, fs: &SimFs) -> End {
        engine::repair(fs, &self.source.dir)
    }

    fn is_good(&self, fs: &SimFs, end: &End, partials_may_stay: bool) -> Result<(), String> {
        if end.exit != Exit::Done || !end.said.is_empty() {
            return Err(end.describe());
        }
        let found = tree::of_disk(&fs.disk());
        tree::holds(&found.tree, &self.good)?;
        match found.partials.first() {
            Some(partial) if !partials_may_stay => Err(format!("{partial} is left")),
            _ => engine::verify(fs),
        }
    }

    fn check(&self, old: &Tree, state: CrashState<'_>) -> Result<(), String> {
        let found = tree::of_disk(&state.disk);
        // What was missing need not be there.
        tree::is_whole(&found.tree, &[old, &self.good], old)
            .map_err(|problem| format!("before the rerun: {problem}"))?;
        if state.marks.contains(&DONE) {
            tree::holds(&found.tree, &self.good)
                .map_err(|problem| format!("after success was reported: {problem}"))?;
        }
        let fs = SimFs::with_disk(state.disk, self.flush_by, Duration::ZERO);
        let mut dice = Rng::of(&[state.seed.cut as u64, state.seed.sub, 5]);
        if dice.chance(1, 4) {
            // Somebody copies first.
            let end = engine::run(&fs, engine::options(&self.source.dir), Stop::Never);
            if end.exit != Exit::Done {
                return Err(format!("a copy in between: {}", end.describe()));
            }
        }
        let mut end = self.repair(&fs);
        // Of a rename that left neither name, only the copy knows any more.
        let halved = state.seed.to_string().contains("half-renames");
        if halved {
            end = engine::run(&fs, engine::options(&self.source.dir), Stop::Never);
        }
        self.is_good(&fs, &end, halved)
            .map_err(|problem| format!("rerun: {problem}"))
    }

    fn record(&self, scenario: &str) -> Log {
        recorded(scenario, || {
            let fs = SimFs::with_disk(self.rotten(), self.flush_by, FLUSH_TAKES);
            let end = self.repair(&fs);
            let good = self.is_good(&fs, &end, false);
            good.expect("a repair that nothing disturbs");
            fs.log()
        })
    }
}

/// Cuts the power during a repair.
pub(super) fn explore(scenario: &'static str, budget: Budget) -> Explored {
    let _one = ONE_AT_A_TIME.lock();
    let flush_by = match scenario {
        EACH => FlushBy::Each,
        _ => FlushBy::Whole,
    };
    let lab = Lab::new(scenario, flush_by);
    let log = lab.record(scenario);
    let old = tree::of_disk(&log.base).tree;
    let exploration = Exploration::of(scenario, &log, budget);
    exploration.run(|state| lab.check(&old, state))
}

#[test]
fn a_repair_survives_power_cuts() {
    explore(WHOLE, QUICK).conclude();
}

#[test]
fn a_repair_survives_power_cuts_where_each_file_has_to_be_flushed() {
    explore(EACH, QUICK).conclude();
}

#[test]
fn only_bad_blocks_are_taken_from_the_source() {
    let lab = Lab::new("repairing blocks", FlushBy::Whole);
    let fs = SimFs::with_disk(lab.rotten(), lab.flush_by, Duration::ZERO);
    let end = lab.repair(&fs);
    lab.is_good(&fs, &end, false)
        .expect("a repair that nothing disturbs");
    let bad = (BLOCK + 77) + 5000 + 2 * BLOCK;
    assert_eq!(end.summary.bytes_copied, bad as u64);
    let again = lab.repair(&fs);
    assert_eq!(
        (again.summary.files_copied, again.summary.bytes_copied),
        (0, 0)
    );
}

#[test]
fn a_repair_that_finds_the_disk_full_loses_nothing_and_goes_on_when_there_is_room() {
    let lab = Lab::new("repairing a full disk", FlushBy::Whole);
    let disk = lab.rotten();
    let old = tree::of_disk(&disk).tree;
    let mount = || SimFs::with_disk(disk.clone(), lab.flush_by, Duration::ZERO);
    let fs = mount();
    lab.repair(&fs);
    let mut calls = fs.calls();
    calls.retain(|call, _| matches!(call, Call::FileWrite | Call::CreateNew | Call::MakeDir));
    let plans = FaultPlan::each(&calls, &[Errno::NOSPC]).filter(|plan| plan.forever);
    let mut full = 0;
    for plan in plans {
        let fs = mount();
        fs.fail(plan);
        let end = lab.repair(&fs);
        let checked = match end.exit {
            // The last writes are those of the manifest's copy, which may find no room.
            Exit::Done => Ok(()),
            Exit::Io => {
                full += 1;
                tree::is_whole(&tree::of_disk(&fs.disk()).tree, &[&old, &lab.good], &old)
            }
            _ => Err(end.describe()),
        };
        fs.heal();
        let again = lab.repair(&fs);
        let checked = checked.and_then(|()| lab.is_good(&fs, &again, false));
        checked.unwrap_or_else(|problem| panic!("{plan:?}: {problem}"));
    }
    assert!(full > 3, "{full}");
}
