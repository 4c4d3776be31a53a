//! Rebuilding a manifest under power cuts: wherever it is cut, there is the old state or a whole new
//! manifest, and that never calls good what is not as at the source, or was not durable.

use std::sync::Arc;
use std::time::Duration;

use sprag::event::{VerifyEvent, VerifySummary};
use sprag::exit::Exit;
use sprag::fs::{Access, FlushBy, Fs, FsFile, FsMeta};
use sprag::path::RelPath;
use sprag::{VerifyOptions, VerifyRun};

use super::check::FLUSH_TAKES;
use super::engine::{self, DEST, DONE, Stop};
use super::repair::{rot, settle};
use super::source::{BLOCK, Source, content};
use super::tree::{self, Tree};
use crate::explore::{Budget, CrashState, Exploration, recorded};
use crate::sim::{Disk, SimFs};

const STATES: Budget = Budget {
    states: 400,
    time: Some(Duration::from_secs(8)),
};

/// What became of the manifest that was there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Old {
    Lost,
    Damaged,
}

struct Lab {
    source: Source,
    flush_by: FlushBy,
    old: Old,
    good: Tree,
}

fn state(fs: &SimFs) -> <SimFs as FsMeta>::Dir {
    let opened = fs.open_dir(&RelPath::state_dir());
    opened.expect("a state directory")
}

fn has(fs: &SimFs, name: &[u8]) -> bool {
    let dir = fs.open_dir(&RelPath::state_dir());
    dir.is_ok_and(|dir| fs.stat(&dir, name).is_ok_and(|stat| stat.is_some()))
}

impl Lab {
    fn new(name: &str, flush_by: FlushBy, old: Old) -> Lab {
        let source = Source::of(name);
        source.clear();
        source.file("large", 1, 9 * BLOCK + 77);
        source.file("d/small", 1, 5000);
        source.file("d/rotten", 1, 3 * BLOCK);
        source.file("late", 1, 2 * BLOCK + 5);
        source.link("hard", "large");
        source.symlink("d/link", "small");
        for dir in ["d", "."] {
            source.dir_time(dir);
        }
        let good = tree::of_source(&source.dir);
        Lab {
            source,
            flush_by,
            old,
            good,
        }
    }

    /// A disk with a copy of which a file rotted, another is gone, and the manifest too.
    fn base(&self) -> Disk {
        let fs = SimFs::new(self.flush_by);
        let end = engine::run(&fs, engine::options(&self.source.dir), Stop::Never);
        assert_eq!(end.exit, Exit::Done, "{}", end.describe());
        rot(&fs, "d/rotten", BLOCK as u64 + 5);
        fs.remove(&fs.root(), b"late").expect("it was copied");
        for name in [&b"manifest"[..], b"manifest.bak"] {
            match self.old {
                Old::Lost => fs.remove(&state(&fs), name).expect("it is there"),
                Old::Damaged => {
                    let file = fs.open(&state(&fs), name, Access::Write);
                    let file = file.expect("it is there");
                    file.write_at(b"rot", 4096 + 13).expect("no faults");
                }
            }
        }
        settle(&fs)
    }

    /// Somebody puts a file there that is as at the source, and flushes nothing.
    fn put_late(&self, fs: &SimFs) {
        let late = content("late", 1, 2 * BLOCK + 5);
        let file = fs.create_new(&fs.root(), b"late").expect("no faults");
        file.write_at(&late, 0).expect("no faults");
    }

    fn rebuild(&self, fs: &SimFs) -> Result<VerifySummary, String> {
        let mut options = VerifyOptions::new(DEST);
        options.rebuild = true;
        options.from = engine::options(&self.source.dir).sources;
        let run = VerifyRun::start_on(Arc::new(fs.clone()), options);
        for event in run.map_err(|error| error.to_string())? {
            if let VerifyEvent::Finished { summary, error } = event {
                return match error {
                    None => Ok(*summary),
                    Some(error) => Err(error.to_string()),
                };
            }
        }
        Err("the rebuilding ended without saying so".into())
    }

    /// Whether a manifest is there; if so, it has to be whole and to tell the truth.
    fn is_true(&self, fs: &SimFs) -> Result<bool, String> {
        if !has(fs, b"manifest") {
            return Ok(false);
        }
        let there = tree::of_disk(&fs.disk()).tree;
        let run = VerifyRun::start_on(Arc::new(fs.clone()), VerifyOptions::new(DEST));
        let run = match run {
            // Both are damaged, so what can be read of them stands for them; or nothing can.
            Err(error) if error.exit() == Exit::BadManifest => return Ok(false),
            run => run.map_err(|error| error.to_string())?,
        };
        let mut wrong = Vec::new();
        for event in run {
            match event {
                VerifyEvent::Entry { path, verdict, .. } => match verdict.kind() {
                    "extra" => {}
                    "ok" | "metadata" => {
                        let of = |tree: &Tree| tree.get(&path).map(|node| node.what.clone());
                        if of(&there) != of(&self.good) {
                            wrong.push(format!("{path} is called good and is not"));
                        }
                    }
                    kind => wrong.push(format!("{path} is recorded and {kind}")),
                },
                VerifyEvent::Finished {
                    error: Some(error), ..
                } if error.exit() == Exit::BadManifest => {
                    return Ok(false);
                }
                VerifyEvent::Finished { error, .. } => match (error, wrong.is_empty()) {
                    (None, true) => return Ok(true),
                    (error, _) => return Err(format!("{wrong:?} {error:?}")),
                },
                _ => {}
            }
        }
        Err("the verification ended without saying so".into())
    }

    fn check(&self, state: CrashState<'_>) -> Result<(), String> {
        let fs = SimFs::with_disk(state.disk, self.flush_by, Duration::ZERO);
        let kept = ["large", "d/small", "d/rotten"].map(|path| RelPath::new(path).expect("a path"));
        let there = tree::of_disk(&fs.disk()).tree;
        if let Some(lost) = kept.iter().find(|path| !there.contains_key(path)) {
            return Err(format!("{lost} is gone"));
        }
        let whole = self.is_true(&fs)?;
        if !whole && state.marks.contains(&DONE) {
            return Err("success was reported, and there is no whole manifest".into());
        }
        let kept_aside = || {
            let names = [&b"manifest"[..], b"manifest.damaged"];
            names.into_iter().any(|name| has(&fs, name))
        };
        if self.old == Old::Damaged && !kept_aside() {
            return Err("the damaged manifest is gone".into());
        }
        if !whole {
            let summary = self
                .rebuild(&fs)
                .map_err(|error| format!("again: {error}"))?;
            if summary.exit_code != Exit::Damaged {
                return Err(format!("again: {summary:?}"));
            }
            if !self.is_true(&fs)? {
                return Err("again: there is no whole manifest".into());
            }
        }
        let mut options = engine::options(&self.source.dir);
        // Of a manifest that is lost, so is the block size.
        options.block_size = None;
        let end = engine::run(&fs, options, Stop::Never);
        if end.exit != Exit::Done {
            return Err(format!("the copy afterwards: {}", end.describe()));
        }
        tree::holds(&tree::of_disk(&fs.disk()).tree, &self.good)?;
        engine::verify(&fs)
    }
}

fn survives_power_cuts(scenario: &str, flush_by: FlushBy, old: Old) {
    let lab = Lab::new(scenario, flush_by, old);
    let log = recorded(scenario, || {
        let fs = SimFs::with_disk(lab.base(), flush_by, FLUSH_TAKES);
        lab.put_late(&fs);
        let summary = lab
            .rebuild(&fs)
            .expect("a rebuilding that nothing disturbs");
        assert_eq!(summary.modified.total(), 1, "{summary:?}");
        assert!(
            summary
                .recorded
                .is_some_and(|recorded| recorded.total() > 5),
            "{summary:?}"
        );
        fs.mark(DONE);
        assert_eq!(lab.is_true(&fs), Ok(true));
        fs.log()
    });
    let exploration = Exploration::of(scenario, &log, STATES);
    exploration.run(|state| lab.check(state)).conclude();
}

#[test]
fn rebuilding_a_lost_manifest_survives_power_cuts() {
    survives_power_cuts("rebuilding", FlushBy::Whole, Old::Lost);
}

#[test]
fn rebuilding_a_damaged_manifest_survives_power_cuts_where_each_file_has_to_be_flushed() {
    survives_power_cuts("rebuilding each", FlushBy::Each, Old::Damaged);
}
