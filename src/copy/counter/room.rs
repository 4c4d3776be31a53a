//! Whether the destination has room: first as if nothing were there yet, and only if that would
//! not fit, minus what is there.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::copy::Shared;
use crate::copy::failure::{self, Failure};
use crate::error::Shortage;
use crate::fs::{About, Fs, Kind, Stat, found};
use crate::lock_mutex;
use crate::manifest::Entry;
use crate::path::RelPath;
use crate::scan::{self, Scanned, Source};

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

    /// What there is too little of. Only where the figures of the file system are to be believed.
    pub(super) fn shortages<F: Fs>(
        self,
        shared: &Shared<F>,
        about: &About,
        sources: &[Source],
    ) -> Result<Vec<Shortage>, Failure> {
        let all = self.against(about);
        if all.is_empty() {
            return Ok(all);
        }
        let mut there = There {
            shared,
            about,
            open: None,
            need: Need::default(),
        };
        let mut failed = Ok(());
        let walked = scan::each(sources, &shared.options.selection, |scanned| {
            if scanned.left_out {
                return ControlFlow::Continue(());
            }
            if shared.should_stop() {
                failed = Err(Failure::Stopped);
                return ControlFlow::Break(());
            }
            failed = there.subtract(scanned);
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

/// What stands at the destination already, of what is to be copied.
struct There<'a, F: Fs> {
    shared: &'a Shared<F>,
    about: &'a About,
    /// The directory that was looked into last; `None` in it: it is not there.
    open: Option<(RelPath, Option<Arc<F::Dir>>)>,
    need: Need,
}

impl<F: Fs> There<'_, F> {
    fn subtract(&mut self, scanned: &Scanned) -> Result<(), Failure> {
        let path = &scanned.dest;
        let full = self.shared.full(path);
        let at_dest = failure::context(&self.shared.fs, "look at", full);
        let Some((parent, name)) = path.split() else {
            self.need.inodes += 1;
            return Ok(());
        };
        let stat = match self.dir(&parent).map_err(&at_dest)? {
            Some(dir) => self.shared.fs.stat(&dir, name).map_err(&at_dest)?,
            None => None,
        };
        if let Some(stat) = stat {
            self.need.inodes += 1;
            if stat.kind == Kind::File {
                // It is replaced, or the same: at most this much is given back.
                let bytes = rounded(self.about, stat.size.max(stat.allocated));
                self.need.bytes = self.need.bytes.saturating_add(bytes);
            }
        }
        let known = lock_mutex(&self.shared.store).lookup(path);
        let known = known
            .map_err(|error| Failure::Fatal(failure::manifest_failed(&*self.shared.fs, error)))?;
        if let Some((_, Entry::Partial(partial))) = known {
            self.need.inodes += 1;
            let size = self.shared.block_size.bytes();
            let bytes = partial
                .blocks
                .saturating_mul(size)
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
            true => Some(self.shared.fs.root()),
            false => found(self.shared.fs.open_dir(path))?.map(Arc::new),
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
