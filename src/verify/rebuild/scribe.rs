//! Writing the records of a manifest that is rebuilt, from several threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::block::BlockSize;
use crate::error::ManifestError;
use crate::fs::Fs;
use crate::hash::{Hash32, TreeMerger};
use crate::lock_mutex;
use crate::manifest::{Begin, Blocks, DestMeta, Done, Rebuilt, Record, SourceId, Store};
use crate::path::RelPath;

/// What is written to by all threads of a run.
pub(in crate::verify) struct Scribe<F: Fs> {
    /// `None` once it is in place, or given up.
    rebuilt: Mutex<Option<Rebuilt<F>>>,
    block_size: BlockSize,
    id: [u8; 16],
    /// Files whose content is recorded.
    files: AtomicU64,
}

impl<F: Fs> Scribe<F> {
    pub(super) fn new(mut rebuilt: Rebuilt<F>) -> Scribe<F> {
        Scribe {
            block_size: rebuilt.store().block_size(),
            id: *rebuilt.store().id(),
            files: AtomicU64::new(0),
            rebuilt: Mutex::new(Some(rebuilt)),
        }
    }

    pub(in crate::verify) fn block_size(&self) -> BlockSize {
        self.block_size
    }

    /// The manifest's id.
    pub(super) fn id(&self) -> &[u8; 16] {
        &self.id
    }

    pub(super) fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// Takes the manifest away, to put it in place or to give it up.
    pub(super) fn take(&self) -> Option<Rebuilt<F>> {
        lock_mutex(&self.rebuilt).take()
    }

    /// Does something with the manifest, while no other thread does. After it was taken away, nothing.
    pub(super) fn with<T: Default>(
        &self,
        act: impl FnOnce(&mut Store<F>) -> Result<T, ManifestError>,
    ) -> Result<T, ManifestError> {
        match &mut *lock_mutex(&self.rebuilt) {
            Some(rebuilt) => act(rebuilt.store()),
            None => Ok(T::default()),
        }
    }

    pub(super) fn record(&self, record: &Record) -> Result<u64, ManifestError> {
        self.with(|store| store.append(record))
    }

    /// The hashes of a file that is about to be read.
    pub(in crate::verify) fn file(&self, path: &RelPath, source: SourceId) -> FileHashes<'_, F> {
        FileHashes {
            scribe: self,
            path: path.clone(),
            source,
            merger: TreeMerger::new(self.block_size),
            waiting: Vec::new(),
            written: None,
        }
    }
}

/// The block hashes of one file, recorded as they come. Nothing counts before it is `done`.
pub(in crate::verify) struct FileHashes<'a, F: Fs> {
    scribe: &'a Scribe<F>,
    path: RelPath,
    source: SourceId,
    merger: TreeMerger,
    waiting: Vec<Hash32>,
    /// Positions of the file's `Begin` and of its last record, if it has any.
    written: Option<(u64, u64)>,
}

impl<F: Fs> FileHashes<'_, F> {
    /// The file that it is about.
    pub(in crate::verify) fn path(&self) -> &RelPath {
        &self.path
    }

    pub(in crate::verify) fn push(&mut self, hash: Hash32) -> Result<(), ManifestError> {
        self.merger.push(hash);
        self.waiting.push(hash);
        match self.waiting.len() < Blocks::HASHES_MAX {
            true => Ok(()),
            false => self.write(),
        }
    }

    /// The hash of the whole file, if all its blocks were pushed.
    pub(in crate::verify) fn hash(&self) -> Hash32 {
        self.merger.finish()
    }

    fn write(&mut self) -> Result<(), ManifestError> {
        let (begin, prev) = match self.written {
            Some(written) => written,
            None => {
                let begin = self.scribe.record(&Record::Begin(Begin {
                    path: self.path.clone(),
                    source: self.source,
                    attempt: 0,
                    adopts: true,
                }))?;
                (begin, begin)
            }
        };
        let hashes = std::mem::take(&mut self.waiting);
        let first = self.merger.count() - hashes.len() as u64;
        let last = self.scribe.record(&Record::Blocks(Blocks {
            begin,
            prev,
            first,
            hashes,
        }))?;
        self.written = Some((begin, last));
        Ok(())
    }

    /// The file is as it should be: from now on it counts. `unsettled`: its source had not settled.
    pub(in crate::verify) fn done(
        mut self,
        dest: DestMeta,
        unsettled: bool,
    ) -> Result<(), ManifestError> {
        let single = self.scribe.block_size.is_single(self.source.size);
        if !single && !self.waiting.is_empty() {
            self.write()?;
        }
        self.scribe.record(&Record::Done(Done {
            path: self.path,
            size: self.source.size,
            mtime_ns: self.source.mtime_ns,
            dest,
            hash: self.merger.finish(),
            attempt: None,
            chain: self.written.map_or(0, |(_, last)| last),
            ctimes: None,
            unsettled,
        }))?;
        self.scribe.files.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// It is not: nothing is said of it.
    pub(in crate::verify) fn forget(self) -> Result<(), ManifestError> {
        match self.written {
            Some(_) => self.scribe.record(&Record::Removed(self.path)).map(drop),
            None => Ok(()),
        }
    }
}
