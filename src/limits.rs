//! What a destination can hold: names, sizes, kinds of entries. Pure but for `probe`, which tries.
//!
//! What a file system refuses is never guessed from its name where it can be tried: [`NameRules`]
//! are measured, and the tables here stand in where nothing could be tried. What can be written,
//! but not be opened on Windows later, is a matter for a warning; see [`NameRules::windows`].

use std::fmt;

use crate::fs::{FsKind, Kind, Stat};
use crate::path::RelPath;

mod fold;
mod foresee;
mod names;
mod probe;

pub use fold::{case_key, fold_key, same_spelling};
pub(crate) use foresee::foresee;
pub use names::{NameMax, NameProblem, NameRules};
pub(crate) use probe::{DIR as PROBE_DIR, are_one, measure, spelled_otherwise};

/// What a destination can hold.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The kind of its file system.
    pub kind: FsKind,
    /// The names it takes.
    pub names: NameRules,
    /// Whether it has symbolic links.
    pub symlinks: bool,
    /// Whether it has fifos, sockets and device nodes.
    pub specials: bool,
    /// Whether a regular file can have several names.
    pub hard_links: bool,
    /// Whether symbolic links and special files can, too.
    pub hard_links_of_all: bool,
    /// Whether two names that differ can be the same file there.
    pub folds: bool,
    /// Whether a name may be listed in another Unicode normal form than it was given.
    pub respells: bool,
}

impl Limits {
    /// What is known of a kind of file system without trying: what it holds as its driver is mostly
    /// used. A driver of unknown kind is taken to hold everything.
    pub fn assumed(kind: FsKind, name_bytes_max: u64) -> Limits {
        let by_kernel = matches!(kind, FsKind::Fat | FsKind::ExFat);
        let lesser = by_kernel || kind == FsKind::FuseExFat;
        let names = match kind {
            FsKind::Fat | FsKind::ExFat => NameRules::fat(),
            FsKind::FuseExFat => NameRules::fuse_exfat(),
            FsKind::Ntfs | FsKind::FuseNtfs => NameRules::ntfs(),
            _ => NameRules::any(NameMax::Bytes(name_bytes_max)),
        };
        Limits {
            kind,
            names,
            symlinks: !lesser,
            specials: !lesser,
            hard_links: !lesser,
            hard_links_of_all: !lesser,
            folds: lesser,
            respells: false,
        }
    }

    /// Whether an entry of this kind can have several names.
    pub fn holds_links_of(&self, kind: Kind) -> bool {
        match kind {
            Kind::File => self.hard_links,
            Kind::Symlink | Kind::Special(_) => self.hard_links_of_all,
            Kind::Dir => false,
        }
    }

    /// Why an entry can never be copied. Names that fold to one are a matter of pairs, and not
    /// looked at here.
    pub fn refuses(&self, dest: &RelPath, stat: &Stat) -> Option<Unsupported> {
        if !dest.is_root()
            && let Some(problem) = self.names.check(dest.name())
        {
            return Some(Unsupported::Name(problem));
        }
        match stat.kind {
            Kind::File => {
                let max = self.kind.file_bytes_max()?;
                (stat.size > max).then_some(Unsupported::TooLarge {
                    bytes: stat.size,
                    max,
                })
            }
            Kind::Symlink => (!self.symlinks).then_some(Unsupported::Symlink),
            Kind::Special(what) => {
                (!self.specials).then_some(Unsupported::Special { what: what.word() })
            }
            Kind::Dir => None,
        }
    }
}

/// Why a destination can never hold an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsupported {
    /// Its name.
    Name(NameProblem),
    /// Its size.
    TooLarge {
        /// The size in bytes.
        bytes: u64,
        /// The largest there can be.
        max: u64,
    },
    /// There are no symbolic links.
    Symlink,
    /// There are no fifos, sockets and device nodes.
    Special {
        /// Which of them it is.
        what: &'static str,
    },
    /// Another entry's name is the same name to the file system.
    SameName {
        /// That entry.
        other: RelPath,
    },
}

impl Unsupported {
    /// What several entries of this kind have in common, as a heading.
    pub fn heading(&self) -> &'static str {
        match self {
            Unsupported::Name(problem) => problem.heading(),
            Unsupported::TooLarge { .. } => "files that are too large",
            Unsupported::Symlink => "symbolic links, which it does not have",
            Unsupported::Special { .. } => {
                "fifos, sockets and device nodes, which it does not have"
            }
            Unsupported::SameName { .. } => {
                "names that are one name there, as they differ in case or Unicode form only"
            }
        }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unsupported::Name(problem) => problem.fmt(f),
            Unsupported::TooLarge { bytes, max } => {
                write!(
                    f,
                    "its {bytes} bytes are more than the {max} a file can have there"
                )
            }
            Unsupported::Symlink => f.write_str("there are no symbolic links there"),
            Unsupported::Special { what } => write!(f, "there can be no {what} there"),
            Unsupported::SameName { other } => {
                write!(f, "its name is the same as that of {other} there")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(kind: Kind, size: u64) -> Stat {
        Stat {
            kind,
            size,
            ..crate::fs::source::lstat(std::path::Path::new("/")).unwrap()
        }
    }

    #[test]
    fn fat_takes_a_file_of_4_gib_less_one_byte_and_none_larger() {
        let path = RelPath::new("dir/film").unwrap();
        let max = (4 << 30) - 1;
        let fat = Limits::assumed(FsKind::Fat, 255);
        assert_eq!(fat.refuses(&path, &stat(Kind::File, max)), None);
        assert_eq!(
            fat.refuses(&path, &stat(Kind::File, max + 1)),
            Some(Unsupported::TooLarge {
                bytes: max + 1,
                max
            })
        );
        assert_eq!(fat.refuses(&path, &stat(Kind::Dir, max + 1)), None);
        for kind in [FsKind::ExFat, FsKind::FuseExFat, FsKind::Ntfs, FsKind::Ext] {
            let limits = Limits::assumed(kind, 255);
            assert_eq!(limits.refuses(&path, &stat(Kind::File, 1 << 40)), None);
        }
    }

    #[test]
    fn a_symlink_is_refused_where_there_are_none_and_the_root_never() {
        let link = stat(Kind::Symlink, 1);
        let path = RelPath::new("link").unwrap();
        let refused = |kind| Limits::assumed(kind, 255).refuses(&path, &link);
        for kind in [FsKind::ExFat, FsKind::FuseExFat] {
            assert_eq!(refused(kind), Some(Unsupported::Symlink));
        }
        assert_eq!(refused(FsKind::Ext), None);
        assert_eq!(refused(FsKind::Ntfs), None);
        let fat = Limits::assumed(FsKind::Fat, 255);
        assert_eq!(fat.refuses(&RelPath::root(), &stat(Kind::Dir, 0)), None);
    }

    #[test]
    fn special_files_are_refused_where_there_are_none() {
        let path = RelPath::new("fifo").unwrap();
        let fifo = stat(Kind::Special(crate::fs::Special::Fifo), 0);
        let refused = |kind| Limits::assumed(kind, 255).refuses(&path, &fifo);
        for kind in [FsKind::Fat, FsKind::ExFat, FsKind::FuseExFat] {
            assert_eq!(refused(kind), Some(Unsupported::Special { what: "fifo" }));
        }
        for kind in [FsKind::FuseNtfs, FsKind::Ext, FsKind::Network] {
            assert_eq!(refused(kind), None);
        }
    }
}
