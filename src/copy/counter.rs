//! The counting walk: totals for whoever shows progress, and what the destination cannot hold,
//! which `fit` says.
//!
//! On a first copy the planner waits for it, up to [`WAIT_MAX`], so that what can never succeed is
//! normally refused before the first byte. What it finds later ends the run just the same.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::Shared;
use super::ahead::Keeper;
use super::batch::BatchSender;
use super::failure::{self, Failure};
use super::fit::Fit;
use super::message::Message;
use super::room::{Reclaimable, There};
use crate::error::Error;
use crate::event::Counted;
use crate::fs::{About, Fs, Kind};
use crate::lock_mutex;
use crate::manifest::Entry;
use crate::plan::may_resume;
use crate::scan::{MountPoints, Scan, Scanned, Source};

/// How long copying waits for the counting walk.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(10);
/// How often it looks, while waiting, whether the run was stopped.
const WAIT_STEP: Duration = Duration::from_millis(20);
/// The walk reports after this many entries.
const COUNTED_EVERY: u64 = 1000;

/// What keeps the planner waiting until it is dropped.
pub(super) type Gate = Sender<()>;

/// Waits until the walk is over, or has taken too long.
pub(super) fn wait<F: Fs>(shared: &Shared<F>, gate: &Receiver<()>) {
    let deadline = Instant::now() + WAIT_MAX;
    while !shared.should_stop() && Instant::now() < deadline {
        if gate.recv_timeout(WAIT_STEP) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// Walks all sources, counts, and ends the run if the destination cannot hold what it saw. What is
/// found may be kept for the scanner.
pub(super) fn count<F: Fs>(
    shared: &Shared<F>,
    sources: &[Source],
    messages: &BatchSender<Message<F>>,
    (gate, mut keeper): (Gate, Option<Keeper>),
    began_at: u64,
) {
    let began = Instant::now();
    let ended = Counter::new(shared, messages, began_at).and_then(|mut counter| {
        if counter.walk(sources, keeper.as_mut()).is_break() {
            return Ok(());
        }
        if let Some(keeper) = keeper {
            keeper.hand_over();
        }
        counter.judge(sources, began)
    });
    match ended {
        Ok(()) | Err(Failure::Stopped) => {}
        Err(Failure::Fatal(error)) => {
            // Now, and not when the message is taken: the planner must not begin meanwhile.
            shared.failed.store(true, Ordering::Relaxed);
            let _ = messages.send(Message::Fatal(error));
        }
        // The real walk meets the same trouble and reports it with its path.
        Err(Failure::Entry(_)) => {}
    }
    drop(gate);
}

struct Counter<'a, F: Fs> {
    shared: &'a Shared<F>,
    messages: &'a BatchSender<Message<F>>,
    counted: Counted,
    /// Where the manifest ended when the run began.
    began_at: u64,
    fit: Fit<'a>,
}

impl<'a, F: Fs> Counter<'a, F> {
    fn new(
        shared: &'a Shared<F>,
        messages: &'a BatchSender<Message<F>>,
        began_at: u64,
    ) -> Result<Counter<'a, F>, Failure> {
        // The room there is before anything is copied.
        let asked = shared.fs.about();
        let about = asked.map_err(failure::context(
            &shared.fs,
            "look at the file system of",
            shared.dest.clone(),
        ))?;
        Ok(Counter {
            shared,
            messages,
            counted: Counted::default(),
            began_at,
            fit: Fit::new(&shared.limits, about, &shared.options, &shared.dest),
        })
    }

    /// `Break`: the run ended meanwhile.
    fn walk(&mut self, sources: &[Source], mut keeper: Option<&mut Keeper>) -> ControlFlow<()> {
        let deletes = self.shared.options.delete.is_some();
        for (number, source) in sources.iter().enumerate() {
            let mut scan = Scan::new(sources, number, &self.shared.options.selection);
            let mut mount_points = MountPoints::new(source);
            let mut scanned = Box::<Scanned>::default();
            while let Some(next) = scan.next_in(&mut scanned) {
                if self.shared.should_stop() {
                    return ControlFlow::Break(());
                }
                if next.is_ok() {
                    if deletes {
                        mount_points.meet(&scanned);
                    }
                    self.meet(&scanned)?;
                }
                if let Some(keeper) = keeper.as_mut().filter(|keeper| keeper.keeps()) {
                    let found = next.map(|()| std::mem::take(&mut scanned));
                    keeper.keep((number, found.map_err(Box::new)));
                }
            }
            // One that is gone when the scanner comes there has moved as well.
            lock_mutex(&self.shared.walked).mount_points(mount_points);
        }
        self.counted.complete = true;
        self.report()
    }

    fn report(&self) -> ControlFlow<()> {
        // A run that is paused takes no message, and its totals become firm all the same.
        self.shared.board.counted(self.counted);
        match self.messages.send(Message::Counted(self.counted)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn meet(&mut self, scanned: &Scanned) -> ControlFlow<()> {
        self.counted.entries += 1;
        let shared = self.shared;
        let are_one = |one: &_, other: &_| shared.are_one(one, other).unwrap_or(false);
        let has_content = self.fit.meet(scanned, are_one);
        if has_content && scanned.stat.kind == Kind::File {
            self.counted.bytes += scanned.stat.size;
            self.counted.bytes_before += self.there_before(scanned);
        }
        self.report_now_and_then()
    }

    /// Bytes of a file that an earlier run made durable. What this run adds does not count.
    fn there_before(&self, scanned: &Scanned) -> u64 {
        if !self.shared.is_rerun {
            return 0;
        }
        let known = lock_mutex(&self.shared.store).lookup(&scanned.dest);
        let stat = &scanned.stat;
        match known {
            Ok(Some((pos, Entry::Done(done))))
                if pos < self.began_at
                    && (done.size, done.mtime_ns) == (stat.size, stat.mtime_ns) =>
            {
                stat.size
            }
            Ok(Some((_, Entry::Partial(partial))))
                if partial.last_pos < self.began_at
                    && !partial.begin.adopts
                    && may_resume(&partial.begin.source, stat) =>
            {
                let recorded = partial
                    .blocks
                    .saturating_mul(self.shared.block_size.bytes());
                recorded.min(stat.size)
            }
            _ => 0,
        }
    }

    fn report_now_and_then(&self) -> ControlFlow<()> {
        match self.counted.entries % COUNTED_EVERY {
            0 => self.report(),
            _ => ControlFlow::Continue(()),
        }
    }

    /// Says what came of the walk.
    fn judge(self, sources: &[Source], began: Instant) -> Result<(), Failure> {
        for text in self.fit.warnings() {
            let sent = self.messages.send(Message::Warning(text));
            sent.map_err(|_| Failure::Stopped)?;
        }
        let shared = self.shared;
        let known = |path: &_| {
            let known = lock_mutex(&shared.store).lookup(path);
            let known = known.map_err(|error| failure::manifest_failed(&*shared.fs, error));
            Ok(known.map_err(Failure::Fatal)?.map(|(_, entry)| entry))
        };
        let mut there = There::new(&shared.fs, &shared.dest, shared.block_size, &known);
        let stop = || shared.should_stop();
        let selection = &shared.options.selection;
        let shortages = self
            .fit
            .shortages(Some(&mut there), sources, selection, &stop)?;
        let walked = lock_mutex(&shared.walked).mounts_alone();
        let reclaimable = |about: &About| {
            let (fs, from) = (&*shared.fs, (sources, &walked));
            let store = lock_mutex(&shared.store);
            Reclaimable::find(about, fs, from, &shared.options, Some(&store), &stop)
        };
        let Some(refusal) = self.fit.refusal(shortages, reclaimable)? else {
            return Ok(());
        };
        let waited_for = !shared.is_rerun && began.elapsed() < WAIT_MAX;
        let refusal = refusal.under_way(!waited_for);
        Err(Failure::Fatal(Error::Refused(Box::new(refusal))))
    }
}
