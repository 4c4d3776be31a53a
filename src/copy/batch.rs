//! Channels whose items travel in batches: waking a thread for each small file costs more than
//! what there is to tell it.
//!
//! What is *sent* goes at once, behind what is *held*: the order is kept. What is held goes when
//! there is enough of it, when it has waited a while and something is added, and in the end. Who
//! is about to wait for somebody flushes first.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

/// So many small things make a batch of what goes to one thread.
pub(super) const FOR_ONE: usize = 128;
/// So many make a batch of what several threads take or send: what one holds, no other has.
pub(super) const FOR_SEVERAL: usize = 32;
/// So many bytes to copy make a batch, for the same reason.
const BYTES_MAX: u64 = 1 << 20;
/// Nothing waits for longer than this while many more come.
const HELD_MAX: Duration = Duration::from_millis(50);
/// The clock is looked at once in so many items: that takes as long as to hand one on.
const CLOCK_EVERY: usize = 8;

/// The receivers are gone.
#[derive(Debug)]
pub(super) struct Gone;

pub(super) struct BatchSender<T> {
    to: Sender<Vec<T>>,
    items_max: usize,
    held: RefCell<Held<T>>,
}

struct Held<T> {
    items: Vec<T>,
    bytes: u64,
    since: Instant,
}

/// A channel of at most `batches` batches of at most `items_max`.
pub(super) fn channel<T>(batches: usize, items_max: usize) -> (BatchSender<T>, Receiver<Vec<T>>) {
    let (to, from) = crossbeam_channel::bounded(batches);
    (BatchSender::new(to, items_max), from)
}

impl<T> BatchSender<T> {
    fn new(to: Sender<Vec<T>>, items_max: usize) -> BatchSender<T> {
        let held = Held {
            items: Vec::new(),
            bytes: 0,
            since: Instant::now(),
        };
        BatchSender {
            to,
            items_max,
            held: RefCell::new(held),
        }
    }

    /// A sender into the same channel for one of several who send: smaller batches, since each holds one.
    pub(super) fn with_fewer(&self) -> BatchSender<T> {
        BatchSender::new(self.to.clone(), FOR_SEVERAL)
    }

    /// Sends at once, after what is held.
    pub(super) fn send(&self, item: T) -> Result<(), Gone> {
        self.held.borrow_mut().items.push(item);
        self.flush()
    }

    /// Sends with others, soon. `bytes` are copied for it, or were.
    pub(super) fn hold(&self, item: T, bytes: u64) -> Result<(), Gone> {
        let full = {
            let mut held = self.held.borrow_mut();
            if held.items.is_empty() {
                held.since = Instant::now();
            }
            held.items.push(item);
            held.bytes = held.bytes.saturating_add(bytes);
            held.items.len() >= self.items_max
                || held.bytes >= BYTES_MAX
                || (held.items.len().is_multiple_of(CLOCK_EVERY)
                    && held.since.elapsed() >= HELD_MAX)
        };
        match full {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// [`Self::hold`], but at once if the receivers have nothing else to do.
    pub(super) fn offer(&self, item: T, bytes: u64) -> Result<(), Gone> {
        self.hold(item, bytes)?;
        match self.to.is_empty() {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Sends what is held.
    pub(super) fn flush(&self) -> Result<(), Gone> {
        let items = {
            let mut held = self.held.borrow_mut();
            held.bytes = 0;
            match held.items.is_empty() {
                true => return Ok(()),
                // As many will come again.
                false => std::mem::replace(&mut held.items, Vec::with_capacity(self.items_max)),
            }
        };
        self.to.send(items).map_err(|_| Gone)
    }
}

impl<T> Clone for BatchSender<T> {
    /// A sender into the same channel, which holds nothing yet.
    fn clone(&self) -> BatchSender<T> {
        BatchSender::new(self.to.clone(), self.items_max)
    }
}

impl<T> Drop for BatchSender<T> {
    fn drop(&mut self) {
        // If nobody listens any more, nobody misses it.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_goes_at_once_behind_what_is_held() {
        let (to, from) = channel(4, FOR_SEVERAL);
        to.hold(1, 0).unwrap();
        assert!(from.is_empty());
        to.send(2).unwrap();
        assert_eq!(from.try_recv().unwrap(), [1, 2]);
    }

    #[test]
    fn what_is_held_goes_when_it_is_much_or_many_or_the_sender_ends() {
        let (to, from) = channel(4, FOR_SEVERAL);
        to.hold(0, BYTES_MAX).unwrap();
        assert_eq!(from.try_recv().unwrap(), [0]);
        for number in 0..FOR_SEVERAL {
            assert!(from.is_empty());
            to.hold(number, 1).unwrap();
        }
        assert_eq!(from.try_recv().unwrap().len(), FOR_SEVERAL);
        to.hold(7, 1).unwrap();
        drop(to);
        assert_eq!(from.iter().collect::<Vec<_>>(), [[7]]);
    }

    #[test]
    fn what_is_offered_goes_at_once_to_who_waits() {
        let (to, from) = channel(4, FOR_SEVERAL);
        to.offer(1, 0).unwrap();
        to.offer(2, 0).unwrap();
        assert_eq!(from.try_recv().unwrap(), [1]);
        to.flush().unwrap();
        assert_eq!(from.try_recv().unwrap(), [2]);
    }
}
