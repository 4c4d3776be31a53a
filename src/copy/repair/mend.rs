//! Mending one file: its blocks are read back; if some are bad, a partial is made of the good ones and
//! of the source's for the bad ones, each checked against its recorded hash before it is written.

use std::ops::Range;
use std::sync::Arc;

use crate::block::BlockSize;
use crate::copy::failure::{self, Failure};
use crate::copy::message::{Completed, Content, Message, Settled, Work};
use crate::copy::read_back;
use crate::copy::worker::{Piece, Sink, Worker};
use crate::error::EntryError;
use crate::event::Outcome;
use crate::fs::{Access, AlignedBuf, Fs, FsFile, Meta, Stat, found, source::SourceFile};
use crate::hash::{BlockHasher, Hash32, hash_block};
use crate::manifest::{DestMeta, Done};
use crate::plan::is_as_published;
use crate::verify::medium;

/// A file under repair.
struct Mending<'a, 'w, F: Fs> {
    worker: &'a Worker<'w, F>,
    work: &'a Work<F>,
    done: &'a Done,
    hashes: Vec<Hash32>,
    bad: Vec<Range<u64>>,
    /// One block of the source.
    block: Vec<u8>,
    /// Runs of zeros become holes, since there were some before.
    sparse: bool,
    /// Bytes that were taken from the source.
    taken: u64,
}

/// Looks at a file, and mends it if it has to be.
pub(in crate::copy) fn mend<F: Fs>(
    worker: &Worker<'_, F>,
    work: &Work<F>,
    done: &Done,
) -> Result<Message<F>, Failure> {
    let shared = worker.shared;
    let stops = |at| {
        worker.reached(at);
        shared.should_stop()
    };
    let found = read_back::read_back(shared, done, &mut medium::buffer(), stops);
    let found = found.map_err(Failure::Fatal)?.ok_or(Failure::Stopped)?;
    if found.is_right() {
        return Ok(Message::Settled {
            path: work.path.clone(),
            outcome: Outcome::Unchanged,
            what: Settled::File { bytes: done.size },
        });
    }
    let look = shared.fs.stat(&work.dir, work.path.name());
    let stat = look.map_err(worker.at_dest("look at", &work.path))?;
    if stat.is_some_and(|stat| !is_as_published(shared.times, done, &stat)) {
        return Err(EntryError::Modified(shared.full(&work.path)).into());
    }
    let hashes = read_back::hashes(shared, done).map_err(Failure::Fatal)?;
    let mut mending = Mending {
        worker,
        work,
        done,
        hashes,
        bad: found.not_read(done.size),
        block: Vec::new(),
        sparse: false,
        taken: 0,
    };
    let (attempt, name, file) = worker.create(work)?;
    match mending.write(&file, stat) {
        Ok(dest) => Ok(Message::Complete {
            worker: None,
            completed: Box::new(Completed {
                path: work.path.clone(),
                mtime_ns: done.mtime_ns,
                dest,
                attempt: Some(attempt),
                content: Content::Repaired {
                    size: done.size,
                    hash: done.hash,
                    chain: done.chain,
                    taken: mending.taken,
                    unsettled: done.unsettled,
                },
                file: Some(Arc::new(file)),
            }),
        }),
        Err(Failure::Fatal(error)) => Err(Failure::Fatal(error)),
        Err(failure) => {
            worker.discard(work, attempt, &name)?;
            Err(failure)
        }
    }
}

impl<F: Fs> Mending<'_, '_, F> {
    fn size(&self) -> BlockSize {
        self.worker.shared.block_size
    }

    /// Fills the partial, gives it its metadata and flushes it.
    fn write(&mut self, file: &F::File, old: Option<Stat>) -> Result<DestMeta, Failure> {
        let (source, its_stat) = self.source()?;
        let fs = &*self.worker.shared.fs;
        let at_dest = self
            .worker
            .at_dest("write to the repaired", &self.work.path);
        let name = self.work.path.name();
        let held = match old {
            Some(_) => found(fs.open(&self.work.dir, name, Access::Read)).map_err(&at_dest)?,
            None => None,
        };
        if let (Some(held), Some(old)) = (&held, &old)
            && held.stat().map_err(&at_dest)?.id() != old.id()
        {
            return Err(at_dest(crate::fs::swapped()));
        }
        let has_old = held.is_some();
        let shares = match &held {
            Some(held) => file.share(held).map_err(&at_dest)?,
            None => false,
        };
        let like = old.unwrap_or(its_stat);
        // In a file that shares the blocks of the old one, what is left out would stay as it was.
        self.sparse = !shares && like.allocated < like.size;
        let old = match has_old && !shares {
            true => found(fs.open_medium(&self.work.dir, name)).map_err(&at_dest)?,
            false => None,
        };
        let mut buf = medium::buffer();
        for index in 0..self.hashes.len() as u64 {
            if self.worker.shared.should_stop() {
                return Err(Failure::Stopped);
            }
            let range = self.size().range(index, self.done.size);
            self.worker.reached(range.start);
            let is_bad = self.bad.iter().any(|bad| bad.contains(&range.start));
            let has_good = !is_bad
                && match &old {
                    None => shares && self.is_good(index, file, &mut buf)?,
                    Some(old) => self.copy_good(index, old, file, &mut buf)?,
                };
            if !has_good {
                self.take(index, &source, file)?;
            }
        }
        file.set_len(self.done.size).map_err(&at_dest)?;
        let dest = self.set_meta(file, held.as_ref(), &source)?;
        // Its blocks are recorded as durable already. So that this is as good as for those of a
        // copy, they are flushed twice: here, and by the barrier that publishes the file.
        file.sync()
            .map_err(|error| self.worker.flush_failed(self.work, error))?;
        Ok(dest)
    }

    /// Gives the file the recorded metadata, with the attributes of the old file, or of the source
    /// if there is none.
    fn set_meta(
        &self,
        file: &F::File,
        old: Option<&F::File>,
        source: &SourceFile,
    ) -> Result<DestMeta, Failure> {
        let (shared, done) = (self.worker.shared, self.done);
        let at_dest = self.worker.at_dest("set the metadata of", &self.work.path);
        let xattrs = match old {
            Some(old) => shared.xattrs(|| old.xattrs()),
            None => shared.xattrs(|| source.xattrs()),
        };
        let (acls, xattrs) = xattrs.map_err(&at_dest)?.split();
        let meta = Meta {
            mode: Some(done.dest.asked_mode()),
            owner: (shared.options.owner).then_some(done.dest.asked_owner()),
            times_ns: Some((done.mtime_ns, done.mtime_ns)),
            acls: Some(acls),
            xattrs: Some(xattrs),
        };
        file.set_meta(&meta).map_err(&at_dest)?;
        let seen = shared.seen_file(file).map_err(&at_dest)?;
        Ok(DestMeta::of(&meta, done.mtime_ns, &seen, Some(&done.dest)))
    }

    /// The source, if it may still hold what was copied.
    fn source(&self) -> Result<(SourceFile, Stat), Failure> {
        let path = &self.work.source;
        let opened = SourceFile::open(path);
        let source = opened.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                EntryError::NoSource(self.worker.shared.full(&self.work.path)).into()
            }
            _ => failure::at_source(self.worker.shared, path, error),
        })?;
        let stat = source.stat();
        let stat = stat.map_err(|error| failure::at_source(self.worker.shared, path, error))?;
        match stat.size == self.done.size {
            true => Ok((source, stat)),
            false => Err(self.edited()),
        }
    }

    fn edited(&self) -> Failure {
        EntryError::SourceEdited {
            path: self.worker.shared.full(&self.work.path),
            from: self.work.source.clone(),
        }
        .into()
    }

    /// Whether a block that is shared with the old file is what was copied. Nobody else can change it any more.
    fn is_good(&self, index: u64, file: &F::File, buf: &mut AlignedBuf) -> Result<bool, Failure> {
        let at_dest = self.worker.at_dest("read the repaired", &self.work.path);
        let range = self.size().range(index, self.done.size);
        let single = self.size().is_single(self.done.size);
        let mut hasher = BlockHasher::new(range.start, single);
        let mut at = range.start;
        while at < range.end {
            // No more than the buffer holds, so it fits.
            let wanted = (range.end - at).min(buf.len() as u64) as usize;
            let have = match file.read_at(&mut buf[..wanted], at) {
                Ok(have) => have,
                Err(error) if crate::fs::is_gone(&*self.worker.shared.fs, &error) => {
                    return Err(at_dest(error));
                }
                Err(_) => return Ok(false),
            };
            if have < wanted {
                return Ok(false);
            }
            hasher.update(&buf[..wanted]);
            at += wanted as u64;
        }
        Ok(hasher.finish() == self.hashes[index as usize])
    }

    /// Copies a good block of the old file, hashing it once more. `false`: it is not good after all.
    fn copy_good(
        &self,
        index: u64,
        old: &F::File,
        file: &F::File,
        buf: &mut AlignedBuf,
    ) -> Result<bool, Failure> {
        let at_dest = self
            .worker
            .at_dest("write to the repaired", &self.work.path);
        let range = self.size().range(index, self.done.size);
        let single = self.size().is_single(self.done.size);
        let mut hasher = BlockHasher::new(range.start, single);
        let mut sink = Sink::<F>::at(file, range.start, self.sparse);
        let mut at = range.start;
        while at < range.end {
            // No more than the buffer holds, so it fits.
            let wanted = (range.end - at).min(buf.len() as u64) as usize;
            let asked = wanted.next_multiple_of(crate::fs::ALIGN);
            let have = match old.read_at(&mut buf[..asked], at) {
                Ok(have) => have.min(wanted),
                Err(error) if crate::fs::is_gone(&*self.worker.shared.fs, &error) => {
                    return Err(at_dest(error));
                }
                Err(_) => 0,
            };
            if have < wanted {
                break;
            }
            hasher.update(&buf[..wanted]);
            let piece = Piece::Data(&buf[..wanted]);
            sink.put(piece, at).map_err(&at_dest)?;
            at += wanted as u64;
        }
        let is_good = at == range.end && hasher.finish() == self.hashes[index as usize];
        match is_good {
            true => sink.finish(range.end),
            // Whatever takes its place may leave out its zeros.
            false => file.set_len(range.start),
        }
        .map_err(&at_dest)?;
        Ok(is_good)
    }

    /// Takes a block from the source. Not a byte is written before its hash is the recorded one.
    fn take(&mut self, index: u64, source: &SourceFile, file: &F::File) -> Result<(), Failure> {
        let range = self.size().range(index, self.done.size);
        // A block is at most 64 MiB.
        self.block.resize((range.end - range.start) as usize, 0);
        self.worker.shared.throttle.take(self.block.len() as u64);
        let have = source
            .read(&mut self.block, range.start)
            .map_err(|error| failure::at_source(self.worker.shared, &self.work.source, error))?;
        let single = self.size().is_single(self.done.size);
        let is_same = have == self.block.len()
            && hash_block(&self.block, range.start, single) == self.hashes[index as usize];
        if !is_same {
            return Err(self.edited());
        }
        let mut sink = Sink::<F>::at(file, range.start, self.sparse);
        let written = sink.put(Piece::Data(&self.block), range.start);
        let written = written.and_then(|()| sink.finish(range.end));
        written.map_err(
            self.worker
                .at_dest("write to the repaired", &self.work.path),
        )?;
        self.taken += have as u64;
        Ok(())
    }
}
