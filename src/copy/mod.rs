//! The copy: stages that hand entries down one way, and the run that owns them.
//!
//! ```text
//! scan → plan → [bounded] → workers (read, hash, write) → [bounded] → committer → manifest
//! ```
//!
//! - `setup` resolves sources and destination, `recover` takes up what an earlier run left.
//! - `planner` walks and decides; it alone makes directories.
//! - `worker` copies files; it alone writes content, and only under partial names.
//! - `committer` alone flushes (`flusher`), renames and writes the manifest.
//!
//! Invariants: a final name only ever appears by renaming a partial whose data was flushed; a
//! `Done` is handed to the system before its rename; a barrier is recorded only after the flush
//! that makes it true; after one failed flush no barrier is recorded any more.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::error::{Error, SetupError};
use crate::event::{Event, Pull, Standing};
use crate::fs::source::SourceRoot;
use crate::fs::{Fs, OsFs, found};
use crate::id::ManifestId;
use crate::limits::Limits;
use crate::lock_mutex;
use crate::manifest::Store;
use crate::options::CopyOptions;
use crate::path::RelPath;
use crate::scan::Source;
use crate::stop::Stopper;
use crate::throttle::Throttle;

mod adopt;
mod again;
mod board;
mod classify;
mod committer;
mod counter;
mod delete;
mod dry_run;
mod failure;
mod finish;
mod flusher;
mod message;
mod metadata;
mod names;
mod origin;
mod place;
mod planner;
mod read_back;
mod reader;
mod recover;
mod remove_source;
mod repair;
mod retry;
mod run;
mod setup;
mod siblings;
mod wait;
mod worker;

pub use place::Place;

/// Events wait in a queue of this length; a consumer that stops pulling stops the copy here.
const EVENTS_MAX: usize = 16;

/// What every stage of a run shares.
struct Shared<F: Fs> {
    fs: Arc<F>,
    store: Mutex<Store<F>>,
    names: names::Names,
    throttle: Arc<Throttle>,
    /// The sources, to tell a drive that is gone from files that are.
    sources: Vec<SourceRoot>,
    /// What their own manifests say of them.
    origins: origin::Origins,
    /// The destination's path, for messages.
    dest: PathBuf,
    options: CopyOptions,
    /// What is on the destination is mended, and nothing else is copied.
    repair: Option<repair::Repair>,
    block_size: crate::block::BlockSize,
    /// What the destination can hold.
    limits: Limits,
    /// Held while names are tried.
    probing: Mutex<()>,
    /// The manifest knew of something when this run began.
    is_rerun: bool,
    stopper: Stopper,
    board: Arc<board::Board>,
    /// What was durable when an earlier run of this process lost its drive.
    durable_before: u64,
    /// An earlier run was cut short: names and metadata of its making may not be flushed, even
    /// where nothing has to be done again.
    after_cut: bool,
    /// The last run was cut off on a file system without a journal: what it left under partial
    /// names is not touched, and what this run writes is read back.
    was_cut: bool,
    /// What this process's new files are like.
    own: metadata::Own,
    /// What was told of metadata that the destination cannot hold.
    told: metadata::Told,
    /// Set when the run cannot go on; stages end as when stopped.
    failed: AtomicBool,
    /// Set when an entry of a source could not be looked at: nothing is deleted then.
    walk_failed: AtomicBool,
}

impl<F: Fs> Shared<F> {
    fn should_stop(&self) -> bool {
        self.stopper.is_stopped() || self.failed.load(Ordering::Relaxed)
    }

    /// Makes something under a partial name of `path`. What is in the way under a name of ours was
    /// left over: it is removed, or, where that is not safe, left alone and the next name taken.
    fn make_partial<T>(
        &self,
        path: &RelPath,
        dir: &F::Dir,
        make: impl Fn(&[u8]) -> io::Result<T>,
    ) -> io::Result<(u8, Vec<u8>, T)> {
        let mut left_alone = Vec::new();
        let made = loop {
            let (attempt, name) = self.names.claim(path);
            match make(&name) {
                Ok(made) => break Ok((attempt, name, made)),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    self.names.release(path, attempt);
                    break Err(error);
                }
                Err(error) if self.was_cut => {
                    left_alone.push(attempt);
                    if attempt == u8::MAX {
                        break Err(error);
                    }
                }
                Err(_) => {
                    let made = found(self.fs.remove(dir, &name)).and_then(|_| make(&name));
                    if made.is_err() {
                        self.names.release(path, attempt);
                    }
                    break made.map(|made| (attempt, name, made));
                }
            }
        };
        for attempt in left_alone {
            self.names.release(path, attempt);
        }
        made
    }

    /// The full path of a destination entry, for messages.
    fn full(&self, path: &RelPath) -> PathBuf {
        path.below(&self.dest)
    }
}

pub use repair::repair;

/// Begins, or continues, a copy. See [`CopyRun`].
pub fn copy(options: CopyOptions) -> Result<CopyRun, Error> {
    if options.dry_run {
        return CopyRun::start_dry(setup::resolve(&options)?, options);
    }
    let handles = Handles::new();
    let begun = match begin_os(&options, &handles, None) {
        Err(error) if !wait::may_begin_later(&options, &error) => return Err(error),
        begun => begun,
    };
    CopyRun::spawn(handles, move |handles, events| {
        wait::run(begun, options, handles, &events);
    })
}

/// What a run keeps over all its beginnings.
#[derive(Debug, Clone)]
struct Handles {
    stopper: Stopper,
    board: Arc<board::Board>,
    place: Arc<Mutex<Option<(Place, ManifestId)>>>,
    /// What was durable when a drive was lost; figures that are shown do not fall below.
    durable: Arc<AtomicU64>,
}

impl Handles {
    fn new() -> Handles {
        Handles {
            stopper: Stopper::new(),
            board: Arc::new(board::Board::new()),
            place: Arc::default(),
            durable: Arc::default(),
        }
    }

    fn note_place(&self, place: &Place, id: ManifestId) {
        *lock_mutex(&self.place) = Some((place.clone(), id));
    }

    fn keep_durable(&self, bytes: u64) {
        self.durable.fetch_max(bytes, Ordering::Relaxed);
    }
}

/// A run whose manifest is open.
struct Begun<F: Fs> {
    shared: Shared<F>,
    sources: Vec<Source>,
}

/// Begins a run on the real file system. It must be on the manifest `id`, if that is given.
fn begin_os(
    options: &CopyOptions,
    handles: &Handles,
    id: Option<ManifestId>,
) -> Result<Begun<OsFs>, Error> {
    let mut options = options.clone();
    options.require_manifest |= id.is_some();
    let setup = setup::resolve(&options)?;
    let fs = OsFs::open_root(&setup.root).map_err(|source| SetupError::Dest {
        path: setup.root.clone(),
        source,
    })?;
    let begun = begin(Arc::new(fs), setup, options, None, handles)?;
    match id {
        Some(id) if id.0 != *begun.shared.names.id() => {
            let path = begun.shared.dest;
            Err(SetupError::NoManifest { path }.into())
        }
        _ => Ok(begun),
    }
}

/// Opens the manifest.
fn begin<F: Fs>(
    fs: Arc<F>,
    setup: setup::Setup,
    options: CopyOptions,
    repair: Option<repair::Repair>,
    handles: &Handles,
) -> Result<Begun<F>, Error> {
    let (store, after_cut) = run::open(&fs, &setup, &options)?;
    let limits = run::measure(&fs, &setup)?;
    let stopper = handles.stopper.clone();
    let shared = Shared {
        names: names::Names::new(*store.id()),
        block_size: store.block_size(),
        limits,
        probing: Mutex::new(()),
        is_rerun: !store.totals().is_empty(),
        was_cut: store.was_cut(),
        fs,
        store: Mutex::new(store),
        throttle: Arc::new(Throttle::new(options.bytes_per_s, stopper.clone())),
        sources: setup.source_roots()?,
        origins: match repair {
            None => origin::Origins::of(&setup.sources),
            // Each block is compared with its hash at the destination anyway.
            Some(_) => origin::Origins::default(),
        },
        dest: setup.root,
        options,
        repair,
        stopper,
        board: Arc::clone(&handles.board),
        durable_before: handles.durable.load(Ordering::Relaxed),
        after_cut,
        own: metadata::Own::of_this_process(),
        told: metadata::Told::default(),
        failed: AtomicBool::new(false),
        walk_failed: AtomicBool::new(false),
    };
    Ok(Begun {
        shared,
        sources: setup.sources,
    })
}

/// A copy under way: an iterator of [`Event`]s that copies as it is pulled.
///
/// The copying happens on threads of its own, a few events ahead of the consumer. Stop pulling
/// and it pauses; drop it and it makes durable what it has and ends; call [`copy`] again with the
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
    events: Option<Receiver<Event>>,
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
    fn start<F: Fs>(
        fs: Arc<F>,
        setup: setup::Setup,
        options: CopyOptions,
        repair: Option<repair::Repair>,
    ) -> Result<CopyRun, Error> {
        let handles = Handles::new();
        let begun = begin(fs, setup, options, repair, &handles)?;
        CopyRun::spawn(handles, move |_, events| {
            let (summary, error) = run::run(&begun.shared, &begun.sources, events.clone());
            // Fails only if nobody wants to know.
            let _ = events.send(Event::Finished { summary, error });
        })
    }

    fn spawn(
        handles: Handles,
        body: impl FnOnce(&Handles, Sender<Event>) + Send + 'static,
    ) -> Result<CopyRun, Error> {
        let (send, receive) = crossbeam_channel::bounded(EVENTS_MAX);
        let own = handles.clone();
        let thread = spawn("sprag-committer", move || body(&own, send))?;
        Ok(CopyRun {
            events: Some(receive),
            handles,
            thread: Some(thread),
        })
    }

    /// Begins to tell what a copy would do.
    fn start_dry(setup: setup::Setup, options: CopyOptions) -> Result<CopyRun, Error> {
        let handles = Handles::new();
        let there = dry_run::open(&setup, &options)?;
        let (send, receive) = crossbeam_channel::bounded(EVENTS_MAX);
        let dry_run = dry_run::DryRun {
            setup,
            options,
            there,
            own: metadata::Own::of_this_process(),
            stopper: handles.stopper.clone(),
            events: send,
            summary: crate::event::CopySummary::default(),
        };
        let thread = spawn("sprag-dry-run", move || dry_run.run())?;
        Ok(CopyRun {
            events: Some(receive),
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
        let Some(events) = &self.events else {
            return Pull::Over;
        };
        match events.recv_timeout(wait) {
            Ok(event) => Pull::Event(event),
            Err(RecvTimeoutError::Timeout) => Pull::Late,
            Err(RecvTimeoutError::Disconnected) => Pull::Over,
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

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let spawned = thread::Builder::new().name(name.into()).spawn(run);
    spawned.map_err(|error| {
        Error::Io(crate::error::PathError::new(
            "start a thread for",
            "sprag",
            error,
        ))
    })
}

impl Iterator for CopyRun {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.events.as_ref()?.recv().ok()
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
