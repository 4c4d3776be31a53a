//! What is told while files are copied, or repaired, which is much the same: on the screen, as JSON,
//! and in the records.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use sprag::CopyRun;
use sprag::error::EntryError;
use sprag::event::{Event, Outcome, Phase, Recovered, Retry, Standing};
use sprag::path::{Printable, RelPath};

use super::desk::{Desk, StatusWish};
use super::frame::Mood;
use super::json::{self, EntryOutcome, JsonPath, Line, More};
use super::options::View;
use super::out::Out;
use super::progress::{Meter, Pace};
use super::pull::Teller;
use super::record::{Damaged, Recorder};
use super::screen::Screen;
use super::{Failure, concurrency, units};

const JSON_PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Which of the two it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Copy,
    Repair,
}

impl What {
    fn command(self) -> &'static str {
        match self {
            What::Copy => "copy",
            What::Repair => "repair",
        }
    }
}

/// What is printed about a run that writes.
pub(crate) struct Report {
    what: What,
    pub(crate) view: View,
    pub(crate) out: Out,
    pub(crate) screen: Screen,
    pub(crate) meter: Meter,
    json_progress: Pace,
    pub(crate) recorder: Recorder,
    /// A line for each entry that changes.
    pub(crate) lists_changes: bool,
    status: StatusWish,
    /// How long the records went on before this run began, and the bytes they had come to.
    pub(crate) recorded_before: (Duration, u64),
}

impl Teller<CopyRun> for Report {
    fn event(&mut self, _run: &CopyRun, event: Event) {
        self.tell(event);
    }

    fn tick(&mut self, run: &CopyRun, desk: &mut Desk) {
        self.meter.stood_still(desk.take_suspended());
        let standing = run.standing();
        self.show(&standing, desk.mood());
        if self.status.is_due(desk, run, &standing) {
            self.meter.status_line(&standing, desk.mood());
        }
    }
}

impl Report {
    pub(crate) fn new(what: What, view: View) -> Report {
        let screen = Screen::new(view.show);
        let out = Out::new(screen.clone());
        Report::on(screen, what, view, out, Recorder::none())
    }

    /// Goes on with what something else told, and recorded, before.
    pub(crate) fn on(
        screen: Screen,
        what: What,
        view: View,
        out: Out,
        recorder: Recorder,
    ) -> Report {
        Report {
            what,
            view,
            out,
            screen: screen.clone(),
            meter: Meter::on(screen, view.show),
            json_progress: Pace::after(JSON_PROGRESS_INTERVAL),
            recorder,
            lists_changes: false,
            status: StatusWish::default(),
            recorded_before: (Duration::ZERO, 0),
        }
    }

    /// Tells what happened.
    pub(crate) fn tell(&mut self, event: Event) {
        match event {
            Event::Opened(recovered) => self.opened(recovered),
            Event::Concurrency(chosen) => {
                let to = (&self.screen, &mut self.out, &mut self.recorder);
                concurrency::tell(&chosen, self.what.command(), self.view, to);
            }
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
            Event::Found { path, .. } => self.found(&path),
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
        self.recorder.note("opened", opened_text(recovered));
        if self.what == What::Repair {
            // What was copied before is no matter of a repair.
            return;
        }
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
                command: self.what.command(),
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
        self.recorder.note("retry", retry_text(retry));
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

    fn show(&mut self, standing: &Standing, mood: Mood) {
        self.meter.copy(standing, mood);
        let elapsed = self.meter.elapsed();
        let at = standing.progress;
        let now = |bytes: u64| bytes.saturating_sub(at.bytes_before);
        let (written, durable) = (now(at.bytes_written), now(at.bytes_durable));
        let (time, bytes) = self.recorded_before;
        self.recorder
            .sample(time + elapsed, bytes + written, bytes + durable);
        // Before that the manifest is not yet open.
        let opened = standing.phase != Phase::Recovering;
        if opened && self.view.json_progress && self.json_progress.due(elapsed) {
            let (counted, progress) = (standing.counted, standing.progress);
            let known = counted.complete;
            let figures = json::Written {
                bytes_written: progress.bytes_written,
                bytes_durable: progress.bytes_durable,
                bytes_before: progress.bytes_before,
                entries_total: known.then_some(counted.entries),
                bytes_total: known.then_some(counted.bytes),
                elapsed_ms: units::whole_ms(elapsed),
            };
            self.out.json(&Line::Progress {
                what: match self.what {
                    What::Copy => json::Progress::Copy(figures),
                    What::Repair => json::Progress::Repair(figures),
                },
            });
        }
    }

    fn entry(&mut self, path: &RelPath, outcome: Outcome) {
        self.recorder.note(word(outcome), path);
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

    pub(crate) fn failure(&mut self, failure: &Failure) {
        self.screen.complain(&failure.text);
        failure.tell(&mut self.out, self.view.json);
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
