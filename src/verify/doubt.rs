//! Verdicts where part of the manifest is lost: a record may have been replaced by one that cannot be
//! read, and what has no record may have had one. Neither is called damaged or extra then, but unknown.

use super::Shared;
use crate::event::Verdict;
use crate::fs::Fs;
use crate::manifest::Entry;
use crate::size::Size;

impl<F: Fs> Shared<F> {
    /// Whether records that count may be lost.
    pub(super) fn lacks_records(&self) -> bool {
        let damage = self.store.salvaged();
        damage.is_some_and(|damage| !damage.complete)
    }

    /// Whether a record may be out of date; that of a link is no better than that of its file.
    pub(super) fn in_doubt(&self, pos: u64, entry: &Entry) -> bool {
        self.store.in_doubt(pos) || matches!(entry, Entry::Link(_)) && self.lacks_records()
    }
}

/// What is known of an entry whose record may be out of date. That it is as it was copied once, or
/// rotten (its size and time are as they were set, its content is not), stays said.
pub(super) fn doubted(verdict: Verdict) -> Verdict {
    let what = match verdict {
        Verdict::Modified { what, .. } | Verdict::Metadata { what } => what,
        Verdict::Missing => "it was copied and is not there".to_owned(),
        Verdict::Incomplete { bytes, of } => {
            format!("{} of {} are recorded as copied", Size(bytes), Size(of))
        }
        certain => return certain,
    };
    Verdict::Unknown {
        what: format!("{what}, but a later record of it may be lost"),
    }
}

/// What is known of an entry that has no record.
pub(super) fn unrecorded() -> Verdict {
    Verdict::Unknown {
        what: "it is there and has no record, which may be lost".to_owned(),
    }
}
