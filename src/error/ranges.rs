//! Byte ranges in words, ends exclusive as in `--json`.

use std::fmt;
use std::ops::Range;

/// So many ranges are spelled out.
const SPELLED_OUT: usize = 5;

/// `bytes 0..65536, 131072..196608 and 2 more ranges`.
pub(super) fn in_words(ranges: &[Range<u64>]) -> String {
    let shown = ranges.iter().take(SPELLED_OUT);
    let shown: Vec<String> = shown
        .map(|range| format!("{}..{}", range.start, range.end))
        .collect();
    match ranges.len().saturating_sub(SPELLED_OUT) {
        0 => format!("bytes {}", shown.join(", ")),
        more => format!("bytes {} and {more} more ranges", shown.join(", ")),
    }
}

/// The bytes of a file that could not be read, as ranges in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unread {
    /// What was tried and could not be read; neighbours are joined.
    pub ranges: Vec<Range<u64>>,
    /// What was not tried any more, after too many failures.
    pub not_tried: Option<Range<u64>>,
}

impl Unread {
    /// Adds a range behind all others.
    pub(crate) fn add(&mut self, range: Range<u64>) {
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.ranges.push(range),
        }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_words(&self.ranges))?;
        match &self.not_tried {
            Some(rest) => write!(f, " (and {}..{} was not tried)", rest.start, rest.end),
            None => Ok(()),
        }
    }
}
