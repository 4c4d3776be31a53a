//! Looking at a destination without copying: what is done, its hashes as a list, and cleaning up.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, SetupError};
use crate::fs::OsFs;
use crate::manifest::{OpenMode, Store};

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

/// Opens the manifest of a destination that has one.
fn open(dest: &Path, mode: OpenMode) -> Result<(Arc<OsFs>, Store<OsFs>), Error> {
    let path = || dest.to_path_buf();
    let fs = OsFs::open_root(dest).map_err(|source| {
        let path = path();
        SetupError::Dest { path, source }
    })?;
    let fs = Arc::new(fs);
    let store = Store::open(&fs, dest, mode)?;
    let store = store.ok_or_else(|| SetupError::NoManifest { path: path() })?;
    Ok((fs, store))
}
