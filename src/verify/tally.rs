//! Counting verdicts, and what they add up to.

use std::path::PathBuf;
use std::time::Instant;

use super::ledger::End;
use super::{Checked, Compared};
use crate::error::{Error, ManifestDamage, SetupError};
use crate::event::{
    ComparedSource, EntryCounts, PassedOver, ReadHow, Sides, SourceState, Verdict, VerifyEvent,
    VerifySummary,
};
use crate::exit::Exit;

#[derive(Debug)]
pub(super) struct Tally {
    counts: VerifySummary,
    /// Recorded entries that were checked.
    entries: u64,
    started: Instant,
}

impl Tally {
    pub(super) fn new() -> Tally {
        Tally {
            counts: VerifySummary::default(),
            entries: 0,
            started: Instant::now(),
        }
    }

    pub(super) fn read(&mut self, bytes: u64) -> VerifyEvent {
        self.counts.bytes_read += bytes;
        let bytes_read = self.counts.bytes_read;
        VerifyEvent::Progress { bytes_read }
    }

    pub(super) fn manifest_damaged(&mut self, damage: Option<ManifestDamage>) {
        self.counts.manifest_damage = damage.map(Box::new);
    }

    pub(super) fn passed(&mut self, passed: PassedOver) {
        self.counts.passed = passed;
    }

    pub(super) fn entry(&mut self, checked: Checked) -> VerifyEvent {
        let Checked {
            path,
            kind,
            verdict,
            how,
            at,
            blocks,
        } = checked;
        self.entries += u64::from(at.is_some());
        let counts = &mut self.counts;
        match verdict {
            Verdict::Ok => counts.ok.add(kind),
            Verdict::Sampled { .. } => counts.files_sampled += 1,
            Verdict::Unread => counts.files_unread += 1,
            Verdict::Unproven => counts.files_unproven += 1,
            Verdict::Corrupt { .. } => counts.files_corrupt += 1,
            Verdict::Modified { .. } => counts.modified.add(kind),
            Verdict::Metadata { .. } => counts.metadata.add(kind),
            Verdict::Missing => counts.missing.add(kind),
            Verdict::Incomplete { .. } => counts.incomplete.add(kind),
            Verdict::Extra => counts.extra.add(kind),
            Verdict::Unreadable { .. } => counts.unreadable.add(kind),
            Verdict::Unknown { .. } => counts.unknown.add(kind),
        }
        match how {
            Some(ReadHow::Direct) => counts.read_direct += 1,
            Some(ReadHow::Evicted) => counts.read_evicted += 1,
            Some(ReadHow::Cached) => counts.read_cached += 1,
            None => {}
        }
        counts.blocks_read += blocks.read;
        counts.blocks_unread += blocks.unread;
        counts.bytes_unread += blocks.unread_bytes;
        VerifyEvent::Entry {
            path,
            kind,
            verdict,
            how,
        }
    }

    pub(super) fn rebuilt(&mut self, entries: EntryCounts) {
        self.counts.recorded = Some(entries);
    }

    /// Sources are to be compared with, too.
    pub(super) fn against(&mut self, sources: &[PathBuf]) {
        let sources = sources.iter().map(|path| ComparedSource {
            path: path.clone(),
            entries_compared: 0,
        });
        self.counts.sides.sources = sources.collect();
    }

    /// Returns an error if entries were checked and none of them was looked for in a source, though
    /// they were to be compared with some.
    pub(super) fn compared_nothing(&self) -> Option<Error> {
        let sides = &self.counts.sides;
        let compared = sides.sources.iter().map(|it| it.entries_compared);
        let looked_for = compared.sum::<u64>() + sides.source_missing + sides.source_unreadable;
        let path = sides.sources.first()?.path.clone();
        let is_hollow = self.entries > 0 && looked_for == 0;
        is_hollow.then(|| SetupError::NothingCompared { path }.into())
    }

    /// Counts a source that was looked at; `None`: it is as its copy is.
    pub(super) fn compared(&mut self, compared: Compared) -> Option<VerifyEvent> {
        let Compared {
            path,
            nth,
            source,
            dest_changed,
        } = compared;
        let is_there = !matches!(
            source,
            Some(SourceState::Missing | SourceState::Unreadable(_))
        );
        let sides = &mut self.counts.sides;
        sides.sources[nth].entries_compared += u64::from(is_there);
        if source.is_none() && !dest_changed {
            return None;
        }
        if let Some(source) = &source {
            *match source {
                SourceState::Edited => &mut sides.source_edited,
                SourceState::Rotten => &mut sides.source_rotten,
                SourceState::Missing => &mut sides.source_missing,
                SourceState::Unreadable(_) => &mut sides.source_unreadable,
            } += 1;
            sides.both_changed += u64::from(dest_changed);
        }
        Some(VerifyEvent::Compared {
            path,
            source,
            dest_changed,
        })
    }

    /// The totals; what ended the run early decides about its exit before anything it found.
    pub(super) fn summary(&self, error: Option<&Error>, cut_short: bool) -> VerifySummary {
        let counts = &self.counts;
        let damaged = counts.damaged().total();
        let exit_code = match error {
            Some(error) => error.exit(),
            None if cut_short => Exit::Stopped,
            None if damaged + counts.sides.source_rotten > 0 => Exit::Damaged,
            None if counts.files_unproven + changed_sources(&counts.sides) > 0 => Exit::Partial,
            None => Exit::Done,
        };
        VerifySummary {
            exit_code,
            elapsed_ms: self.started.elapsed().as_millis() as u64,
            ..counts.clone()
        }
    }
}

/// How many sources are not what was copied, without being damaged.
fn changed_sources(sides: &Sides) -> u64 {
    sides.source_edited + sides.source_missing + sides.source_unreadable
}

/// What the manifest's history says of how it ended.
pub(super) fn end(summary: &VerifySummary) -> End {
    End {
        exit: summary.exit_code,
        entries_ok: summary.ok.total()
            + summary.files_sampled
            + summary.files_unread
            + summary.passed.before.total(),
        entries_bad: summary.damaged().total() + summary.files_unproven,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::PathError;
    use crate::event::Damage;
    use crate::path::RelPath;

    fn exit_after(verdict: Verdict) -> Exit {
        let mut tally = Tally::new();
        tally.entry(Checked::again(RelPath::root(), None, Verdict::Ok));
        tally.entry(Checked::again(RelPath::root(), None, verdict));
        tally.summary(None, false).exit_code
    }

    fn error() -> PathError {
        PathError::new("read", "f", std::io::ErrorKind::Other.into())
    }

    #[test]
    fn every_verdict_but_ok_and_extra_is_damage() {
        assert_eq!(exit_after(Verdict::Ok), Exit::Done);
        assert_eq!(exit_after(Verdict::Extra), Exit::Done);
        let error = error();
        for bad in [
            Verdict::Corrupt {
                damage: Damage::default(),
            },
            Verdict::Modified {
                what: "".into(),
                damage: None,
            },
            Verdict::Metadata { what: "".into() },
            Verdict::Missing,
            Verdict::Incomplete { bytes: 0, of: 1 },
            Verdict::Unreadable { error },
        ] {
            assert_eq!(exit_after(bad), Exit::Damaged);
        }
    }

    #[test]
    fn content_that_is_not_proved_to_be_on_the_medium_is_a_failure_and_no_damage() {
        assert_eq!(exit_after(Verdict::Unproven), Exit::Partial);
    }

    #[test]
    fn what_ended_a_run_early_outranks_what_it_found() {
        let mut tally = Tally::new();
        tally.entry(Checked::again(RelPath::root(), None, Verdict::Missing));
        assert_eq!(tally.summary(None, true).exit_code, Exit::Stopped);
        let error = Error::DeviceGone(error());
        assert_eq!(
            tally.summary(Some(&error), true).exit_code,
            Exit::DeviceGone
        );
    }
}
