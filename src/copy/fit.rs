//! Whether a destination can hold what a walk meets: each name, size and kind, and all of it together.
//!
//! The counting walk asks with what was tried, a dry run with what was foreseen.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::room::{Need, Reclaimable, There};
use super::siblings::Siblings;
use crate::error::{Refusal, Shortage};
use crate::event::EntryCounts;
use crate::fs::{About, FileId, Fs, Kind};
use crate::limits::{Limits, NameRules, Unsupported};
use crate::options::CopyOptions;
use crate::path::{Printable, RelPath};
use crate::scan::{Scanned, Source};
use crate::selection::Selection;

/// What is said once where not all hard links can be.
pub(super) fn no_hard_links(limits: &Limits) -> &'static str {
    match limits.hard_links {
        false => {
            "the destination cannot hold hard links: each of their names is copied as a file of its own"
        }
        true => {
            "the destination, or this user, cannot make hard links of symbolic links and special files: each of their names is copied by itself"
        }
    }
}

pub(super) struct Fit<'a> {
    limits: &'a Limits,
    about: About,
    options: &'a CopyOptions,
    /// Inodes with several names: such a file is copied once, where it can be.
    linked: HashSet<FileId>,
    /// Some have names that are files of their own there.
    splits_links: bool,
    need: Need,
    siblings: Siblings,
    refusal: Refusal,
    lesser: [Lesser; 2],
}

/// Entries that can be copied, though not with everything: how many, and the first.
#[derive(Default)]
struct Lesser {
    count: EntryCounts,
    first: Option<PathBuf>,
}

impl Lesser {
    fn add(&mut self, scanned: &Scanned) {
        self.count.add(Some(scanned.stat.kind));
        self.first.get_or_insert_with(|| scanned.source.clone());
    }
}

const TIMES: usize = 0;
const WINDOWS_NAMES: usize = 1;

impl<'a> Fit<'a> {
    /// `about`: the file system before anything is copied.
    pub(super) fn new(
        limits: &'a Limits,
        about: About,
        options: &'a CopyOptions,
        dest: &Path,
    ) -> Fit<'a> {
        Fit {
            limits,
            about,
            options,
            linked: HashSet::new(),
            splits_links: false,
            need: Need::default(),
            siblings: Siblings::default(),
            refusal: Refusal::new(dest, about.kind.describe()),
            lesser: Default::default(),
        }
    }

    /// Notes an entry, and what the destination cannot hold of it, or not as it is. `are_one` says
    /// whether two names that look alike are one there. Gives whether its content takes room: it is
    /// not just another name of a file that was met.
    pub(super) fn meet(
        &mut self,
        scanned: &Scanned,
        are_one: impl Fn(&RelPath, &RelPath) -> bool,
    ) -> bool {
        if scanned.left_out.is_some() {
            return false;
        }
        let (limits, dest, stat) = (self.limits, &scanned.dest, &scanned.stat);
        let was_met = stat.kind != Kind::Dir
            && stat.nlink > 1
            && self.options.hard_links
            && !self.linked.insert(stat.id());
        let holds_links = limits.holds_links_of(stat.kind);
        self.splits_links |= was_met && !holds_links;
        let is_name = was_met && holds_links;
        if !is_name {
            self.need.add(&self.about, stat);
        }
        if let Some(why) = limits.refuses(dest, stat) {
            self.refusal.add(&scanned.source, why);
        } else if limits.folds
            && let Some(other) = self.siblings.meet(dest)
            && are_one(&other, dest)
        {
            let why = Unsupported::SameName { other };
            self.refusal.add(&scanned.source, why);
        } else {
            self.note_lesser(scanned);
        }
        !is_name
    }

    fn note_lesser(&mut self, scanned: &Scanned) {
        if !self.about.kind.times_ns().contains(&scanned.stat.mtime_ns) {
            self.lesser[TIMES].add(scanned);
        }
        let name = scanned.dest.name();
        if self.about.kind.is_windows() && NameRules::windows().check(name).is_some() {
            self.lesser[WINDOWS_NAMES].add(scanned);
        }
    }

    /// Whether names of one file are to be kept together and cannot be.
    pub(super) fn splits_links(&self) -> bool {
        self.splits_links
    }

    /// Counts space as free that is given back before anything is copied.
    pub(super) fn give_back(&mut self, bytes: u64) {
        self.about.free_bytes = self.about.free_bytes.saturating_add(bytes);
    }

    /// What there is too little of, once everything was met.
    pub(super) fn shortages<F: Fs>(
        &self,
        there: Option<&mut There<'_, F>>,
        sources: &[Source],
        selection: &Selection,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Vec<Shortage>, Failure> {
        (self.need).shortages(&self.about, there, sources, selection, should_stop)
    }

    /// Why the copy cannot succeed, if it cannot. What is left out then does not count. `reclaimable`: what
    /// could make room.
    pub(super) fn refusal(
        mut self,
        shortages: Vec<Shortage>,
        reclaimable: impl FnOnce(&About) -> Result<Reclaimable, Failure>,
    ) -> Result<Option<Refusal>, Failure> {
        let lacking = shortages.iter().find_map(|shortage| match shortage {
            Shortage::Bytes { needed, free } => Some(needed - free),
            Shortage::Inodes { .. } => None,
        });
        if let Some(lacking) = lacking {
            let found = reclaimable(&self.about)?;
            let deletes_last = self.options.delete.is_some_and(|rules| !rules.before);
            let suffices = found.extraneous.saturating_add(found.partials) >= lacking;
            let extraneous = match deletes_last && suffices {
                true => found.extraneous,
                false => 0,
            };
            self.refusal.add_reclaimable(extraneous, found.partials);
        }
        for shortage in shortages {
            self.refusal.add_shortage(shortage);
        }
        let refusal = match self.options.skip_unsupported {
            true => self.refusal.without_entries(),
            false => self.refusal,
        };
        Ok((!refusal.is_empty()).then_some(refusal))
    }

    /// What can be copied, though not with everything.
    pub(super) fn warnings(&self) -> Vec<String> {
        let kind = self.about.kind.describe();
        let times = format!("that {kind} cannot keep, as it knows 1980 to 2107 only");
        let names = "that Windows cannot open";
        let texts = [
            ("has a time", "have times", times.as_str()),
            ("has a name", "have names", names),
        ];
        let mut warnings = Vec::new();
        for (lesser, (one, many, text)) in self.lesser.iter().zip(texts) {
            let Some(first) = &lesser.first else { continue };
            let first = Printable(first);
            let count = lesser.count;
            warnings.push(match count.total() {
                1 => format!("{count} {one} {text}: {first}"),
                _ => format!("{count} {many} {text}; the first is {first}"),
            });
        }
        warnings
    }
}
