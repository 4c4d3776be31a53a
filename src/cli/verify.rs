//! `sprag verify`: pulls the engine's events and says what they mean.
//!
//! What it finds is its answer, so findings go to standard output and not among the errors.

use std::ops::Range;
use std::time::Duration;

use sprag::event::{Damage, ReadHow, Verdict, VerifyEvent, VerifySummary};
use sprag::exit::Exit;
use sprag::path::RelPath;

use super::args::VerifyArgs;
use super::desk::{Desk, Next};
use super::frame::Mood;
use super::json::{self, EntryOutcome, JsonPath, Line, More};
use super::options::{self, View};
use super::out::Out;
use super::progress::{Meter, Pace};
use super::record::{Damaged, End, Recorder};
use super::screen::Screen;
use super::{Failure, medium, units};

const STOPPING: &str = "stopping; press Ctrl-C again to stop at once";
const JSON_PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the command. `rerun` is the same command line again.
pub(crate) fn run(args: &VerifyArgs, rerun: &str) -> Exit {
    let view = View::new(&args.common);
    let mut report = Report::new(view, args.extra, args.check.is_some());
    let outcome = drive(args, &mut report, rerun);
    report.meter.finish();
    match outcome {
        Ok((summary, failure)) => {
            if let Some(failure) = &failure {
                report.failure(failure);
            }
            report.summary(&summary, rerun);
            let failure = failure.as_ref().map(|failure| failure.text.as_str());
            let text = summary_text(&summary, report.extra, report.listed);
            let end = End::new(summary.exit_code, &summary, text, failure);
            let exit = report.recorder.end(&end);
            report.out.exit(exit)
        }
        Err(error) => {
            let failure = Failure::from(error);
            report.failure(&failure);
            let figures = VerifySummary {
                exit_code: failure.exit,
                ..VerifySummary::default()
            };
            if view.json {
                report.json_summary(&figures);
            }
            let text = "Nothing was read.".to_owned();
            let end = End::new(failure.exit, &figures, text, Some(&failure.text));
            report.recorder.end(&end)
        }
    }
}

/// Verifies to the end. The totals, and what ended the run early if something did.
fn drive(
    args: &VerifyArgs,
    report: &mut Report,
    rerun: &str,
) -> anyhow::Result<(VerifySummary, Option<Failure>)> {
    let screen = report.screen.clone();
    report.recorder = Recorder::open(&args.record, screen, rerun, &args.dest, &[])?;
    let options = options::verify(args)?;
    let neighbour = &args.common.neighbour;
    neighbour.lower_priority(&report.screen, report.view.verbose);
    let mut desk = Desk::new(report.screen.clone(), report.view.show, STOPPING)?;
    let mut run = sprag::verify(options)?;
    desk.serve(&run);
    loop {
        match desk.next(&mut run) {
            Next::Event(VerifyEvent::Finished { summary, error }) => {
                return Ok((summary, error.map(Failure::from)));
            }
            Next::Event(event) => report.event(event),
            Next::Tick => {
                report.meter.stood_still(desk.take_suspended());
                report.tick(desk.mood());
                if desk.take_status_asked() {
                    report.status_line(desk.mood());
                }
            }
            Next::Over => {
                anyhow::bail!("the verification ended without saying how; run it again")
            }
        }
    }
}

/// What is printed about a verification.
struct Report {
    view: View,
    extra: bool,
    /// The records are those of a list, not of a copy.
    listed: bool,
    out: Out,
    screen: Screen,
    meter: Meter,
    bytes_read: u64,
    bytes_total: u64,
    json_progress: Pace,
    recorder: Recorder,
}

impl Report {
    fn new(view: View, extra: bool, listed: bool) -> Report {
        let meter = Meter::new(view.show);
        Report {
            view,
            extra,
            listed,
            out: Out::new(meter.screen()),
            screen: meter.screen(),
            meter,
            bytes_read: 0,
            bytes_total: 0,
            json_progress: Pace::after(JSON_PROGRESS_INTERVAL),
            recorder: Recorder::none(),
        }
    }

    fn event(&mut self, event: VerifyEvent) {
        match event {
            VerifyEvent::Opened { entries, bytes } => {
                self.bytes_total = bytes;
                if self.view.json {
                    self.out.json(&Line::Opened {
                        what: json::Opened::Verify {
                            entries_total: entries,
                            bytes_total: bytes,
                        },
                    });
                }
            }
            VerifyEvent::Progress { bytes_read } => self.bytes_read = bytes_read,
            VerifyEvent::Entry { path, verdict, how } => self.entry(&path, &verdict, how),
            // The last event, which the caller keeps.
            VerifyEvent::Finished { .. } => {}
        }
    }

    fn status_line(&mut self, mood: Mood) {
        let (read, total) = (self.bytes_read, self.bytes_total);
        self.meter.verify_line(read, total, mood);
    }

    fn tick(&mut self, mood: Mood) {
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
            Verdict::Ok => self.view.verbose,
            Verdict::Extra => self.extra,
            _ => true,
        };
        if !wanted {
            return;
        }
        let detail = detail(verdict, self.listed);
        if !self.view.json {
            let line = match detail.as_str() {
                "" => format!("{:<10}  {path}", verdict.kind()),
                detail => format!("{:<10}  {path}: {detail}", verdict.kind()),
            };
            self.out.line(&line);
        } else if matches!(verdict, Verdict::Ok) {
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
        let detail = detail(verdict, self.listed);
        let ranges: &[Range<u64>] = match verdict {
            Verdict::Ok | Verdict::Extra => {
                return self.recorder.note(verdict.kind(), &path.to_string());
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

    fn failure(&mut self, failure: &Failure) {
        self.screen.complain(&failure.text);
        if self.view.json {
            self.out.json(&Line::Error {
                exit_code: failure.exit,
                detail: &failure.text,
            });
        }
    }

    fn json_summary(&mut self, figures: &VerifySummary) {
        self.out.json(&Line::Summary {
            what: json::Summary::Verify { figures },
        });
    }

    fn summary(&mut self, summary: &VerifySummary, rerun: &str) {
        if self.view.json {
            self.json_summary(summary);
        } else if !self.view.quiet {
            self.out
                .line(&summary_text(summary, self.extra, self.listed));
        }
        if summary.exit_code == Exit::Stopped {
            self.screen.note(&format!(
                "Stopped. To verify from the beginning:\n  {rerun}"
            ));
        }
    }
}

/// What there is to say about one entry besides the kind of its verdict.
fn detail(verdict: &Verdict, listed: bool) -> String {
    match verdict {
        Verdict::Ok => String::new(),
        Verdict::Unproven => "its content is as it was copied, but it could only be read through \
             the page cache, which proves nothing about the device"
            .to_owned(),
        Verdict::Corrupt { damage } => format!(
            "{} differ from what was copied: {}",
            ranges_text(&damage.ranges),
            damage_text(damage)
        ),
        Verdict::Modified {
            what,
            damage: Some(damage),
        } => format!("{what}: {}", damage_text(damage)),
        Verdict::Modified { what, damage: None } | Verdict::Metadata { what } => what.clone(),
        Verdict::Missing if listed => "the list names it and it is not there".to_owned(),
        Verdict::Missing => "it was copied and is not there".to_owned(),
        Verdict::Incomplete { bytes, of } => format!(
            "{} of {} are copied; rerun the copy to finish it",
            units::size(*bytes),
            units::size(*of)
        ),
        Verdict::Extra if listed => "the list does not name it".to_owned(),
        Verdict::Extra => "sprag did not copy it".to_owned(),
        Verdict::Unreadable { error } => error.to_string(),
    }
}

/// `bytes 0..65536, 131072..196608`: ends exclusive, as in `--json`.
fn ranges_text(ranges: &[Range<u64>]) -> String {
    let ranges: Vec<String> = ranges
        .iter()
        .map(|range| format!("{}..{}", range.start, range.end))
        .collect();
    format!("bytes {}", ranges.join(", "))
}

/// `3 blocks, of which 1 holds only zeros and 2 hold what belongs elsewhere (…)`.
fn damage_text(damage: &Damage) -> String {
    let mut text = units::count(damage.blocks_bad, "block", "blocks");
    let mut parts = Vec::new();
    match damage.blocks_zero {
        0 => {}
        1 => parts.push("1 holds only zeros".to_owned()),
        many => parts.push(format!("{many} hold only zeros")),
    }
    if let Some(first) = damage.first_shift {
        let holds = match damage.blocks_shifted {
            1 => "1 holds".to_owned(),
            many => format!("{many} hold"),
        };
        parts.push(format!(
            "{holds} what belongs elsewhere in the file (at byte {} what belongs at {})",
            first.at, first.belongs
        ));
    }
    if !parts.is_empty() {
        text += &format!(", of which {}", parts.join(" and "));
    }
    text
}

fn summary_text(summary: &VerifySummary, extra_listed: bool, listed: bool) -> String {
    let bad = |number: u64, word: &str| match number {
        0 => String::new(),
        _ => format!(", {number} {word}"),
    };
    let mut text = format!(
        "{} ok, {} corrupt, {} modified, {} missing{}{}; {} read in {}.",
        units::count(summary.files_ok, "entry", "entries"),
        summary.files_corrupt,
        summary.files_modified,
        summary.files_missing,
        bad(summary.files_metadata, "with other metadata")
            + &bad(summary.files_unproven, "not proved")
            + &bad(summary.files_unreadable, "unreadable"),
        bad(summary.files_incomplete, "incomplete"),
        units::size(summary.bytes_read),
        units::duration(Duration::from_millis(summary.elapsed_ms)),
    );
    text += &medium::how_text([
        summary.read_direct,
        summary.read_evicted,
        summary.read_cached,
    ]);
    if summary.files_extra > 0 {
        text += &format!(
            "\n{} here that {}{}.",
            units::count(summary.files_extra, "entry is", "entries are"),
            match listed {
                true => "the list does not name",
                false => "sprag did not copy",
            },
            match extra_listed {
                true => "",
                false => " (--extra lists them)",
            }
        );
    }
    if listed {
        if summary.exit_code == Exit::Done {
            text += "\nEverything that the list names is as it says.";
        }
        return text;
    }
    if summary.files_corrupt > 0 {
        text += "\nTo mend corrupt files, remove them and rerun the copy; \
                 what is modified or missing, a rerun of the copy brings back by itself.";
    } else if summary.files_modified + summary.files_missing > 0 {
        text += "\nA rerun of the copy brings back what is modified or missing.";
    } else if summary.files_metadata > 0 {
        text += "\nA rerun of the copy sets the metadata right, without copying.";
    }
    text += match summary.exit_code {
        Exit::Done => "\nEverything that was read back is as it was copied.",
        Exit::Stopped => "\nNot finished: only part was read back.",
        _ => "",
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use sprag::event::Shift;

    #[test]
    fn damage_is_told_in_byte_ranges() {
        let mut damage = Damage {
            ranges: vec![1_048_576..2_097_152, 5_242_880..5_242_881],
            blocks_bad: 2,
            ..Damage::default()
        };
        let verdict = Verdict::Corrupt {
            damage: damage.clone(),
        };
        assert_eq!(
            detail(&verdict, false),
            "bytes 1048576..2097152, 5242880..5242881 differ from what was copied: 2 blocks"
        );
        damage.blocks_zero = 1;
        damage.blocks_shifted = 1;
        damage.first_shift = Some(Shift { at: 9, belongs: 0 });
        assert_eq!(
            damage_text(&damage),
            "2 blocks, of which 1 holds only zeros and 1 holds what belongs elsewhere in the file \
             (at byte 9 what belongs at 0)"
        );
    }

    #[test]
    fn a_read_through_the_page_cache_is_never_passed_over() {
        let mut summary = VerifySummary {
            files_ok: 3,
            read_direct: 1,
            read_evicted: 2,
            bytes_read: 1 << 20,
            ..VerifySummary::default()
        };
        let text = summary_text(&summary, false, false);
        assert!(!text.contains("Warning"), "{text}");
        summary.read_cached = 1;
        let text = summary_text(&summary, false, false);
        assert!(text.contains("1 file through the page cache"), "{text}");
        assert!(text.contains("Warning"), "{text}");
    }

    #[test]
    fn only_a_clean_verification_says_that_all_is_well() {
        for exit_code in Exit::ALL {
            let text = summary_text(
                &VerifySummary {
                    exit_code,
                    files_extra: 2,
                    ..VerifySummary::default()
                },
                false,
                false,
            );
            assert_eq!(text.contains("Everything"), exit_code == Exit::Done);
            assert!(
                text.contains("2 entries are here that sprag did not copy"),
                "{text}"
            );
        }
    }
}
