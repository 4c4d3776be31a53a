//! Compaction: a new manifest file with only the records that count, put in place of the old.

use super::history::Carried;
use super::*;
use crate::manifest::{Begin, Blocks};

impl<F: Fs> Store<F> {
    /// Writes every record that counts to a new file, in the order they have now, and puts it in
    /// place. To be called only when all of them are true and durable: the new file says so.
    ///
    /// Until the rename nothing has changed; the lock goes over to the new file with it, and
    /// whoever waits for the old one looks again. Does nothing if the run is asked to stop meanwhile.
    pub(crate) fn compact(&mut self, holder: Option<&Holder>) -> Result<(), ManifestError> {
        let dir = self.open_state_dir()?;
        let header = self.header.of_new_file();
        let header = header.at("make a nonce for", &self.path)?;
        let mut new = Self::begin_new(&self.fs, dir, &self.path, header, MANIFEST_NEW)?;
        let filled = self.compact_into(&mut new);
        if filled.is_err() && self.stopper.is_stopped() {
            new.abandon(MANIFEST_NEW);
            return Ok(());
        }
        let written = filled.and_then(|()| {
            new.set_holder(holder);
            new.put_in_place(MANIFEST_NEW, MANIFEST)
        });
        match written.is_ok() {
            true => *self = new,
            false => new.abandon(MANIFEST_NEW),
        }
        written
    }

    /// Appends every record that counts to a new file.
    fn compact_into(&self, new: &mut Store<F>) -> Result<(), ManifestError> {
        new.latch = self.latch.clone();
        new.stopper = self.stopper.clone();
        if let Some((begin, Some(end))) = self.last_run {
            self.copy_run_begin(new, begin)?;
            new.append(&self.read(end)?)?;
        }
        let mut due = self.read_back_due;
        let mut history = Carried::from(self)?;
        for pos in self.positions() {
            self.check_stop()?;
            if due.is_some_and(|due| pos >= due) {
                new.append(&Record::ReadBack { due: true })?;
                due = None;
            }
            let moved = match self.entry_at(pos)?.1 {
                Entry::Partial(partial) => {
                    self.copy_chain(new, partial.last_pos, &partial.begin)?
                }
                Entry::Done(done) if done.chain != 0 => {
                    let begin = self.begin_of(done.chain)?;
                    let chain = self.copy_chain(new, done.chain, &begin)?;
                    new.append(&Record::Done(Done { chain, ..done }))?
                }
                Entry::Done(done) => new.append(&Record::Done(done))?,
                _ => new.append(&self.read(pos)?)?,
            };
            history.moved(pos, moved);
        }
        if let Some((begin, None)) = self.last_run {
            // What follows is of this run.
            self.copy_run_begin(new, begin)?;
        }
        if due.is_some() {
            new.append(&Record::ReadBack { due: true })?;
        }
        history.append(self, new)?;
        new.seal()
    }

    /// Appends the beginning of the last run, with the mounts that were noted since.
    fn copy_run_begin(&self, new: &mut Store<F>, at: u64) -> Result<(), ManifestError> {
        new.append(&self.read(at)?)?;
        for mounted in self.mounted() {
            if !new.mounted().contains(mounted) {
                new.append(&Record::Mounted(mounted.clone()))?;
            }
        }
        Ok(())
    }

    /// The directory of the manifest, once more: a store has one of its own.
    pub(super) fn open_state_dir(&self) -> Result<F::Dir, ManifestError> {
        let opened = self.fs.open_dir(&RelPath::state_dir());
        Ok(opened.at("open the directory of", &self.path)?)
    }

    /// Says that everything in this new manifest is true and durable.
    fn seal(&mut self) -> Result<(), ManifestError> {
        for _ in 0..2 {
            let covers = self.end();
            self.barrier(covers)?;
        }
        self.trusted = self.end();
        Ok(())
    }

    /// Writes the chain that ends at `last` with as few records as it needs; gives the position of
    /// the new last one.
    fn copy_chain(
        &self,
        new: &mut Store<F>,
        last: u64,
        begin: &Begin,
    ) -> Result<u64, ManifestError> {
        let chain = self.chain(last)?;
        let begin_pos = new.append(&Record::Begin(begin.clone()))?;
        let mut prev = begin_pos;
        let mut written = 0;
        let mut hashes = Vec::new();
        let mut failed = Ok(());
        let mut put = |first: u64, hashes: Vec<Hash32>| {
            let record = Record::Blocks(Blocks {
                begin: begin_pos,
                prev,
                first,
                hashes,
            });
            new.append(&record).map(|pos| prev = pos)
        };
        self.for_each_hash(&chain, |_, hash| {
            hashes.push(*hash);
            if hashes.len() == Blocks::HASHES_MAX && failed.is_ok() {
                let full = std::mem::take(&mut hashes);
                let first = written;
                written += full.len() as u64;
                failed = put(first, full);
            }
        })?;
        failed?;
        if !hashes.is_empty() {
            put(written, hashes)?;
        }
        Ok(prev)
    }

    fn begin_of(&self, chain: u64) -> Result<Begin, ManifestError> {
        match self.entry_at(chain)?.1 {
            Entry::Partial(partial) => Ok(partial.begin),
            _ => Err(self.damaged(chain, "a chain of blocks is broken")),
        }
    }
}
