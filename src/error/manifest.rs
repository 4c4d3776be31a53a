//! A manifest that cannot be used.

use std::path::PathBuf;

use super::PathError;
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
        "{} is damaged at byte {offset}: {what}. It is kept as it is; `sprag copy --restart` sets it aside, begins a new one and takes over the files that are whole",
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
    /// It is damaged, and its copy was used.
    #[error(
        "{damage}\nIts copy, .sprag/manifest.bak, was used in its place. What was copied after that was written counts as modified or extra; the next `sprag copy` puts the copy in place of the manifest and takes over what is whole"
    )]
    CopyUsed {
        /// What is wrong with the manifest.
        damage: String,
    },
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

    /// The exit code this error ends the program with.
    pub fn exit(&self) -> Exit {
        match self {
            ManifestError::Locked { .. } => Exit::Locked,
            ManifestError::Newer { .. } => Exit::Unusable,
            ManifestError::Damaged { .. }
            | ManifestError::DamagedElsewhere { .. }
            | ManifestError::CopyUsed { .. } => Exit::BadManifest,
            ManifestError::Io(_) => Exit::Io,
        }
    }
}
