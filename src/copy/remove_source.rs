//! `--remove-source-files`: a source goes when its copy is durable, reads back from the medium as it
//! was written, and is the same as the source is now.
//!
//! It is the last thing that a run does, after two barriers that cover all of the copy: a rerun
//! would trust it without proof. Then the sources are walked once more, and of each file both
//! sides are read: size and time alone do not tell a file that was written to while, or just after,
//! it was copied. The source is read when a change meanwhile would show. Directories stay.

use std::io;
use std::time::Duration;

use super::committer::Committer;
use super::read_back::read_back;
use crate::error::{EntryError, PathError};
use crate::event::{Event, Outcome, Phase, ReadHow};
use crate::fs::source::{Settled, SourceEntry, SourceFile};
use crate::fs::{Access, AlignedBuf, Fs, FsFile, Kind, Stat, found};
use crate::hash::{BlockHasher, Hash32};
use crate::manifest::{Done, Entry, Record};
use crate::path::RelPath;
use crate::plan::source_id;
use crate::scan::{Scan, Scanned, Source};
use crate::verify::medium;

const UNPROVEN: &str = "source files were kept: the destination allows no reading past its cache, so that their copies cannot be \
     read back from the medium";

const NOT_SETTLED: &str = "it keeps changing, or shows a time that is still to come on this machine, so that a change may not show";

/// Whether a source may go.
enum Copy {
    /// It was read back and is the same.
    Proven,
    /// The manifest does not speak for it: it failed, or a rule left it alone.
    None,
    /// It was read back, possibly from the cache.
    Unproven,
    /// Asked to stop before the end.
    Stopped,
}

impl<F: Fs> Committer<'_, F> {
    /// Removes the sources of all that is at the destination.
    pub(super) fn remove_sources(&mut self, sources: &[Source]) {
        // The last barrier but one is what a rerun trusts.
        self.barrier_now();
        self.enter(Phase::ReadingBack);
        let mut buf = medium::buffer();
        let mut unproven = false;
        for number in 0..sources.len() {
            let selection = &self.shared.options.selection;
            // What the walk cannot see, it said the first time.
            for scanned in Scan::new(sources, number, selection).flatten() {
                if self.shared.should_stop() {
                    return;
                }
                if scanned.left_out.is_some() || scanned.earlier.is_some() {
                    continue;
                }
                if !matches!(scanned.stat.kind, Kind::File | Kind::Symlink) {
                    continue;
                }
                // What was proved is what is removed, whatever its path leads to by then.
                let entry = match self.shared.source_entry(&scanned.source) {
                    Ok(entry) => entry,
                    Err(error) => {
                        let error = PathError::new("look at", scanned.source, error);
                        self.problem(scanned.dest, EntryError::SourceKept(error));
                        continue;
                    }
                };
                let proven = match scanned.stat.kind {
                    Kind::File => self.is_file_proven(&scanned, &entry, &mut buf),
                    _ => self.is_symlink_proven(&scanned, &entry),
                };
                match proven {
                    Ok(Copy::Proven) => self.remove_one(scanned, &entry),
                    Ok(Copy::Unproven) => unproven = true,
                    Ok(Copy::None) => {}
                    Ok(Copy::Stopped) => return,
                    Err(error) => self.problem(scanned.dest, error),
                }
                self.pump_all();
            }
        }
        if unproven {
            self.emit(Event::Warning(UNPROVEN.into()));
            self.note_exit(crate::exit::Exit::Partial);
        }
    }

    fn remove_one(&mut self, scanned: Scanned, entry: &SourceEntry) {
        match self.remove_unless_one(&scanned, entry) {
            Ok(true) => {
                self.summary.sources_removed += 1;
                let (path, outcome) = (scanned.dest, Outcome::SourceRemoved);
                self.emit(Event::Entry { path, outcome });
            }
            Ok(false) => self.problem(scanned.dest, EntryError::OneFile(scanned.source)),
            Err(error) => {
                let error = PathError::new("remove", scanned.source, error);
                self.problem(scanned.dest, EntryError::SourceKept(error));
            }
        }
    }

    /// Removes a source. `false`: it stays, since it and its copy are one file. Where device and inode do not
    /// tell, the source gets another name first: its copy has to stand all the same.
    fn remove_unless_one(&self, scanned: &Scanned, entry: &SourceEntry) -> io::Result<bool> {
        let fs = &*self.shared.fs;
        let (parent, name) = scanned.dest.split().ok_or(io::ErrorKind::NotFound)?;
        let dir = fs.open_dir(&parent)?;
        let copy = fs.stat(&dir, name)?.ok_or(io::ErrorKind::NotFound)?;
        if copy.id() == scanned.stat.id() {
            return Ok(false);
        }
        if fs.has_lasting_ids(&dir) && entry.has_lasting_id()? {
            return entry.remove().map(|()| true);
        }
        let aside = entry.move_aside()?;
        match stands(fs, &dir, name, &copy) {
            Ok(true) => aside.remove().map(|()| true),
            Ok(false) => aside.move_back().map(|()| false),
            Err(error) => aside.move_back().and(Err(error)),
        }
    }

    fn entry_of(&mut self, path: &RelPath) -> Option<Entry> {
        let found = self.store().lookup(path);
        self.manifest(found).flatten().map(|(_, entry)| entry)
    }

    fn is_file_proven(
        &mut self,
        scanned: &Scanned,
        entry: &SourceEntry,
        buf: &mut AlignedBuf,
    ) -> Result<Copy, EntryError> {
        let done = match self.entry_of(&scanned.dest) {
            Some(Entry::Done(done)) => done,
            Some(Entry::Link(link)) => match self.entry_of(&link.to) {
                Some(Entry::Done(done)) if self.is_linked(&scanned.dest, &link.to) => done,
                _ => return Ok(Copy::None),
            },
            _ => return Ok(Copy::None),
        };
        if (done.size, done.mtime_ns) != (scanned.stat.size, scanned.stat.mtime_ns) {
            return Ok(Copy::None);
        }
        let shared = self.shared;
        let stops = || shared.should_stop();
        let mut found = match read_back(shared, &done, buf, |_| stops()) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Copy::Stopped),
            Err(error) => {
                self.fail(error);
                return Ok(Copy::Stopped);
            }
        };
        found.count(&mut self.summary);
        if let Some(error) = found.failure(shared.full(&done.path)) {
            return Err(error);
        }
        if !found.bad.is_empty() {
            // A rerun copies it again.
            self.record(&Record::Removed(done.path.clone()));
            return Err(EntryError::NotReadBack {
                path: self.shared.full(&done.path),
                ranges: found.bad,
            });
        }
        let opened = shared.open_source(&scanned.source);
        let pause = |wait| shared.pause(wait);
        let same =
            opened.and_then(|file| same_now(scanned, (&file, entry), &done, buf, (stops, pause)));
        match same {
            Ok(Some(true)) if found.how == Some(ReadHow::Cached) => Ok(Copy::Unproven),
            Ok(Some(true)) => Ok(Copy::Proven),
            Ok(Some(false)) => Err(EntryError::ChangedSince(scanned.source.clone())),
            Ok(None) => Ok(Copy::Stopped),
            Err(error) => {
                let error = PathError::new("read", &scanned.source, error);
                Err(EntryError::SourceKept(error))
            }
        }
    }

    /// Whether two names are one file at the destination.
    fn is_linked(&self, path: &RelPath, to: &RelPath) -> bool {
        let fs = &*self.shared.fs;
        let inode = |path: &RelPath| {
            let (parent, name) = path.split()?;
            let stat = fs.open_dir(&parent).and_then(|dir| fs.stat(&dir, name));
            stat.ok().flatten().map(|stat| stat.id())
        };
        inode(path).is_some_and(|there| inode(to) == Some(there))
    }

    fn is_symlink_proven(
        &mut self,
        scanned: &Scanned,
        entry: &SourceEntry,
    ) -> Result<Copy, EntryError> {
        let known = match self.entry_of(&scanned.dest) {
            Some(Entry::Link(link)) if self.is_linked(&scanned.dest, &link.to) => {
                self.entry_of(&link.to)
            }
            known => known,
        };
        let Some(Entry::Symlink(known)) = known else {
            return Ok(Copy::None);
        };
        let fs = &*self.shared.fs;
        let target = entry.read_link().map_err(|error| {
            EntryError::SourceKept(PathError::new("read", &scanned.source, error))
        })?;
        let there = scanned.dest.split().map(|(parent, name)| {
            found(
                fs.open_dir(&parent)
                    .and_then(|dir| fs.read_symlink(&dir, name)),
            )
        });
        Ok(match there {
            Some(Ok(Some(there))) if there == target && known.target == target => Copy::Proven,
            _ => Copy::None,
        })
    }
}

/// Whether a copy is still there, unchanged, that was looked at before its source was renamed. It is opened,
/// since FUSE daemons are not asked about names that are cached; overlayfs goes on showing it, with the
/// change time that the renaming gave it.
fn stands<F: Fs>(fs: &F, dir: &F::Dir, name: &[u8], copy: &Stat) -> io::Result<bool> {
    let now = match copy.kind {
        Kind::File => found(
            fs.open(dir, name, Access::Read)
                .and_then(|file| file.stat()),
        )?,
        _ => found(fs.read_symlink(dir, name)).and_then(|_| fs.stat(dir, name))?,
    };
    let version = |stat: &Stat| (stat.id(), stat.size, stat.mtime_ns, stat.ctime_ns);
    Ok(now.is_some_and(|now| version(&now) == version(copy)))
}

/// Whether a source has, now, the content that is recorded of its copy. It is read only once a change
/// meanwhile would show. `None`: stopped.
fn same_now(
    scanned: &Scanned,
    (file, entry): (&SourceFile, &SourceEntry),
    done: &Done,
    buf: &mut AlignedBuf,
    (stops, pause): (impl Fn() -> bool, impl Fn(Duration) -> bool),
) -> io::Result<Option<bool>> {
    let Settled { stat, unsettled } = file.settle(*file.opened(), pause)?;
    if stops() {
        return Ok(None);
    }
    if unsettled {
        return Err(io::Error::other(NOT_SETTLED));
    }
    if source_id(&stat) != source_id(&scanned.stat) {
        return Ok(Some(false));
    }
    let Some(hash) = file_hash(file, done.size, buf, stops)? else {
        return Ok(None);
    };
    if !file.ends_at(done.size)? {
        return Ok(Some(false));
    }
    // The name, too, has to be that file's still.
    let named = entry.lstat()?;
    Ok(Some(
        hash == done.hash && source_id(&named) == source_id(&stat) && named.dev == stat.dev,
    ))
}

/// The hash of the first `size` bytes of a file. `None`: stopped.
fn file_hash(
    file: &SourceFile,
    size: u64,
    buf: &mut AlignedBuf,
    stops: impl Fn() -> bool,
) -> io::Result<Option<Hash32>> {
    // As a whole, so one block: that is the standard hash.
    let mut hasher = BlockHasher::new(0, true);
    let mut offset = 0;
    while offset < size {
        if stops() {
            return Ok(None);
        }
        let piece = usize::try_from(size - offset).map_or(buf.len(), |left| left.min(buf.len()));
        let read = file.read(&mut buf[..piece], offset)?;
        if read == 0 {
            break;
        }
        hasher.update(&buf[..read]);
        offset += read as u64;
    }
    Ok(Some(hasher.finish()))
}
