//! Trying again what may work the next time, a little later each time.
//!
//! Only calls that change no content are made again: reading a source, and a few about names at
//! the destination. What failed to be written or flushed there is left to the next run's recovery.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Shared;
use super::batch::BatchSender;
use super::classify::{Doing, meaning};
use super::message::Message;
use crate::error::Reason;
use crate::event::Retry;
use crate::fs::Fs;
use crate::fs::source::{SourceEntry, SourceFile};
use crate::path::RelPath;
use crate::stop;

/// The wait before the first try again; each further one is twice as long.
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
/// No wait is longer.
const BACKOFF_MAX: Duration = Duration::from_secs(15);

/// The wait before try `nth`, from 1.
fn backoff(nth: u32) -> Duration {
    let doublings = nth.saturating_sub(1).min(16);
    BACKOFF_MAX.min(BACKOFF_FIRST * (1 << doublings))
}

/// Who tries: what it works on, and where it tells of it.
pub(super) struct Trier<'a, F: Fs> {
    pub(super) shared: &'a Shared<F>,
    pub(super) messages: &'a BatchSender<Message<F>>,
}

impl<F: Fs> Trier<'_, F> {
    /// Makes a call in a source, again if it is worth it. The last error is given back, also when
    /// the run is asked to stop meanwhile.
    pub(super) fn read<T>(
        &self,
        path: &Path,
        mut call: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        let shown = || path.to_path_buf();
        self.again(Doing::Read, &shown, &mut call, |error| {
            self.shared.source_is_gone(path, error)
        })
    }

    /// Makes a call about a name at the destination, again if it is worth it.
    pub(super) fn name<T>(
        &self,
        path: &RelPath,
        mut call: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        let fs = &*self.shared.fs;
        let shown = || self.shared.full(path);
        self.again(Doing::Name, &shown, &mut call, |_| fs.device_gone())
    }

    fn again<T>(
        &self,
        doing: Doing,
        path: &dyn Fn() -> PathBuf,
        call: &mut dyn FnMut() -> io::Result<T>,
        gone: impl Fn(&io::Error) -> bool,
    ) -> io::Result<T> {
        let of = self.shared.options.retries;
        let mut attempt = 0;
        loop {
            let error = match call() {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let hopeless = !meaning(doing, &error).is_worth_a_try();
            if hopeless || attempt >= of || gone(&error) {
                return Err(error);
            }
            attempt += 1;
            let wait = backoff(attempt);
            let retry = Retry {
                path: path(),
                reason: Reason(&error).to_string(),
                attempt,
                of,
                wait,
            };
            let told = self.messages.send(Message::Retry(retry)).is_ok();
            if !told || !self.shared.pause(wait) {
                return Err(error);
            }
        }
    }
}

impl<F: Fs> Shared<F> {
    /// Waits. `false`: the run is to stop.
    pub(super) fn pause(&self, wait: Duration) -> bool {
        stop::pause(wait, || self.should_stop())
    }

    /// Opens a file of a source, from the handle of that source on.
    pub(super) fn open_source(&self, path: &Path) -> io::Result<SourceFile> {
        match self.sources.iter().find(|source| source.holds(path)) {
            Some(source) => source.open_file(path),
            None => SourceFile::open(path),
        }
    }

    /// An entry of a source, from the handle of that source on.
    pub(super) fn source_entry(&self, path: &Path) -> io::Result<SourceEntry> {
        match self.sources.iter().find(|source| source.holds(path)) {
            Some(source) => source.entry(path),
            None => Ok(SourceEntry::given(path)),
        }
    }

    /// Whether an error in a source came of its device being gone.
    pub(super) fn source_is_gone(&self, path: &Path, error: &io::Error) -> bool {
        let mut roots = self.sources.iter().filter(|root| root.holds(path));
        roots.any(|root| root.is_gone(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_cap_and_never_overflows() {
        let waits: Vec<u128> = (1..=8).map(|nth| backoff(nth).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
        assert_eq!(backoff(u32::MAX), BACKOFF_MAX);
    }
}
