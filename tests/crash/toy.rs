//! A toy of a copy protocol, right or with one step left out, to try the simulator and the
//! explorer on: what is right has to pass, and every omission has to be found.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use sprag::fs::{Access, FlushBy, Fs, FsFile, FsMeta, Meta};

use crate::explore::{Budget, CrashState, Exploration, Explored, recorded, saved_log};
use crate::sim::{Call, Content, Disk, Entry, FaultPlan, Lie, Log, Replay, SimFs};

const OLD: &[u8] = &[b'o'; 3000];
const FILES: u8 = 4;
const LEN: usize = 5000;
/// A call that fails for ever is not tried for ever.
const TRIES_MAX: u32 = 5;
const BUDGET: Budget = Budget {
    states: 3000,
    time: Some(Duration::from_secs(20)),
};

/// Which step is left out or done wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    NoDataFlush,
    NoNameFlush,
    SaysDoneEarly,
    RetriesFlush,
    WritesInPlace,
}

fn name(n: u8) -> [u8; 1] {
    [b'a' + n]
}

fn new_content(n: u8) -> Vec<u8> {
    vec![n + 1; LEN]
}

/// Writes one file beside its final name, flushes it and renames it.
fn publish<F: Fs>(fs: &F, n: u8, flaw: Flaw, partials: &AtomicU64) -> io::Result<()> {
    let root = fs.root();
    for _ in 0..TRIES_MAX {
        let nth = partials.fetch_add(1, Ordering::Relaxed);
        let temporary = match flaw {
            Flaw::WritesInPlace => name(n).to_vec(),
            _ => format!("partial-{n}-{nth}").into_bytes(),
        };
        let file = write(fs, &temporary, n)?;
        if flaw != Flaw::NoDataFlush && file.sync().is_err() {
            match flaw {
                Flaw::RetriesFlush => file.sync()?,
                _ => continue,
            }
        }
        if flaw != Flaw::WritesInPlace {
            fs.rename(&root, &temporary, &root, &name(n))?;
        }
        // After a failure, whether the new name will last is unknown for good: write it all again.
        if flaw == Flaw::NoNameFlush || fs.sync_dir(&root).is_ok() {
            return Ok(());
        }
    }
    Err(Errno::IO.into())
}

fn write<F: Fs>(fs: &F, temporary: &[u8], n: u8) -> io::Result<F::File> {
    let file = fs.open(&fs.root(), temporary, Access::WriteOrCreate)?;
    for (part, at) in new_content(n).chunks(2000).zip((0..).step_by(2000)) {
        file.write_at(part, at)?;
    }
    file.set_len(LEN as u64)?;
    file.set_meta(&Meta {
        times_ns: Some((5, 5)),
        ..Meta::default()
    })?;
    Ok(file)
}

/// A disk with older files.
fn disk_before() -> io::Result<Disk> {
    let fs = SimFs::new(FlushBy::Each);
    for n in 0..FILES / 2 {
        fs.create_new(&fs.root(), &name(n))?.write_at(OLD, 0)?;
    }
    fs.sync_all()?;
    Ok(Replay::at_end(&fs.log()).disk(&[]))
}

/// The protocol in several threads, on whatever is there.
fn run_on(fs: &SimFs, flaw: Flaw) {
    let names = fs.list(&fs.root()).map_or(0, |names| names.len());
    let partials = AtomicU64::new(names as u64);
    std::thread::scope(|scope| {
        for n in 0..FILES {
            let partials = &partials;
            scope.spawn(move || {
                if flaw == Flaw::SaysDoneEarly {
                    fs.mark(&n.to_string());
                }
                if publish(fs, n, flaw, partials).is_ok() {
                    fs.mark(&n.to_string());
                }
            });
        }
    });
}

fn mount(disk: Disk) -> SimFs {
    SimFs::with_disk(disk, FlushBy::Each, Duration::from_micros(200))
}

fn run(flaw: Flaw, fault: Option<FaultPlan>) -> Log {
    let fs = mount(disk_before().expect("a disk without faults"));
    if let Some(fault) = fault {
        fs.fail(fault);
    }
    run_on(&fs, flaw);
    fs.log()
}

/// A name holds its whole old or whole new content, and what was called done the new one.
fn check(state: CrashState<'_>) -> Result<(), String> {
    let dump = mount(state.disk).dump();
    for n in 0..FILES {
        let path = sprag::path::RelPath::new(name(n)).expect("a plain name");
        let new = Entry::File(Content::from(new_content(n).as_slice()));
        let done = state.marks.contains(&n.to_string().as_str());
        match dump.get(&path) {
            Some(entry) if *entry == new => {}
            Some(entry) if !done && n < FILES / 2 && *entry == Entry::File(OLD.into()) => {}
            None if !done && n >= FILES / 2 => {}
            found => return Err(format!("{path} is {found:?}, done: {done}")),
        }
    }
    Ok(())
}

fn explore(scenario: &str, log: &Log, lie: Option<Lie>, budget: Budget) -> Explored {
    let exploration = Exploration {
        lie,
        ..Exploration::of(scenario, log, budget)
    };
    exploration.run(check)
}

fn explore_flaw(flaw: Flaw, fault: Option<FaultPlan>) -> Explored {
    let scenario = format!("toy {flaw:?} {fault:?}");
    let log = recorded(&scenario, || run(flaw, fault));
    let explored = explore(&scenario, &log, None, BUDGET);
    // A flaw is there to be found: its recording helps nobody.
    let _ = std::fs::remove_file(saved_log(&scenario));
    explored
}

#[test]
fn a_right_protocol_has_no_violations() {
    let explored = explore_flaw(Flaw::None, None);
    assert_eq!(explored.violations, [""; 0]);
    assert!(explored.states > 1000, "{explored:?}");
}

#[test]
fn a_protocol_that_leaves_out_a_step_is_found_out() {
    for flaw in [
        Flaw::NoDataFlush,
        Flaw::NoNameFlush,
        Flaw::SaysDoneEarly,
        Flaw::WritesInPlace,
    ] {
        let explored = explore_flaw(flaw, None);
        assert!(!explored.violations.is_empty(), "{flaw:?}: {explored:?}");
    }
}

#[test]
fn believing_a_retried_flush_is_found_out() {
    let fault = FaultPlan {
        only: Some(Call::FileSync),
        ..FaultPlan::once(2, Errno::IO)
    };
    let explored = explore_flaw(Flaw::RetriesFlush, Some(fault));
    assert!(!explored.violations.is_empty(), "{explored:?}");
    let explored = explore_flaw(Flaw::None, Some(fault));
    assert_eq!(explored.violations, [""; 0]);
}

#[test]
fn a_device_that_lies_about_a_flush_is_found_out() {
    let log = run(Flaw::None, None);
    let found = (0..log.flushes()).any(|lie| {
        let explored = explore("toy lie", &log, Some(Lie::about(lie)), BUDGET);
        !explored.violations.is_empty()
    });
    let _ = std::fs::remove_file(saved_log("toy lie"));
    assert!(found);
}

#[test]
fn a_stored_recording_has_the_same_states() {
    let log = run(Flaw::NoDataFlush, None);
    let first = explore("toy stored", &log, None, BUDGET);
    let path = saved_log("toy stored");
    let again = Log::load(&path).unwrap();
    let second = explore("toy stored", &again, None, BUDGET);
    std::fs::remove_file(path).unwrap();
    assert_eq!(first.states, second.states);
    assert_eq!(first.violations, second.violations);
    assert!(!first.violations.is_empty());
}

#[test]
fn a_second_cut_during_the_rerun_is_survived() {
    let small = Budget {
        states: 60,
        ..BUDGET
    };
    let log = recorded("toy twice", || run(Flaw::None, None));
    let exploration = Exploration::of("toy twice", &log, small);
    let mut inner = 0;
    let outer = exploration.run(|state| {
        let scenario = state.seed.to_string();
        let rerun = recorded(&scenario, || {
            let fs = mount(state.disk);
            run_on(&fs, Flaw::None);
            fs.log()
        });
        let explored = explore(&scenario, &rerun, None, small);
        inner += explored.states;
        match explored.violations.first() {
            Some(violation) => Err(violation.clone()),
            None => Ok(()),
        }
    });
    assert_eq!(outer.violations, [""; 0]);
    assert!(outer.states == 60 && inner > 1000, "{inner}");
}

#[test]
fn every_call_may_fail_once_or_for_ever_and_a_rerun_puts_it_right() {
    let fs = mount(disk_before().unwrap());
    run_on(&fs, Flaw::None);
    let mut plans = 0;
    for plan in FaultPlan::each(&fs.calls(), &[Errno::IO, Errno::NODEV]) {
        let fs = mount(disk_before().unwrap());
        fs.fail(plan);
        run_on(&fs, Flaw::None);
        assert!(fs.failed_calls() > 0, "{plan:?}");
        assert_eq!(fs.device_gone(), plan.gone);
        fs.heal();
        run_on(&fs, Flaw::None);
        fs.mark("rerun done");
        let small = Budget {
            states: 30,
            ..BUDGET
        };
        let explored = explore("toy faults", &fs.log(), None, small);
        assert_eq!(explored.violations, [""; 0], "{plan:?}");
        plans += 1;
    }
    assert!(plans > 100);
}
