//! How many large files are read at a time. Small ones are read many at a time, since nearly all of
//! their time is waiting for the device; of large ones a drive gives most when few are read in order.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::event::Concurrency;
use crate::lock_mutex;

pub(crate) struct Streams {
    free: Mutex<usize>,
    given_back: Condvar,
}

/// The right to read one file.
pub(crate) struct Stream<'a>(Option<&'a Streams>);

impl Streams {
    /// So many large files at a time.
    pub(crate) fn new(streams: usize) -> Streams {
        Streams {
            free: Mutex::new(streams),
            given_back: Condvar::new(),
        }
    }

    /// Waits until a file of this size may be read.
    pub(crate) fn take(&self, bytes: u64) -> Stream<'_> {
        if bytes < Concurrency::LARGE_BYTES {
            return Stream(None);
        }
        let free = lock_mutex(&self.free);
        let free = self.given_back.wait_while(free, |free| *free == 0);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
        Stream(Some(self))
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        if let Some(streams) = self.0 {
            *lock_mutex(&streams.free) += 1;
            streams.given_back.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE_BYTES: u64 = Concurrency::LARGE_BYTES;

    #[test]
    fn of_large_files_only_so_many_are_read_at_a_time_and_small_ones_never_wait() {
        let streams = Streams::new(1);
        let large = streams.take(LARGE_BYTES);
        drop(streams.take(LARGE_BYTES - 1));
        std::thread::scope(|scope| {
            let second = scope.spawn(|| drop(streams.take(LARGE_BYTES)));
            assert!(!second.is_finished());
            drop(large);
        });
        assert_eq!(*lock_mutex(&streams.free), 1);
    }
}
