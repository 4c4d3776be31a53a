//! Comparing one entry of the destination with its source, and recording it if they are the same.

use std::io;

use crossbeam_channel::{Receiver, Sender};

use super::metadata;
use super::scribe::FileHashes;
use super::source::Shared;
use crate::error::{Error, PathError};
use crate::event::{Damage, ReadHow, Verdict};
use crate::fs::source::{SourceEntry, SourceFile};
use crate::fs::{AlignedBuf, FlushBy, Fs, Kind, Meta, Stat, Times, Xattrs};
use crate::manifest::{DestMeta, DirRecord, Record, Seen, SpecialRecord, SymlinkRecord};
use crate::plan::{source_id, wanted};
use crate::scan::Scanned;
use crate::verify::against::{self, Failed};
use crate::verify::check::Judged;
use crate::verify::damage::BadBlocks;
use crate::verify::medium::{self, MediumReader};
use crate::verify::{Checked, Halt, REPORT_BYTES, Report, told};

impl<F: Fs> Shared<F> {
    /// One worker.
    pub(super) fn work(&self, works: &Receiver<Scanned>, reports: &Sender<Report>) {
        let mut worker = Worker {
            shared: self,
            reports,
            buf: medium::even_buffer(&self.throttle),
            unreported: 0,
        };
        let result = works.iter().try_for_each(|scanned| {
            self.signals.check_stop()?;
            let (verdict, how) = match worker.judge(&scanned) {
                Ok(judged) => judged,
                Err(Trouble::Path(error)) => (Verdict::Unreadable { error }, None),
                Err(Trouble::Halt(halt)) => return Err(halt),
            };
            let mut checked = Checked::again(scanned.dest, Some(scanned.stat.kind), verdict);
            checked.how = how;
            super::report(&*self.fs, &self.dest, reports, checked)
        });
        let reported = told(reports, worker.unreported);
        self.signals.ended(reports, result.and(reported));
    }
}

/// Why an entry has no verdict.
enum Trouble {
    Path(PathError),
    Halt(Halt),
}

impl From<Halt> for Trouble {
    fn from(halt: Halt) -> Trouble {
        Trouble::Halt(halt)
    }
}

struct Worker<'a, F: Fs> {
    shared: &'a Shared<F>,
    reports: &'a Sender<Report>,
    buf: AlignedBuf,
    /// Bytes that were read back and not told of yet.
    unreported: u64,
}

impl<F: Fs> Worker<'_, F> {
    /// Compares both sides of an entry, and records it if they are the same.
    fn judge(&mut self, scanned: &Scanned) -> Result<Judged, Trouble> {
        let shared = self.shared;
        let look = shared.stat(&scanned.dest);
        let Some(there) = self.at_dest(scanned, "look at", look)? else {
            return Ok((Verdict::Missing, None));
        };
        if there.kind != scanned.stat.kind {
            let what = format!(
                "it is {}, and at the source {}",
                there.kind.describe(),
                scanned.stat.kind.describe()
            );
            return Ok((Verdict::Modified { what, damage: None }, None));
        }
        match scanned.stat.kind {
            Kind::Dir => self.dir(scanned, there),
            Kind::File => self.file(scanned, there),
            Kind::Symlink => self.symlink(scanned, there),
            Kind::Special(what) => {
                let (dest, verdict) = self.metadata(scanned, there)?;
                self.record(Record::Special(SpecialRecord {
                    path: scanned.dest.clone(),
                    what,
                    mtime_ns: scanned.stat.mtime_ns,
                    dest,
                    attempt: 0,
                }))?;
                Ok((verdict, None))
            }
        }
    }

    fn dir(&self, scanned: &Scanned, there: Stat) -> Result<Judged, Trouble> {
        let (dest, verdict) = self.metadata(scanned, there)?;
        self.record(Record::Dir(DirRecord {
            path: scanned.dest.clone(),
            atime_ns: scanned.stat.atime_ns,
            mtime_ns: scanned.stat.mtime_ns,
            dest,
        }))?;
        Ok((verdict, None))
    }

    fn symlink(&self, scanned: &Scanned, there: Stat) -> Result<Judged, Trouble> {
        let target = self.at_source(
            scanned,
            self.entry(scanned).and_then(|entry| entry.read_link()),
        )?;
        let (parent, name) = scanned.dest.split().unwrap_or_default();
        let dir = self.shared.fs.open_dir(&parent);
        let held = dir.and_then(|dir| self.shared.fs.read_symlink(&dir, name));
        if self.at_dest(scanned, "read", held)? != target {
            let what = "it points elsewhere than at the source".to_owned();
            return Ok((Verdict::Modified { what, damage: None }, None));
        }
        let (dest, verdict) = self.metadata(scanned, there)?;
        self.record(Record::Symlink(SymlinkRecord {
            path: scanned.dest.clone(),
            target,
            mtime_ns: scanned.stat.mtime_ns,
            dest,
            attempt: 0,
        }))?;
        Ok((verdict, None))
    }

    fn file(&mut self, scanned: &Scanned, there: Stat) -> Result<Judged, Trouble> {
        let (shared, stat) = (self.shared, &scanned.stat);
        if there.id() == stat.id() {
            let what =
                "it is the very file that the source has: nothing can be compared".to_owned();
            return Ok((Verdict::Modified { what, damage: None }, None));
        }
        if there.size != stat.size {
            let what = format!(
                "it is {} bytes long, and at the source {}",
                there.size, stat.size
            );
            return Ok((Verdict::Modified { what, damage: None }, None));
        }
        let _stream = shared.streams.take(stat.size);
        let source = self.at_source(scanned, shared.open_source(&scanned.source))?;
        let pause = |wait| shared.signals.pause(wait);
        let settled = source.settle(*source.opened(), pause);
        let unsettled = self.at_source(scanned, settled)?.unsettled;
        let (parent, name) = scanned.dest.split().unwrap_or_default();
        let opened = shared.fs.open_dir(&parent);
        let opened = opened.and_then(|dir| shared.medium.open(&dir, name));
        let mut reader = self.at_dest(scanned, "open", opened)?;
        let mut hashes = shared.scribe.file(&scanned.dest, source_id(stat));
        let compared = self.compare(scanned, &source, &mut reader, &mut hashes);
        let how = Some(reader.how());
        if !matches!(compared, Ok(Verdict::Ok)) {
            hashes.forget().map_err(|error| shared.failed(error))?;
            return Ok((compared?, how));
        }
        let (dest, verdict) = self.metadata(scanned, there)?;
        hashes
            .done(dest, unsettled)
            .map_err(|error| shared.failed(error))?;
        Ok((verdict, how))
    }

    /// Reads both sides of a file. `Ok`: they are the same, and that is proved and durable.
    fn compare(
        &mut self,
        scanned: &Scanned,
        source: &SourceFile,
        reader: &mut MediumReader<'_, F>,
        hashes: &mut FileHashes<'_, F>,
    ) -> Result<Verdict, Trouble> {
        let (shared, stat) = (self.shared, &scanned.stat);
        let size = shared.scribe.block_size();
        let mut bad = BadBlocks::new(size, stat.size);
        source.advise_sequential();
        reader.read_ahead(stat.size);
        for index in 0..size.count(stat.size) {
            shared.signals.check_stop()?;
            let before = reader.bytes_read();
            let held = reader.hash_block(&mut self.buf, index, stat.size);
            let held = self.at_dest(scanned, "read", held)?;
            self.read(reader.bytes_read() - before)?;
            let range = size.range(index, stat.size);
            let single = size.is_single(stat.size);
            let each = |_| shared.signals.check_stop();
            match against::hash_block(source, &mut self.buf, range, single, each) {
                Ok(Some(good)) if held == Some(good) => {
                    hashes.push(good).map_err(|error| shared.failed(error))?;
                }
                Ok(_) => bad.add(index),
                Err(Failed::Halt(halt)) => return Err(halt.into()),
                Err(Failed::Io(error)) => return self.at_source(scanned, Err(error)),
            }
        }
        let after = self.at_source(scanned, source.stat())?;
        if source_id(&after) != source_id(stat)
            || !self.at_source(scanned, source.ends_at(stat.size))?
        {
            let changed = io::Error::other(
                "it was changed while it was read, or does not end where its size says",
            );
            return self.at_source(scanned, Err(changed));
        }
        if !bad.is_empty() {
            return Ok(differs(bad.into_damage()));
        }
        if reader.how() == ReadHow::Cached && shared.require_medium {
            return Ok(Verdict::Unproven);
        }
        if shared.fs.rules(shared.fs.mount_of(&scanned.dest)).flush_by == FlushBy::Each {
            super::flush(
                &*shared.fs,
                reader.file(),
                &scanned.dest.below(&shared.dest),
            )?;
        }
        Ok(Verdict::Ok)
    }

    /// Counts bytes that were read back, and tells of them now and then.
    fn read(&mut self, bytes: u64) -> Result<(), Halt> {
        self.unreported += bytes;
        match self.unreported >= REPORT_BYTES {
            true => told(self.reports, std::mem::take(&mut self.unreported)),
            false => Ok(()),
        }
    }

    fn record(&self, record: Record) -> Result<(), Trouble> {
        let recorded = self.shared.scribe.record(&record);
        recorded.map_err(|error| self.shared.failed(error))?;
        Ok(())
    }

    /// What is to be recorded of an entry's metadata, and the verdict on what is there.
    fn metadata(&self, scanned: &Scanned, there: Stat) -> Result<(DestMeta, Verdict), Trouble> {
        let (shared, fs) = (self.shared, &*self.shared.fs);
        let xattrs = self.at_source(
            scanned,
            self.entry(scanned).and_then(|entry| entry.xattrs()),
        )?;
        let held = match scanned.dest.split() {
            None => fs.dir_xattrs(&fs.root()),
            Some((parent, name)) => fs.open_dir(&parent).and_then(|dir| fs.xattrs(&dir, name)),
        };
        let held: Xattrs = self.at_dest(scanned, "look at", held)?;
        let seen = Seen::new(there, held);
        let wanted: Meta = wanted::wanted(
            &shared.copy,
            shared.own,
            &scanned.stat,
            xattrs,
            Some(&there),
            wanted::Inherited::default(),
        );
        let (times, mtime_ns) = (Times::of(fs), scanned.stat.mtime_ns);
        let dest = metadata::recorded(&wanted, mtime_ns, &seen, times);
        let verdict = match metadata::differences(&dest, mtime_ns, &seen, times) {
            None => Verdict::Ok,
            Some(what) => Verdict::Metadata { what },
        };
        Ok((dest, verdict))
    }

    fn entry(&self, scanned: &Scanned) -> io::Result<SourceEntry> {
        let path = &scanned.source;
        match self.shared.roots.iter().find(|root| root.holds(path)) {
            Some(root) => root.entry(path),
            None => Ok(SourceEntry::given(path)),
        }
    }

    fn at_dest<T>(
        &self,
        scanned: &Scanned,
        action: &'static str,
        result: io::Result<T>,
    ) -> Result<T, Trouble> {
        let path = || scanned.dest.below(&self.shared.dest);
        result.map_err(|error| Trouble::Path(PathError::new(action, path(), error)))
    }

    fn at_source<T>(&self, scanned: &Scanned, result: io::Result<T>) -> Result<T, Trouble> {
        result.map_err(|error| {
            let mut roots = self.shared.roots.iter();
            let gone = roots.any(|root| root.holds(&scanned.source) && root.is_gone(&error));
            let error = PathError::new("read", &scanned.source, error);
            match gone {
                true => Trouble::Halt(Halt::Failed(Error::SourceGone(error))),
                false => Trouble::Path(error),
            }
        })
    }
}

fn differs(damage: Damage) -> Verdict {
    Verdict::Modified {
        what: format!(
            "its content is not that of the source {}",
            crate::verify::content::in_words(&damage.ranges)
        ),
        damage: Some(damage),
    }
}
