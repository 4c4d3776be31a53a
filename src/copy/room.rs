//! Whether the destination has room: first as if nothing were there yet, and only if that would
//! not fit, minus what is there.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::failure::{self, Failure};
use crate::block::BlockSize;
use crate::error::Shortage;
use crate::fs::{About, Fs, Kind, Stat, found};
use crate::manifest::Entry;
use crate::path::RelPath;
use crate::scan::{self, Scanned, Source};
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

impl Need {
    /// Counts an entry.
    pub(super) fn add(&mut self, about: &About, stat: &Stat) {
        self.inodes += 1;
        if stat.kind == Kind::File {
            let mut bytes = stat.size;
            if about.kind.keeps_holes() {
                bytes = bytes.min(stat.allocated);
            }
            self.bytes = self.bytes.saturating_add(rounded(about, bytes));
        }
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
            failed = there.subtract(about, scanned);
            match failed {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        if walked.is_break() {
            failed?;
        }
        let missing = Need {
            bytes: self.bytes.saturating_sub(there.need.bytes),
            inodes: self.inodes.saturating_sub(there.need.inodes),
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
    need: Need,
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
            need: Need::default(),
        }
    }

    fn subtract(&mut self, about: &About, scanned: &Scanned) -> Result<(), Failure> {
        let path = &scanned.dest;
        let at_dest = failure::context(self.fs, "look at", path.below(self.dest));
        let Some((parent, name)) = path.split() else {
            self.need.inodes += 1;
            return Ok(());
        };
        let stat = match self.dir(&parent).map_err(&at_dest)? {
            Some(dir) => self.fs.stat(&dir, name).map_err(&at_dest)?,
            None => None,
        };
        if let Some(stat) = stat {
            self.need.inodes += 1;
            if stat.kind == Kind::File {
                // It is replaced, or the same: at most this much is given back.
                let bytes = rounded(about, stat.size.max(stat.allocated));
                self.need.bytes = self.need.bytes.saturating_add(bytes);
            }
        }
        if let Some(Entry::Partial(partial)) = (self.known)(path)? {
            self.need.inodes += 1;
            let bytes = partial
                .blocks
                .saturating_mul(self.block_size.bytes())
                .min(partial.begin.source.size);
            self.need.bytes = self.need.bytes.saturating_add(bytes);
        }
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
