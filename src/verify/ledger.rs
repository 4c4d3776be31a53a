//! Noting in the manifest what is checked, so that a run that is stopped can be gone on with, and
//! that it is known years later when each file was read last.
//!
//! Nothing but that depends on it: if it cannot be written, the verification goes on without.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::found::found;
use super::{At, Checked};
use crate::error::ManifestError;
use crate::event::{ReadHow, Verdict};
use crate::exit::Exit;
use crate::fs::Fs;
use crate::manifest::{Depth, Finding, Record, VerifyEnd, VerifyLog};

/// What was checked is made durable this often.
const FLUSH_EVERY: Duration = Duration::from_secs(10);
/// No more than this waits to be written.
const WAITING_MAX: usize = 1 << 16;
/// So many findings are kept; what is found wrong beyond is looked at again.
const FINDINGS_MAX: usize = 10_000;

/// Where a run notes what it did.
pub(super) trait Ledger: Send + std::fmt::Debug {
    /// Notes what was found out about one path.
    fn note(&mut self, checked: &Checked) -> Result<(), ManifestError>;
    /// Notes how the run ended, and makes all durable.
    fn close(&mut self, end: End) -> Result<(), ManifestError>;
}

/// How a run ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) exit: Exit,
    pub(super) entries_ok: u64,
    pub(super) entries_bad: u64,
}

/// The ledger in the manifest.
pub(super) struct ManifestLedger<F: Fs> {
    log: VerifyLog<F>,
    /// Position of the run's `VerifyBegin`.
    run: u64,
    started_ms: u64,
    waiting: [Vec<At>; 3],
    findings: usize,
    flushed: Instant,
}

impl<F: Fs> std::fmt::Debug for ManifestLedger<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ManifestLedger")
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

impl<F: Fs> ManifestLedger<F> {
    /// Goes on with the run whose `VerifyBegin` is at `run`; what is checked from now on counts
    /// as verified at `started_ms`.
    pub(super) fn new(log: VerifyLog<F>, run: u64, started_ms: u64, findings: usize) -> Self {
        ManifestLedger {
            log,
            run,
            started_ms,
            waiting: Default::default(),
            findings,
            flushed: Instant::now(),
        }
    }

    fn write(&mut self) -> Result<(), ManifestError> {
        for depth in [Depth::Medium, Depth::Cached, Depth::Partly] {
            let mut waiting = std::mem::take(&mut self.waiting[depth as usize]);
            waiting.sort_unstable_by_key(|at| at.ordinal);
            let spans = spans(&waiting);
            self.log
                .verified(self.run, self.started_ms, depth, &spans)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ManifestError> {
        self.write()?;
        self.flushed = Instant::now();
        self.log.flush()
    }
}

impl<F: Fs> Ledger for ManifestLedger<F> {
    fn note(&mut self, checked: &Checked) -> Result<(), ManifestError> {
        let Some(at) = checked.at else {
            return Ok(());
        };
        if let Some(what) = found(&checked.verdict) {
            if self.findings < FINDINGS_MAX {
                self.findings += 1;
                self.log.finding(Finding {
                    run: self.run,
                    pos: at.pos,
                    what,
                })?;
            }
        } else {
            self.waiting[depth(&checked.verdict, checked.how) as usize].push(at);
        }
        if self.flushed.elapsed() >= FLUSH_EVERY {
            self.flush()
        } else if self.waiting.iter().any(|ats| ats.len() >= WAITING_MAX) {
            self.write()
        } else {
            Ok(())
        }
    }

    fn close(&mut self, end: End) -> Result<(), ManifestError> {
        self.write()?;
        if matches!(end.exit, Exit::Done | Exit::Damaged | Exit::Partial) {
            self.log.append(&Record::VerifyEnd(VerifyEnd {
                run: self.run,
                ended_ms: crate::time::now_ms(),
                exit_code: end.exit.code(),
                entries_ok: end.entries_ok,
                entries_bad: end.entries_bad,
            }))?;
        }
        self.log.flush()
    }
}

/// How deep a look was after which nothing was found wrong. What has no content to read is seen
/// completely by looking at it.
fn depth(verdict: &Verdict, how: Option<ReadHow>) -> Depth {
    match (verdict, how) {
        (Verdict::Sampled { .. } | Verdict::Unread, _) => Depth::Partly,
        (_, Some(ReadHow::Cached)) => Depth::Cached,
        _ => Depth::Medium,
    }
}

/// Joins what stands one behind the other.
fn spans(ats: &[At]) -> Vec<Range<u64>> {
    let mut spans: Vec<Range<u64>> = Vec::new();
    let mut before = None;
    for at in ats {
        match spans.last_mut() {
            Some(last) if before == at.ordinal.checked_sub(1) => last.end = at.pos + 1,
            _ => spans.push(at.pos..at.pos + 1),
        }
        before = Some(at.ordinal);
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_by_rank_are_one_span_wherever_they_stand() {
        let at = |ordinal, pos| At { ordinal, pos };
        let ats = [at(0, 100), at(1, 300), at(3, 900), at(4, 901), at(9, 5000)];
        assert_eq!(spans(&ats), [100..301, 900..902, 5000..5001]);
    }
}
