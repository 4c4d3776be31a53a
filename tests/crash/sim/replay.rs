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
use super::disk::{Disk, Ino, mount_of};
use super::fate::{CrashKind, Fate};
use super::log::{Event, Flush, Log, Op};
use super::rng::Rng;
use super::space::CLUSTER;

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

    /// How many flushes of the device have come to their end.
    pub(crate) fn flushes(&self) -> usize {
        self.flushes
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
                let empties = self.log.empties_cache(*what);
                let is_lie = || self.lie.is_some_and(|lie| lie.is_about(self.flushes));
                if !empties || is_lie() {
                    let mut taken = self.pending_in(*what);
                    taken.retain(|at| at < began);
                    self.held_back.extend(taken);
                } else {
                    self.persist(*what, *began);
                }
                self.flushes += usize::from(empties);
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
        let held_back = &mut self.held_back;
        self.pending.retain(|at| match log.op(*at) {
            Some(op)
                if held_back.contains(at) && what.is_of_device(op)
                    || (*at < began && what.covers(op)) =>
            {
                held_back.remove(at);
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
        kind.applies(&self.pending_ops(), self.log)
    }

    /// What becomes of each pending operation.
    pub(crate) fn fates(&self, kind: CrashKind, rng: &mut Rng) -> Vec<Fate> {
        kind.fates(&self.pending_ops(), self.log, rng)
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
        let pending = self.pending_ops();
        for (op, fate) in pending.iter().zip(fates) {
            fate.apply(&mut disk, op, &self.durable);
        }
        self.show_stale_blocks(&mut disk, &pending, fates);
        let loses = |ino| self.log.traits_of(mount_of(ino)).loses_allocations;
        disk.lose_allocations(&self.durable, &pending, loses);
        disk
    }
}

impl Replay<'_> {
    /// Where a file grew by what never reached the medium, all of the last block is what lay there before,
    /// as far as the file is said to reach, and not only the sectors that were written.
    fn show_stale_blocks(&self, disk: &mut Disk, pending: &[&Op], fates: &[Fate]) {
        for (nth, (op, fate)) in pending.iter().zip(fates).enumerate() {
            let (
                Some(stale),
                Op::Write {
                    ino, offset, data, ..
                },
            ) = (fate.stale(), op)
            else {
                continue;
            };
            let end = offset + data.len() as u64;
            let rest = end..end.next_multiple_of(CLUSTER);
            let had = self.durable.content(*ino).map_or(0, Content::len);
            let is_written = |(op, fate): (&&Op, &Fate)| match op {
                Op::Write {
                    ino: other, offset, ..
                } => other == ino && rest.contains(offset) && *fate != Fate::Lose,
                _ => false,
            };
            let later = pending[nth + 1..].iter().zip(&fates[nth + 1..]);
            if had <= end && !later.into_iter().any(is_written) {
                let mut bytes = vec![0; (rest.end - rest.start) as usize];
                stale.fill(&mut bytes, (*ino, end), &self.durable);
                disk.stray(*ino, &bytes, end);
            }
        }
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
            Some(Op::Write { offset, data, .. } | Op::Stray { offset, data, .. }) => {
                content.write_at(data, *offset);
            }
            Some(Op::SetLen { len, .. }) => content.set_len(*len),
            _ => {}
        }
    }
    content
}
