//! The person at the desk: keys and signals while a run is pulled.
//!
//! `p` stops the pulling, which pauses the run: it makes durable what is written and waits. `q`
//! asks it to stop, as Ctrl-C does. Ctrl-Z gives the terminal back before it stops the process.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use sprag::error::Error;
use sprag::event::{CopySummary, Event, Pull, Standing, VerifyEvent, VerifySummary};
use sprag::{CopyRun, Stopper, VerifyRun};

use super::frame::Mood;
use super::keys::{Key, Keys};
use super::screen::{Screen, Show};
use super::signals::Signals;

/// How often keys and signals are looked at, and progress is shown.
const TICK: Duration = Duration::from_millis(100);

/// What can be pulled.
pub(crate) trait Run {
    type Event;
    /// What it comes to.
    type Summary;

    /// What to say if it is over and never said how.
    const ENDED_WITHOUT_A_WORD: &str;

    /// Takes the last event apart; any other goes on.
    fn ended(event: Self::Event) -> ControlFlow<(Self::Summary, Option<Error>), Self::Event>;

    /// The next event, if there is one within `wait`.
    fn pull(&mut self, wait: Duration) -> Pull<Self::Event>;

    /// Handles to stop it.
    fn stopper(&self) -> Stopper;
}

impl Run for CopyRun {
    type Event = Event;
    type Summary = CopySummary;

    const ENDED_WITHOUT_A_WORD: &str =
        "the run ended without saying how; rerun the same command to go on";

    fn ended(event: Event) -> ControlFlow<(CopySummary, Option<Error>), Event> {
        match event {
            Event::Finished { summary, error } => ControlFlow::Break((*summary, error)),
            event => ControlFlow::Continue(event),
        }
    }

    fn pull(&mut self, wait: Duration) -> Pull<Event> {
        self.next_within(wait)
    }

    fn stopper(&self) -> Stopper {
        CopyRun::stopper(self)
    }
}

impl Run for VerifyRun {
    type Event = VerifyEvent;
    type Summary = VerifySummary;

    const ENDED_WITHOUT_A_WORD: &str = "the verification ended without saying how; run it again";

    fn ended(event: VerifyEvent) -> ControlFlow<(VerifySummary, Option<Error>), VerifyEvent> {
        match event {
            VerifyEvent::Finished { summary, error } => ControlFlow::Break((*summary, error)),
            event => ControlFlow::Continue(event),
        }
    }

    fn pull(&mut self, wait: Duration) -> Pull<VerifyEvent> {
        self.next_within(wait)
    }

    fn stopper(&self) -> Stopper {
        VerifyRun::stopper(self)
    }
}

/// What there is to do next.
pub(crate) enum Next<E> {
    /// Something happened.
    Event(E),
    /// Time to show how things stand.
    Tick,
    /// Nothing will happen any more.
    Over,
}

/// Listens while a run is pulled. The terminal is restored when this is dropped.
pub(crate) struct Desk {
    signals: Signals,
    keys: Keys,
    screen: Screen,
    /// What is said when the run is asked to stop.
    stopping: Arc<Mutex<&'static str>>,
    stopper: Option<Stopper>,
    paused: bool,
    quit: bool,
    status_asked: bool,
    /// How long the process was stopped since this was last asked.
    suspended: Duration,
    /// When keys and signals were last looked at.
    ticked: Option<Instant>,
}

impl Desk {
    /// Listens from now on. `stopping` is said when the run is asked to stop.
    pub(crate) fn new(screen: Screen, show: Show, stopping: &'static str) -> anyhow::Result<Desk> {
        let keys = Keys::new(show == Show::Bar);
        let stopping = Arc::new(Mutex::new(stopping));
        let signals = Signals::watch({
            let (keys, screen, stopping) = (keys.clone(), screen.clone(), Arc::clone(&stopping));
            move || {
                // A second signal ends the process at once; the terminal must be whole by then.
                keys.leave();
                screen.complain(&text_of(&stopping));
            }
        });
        Ok(Desk {
            signals: signals.context("cannot watch for signals")?,
            keys,
            screen,
            stopping,
            stopper: None,
            paused: false,
            quit: false,
            status_asked: false,
            suspended: Duration::ZERO,
            ticked: None,
        })
    }

    /// Goes on listening, for another run after the first: no signal is lost between the two.
    pub(crate) fn goes_on(&mut self, stopping: &'static str) {
        *text_of(&self.stopping) = stopping;
        self.stopper = None;
    }

    /// Says which run signals and keys are to stop.
    pub(crate) fn serve(&mut self, run: &impl Run) {
        let stopper = run.stopper();
        self.stopper = Some(stopper.clone());
        self.signals.stop_with(move || stopper.stop());
    }

    /// What was asked for so far.
    pub(crate) fn mood(&self) -> Mood {
        Mood {
            paused: self.paused,
            stopping: self.is_stopping(),
            keys: self.keys.refresh(),
        }
    }

    fn is_stopping(&self) -> bool {
        self.quit || self.signals.is_caught()
    }

    /// Whether a status line was asked for since this was last called.
    pub(crate) fn take_status_asked(&mut self) -> bool {
        std::mem::take(&mut self.status_asked)
    }

    /// How long the process was stopped since this was last called.
    pub(crate) fn take_suspended(&mut self) -> Duration {
        std::mem::take(&mut self.suspended)
    }

    /// The next event, or that it is time to show something: at least every tenth of a second.
    pub(crate) fn next<R: Run>(&mut self, run: &mut R) -> Next<R::Event> {
        // A run that is to stop has to be pulled to its end.
        let paused = self.paused && !self.is_stopping();
        if paused || self.ticked.is_none_or(|ticked| ticked.elapsed() >= TICK) {
            self.listen(if paused { TICK } else { Duration::ZERO });
            self.ticked = Some(Instant::now());
            return Next::Tick;
        }
        match run.pull(TICK) {
            Pull::Event(event) => Next::Event(event),
            Pull::Late => Next::Tick,
            Pull::Over => Next::Over,
        }
    }

    fn listen(&mut self, wait: Duration) {
        match self.keys.pressed(wait) {
            Some(Key::Pause) => self.paused = !self.paused,
            Some(Key::Quit) if !self.is_stopping() => {
                self.quit = true;
                self.screen.complain(&text_of(&self.stopping));
                if let Some(stopper) = &self.stopper {
                    stopper.stop();
                }
            }
            _ => {}
        }
        self.status_asked |= self.signals.take_status();
        if self.signals.take_suspend() {
            self.screen.clear();
            self.keys.rest();
            let since = Instant::now();
            self.signals.suspend();
            // Here it goes on, hours later perhaps; the next tick takes up the keys again.
            self.suspended += since.elapsed();
        }
    }
}

/// Makes barriers until a paused run is durable, makes one when a status line is asked for, and says when it is time to
/// print that line.
#[derive(Default)]
pub(crate) struct StatusWish {
    waits: bool,
}

impl StatusWish {
    /// Whether the line is due: what was written when it was asked for is durable now.
    pub(crate) fn is_due(&mut self, desk: &mut Desk, run: &CopyRun, standing: &Standing) -> bool {
        let at = standing.progress;
        let busy = standing.flush.is_some() || standing.checkpoint_asked;
        if desk.paused && !busy && at.bytes_written > at.bytes_durable {
            // Whoever pauses may be about to close the lid.
            run.checkpoint();
        }
        if desk.take_status_asked() {
            run.checkpoint();
            self.waits = true;
            return false;
        }
        let due = self.waits && !standing.checkpoint_asked;
        self.waits &= !due;
        due
    }
}

fn text_of<'a>(stopping: &'a Mutex<&'static str>) -> MutexGuard<'a, &'static str> {
    stopping.lock().unwrap_or_else(PoisonError::into_inner)
}
