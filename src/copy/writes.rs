//! Notes at once that a write to a partial failed, for the thread that makes barriers.
//!
//! Where a server or a daemon is behind a file system, a failing write may tell of earlier writes to
//! that file, and the flush after it of none. The worker's message about it may come too late: the
//! barrier over that flush may stand by then.

use std::sync::{Arc, Mutex};

use crate::lock_mutex;

/// The writing calls to one partial. Clones share them. By default their failures are not noted.
#[derive(Debug, Clone, Default)]
pub(super) struct Writes(Option<Arc<Mutex<bool>>>);

impl Writes {
    /// Calls whose failures are noted: to a file that is flushed by itself.
    pub(super) fn watched() -> Writes {
        Writes(Some(Arc::default()))
    }

    /// Makes a call, and notes if it failed before anybody can ask.
    pub(super) fn make<T, E>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let Some(failed) = &self.0 else {
            return call();
        };
        let mut failed = lock_mutex(failed);
        let result = call();
        *failed |= result.is_err();
        result
    }

    /// Whether one failed; one that is under way is waited for.
    pub(super) fn failed(&self) -> bool {
        self.0.as_ref().is_some_and(|failed| *lock_mutex(failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_known_when_its_call_is_over_and_for_good() {
        let writes = Writes::watched();
        let (begun, has_begun) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let writer = writes.clone();
            scope.spawn(move || {
                writer.make(|| {
                    begun.send(()).unwrap();
                    std::thread::sleep(std::time::Duration::from_millis(20));
                    Err::<(), _>(())
                })
            });
            has_begun.recv().unwrap();
            assert!(writes.failed());
        });
        writes.make(|| Ok::<_, ()>(())).unwrap();
        assert!(writes.failed());
    }
}
