//! Calls that fail on purpose: which, when, how often and with what error.

use std::collections::BTreeMap;
use std::io;

use rustix::io::Errno;

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
}

impl FaultPlan {
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
        }
    }
}

/// The calls so far and the failure to come.
#[derive(Debug, Default)]
pub(super) struct Faults {
    counts: BTreeMap<Call, u64>,
    /// The next call of this kind by a thread of a run panics.
    panics: Option<Call>,
    plan: Option<FaultPlan>,
    seen: u64,
    fired: u64,
}

/// A call that is to fail.
pub(super) struct Fault {
    pub(super) error: io::Error,
    pub(super) short: bool,
}

impl Faults {
    /// Replaces the plan; the count it goes by begins anew.
    pub(super) fn plan(&mut self, plan: Option<FaultPlan>) {
        self.plan = plan;
        self.seen = 0;
        self.fired = 0;
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
        let plan = self.plan?;
        if plan.only.is_some_and(|only| only != call) {
            return None;
        }
        self.seen += 1;
        if self.seen == plan.at || (plan.forever && self.seen > plan.at) {
            self.fired += 1;
            return Some(Fault {
                error: plan.errno.into(),
                short: plan.short,
            });
        }
        None
    }

    /// How many calls the plan has made fail.
    pub(super) fn fired(&self) -> u64 {
        self.fired
    }

    pub(super) fn gone(&self) -> bool {
        self.fired > 0 && self.plan.is_some_and(|plan| plan.gone)
    }

    pub(super) fn counts(&self) -> &BTreeMap<Call, u64> {
        &self.counts
    }
}
