//! The errors: one small enum a family, each with the path it is about and its cause.
//!
//! [`Error`] ends a run and knows its exit code. [`EntryError`] fails one entry while the run goes
//! on. Every text says what happened, to which path, why, and, where there is one, what to do now.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::exit::Exit;
use crate::path::Printable;

mod entry;
mod manifest;
mod ranges;
mod refusal;
mod salvaged;
mod setup;

pub use entry::EntryError;
pub use manifest::ManifestError;
pub use ranges::Unread;
pub use refusal::{Refusal, RefusedGroup, Shortage};
pub use salvaged::{ManifestCopy, ManifestDamage};
pub use setup::{SetupError, UsageError};

/// Shows what the system said in its words, without the number that stands for the same.
pub struct Reason<'a>(pub &'a io::Error);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let number = self.0.raw_os_error();
        let number = number.map(|number| format!(" (os error {number})"));
        let words = number.and_then(|number| text.strip_suffix(&number));
        f.write_str(words.unwrap_or(&text))
    }
}

/// An I/O error with what was being done, and to which path.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {}", Printable(path), Reason(source))]
pub struct PathError {
    /// What was tried, as it reads after "cannot": "open", "write to".
    pub action: &'static str,
    /// The path it was tried on.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl PathError {
    /// An error of `action` on `path`.
    pub fn new(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> PathError {
        PathError {
            action,
            path: path.into(),
            source,
        }
    }
}

/// Adds the action and the path to an I/O result.
pub trait PathContext<T> {
    /// On an error, says that `action` failed on `path`.
    fn at(self, action: &'static str, path: &Path) -> Result<T, PathError>;
}

impl<T> PathContext<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, PathError> {
        self.map_err(|source| PathError::new(action, path, source))
    }
}

/// What ends a run, or keeps it from starting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options contradict each other or the destination's state.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// A source or the destination cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// An I/O error after which nothing more can be made durable.
    #[error(
        "{0}\nThe run ended here; what was durable before is kept. Rerun the same command to go on once the cause is mended."
    )]
    Io(#[from] PathError),
    /// The destination has no room left.
    #[error(
        "{0}\nThe destination is full; progress is saved. Free some space and rerun the same command to go on: `sprag clean` on the destination removes half copies, and --delete-before makes room by deleting first."
    )]
    Full(#[source] PathError),
    /// The device that a source is on is gone.
    #[error(
        "{0}\nThe device of this source is gone; progress is saved at the destination. Plug it in, mount it and rerun the same command to go on."
    )]
    SourceGone(#[source] PathError),
    /// The device below the destination is gone.
    #[error(
        "{0}\nThe device is gone; progress is saved on it. Plug it in, mount it and rerun the same command to go on."
    )]
    DeviceGone(#[source] PathError),
    /// The destination can never hold everything that was asked for.
    #[error(transparent)]
    Refused(Box<Refusal>),
}

impl Error {
    /// The exit code this error ends the program with.
    pub fn exit(&self) -> Exit {
        match self {
            Error::Usage(_) => Exit::Usage,
            Error::Setup(_) => Exit::Unusable,
            Error::Manifest(error) => error.exit(),
            Error::Io(_) | Error::Full(_) => Exit::Io,
            Error::DeviceGone(_) | Error::SourceGone(_) => Exit::DeviceGone,
            Error::Refused(_) => Exit::Refused,
        }
    }
}
