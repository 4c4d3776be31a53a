//! The manifest as a whole: opened under its lock, looked up by path, appended to.
//!
//! Of each path only the newest record counts; what it replaces is garbage until `compact` leaves
//! it behind. Nothing here flushes but the making of a new manifest file: barriers are the
//! committer's business.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::header::{HEADER_BYTES, HOLDER_OFFSET, Header, HeaderError, Holder, VERSION};
use super::index::{Found, Index, PathHash, SlotKind};
use super::journal::{self, FRAMES_START, Journal};
use super::record::{
    Begin, DirRecord, Done, Link, Record, RunBegin, RunEnd, SpecialRecord, SymlinkRecord,
};
use super::{MANIFEST, MANIFEST_NAME, Mounted, STATE_DIR};
use crate::block::BlockSize;
use crate::error::{ManifestError, PathContext, PathError};
use crate::event::EntryCounts;
use crate::exit::Exit;
use crate::fs::{self, Access, Fs, FsFile, Kind};
use crate::hash::Hash32;
use crate::latch::Latch;
use crate::lock;
use crate::path::RelPath;
use crate::stop::Stopper;

mod aside;
mod backup;
mod chain;
mod compact;
mod head;
mod history;
mod links;
mod locked;
mod note;
mod open;
mod order;
mod overhead;
mod owner;
mod parts;
mod privacy;
mod rebuilt;
mod salvage;
mod totals;
mod verify_log;

pub(crate) use backup::StandsFor;
pub(crate) use chain::{Chain, ChainLink};
pub(crate) use history::{LastVerified, LastVerify};
pub(crate) use open::OpenMode;
pub(crate) use owner::must_be_ours_to_read;
pub(crate) use rebuilt::Rebuilt;
pub(crate) use totals::Totals;
pub(crate) use verify_log::VerifyLog;

/// The name under which a new manifest file is made before it takes the place of the old.
const MANIFEST_NEW: &[u8] = b"manifest.new";

/// The newest record of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Dir(DirRecord),
    Symlink(SymlinkRecord),
    Special(SpecialRecord),
    Partial(Partial),
    Done(Done),
    LinkWanted(Link),
    Link(Link),
}

impl Entry {
    /// What it is; `None` of a link, which is what its file is.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self {
            Entry::Dir(_) => Some(Kind::Dir),
            Entry::Symlink(_) => Some(Kind::Symlink),
            Entry::Special(special) => Some(Kind::Special(special.what)),
            Entry::Partial(_) | Entry::Done(_) => Some(Kind::File),
            Entry::LinkWanted(_) | Entry::Link(_) => None,
        }
    }

    /// The path that it is about.
    pub(crate) fn path(&self) -> &RelPath {
        match self {
            Entry::Dir(dir) => &dir.path,
            Entry::Symlink(link) => &link.path,
            Entry::Special(special) => &special.path,
            Entry::Partial(partial) => &partial.begin.path,
            Entry::Done(done) => &done.path,
            Entry::LinkWanted(link) | Entry::Link(link) => &link.path,
        }
    }
}

/// A file that was begun and is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partial {
    pub(crate) begin: Begin,
    /// Position of its `Begin`.
    pub(crate) begin_pos: u64,
    /// Position of its last record.
    pub(crate) last_pos: u64,
    /// How many blocks are recorded.
    pub(crate) blocks: u64,
}

/// What lies behind the trusted part of the manifest when it is opened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail {
    /// Positions of the records that count and are not trusted, in file order.
    pub(crate) positions: Vec<u64>,
    /// What lies before this position is trusted.
    pub(crate) trusted: u64,
    /// What lies before this one was flushed, if the device told the truth.
    pub(crate) covered: u64,
}

pub(crate) struct Store<F: Fs> {
    fs: Arc<F>,
    /// The `.sprag` directory.
    dir: F::Dir,
    /// The manifest's path, for messages.
    path: PathBuf,
    header: Header,
    journal: Journal<F::File>,
    index: Index,
    trusted: u64,
    /// What the last barrier covered when it was opened, and whether that was everything, the end of
    /// the last run included.
    covered: u64,
    sealed: bool,
    totals: Totals,
    /// What records of entries take that newer ones took the place of.
    garbage_bytes: u64,
    overhead: overhead::Overhead,
    outdated: order::Outdated,
    last_run: Option<(u64, Option<u64>)>,
    /// The file systems without a journal that the last run wrote to.
    mounted: Vec<Mounted>,
    /// From which position on done files are still to be read back.
    read_back_due: Option<u64>,
    /// Position of the last record that says something of an entry.
    last_said: Option<u64>,
    /// This is the copy of a manifest that could not be used.
    stands_for: Option<StandsFor>,
    /// Who writes it while it is read.
    written_by: Option<String>,
    /// It is damaged, and this is what can be read of it.
    salvaged: Option<salvage::Salvaged>,
    /// The manifest that is locked while its copy is read in its place.
    _lock: Option<F::File>,
    verify: history::VerifyPositions,
    /// The path hashes of recent `Begin`s, while a manifest is loaded.
    begins: HashMap<u64, PathHash>,
    /// Frames that may have been lying in free space were cut off when it was opened.
    was_cut: bool,
    /// It was opened to note verifications, and can take them.
    may_note: bool,
    /// Closed by the first failed flush at the destination: no barrier is recorded from then on.
    latch: Latch,
    /// Ends a compaction before it has changed anything.
    stopper: Stopper,
    /// Where the last two barriers end that were recorded since it was opened.
    barriers: [u64; 2],
}

/// How far a manifest is known to be durable: another that is shorter is not the same, whatever its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    nonce: [u8; 16],
    end: u64,
}

impl<F: Fs> Store<F> {
    /// How far it is durable for sure.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            nonce: self.header.nonce,
            end: self.barriers[0],
        }
    }

    /// Whether it holds all that a mark stands for, or was written anew since.
    pub(crate) fn reaches(&self, mark: Mark) -> bool {
        self.header.nonce != mark.nonce || self.end() >= mark.end
    }

    pub(crate) fn id(&self) -> &[u8; 16] {
        &self.header.id
    }

    pub(crate) fn block_size(&self) -> BlockSize {
        self.header.block_size
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The open manifest, for whoever flushes it.
    pub(crate) fn file(&self) -> Arc<F::File> {
        Arc::clone(self.journal.file())
    }

    /// Where the next record will stand; every record so far is before it.
    pub(crate) fn end(&self) -> u64 {
        self.journal.end()
    }

    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// What is finished, and a link as what its file is.
    pub(crate) fn finished(&self) -> Result<EntryCounts, ManifestError> {
        let mut counts = EntryCounts {
            files: self.totals.files_done,
            dirs: self.totals.dirs,
            symlinks: self.totals.symlinks,
            specials: self.totals.specials,
            unknown: 0,
        };
        for pos in self.positions_of(SlotKind::Link) {
            let (_, link) = self.entry_at(pos)?;
            // The totals take it for one of a regular file.
            if let Some(kind) = self.kind_of(&link)?.filter(|kind| *kind != Kind::File) {
                counts.files = counts.files.saturating_sub(1);
                counts.add(Some(kind));
            }
        }
        Ok(counts)
    }

    /// What an entry is, or what the file is that it is a link to. `None`: that is not recorded.
    pub(crate) fn kind_of(&self, entry: &Entry) -> Result<Option<Kind>, ManifestError> {
        match entry {
            Entry::Link(link) | Entry::LinkWanted(link) => {
                let file = self.lookup(&link.to)?;
                Ok(file.and_then(|(_, file)| file.kind()))
            }
            entry => Ok(entry.kind()),
        }
    }

    /// Whether the last run was cut off on a file system without a journal, so that what it had
    /// not flushed must be left alone.
    pub(crate) fn was_cut(&self) -> bool {
        self.was_cut
    }

    /// Whether a barrier covered everything when it was opened, the end of the last run included:
    /// that ended in good order.
    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Whether verifications can be noted in it.
    pub(crate) fn may_note(&self) -> bool {
        self.may_note
    }

    /// What was not trusted when the manifest was opened.
    pub(crate) fn tail(&self) -> Tail {
        let trusted = self.trusted;
        let mut positions: Vec<u64> = self
            .index
            .iter()
            .map(|found| found.pos)
            .filter(|pos| *pos >= trusted)
            .collect();
        positions.sort_unstable();
        Tail {
            positions,
            trusted,
            covered: self.covered,
        }
    }

    /// Positions of every path's newest record, in file order.
    pub(crate) fn positions(&self) -> Vec<u64> {
        let mut positions: Vec<u64> = self.index.iter().map(|found| found.pos).collect();
        positions.sort_unstable();
        positions
    }

    /// Positions of the newest records of one kind, in file order.
    pub(crate) fn positions_of(&self, kind: SlotKind) -> Vec<u64> {
        let mut positions: Vec<u64> = self
            .index
            .iter()
            .filter(|found| found.kind == kind)
            .map(|found| found.pos)
            .collect();
        positions.sort_unstable();
        positions
    }

    /// The newest run that the manifest tells of.
    pub(crate) fn last_run(&self) -> Result<Option<(RunBegin, Option<RunEnd>)>, ManifestError> {
        let Some((begin, end)) = self.last_run else {
            return Ok(None);
        };
        let begin = match self.read(begin)? {
            Record::RunBegin(begin) => begin,
            _ => return Ok(None),
        };
        let end = match end.map(|end| self.read(end)).transpose()? {
            Some(Record::RunEnd(end)) => Some(end),
            _ => None,
        };
        Ok(Some((begin, end)))
    }

    /// Returns how many files the newest run wrote and finished, by what it recorded, and their bytes.
    pub(crate) fn finished_by_last_run(&self) -> Result<(u64, u64), ManifestError> {
        let (mut files, mut bytes) = (0, 0);
        let Some((begin, _)) = self.last_run else {
            return Ok((files, bytes));
        };
        for pos in self.positions_of(SlotKind::Done) {
            if pos > begin
                && let Entry::Done(done) = self.entry_at(pos)?.1
                && done.attempt.is_some()
            {
                files += 1;
                bytes += done.size;
            }
        }
        Ok((files, bytes))
    }

    /// The file systems without a journal that the newest run writes to, the first
    /// [`Mounted::KEPT_MAX`] of them.
    pub(crate) fn mounted(&self) -> &[Mounted] {
        &self.mounted
    }

    /// From which position on done files were to be read back and may not have been.
    pub(crate) fn read_back_due(&self) -> Option<u64> {
        self.read_back_due
    }

    /// Whether the newest run did not come to its end, or failed at the destination: what it
    /// changed may not be flushed.
    pub(crate) fn was_cut_short(&self) -> Result<bool, ManifestError> {
        let ended = |end: &RunEnd| {
            let exit = Exit::from_code(end.exit_code);
            matches!(exit, Some(Exit::Done | Exit::Vanished))
        };
        if self.stands_for.is_some() {
            return Ok(true);
        }
        let last = self.last_run()?;
        Ok(last.is_some_and(|(_, end)| !end.as_ref().is_some_and(ended)))
    }

    /// The newest record of a path.
    pub(crate) fn lookup(&self, path: &RelPath) -> Result<Option<(u64, Entry)>, ManifestError> {
        if let Some((pos, record)) = self.lookup_next(path) {
            return Ok(Some((pos, self.entry_of(pos, record)?)));
        }
        self.lookup_hashed(self.index.hash(path), path)
    }

    /// The same, of a path whose hash is known.
    fn lookup_hashed(
        &self,
        hash: PathHash,
        path: &RelPath,
    ) -> Result<Option<(u64, Entry)>, ManifestError> {
        for found in self.index.candidates(hash) {
            let entry = self.read_entry(found.pos)?;
            if entry.path() == path {
                return Ok(Some((found.pos, entry)));
            }
        }
        Ok(None)
    }

    /// The entry whose newest record is at `pos`, and its path.
    pub(crate) fn entry_at(&self, pos: u64) -> Result<(RelPath, Entry), ManifestError> {
        let entry = self.read_entry(pos)?;
        Ok((entry.path().clone(), entry))
    }

    fn read_entry(&self, pos: u64) -> Result<Entry, ManifestError> {
        self.entry_of(pos, self.read(pos)?)
    }

    /// What the record at `pos` says of its path.
    fn entry_of(&self, pos: u64, record: Record) -> Result<Entry, ManifestError> {
        let (begin_pos, blocks) = match record {
            Record::Dir(dir) => return Ok(Entry::Dir(dir)),
            Record::Symlink(link) => return Ok(Entry::Symlink(link)),
            Record::Special(special) => return Ok(Entry::Special(special)),
            Record::Done(done) => return Ok(Entry::Done(done)),
            Record::LinkWanted(link) => return Ok(Entry::LinkWanted(link)),
            Record::Link(link) => return Ok(Entry::Link(link)),
            Record::Begin(_) => (pos, 0),
            Record::Blocks(blocks) => {
                let count = blocks.first.saturating_add(blocks.hashes.len() as u64);
                (blocks.begin, count)
            }
            Record::Cut(cut) => (cut.begin, cut.keep),
            Record::RunBegin(_)
            | Record::RunEnd(_)
            | Record::Removed(_)
            | Record::Barrier { .. }
            | Record::ReadBack { .. }
            | Record::VerifyBegin(_)
            | Record::Verified(_)
            | Record::Finding(_)
            | Record::VerifyEnd(_)
            | Record::Mounted(_) => {
                return Err(self.damaged(pos, "the index points at a record without a path"));
            }
        };
        let begin = self.begin_at(begin_pos)?;
        let partial = Partial {
            begin,
            begin_pos,
            last_pos: pos,
            blocks,
        };
        Ok(Entry::Partial(partial))
    }

    fn begin_at(&self, pos: u64) -> Result<Begin, ManifestError> {
        match self.read(pos)? {
            Record::Begin(begin) => Ok(begin),
            _ => Err(self.damaged(pos, "a record points at what is not a file's beginning")),
        }
    }

    fn read(&self, pos: u64) -> Result<Record, ManifestError> {
        Ok(self.read_frame(pos)?.0)
    }

    /// A record and the length of its frame.
    fn read_frame(&self, pos: u64) -> Result<(Record, u64), ManifestError> {
        self.journal.read(pos).map_err(|error| {
            if error.kind() == io::ErrorKind::InvalidData {
                self.damaged(pos, journal::BAD_CHECKSUM)
            } else {
                PathError::new("read", &self.path, error).into()
            }
        })
    }

    /// Makes compactions end without effect once a run is asked to stop. A hostile manifest decides how long they
    /// take.
    pub(crate) fn heed(&mut self, stopper: &Stopper) {
        self.stopper = stopper.clone();
    }

    /// Fails once the run is asked to stop.
    fn check_stop(&self) -> Result<(), ManifestError> {
        if self.stopper.is_stopped() {
            let error = io::Error::from(io::ErrorKind::Interrupted);
            return Err(PathError::new("compact", &self.path, error).into());
        }
        Ok(())
    }

    fn damaged(&self, offset: u64, what: &'static str) -> ManifestError {
        ManifestError::Damaged {
            path: self.path.clone(),
            offset,
            what,
        }
    }

    /// Appends a record and points its path, if it has one, at it.
    pub(crate) fn append(&mut self, record: &Record) -> Result<u64, ManifestError> {
        let pos = self
            .journal
            .append(record)
            .at("append to", &self.path)
            .map_err(ManifestError::Io)?;
        self.note(pos, record, self.end() - pos)?;
        Ok(pos)
    }

    /// Records that everything said before the position `covers` is durable.
    ///
    /// # Errors
    ///
    /// After a flush at the destination failed, always: that may have lost what this would vouch for.
    pub(crate) fn barrier(&mut self, covers: u64) -> Result<u64, ManifestError> {
        if self.latch.is_closed() {
            let error = io::Error::other("an earlier write or flush failed");
            return Err(PathError::new("record a barrier in", &self.path, error).into());
        }
        let pos = self.append(&Record::Barrier { covers })?;
        self.barriers = [self.barriers[1], self.end()];
        Ok(pos)
    }

    /// What keeps barriers from being recorded once a flush failed.
    pub(crate) fn latch(&self) -> &Latch {
        &self.latch
    }

    /// Hands everything appended to the system: after this a killed process loses none of it.
    pub(crate) fn write_out(&mut self) -> Result<(), ManifestError> {
        let written = self.journal.write_out();
        Ok(written.at("write to", &self.path)?)
    }

    /// Marks the path whose newest record is at `pos` as having work left for the end of the run.
    pub(crate) fn set_due(&mut self, path: &RelPath, pos: u64) {
        self.index.set_due(self.index.hash(path), pos);
    }

    /// Positions of what was marked with `set_due`, in file order.
    pub(crate) fn due(&self) -> Vec<u64> {
        self.index.due()
    }

    /// The hashes of the file whose last `Blocks` or `Cut` is at `last`.
    pub(crate) fn chain(&self, last: u64) -> Result<Chain, ManifestError> {
        Chain::walk(last, |pos| self.read_frame(pos)).and_then(|chain| {
            chain.ok_or_else(|| self.damaged(last, "a chain of blocks is broken"))
        })
    }

    /// Calls `visit` with each hash of a chain, in block order.
    pub(crate) fn for_each_hash(
        &self,
        chain: &Chain,
        mut visit: impl FnMut(u64, &Hash32),
    ) -> Result<(), ManifestError> {
        for link in &chain.links {
            for (index, hash) in (link.first..).zip(&self.hashes_of(link)?) {
                visit(index, hash);
            }
        }
        Ok(())
    }

    /// The hashes of a part of a chain, at most [`Blocks::HASHES_MAX`].
    pub(crate) fn hashes_of(&self, link: &ChainLink) -> Result<Vec<Hash32>, ManifestError> {
        let mut hashes = match self.read(link.pos)? {
            Record::Blocks(blocks) => blocks.hashes,
            _ => Vec::new(),
        };
        hashes.truncate(link.take as usize);
        Ok(hashes)
    }
}

/// A name in the state directory as the system takes it.
fn as_name(name: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(name)
}
