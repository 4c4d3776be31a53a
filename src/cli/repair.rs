//! `sprag verify --repair`: what was found damaged is mended from a source, then told.

use std::collections::BTreeSet;
use std::time::Duration;

use sprag::RepairOptions;
use sprag::event::{CopySummary, Event, Outcome, VerifySummary};
use sprag::exit::Exit;
use sprag::path::RelPath;

use super::args::VerifyArgs;
use super::desk::{Desk, Next};
use super::json::{self, EntryOutcome, JsonPath, Line, More};
use super::options::{self, View};
use super::out::Out;
use super::progress::Meter;
use super::screen::Screen;
use super::{Failure, units};

const STOPPING: &str =
    "stopping: making what was repaired durable; press Ctrl-C again to stop at once";
/// So many damaged entries are repaired in one go; whoever has more runs the command again.
const DAMAGED_MAX: usize = 1 << 20;

/// What verification found that can be repaired.
#[derive(Debug, Default)]
pub(crate) struct Damaged {
    paths: BTreeSet<RelPath>,
    /// There were more than are kept.
    more: bool,
}

impl Damaged {
    pub(crate) fn add(&mut self, path: &RelPath) {
        match self.paths.len() < DAMAGED_MAX {
            true => drop(self.paths.insert(path.clone())),
            false => self.more = true,
        }
    }
}

/// Repairs what a verification found; gives the exit code of both together.
pub(crate) fn run(
    args: &VerifyArgs,
    found: &VerifySummary,
    damaged: Damaged,
    out: &mut Out,
) -> Exit {
    let view = View::new(&args.common);
    let meter = Meter::new(view.show);
    let mut report = Report {
        view,
        out,
        screen: meter.screen(),
        left: damaged.paths,
        more: damaged.more,
    };
    let other = found.files_modified + found.files_incomplete > 0;
    let outcome = match report.left.is_empty() {
        true => Ok((CopySummary::default(), None)),
        false => drive(args, &mut report),
    };
    let (mut summary, failure) = match outcome {
        Ok(ended) => ended,
        Err(error) => {
            let failure = Failure::from(error);
            let exit_code = failure.exit;
            let nothing = CopySummary {
                exit_code,
                ..CopySummary::default()
            };
            (nothing, Some(failure))
        }
    };
    if let Some(failure) = &failure {
        report.failure(failure);
    }
    let whole = report.left.is_empty() && !report.more && !other;
    summary.exit_code = match summary.exit_code {
        Exit::Done if whole => Exit::Done,
        Exit::Done | Exit::Partial | Exit::Vanished => Exit::Damaged,
        exit => exit,
    };
    report.summary(&summary);
    summary.exit_code
}

fn drive(
    args: &VerifyArgs,
    report: &mut Report<'_>,
) -> anyhow::Result<(CopySummary, Option<Failure>)> {
    let mut desk = Desk::new(report.screen.clone(), report.view.show, STOPPING)?;
    let mut run = sprag::repair(RepairOptions {
        dest: args.dest.clone(),
        from: args.from.clone(),
        paths: report.left.iter().cloned().collect(),
        jobs: options::jobs(&args.common),
    })?;
    desk.serve(&run);
    loop {
        match desk.next(&mut run) {
            Next::Event(Event::Finished { summary, error }) => {
                return Ok((summary, error.map(Failure::from)));
            }
            Next::Event(event) => report.event(event),
            Next::Tick => {}
            Next::Over => anyhow::bail!("the repair ended without saying how; run it again"),
        }
    }
}

struct Report<'a> {
    view: View,
    out: &'a mut Out,
    screen: Screen,
    /// What was found damaged and is not mended yet.
    left: BTreeSet<RelPath>,
    more: bool,
}

impl Report<'_> {
    fn event(&mut self, event: Event) {
        match event {
            Event::Entry { path, outcome } => {
                let was_damaged = self.left.remove(&path);
                if outcome == Outcome::Copied && was_damaged {
                    self.repaired(&path);
                }
            }
            Event::Problem { path, error } => {
                let detail = error.to_string();
                self.screen.complain(&detail);
                if self.view.json {
                    self.out.json(&Line::Problem {
                        path: JsonPath::from(&path),
                        kind: error.kind(),
                        detail: &detail,
                        more: More::default(),
                    });
                }
            }
            Event::Warning(text) => {
                self.screen.complain(&format!("warning: {text}"));
                if self.view.json {
                    self.out.json(&Line::Warning { detail: &text });
                }
            }
            _ => {}
        }
    }

    fn repaired(&mut self, path: &RelPath) {
        if self.view.json {
            self.out.json(&Line::Entry {
                path: JsonPath::from(path),
                outcome: EntryOutcome::Verify("repaired"),
                read: None,
            });
        } else if !self.view.quiet {
            self.out.line(&format!("{:<10}  {path}", "repaired"));
        }
    }

    fn failure(&mut self, failure: &Failure) {
        self.screen.complain(&failure.text);
        failure.tell(self.out, self.view.json);
    }

    fn summary(&mut self, summary: &CopySummary) {
        let left = self.left.len() as u64;
        if self.view.json {
            self.out.json(&Line::Summary {
                what: json::Summary::Repair {
                    exit_code: summary.exit_code,
                    files_repaired: summary.files_copied,
                    files_failed: summary.files_failed,
                    entries_left: left,
                    bytes_repaired: summary.bytes_copied,
                    elapsed_ms: summary.elapsed_ms,
                },
            });
        } else if !self.view.quiet {
            self.out.line(&text(summary, left, self.more));
        }
    }
}

fn text(summary: &CopySummary, left: u64, more: bool) -> String {
    let mut text = format!(
        "repaired {} ({} from the source) in {}; {} left.",
        units::count(summary.files_copied, "file", "files"),
        units::size(summary.bytes_copied),
        units::duration(Duration::from_millis(summary.elapsed_ms)),
        units::count(left, "damaged entry is", "damaged entries are"),
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
            let said = text(&summary, 0, false).contains("Everything");
            assert_eq!(said, exit_code == Exit::Done);
        }
    }
}
