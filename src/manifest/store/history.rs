//! What the manifest knows of verifications: read from it, and carried over when it is compacted.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Range;

use super::*;
use crate::codec;
use crate::manifest::frames;
use crate::manifest::index::POS_MAX;
use crate::manifest::journal::FRAME_PREFIX;
use crate::manifest::verified::{Depth, Finding, Found, Spans, Verified, VerifyBegin, VerifyEnd};
use crate::path::PathRef;
use crate::time;

/// Where the records of verifications are; what they say is read when it is asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct VerifyPositions {
    /// The last `VerifyBegin`, and its `VerifyEnd`.
    last: Option<(u64, Option<u64>)>,
    /// Every `Verified`.
    verified: Vec<u64>,
    /// The `Finding`s of the last run: of which record, and where.
    findings: Vec<(u64, u64)>,
    /// What the last `VerifyBegin` and its `Finding`s take, in bytes,
    last_bytes: u64,
    /// its `VerifyEnd`,
    end_bytes: u64,
    /// and every `Verified`.
    verified_bytes: u64,
}

/// When and how a path was verified last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LastVerified {
    pub(crate) at_ms: u64,
    pub(crate) depth: Depth,
    /// By the last run.
    by_last: bool,
}

/// The last verification.
#[derive(Debug, Clone)]
pub(crate) struct LastVerify {
    /// Position of its `VerifyBegin`.
    pub(crate) pos: u64,
    pub(crate) begin: VerifyBegin,
    pub(crate) end: Option<VerifyEnd>,
}

impl LastVerified {
    /// The records that say it of ascending spans.
    fn records(self, spans: &[Range<u64>], last_run: u64) -> impl Iterator<Item = Record> {
        let mut rest = spans;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (packed, behind) = Verified::pack(rest);
            rest = behind;
            Some(Record::Verified(Verified {
                run: if self.by_last { last_run } else { 0 },
                at_ms: self.at_ms,
                depth: self.depth,
                spans: packed,
            }))
        })
    }
}

impl VerifyPositions {
    /// Takes a record at `pos` that tells of a verification and takes so many bytes. Gives how many
    /// bytes are garbage by that; of `Verified`s that depends on all of them.
    pub(super) fn note(&mut self, pos: u64, record: &Record, bytes: u64) -> u64 {
        match record {
            Record::VerifyBegin(_) => {
                self.last = Some((pos, None));
                self.findings.clear();
                let begun_before = mem::replace(&mut self.last_bytes, bytes);
                begun_before + mem::take(&mut self.end_bytes)
            }
            Record::Verified(_) => {
                self.verified.push(pos);
                self.verified_bytes += bytes;
                0
            }
            Record::Finding(finding) if self.last.is_some_and(|(run, _)| run == finding.run) => {
                self.findings.push((finding.pos, pos));
                self.last_bytes += bytes;
                0
            }
            Record::VerifyEnd(end) => match &mut self.last {
                Some((run, ended)) if *run == end.run => {
                    *ended = Some(pos);
                    mem::replace(&mut self.end_bytes, bytes)
                }
                _ => bytes,
            },
            _ => bytes,
        }
    }

    /// What every `Verified` takes.
    pub(super) fn verified_bytes(&self) -> u64 {
        self.verified_bytes
    }
}

impl<F: Fs> Store<F> {
    /// The last verification that the manifest tells of.
    pub(crate) fn last_verify(&self) -> Result<Option<LastVerify>, ManifestError> {
        let Some((pos, end)) = self.verify.last else {
            return Ok(None);
        };
        let Record::VerifyBegin(begin) = self.read(pos)? else {
            return Ok(None);
        };
        let end = match end.map(|end| self.read(end)).transpose()? {
            Some(Record::VerifyEnd(end)) => Some(end),
            _ => None,
        };
        Ok(Some(LastVerify { pos, begin, end }))
    }

    /// What the last verification found wrong: the position of the path's record, and the one of the
    /// finding, which is read with [`Store::found_at`]. Findings may be as large as the manifest.
    pub(crate) fn last_findings(&self) -> &[(u64, u64)] {
        &self.verify.findings
    }

    /// Reads a finding of the last verification.
    pub(crate) fn found_at(&self, pos: u64) -> Result<Found, ManifestError> {
        match self.read(pos)? {
            Record::Finding(finding) => Ok(finding.what),
            _ => Err(self.damaged(pos, "a finding is not where it was")),
        }
    }

    /// Whether anything was ever verified.
    pub(crate) fn has_history(&self) -> bool {
        !self.verify.verified.is_empty()
    }

    /// When and how each path's content was verified last, by position. `medium`: only what was
    /// read from the medium counts.
    pub(crate) fn history(&self, medium: bool) -> Result<Spans<LastVerified>, ManifestError> {
        self.spans_of(|depth| depth == Depth::Medium || !medium && depth == Depth::Cached)
    }

    /// Reads the manifest once more, on several threads: calls `fold` with each file that is done and its
    /// position, and `merge`, in the order of the manifest, with what came of some of them.
    pub(crate) fn fold_done<T: Default + Send>(
        &self,
        fold: impl Fn(&mut T, u64, &Done<PathRef<'_>>) + Sync,
        mut merge: impl FnMut(T),
    ) -> Result<(), ManifestError> {
        let (index, end) = (&self.index, self.end());
        // Where no record ever took another's place, the index need not be asked for each.
        let all_count = self.garbage_bytes == 0;
        let take = |folded: &mut T, pos, payload: &[u8]| {
            if let Ok(Record::Done(done)) = codec::decode::<Record<PathRef<'_>>>(payload)
                && (all_count || index.points_at(index.hasher().hash(done.path.as_bytes()), pos))
            {
                fold(folded, pos, &done);
            }
        };
        let file = self.journal.file();
        let read = frames::each(
            &**file,
            &self.header.key(),
            (end, end),
            take,
            |folded, _| {
                merge(folded);
                Ok(true)
            },
        );
        let read = read.at("read", &self.path)?;
        match read < end {
            true => Err(self.damaged(read, journal::BAD_CHECKSUM)),
            false => Ok(()),
        }
    }

    /// What the last run has looked at in any way, by position.
    pub(crate) fn checked_by_last(&self) -> Result<Spans<LastVerified>, ManifestError> {
        let Some((run, _)) = self.verify.last else {
            return Ok(Spans::new());
        };
        self.painted(|record| record.run == run)
    }

    fn spans_of(
        &self,
        counts: impl Fn(Depth) -> bool,
    ) -> Result<Spans<LastVerified>, ManifestError> {
        self.painted(|record| counts(record.depth))
    }

    /// What some of the records say. There are no more spans than paths, however many the manifest has: each is
    /// widened from one path's newest record to another's. One record of spans is read at a time.
    fn painted(
        &self,
        counts: impl Fn(&Verified) -> bool,
    ) -> Result<Spans<LastVerified>, ManifestError> {
        let mut said = Vec::new();
        for pos in &self.verify.verified {
            self.check_stop()?;
            let record = self.verified_at(*pos)?;
            if counts(&record) {
                said.push((record.at_ms, *pos));
            }
        }
        // Clocks jump; the latest date counts, not the last record. A date in the future was noted
        // while a clock was wrong, and gives way to any other.
        let now_ms = time::now_ms();
        said.sort_by_key(|(at_ms, _)| (*at_ms <= now_ms, *at_ms));
        let (mut spans, there) = (Spans::new(), self.positions());
        for (_, pos) in said {
            self.check_stop()?;
            self.paint(&mut spans, &self.verified_at(pos)?, &there);
        }
        Ok(spans)
    }

    fn paint(&self, spans: &mut Spans<LastVerified>, record: &Verified, there: &[u64]) {
        let last = LastVerified {
            at_ms: record.at_ms,
            depth: record.depth,
            by_last: self.verify.last.is_some_and(|(run, _)| run == record.run),
        };
        for span in record.spans() {
            let first = there.partition_point(|pos| *pos < span.start);
            let behind = there.partition_point(|pos| *pos < span.end);
            if let Some([first, ..]) = there.get(first..behind) {
                let end = there.get(behind).copied().unwrap_or(POS_MAX + 1);
                spans.paint(*first..end, last);
            }
        }
    }

    /// How many bytes of the `Verified`s a compaction would leave behind, going by what later ones
    /// say again. Records that no longer count are left out of account.
    pub(super) fn verified_garbage(&self) -> Result<u64, ManifestError> {
        let (last_run, ended) = match self.verify.last {
            Some((run, end)) => (run, end.is_some()),
            None => (0, true),
        };
        let mut kept = 0;
        let mut payload = Vec::new();
        let mut keep = |record: &Record| {
            payload.clear();
            // All of it was decoded from as many bytes.
            if codec::encode(record, &mut payload).is_ok() {
                kept += (FRAME_PREFIX + payload.len()) as u64;
            }
        };
        let mut said: BTreeMap<LastVerified, Vec<Range<u64>>> = BTreeMap::new();
        for (span, how) in self.history(false)?.iter() {
            said.entry(how).or_default().push(span);
        }
        for (how, spans) in &said {
            self.check_stop()?;
            how.records(spans, last_run)
                .for_each(|record| keep(&record));
        }
        if !ended {
            for pos in &self.verify.verified {
                self.check_stop()?;
                let record = self.verified_at(*pos)?;
                if record.run == last_run && record.depth == Depth::Partly {
                    keep(&Record::Verified(record));
                }
            }
        }
        Ok(self.verify.verified_bytes.saturating_sub(kept))
    }

    fn verified_at(&self, pos: u64) -> Result<Verified, ManifestError> {
        match self.read(pos)? {
            Record::Verified(record) => Ok(record),
            _ => Err(self.damaged(pos, "a verification is not where it was")),
        }
    }
}

/// The history of a manifest on its way to a new one, where every record has another position.
pub(super) struct Carried {
    last: Option<LastVerify>,
    history: Spans<LastVerified>,
    partly: Spans<LastVerified>,
    /// Where the findings about each path's record are.
    findings: BTreeMap<u64, u64>,
    /// How many paths were carried over so far.
    paths: u64,
    out: BTreeMap<LastVerified, CarriedSpans>,
    /// Findings by new positions, and where they are in the old file.
    found: Vec<(u64, u64)>,
}

/// What was verified in one way at one time, by new positions.
struct CarriedSpans {
    spans: Vec<Range<u64>>,
    /// How many paths had been carried over when the last span ended.
    paths: u64,
}

impl Carried {
    pub(super) fn from<F: Fs>(store: &Store<F>) -> Result<Carried, ManifestError> {
        let last = store.last_verify()?;
        let unfinished = last.as_ref().is_some_and(|last| last.end.is_none());
        Ok(Carried {
            history: store.history(false)?,
            // Only a rerun that goes on wants to know what was not fully read.
            partly: match unfinished {
                true => store.checked_by_last()?,
                false => Spans::new(),
            },
            last,
            findings: store.last_findings().iter().copied().collect(),
            paths: 0,
            out: BTreeMap::new(),
            found: Vec::new(),
        })
    }

    /// The newest record of a path was at `old` and is at `new` now. To be called in file order.
    pub(super) fn moved(&mut self, old: u64, new: u64) {
        self.paths += 1;
        let partly = self.partly.get(old);
        let partly = partly.filter(|partly| partly.depth == Depth::Partly);
        for how in [self.history.get(old), partly].into_iter().flatten() {
            self.put(how, new);
        }
        let found = self.findings.remove(&old);
        self.found.extend(found.map(|at| (new, at)));
    }

    fn put(&mut self, how: LastVerified, new: u64) {
        let paths = self.paths;
        let span = new..new + 1;
        let out = self.out.entry(how).or_insert_with(|| CarriedSpans {
            spans: Vec::with_capacity(1),
            paths,
        });
        match out.spans.last_mut() {
            Some(last) if out.paths + 1 == paths => last.end = span.end,
            _ => out.spans.push(span),
        }
        out.paths = paths;
    }

    /// Appends what was carried over from `old`.
    pub(super) fn append<F: Fs>(
        self,
        old: &Store<F>,
        new: &mut Store<F>,
    ) -> Result<(), ManifestError> {
        let mut last_run = 0;
        if let Some(last) = &self.last {
            last_run = new.append(&Record::VerifyBegin(last.begin.clone()))?;
        }
        for (how, out) in &self.out {
            old.check_stop()?;
            for record in how.records(&out.spans, last_run) {
                new.append(&record)?;
            }
        }
        for (pos, at) in self.found {
            old.check_stop()?;
            let (run, what) = (last_run, old.found_at(at)?);
            new.append(&Record::Finding(Finding { run, pos, what }))?;
        }
        if let Some(end) = self.last.and_then(|last| last.end) {
            let run = last_run;
            new.append(&Record::VerifyEnd(VerifyEnd { run, ..end }))?;
        }
        Ok(())
    }
}
