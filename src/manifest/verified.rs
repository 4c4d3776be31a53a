//! What the manifest says of verifications: when, how far, and what they found.
//!
//! What was checked is told in *spans* of positions: every path whose newest record lies in one was
//! checked. A file that is copied again gets a newer record at another position, and so counts as
//! never verified, without anything being written. A span costs a few bytes for any number of
//! files that were checked one behind the other.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::at_most::at_most;

/// A verification began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VerifyBegin {
    /// Milliseconds since the Unix epoch.
    pub(crate) started_ms: u64,
    /// A hash of all that says what is to be checked: a rerun with the same goes on.
    pub(crate) key: u64,
    /// The seed of a sample; 0 if everything is read.
    pub(crate) seed: u64,
    /// What is to be checked, in words.
    pub(crate) what: String,
}

/// How what lies in some spans was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Depth {
    /// Completely, from the medium.
    Medium,
    /// Completely, but possibly from the page cache.
    Cached,
    /// In part, or by metadata only.
    Partly,
}

/// More was checked, and is as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verified {
    /// Position of the `VerifyBegin` it belongs to; 0 if that is forgotten.
    pub(crate) run: u64,
    /// When this was begun, in milliseconds since the Unix epoch; it was read then or later.
    pub(crate) at_ms: u64,
    pub(crate) depth: Depth,
    /// The spans, each as its distance from the end of the one before and its length, in bytes of
    /// the manifest.
    #[serde(deserialize_with = "at_most::<{ Verified::SPANS_MAX }, _, _>")]
    pub(crate) spans: Vec<(u64, u64)>,
}

impl Verified {
    /// The most spans that one record holds.
    pub(crate) const SPANS_MAX: usize = 16_384;

    /// Packs ascending spans, as many as one record holds; gives back the rest.
    pub(crate) fn pack(spans: &[Range<u64>]) -> (Vec<(u64, u64)>, &[Range<u64>]) {
        let (now, rest) = spans.split_at(spans.len().min(Self::SPANS_MAX));
        let mut end = 0;
        let packed = now.iter().map(|span| {
            let gap = span.start - end;
            end = span.end;
            (gap, span.end - span.start)
        });
        (packed.collect(), rest)
    }

    /// The spans as positions. What a hostile manifest adds up to is cut off at the end.
    pub(crate) fn spans(&self) -> impl Iterator<Item = Range<u64>> {
        self.spans.iter().scan(0_u64, |end, (gap, len)| {
            let start = end.saturating_add(*gap);
            *end = start.saturating_add(*len);
            Some(start..*end)
        })
    }
}

/// What a verification found wrong with the path whose record is at `pos`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finding {
    /// Position of the `VerifyBegin` it belongs to.
    pub(crate) run: u64,
    pub(crate) pos: u64,
    pub(crate) what: Found,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Found {
    Unproven,
    Corrupt(FoundDamage),
    Modified(String, Option<FoundDamage>),
    Missing,
    Incomplete { bytes: u64, of: u64 },
    Unreadable(String),
    Metadata(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FoundDamage {
    /// The first ranges of bad blocks.
    #[serde(deserialize_with = "at_most::<{ FoundDamage::RANGES_MAX }, _, _>")]
    pub(crate) ranges: Vec<Range<u64>>,
    pub(crate) blocks_bad: u64,
    pub(crate) blocks_zero: u64,
    pub(crate) blocks_shifted: u64,
    /// The first shifted block: where it is, and where its content belongs.
    pub(crate) first_shift: Option<(u64, u64)>,
}

impl FoundDamage {
    /// The most ranges that are kept; the last one then reaches to the end of the last.
    pub(crate) const RANGES_MAX: usize = 4096;
}

/// A verification came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VerifyEnd {
    /// Position of its `VerifyBegin`.
    pub(crate) run: u64,
    /// Milliseconds since the Unix epoch.
    pub(crate) ended_ms: u64,
    pub(crate) exit_code: u8,
    /// Entries that are as recorded.
    pub(crate) entries_ok: u64,
    /// Entries that are not.
    pub(crate) entries_bad: u64,
}

/// Positions, each with the last thing that was said of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spans<T> {
    /// By start; they do not overlap.
    spans: BTreeMap<u64, (u64, T)>,
}

impl<T: Copy + PartialEq> Spans<T> {
    pub(crate) fn new() -> Spans<T> {
        Spans {
            spans: BTreeMap::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Says something of all positions in a span, whatever was said before.
    pub(crate) fn paint(&mut self, span: Range<u64>, value: T) {
        if span.is_empty() {
            return;
        }
        // What reaches into it from before keeps its beginning, and its end if it goes beyond.
        if let Some((start, (end, old))) = self.at_or_before(span.start)
            && end > span.start
        {
            self.spans.insert(start, (span.start, old));
            if start == span.start {
                self.spans.remove(&start);
            }
            if end > span.end {
                self.spans.insert(span.end, (end, old));
            }
        }
        let covered: Vec<u64> = self.spans.range(span.clone()).map(|(at, _)| *at).collect();
        for start in covered {
            if let Some((end, old)) = self.spans.remove(&start)
                && end > span.end
            {
                self.spans.insert(span.end, (end, old));
            }
        }
        self.spans.insert(span.start, (span.end, value));
    }

    /// The last thing that was said of a position.
    pub(crate) fn get(&self, pos: u64) -> Option<T> {
        let (_, (end, value)) = self.at_or_before(pos)?;
        (end > pos).then_some(value)
    }

    /// What was said last, span by span.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Range<u64>, T)> {
        let spans = self.spans.iter();
        spans.map(|(start, (end, value))| (*start..*end, *value))
    }

    fn at_or_before(&self, pos: u64) -> Option<(u64, (u64, T))> {
        let (start, value) = self.spans.range(..=pos).next_back()?;
        Some((*start, *value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_pack_to_distances_and_back() {
        let spans = [5..9, 9..10, 4000..u64::MAX];
        let (packed, rest) = Verified::pack(&spans);
        assert_eq!(packed[0], (5, 4));
        assert!(rest.is_empty());
        let record = Verified {
            run: 0,
            at_ms: 0,
            depth: Depth::Medium,
            spans: packed,
        };
        assert_eq!(record.spans().collect::<Vec<_>>(), spans);
        let hostile = Verified {
            spans: vec![(u64::MAX, u64::MAX), (7, 7)],
            ..record
        };
        assert!(hostile.spans().all(|span| span.is_empty()));
    }

    proptest! {
        #[test]
        fn the_last_word_on_each_position_counts(
            said in prop::collection::vec((0..60_u64, 0..20_u64), 0..40)
        ) {
            let mut spans = Spans::new();
            let mut plain = [None; 100];
            for (value, (start, len)) in said.iter().enumerate() {
                spans.paint(*start..start + len, value);
                plain[*start as usize..(start + len) as usize].fill(Some(value));
            }
            for (pos, value) in plain.iter().enumerate() {
                prop_assert_eq!(spans.get(pos as u64), *value);
            }
        }
    }
}
