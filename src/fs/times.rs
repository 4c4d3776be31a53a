//! Whether the time that a destination shows is the one that was recorded.

use super::{Fs, FsKind};

/// What they are counted in there, in ns: as they were set, NTFS, exFAT, FUSE daemons, FAT.
const UNITS_NS: [i128; 5] = [1, 100, 10_000_000, 1_000_000_000, 2_000_000_000];

/// How a file system shows times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// They are those of a local clock, so that all shift with the zone. Drivers show what was set until it is read
    /// again: then it is rounded down, and what is out of range is the end of the range.
    local: Option<FsKind>,
}

impl Times {
    /// Each is what it was.
    pub const EXACT: Times = Times { local: None };

    /// Those of a local clock, of no known range.
    #[cfg(test)]
    pub(crate) fn local() -> Times {
        Times {
            local: Some(FsKind::Fuse),
        }
    }

    /// Those of a destination.
    pub fn of<F: Fs>(fs: &F) -> Times {
        let kind = fs.about().map_or(FsKind::Other, |about| about.kind);
        Times {
            local: fs.may_lack_modes().then_some(kind),
        }
    }

    /// Whether they are those of a local clock. Then owners and modes are the mounter's business, too.
    pub fn are_local(self) -> bool {
        self.local.is_some()
    }

    /// Whether a time that is there, in ns, is the one that was recorded.
    pub fn same(self, recorded_ns: i128, there_ns: i128) -> bool {
        let Some(kind) = self.local else {
            return recorded_ns == there_ns;
        };
        let range = kind.times_ns();
        let is_rounded = |unit: &i128| {
            let rounded_ns = recorded_ns.div_euclid(*unit) * unit;
            there_ns % unit == 0 && is_zone_shift(there_ns - rounded_ns)
        };
        UNITS_NS.iter().any(is_rounded)
            || (recorded_ns < *range.start() && there_ns <= *range.start())
            || (recorded_ns > *range.end() && there_ns >= *range.end())
    }
}

/// Whether two times differ as local clocks do: by quarters of an hour, up to a day and a bit.
fn is_zone_shift(difference_ns: i128) -> bool {
    const QUARTER_NS: i128 = 15 * 60 * 1_000_000_000;
    difference_ns % QUARTER_NS == 0 && difference_ns.abs() <= 26 * 4 * QUARTER_NS
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i128 = 1_000_000_000;

    #[test]
    fn a_local_clock_shifts_by_the_zone_and_ends_where_its_range_does() {
        let exfat = Times {
            local: Some(FsKind::ExFat),
        };
        let day = 1_700_000_000 * S;
        for (recorded, there, same) in [
            (day, day, true),
            (day, day + 3600 * S, true),
            (day, day - 5 * 1800 * S, true),
            (day, day + 2 * S, false),
            (day + S + 7, day, true),
            (day + S + 7, day + 3600 * S, true),
            (day + S + 7, day + S + 1, false),
            (day + 10_000_007, day + 10_000_000, true),
            (day, day + 3601 * S, false),
            (0, 315_532_800 * S, true),
            (0, day, false),
            (5_000_000_000 * S, 4_354_819_198 * S, true),
        ] {
            assert_eq!(exfat.same(recorded, there), same, "{recorded} {there}");
            assert_eq!(Times::EXACT.same(recorded, there), recorded == there);
        }
    }
}
