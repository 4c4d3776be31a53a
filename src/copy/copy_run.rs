//! The copy as a generator: an iterator of events that copies as it is pulled.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::begin::{Handles, begin};
use super::{dry_run, repair, run, setup};
use crate::error::{Error, PathError};
use crate::event::{CopySummary, Event, Pull, Standing};
use crate::fs::{Fs, Place};
use crate::id::ManifestId;
use crate::lock_mutex;
use crate::options::CopyOptions;
use crate::stop::Stopper;

/// So many batches of events wait at most; a consumer that stops pulling stops the copy here.
const EVENTS_MAX: usize = 4;

/// A copy under way: an iterator of [`Event`]s that copies as it is pulled.
///
/// The copying happens on threads of its own, a few events ahead of the consumer. Stop pulling
/// and it pauses; drop it and it makes durable what it has and ends; call [`copy`](crate::copy()) again with the
/// same options and it goes on. The last event is always [`Event::Finished`].
///
/// Dropping waits for the last barrier and reports nothing: pull to the end to know that
/// everything is durable.
///
/// ```
/// use sprag::{CopyOptions, Event};
///
/// # let temp = tempfile::tempdir()?;
/// # let (source, dest) = (temp.path().join("film"), temp.path().join("drive"));
/// # std::fs::create_dir(&dest)?;
/// let content: Vec<u8> = (0..40 << 20).map(|n: u32| (n >> 9) as u8).collect();
/// std::fs::write(&source, &content)?;
///
/// // Pull until half of it is written; then stop pulling, which pauses, and drop.
/// let mut run = sprag::copy(CopyOptions::new([&source], &dest))?;
/// for event in &mut run {
///     if matches!(event, Event::Progress(at) if at.bytes_written >= 20 << 20) {
///         break;
///     }
/// }
/// drop(run);
/// assert!(!dest.join("film").exists()); // a name means a whole file
///
/// // Made anew, it goes on inside the file.
/// let mut resumed = 0;
/// for event in sprag::copy(CopyOptions::new([&source], &dest))? {
///     if let Event::Finished { summary, error } = event {
///         assert!(error.is_none());
///         resumed = summary.bytes_resumed;
///     }
/// }
/// assert!(resumed >= 20 << 20);
/// assert_eq!(std::fs::read(dest.join("film"))?, content);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CopyRun {
    /// `None` once dropped.
    events: Option<Receiver<Vec<Event>>>,
    /// What was received and is still to be pulled.
    due: std::vec::IntoIter<Event>,
    handles: Handles,
    thread: Option<JoinHandle<()>>,
}

impl CopyRun {
    /// Begins a copy onto `fs`, which need not be the operating system's: the crash tests give a
    /// simulated disk. `options.dest` then only serves in messages.
    #[doc(hidden)]
    pub fn start_on<F: Fs>(fs: Arc<F>, options: CopyOptions) -> Result<CopyRun, Error> {
        let setup = setup::resolve_onto_root(&options)?;
        CopyRun::start(fs, setup, options, None)
    }

    /// Begins a run that ends when it loses its drive.
    pub(super) fn start<F: Fs>(
        fs: Arc<F>,
        setup: setup::Setup,
        options: CopyOptions,
        repair: Option<repair::Repair>,
    ) -> Result<CopyRun, Error> {
        let handles = Handles::new();
        let begun = begin(fs, setup, options, repair, &handles)?;
        CopyRun::spawn(handles, move |_, events| {
            let (summary, error) = run::run(&begun.shared, &begun.sources, events.clone());
            let summary = Box::new(summary);
            // Fails only if nobody wants to know.
            let _ = events.send(vec![Event::Finished { summary, error }]);
        })
    }

    pub(super) fn spawn(
        handles: Handles,
        body: impl FnOnce(&Handles, Sender<Vec<Event>>) + Send + 'static,
    ) -> Result<CopyRun, Error> {
        let (send, receive) = crossbeam_channel::bounded(EVENTS_MAX);
        let own = handles.clone();
        let thread = spawn("sprag-committer", move || {
            let events = send.clone();
            let ran = catch_unwind(AssertUnwindSafe(|| body(&own, send)));
            if let Err(payload) = ran {
                own.board.over();
                // Fails only if nobody wants to know.
                let _ = events.send(vec![panicked(&*payload)]);
            }
        })?;
        Ok(CopyRun {
            events: Some(receive),
            due: Vec::new().into_iter(),
            handles,
            thread: Some(thread),
        })
    }

    /// Begins to tell what a copy would do.
    pub(super) fn start_dry(setup: setup::Setup, options: CopyOptions) -> Result<CopyRun, Error> {
        let handles = Handles::new();
        let (send, receive) = crossbeam_channel::bounded(EVENTS_MAX);
        let dry_run = dry_run::DryRun::new(setup, options, handles.stopper.clone(), send)?;
        let thread = spawn("sprag-dry-run", move || dry_run.run())?;
        Ok(CopyRun {
            events: Some(receive),
            due: Vec::new().into_iter(),
            handles,
            thread: Some(thread),
        })
    }

    /// Where the destination is, and the id of its manifest, once that is open.
    pub fn place(&self) -> Option<(Place, ManifestId)> {
        lock_mutex(&self.handles.place).clone()
    }

    /// A handle to ask this run to stop: it makes durable what it has and then ends with
    /// [`Event::Finished`], its summary saying [`Exit::Stopped`](crate::exit::Exit::Stopped).
    pub fn stopper(&self) -> Stopper {
        self.handles.stopper.clone()
    }

    /// The next event, if there is one within `wait`.
    pub fn next_within(&mut self, wait: Duration) -> Pull<Event> {
        let mut until = None;
        loop {
            if let Some(event) = self.due.next() {
                return Pull::Event(event);
            }
            let Some(events) = &self.events else {
                return Pull::Over;
            };
            let until = until.get_or_insert_with(|| Instant::now() + wait);
            match events.recv_deadline(*until) {
                Ok(batch) => self.due = batch.into_iter(),
                Err(RecvTimeoutError::Timeout) => return Pull::Late,
                Err(RecvTimeoutError::Disconnected) => return Pull::Over,
            }
        }
    }

    /// How the run stands now, ahead of the events that wait to be pulled. Of a run that is paused
    /// this shows how what is written becomes durable.
    pub fn standing(&self) -> Standing {
        self.handles.board.read()
    }

    /// Asks the run to make durable now what is written now, and returns at once.
    /// [`Standing::checkpoint_asked`] is true until that is done or the run is over.
    pub fn checkpoint(&self) {
        self.handles.board.ask_checkpoint();
    }
}

/// The last event of a run whose own thread panicked.
fn panicked(payload: &(dyn Any + Send)) -> Event {
    let text = super::thread::text("sprag-committer", payload);
    let error = super::thread::panic_error(Path::new("the copy"), text);
    let summary = Box::new(CopySummary {
        exit_code: error.exit(),
        ..CopySummary::default()
    });
    let error = Some(error);
    Event::Finished { summary, error }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let spawned = thread::Builder::new().name(name.into()).spawn(run);
    spawned.map_err(|error| Error::Io(PathError::new("start a thread for", "sprag", error)))
}

impl Iterator for CopyRun {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.due.next() {
                return Some(event);
            }
            self.due = self.events.as_ref()?.recv().ok()?.into_iter();
        }
    }
}

impl Drop for CopyRun {
    /// Asks the run to stop and waits until it has; it checkpoints on its own thread.
    fn drop(&mut self) {
        self.handles.stopper.stop();
        self.events = None;
        if let Some(thread) = self.thread.take() {
            // A panic over there was reported by the panic hook; there is nothing to add.
            let _ = thread.join();
        }
    }
}
