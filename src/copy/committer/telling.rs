//! What the consumer is told: events, which wait here until there is room for them.

use crossbeam_channel::TrySendError;

use super::*;

/// With this many events waiting for the consumer, the copying waits too.
pub(super) const OUTBOX_MAX: usize = 256;

impl<F: Fs> Committer<'_, F> {
    /// Says what the run does from here on.
    pub(in crate::copy) fn enter(&mut self, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            self.shared.board.phase(phase);
            self.emit(Event::Phase(phase));
        }
    }

    /// Where the content stands, as it is told.
    pub(super) fn shown_progress(&mut self) -> Progress {
        let (shown, now) = (&mut self.shown, &self.progress);
        shown.bytes_written = shown.bytes_written.max(now.bytes_written);
        shown.bytes_durable = shown.bytes_durable.max(now.bytes_durable);
        shown.bytes_before = shown.bytes_before.max(now.bytes_before);
        *shown
    }

    /// Tells where the content stands.
    pub(super) fn tell_progress(&mut self) {
        let shown = self.shown_progress();
        self.shared.board.progress(shown);
        self.emit(Event::Progress(shown));
    }

    /// Tells what became of an entry, if that is to be heard.
    pub(in crate::copy) fn tell_entry(&mut self, path: RelPath, outcome: Outcome) {
        if outcome != Outcome::Unchanged || self.shared.options.tell_unchanged {
            self.emit(Event::Entry { path, outcome });
        }
    }

    /// Queues an event; sent as soon as the consumer has room for it.
    pub(in crate::copy) fn emit(&mut self, event: Event) {
        if !self.consumer_gone {
            self.outbox.push(event);
        }
    }

    /// Sends the queued events if there is room for them.
    pub(super) fn pump(&mut self) {
        if self.outbox.is_empty() {
            return;
        }
        match self.events.try_send(std::mem::take(&mut self.outbox)) {
            Ok(()) => self.outbox_published = 0,
            Err(TrySendError::Full(events)) => self.outbox = events,
            Err(TrySendError::Disconnected(_)) => {
                self.consumer_gone = true;
                self.outbox_published = 0;
            }
        }
    }

    /// Sends all queued events, waiting for the consumer.
    pub(in crate::copy) fn pump_all(&mut self) {
        let events = std::mem::take(&mut self.outbox);
        self.outbox_published = 0;
        if !events.is_empty() && self.events.send(events).is_err() {
            self.consumer_gone = true;
        }
    }
}
