//! `sprag verify --repair`: what was found damaged is mended from a source, then told.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use sprag::event::{CopySummary, EntryCounts, Event, Outcome, VerifySummary};
use sprag::exit::Exit;
use sprag::fs::Kind;
use sprag::path::RelPath;
use sprag::{CopyRun, RepairOptions};

use super::args::VerifyArgs;
use super::copying::{Report, What};
use super::desk::Desk;
use super::json::{self, EntryOutcome, JsonPath, Line, RepairFigures};
use super::options::{self, View};
use super::out::Out;
use super::pull::{self, Ended, Over, Teller};
use super::record::{End, Recorder};
use super::screen::Screen;
use super::units;

const STOPPING: &str =
    "stopping: making what was repaired durable; press Ctrl-C again to stop at once";
/// So many damaged entries are repaired in one go; whoever has more runs the command again.
const DAMAGED_MAX: usize = 1 << 20;

/// What verification found that can be repaired.
#[derive(Debug, Default)]
pub(crate) struct Damaged {
    paths: BTreeMap<RelPath, Option<Kind>>,
    /// There were more than are kept.
    more: bool,
}

impl Damaged {
    /// `kind`: what it was copied as; `None` if that is not known.
    pub(crate) fn add(&mut self, path: &RelPath, kind: Option<Kind>) {
        match self.paths.len() < DAMAGED_MAX {
            true => drop(self.paths.insert(path.clone(), kind)),
            false => self.more = true,
        }
    }
}

/// The verification that a repair goes on from.
pub(crate) struct Before {
    pub(crate) found: VerifySummary,
    /// What was said of it.
    pub(crate) text: String,
    pub(crate) desk: Desk,
    pub(crate) screen: Screen,
    pub(crate) out: Out,
    pub(crate) recorder: Recorder,
    pub(crate) elapsed: Duration,
}

/// Repairs what a verification found; gives the exit code of both together.
pub(crate) fn run(args: &VerifyArgs, damaged: Damaged, before: Before) -> Exit {
    let view = View::new(&args.common);
    let (screen, out, recorder) = (before.screen, before.out, before.recorder);
    let mut report = Report::on(screen, What::Repair, view, out, recorder);
    report.recorded_before = (before.elapsed, before.found.bytes_read);
    report.recorder.note("verified", &before.text);
    let found = before.found;
    let mut repairing = Repairing {
        report,
        left: damaged.paths,
        more: damaged.more,
    };
    let outcome = match repairing.left.is_empty() {
        true => Ok((CopySummary::default(), None)),
        false => drive(args, &mut repairing, before.desk),
    };
    repairing.report.meter.finish();
    let mut over = Over::of(outcome, |exit_code| CopySummary {
        exit_code,
        ..CopySummary::default()
    });
    if let Some(failure) = &over.failure {
        repairing.report.failure(failure);
    }
    let other = found.modified.total() + found.incomplete.total() > 0;
    let whole = repairing.left.is_empty() && !repairing.more && !other;
    over.summary.exit_code = match over.summary.exit_code {
        Exit::Done if whole => Exit::Done,
        Exit::Done | Exit::Partial | Exit::Vanished => Exit::Damaged,
        exit => exit,
    };
    let (figures, text) = repairing.summary(&over.summary);
    let Report { recorder, out, .. } = repairing.report;
    let end = End::new(
        figures.exit_code,
        &Both {
            found: &found,
            repaired: &figures,
            elapsed_ms: found.elapsed_ms + figures.elapsed_ms,
        },
        format!("{}\n{text}", before.text),
        over.why(),
    );
    out.exit(recorder.end(&end))
}

/// The figures of the verification, and those of the repair where they have the same name.
#[derive(Serialize)]
struct Both<'a> {
    #[serde(flatten)]
    found: &'a VerifySummary,
    #[serde(flatten)]
    repaired: &'a RepairFigures,
    /// Of both.
    elapsed_ms: u64,
}

fn drive(
    args: &VerifyArgs,
    repairing: &mut Repairing,
    mut desk: Desk,
) -> anyhow::Result<Ended<CopySummary>> {
    desk.goes_on(STOPPING);
    let report = &mut repairing.report;
    let entries_total = repairing.left.len() as u64;
    if report.view.json {
        report.out.json(&Line::Opened {
            what: json::Opened::Repair { entries_total },
        });
    } else if !report.view.quiet {
        let entries = EntryCounts::of(repairing.left.values().copied());
        report.screen.note(&format!("repairing {entries}"));
    }
    report.meter.opening();
    let mut run = sprag::repair(RepairOptions {
        trust_state: args.trust.trust_state,
        dest: args.dest.clone(),
        from: args.from.clone(),
        paths: repairing.left.keys().cloned().collect(),
        jobs: options::jobs(&args.common),
        bytes_per_s: args.common.neighbour.limit(),
    })?;
    pull::to_its_end(&mut run, &mut desk, repairing)
}

/// What is told of a repair.
struct Repairing {
    report: Report,
    /// What was found damaged and is not mended yet.
    left: BTreeMap<RelPath, Option<Kind>>,
    more: bool,
}

impl Teller<CopyRun> for Repairing {
    fn event(&mut self, _run: &CopyRun, event: Event) {
        match event {
            Event::Entry { path, outcome } => {
                let was_damaged = self.left.remove(&path).is_some();
                if outcome == Outcome::Copied && was_damaged {
                    self.repaired(&path);
                }
            }
            event => self.report.tell(event),
        }
    }

    fn tick(&mut self, run: &CopyRun, desk: &mut Desk) {
        self.report.tick(run, desk);
    }
}

impl Repairing {
    fn repaired(&mut self, path: &RelPath) {
        let report = &mut self.report;
        report.recorder.note("repaired", path);
        if report.view.json {
            report.out.json(&Line::Entry {
                path: JsonPath::from(path),
                outcome: EntryOutcome::Verify("repaired"),
                read: None,
            });
        } else if !report.view.quiet {
            report.out.line(&format!("{:<10}  {path}", "repaired"));
        }
    }

    /// Tells what it came to, as figures and in words.
    fn summary(&mut self, summary: &CopySummary) -> (RepairFigures, String) {
        let left = EntryCounts::of(self.left.values().copied());
        let figures = RepairFigures {
            exit_code: summary.exit_code,
            files_repaired: summary.files_copied,
            failed: summary.failed,
            left,
            bytes_repaired: summary.bytes_copied,
            elapsed_ms: summary.elapsed_ms,
        };
        let text = text(summary, left, self.more);
        let report = &mut self.report;
        if report.view.json {
            report.out.json(&Line::Summary {
                what: json::Summary::Repair { figures: &figures },
            });
        } else if !report.view.quiet {
            report.out.line(&text);
        }
        (figures, text)
    }
}

fn text(summary: &CopySummary, left: EntryCounts, more: bool) -> String {
    let mut text = format!(
        "repaired {} ({} from the source) in {}; {left} left damaged.",
        units::count(summary.files_copied, "file", "files"),
        units::size(summary.bytes_copied),
        units::duration(Duration::from_millis(summary.elapsed_ms)),
    );
    if more {
        text += " There are more than are repaired in one go: run the command again.";
    }
    text += match summary.exit_code {
        Exit::Done => "\nEverything is durable on the device, and as it was copied.",
        Exit::Damaged => "\nNot everything is as it was copied; what is not was named.",
        _ => "\nNot finished: what was repaired is durable; run the command again.",
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_repair_that_left_nothing_says_that_all_is_well() {
        for exit_code in Exit::ALL {
            let summary = CopySummary {
                exit_code,
                ..CopySummary::default()
            };
            let said = text(&summary, EntryCounts::default(), false).contains("Everything");
            assert_eq!(said, exit_code == Exit::Done);
        }
    }
}
