//! What an error means for the run: one entry fails, or the run ends. The table is in `classify`;
//! here the system is asked what the table cannot know.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::Shared;
use super::classify::{Doing, Meaning, meaning};
use crate::error::{EntryError, Error, PathError};
use crate::fs::{Fs, is_gone};
use crate::path::RelPath;

/// A file system with so much free is not full.
const ROOM_BYTES: u64 = 1 << 20;

/// Why a stage cannot go on.
#[derive(Debug)]
pub(super) enum Failure {
    /// This entry fails, the run goes on.
    Entry(EntryError),
    /// The run ends.
    Fatal(Error),
    /// The run was asked to stop; nothing failed.
    Stopped,
}

impl From<EntryError> for Failure {
    fn from(error: EntryError) -> Failure {
        Failure::Entry(error)
    }
}

/// Sorts an error at the destination, asking first whether the device is gone.
pub(super) fn at_dest<F: Fs>(
    fs: &F,
    doing: Doing,
    action: &'static str,
    path: PathBuf,
    error: std::io::Error,
) -> Failure {
    let meaning = match is_gone(fs, &error) {
        true => Meaning::Gone,
        false => meaning(doing, &error),
    };
    let is_dir_full = doing == Doing::Name && meaning == Meaning::Full && has_room(fs);
    let error = PathError::new(action, path, error);
    match meaning {
        Meaning::Full if is_dir_full => Failure::Entry(EntryError::DirFull(error)),
        Meaning::Gone => Failure::Fatal(Error::DeviceGone(error)),
        Meaning::Full => Failure::Fatal(Error::Full(error)),
        Meaning::Run | Meaning::AgainThenRun => Failure::Fatal(Error::Io(error)),
        Meaning::Entry | Meaning::AgainThenEntry => Failure::Entry(EntryError::Dest(error)),
    }
}

/// Whether there is room for more, so that it is a directory that can hold no more names: on ext4 its index
/// may be full, on FAT the root.
fn has_room<F: Fs>(fs: &F) -> bool {
    let about = fs.about();
    about.is_ok_and(|about| {
        let has_inodes = about.free_inodes.is_none_or(|free| free > 0);
        about.kind.tells_space() && about.free_bytes >= ROOM_BYTES && has_inodes
    })
}

/// Sorts an error in a source, asking first whether its device is gone.
pub(super) fn at_source<F: Fs>(shared: &Shared<F>, path: &Path, error: std::io::Error) -> Failure {
    let is_gone = match shared.sources.iter().any(|source| source.holds(path)) {
        // What is mounted below a source may be dead while the source stands.
        true => shared.source_is_gone(path, &error),
        false => meaning(Doing::Read, &error) == Meaning::Gone,
    };
    if is_gone {
        return Failure::Fatal(Error::SourceGone(PathError::new("read", path, error)));
    }
    Failure::Entry(match error.kind() {
        std::io::ErrorKind::NotFound => EntryError::Vanished(path.to_path_buf()),
        _ => EntryError::Unreadable(PathError::new("read", path, error)),
    })
}

/// [`at_dest`] with all but the error given, for `map_err`.
pub(super) fn context<F: Fs>(
    fs: &Arc<F>,
    action: &'static str,
    path: PathBuf,
) -> impl Fn(std::io::Error) -> Failure + use<F> {
    let fs = Arc::clone(fs);
    move |error| at_dest(&*fs, Doing::Write, action, path.clone(), error)
}

/// Like [`at_dest`], where no entry can be blamed: the run ends either way.
pub(super) fn ends_run<F: Fs>(
    fs: &F,
    action: &'static str,
    path: PathBuf,
    error: std::io::Error,
) -> Error {
    match at_dest(fs, Doing::Write, action, path, error) {
        Failure::Fatal(error) => error,
        Failure::Entry(EntryError::Dest(error)) => Error::Io(error),
        // What is written is no name.
        Failure::Entry(_) | Failure::Stopped => unreachable!("at_dest makes no other failures"),
    }
}

/// [`context`] for calls about names. An I/O error there fails the entry, as long as the file system
/// as such still answers: a damaged directory is no reason to leave out the others. (After a write
/// it ends the run: the data is suspect.)
pub(super) fn naming<F: Fs>(
    fs: &Arc<F>,
    action: &'static str,
    path: PathBuf,
) -> impl Fn(std::io::Error) -> Failure + use<F> {
    let fs = Arc::clone(fs);
    move |error| match at_dest(&*fs, Doing::Name, action, path.clone(), error) {
        Failure::Fatal(Error::Io(error)) if is_io(&error.source) && answers(&*fs) => {
            Failure::Entry(EntryError::Dest(error))
        }
        failure => failure,
    }
}

/// Whether what was there from the beginning can still be opened.
fn answers<F: Fs>(fs: &F) -> bool {
    fs.open_dir(&RelPath::state_dir()).is_ok()
}

fn is_io(error: &std::io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::IO)
}

/// Returns the error of a flush that failed, or of a manifest that cannot be read. It always ends the run. It
/// is never [`Error::Full`], which would leave the latch open, since earlier writes may be lost.
pub(super) fn flush_failed<F: Fs>(
    fs: &F,
    action: &'static str,
    path: PathBuf,
    error: std::io::Error,
) -> Error {
    match ends_run(fs, action, path, error) {
        Error::Full(error) => Error::Io(error),
        other => other,
    }
}

/// An error that ends the run, told apart from a device that is gone.
pub(super) fn manifest_failed<F: Fs>(fs: &F, error: crate::error::ManifestError) -> Error {
    match error {
        crate::error::ManifestError::Io(error) => {
            let ends = match error.action.split(' ').next() {
                Some("flush" | "read") => flush_failed,
                _ => ends_run,
            };
            ends(fs, error.action, error.path, error.source)
        }
        other => Error::Manifest(other),
    }
}
