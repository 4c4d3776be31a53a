//! The command line: all that reads arguments, prints, or listens to signals.
//!
//! Standard output carries what was asked for: the summary, the findings of `verify`, the list of
//! `export`, or JSON lines. Standard error carries errors, notes and progress, the same with and
//! without `--json`. The engine below knows nothing of either.

use std::ffi::OsString;

use clap::FromArgMatches;
use sprag::error::{Error, Reason};
use sprag::exit::Exit;

mod args;
mod checks;
mod concurrency;
mod copy;
mod copying;
mod desk;
mod export;
mod frame;
mod guard;
mod help;
mod json;
mod keys;
mod manual;
mod medium;
mod neighbour;
mod operands;
mod options;
mod out;
mod progress;
mod pull;
mod quote;
mod record;
mod remembered;
mod repair;
mod scope;
mod screen;
mod selection;
mod signals;
mod speed;
mod spinner;
mod status;
mod summary;
mod units;
mod verdicts;
mod verify;
mod whole_file;

use args::{Cli, Command};

/// A command line that was understood.
pub(crate) struct Invocation {
    cli: Cli,
    /// The same command again.
    rerun: quote::Rerun,
}

/// Understands a command line, or says on the right stream what it had to say (help, the version,
/// what is wrong) and how to exit.
pub(crate) fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Invocation, Exit> {
    let argv: Vec<OsString> = argv.into_iter().collect();
    if let Some(exit) = help::short(&argv) {
        return Err(exit);
    }
    let mut definition = help::definition();
    let parsed = definition
        .try_get_matches_from_mut(&argv)
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    match parsed {
        Ok((cli, matches)) => {
            let command = matches.subcommand();
            let options = command.and_then(|(name, matches)| {
                let command = definition.find_subcommand(name)?;
                Some(operands::options(command, matches))
            });
            Ok(Invocation {
                cli,
                rerun: quote::Rerun::new(&argv, options.unwrap_or_default()),
            })
        }
        Err(error) => {
            // Nobody is left to tell when this cannot be printed, as with `sprag --help | true`.
            let _ = error.print();
            Err(match error.use_stderr() {
                true => Exit::Usage,
                false => Exit::Done,
            })
        }
    }
}

/// Runs what was asked for.
pub(crate) fn run(invocation: &Invocation) -> Exit {
    signals::survive_size_limit();
    match &invocation.cli.command {
        Command::Copy(args) => copy::run(args, &invocation.rerun),
        Command::Verify(args) => verify::run(args, &invocation.rerun),
        Command::Status(args) => status::status(args),
        Command::Export(args) => export::run(args),
        Command::Clean(args) => status::clean(args),
        Command::Completions(args) => manual::completions(args),
        Command::Man(args) => manual::man(args),
    }
}

/// What ended or prevented a run, as text and as exit code.
struct Failure {
    exit: Exit,
    text: String,
}

impl Failure {
    /// The line for it, where lines of JSON are asked for.
    fn tell(&self, out: &mut out::Out, json: bool) {
        if json {
            out.json(&json::Line::Error {
                exit_code: self.exit,
                detail: &self.text,
            });
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        match error.downcast::<Error>() {
            // The engine's texts are complete in themselves.
            Ok(known) => Failure::from(known),
            Err(other) => Failure {
                exit: match other.is::<options::NotBelow>() {
                    true => Exit::Usage,
                    false => Exit::Io,
                },
                text: in_words(&other),
            },
        }
    }
}

/// Returns an error and its causes in one line.
fn in_words(error: &anyhow::Error) -> String {
    let words = error.chain().map(|cause| match cause.downcast_ref() {
        Some(error) => Reason(error).to_string(),
        None => cause.to_string(),
    });
    words.collect::<Vec<_>>().join(": ")
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure {
            exit: error.exit(),
            text: error.to_string(),
        }
    }
}
