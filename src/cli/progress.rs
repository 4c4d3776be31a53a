//! Progress on standard error: a bar on a terminal, now and then a plain line elsewhere.
//!
//! A copy has two figures, written and durable. The rate and the time left follow the durable one,
//! because that is what counts when the cable is pulled.

use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sprag::event::{Counted, Progress};

use super::{out, units};

const BAR_CELLS: u64 = 12;
const LINE_INTERVAL: Duration = Duration::from_secs(5);
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);
const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);
/// Half a minute of samples: long enough to span several barriers.
const SAMPLES_MAX: usize = 60;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// Not at all.
    Hidden,
    /// As a bar that is redrawn in place.
    Bar,
    /// As a line every few seconds.
    Lines,
}

impl Show {
    /// What suits standard error.
    pub(crate) fn fitting() -> Show {
        match io::stderr().is_terminal() {
            true => Show::Bar,
            false => Show::Lines,
        }
    }
}

/// The terminal that a bar may stand on; cheap to clone, for whoever else has something to say.
#[derive(Clone)]
pub(crate) struct Screen {
    bar: Option<ProgressBar>,
}

impl Screen {
    /// Runs `print` with the bar out of the way.
    pub(crate) fn around<R>(&self, print: impl FnOnce() -> R) -> R {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Says on standard error what went wrong.
    pub(crate) fn complain(&self, text: &str) {
        self.around(|| out::complain(text));
    }

    /// Says something on standard error.
    pub(crate) fn note(&self, text: &str) {
        self.around(|| out::note(text));
    }
}

/// Shows how far a run is.
pub(crate) struct Meter {
    show: Show,
    screen: Screen,
    started: Instant,
    shown: Pace,
    rate: Rate,
}

impl Meter {
    /// A meter at nothing.
    pub(crate) fn new(show: Show) -> Meter {
        let bar = (show == Show::Bar).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // The template is a constant and valid; were it not, the default shows the message too.
            if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        Meter {
            show,
            screen: Screen { bar },
            started: Instant::now(),
            shown: match show {
                Show::Lines => Pace::after(LINE_INTERVAL),
                _ => Pace::at_once(REDRAW_INTERVAL),
            },
            rate: Rate::default(),
        }
    }

    /// The terminal, to print on without breaking the bar.
    pub(crate) fn screen(&self) -> Screen {
        self.screen.clone()
    }

    /// Time since the meter was made.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Shows where a copy stands.
    pub(crate) fn copy(&mut self, counted: Counted, progress: Progress) {
        if self.show == Show::Hidden {
            return;
        }
        let now = self.elapsed();
        // What was there before says nothing about the speed of this run.
        let durable = progress.bytes_durable.saturating_sub(progress.bytes_before);
        self.rate.sample(now, durable);
        if self.shown.due(now) {
            self.draw(&copy_text(counted, progress, self.rate.per_second()));
        }
    }

    /// Shows where a verification stands.
    pub(crate) fn verify(&mut self, bytes_read: u64, bytes_total: u64) {
        if self.show == Show::Hidden {
            return;
        }
        let now = self.elapsed();
        self.rate.sample(now, bytes_read);
        if self.shown.due(now) {
            self.draw(&verify_text(
                bytes_read,
                bytes_total,
                self.rate.per_second(),
            ));
        }
    }

    fn draw(&self, text: &str) {
        match &self.screen.bar {
            Some(bar) => {
                bar.set_message(text.to_owned());
                bar.tick();
            }
            None => out::note(text),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.screen.bar {
            bar.finish_and_clear();
        }
    }
}

/// Lets something happen once an interval.
pub(crate) struct Pace {
    interval: Duration,
    next: Duration,
}

impl Pace {
    /// The first time is due at once.
    pub(crate) fn at_once(interval: Duration) -> Pace {
        Pace {
            interval,
            next: Duration::ZERO,
        }
    }

    /// The first time is due after one interval.
    pub(crate) fn after(interval: Duration) -> Pace {
        Pace {
            interval,
            next: interval,
        }
    }

    /// Whether it is time again; `now` is time since the start.
    pub(crate) fn due(&mut self, now: Duration) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now + self.interval;
        }
        due
    }
}

/// Bytes a second over the last half minute.
#[derive(Default)]
struct Rate {
    samples: VecDeque<(Duration, u64)>,
}

impl Rate {
    fn sample(&mut self, now: Duration, bytes: u64) {
        let last = self.samples.back().map_or(Duration::ZERO, |(at, _)| *at);
        if self.samples.is_empty() || now >= last + SAMPLE_INTERVAL {
            if self.samples.len() == SAMPLES_MAX {
                self.samples.pop_front();
            }
            self.samples.push_back((now, bytes));
        }
    }

    /// `None` while nothing has moved.
    fn per_second(&self) -> Option<u64> {
        let ((first_at, first), (last_at, last)) = (self.samples.front()?, self.samples.back()?);
        let ms = last_at.saturating_sub(*first_at).as_millis();
        let bytes = u128::from(last.saturating_sub(*first));
        let rate = (bytes * 1000).checked_div(ms)?;
        u64::try_from(rate).ok().filter(|rate| *rate > 0)
    }
}

/// The most wanted first: a narrow terminal cuts off the end.
fn copy_text(counted: Counted, progress: Progress, rate: Option<u64>) -> String {
    let (written, durable) = (progress.bytes_written, progress.bytes_durable);
    let size = units::size;
    if !counted.complete {
        return format!(
            "durable {}, written {}, counting ({} so far){}",
            size(durable),
            size(written),
            size(counted.bytes),
            speed(rate)
        );
    }
    // A source that grows meanwhile must not push the bar over its end.
    let total = counted.bytes.max(written);
    format!(
        "{}{}: durable {} of {}, written {}{}",
        bar(durable, written, total),
        time_left(total.saturating_sub(durable), rate),
        size(durable),
        size(total),
        size(written),
        speed(rate)
    )
}

fn verify_text(read: u64, total: u64, rate: Option<u64>) -> String {
    let total = total.max(read);
    format!(
        "{}{}: read {} of {}{}",
        bar(read, read, total),
        time_left(total - read, rate),
        units::size(read),
        units::size(total),
        speed(rate)
    )
}

/// `=` for what is durable, `-` for what is only written; never full, since it goes at the end.
fn bar(durable: u64, written: u64, total: u64) -> String {
    let part = |bytes: u64, of: u64| {
        let cells = u128::from(bytes) * u128::from(of) / u128::from(total.max(1));
        u64::try_from(cells).unwrap_or(of).min(of - 1) as usize
    };
    let solid = part(durable, BAR_CELLS);
    let soft = part(written, BAR_CELLS).saturating_sub(solid);
    format!(
        "[{}{}{}] {:2} %",
        "=".repeat(solid),
        "-".repeat(soft),
        " ".repeat(BAR_CELLS as usize - solid - soft),
        part(durable, 100)
    )
}

fn time_left(bytes: u64, rate: Option<u64>) -> String {
    let left = rate.and_then(|rate| bytes.checked_div(rate));
    left.map_or(String::new(), |s| {
        // One more second than the quotient: it is never over before the end.
        let time = Duration::from_secs(s.saturating_add(1));
        format!(", {} left", units::duration(time))
    })
}

fn speed(rate: Option<u64>) -> String {
    rate.map_or(String::new(), |rate| format!(", {}/s", units::size(rate)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(bytes: u64, complete: bool) -> Counted {
        Counted {
            entries: 1,
            bytes,
            complete,
        }
    }

    fn progress(written: u64, durable: u64) -> Progress {
        Progress {
            bytes_written: written,
            bytes_durable: durable,
            bytes_before: 0,
        }
    }

    #[test]
    fn written_and_durable_are_shown_apart_and_the_time_left_follows_durable() {
        let text = copy_text(
            counted(4 << 20, true),
            progress(2 << 20, 1 << 20),
            Some(1 << 20),
        );
        assert_eq!(
            text,
            "[===---      ] 25 %, 4 s left: durable 1 MiB of 4 MiB, written 2 MiB, 1 MiB/s"
        );
    }

    #[test]
    fn the_bar_is_not_full_before_the_end() {
        for (durable, written, total) in [(10, 10, 10), (0, 0, 0), (u64::MAX, u64::MAX, 1)] {
            let bar = bar(durable, written, total);
            assert!(!bar.contains("100"), "{bar}");
            assert!(bar.contains(" ]"), "{bar}");
        }
    }

    #[test]
    fn a_total_that_is_not_known_yet_gives_no_percentage() {
        let text = copy_text(counted(1024, false), progress(0, 0), None);
        assert_eq!(text, "durable 0 B, written 0 B, counting (1 KiB so far)");
    }

    #[test]
    fn the_rate_is_that_of_the_last_half_minute() {
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(), None);
        for s in 0..100 {
            let fast = s.max(50) - 50;
            rate.sample(Duration::from_secs(s), fast * 1000);
        }
        assert_eq!(rate.samples.len(), SAMPLES_MAX);
        assert_eq!(rate.per_second(), Some(49_000 / 59));
    }

    #[test]
    fn a_pace_lets_through_once_an_interval() {
        let mut pace = Pace::after(Duration::from_secs(5));
        let due: Vec<u64> = (0..20)
            .filter(|s| pace.due(Duration::from_secs(*s)))
            .collect();
        assert_eq!(due, [5, 10, 15]);
    }
}
