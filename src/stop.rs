//! Asking a run to stop, from another thread or a signal's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a thread that waits looks whether the run is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Waits, unless the run is to stop. `false`: it is.
pub(crate) fn pause(wait: Duration, should_stop: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if should_stop() {
            return false;
        }
        match wait.checked_sub(began.elapsed()) {
            Some(left) if !left.is_zero() => std::thread::sleep(left.min(LOOK_EVERY)),
            _ => return true,
        }
    }
}

/// Stops the run it was taken from. Clones stop the same run.
#[derive(Debug, Clone)]
pub struct Stopper(Arc<AtomicBool>);

impl Stopper {
    pub(crate) fn new() -> Stopper {
        Stopper(Arc::new(AtomicBool::new(false)))
    }

    /// Asks the run to stop and returns at once. The run ends in good order, a moment later; one
    /// that has ended is not changed.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_stops_the_same_run() {
        let stopper = Stopper::new();
        let clone = stopper.clone();
        assert!(!stopper.is_stopped());
        clone.stop();
        assert!(stopper.is_stopped());
    }
}
