//! Taking a record, read or just appended, into index, totals and the count of garbage.

use super::*;
use crate::codec;
use crate::manifest::glance::Glance;
use crate::manifest::journal::Scanned;

/// So many records before it is needed, the memory of a path's slot is asked for.
const SOON: usize = 8;

impl<F: Fs> Store<F> {
    /// Takes a record that was read while the manifest is opened. Nearly all are of paths that had
    /// none before, and of those a glance is enough.
    pub(super) fn note_read(&mut self, frame: &Scanned<'_>) -> Result<(), ManifestError> {
        if let Some((_, Glance::Sets { hash, .. })) = frame.behind.get(SOON) {
            self.index.fetch(*hash);
        }
        match frame.glance {
            Glance::Whole(record) => self.note(frame.pos, record, frame.bytes()),
            Glance::Sets { hash, kind, bytes } if self.index.candidates(*hash).next().is_none() => {
                let (pos, kind) = (frame.pos, *kind);
                self.last_said = Some(pos);
                self.insert(*hash, Found { pos, kind }, *bytes);
                Ok(())
            }
            Glance::Sets { .. } | Glance::Barrier { .. } | Glance::Unknown => {
                let record = codec::decode(frame.payload());
                let record = record.map_err(|_| self.damaged(frame.pos, journal::NO_RECORD))?;
                self.note(frame.pos, &record, frame.bytes())
            }
        }
    }

    /// Takes in the first record of a path.
    fn insert(&mut self, hash: PathHash, found: Found, bytes: u64) {
        self.index.insert(hash, found);
        self.count(hash, found, bytes);
    }

    /// Counts what is new.
    fn count(&mut self, hash: PathHash, found: Found, bytes: u64) {
        if found.kind == SlotKind::Partial {
            // Bounded: only a help for the next few `Blocks`.
            if self.begins.len() >= 1024 {
                self.begins.clear();
            }
            self.begins.insert(found.pos, hash);
        }
        self.totals.count(found.kind, bytes, true);
    }

    /// Takes a record at `pos`, read or just appended, whose frame takes so many bytes.
    pub(super) fn note(
        &mut self,
        pos: u64,
        record: &Record,
        bytes: u64,
    ) -> Result<(), ManifestError> {
        if record.says_something() {
            self.last_said = Some(pos);
        }
        let (hash, kind) = match record {
            Record::RunBegin(begin) => {
                self.last_run = Some((pos, None));
                self.mounted.clone_from(&begin.mounts);
                self.overhead.run_begin(bytes);
                return Ok(());
            }
            Record::RunEnd(_) => {
                if let Some((_, end)) = &mut self.last_run {
                    *end = Some(pos);
                }
                self.overhead.run_end(bytes);
                return Ok(());
            }
            Record::Mounted(mounted) => {
                let mut known = self.mounted.iter();
                match known.position(|it| it.is_same_mount(mounted)) {
                    Some(index) => {
                        self.mounted[index].unchecked = mounted.unchecked;
                        self.overhead.waste(bytes);
                    }
                    None if self.mounted.len() < Mounted::KEPT_MAX => {
                        self.mounted.push(mounted.clone());
                        self.overhead.mounted(bytes);
                    }
                    None => self.overhead.waste(bytes),
                }
                return Ok(());
            }
            Record::Barrier { .. } => {
                self.overhead.waste(bytes);
                return Ok(());
            }
            Record::ReadBack { due } => {
                // What is due stays due from where it was first.
                self.overhead.read_back(*due, bytes);
                self.read_back_due = due.then(|| self.read_back_due.unwrap_or(pos));
                return Ok(());
            }
            Record::VerifyBegin(_)
            | Record::Verified(_)
            | Record::Finding(_)
            | Record::VerifyEnd(_) => {
                let garbage = self.verify.note(pos, record, bytes);
                self.overhead.waste(garbage);
                return Ok(());
            }
            Record::Blocks(blocks) => {
                return self.note_more(pos, record, blocks.begin, blocks.prev);
            }
            Record::Cut(cut) => return self.note_more(pos, record, cut.begin, cut.prev),
            Record::Removed(path) => {
                if let Some((old, _)) = self.lookup(path)? {
                    self.retire(old, None)?;
                    self.index.remove(self.index.hash(path), old);
                }
                self.overhead.waste(bytes);
                return Ok(());
            }
            Record::Dir(dir) => (self.index.hash(&dir.path), SlotKind::Dir),
            Record::Symlink(link) => (self.index.hash(&link.path), SlotKind::Symlink),
            Record::Special(special) => (self.index.hash(&special.path), SlotKind::Special),
            Record::Begin(begin) => (self.index.hash(&begin.path), SlotKind::Partial),
            Record::Done(done) => (self.index.hash(&done.path), SlotKind::Done),
            Record::LinkWanted(link) => (self.index.hash(&link.path), SlotKind::LinkWanted),
            Record::Link(link) => (self.index.hash(&link.path), SlotKind::Link),
        };
        self.note_newest(record, hash, Found { pos, kind })
    }

    /// Notes the newest record of a path.
    fn note_newest(
        &mut self,
        record: &Record,
        hash: PathHash,
        found: Found,
    ) -> Result<(), ManifestError> {
        let pos = found.pos;
        let old = record.path().map(|path| self.lookup_hashed(hash, path));
        let old = old.transpose()?.flatten();
        if let Record::Done(done) = record
            && self.salvaged.is_none()
        {
            self.check_done(pos, done, old.as_ref())?;
        }
        if let Some((old, _)) = &old
            && self.is_older(pos, *old)
        {
            return Ok(());
        }
        if let (Record::Begin(_), Some((_, Entry::Done(_)))) = (record, &old)
            && self.in_doubt(pos)
        {
            // How it went on is lost; what was finished before is still worth knowing.
            return Ok(());
        }
        match old {
            Some((old, _)) => {
                self.retire(old, Some(record))?;
                self.index.replace(hash, old, found);
                self.count(hash, found, bytes_of(record));
            }
            None => self.insert(hash, found, bytes_of(record)),
        }
        Ok(())
    }

    /// Notes a `Blocks` or `Cut`: its file must be in progress, with `prev` its newest record.
    fn note_more(
        &mut self,
        pos: u64,
        record: &Record,
        begin_pos: u64,
        prev: u64,
    ) -> Result<(), ManifestError> {
        let hash = match self.begins.get(&begin_pos) {
            Some(hash) => *hash,
            None => {
                let begin = self.begin_at(begin_pos)?;
                self.index.hash(&begin.path)
            }
        };
        let known = self
            .index
            .candidates(hash)
            .any(|found| found.pos == prev && found.kind == SlotKind::Partial);
        if !known {
            return Err(self.damaged(pos, "blocks of a file that is not in progress"));
        }
        let before = self.read_entry(prev)?;
        self.check_more(pos, record, &before)?;
        let after = self.read_entry(pos)?;
        self.discount(&before);
        let kind = SlotKind::Partial;
        self.totals.count(kind, after.blocks(), true);
        self.index.replace(hash, prev, Found { pos, kind });
        Ok(())
    }

    /// Counts the record at `old` and what hangs on it as garbage, unless `by` goes on with it.
    fn retire(&mut self, old: u64, by: Option<&Record>) -> Result<(), ManifestError> {
        let entry = self.read_entry(old)?;
        self.outdated.note(old);
        self.discount(&entry);
        if self.salvaged.is_some() {
            // Its chain may be broken, and nothing is ever compacted.
            return Ok(());
        }
        if let Some(Record::Done(done)) = by
            && done.chain == old
        {
            return Ok(());
        }
        let kept = match by {
            Some(Record::Done(done)) => done.chain,
            _ => 0,
        };
        let chain = match &entry {
            Entry::Done(done) if done.chain == kept => None,
            Entry::Partial(partial) => Some(partial.last_pos),
            Entry::Done(done) if done.chain != 0 => Some(done.chain),
            _ => None,
        };
        if let Some(last) = chain {
            self.garbage_bytes += self.chain(last)?.frame_bytes;
        }
        if !matches!(entry, Entry::Partial(_)) {
            self.garbage_bytes += self.read_frame(old)?.1;
        }
        Ok(())
    }

    fn discount(&mut self, entry: &Entry) {
        let (kind, bytes) = match entry {
            Entry::Dir(_) => (SlotKind::Dir, 0),
            Entry::Symlink(_) => (SlotKind::Symlink, 0),
            Entry::Special(_) => (SlotKind::Special, 0),
            Entry::Partial(partial) => (SlotKind::Partial, partial.blocks),
            Entry::Done(done) => (SlotKind::Done, done.size),
            Entry::LinkWanted(_) => (SlotKind::LinkWanted, 0),
            Entry::Link(_) => (SlotKind::Link, 0),
        };
        self.totals.count(kind, bytes, false);
    }
}

impl Entry {
    /// How many blocks are recorded of a file in progress.
    fn blocks(&self) -> u64 {
        match self {
            Entry::Partial(partial) => partial.blocks,
            _ => 0,
        }
    }
}

/// What a record adds to the bytes of its kind: bytes of a done file.
fn bytes_of(record: &Record) -> u64 {
    match record {
        Record::Done(done) => done.size,
        _ => 0,
    }
}
