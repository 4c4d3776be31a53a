//! Goes through a recording and rebuilds the disk as a power cut after each event could have left
//! it: what is durable for sure, plus whatever [`Fate`]s let survive of the rest.
//!
//! The durable part is kept up as the replay advances, so that a state costs what is pending at
//! that moment, not the length of the recording.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;

use super::content::Content;
use super::disk::{Disk, Ino};
use super::fate::{CrashKind, Fate};
use super::log::{Event, Flush, Log, Op};
use super::rng::Rng;

/// Flushes that the device answers without emptying its cache, counted from 0 in the order of
/// completion. The next honest one empties it of what was held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lie {
    pub(crate) first: usize,
    /// How many in a row.
    pub(crate) flushes: usize,
}

/// A recording, replayed up to some event.
pub(crate) struct Replay<'a> {
    log: &'a Log,
    /// How many events have happened.
    at: usize,
    durable: Disk,
    /// How often `durable` changed.
    version: u64,
    /// Positions of the operations that may or may not survive.
    pending: Vec<usize>,
    flushes: usize,
    lie: Option<Lie>,
    /// Positions of the operations that the device took and kept in its cache.
    held_back: BTreeSet<usize>,
    marks: Vec<&'a str>,
}

impl<'a> Replay<'a> {
    /// Before the first event.
    pub(crate) fn new(log: &'a Log, lie: Option<Lie>) -> Replay<'a> {
        Replay {
            log,
            at: 0,
            durable: log.base.clone(),
            version: 0,
            pending: Vec::new(),
            flushes: 0,
            lie,
            held_back: BTreeSet::new(),
            marks: Vec::new(),
        }
    }

    /// After the last event.
    pub(crate) fn at_end(log: &'a Log) -> Replay<'a> {
        let mut replay = Replay::new(log, None);
        while replay.step() {}
        replay
    }

    /// How many events have happened.
    pub(crate) fn cut(&self) -> usize {
        self.at
    }

    /// What the outside world was told until now.
    pub(crate) fn marks(&self) -> &[&'a str] {
        &self.marks
    }

    /// Lets one more event happen; false if there is none.
    pub(crate) fn step(&mut self) -> bool {
        let Some(event) = self.log.events.get(self.at) else {
            return false;
        };
        match event {
            Event::Op(op) => {
                self.durable.bear(op);
                self.pending.push(self.at);
            }
            Event::FlushBegan(_) => {}
            Event::Flushed { what, began } => {
                if self.lie.is_some_and(|lie| lie.is_about(self.flushes)) {
                    let mut taken = self.pending_in(*what);
                    taken.retain(|at| at < began);
                    self.held_back.extend(taken);
                } else {
                    self.persist(*what, *began);
                }
                self.flushes += 1;
            }
            Event::FlushFailed { forgotten } => {
                let forgotten: BTreeSet<_> = forgotten.iter().collect();
                self.pending.retain(|at| !forgotten.contains(at));
            }
            Event::Mark(what) => self.marks.push(what),
        }
        self.at += 1;
        true
    }

    fn persist(&mut self, what: Flush, began: usize) {
        let (log, durable, before) = (self.log, &mut self.durable, self.pending.len());
        let held_back = std::mem::take(&mut self.held_back);
        self.pending.retain(|at| match log.op(*at) {
            Some(op) if held_back.contains(at) || (*at < began && what.covers(op)) => {
                durable.apply(op);
                false
            }
            _ => true,
        });
        self.version += u64::from(self.pending.len() != before);
    }

    fn pending_ops(&self) -> Vec<&'a Op> {
        let log = self.log;
        self.pending.iter().filter_map(|at| log.op(*at)).collect()
    }

    /// The positions of what this flush would have to write.
    pub(crate) fn pending_in(&self, what: Flush) -> Vec<usize> {
        let mut covered = self.pending.clone();
        covered.retain(|at| self.log.op(*at).is_some_and(|op| what.covers(op)));
        covered
    }

    /// Whether a power cut of this kind differs from the plain ones here.
    pub(crate) fn applies(&self, kind: CrashKind) -> bool {
        kind.applies(&self.pending_ops())
    }

    /// What becomes of each pending operation.
    pub(crate) fn fates(&self, kind: CrashKind, rng: &mut Rng) -> Vec<Fate> {
        kind.fates(&self.pending_ops(), rng)
    }

    /// The same for states that cannot be told apart: the same disk, and the same told of it.
    pub(crate) fn fingerprint(&self, fates: &[Fate]) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.version, self.marks.len()).hash(&mut hasher);
        for (at, fate) in self.pending.iter().zip(fates) {
            if *fate != Fate::Lose {
                (at, fate).hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    /// The disk after the power cut.
    pub(crate) fn disk(&self, fates: &[Fate]) -> Disk {
        let mut disk = self.durable.clone();
        for (op, fate) in self.pending_ops().into_iter().zip(fates) {
            fate.apply(&mut disk, op, &self.durable);
        }
        disk
    }
}

impl Lie {
    /// A lie about one flush.
    pub(crate) fn about(flush: usize) -> Lie {
        Lie {
            first: flush,
            flushes: 1,
        }
    }

    fn is_about(self, flush: usize) -> bool {
        (self.first..self.first + self.flushes).contains(&flush)
    }
}

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.first, self.flushes)
    }
}

impl FromStr for Lie {
    type Err = String;
    fn from_str(text: &str) -> Result<Lie, String> {
        let number = |part: &str| part.parse().map_err(|_| format!("{text:?} is no lie"));
        let (first, flushes) = text.split_once('x').ok_or(format!("{text:?} is no lie"))?;
        Ok(Lie {
            first: number(first)?,
            flushes: number(flushes)?,
        })
    }
}

/// What the medium holds of a file whose flushes failed, once everything else is written.
pub(super) fn medium(log: &Log, ino: Ino) -> Content {
    let forgotten: BTreeSet<usize> = log
        .events
        .iter()
        .filter_map(|event| match event {
            Event::FlushFailed { forgotten } => Some(forgotten),
            _ => None,
        })
        .flatten()
        .copied()
        .collect();
    let mut content = log.base.content(ino).cloned().unwrap_or_default();
    for at in 0..log.events.len() {
        match log.op(at) {
            Some(op) if op.inode() != Some(ino) || forgotten.contains(&at) => {}
            Some(Op::Write { offset, data, .. }) => content.write_at(data, *offset),
            Some(Op::SetLen { len, .. }) => content.set_len(*len),
            _ => {}
        }
    }
    content
}
