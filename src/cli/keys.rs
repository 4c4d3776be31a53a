//! Single keys from the terminal, without Enter; and the terminal as it was, whatever happens.
//!
//! Only reading by line and echo are switched off. Ctrl-C, Ctrl-Z and Ctrl-\ stay signals. Nothing
//! is switched while another job has the terminal: that would stop this one.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// Pause, or go on.
    Pause,
    /// Save and leave.
    Quit,
}

/// Whether another job has the terminal `fd`.
pub(crate) fn is_background(fd: impl AsFd) -> bool {
    tcgetpgrp(fd).is_ok_and(|group| group != rustix::process::getpgrp())
}

/// Whether `fd` is the terminal that controls this process, and this job has it.
fn is_foreground(fd: impl AsFd) -> bool {
    tcgetpgrp(fd).is_ok_and(|group| group == rustix::process::getpgrp())
}

/// The keyboard. Clones are the same one; the terminal is restored when the last is dropped.
#[derive(Clone)]
pub(crate) struct Keys {
    /// Whether keys are wanted at all.
    wanted: bool,
    keyboard: Arc<Keyboard>,
}

#[derive(Default)]
struct Keyboard {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The terminal's modes before they were changed, while they are.
    before: Option<Termios>,
    /// Not to be taken up any more.
    over: bool,
}

impl Keys {
    /// A keyboard that is not yet listened to.
    pub(crate) fn new(wanted: bool) -> Keys {
        Keys {
            wanted,
            keyboard: Arc::default(),
        }
    }

    /// Listens if the terminal is ours, and does not if it is not. Whether it does.
    pub(crate) fn refresh(&self) -> bool {
        let mut state = self.keyboard.state();
        if !self.wanted || state.over {
            return false;
        }
        if !is_foreground(io::stdin()) {
            // The shell has set the modes that it wants; they are not ours to restore.
            state.before = None;
            return false;
        }
        if state.before.is_none() {
            state.before = listen().ok();
        }
        state.before.is_some()
    }

    /// The key pressed, waiting for one for `wait` at most. Of several the last one counts.
    pub(crate) fn pressed(&self, wait: Duration) -> Option<Key> {
        if !self.refresh() {
            std::thread::sleep(wait);
            return None;
        }
        let stdin = io::stdin();
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        let wait = Timespec::try_from(wait).ok()?;
        let ready = poll(&mut fds, Some(&wait)).unwrap_or(0);
        if ready == 0 || !is_foreground(&stdin) {
            return None;
        }
        let mut typed = [0; 64];
        let read = rustix::io::read(&stdin, &mut typed).unwrap_or(0);
        typed[..read].iter().rev().find_map(|byte| match byte {
            b'p' | b'P' | b' ' => Some(Key::Pause),
            b'q' | b'Q' => Some(Key::Quit),
            _ => None,
        })
    }

    /// Gives the terminal back as it was, until the next `refresh`.
    pub(crate) fn rest(&self) {
        self.keyboard.restore();
    }

    /// Gives the terminal back for good.
    pub(crate) fn leave(&self) {
        // First, or another thread could take it up again in between.
        self.keyboard.state().over = true;
        self.keyboard.restore();
    }
}

impl Keyboard {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn restore(&self) {
        let before = self.state().before.take();
        if let Some(before) = before
            && is_foreground(io::stdin())
        {
            // It was a terminal before; if it is gone there is nothing to restore.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Makes single keys readable; gives back how the terminal was.
fn listen() -> rustix::io::Result<Termios> {
    let before = tcgetattr(io::stdin())?;
    let mut modes = before.clone();
    modes.local_modes &= !(LocalModes::ICANON | LocalModes::ECHO);
    modes.special_codes[SpecialCodeIndex::VMIN] = 0;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    tcsetattr(io::stdin(), OptionalActions::Now, &modes)?;
    Ok(before)
}
