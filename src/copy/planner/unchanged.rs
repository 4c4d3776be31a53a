//! Files that need nothing: of a copy that is made again nearly all, so they are found out first, and
//! told of together if nobody wants to hear of each.

use super::*;

/// So many are told of together.
const TOGETHER: u64 = 256;

/// Files that are unchanged, and were not told of yet.
#[derive(Debug, Default)]
pub(super) struct Unchanged {
    files: u64,
    bytes: u64,
}

impl<F: Fs> Planner<'_, F> {
    /// Whether the next record says of a file that it needs no second look. If not, it gets one.
    pub(super) fn is_as_before(&self, scanned: &Scanned, there: Option<&Stat>) -> bool {
        let Some(there) = there.filter(|_| self.shared.is_rerun) else {
            return false;
        };
        let rules = (self.shared.options.existing, self.shared.times);
        let store = lock_mutex(&self.shared.store);
        store.next_is_done(&scanned.dest, |done| {
            plan::is_unchanged_under(rules, &scanned.stat, done, there)
                && self.is_untouched(scanned, done, Some(there))
        })
    }

    /// Whether a file needs no second look, its content being as recorded.
    pub(super) fn is_untouched<P>(
        &self,
        scanned: &Scanned,
        done: &Done<P>,
        there: Option<&Stat>,
    ) -> bool {
        let Some(there) = there else {
            return false;
        };
        let shared = self.shared;
        let wanted = shared.wanted(&scanned.stat, Xattrs::default(), there);
        plan::is_untouched(&scanned.stat, wanted, *there, done, shared.own.is_root())
    }

    /// Settles a file of which there is nothing to do.
    pub(super) fn unchanged(&mut self, scanned: &mut Scanned) -> Result<(), Failure> {
        let bytes = scanned.stat.size;
        if self.shared.options.tell_unchanged {
            let path = std::mem::take(&mut scanned.dest);
            return self.settled(path, Outcome::Unchanged, Settled::File { bytes });
        }
        self.unchanged.files += 1;
        self.unchanged.bytes += bytes;
        match self.unchanged.files >= TOGETHER {
            true => self.tell_unchanged(),
            false => Ok(()),
        }
    }

    /// Tells of those that were not told of yet.
    pub(super) fn tell_unchanged(&mut self) -> Result<(), Failure> {
        let Unchanged { files, bytes } = std::mem::take(&mut self.unchanged);
        if files == 0 {
            return Ok(());
        }
        self.hold(Message::Unchanged { files, bytes })
    }
}
