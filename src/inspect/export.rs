//! What is recorded, as a list for other tools.
//!
//! b3sum's list and the JSON lines come from the manifest alone. A list of SHA-256 needs every file
//! read back, and what is read is compared with the recorded BLAKE3 hash at the same time, so that
//! a rotten file never gets a fresh hash. Lines come in the manifest's order, so that no tree's names
//! have to be held to sort them.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::error::{Error, ManifestDamage, PathContext, PathError};
use crate::fs::{AlignedBuf, Fs, FsFile, FsMeta, OsFs, is_gone};
use crate::hash::Hash32;
use crate::manifest::{Done, Entry, Store};
use crate::path::RelPath;
use crate::verify::medium;
use crate::verify::rehash::{Digests, read_whole};

pub(super) mod bag;
mod json;
mod line;

/// The form of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// For `b3sum --check`, run in the destination.
    B3sum,
    /// For `sha256sum --check`, run in the destination. Reads every file.
    Sha256,
    /// One JSON object an entry.
    Json,
}

/// What was exported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ExportSummary {
    /// Files in the list; each hard link is one.
    pub files: u64,
    /// Files left out because their copy is not finished.
    pub incomplete: u64,
    /// Entries left out because the format has no form for them.
    pub not_representable: u64,
    /// Files left out because their content is not as recorded, or cannot be read.
    pub damaged: u64,
    /// What is wrong with the manifest, if something is: then the list has what can be read of it.
    pub manifest_damage: Option<ManifestDamage>,
    /// A warning, if the manifest could not be locked while it was read.
    #[serde(skip)]
    pub unlocked: Option<String>,
}

/// Why an entry is not in a list.
#[derive(Debug, thiserror::Error)]
pub enum LeftOut {
    /// Its copy is not finished.
    #[error("its copy is not finished; rerun the copy")]
    Incomplete,
    /// The format has no form for it.
    #[error("{0}")]
    NotRepresentable(&'static str),
    /// Its content is not as recorded.
    #[error("its content is not what was copied; sprag verify tells where")]
    Damaged,
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(PathError),
    /// It is in the bag's payload, and the manifest does not know it.
    #[error(
        "it stands in the bag's data directory and sprag did not copy it: the bag is not valid with it"
    )]
    Stranger,
}

/// Writes a list of what is recorded of `dest`, by its manifest or by the one at `manifest`, to `out`, which is flushed. `left_out` is told of
/// everything that the list should have and has not.
///
/// # Errors
///
/// As [`status`](super::status()), and what `out` returns, as [`Error::Io`].
pub fn export(
    dest: &Path,
    manifest: Option<&Path>,
    format: ExportFormat,
    out: &mut dyn Write,
    left_out: &mut dyn FnMut(&RelPath, LeftOut),
) -> Result<ExportSummary, Error> {
    let mut exporter = Exporter::open(dest, manifest, left_out)?;
    let mut list = io::BufWriter::new(out);
    let failed = |written: io::Result<()>| written.at("write the list of", dest);
    for pos in exporter.store.positions() {
        let (path, entry) = exporter.entry_at(pos)?;
        let line = match format {
            ExportFormat::Json => exporter.json(&path, &entry)?,
            ExportFormat::B3sum => exporter
                .file_of(&path, &entry)?
                .and_then(|done| exporter.b3sum(&path, &done)),
            ExportFormat::Sha256 => match exporter.file_of(&path, &entry)? {
                Some(done) => exporter.sha256(&path, &done)?,
                None => None,
            },
        };
        if let Some(line) = line {
            failed(list.write_all(&line))?;
        }
    }
    failed(list.flush())?;
    Ok(exporter.summary)
}

/// A destination whose records are gone through.
struct Exporter<'a> {
    fs: Arc<OsFs>,
    store: Store<OsFs>,
    dest: &'a Path,
    summary: ExportSummary,
    left_out: &'a mut dyn FnMut(&RelPath, LeftOut),
    buf: AlignedBuf,
}

impl<'a> Exporter<'a> {
    fn open(
        dest: &'a Path,
        manifest: Option<&Path>,
        left_out: &'a mut dyn FnMut(&RelPath, LeftOut),
    ) -> Result<Exporter<'a>, Error> {
        let (fs, store) = super::open_to_read(dest, manifest)?;
        Ok(Exporter {
            fs,
            summary: ExportSummary {
                manifest_damage: store.salvaged().cloned(),
                unlocked: store.unlocked(),
                ..ExportSummary::default()
            },
            store,
            dest,
            left_out,
            buf: medium::buffer(),
        })
    }

    /// An entry; of a further name of a symlink or special file, what its first name is.
    fn entry_at(&self, pos: u64) -> Result<(RelPath, Entry), Error> {
        let (path, entry) = self.store.entry_at(pos)?;
        if let Entry::Link(link) = &entry
            && let Some((_, first)) = self.store.lookup(&link.to)?
            && matches!(first, Entry::Symlink(_) | Entry::Special(_))
        {
            return Ok((path, first));
        }
        Ok((path, entry))
    }

    fn leave_out(&mut self, path: &RelPath, why: LeftOut) {
        *match why {
            LeftOut::Incomplete => &mut self.summary.incomplete,
            LeftOut::NotRepresentable(_) | LeftOut::Stranger => &mut self.summary.not_representable,
            LeftOut::Damaged | LeftOut::Unreadable(_) => &mut self.summary.damaged,
        } += 1;
        (self.left_out)(path, why);
    }

    /// The regular file that an entry is, or is a further name of.
    fn file_of(&mut self, path: &RelPath, entry: &Entry) -> Result<Option<Done>, Error> {
        let found = match entry {
            Entry::Done(done) => Some(done.clone()),
            Entry::Link(link) => match self.store.lookup(&link.to)? {
                Some((_, Entry::Done(done))) => Some(done),
                _ => None,
            },
            Entry::Partial(_) | Entry::LinkWanted(_) => None,
            _ => return Ok(None),
        };
        if found.is_none() {
            self.leave_out(path, LeftOut::Incomplete);
        }
        Ok(found)
    }

    fn b3sum(&mut self, path: &RelPath, done: &Done) -> Option<Vec<u8>> {
        match line::b3sum(&done.hash, path) {
            Ok(line) => {
                self.summary.files += 1;
                Some(line)
            }
            Err(why) => {
                self.leave_out(path, why);
                None
            }
        }
    }

    fn sha256(&mut self, path: &RelPath, done: &Done) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.rehash(path, done)?.map(|hash| {
            self.summary.files += 1;
            line::sha256(&hash, path)
        }))
    }

    fn json(&mut self, path: &RelPath, entry: &Entry) -> Result<Option<Vec<u8>>, Error> {
        if matches!(entry, Entry::Dir(_) | Entry::Symlink(_)) {
            return Ok(json::line(path, entry, None));
        }
        Ok(self.file_of(path, entry)?.and_then(|done| {
            self.summary.files += 1;
            json::line(path, entry, Some(&done))
        }))
    }

    /// The SHA-256 of a file whose content is as recorded.
    fn rehash(&mut self, path: &RelPath, done: &Done) -> Result<Option<Hash32>, Error> {
        let (parent, name) = path.split().unwrap_or_default();
        let mut digests = Digests::new(None);
        let buf = &mut self.buf;
        let opened = self.fs.open_dir(&parent);
        let read = opened
            .and_then(|dir| self.fs.open_medium(&dir, name))
            .and_then(|file| {
                if file.stat()?.size != done.size {
                    return Ok(None);
                }
                read_whole(&file, buf, |piece| {
                    digests.update(piece);
                    true
                })
            });
        match read {
            Ok(_) => {}
            Err(error) => {
                let gone = is_gone(&*self.fs, &error);
                let error = PathError::new("read", path.below(self.dest), error);
                if gone {
                    return Err(Error::DeviceGone(error));
                }
                self.leave_out(path, LeftOut::Unreadable(error));
                return Ok(None);
            }
        }
        let hashes = digests.finish();
        if hashes.blake3 != Some(done.hash) {
            self.leave_out(path, LeftOut::Damaged);
            return Ok(None);
        }
        Ok(hashes.sha256)
    }
}
