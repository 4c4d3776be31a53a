//! Waiting for a drive that is gone, and going on when it is back.
//!
//! A run that lost a device is over: everything it had open is closed. When the drive is found
//! again a fresh run begins in the same process, through the same recovery as after a crash. Nothing
//! is made or written until then: a destination counts as found only if it holds the manifest.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::place::Place;
use super::{Begun, Handles, begin_os, run};
use crate::error::{Error, SetupError};
use crate::event::{CopySummary, Event, Phase};
use crate::exit::Exit;
use crate::fs::mounts;
use crate::fs::{OsFs, source};
use crate::id::ManifestId;
use crate::options::{CopyOptions, Wait};

/// How often it is looked for the drive.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often it is looked whether the run is to stop.
const STOP_EVERY: Duration = Duration::from_millis(50);

/// What has to be there again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Awaited {
    dest: Place,
    id: ManifestId,
    sources: Vec<SourcePlace>,
}

/// A source, and what it stood on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SourcePlace {
    path: PathBuf,
    mount: Option<(PathBuf, String)>,
}

impl SourcePlace {
    fn of(path: &Path) -> SourcePlace {
        let canonical = source::canonicalize(path).unwrap_or_else(|_| source::absolute(path));
        let mounts = mounts::mounts();
        let mount = mounts::mount_of(&canonical, &mounts);
        SourcePlace {
            path: path.to_path_buf(),
            mount: mount.map(|mount| (mount.point.clone(), mount.fs_type.clone())),
        }
    }

    /// Whether it is there, on a file system like the one that it was on.
    fn is_there(&self) -> bool {
        let stands = source::SourceRoot::open(&self.path).is_ok_and(|root| root.stands());
        stands && source::lstat(&self.path).is_ok() && SourcePlace::of(&self.path) == *self
    }
}

impl Awaited {
    /// What a run stands on that has just begun.
    fn of(begun: &Begun<OsFs>) -> Awaited {
        let sources = begun.sources.iter();
        Awaited {
            dest: Place::of(&begun.shared.dest),
            id: ManifestId(*begun.shared.names.id()),
            sources: sources
                .map(|source| SourcePlace::of(&source.path))
                .collect(),
        }
    }

    /// What a run will stand on whose destination is known from before.
    fn known(options: &CopyOptions) -> Option<Awaited> {
        let known = options.known.as_ref()?;
        Some(Awaited {
            dest: Place {
                path: source::absolute(&options.dest),
                inside: known.inside.clone(),
                fs_type: None,
                uuid: None,
            },
            id: known.id,
            sources: Vec::new(),
        })
    }
}

/// How the waiting ended.
enum Waited {
    Found(PathBuf),
    Stopped,
    TooLong,
}

/// Whether a run that could not begin is worth waiting for: its destination is known and is not
/// there.
pub(super) fn may_begin_later(options: &CopyOptions, error: &Error) -> bool {
    options.wait.is_some() && options.known.is_some() && is_absent(error)
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
        let (summary, error) = match begun {
            Ok(begun) => {
                let now = Awaited::of(&begun);
                handles.note_place(&now.dest, now.id);
                if runs == 0 {
                    awaited = Some(now);
                }
                runs += 1;
                run::run(&begun.shared, &begun.sources, events.clone())
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
        let (mut summary, error) = (summary, error);
        summary.bytes_copied += before.bytes_copied;
        summary.bytes_rehashed += before.bytes_rehashed;
        summary.bytes_durable = summary.bytes_durable.max(before.bytes_durable);
        let (Some(wait), Some(awaited), Some(lost)) = (options.wait, &awaited, &error) else {
            break (summary, error);
        };
        let Some(path) = lost_path(lost, runs > 0 || options.known.is_some()) else {
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
            Waited::Found(path) => {
                let _ = events.send(vec![Event::Found { path: path.clone() }]);
                before = summary;
                options.dest = dest_at(&options, &awaited.dest.path, path);
                options.restart = false;
                handles.keep_durable(before.bytes_durable);
                begun = begin_os(&options, handles, Some(awaited.id));
            }
            Waited::Stopped => {
                summary.exit_code = Exit::Stopped;
                break (summary, None);
            }
            Waited::TooLong => break (summary, error),
        }
    };
    summary.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
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
        if awaited.sources.iter().all(SourcePlace::is_there)
            && let Some(path) = awaited.dest.find(awaited.id)
        {
            return Waited::Found(path);
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
