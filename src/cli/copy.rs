//! `sprag copy`: pulls the engine's events and says what they mean.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use sprag::error::EntryError;
use sprag::event::{CopySummary, Event, Outcome, Phase, Recovered, Retry, Standing};
use sprag::exit::Exit;
use sprag::path::{Printable, RelPath};

use super::args::CopyArgs;
use super::desk::{Desk, Next, StatusWish};
use super::frame::Mood;
use super::json::{self, EntryOutcome, JsonPath, Line, More};
use super::options::{self, View};
use super::out::Out;
use super::progress::{Meter, Pace};
use super::record::{Damaged, End, Recorder};
use super::remembered::Remembered;
use super::screen::Screen;
use super::summary::{figures, next_step, summary_text};
use super::{Failure, units};

const STOPPING: &str =
    "stopping: making what was copied durable; press Ctrl-C again to stop at once";
const JSON_PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the command. `rerun` is the command line that continues it.
pub(crate) fn run(args: &CopyArgs, rerun: &str) -> Exit {
    let view = View::new(&args.common).without_progress(args.dry.dry_run);
    let mut report = Report::new(view);
    report.lists_changes = args.dry.dry_run && !view.quiet;
    let outcome = drive(args, view, &mut report, rerun);
    report.meter.finish();
    match outcome {
        Ok((summary, failure)) => {
            if let Some(failure) = &failure {
                report.failure(failure);
            }
            report.summary(&summary, args, rerun);
            let failure = failure.as_ref().map(|failure| failure.text.as_str());
            let text = summary_text(&summary);
            let end = End::new(summary.exit_code, &summary, text, failure);
            let exit = report.recorder.end(&end);
            report.out.exit(exit)
        }
        Err(error) => {
            let failure = Failure::from(error);
            report.failure(&failure);
            let figures = CopySummary {
                exit_code: failure.exit,
                ..CopySummary::default()
            };
            if view.json {
                report.json_summary(&figures);
            }
            let text = "Nothing was copied.".to_owned();
            let end = End::new(failure.exit, &figures, text, Some(&failure.text));
            report.recorder.end(&end)
        }
    }
}

/// Copies to the end. The totals, and what ended the run early if something did.
fn drive(
    args: &CopyArgs,
    view: View,
    report: &mut Report,
    rerun: &str,
) -> anyhow::Result<(CopySummary, Option<Failure>)> {
    let (dest, sources, screen) = (&args.dest, &args.sources, report.screen.clone());
    report.recorder = Recorder::open(&args.record, screen, rerun, dest, sources)?;
    let mut options = options::copy(args, view)?;
    let remembered = Remembered::of_environment();
    args.guards.apply(&mut options, &remembered)?;
    let neighbour = &args.common.neighbour;
    neighbour.lower_priority(&report.screen, view.verbose);
    let mut desk = Desk::new(report.screen.clone(), view.show, STOPPING)?;
    report.meter.opening();
    let mut run = sprag::copy(options)?;
    desk.serve(&run);
    let mut status = StatusWish::default();
    loop {
        match desk.next(&mut run) {
            Next::Event(Event::Finished { summary, error }) => {
                if let Some((place, id)) = run.place() {
                    remembered.note(&args.dest, &place, id, Some(summary.exit_code));
                }
                return Ok((summary, error.map(Failure::from)));
            }
            Next::Event(event) => {
                if let (Event::Opened(_), Some((place, id))) = (&event, run.place()) {
                    remembered.note(&args.dest, &place, id, None);
                }
                report.event(event);
            }
            Next::Tick => {
                report.meter.stood_still(desk.take_suspended());
                let standing = run.standing();
                report.tick(&standing, desk.mood());
                if status.is_due(&mut desk, &run, &standing) {
                    report.meter.status_line(&standing, desk.mood());
                }
            }
            Next::Over => {
                anyhow::bail!("the copy ended without saying how; rerun the same command to go on")
            }
        }
    }
}

/// What is printed about a copy.
struct Report {
    view: View,
    out: Out,
    screen: Screen,
    meter: Meter,
    json_progress: Pace,
    recorder: Recorder,
    /// A line for each entry that changes.
    lists_changes: bool,
}

impl Report {
    fn new(view: View) -> Report {
        let meter = Meter::new(view.show);
        Report {
            view,
            out: Out::new(meter.screen()),
            screen: meter.screen(),
            meter,
            json_progress: Pace::after(JSON_PROGRESS_INTERVAL),
            recorder: Recorder::none(),
            lists_changes: false,
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Opened(recovered) => self.opened(recovered),
            Event::Phase(phase) => self.phase(phase),
            Event::Entry { path, outcome } => self.entry(&path, outcome),
            Event::Problem { path, error } => {
                let detail = error.to_string();
                self.meter.problem(&detail);
                let ranges = ranges_of(&error);
                let path_of = Damaged {
                    path: &path,
                    ranges,
                };
                let damaged = (!ranges.is_empty()).then_some(&path_of);
                self.recorder.problem(error.kind(), &detail, damaged);
                self.screen.complain(&detail);
                if self.view.json {
                    self.out.json(&Line::Problem {
                        path: JsonPath::from(&path),
                        kind: error.kind(),
                        detail: &detail,
                        more: problem_ranges(&error),
                    });
                }
            }
            Event::Retry(retry) => self.retry(&retry),
            Event::Waiting {
                path,
                reason,
                limit,
            } => self.waiting(&path, &reason, limit),
            Event::Found { path } => self.found(&path),
            Event::Warning(text) => {
                self.recorder.warning(&text);
                self.screen.complain(&format!("warning: {text}"));
                if self.view.json {
                    self.out.json(&Line::Warning { detail: &text });
                }
            }
            // Each tick shows how things stand; the last event the caller keeps.
            Event::Counted(_) | Event::Progress(_) | Event::Finished { .. } => {}
        }
    }

    fn opened(&mut self, recovered: Recovered) {
        self.recorder.note("opened", &opened_text(recovered));
        if self.view.json {
            self.out.json(&Line::Opened {
                what: json::Opened::Copy { recovered },
            });
        }
        let begun = recovered.files_done + recovered.files_partial > 0;
        if begun && !self.view.quiet {
            self.screen.note(&opened_text(recovered));
        }
    }

    fn phase(&mut self, phase: Phase) {
        if self.view.json_progress {
            self.out.json(&Line::Phase {
                command: "copy",
                phase,
            });
        }
    }

    fn waiting(&mut self, path: &Path, reason: &str, limit: Option<Duration>) {
        self.recorder.note("waiting", reason);
        self.screen.complain(&waiting_text(reason, limit));
        if self.view.json {
            self.out.json(&Line::Waiting {
                path: JsonPath::from(path),
                limit_ms: limit.map(units::whole_ms),
                detail: reason,
            });
        }
    }

    fn found(&mut self, path: &Path) {
        let text = format!("the drive is back: going on at {}", Printable(path));
        self.recorder.note("found", &text);
        self.screen.complain(&text);
        if self.view.json {
            self.out.json(&Line::Found {
                path: JsonPath::from(path),
            });
        }
    }

    fn retry(&mut self, retry: &Retry) {
        self.recorder.note("retry", &retry_text(retry));
        if !self.view.quiet {
            self.screen.note(&retry_text(retry));
        }
        if self.view.json {
            self.out.json(&Line::Retry {
                path: JsonPath::from(&*retry.path),
                attempt: retry.attempt,
                of: retry.of,
                wait_ms: units::whole_ms(retry.wait),
                detail: &retry.reason,
            });
        }
    }

    fn tick(&mut self, standing: &Standing, mood: Mood) {
        self.meter.copy(standing, mood);
        let elapsed = self.meter.elapsed();
        let at = standing.progress;
        let now = |bytes: u64| bytes.saturating_sub(at.bytes_before);
        let (written, durable) = (now(at.bytes_written), now(at.bytes_durable));
        self.recorder.sample(elapsed, written, durable);
        // Before that the manifest is not yet open.
        let opened = standing.phase != Phase::Recovering;
        if opened && self.view.json_progress && self.json_progress.due(elapsed) {
            let (counted, progress) = (standing.counted, standing.progress);
            let known = counted.complete;
            self.out.json(&Line::Progress {
                what: json::Progress::Copy {
                    bytes_written: progress.bytes_written,
                    bytes_durable: progress.bytes_durable,
                    bytes_before: progress.bytes_before,
                    entries_total: known.then_some(counted.entries),
                    bytes_total: known.then_some(counted.bytes),
                    elapsed_ms: units::whole_ms(elapsed),
                },
            });
        }
    }

    fn entry(&mut self, path: &RelPath, outcome: Outcome) {
        self.recorder.note(word(outcome), &path.to_string());
        let changes = !matches!(outcome, Outcome::Unchanged | Outcome::Skipped);
        let lists = self.view.verbose || (self.lists_changes && changes);
        if !lists {
            return;
        }
        if self.view.json {
            self.out.json(&Line::Entry {
                path: JsonPath::from(path),
                outcome: EntryOutcome::Copy(outcome),
                read: None,
            });
        } else {
            self.out.line(&format!("{:<9}  {path}", word(outcome)));
        }
    }

    fn failure(&mut self, failure: &Failure) {
        self.screen.complain(&failure.text);
        failure.tell(&mut self.out, self.view.json);
    }

    fn json_summary(&mut self, figures: &CopySummary) {
        self.out.json(&Line::Summary {
            what: json::Summary::Copy { figures },
        });
    }

    fn summary(&mut self, summary: &CopySummary, args: &CopyArgs, rerun: &str) {
        if self.view.json {
            self.json_summary(summary);
        } else {
            if !self.view.quiet {
                self.out.line(&summary_text(summary));
            }
            if args.stats {
                for (name, figure) in figures(summary) {
                    self.out.line(&format!("{name} {figure}"));
                }
            }
        }
        // Someone who wants it quiet is told only how to go on.
        let told = summary.exit_code != Exit::Done || !(self.view.quiet || self.view.json);
        if let Some(what) = next_step(summary, rerun, &args.dest).filter(|_| told) {
            self.screen.note(&what);
        }
    }
}

fn opened_text(recovered: Recovered) -> String {
    let mut text = format!(
        "continuing: {} done before, {} half done",
        units::count(recovered.files_done, "file", "files"),
        recovered.files_partial
    );
    if recovered.bytes_rehashed > 0 {
        text += &format!(
            "; read back {} that had been written last",
            units::size(recovered.bytes_rehashed)
        );
    }
    if recovered.bytes_discarded > 0 {
        text += &format!(
            ", cut off {} that did not match",
            units::size(recovered.bytes_discarded)
        );
    }
    text
}

fn waiting_text(reason: &str, limit: Option<Duration>) -> String {
    let limit = limit.map_or("until it is back".into(), |limit| {
        format!("for {} at most", units::duration(limit))
    });
    format!(
        "{reason}\nThe drive is gone; progress is saved. Waiting {limit}: plug it in and mount it. Ctrl-C ends the waiting."
    )
}

fn retry_text(retry: &Retry) -> String {
    format!(
        "{}: {}; trying again in {} ({} of {})",
        Printable(&retry.path),
        retry.reason,
        units::duration(retry.wait),
        retry.attempt,
        retry.of
    )
}

/// The bytes that a problem is about, if it is about some.
fn ranges_of(error: &EntryError) -> &[Range<u64>] {
    match error {
        EntryError::BadRanges { unread, .. } => &unread.ranges,
        EntryError::BadMedium { ranges, .. } => ranges,
        _ => &[],
    }
}

fn problem_ranges(error: &EntryError) -> More {
    match ranges_of(error) {
        [] => More::default(),
        ranges => More::unread(ranges),
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Copied => "copied",
        Outcome::Unchanged => "unchanged",
        Outcome::Adopted => "adopted",
        Outcome::Skipped => "skipped",
        Outcome::Deleted => "deleted",
        Outcome::SourceRemoved => "moved",
        Outcome::Mended => "mended",
    }
}
