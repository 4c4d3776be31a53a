//! Signals. Ctrl-C, SIGTERM and SIGHUP: the first asks for a graceful end, a second ends at once.
//! SIGUSR1 asks for a checkpoint and a status line, Ctrl-Z stops the process for a while.
//!
//! Ending at once is safe: whatever is on the destination then is what a crash could have left.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGUSR1, SIGXFSZ};
use signal_hook::{flag, low_level};
use sprag::exit::Exit;

/// How often the flag that the signal handlers set is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Survives a limit of file sizes (`ulimit -f`): the write that goes beyond it fails (EFBIG), as it does
/// at any other limit, where the signal would end the process without a word.
pub(crate) fn survive_size_limit() {
    // A handler that does nothing but be there. It fails only for signals that do not exist.
    let _ = flag::register(SIGXFSZ, Arc::default());
}

/// How long a run that is still being opened may take to hand over its stop. Opening reads the whole manifest,
/// and a hostile one can make that long.
const OPEN_WITHIN: Duration = Duration::from_millis(100);

/// Stops a run; does nothing to one that is over.
type Stop = Box<dyn FnOnce() + Send>;

/// Watches for signals until it is dropped.
pub(crate) struct Signals {
    over: Arc<AtomicBool>,
    caught: Arc<AtomicBool>,
    status: Arc<AtomicBool>,
    suspend: Arc<AtomicBool>,
    stop: Option<mpsc::Sender<Stop>>,
    watcher: Option<JoinHandle<()>>,
}

impl Signals {
    /// Begins to watch. `say` is called at the first signal to end, once; after it a further one
    /// ends the process at once, and so does the first if no run has handed over its stop soon after.
    pub(crate) fn watch(say: impl FnOnce() + Send + 'static) -> io::Result<Signals> {
        let caught = Arc::new(AtomicBool::new(false));
        let said = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            if signal == SIGHUP && is_ignored(signal) {
                continue; // Started by nohup: it is meant to outlive its terminal.
            }
            flag::register_conditional_shutdown(
                signal,
                i32::from(Exit::Stopped.code()),
                Arc::clone(&said),
            )?;
            flag::register(signal, Arc::clone(&caught))?;
        }
        let (status, suspend) = (Arc::default(), Arc::default());
        flag::register(SIGUSR1, Arc::clone(&status))?;
        if !is_ignored(SIGTSTP) {
            flag::register(SIGTSTP, Arc::clone(&suspend))?;
        }
        let over = Arc::new(AtomicBool::new(false));
        let (stop, stops) = mpsc::channel::<Stop>();
        let watcher = thread::Builder::new().name("signals".into()).spawn({
            let (over, caught) = (Arc::clone(&over), Arc::clone(&caught));
            move || {
                while !caught.load(Ordering::SeqCst) {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    thread::park_timeout(POLL_INTERVAL);
                }
                say();
                said.store(true, Ordering::SeqCst);
                match stops.recv_timeout(OPEN_WITHIN) {
                    Ok(stop) => stop(),
                    // Nothing has begun that would have to be ended: this is the further signal.
                    Err(RecvTimeoutError::Timeout) => drop(low_level::raise(SIGINT)),
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                // A run that follows another hands over its stop, too.
                stops.iter().for_each(|stop| stop());
            }
        })?;
        Ok(Signals {
            over,
            caught,
            status,
            suspend,
            stop: Some(stop),
            watcher: Some(watcher),
        })
    }

    /// Whether the process was asked to end.
    pub(crate) fn is_caught(&self) -> bool {
        self.caught.load(Ordering::SeqCst)
    }

    /// Whether SIGUSR1 came since this was last called.
    pub(crate) fn take_status(&self) -> bool {
        self.status.swap(false, Ordering::SeqCst)
    }

    /// Whether Ctrl-Z was pressed since this was last called.
    pub(crate) fn take_suspend(&self) -> bool {
        self.suspend.swap(false, Ordering::SeqCst)
    }

    /// Stops the process as Ctrl-Z does; returns when it is continued.
    pub(crate) fn suspend(&self) {
        // It fails only for signals that do not exist.
        let _ = low_level::emulate_default_handler(SIGTSTP);
    }

    /// What the first signal does, too, even if it came before this call.
    pub(crate) fn stop_with(&self, stop: impl FnOnce() + Send + 'static) {
        if let Some(sender) = &self.stop {
            // It fails only when the watcher is gone, and then no stop is wanted.
            let _ = sender.send(Box::new(stop));
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.stop = None;
        if let Some(watcher) = self.watcher.take() {
            watcher.thread().unpark();
            // It can only have panicked, which has been reported by then.
            let _ = watcher.join();
        }
    }
}

/// Whether this process was started with `signal` ignored. Unknown counts as no.
fn is_ignored(signal: i32) -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| mask_ignores(&status, signal))
}

fn mask_ignores(status: &str, signal: i32) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = "Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n";
        assert!(mask_ignores(status, SIGHUP));
        assert!(!mask_ignores(status, SIGINT));
        assert!(!mask_ignores("", SIGHUP));
        assert!(!mask_ignores("SigIgn:\tnonsense", SIGHUP));
    }

    #[test]
    fn a_watch_without_a_signal_ends_with_its_owner() {
        let signals = Signals::watch(|| panic!("there was no signal")).unwrap();
        signals.stop_with(|| panic!("there was no signal"));
        drop(signals);
    }
}
