//! What stays of a run when it is over: the log and the report.

use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser};
use serde::Serialize;
use sprag::exit::Exit;

use crate::cli::screen::Screen;
use crate::cli::selection::STD_STREAM;
use crate::cli::{in_words, json};
use log::Log;
use page::Page;

mod hashes;
mod html;
mod log;
mod page;
mod series;
mod svg;

const RECORDS: &str = "Records";

/// Flags of what is written down about a run.
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// Add a line for each entry and problem to FILE, with its time
    #[arg(long, value_name = "FILE", value_parser = file(), help_heading = RECORDS)]
    pub(crate) log_file: Option<PathBuf>,

    /// Write a report for whoever signs off the run, as one HTML page
    ///
    /// FILE appears when the run is over. It needs no network, and prints well.
    #[arg(long, value_name = "FILE", value_parser = file(), help_heading = RECORDS)]
    pub(crate) report: Option<PathBuf>,
}

/// The name of a file. Who writes a dash means standard output, which says other things.
fn file() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match path.as_os_str() == STD_STREAM {
        true => Err("a record is a file of its own: name one (./- if that is to be its name)"),
        false => Ok(path),
    })
}

/// How a run ended, for the records.
pub(crate) struct End<'a> {
    pub(crate) exit: Exit,
    /// What ended it early, if something did.
    pub(crate) failure: Option<&'a str>,
    /// The summary as it was printed.
    pub(crate) text: String,
    /// Every figure by its name in JSON.
    pub(crate) figures: serde_json::Map<String, serde_json::Value>,
    /// Bytes that this run wrote and made durable, or read.
    pub(crate) bytes: u64,
    pub(crate) elapsed_ms: u64,
}

impl<'a> End<'a> {
    /// The end of a run with these totals.
    pub(crate) fn new(
        exit: Exit,
        figures: &impl Serialize,
        text: String,
        failure: Option<&'a str>,
    ) -> End<'a> {
        let figures = json::figures(figures);
        let figure = |name| figures.get(name).and_then(serde_json::Value::as_u64);
        End {
            exit,
            failure,
            text,
            bytes: figure("bytes_copied").or(figure("bytes_read")).unwrap_or(0),
            elapsed_ms: figure("elapsed_ms").unwrap_or(0),
            figures,
        }
    }
}

/// What a run is about, for the records.
pub(crate) struct Subject<'a> {
    pub(crate) dest: &'a Path,
    /// Where it is copied from.
    pub(crate) sources: &'a [PathBuf],
    pub(crate) manifest: Manifest<'a>,
}

/// Where what is recorded of the destination stands.
#[derive(Clone, Copy)]
pub(crate) enum Manifest<'a> {
    /// At the destination.
    There,
    /// In this file.
    Kept(&'a Path),
    /// A list was given instead.
    Unasked,
}

/// A part of a file that is not as it should be.
pub(crate) struct Damaged<'a> {
    pub(crate) path: &'a sprag::path::RelPath,
    pub(crate) ranges: &'a [Range<u64>],
}

/// Keeps the records that were asked for.
pub(crate) struct Recorder {
    screen: Option<Screen>,
    log: Option<Log>,
    page: Option<Page>,
}

impl Recorder {
    /// Keeps none.
    pub(crate) fn none() -> Recorder {
        Recorder {
            screen: None,
            log: None,
            page: None,
        }
    }

    /// Opens what has to be open while the run goes on.
    pub(crate) fn open(
        args: &RecordArgs,
        screen: Screen,
        rerun: &str,
        subject: &Subject<'_>,
    ) -> anyhow::Result<Recorder> {
        let log = args.log_file.as_deref().map(Log::open).transpose()?;
        let page = args.report.as_deref();
        let page = page.map(|file| Page::new(file, rerun, subject));
        let mut recorder = Recorder {
            screen: Some(screen),
            log,
            page,
        };
        recorder.line("begin", rerun);
        Ok(recorder)
    }

    fn line(&mut self, word: &str, text: impl Display) {
        if let Some(log) = &mut self.log {
            let complaint = log.line(word, &text.to_string());
            self.complain(complaint);
        }
    }

    fn complain(&self, complaint: Option<String>) {
        if let (Some(complaint), Some(screen)) = (complaint, &self.screen) {
            screen.complain(&complaint);
        }
    }

    /// Something that belongs to no entry, or an entry that is as it should be.
    pub(crate) fn note(&mut self, word: &str, text: impl Display) {
        self.line(word, text);
    }

    /// A warning.
    pub(crate) fn warning(&mut self, text: &str) {
        self.line("warning", text);
        if let Some(page) = &mut self.page {
            page.warning(text);
        }
    }

    /// An entry that is not as it should be.
    pub(crate) fn problem(&mut self, kind: &str, text: &str, damaged: Option<&Damaged<'_>>) {
        self.line(kind, text);
        if let Some(page) = &mut self.page {
            page.problem(kind, text, damaged);
        }
    }

    /// Where the run stands; called at each tick.
    pub(crate) fn sample(&mut self, at: Duration, written: u64, durable: u64) {
        if let Some(page) = &mut self.page {
            page.sample(at, written, durable);
        }
        let complaint = self.log.as_mut().and_then(Log::flush);
        self.complain(complaint);
    }

    /// The end of the run. The code to exit with: a record that was lost is an I/O error.
    pub(crate) fn end(mut self, end: &End<'_>) -> Exit {
        if let Some(failure) = end.failure {
            self.line("error", failure);
        }
        self.line("end", format!("{}: {}", end.exit.meaning(), end.text));
        let complaint = self.log.as_mut().and_then(Log::flush);
        self.complain(complaint);
        let mut lost = self.log.as_ref().is_some_and(Log::has_failed);
        if let Some(page) = self.page.take()
            && let Err(error) = page.write(end)
        {
            self.complain(Some(format!("no report was written: {}", in_words(&error))));
            lost = true;
        }
        match end.exit {
            Exit::Done if lost => Exit::Io,
            exit => exit,
        }
    }
}
