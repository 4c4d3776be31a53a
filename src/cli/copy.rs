//! `sprag copy`: pulls the engine's events and says what they mean.

use std::path::{Path, PathBuf};

use sprag::CopyRun;
use sprag::event::{CopySummary, Event};
use sprag::exit::Exit;
use sprag::fs::mounts;

use super::args::CopyArgs;
use super::copying::{Report, What};
use super::desk::Desk;
use super::json::{self, Line};
use super::options::{self, View};
use super::pull::{self, Ended, Over, Teller};
use super::quote::Rerun;
use super::record::{End, Manifest, Recorder, Subject};
use super::remembered::Remembered;
use super::summary::{next_step, summary_text};

const STOPPING: &str =
    "stopping: making what was copied durable; press Ctrl-C again to stop at once";

/// Runs the command. `rerun` is the command line that continues it.
pub(crate) fn run(args: &CopyArgs, rerun: &Rerun) -> Exit {
    let mut drive = Drive {
        dest: args.operands.dest.clone(),
        is_removable: false,
    };
    let view = View::new(&args.common).without_progress(args.dry.dry_run);
    let mut report = Report::new(What::Copy, view);
    report.lists_changes = args.dry.dry_run && !view.quiet;
    let outcome = copy(args, view, &mut report, (rerun, &mut drive));
    report.meter.finish();
    let over = Over::of(outcome, |exit_code| CopySummary {
        exit_code,
        ..CopySummary::default()
    });
    if let Some(failure) = &over.failure {
        report.failure(failure);
    }
    let text = match over.began {
        true => {
            let rerun = rerun.at(&args.operands.dest, &drive.dest);
            report.summary(&over.summary, args.stats, &drive, &rerun);
            summary_text(&over.summary, drive.is_removable)
        }
        false => {
            report.json_summary(&over.summary);
            "Nothing was copied.".to_owned()
        }
    };
    let end = End::new(over.summary.exit_code, &over.summary, text, over.why());
    let exit = report.recorder.end(&end);
    report.out.exit(exit)
}

/// What is copied to, in the end: a drive may come back at another place.
struct Drive {
    /// DEST as it would be given now.
    dest: PathBuf,
    /// It can be pulled.
    is_removable: bool,
}

/// Copies to the end. The totals, and what ended the run early if something did.
fn copy(
    args: &CopyArgs,
    view: View,
    report: &mut Report,
    (rerun, drive): (&Rerun, &mut Drive),
) -> anyhow::Result<Ended<CopySummary>> {
    let subject = Subject {
        dest: &args.operands.dest,
        sources: &args.operands.sources,
        manifest: Manifest::There,
    };
    let screen = report.screen.clone();
    report.recorder = Recorder::open(&args.record, screen, &rerun.to_string(), &subject)?;
    let mut options = options::copy(args, view)?;
    options.words.clone_from(&rerun.options);
    let remembered = Remembered::of_environment();
    args.guards.apply(&mut options, &remembered)?;
    let neighbour = &args.common.neighbour;
    neighbour.lower_priority(&report.screen, view.verbose);
    let mut desk = Desk::new(report.screen.clone(), view.show, STOPPING)?;
    report.meter.opening();
    let mut run = sprag::copy(options)?;
    let mut teller = Remembering {
        report,
        remembered: &remembered,
        given: &args.operands.dest,
        drive,
    };
    let ended = pull::to_its_end(&mut run, &mut desk, &mut teller)?;
    if let Some((place, id)) = run.place() {
        remembered.note(&args.operands.dest, &place, id, Some(ended.0.exit_code));
    }
    Ok(ended)
}

/// Notes where the destination is, besides what is told of any run.
struct Remembering<'a> {
    report: &'a mut Report,
    remembered: &'a Remembered,
    /// DEST as it was given.
    given: &'a Path,
    drive: &'a mut Drive,
}

impl Teller<CopyRun> for Remembering<'_> {
    fn event(&mut self, run: &CopyRun, event: Event) {
        if matches!(event, Event::Opened(_))
            && let Some((place, id)) = run.place()
        {
            self.remembered.note(self.given, &place, id, None);
            self.drive.is_removable = mounts::is_removable(&place.path);
        }
        if let Event::Found { dest, .. } = &event {
            self.drive.dest.clone_from(dest);
        }
        self.report.tell(event);
    }

    fn tick(&mut self, run: &CopyRun, desk: &mut Desk) {
        self.report.tick(run, desk);
    }
}

impl Report {
    fn json_summary(&mut self, figures: &CopySummary) {
        if self.view.json {
            self.out.json(&Line::Summary {
                what: json::Summary::Copy { figures },
            });
        }
    }

    fn summary(&mut self, summary: &CopySummary, stats: bool, drive: &Drive, rerun: &Rerun) {
        self.json_summary(summary);
        if !self.view.json {
            if !self.view.quiet {
                self.out.line(&summary_text(summary, drive.is_removable));
            }
            if stats {
                for (name, figure) in json::figures(summary) {
                    self.out.line(&format!("{name} {figure}"));
                }
            }
        }
        // Someone who wants it quiet is told only how to go on.
        let told = summary.exit_code != Exit::Done || !(self.view.quiet || self.view.json);
        if let Some(what) = next_step(summary, rerun, &drive.dest).filter(|_| told) {
            self.screen.note(&what);
        }
    }
}
