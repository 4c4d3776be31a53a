//! How much a manifest speaks of, kept up to date record by record.

use crate::manifest::SlotKind;

/// How much the manifest speaks of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) files_done: u64,
    pub(crate) files_partial: u64,
    pub(crate) dirs: u64,
    pub(crate) symlinks: u64,
    pub(crate) specials: u64,
    pub(crate) bytes_done: u64,
    pub(crate) blocks_partial: u64,
}

impl Totals {
    /// Whether it speaks of nothing.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Totals::default()
    }

    /// Counts an entry in or out. `amount` is in bytes for a done file, in blocks for a partial.
    pub(super) fn count(&mut self, kind: SlotKind, amount: u64, add: bool) {
        let by = |total: &mut u64, by: u64| {
            *total = if add {
                total.saturating_add(by)
            } else {
                total.saturating_sub(by)
            }
        };
        match kind {
            SlotKind::Dir => by(&mut self.dirs, 1),
            SlotKind::Symlink => by(&mut self.symlinks, 1),
            SlotKind::Special => by(&mut self.specials, 1),
            SlotKind::Partial => {
                by(&mut self.files_partial, 1);
                by(&mut self.blocks_partial, amount);
            }
            SlotKind::LinkWanted => by(&mut self.files_partial, 1),
            SlotKind::Done => {
                by(&mut self.files_done, 1);
                by(&mut self.bytes_done, amount);
            }
            SlotKind::Link => by(&mut self.files_done, 1),
        }
    }
}
