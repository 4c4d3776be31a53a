//! The counting walk: totals for whoever shows progress, and what the destination cannot hold.
//!
//! On a first copy the planner waits for it, up to [`WAIT_MAX`], so that what can never succeed is
//! normally refused before the first byte. What it finds later ends the run just the same.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::Shared;
use super::failure::{self, Failure};
use super::message::Message;
use super::siblings::Siblings;
use crate::error::{Error, Refusal};
use crate::event::Counted;
use crate::fs::{About, Fs, Kind};
use crate::limits::{NameRules, Unsupported};
use crate::lock_mutex;
use crate::manifest::Entry;
use crate::path::Printable;
use crate::plan::source_id;
use crate::scan::{self, Scanned, Source};

mod room;

use room::Need;

/// How long copying waits for the counting walk.
const WAIT_MAX: Duration = Duration::from_secs(10);
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

/// Walks all sources, counts, and ends the run if the destination cannot hold what it saw.
pub(super) fn count<F: Fs>(
    shared: &Shared<F>,
    sources: &[Source],
    messages: &Sender<Message<F>>,
    gate: Gate,
    began_at: u64,
) {
    let began = Instant::now();
    let ended = Counter::new(shared, messages, began_at).and_then(|mut counter| {
        if counter.walk(sources).is_break() {
            return Ok(());
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
    messages: &'a Sender<Message<F>>,
    /// The room there was before anything was copied.
    about: About,
    counted: Counted,
    /// Where the manifest ended when the run began.
    began_at: u64,
    /// Inodes with several names: such a file is copied once.
    linked: HashSet<(u64, u64)>,
    need: Need,
    siblings: Siblings,
    refusal: Refusal,
    lesser: [Lesser; 2],
}

/// Entries that can be copied, though not with everything: how many, and the first.
#[derive(Default)]
struct Lesser {
    count: u64,
    first: Option<PathBuf>,
}

impl Lesser {
    fn add(&mut self, path: &Path) {
        self.count += 1;
        self.first.get_or_insert_with(|| path.to_path_buf());
    }
}

const TIMES: usize = 0;
const WINDOWS_NAMES: usize = 1;

impl<'a, F: Fs> Counter<'a, F> {
    fn new(
        shared: &'a Shared<F>,
        messages: &'a Sender<Message<F>>,
        began_at: u64,
    ) -> Result<Counter<'a, F>, Failure> {
        let asked = shared.fs.about();
        let about = asked.map_err(failure::context(
            &shared.fs,
            "look at the file system of",
            shared.dest.clone(),
        ))?;
        Ok(Counter {
            shared,
            messages,
            about,
            counted: Counted::default(),
            began_at,
            linked: HashSet::new(),
            need: Need::default(),
            siblings: Siblings::default(),
            refusal: Refusal::new(&shared.dest, about.kind.describe()),
            lesser: Default::default(),
        })
    }

    /// `Break`: the run ended meanwhile.
    fn walk(&mut self, sources: &[Source]) -> ControlFlow<()> {
        scan::each(sources, &self.shared.options.selection, |scanned| {
            if self.shared.should_stop() {
                return ControlFlow::Break(());
            }
            self.meet(scanned)
        })?;
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
        let stat = &scanned.stat;
        self.counted.entries += 1;
        if scanned.left_out {
            return self.report_now_and_then();
        }
        let first_name =
            stat.kind == Kind::Dir || stat.nlink == 1 || self.linked.insert((stat.dev, stat.ino));
        if first_name {
            if stat.kind == Kind::File {
                self.counted.bytes += stat.size;
                self.counted.bytes_before += self.there_before(scanned);
            }
            self.need.add(&self.about, stat);
        }
        self.look(scanned);
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
                    && partial.begin.source == source_id(stat) =>
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

    /// Notes what the destination cannot hold, or not as it is.
    fn look(&mut self, scanned: &Scanned) {
        let (limits, dest) = (&self.shared.limits, &scanned.dest);
        if let Some(why) = limits.refuses(dest, &scanned.stat) {
            return self.refusal.add(&scanned.source, why);
        }
        if limits.folds
            && let Some(other) = self.siblings.meet(dest)
            && self.shared.are_one(&other, dest).unwrap_or(false)
        {
            let why = Unsupported::SameName { other };
            return self.refusal.add(&scanned.source, why);
        }
        if !self.about.kind.times_ns().contains(&scanned.stat.mtime_ns) {
            self.lesser[TIMES].add(&scanned.source);
        }
        if self.about.kind.is_windows() && NameRules::windows().check(dest.name()).is_some() {
            self.lesser[WINDOWS_NAMES].add(&scanned.source);
        }
    }

    /// Says what came of the walk.
    fn judge(mut self, sources: &[Source], began: Instant) -> Result<(), Failure> {
        for text in self.warnings() {
            let sent = self.messages.send(Message::Warning(text));
            sent.map_err(|_| Failure::Stopped)?;
        }
        for shortage in self.need.shortages(self.shared, &self.about, sources)? {
            self.refusal.add_shortage(shortage);
        }
        let refusal = match self.shared.options.skip_unsupported {
            true => self.refusal.without_entries(),
            false => self.refusal,
        };
        if refusal.is_empty() {
            return Ok(());
        }
        let waited_for = !self.shared.is_rerun && began.elapsed() < WAIT_MAX;
        let refusal = refusal.under_way(!waited_for);
        Err(Failure::Fatal(Error::Refused(Box::new(refusal))))
    }

    fn warnings(&self) -> Vec<String> {
        let kind = self.about.kind.describe();
        let texts = [
            format!("have times that {kind} cannot keep, as it knows 1980 to 2107 only"),
            "have names that Windows cannot open".to_string(),
        ];
        let mut warnings = Vec::new();
        for (lesser, text) in self.lesser.iter().zip(texts) {
            if let Some(first) = &lesser.first {
                let (count, first) = (lesser.count, Printable(first));
                warnings.push(format!("{count} entries {text}; the first is {first}"));
            }
        }
        warnings
    }
}
