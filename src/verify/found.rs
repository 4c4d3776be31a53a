//! Findings as the manifest keeps them, and back.

use std::io;
use std::path::PathBuf;

use crate::error::{PathError, Reason};
use crate::event::{Damage, Shift, Verdict};
use crate::manifest::{Found, FoundDamage};

/// The longest text that is kept, in bytes.
const TEXT_BYTES_MAX: usize = 512;

/// What to keep of a verdict; `None` if nothing is wrong.
pub(super) fn found(verdict: &Verdict) -> Option<Found> {
    Some(match verdict {
        Verdict::Ok
        | Verdict::Sampled { .. }
        | Verdict::Unread
        | Verdict::Extra
        | Verdict::Unknown { .. } => return None,
        Verdict::Unproven => Found::Unproven,
        Verdict::Corrupt { damage } => Found::Corrupt(keep(damage)),
        Verdict::Modified { what, damage } => Found::Modified(cut(what), damage.as_ref().map(keep)),
        Verdict::Metadata { what } => Found::Metadata(cut(what)),
        Verdict::Missing => Found::Missing,
        Verdict::Incomplete { bytes, of } => Found::Incomplete {
            bytes: *bytes,
            of: *of,
        },
        Verdict::Unreadable { error } => Found::Unreadable(cut(&Reason(&error.source).to_string())),
    })
}

/// The verdict that was kept; `path` is what an error was about.
pub(super) fn verdict(found: &Found, path: impl Fn() -> PathBuf) -> Verdict {
    match found {
        Found::Unproven => Verdict::Unproven,
        Found::Corrupt(damage) => Verdict::Corrupt {
            damage: restore(damage),
        },
        Found::Modified(what, damage) => Verdict::Modified {
            what: what.clone(),
            damage: damage.as_ref().map(restore),
        },
        Found::Metadata(what) => Verdict::Metadata { what: what.clone() },
        Found::Missing => Verdict::Missing,
        Found::Incomplete { bytes, of } => Verdict::Incomplete {
            bytes: *bytes,
            of: *of,
        },
        Found::Unreadable(text) => Verdict::Unreadable {
            error: PathError::new("read", path(), io::Error::other(text.clone())),
        },
    }
}

fn keep(damage: &Damage) -> FoundDamage {
    let mut ranges = damage.ranges.clone();
    if let (true, Some(end)) = (
        ranges.len() > FoundDamage::RANGES_MAX,
        damage.ranges.last().map(|last| last.end),
    ) {
        ranges.truncate(FoundDamage::RANGES_MAX);
        if let Some(last) = ranges.last_mut() {
            last.end = end;
        }
    }
    FoundDamage {
        ranges,
        blocks_bad: damage.blocks_bad,
        blocks_zero: damage.blocks_zero,
        blocks_shifted: damage.blocks_shifted,
        first_shift: damage.first_shift.map(|shift| (shift.at, shift.belongs)),
    }
}

fn restore(damage: &FoundDamage) -> Damage {
    Damage {
        ranges: damage.ranges.clone(),
        blocks_bad: damage.blocks_bad,
        blocks_zero: damage.blocks_zero,
        blocks_shifted: damage.blocks_shifted,
        first_shift: damage
            .first_shift
            .map(|(at, belongs)| Shift { at, belongs }),
    }
}

/// As much of a text as is kept.
pub(super) fn cut(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
