//! A manifest that cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use super::{ManifestDamage, PathError, Reason};
use crate::exit::Exit;
use crate::path::Printable;

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Another process holds the lock.
    #[error(
        "{} is in use by {holder}: wait until it ends, or stop it",
        Printable(path)
    )]
    Locked {
        /// The manifest.
        path: PathBuf,
        /// Who holds it, in words.
        holder: String,
    },
    /// Its file system has no locks.
    #[error(
        "{}, and without them two copies at once would destroy each other's work: nothing was copied or changed. Mount the share with file locks (NFS: with a lock service on the server, or with local_lock=flock if only this machine writes to it), or choose another destination",
        no_locks(path, source)
    )]
    NoLocks {
        /// The manifest.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else can have written it.
    #[error(
        "{} {why}, so what it says is not believed: nothing was touched. If you share this destination, use --trust-state; if not, move it away",
        Printable(path)
    )]
    NotOurs {
        /// The state directory, or what is in it.
        path: PathBuf,
        /// Who it belongs to, or what else is wrong.
        why: String,
    },
    /// Written by a newer sprag.
    #[error(
        "{} has format version {version}, and this sprag knows only up to {known}: nothing was touched; use a newer sprag",
        Printable(path)
    )]
    Newer {
        /// The manifest.
        path: PathBuf,
        /// The version in its header.
        version: u32,
        /// The newest version that is understood.
        known: u32,
    },
    /// Damaged in a way that a crash does not explain.
    #[error(
        "{} is damaged at byte {offset}: {what}. It is kept as it is. `sprag verify` checks what can still be read of it; `sprag verify --rebuild --from SOURCE` makes a new one from a good source; `sprag copy --restart` sets it aside, begins a new one and takes over the files that are whole",
        Printable(path)
    )]
    Damaged {
        /// The manifest.
        path: PathBuf,
        /// Where the damage begins, in bytes.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// One that is kept elsewhere than in its destination is damaged.
    #[error(
        "{} is damaged at byte {offset}: {what}. It is kept as it is; name another copy of it",
        Printable(path)
    )]
    DamagedElsewhere {
        /// The manifest.
        path: PathBuf,
        /// Where the damage begins, in bytes.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// There is one that is whole where a new one was to be made from scratch.
    #[error(
        "{} is whole, so nothing has to be rebuilt: `sprag verify` and `sprag copy` use it. To build a new manifest all the same, move it away first",
        Printable(path)
    )]
    Whole {
        /// The manifest, or the copy of it.
        path: PathBuf,
    },
    /// It is damaged, and what can be read of it was used.
    #[error("{0}")]
    Salvaged(Box<ManifestDamage>),
    /// It could not be read or written.
    #[error(transparent)]
    Io(#[from] PathError),
}

impl ManifestError {
    /// The same of a manifest that is kept elsewhere than in its destination.
    pub(crate) fn elsewhere(self) -> ManifestError {
        match self {
            ManifestError::Damaged { path, offset, what } => {
                ManifestError::DamagedElsewhere { path, offset, what }
            }
            other => other,
        }
    }

    /// What is wrong, without what to do about it.
    pub(crate) fn what_is_wrong(&self) -> String {
        match self {
            ManifestError::Damaged { path, offset, what }
            | ManifestError::DamagedElsewhere { path, offset, what } => {
                format!("{} is damaged at byte {offset}: {what}", Printable(path))
            }
            ManifestError::NoLocks { path, source } => no_locks(path, source),
            other => other.to_string(),
        }
    }

    /// The exit code this error ends the program with.
    pub fn exit(&self) -> Exit {
        match self {
            ManifestError::Locked { .. } => Exit::Locked,
            ManifestError::NoLocks { .. }
            | ManifestError::NotOurs { .. }
            | ManifestError::Newer { .. }
            | ManifestError::Whole { .. } => Exit::Unusable,
            ManifestError::Damaged { .. }
            | ManifestError::DamagedElsewhere { .. }
            | ManifestError::Salvaged(_) => Exit::BadManifest,
            ManifestError::Io(_) => Exit::Io,
        }
    }
}

fn no_locks(path: &Path, source: &io::Error) -> String {
    let (path, why) = (Printable(path), Reason(source));
    format!("{path} cannot be locked, as its file system has no file locks ({why})")
}
