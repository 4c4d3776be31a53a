//! Change times by which a later run knows that nobody touched a file's attributes, on either side,
//! without listing them: listing takes longer than all else that a rerun does for a file.
//!
//! The kernel sets an inode's change time whenever anything about it changes, and nobody can set it
//! to a time of choice. The copy's is known to the second only, since a file is recorded before it
//! gets its final name, which changes it once more. What changes the attributes of a copy
//! within that second or the next is seen by `verify`, not by a rerun.

use serde::{Deserialize, Serialize};

const NS_PER_S: i128 = 1_000_000_000;
const MS_PER_S: u64 = 1000;
/// A change that is younger than this may be followed by one with the same time: some file systems
/// count in whole seconds, FAT in two.
const SETTLED_AFTER_NS: i128 = 2 * NS_PER_S;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ctimes {
    /// The source's change time in ns, before its attributes were read.
    pub(crate) source_ns: i128,
    /// The second, of the Unix epoch, before the copy's last change. That took at most until the
    /// end of the next one, or it is not known when it was.
    pub(crate) dest_s: u64,
    /// Root read the attributes: there are some that others do not see.
    pub(crate) as_root: bool,
}

impl Ctimes {
    /// Of a file whose attributes are read, all of them, in a run that began at `began_ms`, and whose
    /// copy changes now. `None`: it changed so shortly before that it may change again unnoticed.
    pub(crate) fn new(source_ns: i128, began_ms: u64, as_root: bool) -> Option<Ctimes> {
        let began_ns = i128::from(began_ms) * NS_PER_S / i128::from(MS_PER_S);
        let is_settled = source_ns < began_ns - SETTLED_AFTER_NS;
        is_settled.then_some(Ctimes {
            source_ns,
            dest_s: 0,
            as_root,
        })
    }

    /// The copy changes now, for the last time.
    pub(crate) fn at(self, now_ms: u64) -> Ctimes {
        let dest_s = now_ms / MS_PER_S;
        Ctimes { dest_s, ..self }
    }

    /// The copy has this change time.
    pub(crate) fn at_ns(self, dest_ns: i128) -> Ctimes {
        let dest_s = u64::try_from(dest_ns.div_euclid(NS_PER_S)).unwrap_or_default();
        Ctimes { dest_s, ..self }
    }

    /// Whether these change times say that nothing was touched since.
    pub(crate) fn hold(&self, source_ns: i128, dest_ns: i128, as_root: bool) -> bool {
        let dest_s = dest_ns.div_euclid(NS_PER_S) - i128::from(self.dest_s);
        source_ns == self.source_ns && (0..=1).contains(&dest_s) && as_root == self.as_root
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_hold_while_neither_side_changes_and_the_same_attributes_are_seen() {
        let began_ms = 1_700_000_000_000;
        let source_ns = 1_600_000_000_000_000_000;
        let ctimes = Ctimes::new(source_ns, began_ms, true).unwrap();
        let ctimes = ctimes.at(began_ms + 1_999);
        let second = 1_700_000_001_000_000_000;
        let holds = |dest_ns| ctimes.hold(source_ns, dest_ns, true);
        assert!(holds(second) && holds(second + 2 * NS_PER_S - 1));
        assert!(!holds(second - 1) && !holds(second + 2 * NS_PER_S));
        assert!(!ctimes.hold(source_ns + 1, second, true));
        assert!(!ctimes.hold(source_ns, second, false));
    }

    #[test]
    fn a_source_that_changed_just_before_the_run_may_change_again_with_the_same_time() {
        let began_ms = 1_700_000_000_000;
        let began_ns = 1_700_000_000_000_000_000;
        assert_eq!(Ctimes::new(began_ns, began_ms, true), None);
        assert_eq!(Ctimes::new(began_ns - 2 * NS_PER_S, began_ms, true), None);
        assert!(Ctimes::new(began_ns - 2 * NS_PER_S - 1, began_ms, true).is_some());
    }
}
