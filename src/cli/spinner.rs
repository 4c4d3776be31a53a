//! A sign of life for commands that have no screen of their own: indicatif's spinner on standard error,
//! with how much was put out so far. Without a terminal there, it shows nothing.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

const TICK: Duration = Duration::from_millis(200);

/// A spinner; it is gone when it is dropped.
pub(crate) struct Spinner(ProgressBar);

impl Spinner {
    /// Says `doing` until it is dropped. Nothing is shown where standard output is a terminal, too: what is
    /// put out there is sign enough.
    pub(crate) fn new(doing: &'static str) -> Spinner {
        if std::io::stdout().is_terminal() {
            return Spinner(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner().with_message(doing);
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {msg}: {binary_bytes}, {elapsed}")
        {
            bar.set_style(style.tick_chars("|/-\\ "));
        }
        bar.enable_steady_tick(TICK);
        Spinner(bar)
    }

    /// Runs `print` with the spinner out of the way.
    pub(crate) fn around<R>(&self, print: impl FnOnce() -> R) -> R {
        self.0.suspend(print)
    }

    /// Counts what is written.
    pub(crate) fn count<W: Write>(&self, out: W) -> impl Write + use<W> {
        self.0.wrap_write(out)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
