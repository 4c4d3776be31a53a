//! Recovery: what an earlier run recorded after its last trusted barrier is proved or forgotten.
//!
//! Each such claim is checked against what the medium holds, block by block, only where it is not
//! trusted: a partial is cut at its first block that differs, a done file is looked for under its
//! partial name (its rename was lost) and under its final one. What is proved is flushed and
//! covered by two new barriers, so that the run begins with a manifest that is trusted as a whole.
//! A crash in the middle of this changes nothing: it is simply done again.

use std::collections::BTreeSet;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Shared, failure, thread};
use crate::error::{Error, PathContext};
use crate::event::Recovered;
use crate::fs::{
    AlignedBuf, FlushBy, Fs, FsFile, Kind, Meta, SET_IDS, Stat, found, found_dir, is_gone,
};
use crate::hash::Hash32;
use crate::lock_mutex;
use crate::manifest::{
    Cut, Done, Entry, Partial, Record, SlotKind, SpecialRecord, SymlinkRecord, Tail,
};
use crate::partial::PartialName;
use crate::path::RelPath;
use crate::verify::medium;

mod apply;
mod made;
mod unflushed;

/// What became of one claim.
enum Finding {
    /// It is true as it stands.
    True,
    /// It is true, but under its partial name still: rename it.
    Rename { path: RelPath, attempt: u8 },
    /// Only the first blocks are there.
    Cut { partial: Partial, keep: u64 },
    /// It is not true.
    Untrue(RelPath),
}

/// The claims of a done file that are to be checked.
struct Claim {
    size: u64,
    first: u64,
    hashes: Vec<Hash32>,
    /// The time that the file must show, where its blocks alone do not tell it from an older one.
    mtime_ns: Option<i128>,
}

struct Recovery<'a, F: Fs> {
    shared: &'a Shared<F>,
    tail: Tail,
    next: AtomicUsize,
    findings: Mutex<Vec<Finding>>,
    /// The directories of what was looked at.
    dirs: Mutex<BTreeSet<RelPath>>,
    totals: Mutex<Recovered>,
}

/// Proves or forgets what is not trusted. `None`: the run was asked to stop before that was done,
/// so that no barrier may be made.
pub(super) fn recover<F: Fs>(
    shared: &Shared<F>,
    threads: usize,
) -> Result<Option<Recovered>, Error> {
    let changed = shared.cuts.any() && unflushed::cut(shared)?;
    let (tail, totals) = {
        let store = lock_mutex(&shared.store);
        (store.tail(), store.totals())
    };
    let recovery = Recovery {
        shared,
        next: AtomicUsize::new(0),
        findings: Mutex::new(Vec::with_capacity(tail.positions.len())),
        dirs: Mutex::default(),
        totals: Mutex::new(Recovered {
            files_done: totals.files_done + totals.symlinks + totals.specials,
            files_partial: totals.files_partial,
            ..Recovered::default()
        }),
        tail,
    };
    if changed || !recovery.tail.positions.is_empty() {
        recovery.check_all(threads)?;
        if shared.should_stop() || !recovery.apply()? {
            return Ok(None);
        }
    }
    if !recovery.reserve_names()? {
        return Ok(None);
    }
    let compacted = {
        let mut store = lock_mutex(&shared.store);
        // A position noted before has to stand until the end, to know what to read back.
        if store.wants_compaction() && !shared.cuts.any() {
            store.compact(Some(&crate::manifest::Holder::this_process()))
        } else {
            Ok(())
        }
    };
    compacted.map_err(|error| failure::manifest_failed(&*shared.fs, error))?;
    let totals = *lock_mutex(&recovery.totals);
    Ok(Some(totals))
}

impl<F: Fs> Recovery<'_, F> {
    fn check_all(&self, threads: usize) -> Result<(), Error> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads.min(self.tail.positions.len()))
                .map(|_| scope.spawn(|| self.check_some()))
                .collect();
            threads
                .into_iter()
                .try_for_each(|thread| match thread.join() {
                    Ok(result) => result,
                    Err(payload) => {
                        let text = thread::text("a thread that reads back", &*payload);
                        Err(self.shared.panic_error(text))
                    }
                })
        })
    }

    fn check_some(&self) -> Result<(), Error> {
        let mut buf = medium::buffer();
        while !self.shared.should_stop() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(pos) = self.tail.positions.get(number) else {
                break;
            };
            let entry = lock_mutex(&self.shared.store).entry_at(*pos);
            let (path, entry) =
                entry.map_err(|error| failure::manifest_failed(&*self.shared.fs, error))?;
            if let Some((dir, _)) = path.split() {
                lock_mutex(&self.dirs).insert(dir);
            }
            let finding = self.check(&path, entry, &mut buf)?;
            lock_mutex(&self.findings).push(finding);
        }
        Ok(())
    }

    fn check(&self, path: &RelPath, entry: Entry, buf: &mut AlignedBuf) -> Result<Finding, Error> {
        match entry {
            // The plan looks at these again in any case.
            Entry::Dir(_) | Entry::Link(_) | Entry::LinkWanted(_) => Ok(Finding::True),
            Entry::Symlink(link) => self.check_symlink(path, &link),
            Entry::Special(special) => self.check_special(path, &special),
            Entry::Partial(partial) if partial.begin.adopts => Ok(Finding::Untrue(path.clone())),
            Entry::Partial(partial) => self.check_partial(path, partial, buf),
            Entry::Done(done) => self.check_done(path, &done, buf),
        }
    }

    /// An error at the destination: a file that cannot be read back is one that is not there,
    /// unless the device is gone as a whole.
    fn unless_gone<T>(&self, path: &RelPath, result: io::Result<T>) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_gone(&*self.shared.fs, &error) => Err(failure::ends_run(
                &*self.shared.fs,
                "read back",
                self.shared.full(path),
                error,
            )),
            Err(_) => Ok(None),
        }
    }

    fn parent(&self, path: &RelPath) -> Result<Option<F::Dir>, Error> {
        let Some((parent, _)) = path.split() else {
            return Ok(None);
        };
        self.unless_gone(path, self.shared.fs.open_dir(&parent))
    }

    fn check_partial(
        &self,
        path: &RelPath,
        partial: Partial,
        buf: &mut AlignedBuf,
    ) -> Result<Finding, Error> {
        let size = partial.begin.source.size;
        let claim = self.claim(partial.last_pos, size)?;
        let name = self.partial_name(path, partial.begin.attempt);
        let Some(dir) = self.parent(path)? else {
            return Ok(Finding::Untrue(path.clone()));
        };
        let (first, claimed) = (claim.first, claim.hashes.len() as u64);
        let Some(matching) = self.matching(path, &dir, &name, &claim, buf)? else {
            return Ok(Finding::Untrue(path.clone()));
        };
        if matching == claimed {
            return Ok(Finding::True);
        }
        let keep = first + matching;
        let block = self.shared.block_size.bytes();
        lock_mutex(&self.totals).bytes_discarded += (claimed - matching) * block;
        Ok(Finding::Cut { partial, keep })
    }

    fn check_done(
        &self,
        path: &RelPath,
        done: &Done,
        buf: &mut AlignedBuf,
    ) -> Result<Finding, Error> {
        let mut claim = match done.chain {
            0 => Claim {
                size: done.size,
                first: 0,
                hashes: vec![done.hash],
                mtime_ns: None,
            },
            chain => self.claim(chain, done.size)?,
        };
        if claim.hashes.is_empty() {
            // All blocks are trusted, but not that this is the file they are in.
            claim = self.last_block(done, claim)?;
        }
        let Some(dir) = self.parent(path)? else {
            return Ok(Finding::Untrue(path.clone()));
        };
        if let Some(attempt) = done.attempt {
            let name = self.partial_name(path, attempt);
            if self.is_whole(path, &dir, &name, &claim, buf)? {
                self.set_meta(path, &dir, &name, done)?;
                let path = path.clone();
                return Ok(Finding::Rename { path, attempt });
            }
        }
        if !self.is_whole(path, &dir, path.name(), &claim, buf)? {
            return Ok(Finding::Untrue(path.clone()));
        }
        self.set_meta(path, &dir, path.name(), done)?;
        Ok(Finding::True)
    }

    /// The hashes of a chain that are not trusted.
    fn claim(&self, chain: u64, size: u64) -> Result<Claim, Error> {
        let store = lock_mutex(&self.shared.store);
        let failed = |error| failure::manifest_failed(&*self.shared.fs, error);
        let chain = store.chain(chain).map_err(failed)?;
        let first = chain.blocks_before(self.tail.trusted);
        let mut hashes = Vec::new();
        store
            .for_each_hash(&chain, |index, hash| {
                if index >= first {
                    hashes.push(*hash);
                }
            })
            .map_err(failed)?;
        Ok(Claim {
            size,
            first,
            hashes,
            mtime_ns: None,
        })
    }

    fn last_block(&self, done: &Done, claim: Claim) -> Result<Claim, Error> {
        let store = lock_mutex(&self.shared.store);
        let failed = |error| failure::manifest_failed(&*self.shared.fs, error);
        let chain = store.chain(done.chain).map_err(failed)?;
        let mut last = None;
        store
            .for_each_hash(&chain, |index, hash| last = Some((index, *hash)))
            .map_err(failed)?;
        Ok(match last {
            Some((first, hash)) => Claim {
                first,
                hashes: vec![hash],
                mtime_ns: Some(done.dest_mtime_ns()),
                ..claim
            },
            None => claim,
        })
    }

    /// How many of the claimed blocks the file holds, one behind the other. `None`: there is no
    /// such file, or it is too short to hold even the trusted blocks.
    fn matching(
        &self,
        path: &RelPath,
        dir: &F::Dir,
        name: &[u8],
        claim: &Claim,
        buf: &mut AlignedBuf,
    ) -> Result<Option<u64>, Error> {
        let size = self.shared.block_size;
        let opened = self.shared.medium.open(dir, name);
        let Some(mut reader) = self.unless_gone(path, opened)? else {
            return Ok(None);
        };
        let Some(stat) = self.unless_gone(path, reader.stat())? else {
            return Ok(None);
        };
        if stat.size < size.range(claim.first, claim.size).start {
            return Ok(None);
        }
        let mut matching = 0;
        for (index, hash) in (claim.first..).zip(&claim.hashes) {
            let read = reader.hash_block(buf, index, claim.size);
            if self.unless_gone(path, read)?.flatten() != Some(*hash) {
                break;
            }
            matching += 1;
        }
        lock_mutex(&self.totals).bytes_rehashed += reader.bytes_read();
        if self.shared.flushes_each(path) {
            let path = self.shared.full(path);
            let flushed = reader.file().sync();
            flushed
                .map_err(|error| failure::flush_failed(&*self.shared.fs, "flush", path, error))?;
        }
        Ok(Some(matching))
    }

    /// Whether the file of this name is exactly as long as claimed and holds all that is claimed.
    fn is_whole(
        &self,
        path: &RelPath,
        dir: &F::Dir,
        name: &[u8],
        claim: &Claim,
        buf: &mut AlignedBuf,
    ) -> Result<bool, Error> {
        let stat = self.unless_gone(path, self.shared.fs.stat(dir, name))?;
        match stat.flatten() {
            Some(stat)
                if stat.kind == Kind::File
                    && stat.size == claim.size
                    && claim.mtime_ns.is_none_or(|time| time == stat.mtime_ns) => {}
            _ => return Ok(false),
        }
        let matching = self.matching(path, dir, name, claim, buf)?;
        Ok(matching == Some(claim.hashes.len() as u64))
    }

    /// Sets the recorded metadata if what was flushed last does not show it.
    fn set_meta(
        &self,
        path: &RelPath,
        dir: &F::Dir,
        name: &[u8],
        done: &Done,
    ) -> Result<(), Error> {
        let fs = &*self.shared.fs;
        // It was given away before it was published, unless it still belongs to this user. Whoever else owns it
        // may have put it there, and gets nothing that would run in its owner's name.
        let has_set_id = done.dest.mode & SET_IDS != 0;
        let is_it = |stat: &Stat| {
            let is_theirs = stat.uid == done.dest.uid && !has_set_id && stat.nlink <= 1;
            stat.kind == Kind::File && (self.shared.is_own(stat) || is_theirs)
        };
        let meta = Meta {
            mode: Some(done.dest.mode),
            owner: (self.shared.options.owner).then_some((done.dest.uid, done.dest.gid)),
            times_ns: Some((done.mtime_ns, done.mtime_ns)),
            ..Meta::default()
        };
        let set = fs.stat(dir, name).and_then(|stat| match stat {
            Some(stat) if stat.mtime_ns == done.dest_mtime_ns() && stat.mode == done.dest.mode => {
                Ok(())
            }
            _ => fs.set_meta(dir, name, &is_it, &meta),
        });
        // Wrong metadata is for the plan to see and to mend; wrong devices are not.
        self.unless_gone(path, set).map(drop)
    }

    fn partial_name(&self, path: &RelPath, attempt: u8) -> PartialName {
        self.shared.names.name(path, attempt)
    }

    /// Keeps the names of all partials from being taken for left over. `false`: the run was asked to stop before
    /// that was done.
    fn reserve_names(&self) -> Result<bool, Error> {
        let store = lock_mutex(&self.shared.store);
        for pos in store.positions_of(SlotKind::Partial) {
            if self.shared.should_stop() {
                return Ok(false);
            }
            let entry = store.entry_at(pos);
            let entry = entry.map_err(|error| failure::manifest_failed(&*self.shared.fs, error))?;
            if let (path, Entry::Partial(partial)) = entry
                && !partial.begin.adopts
            {
                self.shared.names.reserve(&path, partial.begin.attempt);
            }
        }
        Ok(true)
    }
}
