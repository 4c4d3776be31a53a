//! Metadata: what an entry shall have, what it has, and what the destination made of it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use super::Shared;
use crate::fs::{Fs, FsFile, Kind, Meta, SET_IDS, Stat, Xattrs};
use crate::lock_mutex;
use crate::manifest::{Ctimes, DestMeta, Lesser, Seen};
use crate::path::{Printable, RelPath};
pub(super) use crate::plan::wanted::{Inherited, Own, wanted, wants_xattrs};

/// What begins the names of attributes that the owner of a file may set.
const OWNERS: &[u8] = b"user.";

/// The coarsest times are FAT's.
const ROUNDED_NS_MAX: i128 = 2_000_000_000;

/// No file system's range of times ends between these two, the latter as seen from now. A user who may not
/// set times gets one between them.
const RANGES_BEGIN_NS: i128 = 315_705_600_000_000_000; // 1980-01-03
const DAY_NS: i128 = 86_400_000_000_000;

/// What was told of metadata that the destination cannot hold: each kind once, but each entry with attributes
/// that do not fit.
#[derive(Debug, Default)]
pub(super) struct Told {
    kinds: AtomicU8,
    /// The attributes that did not fit, until they are told.
    unfit: Mutex<HashMap<RelPath, String>>,
}

/// What became of a modification time that is not the one that was asked for, in ns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mtime {
    pub(super) wanted_ns: i128,
    pub(super) there_ns: i128,
    pub(super) now_ns: i128,
}

impl Mtime {
    fn is_rounded(self) -> bool {
        (self.there_ns - self.wanted_ns).abs() < ROUNDED_NS_MAX
    }

    /// Whether it is the end of the destination's range that is nearest to what was asked for.
    fn is_clamped(self) -> bool {
        let is_latest = self.there_ns < self.wanted_ns && self.there_ns > self.now_ns + DAY_NS;
        let is_earliest = self.there_ns > self.wanted_ns && self.there_ns < RANGES_BEGIN_NS;
        !self.is_rounded() && (is_latest || is_earliest)
    }
}

impl Told {
    /// Takes out what did not fit of an entry's attributes.
    pub(super) fn take_unfit(&self, path: &RelPath) -> Option<String> {
        lock_mutex(&self.unfit).remove(path)
    }

    /// Returns what has to be said of `lesser`, and was not yet. `path`: the entry that it is about.
    pub(super) fn news(
        &self,
        lesser: Lesser,
        mtime: Mtime,
        path: impl Fn() -> PathBuf,
    ) -> Vec<String> {
        let (is_rounded, is_clamped) = (mtime.is_rounded(), mtime.is_clamped());
        // Whether it is about all entries or about some: then the first is named.
        let (all, some) = (false, true);
        let kinds = [
            (
                lesser.mode.is_some(),
                all,
                "the destination does not keep all permissions: they are stored as far as it can",
            ),
            (
                lesser.owner.is_some(),
                all,
                "the destination does not keep owners, or this user may not give files away: there, files belong to whoever mounted or copied them",
            ),
            (
                lesser.mtime && is_rounded,
                all,
                "the destination does not keep times exactly: they are rounded to what it can",
            ),
            (
                lesser.mtime && !is_rounded && !is_clamped,
                all,
                "the destination does not let this user set times: there, entries show when they were copied",
            ),
            (
                lesser.acls.is_some(),
                some,
                "the destination, or this user, cannot set all ACLs: some are left out",
            ),
            (
                lesser.xattrs.is_some(),
                some,
                "the destination, or this user, cannot set all extended attributes: some are left out",
            ),
            (
                lesser.mtime && is_clamped,
                some,
                "the destination cannot hold all times: some are set to the nearest that it can hold",
            ),
        ];
        let mut news = Vec::new();
        for (bit, (lacks, names_first, text)) in kinds.into_iter().enumerate() {
            let bit = 1 << bit;
            if lacks && self.kinds.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
                let mut text = text.to_owned();
                if names_first {
                    text += &format!("; the first is of {}", Printable(&path()));
                }
                news.push(text);
            }
        }
        news
    }
}

impl<F: Fs> Shared<F> {
    /// The metadata that a copy of a source shall have that is `there`.
    pub(super) fn wanted(&self, source: &Stat, xattrs: Xattrs, there: &Stat) -> Meta {
        let (options, there) = (&self.options, Some(there));
        wanted(
            options,
            self.own,
            source,
            xattrs,
            there,
            Inherited::default(),
        )
    }

    /// The metadata that a copy of a source shall have that is made in `dir`. `there` is what it replaces.
    pub(super) fn wanted_in(
        &self,
        dir: &F::Dir,
        source: &Stat,
        xattrs: Xattrs,
        there: Option<&Stat>,
    ) -> io::Result<Meta> {
        let has_mode = there.is_some_and(|there| there.kind == source.kind);
        let inherited = match self.options.perms || has_mode {
            true => Inherited::default(),
            false => Inherited::from(&self.fs.stat_dir(dir)?, &self.fs.dir_xattrs(dir)?),
        };
        Ok(wanted(
            &self.options,
            self.own,
            source,
            xattrs,
            there,
            inherited,
        ))
    }

    /// Whether extended attributes have to be looked at.
    pub(super) fn wants_xattrs(&self) -> bool {
        wants_xattrs(&self.options)
    }

    /// The change times to record of a file whose source is as `source` says. None if not all of its
    /// attributes are looked at.
    pub(super) fn ctimes(&self, source: &Stat) -> Option<Ctimes> {
        let looks_at_all = self.options.perms && self.options.xattrs;
        let ctimes = Ctimes::new(source.ctime_ns, self.began_ms, self.own.is_root());
        ctimes.filter(|_| looks_at_all)
    }

    /// What `read` gives, if extended attributes are wanted at all.
    pub(super) fn xattrs(&self, read: impl FnOnce() -> io::Result<Xattrs>) -> io::Result<Xattrs> {
        match self.wants_xattrs() {
            true => read(),
            false => Ok(Xattrs::default()),
        }
    }

    /// What stands under a name.
    pub(super) fn seen(&self, dir: &F::Dir, name: &[u8]) -> io::Result<Option<Seen>> {
        let Some(stat) = self.fs.stat(dir, name)? else {
            return Ok(None);
        };
        let xattrs = self.xattrs(|| self.fs.xattrs(dir, name))?;
        Ok(Some(Seen::new(stat, xattrs)))
    }

    /// What an open file has.
    pub(super) fn seen_file(&self, file: &F::File) -> io::Result<Seen> {
        Ok(Seen::new(file.stat()?, self.xattrs(|| file.xattrs())?))
    }

    /// What an open directory has.
    pub(super) fn seen_dir(&self, dir: &F::Dir) -> io::Result<Seen> {
        let xattrs = self.xattrs(|| self.fs.dir_xattrs(dir))?;
        Ok(Seen::new(self.fs.stat_dir(dir)?, xattrs))
    }

    /// Whether a file that stands at the destination may become the copy of a source: be adopted, or be given
    /// other metadata. It has to belong to this user or to whom the copy shall, or whoever it belongs to, and
    /// may have it open, would get what is the source's. It may have no names that the tree does not have. And
    /// what shall run in its owner's name has to be made by this run.
    pub(super) fn may_take(&self, there: &Stat, source: &Stat) -> bool {
        if !self.fs.keeps_owners() {
            return true;
        }
        let wanted = match self.options.owner {
            true => source.uid,
            false => self.own.uid(),
        };
        let belongs = [wanted, self.own.uid()].contains(&there.uid);
        let names_max = if self.options.hard_links {
            source.nlink
        } else {
            1
        };
        let has_set_id = source.mode & SET_IDS != 0 && self.options.perms;
        belongs
            && there.nlink <= names_max.max(1)
            && (!has_set_id || there.mode & 0o7777 == source.mode & 0o7777)
    }

    /// Whether `stat` is of something that this user made and that has one name.
    pub(super) fn is_own(&self, stat: &Stat) -> bool {
        !self.fs.keeps_owners() || (stat.uid == self.own.uid() && stat.nlink <= 1)
    }

    /// Whether `stat` is of something that belongs to this user, or to `uid`.
    pub(super) fn is_ours_or(&self, stat: &Stat, uid: u32) -> bool {
        !self.fs.keeps_owners() || [uid, self.own.uid()].contains(&stat.uid)
    }

    /// Whether to set `wanted` would let somebody do more than `seen` does. That takes more proof than a size
    /// and a time.
    pub(super) fn grants(&self, wanted: &Meta, seen: &Seen) -> bool {
        let there = &seen.stat;
        let opens = |mode: u32| mode & !there.mode & 0o7077 != 0;
        let differs = |owner| owner != (there.uid, there.gid);
        self.fs.keeps_owners()
            && (wanted.mode.is_some_and(opens)
                || wanted.owner.is_some_and(differs)
                || wanted.acls.as_ref().is_some_and(|acls| *acls != seen.acls))
    }

    /// What is to be recorded of metadata that was set: [`DestMeta::of`]. Notes what of it did not fit.
    pub(super) fn as_set(
        &self,
        path: &RelPath,
        (wanted, source_mtime_ns): (&Meta, i128),
        seen: &Seen,
        known: Option<&DestMeta>,
    ) -> DestMeta {
        if let Some(xattrs) = &wanted.xattrs
            && self.limits.kind.keeps_attributes()
            && matches!(seen.stat.kind, Kind::File | Kind::Dir)
        {
            let is_lacking = |name: &[u8], value: &[u8]| {
                name.starts_with(OWNERS) && seen.xattrs.get(name) != Some(value)
            };
            let lacking = xattrs
                .iter()
                .filter(|(name, value)| is_lacking(name, value));
            let lacking = lacking.map(|(name, value)| {
                let name = Printable(Path::new(OsStr::from_bytes(name)));
                format!("{name} ({} bytes)", value.len())
            });
            let lacking: Vec<_> = lacking.collect();
            if !lacking.is_empty() {
                lock_mutex(&self.told.unfit).insert(path.clone(), lacking.join(", "));
            }
        }
        DestMeta::of(wanted, source_mtime_ns, seen, known)
    }

    /// Sets metadata of a name that `is_it`; gives what the destination made of it, to be recorded of `path`.
    pub(super) fn set_named(
        &self,
        path: &RelPath,
        (dir, name): (&F::Dir, &[u8]),
        is_it: &dyn Fn(&Stat) -> bool,
        (wanted, source_mtime_ns): (&Meta, i128),
        known: Option<&DestMeta>,
    ) -> io::Result<DestMeta> {
        self.fs.set_meta(dir, name, is_it, wanted)?;
        let seen = self.seen(dir, name)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(self.as_set(path, (wanted, source_mtime_ns), &seen, known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR_NS: i128 = 365 * DAY_NS;
    const NOW_NS: i128 = 56 * YEAR_NS;

    fn mtime(wanted_ns: i128, there_ns: i128) -> Mtime {
        Mtime {
            wanted_ns,
            there_ns,
            now_ns: NOW_NS,
        }
    }

    #[test]
    fn each_kind_is_told_once() {
        let told = Told::default();
        let news = |lesser, off_ns| {
            let mtime = mtime(40 * YEAR_NS, 40 * YEAR_NS + off_ns);
            told.news(lesser, mtime, || "f".into()).len()
        };
        let lesser = Lesser {
            mode: Some(0o600),
            mtime: true,
            ..Lesser::default()
        };
        assert_eq!(news(lesser, -999), 2);
        assert_eq!(news(lesser, 1_999_999_999), 0);
        // That is no rounding.
        assert_eq!(news(lesser, 2_000_000_000), 1);
        let lesser = Lesser {
            xattrs: Some(1),
            ..lesser
        };
        assert_eq!(news(lesser, 0), 1);
    }

    #[test]
    fn a_time_out_of_range_is_told_as_such_and_with_its_entry() {
        for (wanted_ns, there_ns, words) in [
            (530 * YEAR_NS, 476 * YEAR_NS, "the first is of d/f"),
            (130 * YEAR_NS, 68 * YEAR_NS, "cannot hold all times"),
            (-300 * YEAR_NS, -68 * YEAR_NS, "cannot hold all times"),
            (-YEAR_NS, 0, "cannot hold all times"),
            (40 * YEAR_NS, NOW_NS, "does not let this user set times"),
            (530 * YEAR_NS, NOW_NS, "does not let this user set times"),
            (-YEAR_NS, NOW_NS, "does not let this user set times"),
            (40 * YEAR_NS + 1, 40 * YEAR_NS, "rounded"),
            (130 * YEAR_NS + 1, 130 * YEAR_NS, "rounded"),
            (-YEAR_NS - 1, -YEAR_NS, "rounded"),
        ] {
            let lesser = Lesser {
                mtime: true,
                ..Lesser::default()
            };
            let mtime = mtime(wanted_ns, there_ns);
            let news = Told::default().news(lesser, mtime, || "d/f".into());
            assert!(
                news.len() == 1 && news[0].contains(words),
                "{mtime:?}: {news:?}"
            );
        }
    }
}
