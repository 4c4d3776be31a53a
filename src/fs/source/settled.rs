//! When a file may be read so that every later change of it shows in its times.
//!
//! A file system keeps times in ticks: 2 s on FAT; 1 s on HFS+, on ext3 and on ext4 with 128-byte
//! inodes; the tick of the kernel's own clock, a few milliseconds, on most others. A second write
//! within the tick of the first one leaves the times as they were. So whoever relies on the times of a
//! source (to publish a copy, to resume a partial, to remove the source) begins to read only when the
//! ticks of its last change are over. After that, a change shows in the change time, which no program
//! can set, and in the modification time, which the next run compares.
//!
//! The tick is not looked up. It is measured by the times that the file shows, which needs no system
//! call. Only a file that was changed a moment ago has to be waited for.
//!
//! Not guaranteed: a change is missed where another machine keeps the times and its clock is behind
//! this one's, where a tick is longer than 2 s, and where a program writes through mapped memory,
//! since the times of its file change later than the content.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::SourceFile;
use crate::fs::{FsKind, Stat, sys};

const NS_PER_S: i128 = 1_000_000_000;
const NS_PER_MS: i128 = 1_000_000;
/// Ticks that are told by the times themselves, the longest first: a clock with such a tick shows
/// only multiples of it.
const TICKS_NS: [i128; 3] = [2 * NS_PER_S, NS_PER_S, 100 * NS_PER_MS];
/// The longest tick of the kernel's own clock, from which it takes the times of files. No file has a
/// shorter tick, and its times may be this much behind the clock that is read here.
const KERNEL_TICK_NS: i128 = 10 * NS_PER_MS;
/// How long one file is waited for at most.
const WAIT_MAX: Duration = Duration::from_secs(4);

/// A source file just before it is read.
#[derive(Debug, Clone, Copy)]
pub struct Settled {
    /// What `fstat` said.
    pub stat: Stat,
    /// A change during or after the reading may not show in the times.
    pub unsettled: bool,
}

impl SourceFile {
    /// Waits until any later change shows in the file's times. `stat` is what `fstat` said last.
    /// `pause` waits, and returns `false` if the run is to stop.
    pub fn settle(&self, stat: Stat, pause: impl FnMut(Duration) -> bool) -> io::Result<Settled> {
        let settled = settle(stat, now_ns, pause, || self.stat())?;
        let Settled { stat, unsettled } = settled;
        // A change made by this kernel gets the time of this clock, and not one that is still to come.
        let is_ahead = stat.ctime_ns > now_ns();
        let unsettled = unsettled && !(is_ahead && self.has_our_clock());
        Ok(Settled { stat, unsettled })
    }

    /// Whether its times come from this machine's clock.
    fn has_our_clock(&self) -> bool {
        sys::about(&self.file).is_ok_and(|about| {
            matches!(
                about.kind,
                FsKind::Ext
                    | FsKind::Xfs
                    | FsKind::Tmpfs
                    | FsKind::Compressing
                    | FsKind::Fat
                    | FsKind::ExFat
                    | FsKind::Ntfs
            )
        })
    }
}

fn settle(
    mut stat: Stat,
    now_ns: impl Fn() -> i128,
    mut pause: impl FnMut(Duration) -> bool,
    look: impl Fn() -> io::Result<Stat>,
) -> io::Result<Settled> {
    let mut waited = Duration::ZERO;
    loop {
        let left = left(&stat, now_ns());
        if left.is_zero() {
            let unsettled = false;
            return Ok(Settled { stat, unsettled });
        }
        waited = waited.saturating_add(left);
        if waited > WAIT_MAX || !pause(left) {
            let unsettled = true;
            return Ok(Settled { stat, unsettled });
        }
        stat = look()?;
    }
}

/// How long it takes until the ticks of both the modification time and the change time are over.
fn left(stat: &Stat, now_ns: i128) -> Duration {
    let of = |time_ns| {
        let over_ns = time_ns + tick_ns(time_ns) + KERNEL_TICK_NS;
        let left_ns = u64::try_from((over_ns - now_ns).max(0));
        Duration::from_nanos(left_ns.unwrap_or(u64::MAX))
    };
    let modified = of(stat.mtime_ns);
    let changed = of(stat.ctime_ns);
    if modified > WAIT_MAX {
        // A program set it to a time that is still to come: no change gives it before.
        changed
    } else {
        changed.max(modified)
    }
}

/// The longest tick of a clock that can show a time.
fn tick_ns(time_ns: i128) -> i128 {
    let divides = |tick: &i128| time_ns % tick == 0;
    let coarse = TICKS_NS.into_iter().find(divides);
    coarse.unwrap_or(KERNEL_TICK_NS)
}

fn now_ns() -> i128 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const NOW_NS: i128 = 1_700_000_001 * NS_PER_S + 234_567_891;

    fn stat(mtime_ns: i128, ctime_ns: i128) -> Stat {
        Stat {
            mtime_ns,
            ctime_ns,
            ..Stat::default()
        }
    }

    fn ms(duration: Duration) -> u128 {
        duration.as_millis()
    }

    #[test]
    fn a_tick_is_the_longest_that_a_time_can_be_of() {
        for (time_ns, tick) in [
            (1_700_000_002 * NS_PER_S, 2 * NS_PER_S),
            (1_700_000_001 * NS_PER_S, NS_PER_S),
            (1_700_000_001 * NS_PER_S + 300 * NS_PER_MS, 100 * NS_PER_MS),
            (1_700_000_001 * NS_PER_S + 340 * NS_PER_MS, KERNEL_TICK_NS),
            (NOW_NS, KERNEL_TICK_NS),
            (0, 2 * NS_PER_S),
            (-NS_PER_S, NS_PER_S),
        ] {
            assert_eq!(tick_ns(time_ns), tick, "{time_ns}");
        }
    }

    #[test]
    fn a_file_settles_when_the_ticks_of_both_its_times_are_over() {
        let old = NOW_NS - 60 * NS_PER_S;
        assert!(left(&stat(old, old), NOW_NS).is_zero());
        let second = NOW_NS - NOW_NS % NS_PER_S;
        // 234 ms of that second are over; it has 1000, and the kernel's clock may be 10 ms late.
        for (mtime_ns, ctime_ns) in [(second, second), (old, second), (second, old)] {
            assert_eq!(ms(left(&stat(mtime_ns, ctime_ns), NOW_NS)), 775);
        }
        let fine = NOW_NS - 5 * NS_PER_MS;
        assert_eq!(ms(left(&stat(fine, fine), NOW_NS)), 15);
    }

    #[test]
    fn a_modification_time_that_somebody_set_far_ahead_is_not_waited_for() {
        let (old, ahead) = (NOW_NS - 60 * NS_PER_S, NOW_NS + 3600 * NS_PER_S);
        assert!(left(&stat(ahead, old), NOW_NS).is_zero());
        assert!(left(&stat(old, ahead), NOW_NS) > WAIT_MAX);
        assert!(left(&stat(i128::from(i64::MAX), i128::from(i64::MAX)), NOW_NS) > WAIT_MAX);
    }

    /// Settles a file that is changed `changes` times while it is waited for. Gives what came of
    /// it, and how long was waited.
    fn settle_on(tick_ns: i128, changes: u32) -> (Settled, Duration) {
        let (now, left) = (Cell::new(NOW_NS), Cell::new(changes));
        let time = |now_ns: i128| now_ns - now_ns % tick_ns;
        let last = Cell::new(time(NOW_NS));
        let pause = |wait: Duration| {
            now.set(now.get() + wait.as_nanos() as i128);
            if left.get() > 0 {
                left.set(left.get() - 1);
                last.set(time(now.get()));
            }
            true
        };
        let look = || Ok(stat(last.get(), last.get()));
        let settled = settle(look().unwrap(), || now.get(), pause, look).unwrap();
        let waited = (now.get() - NOW_NS) as u64;
        (settled, Duration::from_nanos(waited))
    }

    #[test]
    fn what_is_changed_while_it_is_waited_for_is_waited_for_again_and_looked_at_anew() {
        for tick_ns in [1, NS_PER_S] {
            let (settled, _) = settle_on(tick_ns, 1);
            assert!(!settled.unsettled);
            assert!(settled.stat.mtime_ns > NOW_NS, "{tick_ns}");
        }
    }

    #[test]
    fn no_file_is_waited_for_for_ever() {
        let (settled, waited) = settle_on(NS_PER_S, u32::MAX);
        assert!(settled.unsettled && waited <= WAIT_MAX, "{waited:?}");
        let ahead = stat(NOW_NS, NOW_NS + 3600 * NS_PER_S);
        let settled = settle(ahead, || NOW_NS, |_| panic!(), || panic!()).unwrap();
        assert!(settled.unsettled);
    }

    #[test]
    fn a_run_that_is_to_stop_waits_no_longer() {
        let fresh = stat(NOW_NS, NOW_NS);
        let settled = settle(fresh, || NOW_NS, |_| false, || panic!()).unwrap();
        assert!(settled.unsettled);
    }

    #[test]
    fn a_file_of_this_machine_is_read_once_its_last_change_is_over() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("f");
        std::fs::write(&path, "x").unwrap();
        let file = SourceFile::open(&path).unwrap();
        let pause = |wait| {
            std::thread::sleep(wait);
            true
        };
        let settled = file.settle(*file.opened(), pause).unwrap();
        assert!(!settled.unsettled && left(&settled.stat, now_ns()).is_zero());
        // Now a change shows, however soon it comes.
        std::fs::write(&path, "y").unwrap();
        let after = file.stat().unwrap();
        assert!(after.ctime_ns > settled.stat.ctime_ns && after.mtime_ns > settled.stat.mtime_ns);
        assert!(!left(&after, now_ns()).is_zero());
    }
}
