//! What a run takes of its sources, and what it does about files that exist: the user's rules as
//! plain values.

use crate::file_list::FileList;
use crate::filter::Filter;
use crate::fs::{Kind, Stat};
use crate::path::RelPath;

/// Which entries of the sources are copied. The default takes all.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Patterns that leave entries out. An excluded directory is not walked.
    pub filter: Filter,
    /// Only these of the one source, with the directories that lead to them.
    pub files_from: Option<FileList>,
    /// Do not go into directories on which another file system is mounted; the directories
    /// themselves are made.
    pub one_file_system: bool,
    /// Leave out regular files of more bytes.
    pub max_size: Option<u64>,
    /// Leave out regular files of fewer bytes.
    pub min_size: Option<u64>,
}

impl Selection {
    /// Whether a rule leaves an entry out. `path` is its path at the destination.
    pub(crate) fn leaves_out(&self, path: &RelPath, stat: &Stat) -> bool {
        let fits = self.min_size.is_none_or(|min| stat.size >= min)
            && self.max_size.is_none_or(|max| stat.size <= max);
        (stat.kind == Kind::File && !fits) || self.filter.excludes(path, stat.kind == Kind::Dir)
    }

    /// Whether a rule leaves out an entry that cannot be looked at. `is_dir`: what its directory lists
    /// it as; where that is not known, a rule has to leave it out as either.
    pub(crate) fn leaves_out_unseen(&self, path: &RelPath, is_dir: Option<bool>) -> bool {
        match is_dir {
            Some(is_dir) => self.filter.excludes(path, is_dir),
            None => self.filter.excludes(path, false) && self.filter.excludes(path, true),
        }
    }
}

/// What to delete at the destination. Nothing outside of what is copied is, nor what rules leave out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delete {
    /// Also what the rules leave out.
    pub excluded: bool,
    /// At most so many entries.
    pub max: Option<u64>,
    /// Before anything is copied, and not last.
    pub before: bool,
}

/// What becomes of entries that exist at the destination. By default, one of the same size and
/// modification time as when it was copied is unchanged, and any other is compared or replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Existing {
    /// Leave alone regular files that are newer than their source.
    pub update: bool,
    /// Leave alone everything that exists, directories aside.
    pub ignore: bool,
    /// Leave alone files of the same size as their source, whatever their time says.
    pub size_only: bool,
    /// Compare the content of files of the same size, whatever their time says.
    pub checksum: bool,
}
