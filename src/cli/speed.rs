//! Speed and time left, from what became durable.
//!
//! Durable content comes in steps, one a barrier. Only the moments at which it grew are kept: a
//! slope from step to step does not depend on when one looks, so that it holds still between them.

use std::collections::VecDeque;
use std::time::Duration;

/// The speed is that of the last third of the run, within these bounds.
const WINDOW_MIN: Duration = Duration::from_secs(30);
const WINDOW_MAX: Duration = Duration::from_secs(600);
/// Nothing is said about speed before that.
const FIRST: Duration = Duration::from_secs(1);
/// With so many steps the first one no longer counts.
const STEPS_SETTLED: usize = 4;
/// So many steps are kept; of more, every other one.
const STEPS_MAX: usize = 512;

/// When how much was durable.
#[derive(Debug, Clone, Copy)]
struct Step {
    at: Duration,
    bytes: u64,
}

/// The steps so far.
#[derive(Debug, Default)]
pub(crate) struct Speed {
    steps: VecDeque<Step>,
}

impl Speed {
    /// `bytes` of this run are durable at `at`.
    pub(crate) fn sample(&mut self, at: Duration, bytes: u64) {
        if self.steps.back().is_some_and(|last| bytes <= last.bytes) {
            return;
        }
        if self.steps.len() >= STEPS_MAX {
            let mut nth = 0;
            self.steps.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
        }
        self.steps.push_back(Step { at, bytes });
    }

    /// The run stood still for `time`, in which `bytes` became durable: neither says anything
    /// about speed.
    pub(crate) fn stood_still(&mut self, time: Duration, bytes: u64) {
        for step in &mut self.steps {
            step.at += time;
            step.bytes += bytes;
        }
    }

    /// Bytes a second; `None` while nothing has moved.
    pub(crate) fn per_second(&self, now: Duration) -> Option<u64> {
        // The first step takes longer than the others: nothing was under way before it.
        let settled = usize::from(self.steps.len() >= STEPS_SETTLED);
        let window = (now / 3).clamp(WINDOW_MIN, WINDOW_MAX);
        let since = now.saturating_sub(window);
        let last = self.steps.back()?;
        let older = self.steps.iter().skip(settled).rev().skip(1);
        // At least the last step, however long ago it began.
        let first = older
            .enumerate()
            .take_while(|(nth, step)| *nth == 0 || step.at >= since)
            .last()?
            .1;
        let longest = self.longest(first.at);
        // A step that is overdue makes the speed fall.
        let waited = now.saturating_sub(last.at);
        let until = match waited > longest * 2 {
            true => now,
            false => last.at,
        };
        let time_ms = until.saturating_sub(first.at).as_millis();
        if now < FIRST || time_ms == 0 {
            return None;
        }
        let speed = u128::from(last.bytes - first.bytes) * 1000 / time_ms;
        u64::try_from(speed).ok().filter(|speed| *speed > 0)
    }

    /// The longest time between two steps since `since`.
    fn longest(&self, since: Duration) -> Duration {
        let recent = self.steps.iter().filter(|step| step.at >= since);
        let pairs = recent.clone().zip(recent.skip(1));
        let times = pairs.map(|(one, next)| next.at.saturating_sub(one.at));
        times.max().unwrap_or_default()
    }

    /// How long it takes until `bytes` more are durable. It runs down between the steps.
    pub(crate) fn time_left(&self, now: Duration, bytes: u64) -> Option<Duration> {
        let speed = self.per_second(now)?;
        let last = self.steps.back()?;
        let ms = u128::from(bytes) * 1000 / u128::from(speed);
        let from_last = Duration::from_millis(u64::try_from(ms).ok()?);
        Some(from_last.saturating_sub(now.saturating_sub(last.at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn s(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    /// 5 MiB each 5 s, from the beginning until `until`.
    fn steady(until: u64) -> Speed {
        let mut speed = Speed::default();
        for at in 0..=until {
            speed.sample(s(at), at / 5 * 5 * MIB);
        }
        speed
    }

    #[test]
    fn nothing_is_said_before_something_moved() {
        let mut speed = Speed::default();
        assert_eq!(speed.per_second(s(9)), None);
        speed.sample(s(0), 0);
        assert_eq!(speed.per_second(s(9)), None);
        assert_eq!(speed.time_left(s(9), MIB), None);
    }

    #[test]
    fn the_time_left_runs_down_evenly_between_steps() {
        for until in 33..60 {
            let left = steady(until).time_left(s(until), (100 - until / 5 * 5) * MIB);
            assert_eq!(left, Some(s(100 - until)), "after {until} s");
        }
    }

    #[test]
    fn the_first_step_which_takes_longer_does_not_spoil_the_estimate() {
        let mut speed = Speed::default();
        speed.sample(s(0), 0);
        for step in 1..=3 {
            speed.sample(s(5 + 5 * step), step * 5 * MIB);
        }
        assert_eq!(speed.time_left(s(20), 15 * MIB), Some(s(15)));
    }

    #[test]
    fn a_step_that_does_not_come_makes_the_speed_fall() {
        let speed = steady(60);
        assert_eq!(speed.per_second(s(64)), Some(MIB));
        let overdue = speed.per_second(s(120)).unwrap();
        assert!(overdue < MIB / 2, "{overdue}");
    }

    #[test]
    fn a_pause_changes_nothing() {
        let mut speed = steady(60);
        speed.stood_still(s(1000), 3 * MIB);
        assert_eq!(speed.per_second(s(1062)), Some(MIB));
        speed.sample(s(1065), 68 * MIB);
        assert_eq!(speed.per_second(s(1065)), Some(MIB));
    }

    #[test]
    fn a_device_that_becomes_slower_shows_within_the_window() {
        let mut speed = steady(60);
        for at in 61..=100 {
            speed.sample(s(at), 60 * MIB + (at - 60) / 5 * MIB);
        }
        let now = speed.per_second(s(100)).unwrap();
        assert!(now < MIB / 3, "{now}");
    }

    /// A device of steady speed behind a page cache: when how much is durable, looked at ten times
    /// a second. A barrier covers what was written when it began, and costs a moment of its own.
    fn durable_over_time(total: u64, a_second: u64, barrier: u64) -> Vec<(Duration, u64)> {
        let mut looks = Vec::new();
        let (mut durable, mut ms) = (0, 0);
        while durable < total {
            let next = (durable + barrier).min(total);
            // The first barrier also waits for what was written behind it.
            let extra = if durable == 0 { barrier } else { 0 };
            let until = ms + (next - durable + extra) * 1000 / a_second + 120;
            while ms < until {
                looks.push((Duration::from_millis(ms), durable));
                ms += 100;
            }
            durable = next;
        }
        looks.push((Duration::from_millis(ms), total));
        looks
    }

    #[test]
    fn from_a_third_of_the_way_on_the_time_left_is_right_within_15_percent() {
        // A stick, a slow drive, a fast one, each with the barriers that it would have.
        for (total, a_second, barrier) in [
            (4000 * MIB, 5 * MIB, 64 * MIB),
            (20_000 * MIB, 100 * MIB, 128 * MIB),
            (100_000 * MIB, 150 * MIB, 128 * MIB),
            (3000 * MIB, 900 * MIB, 128 * MIB),
        ] {
            let looks = durable_over_time(total, a_second, barrier);
            let end = looks.last().unwrap().0;
            let mut speed = Speed::default();
            for (at, durable) in looks {
                speed.sample(at, durable);
                let really = end - at;
                if at < end / 3 || really < s(1) {
                    continue;
                }
                let left = speed.time_left(at, total - durable).unwrap();
                assert!(
                    left.abs_diff(really) <= really.mul_f64(0.15) + Duration::from_millis(250),
                    "{left:?} and not {really:?} of {end:?} at {} MiB/s",
                    a_second / MIB
                );
            }
        }
    }

    #[test]
    fn memory_is_bounded_and_the_window_kept() {
        let mut speed = Speed::default();
        for at in 0..100_000 {
            speed.sample(s(at), at * MIB);
        }
        assert!(speed.steps.len() <= STEPS_MAX);
        assert_eq!(speed.per_second(s(100_000)), Some(MIB));
    }
}
