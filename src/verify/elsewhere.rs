//! A manifest that is kept elsewhere than in its destination: on another drive, for media that
//! cannot be written to or whose own manifest is lost.
//!
//! It is locked and noted in as any other, and nothing below the destination is: neither its own
//! manifest is looked at, but for its id, nor is anybody kept from copying there meanwhile.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, SetupError};
use crate::fs::{Fs, OsFs, source};
use crate::id::ManifestId;
use crate::manifest::{OpenMode, Store};

/// Where such a manifest is.
pub(crate) struct Elsewhere<F: Fs> {
    /// The directory that holds it.
    fs: Arc<F>,
    path: PathBuf,
}

impl Elsewhere<OsFs> {
    /// Takes a path as it was given.
    pub(crate) fn find(given: &Path) -> Result<Elsewhere<OsFs>, Error> {
        let unusable = |source| SetupError::Manifest {
            path: given.to_path_buf(),
            source,
        };
        let path = source::canonicalize(given).map_err(unusable)?;
        let dir = path.parent().unwrap_or(Path::new("/"));
        let fs = OsFs::open_root(dir).map_err(unusable)?;
        Ok(Elsewhere {
            fs: Arc::new(fs),
            path,
        })
    }
}

impl<F: Fs> Elsewhere<F> {
    /// Its path, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn open(&self, mode: OpenMode) -> Result<Store<F>, Error> {
        self.found(Store::open_elsewhere(&self.fs, &self.path, mode)?)
    }

    /// To be read, as far as that goes.
    pub(crate) fn open_to_read(&self) -> Result<Store<F>, Error> {
        self.found(Store::open_elsewhere_to_read(&self.fs, &self.path)?)
    }

    fn found(&self, store: Option<Store<F>>) -> Result<Store<F>, Error> {
        let nothing = || SetupError::Manifest {
            path: self.path.clone(),
            source: io::Error::new(io::ErrorKind::InvalidData, "it is empty"),
        };
        Ok(store.ok_or_else(nothing)?)
    }

    /// What has to be said if the destination has a manifest of its own that is another one's.
    pub(crate) fn warning(&self, store: &Store<F>, dest: &Arc<F>) -> Option<String> {
        let own = Store::peek(dest)?;
        let id = ManifestId(*store.id());
        (own != id).then(|| {
            format!(
                "{} is the manifest of another destination than this one, which has its own: \
                 what it names and is not here counts as missing or modified",
                crate::path::Printable(&self.path)
            )
        })
    }
}
