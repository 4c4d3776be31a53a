//! The kinds of power cut, and what each lets survive of what no flush covered.

use std::fmt;
use std::str::FromStr;

use super::disk::{Disk, Ino};
use super::log::{Op, SECTOR};
use super::rng::Rng;

/// A kind of power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CrashKind {
    /// Nothing unflushed survived.
    Nothing,
    /// All of it did.
    All,
    /// A random subset of it.
    Subset,
    /// A random subset, and of some writes only some sectors.
    Torn,
    /// Names survive independently of each other, whatever happened to data.
    Names,
    /// As on FAT: a rename may leave both names, or neither.
    HalfRenames,
    /// All data survives, and some directories lose what happened to their names.
    LostNames,
    /// Names, sizes and times survive; of the data, zeros or what lay on the medium before.
    SizeNoData,
}

/// What becomes of one operation that no flush covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    Keep,
    Lose,
    /// The first sectors of a write.
    Prefix {
        sectors: u64,
    },
    /// A random choice of the sectors of a write.
    Sectors {
        seed: u64,
    },
    /// The file grew, and where it grew there are zeros, or else noise.
    Grown {
        zeros: bool,
    },
    /// Of a rename, only the new name.
    NameAdded,
    /// Of a rename, only that the old name is gone.
    NameGone,
}

impl CrashKind {
    pub(crate) const ALL: [CrashKind; 8] = [
        CrashKind::Nothing,
        CrashKind::All,
        CrashKind::Subset,
        CrashKind::Torn,
        CrashKind::Names,
        CrashKind::HalfRenames,
        CrashKind::LostNames,
        CrashKind::SizeNoData,
    ];

    fn word(self) -> &'static str {
        match self {
            CrashKind::Nothing => "nothing",
            CrashKind::All => "all",
            CrashKind::Subset => "subset",
            CrashKind::Torn => "torn",
            CrashKind::Names => "names",
            CrashKind::HalfRenames => "half-renames",
            CrashKind::LostNames => "lost-names",
            CrashKind::SizeNoData => "size-no-data",
        }
    }

    /// Whether it differs from the plainer kinds, given what is pending.
    pub(super) fn applies(self, pending: &[&Op]) -> bool {
        let any = |what: fn(&Op) -> bool| pending.iter().any(|op| what(op));
        match self {
            CrashKind::Nothing => true,
            CrashKind::All => !pending.is_empty(),
            CrashKind::Subset => pending.len() > 1,
            CrashKind::Torn => any(|op| matches!(op, Op::Write { .. })),
            CrashKind::Names | CrashKind::LostNames => any(|op| op.dir().is_some()),
            CrashKind::HalfRenames => any(|op| matches!(op, Op::Rename { .. })),
            CrashKind::SizeNoData => any(|op| matches!(op, Op::Write { .. })),
        }
    }

    /// What becomes of each of the pending operations.
    pub(super) fn fates(self, pending: &[&Op], rng: &mut Rng) -> Vec<Fate> {
        // Mostly kept, mostly lost and anything between: each finds other faults.
        let odds = 1 + rng.below(7);
        let data_odds = [0, odds, 8][rng.below(3) as usize];
        let zeros_odds = [0, 4, 8][rng.below(3) as usize];
        let salt = rng.next();
        let fate = |op: &&Op| match (self, op) {
            (CrashKind::Nothing, _) => Fate::Lose,
            (CrashKind::All, _) => Fate::Keep,
            (CrashKind::Subset, _) => keep(rng.chance(odds, 8)),
            (CrashKind::Torn, Op::Write { offset, data, .. }) => {
                torn(*offset, data.len(), odds, rng)
            }
            (CrashKind::Torn, _) => keep(rng.chance(odds, 8)),
            (CrashKind::HalfRenames, Op::Rename { .. }) => match rng.below(4) {
                0 => Fate::NameAdded,
                1 => Fate::NameGone,
                kept => keep(kept == 2),
            },
            (CrashKind::Names | CrashKind::HalfRenames, op) => {
                let odds = if op.dir().is_some() { odds } else { data_odds };
                keep(rng.chance(odds, 8))
            }
            (CrashKind::LostNames, op) => keep(!op.dir().is_some_and(|dir| {
                loses_names(dir, salt) && (data_odds == 0 || rng.chance(data_odds, 8))
            })),
            (CrashKind::SizeNoData, Op::Write { .. }) if rng.chance(odds, 8) => Fate::Grown {
                zeros: rng.chance(zeros_odds, 8),
            },
            (CrashKind::SizeNoData, _) => Fate::Keep,
        };
        pending.iter().map(fate).collect()
    }
}

fn keep(kept: bool) -> Fate {
    if kept { Fate::Keep } else { Fate::Lose }
}

fn loses_names(dir: Ino, salt: u64) -> bool {
    Rng::of(&[dir, salt]).chance(2, 3)
}

fn torn(offset: u64, len: usize, odds: u64, rng: &mut Rng) -> Fate {
    let sectors = sectors(offset, len);
    match rng.below(4) {
        _ if sectors == 1 => keep(rng.chance(odds, 8)),
        0 => keep(rng.chance(odds, 8)),
        1 => Fate::Prefix {
            sectors: 1 + rng.below(sectors - 1),
        },
        _ => Fate::Sectors { seed: rng.next() },
    }
}

fn sectors(offset: u64, len: usize) -> u64 {
    debug_assert_eq!(offset % SECTOR, 0);
    (len as u64).div_ceil(SECTOR)
}

impl Fate {
    /// Does to the disk what is left of the operation. `durable` is the disk before any pending
    /// operation.
    pub(super) fn apply(self, disk: &mut Disk, op: &Op, durable: &Disk) {
        match (self, op) {
            (Fate::Lose, _) => {}
            (
                Fate::Prefix { sectors: kept },
                Op::Write {
                    ino,
                    offset,
                    data,
                    time,
                },
            ) => {
                let end = data.len().min((kept * SECTOR) as usize);
                disk.write(*ino, &data[..end], *offset, *time);
            }
            (
                Fate::Sectors { seed },
                Op::Write {
                    ino,
                    offset,
                    data,
                    time,
                },
            ) => {
                let mut rng = Rng::of(&[seed]);
                let sectors = data.chunks(SECTOR as usize);
                for (sector, at) in sectors.zip((*offset..).step_by(SECTOR as usize)) {
                    if rng.chance(1, 2) {
                        disk.write(*ino, sector, at, *time);
                    }
                }
            }
            (
                Fate::Grown { zeros },
                Op::Write {
                    ino,
                    offset,
                    data,
                    time,
                },
            ) => {
                // What the file had before is not what it grew by.
                let had = durable.content(*ino).map_or(0, |content| content.len());
                let end = offset + data.len() as u64;
                let start = had.clamp(*offset, end);
                let mut found = vec![0; (end - start) as usize];
                if !zeros {
                    Rng::of(&[*ino, start]).fill(&mut found);
                }
                disk.write(*ino, &found, start, *time);
            }
            (
                Fate::NameAdded,
                Op::Rename {
                    dir, to, ino, time, ..
                },
            ) => {
                disk.put(*dir, to, Some(*ino), *time);
            }
            (
                Fate::NameGone,
                Op::Rename {
                    dir, from, time, ..
                },
            ) => {
                disk.put(*dir, from, None, *time);
            }
            (_, op) => disk.apply(op),
        }
    }
}

impl fmt::Display for CrashKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for CrashKind {
    type Err = String;
    fn from_str(word: &str) -> Result<CrashKind, String> {
        let known = CrashKind::ALL.into_iter().find(|kind| kind.word() == word);
        known.ok_or_else(|| format!("{word:?} is no kind of power cut"))
    }
}
