//! Writing down what a verification does, while it does it.
//!
//! The manifest is held under a shared lock meanwhile, so that it can be read. There is still only
//! one writer: it was opened under the exclusive lock, which it gave up for the shared one, and
//! while that is held nobody else gets the exclusive one. Readers that open the manifest in the
//! middle of an append see a torn tail, and stop there.

use std::ops::Range;

use super::locked::try_lock;
use super::*;
use crate::manifest::verified::{Depth, Finding, Verified};

/// The appending end of a manifest that is being verified.
pub(crate) struct VerifyLog<F: Fs> {
    journal: Journal<F::File>,
    path: PathBuf,
    /// Whether all that came before is trusted, so that a barrier may be put behind it.
    seals: bool,
    latch: Latch,
}

impl<F: Fs> Store<F> {
    /// Gives up the exclusive lock for the shared one, and gives the end to append to. `None`: in
    /// between somebody else got the manifest.
    pub(crate) fn share(&self) -> Result<Option<VerifyLog<F>>, ManifestError> {
        let file = self.file();
        let locked = try_lock(&*file, lock::Mode::Shared, &self.path)?;
        if !locked || file.stat().at("look at", &self.path)?.size != self.end() {
            return Ok(None);
        }
        Ok(Some(VerifyLog {
            journal: Journal::new(file, self.header.key(), self.end()),
            path: self.path.clone(),
            seals: self.tail().positions.is_empty(),
            latch: self.latch.clone(),
        }))
    }
}

impl<F: Fs> VerifyLog<F> {
    /// Appends one record; `flush` makes it durable.
    pub(crate) fn append(&mut self, record: &Record) -> Result<u64, ManifestError> {
        Ok(self.journal.append(record).at("append to", &self.path)?)
    }

    /// Appends what was checked in ascending spans.
    pub(crate) fn verified(
        &mut self,
        run: u64,
        at_ms: u64,
        depth: Depth,
        mut spans: &[Range<u64>],
    ) -> Result<(), ManifestError> {
        while !spans.is_empty() {
            let (packed, rest) = Verified::pack(spans);
            self.append(&Record::Verified(Verified {
                run,
                at_ms,
                depth,
                spans: packed,
            }))?;
            spans = rest;
        }
        Ok(())
    }

    /// Appends what was found wrong with the path whose record is at `pos`.
    pub(crate) fn finding(&mut self, finding: Finding) -> Result<(), ManifestError> {
        self.append(&Record::Finding(finding)).map(drop)
    }

    /// Makes everything appended durable. Where files without a barrier behind them are cut off
    /// when the manifest is opened to be written, it gets one: it speaks of nothing but reading,
    /// and everything before is trusted, so it makes nothing true that is not.
    pub(crate) fn flush(&mut self) -> Result<(), ManifestError> {
        self.sync()?;
        if self.seals && !self.latch.is_closed() {
            let covers = self.journal.end();
            self.append(&Record::Barrier { covers })?;
            self.sync()?;
        }
        Ok(())
    }

    /// Hands everything appended to the system, so that it outlives this process.
    pub(crate) fn write_out(&mut self) -> Result<(), ManifestError> {
        Ok(self.journal.write_out().at("write to", &self.path)?)
    }

    fn sync(&mut self) -> Result<(), ManifestError> {
        self.write_out()?;
        let flushed = self.journal.file().sync();
        Ok(flushed
            .inspect_err(|_| self.latch.close())
            .at("flush", &self.path)?)
    }
}
