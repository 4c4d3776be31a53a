//! Waiting a moment for the system to notice that a device is gone.
//!
//! The first error after an unplug can come before the system has taken the device off its lists.
//! So whoever sees an error that a vanishing device causes looks again for a little while.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long after an I/O error the system may take to notice that a device was unplugged. Seen
/// with USB: well under a second.
const NOTICE_WITHIN: Duration = Duration::from_millis(1500);
const NOTICE_EVERY: Duration = Duration::from_millis(50);
/// Having waited for nothing, it is not waited again for this long: errors come in swarms.
const NOTICE_PAUSE: Duration = Duration::from_secs(30);

/// When it was last waited in vain.
#[derive(Debug, Default)]
pub(super) struct Notice(Mutex<Option<Instant>>);

impl Notice {
    /// Whether `gone` holds now or within a moment.
    pub(super) fn soon(&self, gone: impl Fn() -> bool) -> bool {
        // Held while waiting, so that threads with the same trouble wait together.
        let mut waited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let within = match *waited {
            Some(waited) if waited.elapsed() < NOTICE_PAUSE => Duration::ZERO,
            _ => NOTICE_WITHIN,
        };
        let began = Instant::now();
        loop {
            if gone() {
                return true;
            }
            if began.elapsed() >= within {
                if !within.is_zero() {
                    *waited = Some(Instant::now());
                }
                return false;
            }
            thread::sleep(NOTICE_EVERY);
        }
    }
}
