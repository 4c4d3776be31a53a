//! The committer's turns: it takes what the other stages say, and waits when there is nothing to do.

use crossbeam_channel::{Select, TryRecvError};

use super::*;

impl<F: Fs> Committer<'_, F> {
    /// Takes messages until every stage above has ended.
    pub(in crate::copy) fn run(&mut self, messages: &Receiver<Vec<Message<F>>>) {
        // The rest of a batch waits as those behind it do, lest more is taken than a barrier may cover.
        let mut batch = Vec::new().into_iter();
        loop {
            self.pump();
            self.wait(messages, batch.len() > 0);
            self.hear_others();
            if !self.takes() {
                continue;
            }
            match batch.next() {
                Some(message) => self.take(message),
                None => match messages.try_recv() {
                    Ok(next) => batch = next.into_iter(),
                    Err(TryRecvError::Disconnected) => return,
                    Err(TryRecvError::Empty) => {}
                },
            }
        }
    }

    /// Whether messages may be taken now.
    fn takes(&self) -> bool {
        self.outbox.len() - self.outbox_published < OUTBOX_MAX && !self.is_held_up()
    }

    /// Waits until there is something to do; a barrier is begun when it is due. `more`: there are
    /// messages that are not taken yet.
    fn wait(&mut self, messages: &Receiver<Vec<Message<F>>>, more: bool) {
        loop {
            if self.barrier_is_due() {
                self.start_barrier();
            }
            if self.takes() && (more || !messages.is_empty()) {
                return;
            }
            let mut select = Select::new();
            if !self.has_failed() {
                select.recv(self.shared.panics.heard());
            }
            if self.barrier.is_none() {
                select.recv(self.shared.board.wake());
            } else if self.is_flushing() {
                select.recv(&self.flushed);
            } else if self.naming > 0 {
                select.recv(&self.namers.1);
            }
            if let Some(reading) = self.reading.as_ref().filter(|reading| reading.busy > 0) {
                select.recv(&reading.answers);
            }
            if self.takes() {
                select.recv(messages);
            }
            if !self.outbox.is_empty() {
                select.send(&self.events);
            }
            match self.due_in() {
                // Nothing came: what is due is looked at again.
                Some(wait) => {
                    if select.ready_timeout(wait).is_ok() {
                        return;
                    }
                }
                None => {
                    select.ready();
                    return;
                }
            }
        }
    }

    /// What comes next from another thread. `None`: it will not come, because a thread ended before its
    /// time; the run has failed then.
    pub(super) fn hear<T>(&mut self, from: &Receiver<T>) -> Option<T> {
        let said = crossbeam_channel::select! {
            recv(from) -> said => said.ok(),
            recv(self.shared.panics.heard()) -> text => {
                self.panicked(text.unwrap_or_default());
                None
            }
        };
        if said.is_none() && !self.has_failed() {
            self.panicked("a thread ended before its time".into());
        }
        said
    }

    /// Ends the run, because one of its threads panicked. What that had in hand never comes back.
    fn panicked(&mut self, text: String) {
        self.fail(self.shared.panic_error(text));
        self.naming = 0;
        self.barrier = None;
        self.reading = None;
    }

    /// Takes what the flusher, the namers, the reader and the consumer have to say, if anything.
    fn hear_others(&mut self) {
        if let Ok(text) = self.shared.panics.heard().try_recv() {
            self.panicked(text);
        }
        while self.naming > 0
            && let Ok(batch) = self.namers.1.try_recv()
        {
            self.named(batch);
        }
        if self.is_flushing()
            && let Ok(result) = self.flushed.try_recv()
        {
            self.barrier_flushed(result);
        }
        if self.barrier.is_none() {
            // The wish itself is on the board.
            let _ = self.shared.board.wake().try_recv();
        }
        while let Some(reading) = &self.reading
            && reading.busy > 0
            && let Ok(answer) = reading.answers.try_recv()
        {
            self.read_back_answered(answer);
        }
    }
}
