//! A limit of bytes a second that all threads of a run share.
//!
//! Even, not bursty: whoever wants bytes takes the next free stretch of time and waits for its
//! beginning. Nothing is saved up while nobody wants any, but for a moment, so that late wake-ups
//! do not add up to a lower rate. Time is monotonic: a clock that is set changes nothing, and a
//! machine that slept has nothing to make up for.

use std::num::NonZeroU64;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::fs::ALIGN;
use crate::lock_mutex;
use crate::stop::Stopper;

/// So many pieces a second, about, flow at a low limit.
const PIECES_A_SECOND: u64 = 8;
/// So much of unused time may be made up for.
const SLACK: Duration = Duration::from_millis(100);
/// How often a waiting thread looks whether the run is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const NS_PER_S: u128 = 1_000_000_000;

/// The limit of a run, or none.
#[derive(Debug)]
pub(crate) struct Throttle {
    limit: Option<Limit>,
    stopper: Stopper,
}

#[derive(Debug)]
struct Limit {
    bytes_per_s: NonZeroU64,
    /// When the time that was given away ends.
    given_until: Mutex<Option<Instant>>,
}

impl Throttle {
    /// A limit of so many bytes a second; waiting ends when `stopper` is told to stop.
    pub(crate) fn new(bytes_per_s: Option<NonZeroU64>, stopper: Stopper) -> Throttle {
        let limit = bytes_per_s.map(|bytes_per_s| Limit {
            bytes_per_s,
            given_until: Mutex::new(None),
        });
        Throttle { limit, stopper }
    }

    /// How much to read at once so that the flow is even: at most `most`, and a multiple of what
    /// reads past the page cache are aligned to.
    pub(crate) fn piece(&self, most: usize) -> usize {
        let Some(limit) = &self.limit else {
            return most;
        };
        let even = usize::try_from(limit.bytes_per_s.get() / PIECES_A_SECOND).unwrap_or(most);
        (even / ALIGN * ALIGN).clamp(ALIGN, most.max(ALIGN))
    }

    /// Waits until `bytes` more may flow, or until the run is to stop.
    pub(crate) fn take(&self, bytes: u64) {
        let Some(limit) = &self.limit else {
            return;
        };
        let begin = limit.give(&mut lock_mutex(&limit.given_until), Instant::now(), bytes);
        while !self.stopper.is_stopped() {
            match begin.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => std::thread::sleep(left.min(LOOK_EVERY)),
                _ => return,
            }
        }
    }
}

impl Limit {
    /// Gives away the next stretch of time that `bytes` need; says when it begins.
    fn give(&self, given_until: &mut Option<Instant>, now: Instant, bytes: u64) -> Instant {
        let ns = u128::from(bytes) * NS_PER_S / u128::from(self.bytes_per_s.get());
        let needs = Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX));
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        let begin = given_until.map_or(now, |until| until.max(earliest));
        // A wait that no clock can hold is as good as for ever.
        *given_until = Some(begin.checked_add(needs).unwrap_or(begin));
        begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle(bytes_per_s: u64) -> Throttle {
        Throttle::new(NonZeroU64::new(bytes_per_s), Stopper::new())
    }

    fn limit(bytes_per_s: u64) -> Limit {
        throttle(bytes_per_s).limit.unwrap()
    }

    #[test]
    fn bytes_flow_evenly_at_the_limit() {
        let limit = limit(1000);
        let (start, mut until) = (Instant::now(), None);
        for nth in 0..50 {
            let begin = limit.give(&mut until, start, 100);
            assert_eq!(begin - start, Duration::from_millis(100 * nth));
        }
    }

    #[test]
    fn a_pause_is_not_made_up_for_but_a_late_wake_up_is() {
        let limit = limit(1000);
        let (start, mut until) = (Instant::now(), None);
        limit.give(&mut until, start, 100);
        // 50 ms late: the next one begins as if it had been in time.
        let late = start + Duration::from_millis(150);
        assert_eq!(limit.give(&mut until, late, 100) - start, SLACK);
        // An hour later: no more than the slack is made up for.
        let later = start + Duration::from_secs(3600);
        assert_eq!(limit.give(&mut until, later, 100), later - SLACK);
        assert_eq!(limit.give(&mut until, later, 100), later);
        let next = later + Duration::from_millis(100);
        assert_eq!(limit.give(&mut until, later, 100), next);
    }

    #[test]
    fn pieces_get_small_at_a_low_limit_and_stay_aligned() {
        let most = 256 << 10;
        assert_eq!(throttle(0).piece(most), most);
        assert_eq!(throttle(1 << 30).piece(most), most);
        assert_eq!(throttle(1 << 20).piece(most), 128 << 10);
        assert_eq!(throttle(1).piece(most), ALIGN);
        assert_eq!(throttle(100_000).piece(most) % ALIGN, 0);
    }

    #[test]
    fn without_a_limit_nothing_waits_and_a_stop_ends_any_wait() {
        throttle(0).take(u64::MAX);
        let slow = throttle(1);
        slow.take(1 << 40);
        slow.stopper.stop();
        slow.take(1 << 40);
    }
}
