//! Progress on standard error: when it is shown, and the facts that it shows.
//!
//! A copy has two figures, written and durable. The speed and the time left follow the durable one,
//! because that is what counts when the cable is pulled.

use std::time::{Duration, Instant};

use sprag::event::{Phase, Standing};

use super::frame::{self, Amount, Facts, Mood};
use super::out;
use super::screen::{Screen, Show};
use super::speed::Speed;

const REDRAW_INTERVAL: Duration = Duration::from_millis(200);
/// A log gets a line this often at first, and less often as the run becomes longer.
const LINE_INTERVAL_MIN: Duration = Duration::from_secs(5);
const LINE_INTERVAL_MAX: Duration = Duration::from_secs(60);

/// Shows how far a run is.
pub(crate) struct Meter {
    show: Show,
    screen: Screen,
    started: Instant,
    shown: Pace,
    speed: Speed,
    /// When and at how many bytes the run was paused.
    paused: Option<(Duration, u64)>,
    problems: u64,
    last_problem: String,
}

impl Meter {
    /// A meter at nothing.
    pub(crate) fn new(show: Show) -> Meter {
        Meter::on(Screen::new(show), show)
    }

    /// The same, on a screen that is there.
    pub(crate) fn on(screen: Screen, show: Show) -> Meter {
        Meter {
            show,
            screen,
            started: Instant::now(),
            shown: match show {
                Show::Lines => Pace::after(LINE_INTERVAL_MIN),
                _ => Pace::at_once(REDRAW_INTERVAL),
            },
            speed: Speed::default(),
            paused: None,
            problems: 0,
            last_problem: String::new(),
        }
    }

    /// The terminal, to print on without breaking the drawn lines.
    pub(crate) fn screen(&self) -> Screen {
        self.screen.clone()
    }

    /// Time since the meter was made.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// One more entry failed.
    pub(crate) fn problem(&mut self, detail: &str) {
        self.problems += 1;
        self.last_problem = detail.to_owned();
    }

    /// The process did not run for so long, which says nothing about speed.
    pub(crate) fn stood_still(&mut self, time: Duration) {
        if !time.is_zero() {
            self.speed.stood_still(time, 0);
        }
    }

    /// Shows that a run is being opened, which reads all of a manifest.
    pub(crate) fn opening(&mut self) {
        let facts = Facts {
            doing: "opening the manifest",
            ..self.facts(self.elapsed(), Mood::default())
        };
        self.screen.draw(|size| frame::lines(&facts, size));
    }

    /// Shows where a copy stands.
    pub(crate) fn copy(&mut self, standing: &Standing, mood: Mood) {
        let facts = self.copy_facts(standing, mood);
        self.show(&facts);
    }

    /// Shows where a verification stands.
    pub(crate) fn verify(&mut self, bytes_read: u64, bytes_total: u64, mood: Mood) {
        let facts = self.verify_facts(bytes_read, bytes_total, mood);
        self.show(&facts);
    }

    /// Says where a verification stands in one line, for whoever asked.
    pub(crate) fn verify_line(&mut self, bytes_read: u64, bytes_total: u64, mood: Mood) {
        let facts = self.verify_facts(bytes_read, bytes_total, mood);
        self.screen.note(&frame::plain(&facts));
    }

    fn verify_facts(&mut self, bytes_read: u64, bytes_total: u64, mood: Mood) -> Facts {
        let now = self.elapsed();
        self.sample(now, bytes_read, mood.paused);
        let total = bytes_total.max(bytes_read);
        Facts {
            doing: frame::phase_word(Phase::ReadingBack),
            done: Amount {
                word: "read",
                bytes: bytes_read,
            },
            total: Some(total),
            speed: self.speed.per_second(now),
            left: self.speed.time_left(now, total - bytes_read),
            ..self.facts(now, mood)
        }
    }

    /// Says where a copy stands in one line, for whoever asked.
    pub(crate) fn status_line(&mut self, standing: &Standing, mood: Mood) {
        let facts = self.copy_facts(standing, mood);
        self.screen.note(&frame::plain(&facts));
    }

    fn copy_facts(&mut self, standing: &Standing, mood: Mood) -> Facts {
        let now = self.elapsed();
        let at = standing.progress;
        let began = !matches!(standing.phase, Phase::Recovering | Phase::Counting);
        if began {
            // What was there before says nothing about the speed of this run.
            let durable = at.bytes_durable.saturating_sub(at.bytes_before);
            self.sample(now, durable, mood.paused);
        }
        let counted = standing.counted;
        // What earlier runs made durable is known once all is counted, before the copy gets there.
        let before = match counted.complete {
            true => at.bytes_before.max(counted.bytes_before),
            false => at.bytes_before,
        };
        let to_come = before - at.bytes_before;
        let (written, durable) = (at.bytes_written + to_come, at.bytes_durable + to_come);
        // A source that grows meanwhile must not push the bar over its end.
        let total = counted.complete.then_some(counted.bytes.max(written));
        let left = total.unwrap_or_default().saturating_sub(durable);
        let amount = |word, bytes| Amount { word, bytes };
        let mut facts = Facts {
            doing: frame::phase_word(standing.phase),
            total,
            counted: counted.bytes,
            speed: self.speed.per_second(now),
            left: self.speed.time_left(now, left),
            flush: standing
                .flush
                .map(|flush| (flush.bytes, flush.since.elapsed())),
            ..self.facts(now, mood)
        };
        if standing.phase != Phase::Recovering {
            facts.done = amount("durable", durable);
            facts.ahead = Some(amount("written", written));
        }
        for file in &standing.in_flight {
            let mut name = file.path.to_string();
            if file.in_hole {
                name += " (hashing a hole)";
            }
            facts.files.push((name, file.bytes_done, file.bytes_total));
        }
        facts
    }

    fn facts(&self, now: Duration, mood: Mood) -> Facts {
        Facts {
            elapsed: now,
            problems: self.problems,
            last_problem: self.last_problem.clone(),
            mood,
            ..Facts::default()
        }
    }

    /// Notes progress for the speed, as if pauses had not been.
    fn sample(&mut self, now: Duration, bytes: u64, paused: bool) {
        match (self.paused, paused) {
            (None, true) => self.paused = Some((now, bytes)),
            (Some((since, before)), false) => {
                self.paused = None;
                self.speed
                    .stood_still(now.saturating_sub(since), bytes - before);
            }
            _ => {}
        }
        if !paused {
            self.speed.sample(now, bytes);
        }
    }

    fn show(&mut self, facts: &Facts) {
        let now = self.elapsed();
        if self.show == Show::Hidden || !self.shown.due(now) {
            return;
        }
        if self.show == Show::Lines {
            self.shown.interval = (now / 10).clamp(LINE_INTERVAL_MIN, LINE_INTERVAL_MAX);
            out::note(&frame::plain(facts));
        } else {
            self.screen.draw(|size| frame::lines(facts, size));
        }
    }

    /// Takes the drawn lines away.
    pub(crate) fn finish(&self) {
        self.screen.clear();
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

#[cfg(test)]
mod tests {
    use super::*;
    use sprag::event::{Counted, Progress};

    #[test]
    fn a_pace_lets_through_once_an_interval() {
        let mut pace = Pace::after(Duration::from_secs(5));
        let due: Vec<u64> = (0..20)
            .filter(|s| pace.due(Duration::from_secs(*s)))
            .collect();
        assert_eq!(due, [5, 10, 15]);
    }

    #[test]
    fn what_was_there_before_counts_as_done_from_the_start_and_never_as_speed() {
        const MIB: u64 = 1 << 20;
        let mut meter = Meter::new(Show::Hidden);
        let mut standing = Standing {
            phase: Phase::Copying,
            ..Standing::default()
        };
        standing.counted = Counted {
            entries: 9,
            bytes: 1024 * MIB,
            bytes_before: 512 * MIB,
            complete: true,
        };
        // The copy gets to what was there by and by; then it copies.
        for (before, durable) in [(0, 0), (100, 100), (512, 512), (512, 612)] {
            meter.started -= Duration::from_secs(3);
            standing.progress = Progress {
                bytes_written: durable * MIB,
                bytes_durable: durable * MIB,
                bytes_before: before * MIB,
            };
            let facts = meter.copy_facts(&standing, Mood::default());
            assert_eq!(facts.done.bytes, (512 + durable - before) * MIB);
            assert_eq!(facts.speed.is_some(), durable > before);
        }
    }
}
