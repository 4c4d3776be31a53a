//! Verification: what the destination holds, compared with what the manifest says.
//!
//! ```text
//! feed → [bounded] → check (read, hash, compare) → [bounded] → tally → VerifyEvent
//! ```
//!
//! - `feed` walks the records that the caller wants (`select`), then the tree for `extra` entries.
//! - `check` judges one record; `content` compares a file's blocks, read by `medium`, and for large
//!   files ahead of it by `readers`; `metadata` the rest.
//! - `run` is the caller's side, where `tally` counts.
//! - `elsewhere` is a manifest that is not the destination's own.
//! - `list` judges by a list of another tool's, `rebuild` makes a new manifest.
//! - `resume` finds out what need not be checked; `ledger` notes what was, in the manifest.
//!
//! Nothing else is written, so a destination that is mounted read-only can be verified. The manifest
//! is held under a shared lock meanwhile: verifications live side by side, a copy does not.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::error::{Error, ManifestError, PathError};
use crate::event::{EntryCounts, PassedOver, ReadHow, SourceState, Verdict};
use crate::fs::{Fs, Kind, Times, is_gone};
use crate::manifest::Store;
use crate::options::Reading;
use crate::path::RelPath;
use crate::scan::Source;
use crate::stop::{self, Stopper};
use crate::throttle::Throttle;

mod against;
mod check;
mod content;
mod cover;
mod damage;
mod doubt;
pub(crate) mod elsewhere;
mod extra;
mod feed;
#[cfg(test)]
pub(crate) mod fixture;
mod found;
mod ledger;
pub(crate) mod list;
pub(crate) mod medium;
mod metadata;
mod readers;
mod rebuild;
pub(crate) mod rehash;
mod resume;
mod run;
mod sample;
mod select;
pub(crate) mod streams;
mod tally;
#[cfg(test)]
mod tests;

pub use run::{VerifyRun, verify};

/// Events wait in a queue of this length; a consumer that stops pulling pauses the run here.
const REPORTS_MAX: usize = 256;
/// Records wait for a worker in a queue of this length.
const WORK_MAX: usize = 64;
/// Reading is reported after about this many bytes.
const REPORT_BYTES: u64 = 4 << 20;

/// What the threads of a run tell its owner.
enum Report {
    /// How much there is to check.
    Opened {
        entries: u64,
        bytes: u64,
        passed: PassedOver,
    },
    /// That many more bytes were read back.
    Read { bytes: u64 },
    /// One path was judged.
    Checked(Checked),
    /// Its source was looked at too.
    Compared(Compared),
    /// Something that fails no entry.
    Warning(String),
    /// A new manifest is in place that has so many entries; none: nothing was worth one.
    Rebuilt { entries: EntryCounts },
    /// The run cannot go on.
    Failed(Error),
}

/// Reports bytes that were read back.
fn told(reports: &Sender<Report>, bytes: u64) -> Result<(), Halt> {
    match bytes {
        0 => Ok(()),
        bytes => {
            let report = Report::Read { bytes };
            reports.send(report).map_err(|_| Halt::Stopped)
        }
    }
}

/// A record to check.
struct Work {
    pos: u64,
    /// Its rank among all records that count.
    ordinal: u64,
    /// The blocks to read; `None`: all.
    blocks: Option<Vec<u64>>,
}

/// Which record was checked.
#[derive(Debug, Clone, Copy)]
struct At {
    pos: u64,
    ordinal: u64,
}

/// One path that was judged.
struct Checked {
    path: RelPath,
    /// What it is, or was recorded as; `None` if that is not known.
    kind: Option<Kind>,
    verdict: Verdict,
    how: Option<ReadHow>,
    /// `None`: it is not recorded, or was noted before.
    at: Option<At>,
    blocks: BlockCount,
}

/// A path whose source was looked at.
struct Compared {
    path: RelPath,
    /// Which source it comes from.
    nth: usize,
    /// What has become of it; `None`: it is as it was copied.
    source: Option<SourceState>,
    dest_changed: bool,
}

/// What was read of a file, and what was not.
#[derive(Debug, Clone, Copy, Default)]
struct BlockCount {
    read: u64,
    unread: u64,
    unread_bytes: u64,
}

impl Checked {
    /// One that needs no noting.
    fn again(path: RelPath, kind: Option<Kind>, verdict: Verdict) -> Checked {
        Checked {
            path,
            kind,
            verdict,
            how: None,
            at: None,
            blocks: BlockCount::default(),
        }
    }
}

/// Why a thread ends before its work does.
enum Halt {
    /// The run was asked to stop, or nobody listens any more.
    Stopped,
    /// The run cannot go on.
    Failed(Error),
}

/// Flags that the run's owner and its threads share.
#[derive(Debug)]
struct Signals {
    stopper: Stopper,
    /// Something ended the run.
    failed: AtomicBool,
    /// Something was left unchecked because the run was stopped.
    cut_short: AtomicBool,
}

impl Signals {
    fn new() -> Signals {
        Signals {
            stopper: Stopper::new(),
            failed: AtomicBool::new(false),
            cut_short: AtomicBool::new(false),
        }
    }

    fn check_stop(&self) -> Result<(), Halt> {
        let stop = self.stopper.is_stopped() || self.failed.load(Ordering::Relaxed);
        if stop { Err(Halt::Stopped) } else { Ok(()) }
    }

    /// Waits. `false`: the run is to stop.
    fn pause(&self, wait: Duration) -> bool {
        stop::pause(wait, || self.check_stop().is_err())
    }

    /// Whether something was left undone.
    fn is_cut_short(&self) -> bool {
        self.cut_short.load(Ordering::Relaxed)
    }

    /// Notes how a thread ended.
    fn ended(&self, reports: &Sender<Report>, result: Result<(), Halt>) {
        match result {
            Ok(()) => {}
            Err(Halt::Stopped) => self.cut_short.store(true, Ordering::Relaxed),
            Err(Halt::Failed(error)) => {
                self.failed.store(true, Ordering::Relaxed);
                // Fails only if nobody wants to know.
                let _ = reports.send(Report::Failed(error));
            }
        }
    }
}

/// What the threads of a run share.
struct Shared<F: Fs> {
    fs: Arc<F>,
    store: Store<F>,
    /// The destination's path, for messages.
    dest: PathBuf,
    wanted: select::Wanted,
    against: Vec<Source>,
    reading: Reading,
    require_medium: bool,
    throttle: Arc<Throttle>,
    medium: medium::Medium<F>,
    streams: streams::Streams,
    resume: resume::Resume,
    /// How the destination shows times.
    times: Times,
    signals: Arc<Signals>,
}

impl<F: Fs> Shared<F> {
    fn check_stop(&self) -> Result<(), Halt> {
        self.signals.check_stop()
    }

    /// A problem with a path of the destination, as it is shown.
    fn problem(&self, action: &'static str, path: &RelPath, source: std::io::Error) -> PathError {
        PathError::new(action, path.below(&self.dest), source)
    }

    fn manifest_failed(&self, error: ManifestError) -> Halt {
        Halt::Failed(match error {
            ManifestError::Io(error) if is_gone(&*self.fs, &error.source) => {
                Error::DeviceGone(error)
            }
            other => Error::Manifest(other),
        })
    }

    /// Reports a verdict, unless what was found only shows that the device is gone.
    fn report(&self, reports: &Sender<Report>, checked: Checked) -> Result<(), Halt> {
        let gone = match &checked.verdict {
            Verdict::Missing => self.fs.device_gone(),
            Verdict::Unreadable { error } => is_gone(&*self.fs, &error.source),
            _ => false,
        };
        if gone {
            let error = match checked.verdict {
                Verdict::Unreadable { error } => error,
                _ => self.problem("find", &checked.path, std::io::ErrorKind::NotFound.into()),
            };
            return Err(Halt::Failed(Error::DeviceGone(error)));
        }
        let report = Report::Checked(checked);
        reports.send(report).map_err(|_| Halt::Stopped)
    }
}
