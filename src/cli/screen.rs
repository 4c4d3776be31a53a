//! The terminal on standard error: a few lines that are redrawn in place, and what is said above
//! them.
//!
//! The lines never wrap when they are drawn. A window that is made narrower afterwards wraps them;
//! how many rows they take by then is computed anew before they are erased.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use console::Term;

use super::{keys, out};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// Not at all.
    Hidden,
    /// As a few lines that are redrawn in place.
    Bar,
    /// As a line now and then.
    Lines,
}

impl Show {
    /// What suits standard error.
    pub(crate) fn fitting() -> Show {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        match io::stderr().is_terminal() && !dumb {
            true => Show::Bar,
            false => Show::Lines,
        }
    }
}

/// The terminal that progress may stand on; cheap to clone, for whoever else has something to say.
#[derive(Clone)]
pub(crate) struct Screen {
    canvas: Option<Arc<Mutex<Canvas>>>,
}

/// What is drawn at the moment.
#[derive(Default)]
struct Canvas {
    lines: Vec<String>,
}

/// The size of a terminal, in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

impl Screen {
    /// The screen for this way of showing.
    pub(crate) fn new(show: Show) -> Screen {
        let canvas = (show == Show::Bar).then(Arc::default);
        Screen { canvas }
    }

    fn canvas(&self) -> Option<MutexGuard<'_, Canvas>> {
        let canvas = self.canvas.as_ref()?;
        Some(canvas.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs `print` with the drawn lines out of the way.
    pub(crate) fn around<R>(&self, print: impl FnOnce() -> R) -> R {
        let Some(mut canvas) = self.canvas() else {
            return print();
        };
        let lines = canvas.erase();
        let result = print();
        if !lines.is_empty() {
            canvas.draw(lines);
        }
        result
    }

    /// Says on standard error what went wrong.
    pub(crate) fn complain(&self, text: &str) {
        self.around(|| out::complain(text));
    }

    /// Says something on standard error.
    pub(crate) fn note(&self, text: &str) {
        self.around(|| out::note(text));
    }

    /// Draws what `lines` makes of the terminal's size, unless another job has the terminal.
    pub(crate) fn draw(&self, lines: impl FnOnce(Size) -> Vec<String>) {
        let Some(mut canvas) = self.canvas() else {
            return;
        };
        if keys::is_background(io::stderr()) {
            canvas.lines.clear();
        } else {
            canvas.redraw(lines(size()));
        }
    }

    /// Takes the lines away.
    pub(crate) fn clear(&self) {
        if let Some(mut canvas) = self.canvas() {
            canvas.erase();
        }
    }
}

impl Canvas {
    fn erase(&mut self) -> Vec<String> {
        let lines = std::mem::take(&mut self.lines);
        write(&erasing(&lines, size().columns));
        lines
    }

    fn draw(&mut self, lines: Vec<String>) {
        write(&lines.join("\n"));
        self.lines = lines;
    }

    /// Old lines away and new ones there, in one write, so that nothing flickers.
    fn redraw(&mut self, lines: Vec<String>) {
        let mut text = erasing(&self.lines, size().columns);
        text += &lines.join("\n");
        write(&text);
        self.lines = lines;
    }
}

/// What moves the cursor from the end of these lines to their beginning and clears all below it.
fn erasing(lines: &[String], columns: usize) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let rows = |line: &String| console::measure_text_width(line).max(1).div_ceil(columns);
    let above = lines.iter().map(rows).sum::<usize>() - 1;
    let mut text = String::from("\r");
    if above > 0 {
        let _ = write!(text, "\x1b[{above}A");
    }
    text + "\x1b[J"
}

/// There is nobody to tell when this fails.
fn write(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

fn size() -> Size {
    let (rows, columns) = Term::stderr().size_checked().unwrap_or((24, 80));
    Size {
        columns: usize::from(columns).max(1),
        rows: usize::from(rows).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_a_narrower_window_wrapped_are_erased_to_their_last_row() {
        let lines = ["x".repeat(30), String::new(), "y".repeat(10)];
        assert_eq!(erasing(&lines, 80), "\r\x1b[2A\x1b[J");
        assert_eq!(erasing(&lines, 20), "\r\x1b[3A\x1b[J");
        assert_eq!(erasing(&lines[2..], 10), "\r\x1b[J");
        assert_eq!(erasing(&[], 80), "");
    }
}
