//! Waiting for a drive that is gone, and going on when it is back.
//!
//! A run that lost a device is over: everything it had open is closed. When the drive is found
//! again a fresh run begins in the same process, through the same recovery as after a crash. Nothing
//! is made or written until then: a destination counts as found only if it holds the manifest.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::{Begun, Handles, begin_os, run};
use crate::error::{Error, SetupError};
use crate::event::{CopySummary, Event, Phase};
use crate::exit::Exit;
use crate::fs::{Fs, OsFs, Place, source};
use crate::id::ManifestId;
use crate::lock_mutex;
use crate::manifest::{Mark, OpenMode, Store};
use crate::options::{CopyOptions, Known, Wait};

/// How often it is looked for the drive.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often it is looked whether the run is to stop.
const STOP_EVERY: Duration = Duration::from_millis(50);

/// What has to be there again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Awaited {
    /// One of these, each with its manifest. Before a run there may be several that took turns at one path.
    dests: Vec<Known>,
    /// How far the manifest was durable when it was lost.
    mark: Option<Mark>,
    /// The sources, each as it was given and where it was.
    sources: Vec<(PathBuf, Place)>,
}

impl Awaited {
    /// What a run stands on that has just begun.
    fn of(begun: &Begun<OsFs>) -> Awaited {
        let sources = begun.sources.iter().map(|source| &source.path);
        Awaited {
            dests: vec![Known {
                id: ManifestId(*begun.shared.names.id()),
                place: Place::of(&begun.shared.dest),
            }],
            mark: None,
            sources: sources
                .map(|path| (path.clone(), Place::of(path)))
                .collect(),
        }
    }

    /// What a run will stand on whose destination is known from before.
    fn known(options: &CopyOptions) -> Option<Awaited> {
        let dests = options.known.clone();
        (!dests.is_empty()).then_some(Awaited {
            dests,
            mark: None,
            sources: Vec::new(),
        })
    }

    /// Where one of the destinations is now.
    fn find(&self) -> Option<(PathBuf, &Known)> {
        let sources_are_there = || self.sources.iter().all(|(path, was)| is_there(path, was));
        let mut dests = self.dests.iter();
        let found = dests.find_map(|known| Some((find(known, self.mark)?, known)))?;
        sources_are_there().then_some(found)
    }
}

/// Where the directory of a destination is now. The manifest in it has to be as long as it was when the
/// drive was lost: an older copy of the drive is not the drive.
fn find(known: &Known, mark: Option<Mark>) -> Option<PathBuf> {
    let is_it = |place: &Place| place.is_same(&known.place) && holds(&place.path, known.id, mark);
    if is_it(&Place::of(&known.place.path)) {
        return Some(known.place.path.clone());
    }
    let mut elsewhere = known.place.elsewhere().into_iter();
    elsewhere.find(is_it).map(|place| place.path)
}

/// Whether a directory holds the manifest of that id, on a device that is there.
fn holds(path: &Path, id: ManifestId, mark: Option<Mark>) -> bool {
    let Ok(fs) = OsFs::open_root(path) else {
        return false;
    };
    let fs = Arc::new(fs);
    if fs.device_gone() || Store::peek(&fs) != Some(id) {
        return false;
    }
    let Some(mark) = mark else { return true };
    // One that is held, or damaged, is told of when the run begins.
    match Store::open(&fs, path, OpenMode::Read) {
        Ok(store) => store.is_some_and(|store| store.reaches(mark)),
        Err(_) => true,
    }
}

/// Whether a source is there, in the place that it was in.
fn is_there(path: &Path, was: &Place) -> bool {
    let stands = source::SourceRoot::open(path).is_ok_and(|root| root.stands());
    stands && source::lstat(path).is_ok() && Place::of(path).is_same(was)
}

/// How the waiting ended.
enum Waited {
    Found(PathBuf, Known),
    Stopped,
    TooLong,
}

/// Whether a run that could not begin is worth waiting for: its destination is known and is not
/// there.
pub(super) fn may_begin_later(options: &CopyOptions, error: &Error) -> bool {
    options.wait.is_some() && !options.known.is_empty() && is_absent(error)
}

fn is_absent(error: &Error) -> bool {
    matches!(
        error,
        Error::Setup(
            SetupError::NoManifest { .. }
                | SetupError::ManifestLost { .. }
                | SetupError::Dest { .. }
        )
    )
}

/// Runs a copy to its end, over as many losses of its drives as it is to wait for.
pub(super) fn run(
    mut begun: Result<Begun<OsFs>, Error>,
    mut options: CopyOptions,
    handles: &Handles,
    events: &Sender<Vec<Event>>,
) {
    let started = Instant::now();
    let mut awaited = Awaited::known(&options);
    let mut before = CopySummary::default();
    let mut runs = 0;
    let (mut summary, error) = loop {
        let (mut summary, error) = match begun {
            Ok(begun) => {
                let now = Awaited::of(&begun);
                for dest in &now.dests {
                    handles.note_place(&dest.place, dest.id);
                }
                if runs == 0 {
                    awaited = Some(now);
                }
                runs += 1;
                let ended = run::run(&begun.shared, &begun.sources, events.clone());
                if let Some(awaited) = &mut awaited {
                    awaited.mark = Some(lock_mutex(&begun.shared.store).mark());
                }
                ended
            }
            Err(error) => {
                let exit_code = error.exit();
                let summary = CopySummary {
                    exit_code,
                    ..CopySummary::default()
                };
                (summary, Some(error))
            }
        };
        summary.bytes_copied += before.bytes_copied;
        summary.bytes_rehashed += before.bytes_rehashed;
        if error.is_some() || summary.exit_code == Exit::Stopped {
            // It has not met again all that was durable before.
            summary.bytes_durable = summary.bytes_durable.max(before.bytes_durable);
        }
        let (Some(wait), Some(awaited), Some(lost)) = (options.wait, &awaited, &error) else {
            break (summary, error);
        };
        let Some(path) = lost_path(lost, runs > 0 || !options.known.is_empty()) else {
            break (summary, error);
        };
        let waiting = Event::Waiting {
            path,
            reason: reason(lost),
            limit: wait.limit(),
        };
        handles.board.phase(Phase::Waiting);
        let told = events.send(vec![waiting]).is_ok();
        match wait_for(awaited, wait, handles, told) {
            Waited::Found(path, known) => {
                before = summary;
                options.dest = dest_at(&options, &known.place.path, path.clone());
                let dest = options.dest.clone();
                let _ = events.send(vec![Event::Found { path, dest }]);
                options.restart = false;
                handles.keep_durable(before.bytes_durable);
                begun = begin_os(&options, handles, Some(known.id));
            }
            Waited::Stopped => {
                summary.exit_code = Exit::Stopped;
                break (summary, None);
            }
            Waited::TooLong => break (summary, error),
        }
    };
    summary.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let summary = Box::new(summary);
    let _ = events.send(vec![Event::Finished { summary, error }]);
}

/// What is gone, if the run ended for that. One that `began` was whole; what is missing now was
/// there before.
fn lost_path(error: &Error, began: bool) -> Option<PathBuf> {
    match error {
        Error::DeviceGone(error) | Error::SourceGone(error) => Some(error.path.clone()),
        Error::Setup(SetupError::Source { path, .. }) if began => Some(path.clone()),
        Error::Setup(
            SetupError::NoManifest { path, .. }
            | SetupError::ManifestLost { path }
            | SetupError::Dest { path, .. },
        ) if began => Some(path.clone()),
        _ => None,
    }
}

fn reason(error: &Error) -> String {
    match error {
        Error::DeviceGone(error) | Error::SourceGone(error) => error.to_string(),
        error => error.to_string(),
    }
}

/// Where the copy goes on: what was given, or the same below the place where it was found.
fn dest_at(options: &CopyOptions, was: &Path, found: PathBuf) -> PathBuf {
    if found == was {
        return options.dest.clone();
    }
    // DEST named a new file, not the directory that the manifest is in.
    let canonical = source::canonicalize(&options.dest);
    let dest = canonical.unwrap_or_else(|_| source::absolute(&options.dest));
    match dest.strip_prefix(was) {
        Ok(name) if !name.as_os_str().is_empty() => found.join(name),
        _ => found,
    }
}

fn wait_for(awaited: &Awaited, wait: Wait, handles: &Handles, told: bool) -> Waited {
    let began = Instant::now();
    while told && !handles.stopper.is_stopped() {
        if let Some((path, known)) = awaited.find() {
            return Waited::Found(path, known.clone());
        }
        if wait.limit().is_some_and(|limit| began.elapsed() >= limit) {
            return Waited::TooLong;
        }
        let looked = Instant::now();
        while looked.elapsed() < LOOK_EVERY && !handles.stopper.is_stopped() {
            std::thread::sleep(STOP_EVERY);
        }
    }
    Waited::Stopped
}
