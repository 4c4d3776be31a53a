//! Where lines go: standard output for results, standard error for what is said beside them.
//!
//! A reader that goes away (`sprag copy -v … | head`) ends the printing, never the copy.

use std::io::{self, IsTerminal, Write};

use console::style;
use serde::Serialize;
use sprag::error::Reason;
use sprag::exit::Exit;

use super::screen::Screen;

/// Standard output, which may break at any moment.
pub(crate) struct Out {
    screen: Screen,
    is_terminal: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The reader closed its end: it has read enough.
    Closed,
    /// Something was lost that the reader wanted.
    Failed,
}

/// Whether a verdict is good news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Unfinished,
    Bad,
}

impl Out {
    /// Prints the sentence that a command ends with, in colour on a terminal, unless `NO_COLOR` forbids it.
    pub(crate) fn verdict(&mut self, tone: Tone, text: &str) {
        let text = style(text);
        let text = match tone {
            Tone::Good => text.green(),
            Tone::Unfinished => text.yellow(),
            Tone::Bad => text.red(),
        };
        self.line(&text.to_string());
    }

    /// Standard output beside the progress on `screen`.
    pub(crate) fn new(screen: Screen) -> Out {
        Out {
            screen,
            is_terminal: io::stdout().is_terminal(),
            state: State::Open,
        }
    }

    /// Prints one line.
    pub(crate) fn line(&mut self, text: &str) {
        if self.state != State::Open {
            return;
        }
        let line = format!("{text}\n");
        let write = || io::stdout().lock().write_all(line.as_bytes());
        // A bar on the same terminal has to make way; one that is elsewhere is not disturbed.
        let result = match self.is_terminal {
            true => self.screen.around(write),
            false => write(),
        };
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.state = State::Closed,
            Err(error) => {
                self.state = State::Failed;
                self.screen.complain(&format!(
                    "cannot write to standard output: {}; nothing more is printed there",
                    Reason(&error)
                ));
            }
        }
    }

    /// Prints one JSON line.
    pub(crate) fn json(&mut self, line: &impl Serialize) {
        match serde_json::to_string(line) {
            Ok(text) => self.line(&text),
            Err(error) => self
                .screen
                .complain(&format!("cannot write a line as JSON: {error}")),
        }
    }

    /// The exit code of a run that ended with `exit`: output that was lost is an I/O error.
    pub(crate) fn exit(&self, exit: Exit) -> Exit {
        match (exit, self.state) {
            (Exit::Done, State::Failed) => Exit::Io,
            _ => exit,
        }
    }
}

/// Prints `sprag: text` on standard error. There is nobody to tell when that fails.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "sprag: {text}");
}

/// Prints a line on standard error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
