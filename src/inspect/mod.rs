//! Looking at a destination without copying: what is done, its hashes as a list, and cleaning up.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, SetupError};
use crate::fs::OsFs;
use crate::manifest::{OpenMode, Store};
use crate::verify::elsewhere::Elsewhere;

mod clean;
mod export;
mod status;
#[cfg(test)]
mod tests;
mod verified;

pub use clean::{CleanSummary, clean};
pub use export::bag::export_bag;
pub use export::{ExportFormat, ExportSummary, LeftOut, export};
pub use status::{LastRun, PartialFile, Status, status};
pub use verified::{LastVerification, VerifiedPart};

/// Opens the manifest of a destination to read it, or one that is kept elsewhere; a damaged one of a
/// destination as far as that goes.
fn open_to_read(dest: &Path, manifest: Option<&Path>) -> Result<(Arc<OsFs>, Store<OsFs>), Error> {
    let fs = open_root(dest)?;
    let store = match manifest {
        Some(manifest) => Elsewhere::find(manifest)?.open_to_read()?,
        None => found(Store::open_to_read(&fs, dest)?, dest)?,
    };
    Ok((fs, store))
}

/// Opens the manifest of a destination that has one.
fn open(dest: &Path, mode: OpenMode) -> Result<(Arc<OsFs>, Store<OsFs>), Error> {
    let fs = open_root(dest)?;
    let store = found(Store::open(&fs, dest, mode)?, dest)?;
    Ok((fs, store))
}

fn found(store: Option<Store<OsFs>>, dest: &Path) -> Result<Store<OsFs>, Error> {
    let path = || dest.to_path_buf();
    Ok(store.ok_or_else(|| SetupError::NoManifest { path: path() })?)
}

fn open_root(dest: &Path) -> Result<Arc<OsFs>, Error> {
    let fs = OsFs::open_root(dest).map_err(|source| {
        let path = dest.to_path_buf();
        SetupError::Dest { path, source }
    })?;
    Ok(Arc::new(fs))
}
