//! Looking at a destination without copying: what is done, its hashes as a list, and cleaning up.

use std::path::Path;
use std::sync::Arc;

use crate::error::Error;
use crate::fs::OsFs;
use crate::manifest::{Store, found, open_destination};
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
    let fs = open_destination(dest, false)?;
    let store = match manifest {
        Some(manifest) => Elsewhere::find(manifest)?.open_to_read()?,
        None => found(Store::open_to_read(&fs, dest)?, dest)?,
    };
    Ok((fs, store))
}

/// The same, and the manifest of a destination beside a writer as well.
fn open_to_look(dest: &Path, manifest: Option<&Path>) -> Result<(Arc<OsFs>, Store<OsFs>), Error> {
    if manifest.is_some() {
        return open_to_read(dest, manifest);
    }
    let fs = open_destination(dest, false)?;
    let store = found(Store::open_to_look(&fs, dest)?, dest)?;
    Ok((fs, store))
}
