//! `sprag verify`: pulls the engine's events and says what they mean.
//!
//! What it finds is its answer, so findings go to standard output and not among the errors.

use std::ops::Range;
use std::time::Duration;

use sprag::VerifyRun;
use sprag::event::{PassedOver, ReadHow, SourceState, Verdict, VerifyEvent, VerifySummary};
use sprag::exit::Exit;
use sprag::path::RelPath;

use super::args::VerifyArgs;
use super::desk::Desk;
use super::frame::Mood;
use super::guard;
use super::json::{self, EntryOutcome, JsonPath, Line, More};
use super::options::{self, View};
use super::out::Out;
use super::progress::{Meter, Pace};
use super::pull::{self, Ended, Over, Teller};
use super::quote::Rerun;
use super::record::{Damaged, End, Manifest, Recorder, Subject};
use super::scope::{By, Scope};
use super::screen::Screen;
use super::verdicts::{before_text, detail, sides_text, summary_text, verdict};
use super::{Failure, concurrency, repair, units};

const STOPPING: &str = "stopping; press Ctrl-C again to stop at once";
const JSON_PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the command. `rerun` is the same command line again.
pub(crate) fn run(args: &VerifyArgs, rerun: &Rerun) -> Exit {
    let rerun = &rerun.to_string();
    let view = View::new(&args.common);
    let scope = Scope::new(args);
    let mut report = Report::new(view, args.extra, scope);
    let outcome = drive(args, &mut report, rerun);
    report.meter.finish();
    let (outcome, desk) = match outcome {
        Ok((ended, desk)) => (Ok(ended), Some(desk)),
        Err(error) => (Err(error), None),
    };
    let over = Over::of(outcome, |exit_code| VerifySummary {
        exit_code,
        ..VerifySummary::default()
    });
    if let Some(failure) = &over.failure {
        report.failure(failure);
    }
    let text = match over.began {
        true => report.summary(&over.summary, rerun),
        false => {
            report.json_summary(&over.summary);
            "Nothing was read.".to_owned()
        }
    };
    let wants_repair = args.repair && over.failure.is_none();
    if let Some(desk) = desk.filter(|_| wants_repair && over.summary.exit_code != Exit::Stopped) {
        return report.into_repair(args, over.summary, text, desk);
    }
    let end = End::new(over.summary.exit_code, &over.summary, text, over.why());
    let exit = report.recorder.end(&end);
    report.out.exit(exit)
}

/// Verifies to the end. The totals, what ended the run early if something did, and who still listens.
fn drive(
    args: &VerifyArgs,
    report: &mut Report,
    rerun: &str,
) -> anyhow::Result<(Ended<VerifySummary>, Desk)> {
    let screen = report.screen.clone();
    let subject = Subject {
        dest: &args.dest,
        sources: &[],
        manifest: match (&args.checks.manifest, &args.check) {
            (Some(file), _) => Manifest::Kept(file),
            (None, Some(_)) if !args.rebuild => Manifest::Unasked,
            _ => Manifest::There,
        },
    };
    report.recorder = Recorder::open(&args.record, screen, rerun, &subject)?;
    let options = options::verify(args)?;
    if !args.no_mount_check {
        guard::must_be_mounted(args.from.iter())?;
    }
    let neighbour = &args.common.neighbour;
    neighbour.lower_priority(&report.screen, report.view.verbose);
    let mut desk = Desk::new(report.screen.clone(), report.view.show, STOPPING)?;
    report.meter.opening();
    let mut run = sprag::verify(options)?;
    let ended = pull::to_its_end(&mut run, &mut desk, report)?;
    Ok((ended, desk))
}

impl Teller<VerifyRun> for Report {
    fn event(&mut self, _run: &VerifyRun, event: VerifyEvent) {
        self.tell(event);
    }

    fn tick(&mut self, _run: &VerifyRun, desk: &mut Desk) {
        self.meter.stood_still(desk.take_suspended());
        self.show(desk.mood());
        if desk.take_status_asked() {
            self.status_line(desk.mood());
        }
    }
}

/// What is printed about a verification.
struct Report {
    view: View,
    extra: bool,
    scope: Scope,
    seed: Option<u64>,
    /// Whether a run that is stopped can be gone on with.
    is_noted: bool,
    out: Out,
    screen: Screen,
    meter: Meter,
    /// What can be repaired.
    damaged: repair::Damaged,
    bytes_read: u64,
    bytes_total: u64,
    json_progress: Pace,
    recorder: Recorder,
}

impl Report {
    fn new(view: View, extra: bool, scope: Scope) -> Report {
        let meter = Meter::new(view.show);
        let is_noted = scope.by == By::Manifest;
        Report {
            view,
            extra,
            scope,
            seed: None,
            is_noted,
            out: Out::new(meter.screen()),
            screen: meter.screen(),
            meter,
            damaged: repair::Damaged::default(),
            bytes_read: 0,
            bytes_total: 0,
            json_progress: Pace::after(JSON_PROGRESS_INTERVAL),
            recorder: Recorder::none(),
        }
    }

    fn tell(&mut self, event: VerifyEvent) {
        match event {
            VerifyEvent::Opened {
                entries,
                bytes,
                passed,
                seed,
            } => self.opened(entries, bytes, passed, seed),
            VerifyEvent::Concurrency(chosen) => {
                let to = (&self.screen, &mut self.out, &mut self.recorder);
                concurrency::tell(&chosen, "verify", self.view, to);
            }
            VerifyEvent::Warning(text) => self.warning(&text),
            VerifyEvent::Unnoted(text) => {
                self.is_noted = false;
                self.warning(&text);
            }
            VerifyEvent::Progress { bytes_read } => self.bytes_read = bytes_read,
            VerifyEvent::Entry {
                path,
                kind,
                verdict,
                how,
            } => {
                let mendable = matches!(
                    verdict,
                    Verdict::Corrupt { .. } | Verdict::Missing | Verdict::Unreadable { .. }
                );
                if mendable {
                    self.damaged.add(&path, kind);
                }
                self.entry(&path, &verdict, how);
            }
            VerifyEvent::Compared {
                path,
                source,
                dest_changed,
            } => self.compared(&path, source.as_ref(), dest_changed),
            // The last event, which the caller keeps.
            VerifyEvent::Finished { .. } => {}
        }
    }

    fn warning(&mut self, text: &str) {
        self.recorder.warning(text);
        self.screen.complain(&format!("warning: {text}"));
        if self.view.json {
            self.out.json(&Line::Warning { detail: text });
        }
    }

    fn opened(&mut self, entries: u64, bytes: u64, passed: PassedOver, seed: Option<u64>) {
        self.bytes_total = bytes;
        self.seed = seed;
        if self.view.json {
            self.out.json(&Line::Opened {
                what: json::Opened::Verify {
                    entries_total: entries,
                    bytes_total: bytes,
                    passed,
                    seed,
                },
            });
        } else if passed.before.total() + passed.stale.total() > 0 && !self.view.quiet {
            self.screen.note(&format!(
                "going on with the verification that was stopped: {}, to go: {entries}",
                before_text(passed)
            ));
        }
    }

    fn compared(&mut self, path: &RelPath, source: Option<&SourceState>, dest_changed: bool) {
        if self.view.json {
            self.out.json(&Line::Compared {
                path: JsonPath::from(path),
                source: source.map_or("same", SourceState::kind),
                dest: if dest_changed { "changed" } else { "same" },
            });
        } else {
            let text = sides_text(source, dest_changed);
            self.out.line(&format!("{:<10}  {path}: {text}", "differs"));
        }
    }

    fn status_line(&mut self, mood: Mood) {
        let (read, total) = (self.bytes_read, self.bytes_total);
        self.meter.verify_line(read, total, mood);
    }

    fn show(&mut self, mood: Mood) {
        self.meter.verify(self.bytes_read, self.bytes_total, mood);
        let read = self.bytes_read;
        self.recorder.sample(self.meter.elapsed(), read, read);
        let elapsed = self.meter.elapsed();
        if self.view.json_progress && self.json_progress.due(elapsed) {
            self.out.json(&Line::Progress {
                what: json::Progress::Verify {
                    bytes_read: self.bytes_read,
                    bytes_total: self.bytes_total,
                    elapsed_ms: units::whole_ms(elapsed),
                },
            });
        }
    }

    fn entry(&mut self, path: &RelPath, verdict: &Verdict, how: Option<ReadHow>) {
        self.write_down(path, verdict);
        let wanted = match verdict {
            Verdict::Ok | Verdict::Sampled { .. } | Verdict::Unread => self.view.verbose,
            Verdict::Extra => self.extra,
            _ => true,
        };
        if !wanted {
            return;
        }
        let detail = detail(verdict, self.scope.by);
        if !self.view.json {
            let line = match detail.as_str() {
                "" => format!("{:<10}  {path}", verdict.kind()),
                detail => format!("{:<10}  {path}: {detail}", verdict.kind()),
            };
            self.out.line(&line);
        } else if matches!(
            verdict,
            Verdict::Ok | Verdict::Sampled { .. } | Verdict::Unread
        ) {
            self.out.json(&Line::Entry {
                path: JsonPath::from(path),
                outcome: EntryOutcome::Verify(verdict.kind()),
                read: how,
            });
        } else {
            self.out.json(&Line::Problem {
                path: JsonPath::from(path),
                kind: verdict.kind(),
                detail: &detail,
                more: match verdict {
                    Verdict::Corrupt { damage }
                    | Verdict::Modified {
                        damage: Some(damage),
                        ..
                    } => More::damage(damage),
                    Verdict::Incomplete { bytes, of } => More::incomplete(*bytes, *of),
                    _ => More::default(),
                },
            });
        }
    }

    fn write_down(&mut self, path: &RelPath, verdict: &Verdict) {
        let detail = detail(verdict, self.scope.by);
        let ranges: &[Range<u64>] = match verdict {
            Verdict::Ok | Verdict::Sampled { .. } | Verdict::Unread | Verdict::Extra => {
                return self.recorder.note(verdict.kind(), path);
            }
            Verdict::Corrupt { damage }
            | Verdict::Modified {
                damage: Some(damage),
                ..
            } => &damage.ranges,
            _ => &[],
        };
        let path_of = Damaged { path, ranges };
        let damaged = (!ranges.is_empty()).then_some(&path_of);
        let text = format!("{path}: {detail}");
        self.recorder.problem(verdict.kind(), &text, damaged);
    }

    /// Goes on with mending what was found; gives the exit code of both.
    fn into_repair(
        self,
        args: &VerifyArgs,
        found: VerifySummary,
        text: String,
        desk: Desk,
    ) -> Exit {
        repair::run(
            args,
            self.damaged,
            repair::Before {
                found,
                text,
                desk,
                screen: self.screen,
                out: self.out,
                recorder: self.recorder,
                elapsed: self.meter.elapsed(),
            },
        )
    }

    fn failure(&mut self, failure: &Failure) {
        self.screen.complain(&failure.text);
        failure.tell(&mut self.out, self.view.json);
    }

    fn json_summary(&mut self, figures: &VerifySummary) {
        if self.view.json {
            self.out.json(&Line::Summary {
                what: json::Summary::verify(figures),
            });
        }
    }

    /// Prints the end of the run, and returns it as text.
    fn summary(&mut self, summary: &VerifySummary, rerun: &str) -> String {
        self.json_summary(summary);
        let is_shown = !self.view.json && !self.view.quiet;
        let mut text = summary_text(summary, &self.scope, self.seed, self.extra);
        if is_shown {
            self.out.line(&text);
        }
        if let Some((tone, verdict)) = verdict(summary, &self.scope) {
            if is_shown {
                self.out.verdict(tone, &verdict);
            }
            text += &format!("\n{verdict}");
        }
        if summary.exit_code == Exit::Stopped {
            self.screen.note(&match self.is_noted {
                _ if summary.recorded.is_some() => {
                    format!("Stopped; no manifest was made. To begin anew:\n  {rerun}")
                }
                true => format!("Stopped; what was verified is noted. To go on:\n  {rerun}"),
                false => format!("Stopped. To verify from the beginning:\n  {rerun}"),
            });
        }
        text
    }
}
