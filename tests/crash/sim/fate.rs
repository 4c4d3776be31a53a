//! The kinds of power cut, and what each lets survive of what no flush covered.

use std::fmt;
use std::str::FromStr;

use super::disk::{Disk, Ino, mount_of};
use super::log::{Born, Log, Op, SECTOR};
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
    /// As on FAT: a new name is there, and the file that it stands for is empty.
    EmptyNames,
}

/// What lay on the medium before, where a file grew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Found {
    Zeros,
    Noise,
    /// What a file that was removed had in the same place, as an older manifest's records. Space that was
    /// given up is what is given next ("All File Systems Are Not Created Equal", OSDI 2014: appends
    /// that leave garbage, on ext2, ext3-writeback, reiserfs).
    Older,
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
        found: Found,
    },
    /// Of a rename, only the new name.
    NameAdded,
    /// Of a rename, only that the old name is gone.
    NameGone,
    /// Of a rename, the new name, which stands for nothing; the old one may still be there.
    NameEmpty {
        keeps_old: bool,
    },
}

impl CrashKind {
    pub(crate) const ALL: [CrashKind; 9] = [
        CrashKind::Nothing,
        CrashKind::All,
        CrashKind::Subset,
        CrashKind::Torn,
        CrashKind::Names,
        CrashKind::HalfRenames,
        CrashKind::LostNames,
        CrashKind::SizeNoData,
        CrashKind::EmptyNames,
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
            CrashKind::EmptyNames => "empty-names",
        }
    }

    /// Whether it differs from the plainer kinds, given what is pending.
    pub(super) fn applies(self, pending: &[&Op], log: &Log) -> bool {
        let any = |what: fn(&Op) -> bool| pending.iter().any(|op| what(op));
        match self {
            CrashKind::Nothing => true,
            CrashKind::All => !pending.is_empty(),
            CrashKind::Subset => pending.len() > 1,
            CrashKind::Torn => any(|op| matches!(op, Op::Write { .. })),
            CrashKind::Names | CrashKind::LostNames => any(|op| op.dir().is_some()),
            CrashKind::HalfRenames => any(|op| matches!(op, Op::Rename { .. })),
            CrashKind::EmptyNames => pending.iter().any(|op| enters_empty_name(log, op)),
            CrashKind::SizeNoData => any(|op| matches!(op, Op::Write { .. })),
        }
    }

    /// What becomes of each of the pending operations.
    pub(super) fn fates(self, pending: &[&Op], log: &Log, rng: &mut Rng) -> Vec<Fate> {
        // Mostly kept, mostly lost and anything between: each finds other faults.
        let odds = 1 + rng.below(7);
        let data_odds = [0, odds, 8][rng.below(3) as usize];
        let zeros_odds = [0, 4, 8][rng.below(3) as usize];
        let salt = rng.next();
        let older = Rng::of(&[salt]).chance(1, 2);
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
            (CrashKind::EmptyNames, op) if enters_empty_name(log, op) && rng.chance(1, 2) => {
                Fate::NameEmpty {
                    keeps_old: rng.chance(1, 2),
                }
            }
            (CrashKind::EmptyNames, _) => keep(rng.chance(odds, 8)),
            (CrashKind::Names | CrashKind::HalfRenames, op) => {
                let odds = if op.dir().is_some() { odds } else { data_odds };
                keep(rng.chance(odds, 8))
            }
            (CrashKind::LostNames, op) => keep(!op.dir().is_some_and(|dir| {
                loses_names(dir, salt) && (data_odds == 0 || rng.chance(data_odds, 8))
            })),
            (CrashKind::SizeNoData, Op::Write { .. }) if rng.chance(odds, 8) => Fate::Grown {
                found: match rng.chance(zeros_odds, 8) {
                    true => Found::Zeros,
                    false if older => Found::Older,
                    false => Found::Noise,
                },
            },
            (CrashKind::SizeNoData, Op::SetLen { .. })
                if log.traits_of(op.mount()).loses_allocations && rng.chance(odds, 8) =>
            {
                Fate::Grown {
                    found: Found::Noise,
                }
            }
            (CrashKind::SizeNoData, _) => Fate::Keep,
        };
        pending.iter().map(fate).collect()
    }
}

fn keep(kept: bool) -> Fate {
    if kept { Fate::Keep } else { Fate::Lose }
}

fn enters_empty_name(log: &Log, op: &Op) -> bool {
    matches!(op, Op::Rename { .. }) && log.traits_of(op.mount()).enters_empty_names
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

impl Found {
    /// Fills a buffer with what is found at a place in a file.
    pub(super) fn fill(self, buf: &mut [u8], (ino, offset): (Ino, u64), durable: &Disk) {
        match self {
            Found::Zeros => {}
            Found::Noise => Rng::of(&[ino, offset]).fill(buf),
            Found::Older => durable.read_removed(buf, offset),
        }
    }
}

impl Fate {
    /// What is found instead of what was written, if that is not zeros.
    pub(super) fn stale(self) -> Option<Found> {
        match self {
            Fate::Grown { found } => Some(found).filter(|found| *found != Found::Zeros),
            _ => None,
        }
    }

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
                Fate::Grown { found: what },
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
                what.fill(&mut found, (*ino, start), durable);
                disk.write(*ino, &found, start, *time);
            }
            // There are no holes there: what a file grows by is given to it and cleared, by writes of its
            // own (`fat_cont_expand` in fs/fat/file.c).
            (Fate::Grown { found: what }, Op::SetLen { ino, len, time }) => {
                let has = disk.content(*ino).map_or(0, |content| content.len());
                disk.apply(op);
                if has < *len {
                    let mut found = vec![0; (len - has) as usize];
                    what.fill(&mut found, (*ino, has), durable);
                    disk.write(*ino, &found, has, *time);
                }
            }
            (
                Fate::NameAdded,
                Op::Rename {
                    to_dir,
                    to,
                    ino,
                    time,
                    ..
                },
            ) => {
                disk.put(*to_dir, to, Some(*ino), *time);
                disk.space.note_twin(*ino);
            }
            (
                Fate::NameEmpty { keeps_old },
                Op::Rename {
                    dir,
                    from,
                    to_dir,
                    to,
                    time,
                    ..
                },
            ) => {
                let ino = disk.unused_ino(mount_of(*dir));
                let born = Born::File { mode: 0o644 };
                disk.apply(&Op::Create {
                    dir: *to_dir,
                    name: to.clone(),
                    ino,
                    born,
                    time: *time,
                });
                if !keeps_old {
                    disk.put(*dir, from, None, *time);
                }
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
