//! Counts of entries, each kind for itself: a total never mixes files with directories.

use std::fmt;
use std::ops::AddAssign;

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::fs::Kind;

/// How many entries there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EntryCounts {
    /// Regular files; each further name of one counts, too.
    pub files: u64,
    /// Directories.
    pub dirs: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Fifos, sockets and device nodes.
    pub specials: u64,
    /// Entries that could not be looked at, so that their kind is not known.
    pub unknown: u64,
}

impl EntryCounts {
    /// Counts entries of these kinds; `None`: the kind is not known.
    pub fn of(kinds: impl IntoIterator<Item = Option<Kind>>) -> EntryCounts {
        let mut counts = EntryCounts::default();
        kinds.into_iter().for_each(|kind| counts.add(kind));
        counts
    }

    /// Counts so many regular files.
    pub fn of_files(files: u64) -> EntryCounts {
        EntryCounts {
            files,
            ..EntryCounts::default()
        }
    }

    /// Counts one more. `None`: its kind is not known.
    pub(crate) fn add(&mut self, kind: Option<Kind>) {
        *match kind {
            Some(Kind::File) => &mut self.files,
            Some(Kind::Dir) => &mut self.dirs,
            Some(Kind::Symlink) => &mut self.symlinks,
            Some(Kind::Special(_)) => &mut self.specials,
            None => &mut self.unknown,
        } += 1;
    }

    /// Entries of all kinds.
    pub fn total(&self) -> u64 {
        self.files + self.dirs + self.symlinks + self.specials + self.unknown
    }

    /// Serializes them as `entries_NAME`, which is the total, `files_NAME`, `dirs_NAME`,
    /// `symlinks_NAME` and `specials_NAME`.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn named<S: Serializer>(&self, name: &str, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (of, count) in [
            ("entries", self.total()),
            ("files", self.files),
            ("dirs", self.dirs),
            ("symlinks", self.symlinks),
            ("specials", self.specials),
        ] {
            map.serialize_entry(&format!("{of}_{name}"), &count)?;
        }
        map.end()
    }
}

impl AddAssign for EntryCounts {
    fn add_assign(&mut self, more: EntryCounts) {
        self.files += more.files;
        self.dirs += more.dirs;
        self.symlinks += more.symlinks;
        self.specials += more.specials;
        self.unknown += more.unknown;
    }
}

/// `2 files, 3 directories, 1 symlink`.
impl fmt::Display for EntryCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            (self.files, "file", "files"),
            (self.dirs, "directory", "directories"),
            (self.symlinks, "symlink", "symlinks"),
            (self.specials, "special file", "special files"),
            (
                self.unknown,
                "entry of unknown kind",
                "entries of unknown kind",
            ),
        ];
        let some = kinds.iter().filter(|(count, ..)| *count > 0);
        let text: Vec<String> = some
            .map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many }))
            .collect();
        match text.is_empty() {
            true => f.write_str("0"),
            false => f.write_str(&text.join(", ")),
        }
    }
}

/// Functions that serialize counts as fields whose names end in the name of the function.
macro_rules! named {
    ($($name:ident)*) => {
        $(pub(super) fn $name<S: Serializer>(
            counts: &EntryCounts,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            counts.named(stringify!($name), serializer)
        })*
    };
}

named!(skipped failed deleted mended ok modified metadata missing incomplete unreadable unknown extra before stale recent);

/// The counts of what is not counted in every run.
pub(super) fn recorded<S: Serializer>(
    counts: &Option<EntryCounts>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match counts {
        Some(counts) => counts.named("recorded", serializer),
        None => None::<()>.serialize(serializer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Special;

    #[test]
    fn each_kind_is_counted_and_told_for_itself() {
        let mut counts = EntryCounts::default();
        assert_eq!(counts.to_string(), "0");
        for kind in [Kind::File, Kind::Dir, Kind::Symlink, Kind::Dir, Kind::File] {
            counts.add(Some(kind));
        }
        counts.add(Some(Kind::Dir));
        assert_eq!(counts.to_string(), "2 files, 3 directories, 1 symlink");
        counts.add(Some(Kind::Special(Special::Fifo)));
        counts.add(None);
        assert_eq!(counts.total(), 8);
        assert!(
            counts
                .to_string()
                .ends_with("1 special file, 1 entry of unknown kind")
        );
    }
}
