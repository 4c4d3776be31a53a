//! Verification: what the destination holds, compared with what the manifest says.
//!
//! ```text
//! feed → [bounded] → check (read, hash, compare) → [bounded] → tally → VerifyEvent
//! ```
//!
//! - `feed` walks the records that the caller wants (`select`), then the tree for `extra` entries.
//! - `check` judges one record; `content` compares a file's blocks, read by `medium`;
//!   `metadata` the rest.
//! - `tally` counts, on the caller's side.
//!
//! Nothing is written, so a destination that is mounted read-only can be verified. The manifest is
//! held under a shared lock meanwhile: verifications live side by side, a copy does not.

use std::panic;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::error::{Error, ManifestError, PathError, SetupError};
use crate::event::{Pull, ReadHow, Verdict, VerifyEvent};
use crate::fs::{Fs, OsFs, is_gone};
use crate::manifest::{OpenMode, Store};
use crate::options::VerifyOptions;
use crate::path::RelPath;
use crate::stop::Stopper;
use crate::throttle::Throttle;

mod check;
mod content;
mod damage;
mod extra;
mod feed;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod list;
pub(crate) mod medium;
mod metadata;
pub(crate) mod rehash;
mod select;
mod tally;
#[cfg(test)]
mod tests;

/// Events wait in a queue of this length; a consumer that stops pulling pauses the run here.
const REPORTS_MAX: usize = 256;
/// Records wait for a worker in a queue of this length.
const WORK_MAX: usize = 64;
/// More readers than this gain nothing on one drive unless asked for.
const JOBS_DEFAULT_MAX: usize = 4;

/// What the threads of a run tell its owner.
enum Report {
    /// How much there is to check.
    Opened { entries: u64, bytes: u64 },
    /// That many more bytes were read back.
    Read { bytes: u64 },
    /// One path was judged.
    Checked {
        path: RelPath,
        verdict: Verdict,
        how: Option<ReadHow>,
    },
    /// The run cannot go on.
    Failed(Error),
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
    require_medium: bool,
    throttle: Arc<Throttle>,
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
    fn report(
        &self,
        reports: &Sender<Report>,
        path: RelPath,
        verdict: Verdict,
        how: Option<ReadHow>,
    ) -> Result<(), Halt> {
        let gone = match &verdict {
            Verdict::Missing => self.fs.device_gone(),
            Verdict::Unreadable { error } => is_gone(&*self.fs, &error.source),
            _ => false,
        };
        if gone {
            let error = match verdict {
                Verdict::Unreadable { error } => error,
                _ => self.problem("find", &path, std::io::ErrorKind::NotFound.into()),
            };
            return Err(Halt::Failed(Error::DeviceGone(error)));
        }
        let report = Report::Checked { path, verdict, how };
        reports.send(report).map_err(|_| Halt::Stopped)
    }
}

/// Verifies a destination against its manifest. See [`VerifyRun`].
///
/// # Errors
///
/// The destination cannot be opened or has no manifest, a path to verify is not below it, or its
/// manifest is locked by a copy, damaged or newer than this sprag.
pub fn verify(mut options: VerifyOptions) -> Result<VerifyRun, Error> {
    let fs = OsFs::open_root(&options.dest).map_err(|source| SetupError::Dest {
        path: options.dest.clone(),
        source,
    })?;
    match options.list.take() {
        Some(list) => list::start(Arc::new(fs), &options, &list),
        None => VerifyRun::start_on(Arc::new(fs), options),
    }
}

/// A verification under way: an iterator of [`VerifyEvent`]s.
///
/// The reading happens on threads of its own, a few events ahead of the consumer. Stop pulling
/// and it pauses; drop it and it ends. The first event is [`VerifyEvent::Opened`], the last one is
/// always [`VerifyEvent::Finished`].
///
/// The run ends with [`Exit::Damaged`](crate::exit::Exit::Damaged) if anything recorded is
/// corrupt, modified, missing, incomplete or unreadable. Entries that the manifest does not know
/// never change how it ends.
///
/// # Panics
///
/// Pulling passes on a panic of the run's threads, lest what they left unchecked count as good.
#[derive(Debug)]
pub struct VerifyRun {
    /// `None` once the run is over.
    reports: Option<Receiver<Report>>,
    threads: Vec<JoinHandle<()>>,
    signals: Arc<Signals>,
    tally: tally::Tally,
    error: Option<Error>,
}

impl VerifyRun {
    /// Verifies `fs`, which need not be the operating system's: tests give a simulated disk.
    /// `options.dest` then only serves in messages.
    #[doc(hidden)]
    pub fn start_on<F: Fs>(fs: Arc<F>, options: VerifyOptions) -> Result<VerifyRun, Error> {
        let wanted = select::Wanted::new(&options.paths, &options.dest)?;
        let store = Store::open(&fs, &options.dest, OpenMode::Read)?.ok_or_else(|| {
            let path = options.dest.clone();
            SetupError::NoManifest { path }
        })?;
        // From here on an early return drops the run, which ends what was started.
        let (mut run, report) = VerifyRun::new();
        let signals = Arc::clone(&run.signals);
        let shared = Arc::new(Shared {
            fs,
            store,
            dest: options.dest,
            wanted,
            require_medium: options.require_medium,
            throttle: Arc::new(Throttle::new(options.bytes_per_s, signals.stopper.clone())),
            signals,
        });
        let (work, works) = crossbeam_channel::bounded(WORK_MAX);
        let jobs = options.jobs.map_or_else(default_jobs, usize::from);
        for _ in 0..jobs {
            let (shared, works, report) = (Arc::clone(&shared), works.clone(), report.clone());
            run.spawn("sprag-verify", move || check::run(&shared, &works, &report))?;
        }
        // Its own end of the queue shows the feeder when the last worker is gone.
        drop(works);
        run.spawn("sprag-feed", move || feed::run(&shared, work, &report))?;
        Ok(run)
    }

    /// A run without threads, and where they are to report.
    fn new() -> (VerifyRun, Sender<Report>) {
        let (report, reports) = crossbeam_channel::bounded(REPORTS_MAX);
        let run = VerifyRun {
            reports: Some(reports),
            threads: Vec::new(),
            signals: Arc::new(Signals::new()),
            tally: tally::Tally::new(),
            error: None,
        };
        (run, report)
    }

    fn spawn(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let thread = thread::Builder::new()
            .name(name.into())
            .spawn(body)
            .map_err(|error| PathError::new("start a thread named", name, error))?;
        self.threads.push(thread);
        Ok(())
    }

    /// A handle to ask this run to stop: it ends soon after, its summary saying
    /// [`Exit::Stopped`](crate::exit::Exit::Stopped) unless everything was checked by then.
    pub fn stopper(&self) -> Stopper {
        self.signals.stopper.clone()
    }

    /// The next event, if there is one within `wait`.
    pub fn next_within(&mut self, wait: Duration) -> Pull<VerifyEvent> {
        let until = Instant::now() + wait;
        loop {
            let Some(reports) = &self.reports else {
                return Pull::Over;
            };
            let event = match reports.recv_deadline(until) {
                Ok(report) => self.event_of(report),
                Err(RecvTimeoutError::Timeout) => return Pull::Late,
                Err(RecvTimeoutError::Disconnected) => Some(self.finish()),
            };
            if let Some(event) = event {
                return Pull::Event(event);
            }
        }
    }

    /// What a report means to the consumer; an error is told with the last event.
    fn event_of(&mut self, report: Report) -> Option<VerifyEvent> {
        match report {
            Report::Failed(error) => {
                self.error.get_or_insert(error);
                None
            }
            Report::Opened { entries, bytes } => Some(VerifyEvent::Opened { entries, bytes }),
            Report::Read { bytes } => Some(self.tally.read(bytes)),
            Report::Checked { path, verdict, how } => Some(self.tally.entry(path, verdict, how)),
        }
    }

    /// The last event. By then the threads have ended and the manifest is unlocked.
    fn finish(&mut self) -> VerifyEvent {
        self.reports = None;
        for thread in self.threads.drain(..) {
            if let Err(panicked) = thread.join() {
                panic::resume_unwind(panicked);
            }
        }
        let error = self.error.take();
        let cut_short = self.signals.cut_short.load(Ordering::Relaxed);
        let summary = self.tally.summary(error.as_ref(), cut_short);
        VerifyEvent::Finished { summary, error }
    }
}

fn default_jobs() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().min(JOBS_DEFAULT_MAX))
}

impl Iterator for VerifyRun {
    type Item = VerifyEvent;

    fn next(&mut self) -> Option<VerifyEvent> {
        loop {
            let report = self.reports.as_ref()?.recv();
            let event = match report {
                Ok(report) => self.event_of(report),
                Err(_) => Some(self.finish()),
            };
            if event.is_some() {
                return event;
            }
        }
    }
}

impl Drop for VerifyRun {
    /// Asks the run to stop and waits until it has.
    fn drop(&mut self) {
        self.signals.stopper.stop();
        self.reports = None;
        for thread in self.threads.drain(..) {
            // A panic over there was reported by the panic hook; there is nothing to add.
            let _ = thread.join();
        }
    }
}
