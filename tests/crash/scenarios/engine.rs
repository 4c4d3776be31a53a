//! The real engine on a simulated disk.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sprag::block::BlockSize;
use sprag::error::Error;
use sprag::event::{CopySummary, Progress, VerifyEvent};
use sprag::exit::Exit;
use sprag::filter::Rules;
use sprag::{CopyOptions, CopyRun, Delete, Event, RepairOptions, VerifyOptions, VerifyRun};

use super::cases::PROTECTED;
use crate::sim::SimFs;

/// How many files are worked on at a time.
pub(crate) const JOBS: u64 = 2;
/// So much may wait for a barrier. Little, so that a small tree has many.
pub(crate) const CHECKPOINT_BYTES: u64 = 256 << 10;
/// Something waits at most this long for a barrier.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(3);
/// What messages call the destination.
pub(crate) const DEST: &str = "/simulated";
/// What the outside world is told when a run has done everything.
pub(crate) const DONE: &str = "done";
/// What it is told when so many bytes are durable.
const DURABLE: &str = "durable ";

/// How the warning begins that comes after a crash on a file system without a journal.
pub(crate) const READ_BACK: &str = "the last copy here was cut off";

/// What a run then says of a file that does not read back right.
pub(crate) const NOT_READ_BACK: &str = "does not read back as it was written: the interruption";

/// How a run ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) exit: Exit,
    pub(crate) summary: CopySummary,
    pub(crate) error: Option<Error>,
    /// What it said of single entries, and its warnings.
    pub(crate) said: Vec<String>,
}

/// When a run is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Never,
    AtOnce,
    /// When so many bytes are written.
    At(u64),
}

pub(crate) fn options(source: &Path) -> CopyOptions {
    let mut contents = source.as_os_str().to_owned();
    contents.push("/");
    let mut options = CopyOptions::new([contents], DEST);
    options.jobs = NonZeroUsize::new(JOBS as usize);
    options.block_size = Some(BlockSize::MIN);
    options.checkpoint_bytes = CHECKPOINT_BYTES;
    options.checkpoint_interval = CHECKPOINT_INTERVAL;
    options.owner = false;
    options
}

/// Makes a run delete what its source does not have, but for what is protected; `before` anything is copied
/// or last.
pub(crate) fn delete(options: &mut CopyOptions, before: bool) {
    let mut rules = Rules::new();
    rules.exclude(PROTECTED);
    options.selection.filter = rules.compile().expect("a pattern");
    options.delete = Some(Delete {
        before,
        ..Delete::default()
    });
}

/// Runs the copy to its end, and notes on the disk what the outside world is told.
pub(crate) fn run(fs: &SimFs, options: CopyOptions, stop: Stop) -> End {
    drive(fs, CopyRun::start_on(Arc::new(fs.clone()), options), stop)
}

/// Repairs from a source, and notes on the disk what the outside world is told.
pub(crate) fn repair(fs: &SimFs, source: &Path) -> End {
    let copy = options(source);
    let options = RepairOptions {
        trust_state: false,
        dest: copy.dest,
        from: copy.sources,
        paths: Vec::new(),
        jobs: copy.jobs,
        bytes_per_s: None,
    };
    let run = CopyRun::repair_on(Arc::new(fs.clone()), options);
    drive(fs, run, Stop::Never)
}

fn drive(fs: &SimFs, started: Result<CopyRun, Error>, stop: Stop) -> End {
    let mut run = match started {
        Ok(run) => run,
        Err(error) => return End::of_error(error),
    };
    let stopper = run.stopper();
    if stop == Stop::AtOnce {
        stopper.stop();
    }
    let mut said = Vec::new();
    let mut last = Progress::default();
    for event in &mut run {
        match event {
            Event::Progress(progress) => {
                if matches!(stop, Stop::At(bytes) if progress.bytes_written >= bytes) {
                    stopper.stop();
                }
                if progress.bytes_durable > last.bytes_durable {
                    fs.mark(&format!("{DURABLE}{}", progress.bytes_durable));
                }
                if let Some(problem) = went_back(&last, &progress) {
                    said.push(problem);
                }
                last = progress;
            }
            Event::Problem { path, error } => said.push(format!("{path}: {error}")),
            Event::Warning(text) => said.push(text),
            Event::Finished { summary, error } => {
                let exit = summary.exit_code;
                if exit == Exit::Done {
                    fs.mark(DONE);
                }
                return End {
                    exit,
                    summary: *summary,
                    error,
                    said,
                };
            }
            Event::Opened(_)
            | Event::Concurrency(_)
            | Event::Phase(_)
            | Event::Counted(_)
            | Event::Retry(_)
            | Event::Waiting { .. }
            | Event::Found { .. }
            | Event::Entry { .. } => {}
        }
    }
    panic!("the run ended without saying so");
}

fn went_back(last: &Progress, now: &Progress) -> Option<String> {
    let grows = now.bytes_written >= last.bytes_written && now.bytes_durable >= last.bytes_durable;
    let wrong = !grows || now.bytes_durable > now.bytes_written;
    wrong.then(|| format!("progress went from {last:?} to {now:?}"))
}

impl End {
    fn of_error(error: Error) -> End {
        End {
            exit: error.exit(),
            summary: CopySummary {
                exit_code: error.exit(),
                ..CopySummary::default()
            },
            error: Some(error),
            said: Vec::new(),
        }
    }

    /// The message that the run ends with.
    pub(crate) fn error_text(&self) -> String {
        let error = self.error.as_ref().map(ToString::to_string);
        error.unwrap_or_default()
    }

    /// All that there is to say about it, on one line.
    pub(crate) fn describe(&self) -> String {
        let error = self.error_text();
        let said = self.said.join("; ");
        format!(
            "exit {}: {} {said} {:?}",
            self.exit.code(),
            error,
            self.summary
        )
    }
}

/// The most bytes that the outside world was told are durable.
pub(crate) fn durable(marks: &[&str]) -> u64 {
    let told = marks.iter().filter_map(|mark| mark.strip_prefix(DURABLE));
    told.filter_map(|bytes| bytes.parse().ok())
        .max()
        .unwrap_or(0)
}

/// Reads everything back.
pub(crate) fn verify(fs: &SimFs) -> Result<(), String> {
    let options = VerifyOptions::new(DEST);
    let run = VerifyRun::start_on(Arc::new(fs.clone()), options);
    let run = run.map_err(|error| format!("verify: {error}"))?;
    let mut wrong = Vec::new();
    for event in run {
        match event {
            VerifyEvent::Entry { path, verdict, .. } if verdict.kind() != "ok" => {
                wrong.push(format!("{path}: {verdict:?}"));
            }
            VerifyEvent::Finished { summary, error } if summary.exit_code != Exit::Done => {
                return Err(format!("verify: {wrong:?} {error:?}"));
            }
            _ => {}
        }
    }
    Ok(())
}
