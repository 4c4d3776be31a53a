//! Calls that fail on purpose: which, when, how often and with what error.

use std::collections::BTreeMap;
use std::io;

use rustix::io::Errno;

use super::rng::Rng;

/// The calls of the `Fs` seam that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Call {
    CreateNew,
    Open,
    OpenMedium,
    Rename,
    Remove,
    Link,
    SyncDir,
    SyncAll,
    OpenDir,
    Stat,
    StatDir,
    MakeDir,
    RemoveDir,
    MakeSymlink,
    MakeSpecial,
    ReadSymlink,
    Xattrs,
    DirXattrs,
    SetMeta,
    SetDirMeta,
    List,
    FileRead,
    FileWrite,
    FileSetLen,
    FileSync,
    FileStat,
    FileXattrs,
    FileSetMeta,
}

/// A failure to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FaultPlan {
    /// Which call fails, counted from 1 on from when the plan is made.
    pub(crate) at: u64,
    /// Count and fail only calls of this kind.
    pub(crate) only: Option<Call>,
    /// From then on every such call fails.
    pub(crate) forever: bool,
    /// With this error.
    pub(crate) errno: Errno,
    /// A write that fails has written some of its data.
    pub(crate) short: bool,
    /// With the failure the device is gone, for whoever asks.
    pub(crate) gone: bool,
    /// What earlier writes to the file handed over is lost, though it is this write that says so; a
    /// flush of the file after it succeeds. So NFS tells of a server that is full: `nfs_file_write`
    /// (`fs/nfs/file.c`) fails with the error of pages that it sent before, if that is ENOSPC, EDQUOT or
    /// EFBIG, and takes it from the file for good (`file_check_and_advance_wb_err`).
    pub(crate) loses_earlier: bool,
    /// A flush that fails takes so long that whatever else is planned comes first.
    pub(crate) slow: bool,
    /// Calls are counted from when another planned failure is under way.
    pub(crate) second: bool,
    /// A write succeeds, and then what was written to the file until now is lost while the system
    /// writes it out by itself. The next flush tells each of those who had the file open, and whoever
    /// opens it before the first of them has heard of it; who opens it later is told nothing
    /// (`lib/errseq.c`; "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
    pub(crate) background: bool,
    /// A flush that fails says that it succeeded. So overlayfs does: `ovl_sync_fs` calls
    /// `sync_filesystem` of the upper file system, but an error of its pages is on the upper file
    /// system's record (`s_wb_err`) and not on its own, which is what `syncfs` reports of.
    pub(crate) untold: bool,
}

impl FaultPlan {
    /// Two failures, the second of them with the first still under way: a flush that fails, but only
    /// after a call of another kind has failed.
    pub(crate) fn overtaken(flush: FaultPlan, by: FaultPlan) -> [FaultPlan; 2] {
        let flush = FaultPlan {
            slow: true,
            ..flush
        };
        [flush, FaultPlan { second: true, ..by }]
    }

    /// Pairs of failures: of each two kinds of calls, with each two errors, somewhere in a run that
    /// made so many.
    pub(crate) fn pairs(
        calls: &BTreeMap<Call, u64>,
        errnos: &[Errno],
    ) -> impl Iterator<Item = [FaultPlan; 2]> {
        let ways = move |nth: u64| {
            let calls = calls.iter();
            calls.flat_map(move |(call, count)| {
                errnos.iter().map(move |errno| {
                    let words = [nth, *call as u64, errno.raw_os_error() as u64];
                    (*call, *count, *errno, words)
                })
            })
        };
        ways(1).flat_map(move |(call, count, errno, words)| {
            ways(2).map(move |(other, others, error, more)| {
                let mut rng = Rng::of(&[words, more].concat());
                let first = FaultPlan {
                    only: Some(call),
                    short: true,
                    ..FaultPlan::once(1 + rng.below(count), errno)
                };
                let second = FaultPlan {
                    only: Some(other),
                    short: true,
                    second: rng.chance(1, 2),
                    slow: rng.chance(1, 2),
                    forever: rng.chance(1, 2),
                    ..FaultPlan::once(1 + rng.below(others), error)
                };
                [first, second]
            })
        })
    }

    /// The errors that the suite goes through.
    pub(crate) const ERRNOS: [Errno; 8] = [
        Errno::IO,
        Errno::NOSPC,
        Errno::INTR,
        Errno::ROFS,
        Errno::NODEV,
        Errno::MFILE,
        Errno::STALE,
        Errno::ACCESS,
    ];

    /// Each of the calls that a run made fails once, and from then on, with each of these errors.
    pub(crate) fn each(
        calls: &BTreeMap<Call, u64>,
        errnos: &[Errno],
    ) -> impl Iterator<Item = FaultPlan> {
        let places = calls
            .iter()
            .flat_map(|(call, count)| (1..=*count).map(|at| (*call, at)));
        places.flat_map(move |(call, at)| {
            let ways = errnos
                .iter()
                .flat_map(|errno| [(*errno, false), (*errno, true)]);
            ways.map(move |(errno, forever)| FaultPlan {
                only: Some(call),
                forever,
                short: true,
                gone: forever && errno == Errno::NODEV,
                ..FaultPlan::once(at, errno)
            })
        })
    }

    /// The `at`-th call fails once.
    pub(crate) fn once(at: u64, errno: Errno) -> FaultPlan {
        FaultPlan {
            at,
            only: None,
            forever: false,
            errno,
            short: false,
            gone: false,
            loses_earlier: false,
            slow: false,
            second: false,
            background: false,
            untold: false,
        }
    }
}

/// The calls so far and the failures to come.
#[derive(Debug, Default)]
pub(super) struct Faults {
    counts: BTreeMap<Call, u64>,
    /// The next call of this kind by a thread of a run panics.
    panics: Option<Call>,
    planned: Vec<Planned>,
}

/// A failure to come, and how far it is.
#[derive(Debug)]
struct Planned {
    plan: FaultPlan,
    seen: u64,
    fired: u64,
}

/// A call that is to fail.
pub(super) struct Fault {
    pub(super) error: io::Error,
    pub(super) plan: FaultPlan,
}

impl Faults {
    /// Replaces the plans; the counts they go by begin anew.
    pub(super) fn plan(&mut self, plans: &[FaultPlan]) {
        let planned = plans.iter().map(|plan| Planned {
            plan: *plan,
            seen: 0,
            fired: 0,
        });
        self.planned = planned.collect();
    }

    /// Makes the next call of a kind that a thread of a run makes panic.
    pub(super) fn panic_in(&mut self, call: Call) {
        self.panics = Some(call);
    }

    /// Counts a call and says whether it has to fail.
    pub(super) fn check(&mut self, call: Call) -> Option<Fault> {
        let of_a_run = || {
            let thread = std::thread::current();
            thread.name().is_some_and(|name| name.starts_with("sprag-"))
        };
        if self
            .panics
            .take_if(|panics| *panics == call && of_a_run())
            .is_some()
        {
            panic!("a call that was made to panic");
        }
        *self.counts.entry(call).or_default() += 1;
        let begun = self.fired() > 0;
        let mut due = None;
        for Planned { plan, seen, fired } in &mut self.planned {
            if plan.only.is_some_and(|only| only != call) || (plan.second && !begun) {
                continue;
            }
            *seen += 1;
            if due.is_none() && (*seen == plan.at || (plan.forever && *seen > plan.at)) {
                *fired += 1;
                due = Some(Fault {
                    error: plan.errno.into(),
                    plan: *plan,
                });
            }
        }
        due
    }

    /// How many calls the plans have made fail.
    pub(super) fn fired(&self) -> u64 {
        self.planned.iter().map(|planned| planned.fired).sum()
    }

    /// Whether each of the plans has made a call fail.
    pub(super) fn all_fired(&self) -> bool {
        self.planned.iter().all(|planned| planned.fired > 0)
    }

    /// Whether calls fail for lack of room, and go on failing.
    pub(super) fn full(&self) -> bool {
        let full = |planned: &Planned| {
            let Planned { plan, fired, .. } = planned;
            *fired > 0 && plan.forever && [Errno::NOSPC, Errno::DQUOT].contains(&plan.errno)
        };
        self.planned.iter().any(full)
    }

    pub(super) fn gone(&self) -> bool {
        let gone = |planned: &Planned| planned.fired > 0 && planned.plan.gone;
        self.planned.iter().any(gone)
    }

    pub(super) fn counts(&self) -> &BTreeMap<Call, u64> {
        &self.counts
    }
}
