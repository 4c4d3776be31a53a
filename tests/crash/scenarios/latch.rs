//! A failed flush is remembered for the rest of the run, whatever failed before: the first failure may be
//! one that is no reason to distrust what was written (the disk is full, the source is gone) and be heard of
//! while the flush is still under way.

use std::fs::File;
use std::num::NonZeroU64;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use sprag::exit::Exit;
use sprag::fs::FlushBy;

use super::cases::Case;
use super::check::FLUSH_TAKES;
use super::engine::{self, End, Stop};
use super::pairs::survives;
use super::source::{BLOCK, Source};
use super::tree;
use crate::sim::{Call, CrashKind, FaultPlan, Meanwhile, Replay, Rng, SimFs, Witness};

/// A run that takes its time and is never held up by how much waits for a barrier, so that it hears of
/// every failure at once.
fn unhurried(fs: &SimFs, source: &Source) -> End {
    let mut options = engine::options(&source.dir);
    options.checkpoint_bytes = 64 << 20;
    options.bytes_per_s = NonZeroU64::new(8 << 20);
    engine::run(fs, options, Stop::Never)
}

/// Has each flush fail with EIO while a failure of another kind, which is no reason to distrust what was
/// written before, is heard of first.
fn a_failed_flush_is_latched(name: &str, scenario: &'static str) {
    let case = Case::named(name, scenario);
    let (log, expected) = case.recorded();
    let mount = || expected.mount(log.base.clone(), FLUSH_TAKES);
    let fs = mount();
    unhurried(&fs, &expected.source);
    let (mut flushes, mut overtaken) = (fs.calls(), 0);
    flushes.retain(|call, _| matches!(call, Call::SyncAll | Call::FileSync));
    for flush in FaultPlan::each(&flushes, &[Errno::IO]).filter(|plan| !plan.forever) {
        let full = FaultPlan {
            only: Some(Call::FileWrite),
            ..FaultPlan::once(1, Errno::NOSPC)
        };
        let fs = mount();
        fs.fail_in_ways(&FaultPlan::overtaken(flush, full));
        let end = unhurried(&fs, &expected.source);
        overtaken += u64::from(fs.all_failed());
        survives(&expected, &fs, &end)
            .unwrap_or_else(|problem| panic!("{scenario}, {flush:?}: {problem}"));
    }
    assert!(overtaken > 1, "{overtaken}");
}

#[test]
fn a_flush_that_fails_after_the_disk_was_found_full_is_not_forgotten() {
    a_failed_flush_is_latched("large and small", "latch large and small");
    a_failed_flush_is_latched("large and small each", "latch large and small each");
}

/// So many small files the source has that goes.
const FILES: u64 = 120;

/// A source on a file system of its own, which can be taken away; only root can.
struct Drive {
    source: Source,
    /// Its root, which leads to it when it is not mounted any more.
    root: File,
}

impl Drive {
    /// `None`: not root, or in a container that does not allow it.
    fn mounted() -> Option<Drive> {
        let source = Source::of("gone source");
        source.clear();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
            .arg(&source.dir)
            .stderr(Stdio::null())
            .status();
        if !mounted.is_ok_and(|status| status.success()) {
            return None;
        }
        source.file("d/a", 1, 20 * BLOCK + 99);
        for n in 0..FILES {
            source.file(&format!("d/b{n}"), n, 3000);
        }
        source.dir_time("d");
        source.dir_time(".");
        let root = File::open(&source.dir).expect("a directory that was mounted");
        Some(Drive { source, root })
    }

    /// Unmounts it at the `at`-th event: whoever has it open sees no difference yet.
    fn unmounter(&self, at: usize) -> Witness {
        let (dir, mut events) = (self.source.dir.clone(), 0);
        Box::new(move || {
            events += 1;
            if events == at {
                unmount(&dir);
            }
            Vec::new()
        })
    }

    /// Has nothing more be found in it.
    fn taker(&self) -> Meanwhile {
        let root = self.root.try_clone().expect("a handle can be cloned");
        Box::new(move || {
            for n in 0..FILES {
                let flags = rustix::fs::AtFlags::empty();
                let taken = rustix::fs::unlinkat(&root, format!("d/b{n}"), flags);
                taken.expect("a file can be removed");
            }
            // Until somebody has looked for one of them.
            std::thread::sleep(Duration::from_millis(50));
        })
    }
}

fn unmount(dir: &Path) {
    let mut lazily = Command::new("umount");
    // That it is not mounted any more is no failure.
    let _ = lazily.arg("-l").arg(dir).stderr(Stdio::null()).status();
}

impl Drop for Drive {
    fn drop(&mut self) {
        unmount(&self.source.dir);
    }
}

#[test]
fn a_flush_that_fails_after_the_source_is_gone_is_not_forgotten() {
    for flush_by in [FlushBy::Whole, FlushBy::Each] {
        let mut gone = 0;
        for at in (4..=18).step_by(2) {
            let Some(drive) = Drive::mounted() else {
                return;
            };
            let fs = SimFs::new(flush_by);
            fs.watch(drive.unmounter(45));
            fs.meanwhile(drive.taker());
            fs.fail(FaultPlan {
                only: Some(Call::FileSync),
                slow: true,
                ..FaultPlan::once(at, Errno::IO)
            });
            let end = unhurried(&fs, &drive.source);
            gone += u64::from(end.exit == Exit::DeviceGone);
            drop(drive);
            let Some(drive) = Drive::mounted() else {
                return;
            };
            let wanted = tree::of_source(&drive.source.dir);
            let log = fs.log();
            let replay = Replay::at_end(&log);
            for kind in [CrashKind::Nothing, CrashKind::All] {
                let disk = replay.disk(&replay.fates(kind, &mut Rng::of(&[at])));
                let fs = SimFs::with_disk(disk, flush_by, Duration::ZERO);
                let again = engine::run(&fs, engine::options(&drive.source.dir), Stop::Never);
                let ended = again.describe();
                assert_eq!(again.exit, Exit::Done, "{ended}, after {}", end.describe());
                let there = tree::of_disk(&fs.disk()).tree;
                tree::holds(&there, &wanted).unwrap_or_else(|problem| {
                    panic!(
                        "power cut ({kind}): {problem}\n    after {}",
                        end.describe()
                    )
                });
                engine::verify(&fs).expect("everything reads back");
            }
        }
        assert!(gone > 1, "{gone}");
    }
}
