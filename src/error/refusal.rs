//! Why a destination was refused as a whole: what it can never hold, grouped, and what does not
//! fit.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::limits::Unsupported;
use crate::path::Printable;
use crate::size::Size;

/// So many entries of each kind are named.
const NAMED_MAX: usize = 5;

/// What a destination cannot hold of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    dest: PathBuf,
    file_system: &'static str,
    groups: Vec<RefusedGroup>,
    shortages: Vec<Shortage>,
    /// Bytes that `--delete` would take in the end, and those of half copies that no source has.
    extraneous: u64,
    partials: u64,
    /// Something was copied before this was found.
    under_way: bool,
}

/// Entries that cannot be held for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedGroup {
    heading: &'static str,
    count: u64,
    /// The first of them, each with its own reason.
    named: Vec<(PathBuf, Unsupported)>,
}

/// What there is too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// Space.
    Bytes {
        /// What the copy takes beyond what is there already, in bytes.
        needed: u64,
        /// What is free, in bytes.
        free: u64,
    },
    /// Inodes.
    Inodes {
        /// How many new entries there are.
        needed: u64,
        /// How many inodes are free.
        free: u64,
    },
}

impl Refusal {
    /// Nothing is refused yet.
    pub(crate) fn new(dest: &Path, file_system: &'static str) -> Refusal {
        Refusal {
            dest: dest.to_path_buf(),
            file_system,
            groups: Vec::new(),
            shortages: Vec::new(),
            extraneous: 0,
            partials: 0,
            under_way: false,
        }
    }

    /// Adds an entry that cannot be held.
    pub(crate) fn add(&mut self, source: &Path, why: Unsupported) {
        let heading = why.heading();
        let known = self
            .groups
            .iter_mut()
            .position(|group| group.heading == heading);
        let number = known.unwrap_or_else(|| {
            self.groups.push(RefusedGroup {
                heading,
                count: 0,
                named: Vec::new(),
            });
            self.groups.len() - 1
        });
        let group = &mut self.groups[number];
        group.count += 1;
        if group.named.len() < NAMED_MAX {
            group.named.push((source.to_path_buf(), why));
        }
    }

    /// Adds what there is too little of.
    pub(crate) fn add_shortage(&mut self, shortage: Shortage) {
        self.shortages.push(shortage);
    }

    /// Adds what could make room, in bytes: what `--delete` is going to take, and half copies of files that
    /// no source has.
    pub(crate) fn add_reclaimable(&mut self, extraneous: u64, partials: u64) {
        (self.extraneous, self.partials) = (extraneous, partials);
    }

    /// Forgets the entries, which are to be left out.
    pub(crate) fn without_entries(mut self) -> Refusal {
        self.groups.clear();
        self
    }

    /// The same, found when copying had begun.
    pub(crate) fn under_way(mut self, under_way: bool) -> Refusal {
        self.under_way = under_way;
        self
    }

    /// Whether nothing speaks against the copy.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.shortages.is_empty()
    }

    /// Headings and numbers of what cannot be held.
    pub fn groups(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.groups.iter().map(|group| (group.heading, group.count))
    }

    /// What there is too little of.
    pub fn shortages(&self) -> &[Shortage] {
        &self.shortages
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dest, on) = (Printable(&self.dest), self.file_system);
        if !self.groups.is_empty() {
            writeln!(f, "{dest} is on {on}, which cannot hold all of this:")?;
        }
        for group in &self.groups {
            writeln!(f, "  {}: {}", group.heading, group.count)?;
            for (path, why) in &group.named {
                writeln!(f, "    {}: {why}", Printable(path))?;
            }
            let more = group.count - group.named.len() as u64;
            if more > 0 {
                writeln!(f, "    and {more} more")?;
            }
        }
        for shortage in &self.shortages {
            match shortage {
                Shortage::Bytes { needed, free } => writeln!(
                    f,
                    "{dest} has not enough room: {} are needed beyond what is there, and {} are free, {} too few",
                    Size(*needed),
                    Size(*free),
                    Size(needed.saturating_sub(*free))
                )?,
                Shortage::Inodes { needed, free } => writeln!(
                    f,
                    "{dest} has not enough inodes: {needed} are needed beyond what is there, and {free} are free",
                )?,
            }
        }
        if self.extraneous > 0 {
            let size = Size(self.extraneous);
            writeln!(
                f,
                "What --delete takes in the end would make room ({size}): with --delete-before it goes first."
            )?;
        }
        if self.partials > 0 {
            let size = Size(self.partials);
            writeln!(
                f,
                "Half copies of files that the source does not have any more hold {size}: `sprag clean` on the destination gives that room back."
            )?;
        }
        f.write_str(match self.under_way {
            true => "The run ended here; progress is saved. ",
            false => "Nothing was copied. ",
        })?;
        f.write_str(match (self.groups.is_empty(), self.shortages.is_empty()) {
            (true, _) => "Free some room, or copy less.",
            (false, true) => "Rename these, leave them out with --skip-unsupported, or choose another destination.",
            (false, false) => "Free some room or copy less; and rename these or leave them out with --skip-unsupported.",
        })
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::NameProblem;

    #[test]
    fn a_refusal_names_the_first_of_each_kind_and_counts_the_rest() {
        let mut refusal = Refusal::new(Path::new("/mnt/usb"), "FAT32");
        for n in 0..7 {
            let path = format!("/home/a{n}:\n");
            refusal.add(Path::new(&path), Unsupported::Name(NameProblem::Char(':')));
        }
        let max = u64::from(u32::MAX);
        let why = Unsupported::TooLarge {
            bytes: 1 << 33,
            max,
        };
        refusal.add(Path::new("/home/film"), why);
        assert_eq!(
            refusal.to_string(),
            "/mnt/usb is on FAT32, which cannot hold all of this:
  names with characters that it forbids: 7
    /home/a0:\\n: no name can contain : there
    /home/a1:\\n: no name can contain : there
    /home/a2:\\n: no name can contain : there
    /home/a3:\\n: no name can contain : there
    /home/a4:\\n: no name can contain : there
    and 2 more
  files that are too large: 1
    /home/film: its 8589934592 bytes are more than the 4294967295 a file can have there
Nothing was copied. Rename these, leave them out with --skip-unsupported, or choose another destination."
        );
    }

    #[test]
    fn a_shortage_is_told_and_left_standing_when_entries_are_left_out() {
        let mut refusal = Refusal::new(Path::new("/mnt/usb"), "ext4");
        refusal.add(Path::new("x"), Unsupported::Symlink);
        let (needed, free) = (10, 5);
        refusal.add_shortage(Shortage::Bytes { needed, free });
        let text = refusal.without_entries().under_way(true).to_string();
        assert_eq!(
            text,
            "/mnt/usb has not enough room: 10 B are needed beyond what is there, and 5 B are free, 5 B too few
The run ended here; progress is saved. Free some room, or copy less."
        );
    }
}
