//! Judging one file by what a list says of it, and recording it if a manifest is rebuilt.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crossbeam_channel::Sender;

use super::follow::{Leads, follow};
use super::{Listed, Shared};
use crate::error::ManifestError;
use crate::event::{ReadHow, Verdict};
use crate::fs::{AlignedBuf, FlushBy, Fs, FsFile, Kind, Stat};
use crate::path::{Printable, RelPath};
use crate::plan::source_id;
use crate::verify::rebuild::content::Blocks;
use crate::verify::rebuild::{self, FileHashes};
use crate::verify::rehash::{Algorithm, Digests, Hashes, read_whole};
use crate::verify::{Halt, REPORT_BYTES, Report, check, told};

/// What a listed path names.
enum Located {
    /// A file, and where it really is.
    File(RelPath, Stat),
    Not(Verdict),
}

impl<F: Fs> Shared<F> {
    pub(super) fn judge(
        &self,
        listed: &Listed,
        buf: &mut AlignedBuf,
        reports: &Sender<Report>,
    ) -> Result<io::Result<(Verdict, Option<ReadHow>)>, Halt> {
        let (path, stat) = match self.locate(&listed.path) {
            Ok(Located::File(path, stat)) => (path, stat),
            Ok(Located::Not(verdict)) => return Ok(Ok((verdict, None))),
            Err(error) => return Ok(Err(error)),
        };
        let _stream = self.streams.take(stat.size);
        let (parent, name) = path.split().unwrap_or_default();
        let opened = self.fs.open_dir(&parent);
        let file = match opened.and_then(|dir| self.fs.open_medium(&dir, name)) {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        let by = listed.by.or(self.by.get().copied());
        let blocks = self.scribe.as_ref();
        let mut blocks = blocks.map(|scribe| Blocks::new(scribe, &listed.path, &stat));
        let mut digests = match blocks {
            // They give the BLAKE3 hash of the whole file, too.
            Some(_) => Digests::beside_blocks(by),
            None => Digests::new(by),
        };
        let (mut unreported, mut halt) = (0, None);
        let read = read_whole(&file, buf, |piece| {
            self.throttle.take(piece.len() as u64);
            digests.update(piece);
            let noted = match &mut blocks {
                Some(blocks) => self.noted(blocks.update(piece)),
                None => Ok(()),
            };
            unreported += piece.len() as u64;
            let told = match unreported >= REPORT_BYTES {
                true => told(reports, std::mem::take(&mut unreported)),
                false => Ok(()),
            };
            halt = self.signals.check_stop().and(told).and(noted).err();
            halt.is_none()
        });
        if let Some(halt) = halt {
            return Err(halt);
        }
        told(reports, unreported)?;
        let recording = blocks
            .map(|blocks| self.noted(blocks.finish()))
            .transpose()?;
        if let Err(error) = read {
            if let Some((file, _)) = recording {
                self.noted(file.forget())?;
            }
            return Ok(Err(error));
        }
        let mut hashes = digests.finish();
        if let Some((file, _)) = &recording
            && by != Some(Algorithm::Sha256)
        {
            hashes.blake3 = Some(file.hash());
        }
        let verdict = self.verdict(listed, hashes, file.how());
        if let Some((recording, whole)) = recording {
            match self.settle(
                recording,
                &file,
                &stat,
                whole && matches!(verdict, Verdict::Ok),
            )? {
                Ok(()) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok((verdict, Some(file.how()))))
    }

    /// Finds the file that a path names, behind symlinks, too. Where a manifest is rebuilt a symlink is
    /// none: it would be recorded as the file that it leads to.
    fn locate(&self, path: &RelPath) -> io::Result<Located> {
        let there = self.stat(path);
        match &there {
            Ok(Some(stat)) if stat.kind == Kind::File => {
                return Ok(Located::File(path.clone(), *stat));
            }
            Ok(Some(stat)) if stat.kind != Kind::Symlink || self.scribe.is_some() => {
                return Ok(Located::Not(check::other_kind(stat.kind, Kind::File)));
            }
            Ok(None) | Err(_) if self.scribe.is_some() => {
                return there.map(|_| Located::Not(Verdict::Missing));
            }
            _ => {}
        }
        Ok(match follow(&*self.fs, &self.tree, path)? {
            Leads::To(path) => match self.stat(&path)? {
                Some(stat) if stat.kind == Kind::File => Located::File(path, stat),
                Some(stat) => Located::Not(check::other_kind(stat.kind, Kind::File)),
                None => Located::Not(Verdict::Missing),
            },
            Leads::Nowhere => Located::Not(Verdict::Missing),
            Leads::Out(target) => Located::Not(Verdict::Modified {
                what: format!(
                    "a symlink leads to {}, out of {}: that file is no part of the copy",
                    Printable(Path::new(OsStr::from_bytes(&target))),
                    Printable(&self.dest)
                ),
                damage: None,
            }),
        })
    }

    fn verdict(&self, listed: &Listed, hashes: Hashes, how: ReadHow) -> Verdict {
        let fits = if hashes.blake3 == Some(listed.hash) {
            Some(Algorithm::Blake3)
        } else {
            (hashes.sha256 == Some(listed.hash)).then_some(Algorithm::Sha256)
        };
        if let (Some(by), None) = (fits, listed.by) {
            // Another thread that was faster came to the same.
            let _ = self.by.set(by);
        }
        match fits {
            Some(_) if self.require_medium && how == ReadHow::Cached => Verdict::Unproven,
            Some(_) => Verdict::Ok,
            None => Verdict::Modified {
                what: "its content is not what the list says".to_owned(),
                damage: None,
            },
        }
    }

    /// Records a file that is as it should be, with the metadata that it has. An error is one of
    /// this file.
    fn settle(
        &self,
        recording: FileHashes<'_, F>,
        file: &F::File,
        before: &Stat,
        good: bool,
    ) -> Result<io::Result<()>, Halt> {
        if !good {
            return Ok(Ok(self.noted(recording.forget())?));
        }
        let looked = file.stat().and_then(|stat| Ok((stat, file.xattrs()?)));
        let failed = match looked {
            Ok((stat, xattrs)) if source_id(&stat) == source_id(before) => {
                if self.fs.rules(self.fs.mount_of(recording.path())).flush_by == FlushBy::Each {
                    rebuild::flush(&*self.fs, file, &self.dest)?;
                }
                self.noted(recording.done(rebuild::as_it_is(stat, xattrs), false))?;
                return Ok(Ok(()));
            }
            Ok(_) => io::Error::other("it was changed while it was read"),
            Err(error) => error,
        };
        self.noted(recording.forget())?;
        Ok(Err(failed))
    }

    /// What an error of the manifest means.
    fn noted<T>(&self, result: Result<T, ManifestError>) -> Result<T, Halt> {
        result.map_err(|error| rebuild::failed(&*self.fs, error))
    }
}
