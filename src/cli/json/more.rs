//! What some kinds of problem say more than path, kind and text.

use std::ops::Range;

use serde::Serialize;
use sprag::event::Damage;

/// What some kinds of problem add.
#[derive(Debug, Default, Serialize)]
pub(crate) struct More {
    #[serde(flatten)]
    damage: Option<DamageBody>,
    /// Of a source; those of damage are in `damage`.
    #[serde(skip_serializing_if = "Option::is_none")]
    ranges: Option<Vec<[u64; 2]>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_done: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_total: Option<u64>,
}

#[derive(Debug, Serialize)]
struct DamageBody {
    ranges: Vec<[u64; 2]>,
    blocks_bad: u64,
    blocks_zero: u64,
    blocks_shifted: u64,
}

fn pairs(ranges: &[Range<u64>]) -> Vec<[u64; 2]> {
    ranges.iter().map(|r| [r.start, r.end]).collect()
}

impl More {
    /// The bytes of a source that cannot be read.
    pub(crate) fn unread(ranges: &[Range<u64>]) -> More {
        More {
            ranges: Some(pairs(ranges)),
            ..More::default()
        }
    }

    pub(crate) fn damage(damage: &Damage) -> More {
        let ranges = pairs(&damage.ranges);
        More {
            damage: Some(DamageBody {
                ranges,
                blocks_bad: damage.blocks_bad,
                blocks_zero: damage.blocks_zero,
                blocks_shifted: damage.blocks_shifted,
            }),
            ..More::default()
        }
    }

    pub(crate) fn incomplete(bytes: u64, of: u64) -> More {
        More {
            bytes_done: Some(bytes),
            bytes_total: Some(of),
            ..More::default()
        }
    }
}
