//! Whether the destination has room: first as if nothing were there yet, and only if that would
//! not fit, file by file with what is there. A file that is replaced gives its room back only when the new
//! one is whole.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::failure::{self, Failure};
use crate::block::BlockSize;
use crate::error::Shortage;
use crate::extraneous::{Extraneous, Found, Untouchable};
use crate::fs::{About, FileId, Fs, Kind, Stat, found};
use crate::manifest::{Entry, SlotKind, Store};
use crate::options::CopyOptions;
use crate::path::RelPath;
use crate::scan::{self, Scanned, Source, Walked};
use crate::selection::Selection;

/// What the copy takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Need {
    bytes: u64,
    inodes: u64,
}

/// The space that a file takes, in whole units of allocation.
fn rounded(about: &About, bytes: u64) -> u64 {
    bytes
        .div_ceil(about.unit_bytes)
        .saturating_mul(about.unit_bytes)
}

/// The space that the copy of an entry takes.
fn taken(about: &About, stat: &Stat) -> u64 {
    match stat.kind {
        Kind::File if about.kind.keeps_holes() => rounded(about, stat.size.min(stat.allocated)),
        Kind::File => rounded(about, stat.size),
        _ => 0,
    }
}

impl Need {
    /// Counts an entry.
    pub(super) fn add(&mut self, about: &About, stat: &Stat) {
        self.inodes += 1;
        self.bytes = self.bytes.saturating_add(taken(about, stat));
    }

    /// What there is too little of, with what is `there` taken into account. Only where the figures
    /// of the file system are to be believed.
    pub(super) fn shortages<F: Fs>(
        self,
        about: &About,
        there: Option<&mut There<'_, F>>,
        sources: &[Source],
        selection: &Selection,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Vec<Shortage>, Failure> {
        let all = self.against(about);
        let there = match there {
            Some(there) if !all.is_empty() => there,
            _ => return Ok(all),
        };
        let mut failed = Ok(());
        let walked = scan::each(sources, selection, |scanned| {
            if scanned.left_out.is_some() {
                return ControlFlow::Continue(());
            }
            if should_stop() {
                failed = Err(Failure::Stopped);
                return ControlFlow::Break(());
            }
            failed = there.meet(about, scanned);
            match failed {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        if walked.is_break() {
            failed?;
        }
        let missing = Need {
            bytes: u64::try_from(there.peak).unwrap_or(0),
            inodes: self.inodes.saturating_sub(there.inodes),
        };
        Ok(missing.against(about))
    }

    fn against(self, about: &About) -> Vec<Shortage> {
        let mut shortages = Vec::new();
        let (needed, free) = (self.bytes, about.free_bytes);
        if about.kind.tells_space() && needed > free {
            shortages.push(Shortage::Bytes { needed, free });
        }
        if let Some(free) = about.free_inodes
            && self.inodes > free
        {
            let needed = self.inodes;
            shortages.push(Shortage::Inodes { needed, free });
        }
        shortages
    }
}

/// What could give room back at the destination, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reclaimable {
    /// What `--delete` is going to take.
    pub(super) extraneous: u64,
    /// Half copies of files that no source has any more.
    pub(super) partials: u64,
}

impl Reclaimable {
    /// Adds up what no source has.
    pub(super) fn find<F: Fs>(
        about: &About,
        fs: &F,
        (sources, walked): (&[Source], &Walked),
        options: &CopyOptions,
        store: Option<&Store<F>>,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Reclaimable, Failure> {
        let check_stop = || match should_stop() {
            true => Err(Failure::Stopped),
            false => Ok(()),
        };
        // What is begun is counted by itself.
        let untouchable = Untouchable {
            id: store.map_or([0; 16], |store| *store.id()),
            stays: &|_| true,
        };
        let extraneous = Extraneous::new(fs, (sources, walked), options, untouchable);
        let mut found = Reclaimable::default();
        let failed = |error| Failure::Fatal(failure::manifest_failed(fs, error));
        if let Some(store) = store {
            for pos in store.positions_of(SlotKind::Partial) {
                check_stop()?;
                let (path, entry) = store.entry_at(pos).map_err(failed)?;
                let Entry::Partial(partial) = entry else {
                    continue;
                };
                let is_gone = || extraneous.is_extraneous(&path, Kind::File).unwrap_or(false);
                if !partial.begin.adopts && is_gone() {
                    let blocks = partial.blocks.saturating_mul(store.block_size().bytes());
                    let bytes = rounded(about, blocks.min(partial.begin.source.size));
                    found.partials = found.partials.saturating_add(bytes);
                }
            }
        }
        let Some(rules) = options.delete else {
            return Ok(found);
        };
        let taken = |path: &RelPath| {
            let (parent, name) = path.split()?;
            let there = fs.open_dir(&parent).and_then(|dir| fs.stat(&dir, name));
            let there = there.ok().flatten().filter(|there| there.nlink == 1)?;
            Some(rounded(about, there.allocated))
        };
        let max = usize::try_from(rules.max.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let named = extraneous.filter_map(|found| match found {
            Found::Extraneous { path, kind } => Some((path, kind)),
            _ => None,
        });
        for (path, kind) in named.take(max) {
            check_stop()?;
            if kind == Kind::File {
                let bytes = taken(&path).unwrap_or(0);
                found.extraneous = found.extraneous.saturating_add(bytes);
            }
        }
        Ok(found)
    }
}

/// What the manifest knows of a path.
type Known<'a> = &'a dyn Fn(&RelPath) -> Result<Option<Entry>, Failure>;

/// What stands at the destination already, of what is to be copied.
pub(super) struct There<'a, F: Fs> {
    fs: &'a Arc<F>,
    dest: &'a Path,
    block_size: BlockSize,
    known: Known<'a>,
    /// The directory that was looked into last; `None` in it: it is not there.
    open: Option<(RelPath, Option<Arc<F::Dir>>)>,
    /// Files with several names that were met: they are copied once.
    linked: HashSet<FileId>,
    inodes: u64,
    /// What the entries so far take more than was there, and the most that they took at a time.
    net: i128,
    peak: i128,
}

impl<'a, F: Fs> There<'a, F> {
    pub(super) fn new(
        fs: &'a Arc<F>,
        dest: &'a Path,
        block_size: BlockSize,
        known: Known<'a>,
    ) -> There<'a, F> {
        There {
            fs,
            dest,
            block_size,
            known,
            open: None,
            linked: HashSet::new(),
            inodes: 0,
            net: 0,
            peak: 0,
        }
    }

    /// Counts what an entry takes beside what is there, in the order in which entries are copied.
    fn meet(&mut self, about: &About, scanned: &Scanned) -> Result<(), Failure> {
        let path = &scanned.dest;
        let at_dest = failure::context(self.fs, "look at", path.below(self.dest));
        let Some((parent, name)) = path.split() else {
            self.inodes += 1;
            return Ok(());
        };
        let there = match self.dir(&parent).map_err(&at_dest)? {
            Some(dir) => self.fs.stat(&dir, name).map_err(&at_dest)?,
            None => None,
        };
        self.inodes += u64::from(there.is_some());
        let mut begun = 0;
        if let Some(Entry::Partial(partial)) = (self.known)(path)? {
            self.inodes += 1;
            let blocks = partial.blocks.saturating_mul(self.block_size.bytes());
            begun = blocks.min(partial.begin.source.size);
        }
        let stat = &scanned.stat;
        let is_name = stat.nlink > 1 && stat.kind != Kind::Dir && !self.linked.insert(stat.id());
        let there = there.filter(|there| there.kind == Kind::File);
        // One of the same size is unchanged, or may turn out to be the same.
        if is_name || there.is_some_and(|there| there.size == stat.size) {
            return Ok(());
        }
        let replaced = there.map_or(0, |there| rounded(about, there.size.max(there.allocated)));
        let takes = i128::from(taken(about, stat)) - i128::from(rounded(about, begun));
        self.peak = self.peak.max(self.net + takes);
        self.net += takes - i128::from(replaced);
        Ok(())
    }

    fn dir(&mut self, path: &RelPath) -> std::io::Result<Option<Arc<F::Dir>>> {
        if let Some((open, dir)) = &self.open
            && open == path
        {
            return Ok(dir.clone());
        }
        let dir = match path.is_root() {
            true => Some(self.fs.root()),
            false => found(self.fs.open_dir(path))?.map(Arc::new),
        };
        self.open = Some((path.clone(), dir.clone()));
        Ok(dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{FsKind, source};

    fn about(kind: FsKind, free_bytes: u64) -> About {
        About {
            kind,
            unit_bytes: 32 << 10,
            free_bytes,
            free_inodes: Some(3),
            ..About::unlimited()
        }
    }

    #[test]
    fn small_files_take_whole_units_and_holes_only_where_there_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::File::create(&path).unwrap().set_len(100).unwrap();
        let stat = source::lstat(&path).unwrap();
        for (kind, bytes) in [(FsKind::ExFat, 32 << 10), (FsKind::Ext, 0)] {
            let mut need = Need::default();
            need.add(&about(kind, 0), &stat);
            assert_eq!(need, Need { bytes, inodes: 1 });
        }
    }

    #[test]
    fn only_figures_that_mean_what_they_say_count_against_a_copy() {
        let need = Need {
            bytes: 100,
            inodes: 4,
        };
        let (needed, free) = (100, 99);
        let bytes = Shortage::Bytes { needed, free };
        let (needed, free) = (4, 3);
        let inodes = Shortage::Inodes { needed, free };
        assert_eq!(need.against(&about(FsKind::Ext, 99)), [bytes, inodes]);
        assert_eq!(need.against(&about(FsKind::Ext, 100)), [inodes]);
        assert_eq!(need.against(&about(FsKind::Compressing, 99)), [inodes]);
    }
}
