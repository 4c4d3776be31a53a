//! A verification under way, on the side of who pulls it.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::elsewhere::Elsewhere;
use super::medium::Medium;
use super::streams::Streams;
use super::{Checked, REPORTS_MAX, Report, Shared, Signals, WORK_MAX};
use super::{check, cover, feed, ledger, list, rebuild, resume, select, tally};
use crate::concurrency::{self, Seeks};
use crate::error::{Error, ManifestError, PathError};
use crate::event::{Concurrency, EntryCounts, Pull, VerifyEvent};
use crate::fs::source::SourceRoot;
use crate::fs::{Fs, Times};
use crate::manifest::open_destination;
use crate::options::{Reading, VerifyOptions};
use crate::scan::{self, Source};
use crate::stop::Stopper;
use crate::throttle::Throttle;

/// Verifies a destination against its manifest. See [`VerifyRun`].
///
/// # Errors
///
/// The destination cannot be opened or has no manifest, a path to verify is not below it, or its
/// manifest is locked by a copy, damaged or newer than this sprag.
pub fn verify(mut options: VerifyOptions) -> Result<VerifyRun, Error> {
    let fs = open_destination(&options.dest, options.trust_state)?;
    match options.manifest.take() {
        Some(manifest) => {
            let manifest = Elsewhere::find(&manifest)?;
            VerifyRun::start(fs, Some(&manifest), options)
        }
        None => VerifyRun::start_on(fs, options),
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
    ledger: Option<Box<dyn ledger::Ledger>>,
    /// What to hand out before anything else.
    due: VecDeque<VerifyEvent>,
    /// Said after the next event, for the first one is always the same.
    following: Vec<VerifyEvent>,
    seed: Option<u64>,
    error: Option<Error>,
}

impl VerifyRun {
    /// Verifies `fs`, which need not be the operating system's: tests give a simulated disk.
    /// `options.dest` then only serves in messages.
    #[doc(hidden)]
    pub fn start_on<F: Fs>(fs: Arc<F>, mut options: VerifyOptions) -> Result<VerifyRun, Error> {
        let rebuilds = options.rebuild;
        let mut run = match options.list.take() {
            Some(list) => list::start(fs, options, list)?,
            None if rebuilds => rebuild::start(fs, options)?,
            None => VerifyRun::start(fs, None, options)?,
        };
        if rebuilds {
            run.tally.rebuilt(EntryCounts::default());
        }
        Ok(run)
    }

    fn start<F: Fs>(
        fs: Arc<F>,
        elsewhere: Option<&Elsewhere<F>>,
        mut options: VerifyOptions,
    ) -> Result<VerifyRun, Error> {
        let filter = std::mem::take(&mut options.filter);
        let wanted = select::Wanted::new(&options.paths, filter, &options.dest)?;
        let at = match elsewhere {
            Some(elsewhere) => resume::At::Elsewhere(elsewhere),
            None => resume::At::Dest(&fs, &options.dest),
        };
        let mut opened = resume::open(&at, options.record)?;
        cover::check(&opened.store, &wanted, &options.dest)?;
        let against = scan::recorded(&options.against, &opened.store, &options.dest)?;
        // What repairs is asked for before hours of reading.
        scan::recorded(&options.from, &opened.store, &options.dest)?;
        let unnoted = opened.warning.take();
        let unlocked = opened.unlocked.take();
        let other = elsewhere.and_then(|at| at.warning(&opened.store, &fs));
        let begun = resume::begin(opened, &mut options, &wanted)?;
        // From here on an early return drops the run, which ends what was started.
        let (mut run, report) = VerifyRun::new();
        run.ledger = begun.ledger;
        run.following.extend(unnoted.map(VerifyEvent::Unnoted));
        run.following.extend(unlocked.map(VerifyEvent::Warning));
        let unnoted = begun.unnoted.as_ref().map(self::unnoted);
        run.following.extend(unnoted.map(VerifyEvent::Unnoted));
        run.following.extend(other.map(VerifyEvent::Warning));
        let damage = begun.store.salvaged();
        let said = damage.map(|damage| format!("{}; nothing is noted in it", damage.short()));
        run.following.extend(said.map(VerifyEvent::Unnoted));
        run.tally.manifest_damaged(damage.cloned());
        run.tally.against(&options.against);
        run.seed = match options.reading {
            Reading::Sample { seed, .. } => seed,
            _ => None,
        };
        let signals = run.signals();
        let seeks = Seeks {
            dest: fs.seeks(),
            source: against.iter().any(seeks),
        };
        let concurrency = run.work_at_a_time(options.jobs, seeks);
        let throttle = Arc::new(Throttle::new(options.bytes_per_s, signals.stopper.clone()));
        let shared = Arc::new(Shared {
            medium: Medium::new(&fs, begun.store.block_size(), &throttle),
            times: Times::of(&*fs),
            fs,
            store: begun.store,
            dest: options.dest,
            wanted,
            against,
            reading: options.reading,
            require_medium: options.require_medium,
            throttle,
            streams: Streams::new(concurrency.large_files),
            resume: begun.resume,
            signals,
        });
        let (work, works) = crossbeam_channel::bounded(WORK_MAX);
        for _ in 0..concurrency.files {
            let (shared, works, report) = (Arc::clone(&shared), works.clone(), report.clone());
            run.spawn("sprag-verify", move || check::run(&shared, &works, &report))?;
        }
        // Its own end of the queue shows the feeder when the last worker is gone.
        drop(works);
        run.spawn("sprag-feed", move || feed::run(&shared, work, &report))?;
        Ok(run)
    }

    /// A run without threads, and where they are to report.
    pub(super) fn new() -> (VerifyRun, Sender<Report>) {
        let (report, reports) = crossbeam_channel::bounded(REPORTS_MAX);
        let run = VerifyRun {
            reports: Some(reports),
            threads: Vec::new(),
            signals: Arc::new(Signals::new()),
            tally: tally::Tally::new(),
            ledger: None,
            due: VecDeque::new(),
            following: Vec::new(),
            seed: None,
            error: None,
        };
        (run, report)
    }

    /// Chooses how many files are read at a time, and has that told.
    pub(super) fn work_at_a_time(
        &mut self,
        asked: Option<NonZeroUsize>,
        seeks: Seeks,
    ) -> Concurrency {
        let chosen = concurrency::of_reading(asked, seeks);
        self.following.push(VerifyEvent::Concurrency(chosen));
        chosen
    }

    /// The flags that its threads share with it.
    pub(super) fn signals(&self) -> Arc<Signals> {
        Arc::clone(&self.signals)
    }

    pub(super) fn spawn(
        &mut self,
        name: &str,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<(), Error> {
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
            if let Some(event) = self.due.pop_front() {
                return Pull::Event(event);
            }
            let Some(reports) = &self.reports else {
                return Pull::Over;
            };
            match reports.recv_deadline(until) {
                Ok(report) => self.take(report),
                Err(RecvTimeoutError::Timeout) => return Pull::Late,
                Err(RecvTimeoutError::Disconnected) => self.finish(),
            }
        }
    }

    /// What a report means to the consumer becomes due; an error is told with the last event.
    fn take(&mut self, report: Report) {
        let event = match report {
            Report::Failed(error) => {
                self.error.get_or_insert(error);
                return;
            }
            Report::Opened {
                entries,
                bytes,
                passed,
            } => {
                self.tally.passed(passed);
                VerifyEvent::Opened {
                    entries,
                    bytes,
                    passed,
                    seed: self.seed,
                }
            }
            Report::Read { bytes } => self.tally.read(bytes),
            Report::Checked(checked) => {
                self.note(&checked);
                self.tally.entry(checked)
            }
            Report::Compared(compared) => match self.tally.compared(compared) {
                Some(event) => event,
                None => return,
            },
            Report::Warning(text) => VerifyEvent::Warning(text),
            Report::Rebuilt { entries } => return self.tally.rebuilt(entries),
        };
        self.due.push_back(event);
        self.due.extend(self.following.drain(..));
    }

    /// Notes in the manifest what was checked, as long as that is possible.
    fn note(&mut self, checked: &Checked) {
        if let Some(ledger) = &mut self.ledger
            && let Err(error) = ledger.note(checked)
        {
            self.ledger = None;
            self.following.push(VerifyEvent::Unnoted(unnoted(&error)));
        }
    }

    /// The last event becomes due. By then the threads have ended and the manifest is unlocked.
    fn finish(&mut self) {
        self.reports = None;
        for thread in self.threads.drain(..) {
            if let Err(panicked) = thread.join() {
                panic::resume_unwind(panicked);
            }
        }
        let cut_short = self.signals.is_cut_short();
        let error = self.error.take();
        let error = error.or_else(|| match cut_short {
            true => None,
            false => self.tally.compared_nothing(),
        });
        let summary = Box::new(self.tally.summary(error.as_ref(), cut_short));
        if let Some(mut ledger) = self.ledger.take()
            && let Err(error) = ledger.close(tally::end(&summary))
        {
            self.due.push_back(VerifyEvent::Unnoted(unnoted(&error)));
        }
        self.due.push_back(VerifyEvent::Finished { summary, error });
    }
}

/// Whether the device of a source has to seek, as far as the system says.
fn seeks(source: &Source) -> bool {
    SourceRoot::of(&source.path, source.held.as_ref()).is_ok_and(|root| root.seeks())
}

fn unnoted(error: &ManifestError) -> String {
    format!(
        "{error}; from here on nothing is noted, so this run cannot be gone on with if it is stopped"
    )
}

impl Iterator for VerifyRun {
    type Item = VerifyEvent;

    fn next(&mut self) -> Option<VerifyEvent> {
        loop {
            if let Some(event) = self.due.pop_front() {
                return Some(event);
            }
            match self.reports.as_ref()?.recv() {
                Ok(report) => self.take(report),
                Err(_) => self.finish(),
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
