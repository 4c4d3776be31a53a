//! The threads of a run. Should one of them panic, the run hears of it and ends as a failure that says so:
//! nobody waits for what will never come, and nothing that thread had in hand counts as done.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, Scope};

use crossbeam_channel::{Receiver, Sender};

use super::Shared;
use crate::error::{Error, PathError};
use crate::fs::Fs;

/// Panics of the run's threads, as texts. The first one ends the run; more need not fit.
#[derive(Debug)]
pub(super) struct Panics {
    tell: Sender<String>,
    heard: Receiver<String>,
}

impl Panics {
    pub(super) fn new() -> Panics {
        let (tell, heard) = crossbeam_channel::bounded(1);
        Panics { tell, heard }
    }

    /// Where they are heard of.
    pub(super) fn heard(&self) -> &Receiver<String> {
        &self.heard
    }
}

impl<F: Fs> Shared<F> {
    /// Notes that a thread panicked: the run ends, and no barrier is made any more.
    pub(super) fn panicked(&self, thread: &str, payload: &(dyn Any + Send)) {
        self.latch.close();
        self.failed
            .store(true, std::sync::atomic::Ordering::Relaxed);
        let _ = self.panics.tell.try_send(text(thread, payload));
    }

    /// The error that a panic is told as.
    pub(super) fn panic_error(&self, text: String) -> Error {
        panic_error(&self.dest, text)
    }
}

/// The error that a panic during a run onto `dest` is told as.
pub(super) fn panic_error(dest: &std::path::Path, text: String) -> Error {
    Error::Io(PathError::new("go on with", dest, io::Error::other(text)))
}

/// What a panic is told as.
pub(super) fn text(thread: &str, payload: &(dyn Any + Send)) -> String {
    let said = match (
        payload.downcast_ref::<&str>(),
        payload.downcast_ref::<String>(),
    ) {
        (Some(said), _) => said,
        (_, Some(said)) => said.as_str(),
        _ => "no reason given",
    };
    format!("{thread} panicked, which is a fault of sprag: {said}")
}

/// Starts a thread of a run. If it panics, its channel `ends` are closed only after that is noted: then
/// a thread that finds a channel closed can tell why.
pub(super) fn spawn<'scope, 'env, F: Fs, T: Send + 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    shared: &'env Shared<F>,
    name: String,
    ends: T,
    body: impl FnOnce(&T) + Send + 'scope,
) -> io::Result<()> {
    let builder = Builder::new().name(name.clone());
    let spawned = builder.spawn_scoped(scope, move || {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| body(&ends))) {
            shared.panicked(&name, &*payload);
        }
    });
    spawned.map(drop)
}
