//! Entries that a rule about existing ones leaves alone.

use super::*;

impl<F: Fs> Planner<'_, F> {
    /// Leaves alone what stands at the destination, and forgets what an earlier run, to which this
    /// was not said, began to copy in its place.
    pub(super) fn leave(
        &mut self,
        scanned: Scanned,
        dir: &F::Dir,
        known: Option<&Entry>,
    ) -> Result<(), Failure> {
        let path = scanned.dest;
        self.drop_partial(&path, dir, known)?;
        let stat = &scanned.stat;
        let kind = stat.kind;
        let bytes = match kind {
            Kind::File => stat.size,
            _ => 0,
        };
        // Its other names are not to become links of something that was not copied.
        self.links.forget(stat);
        self.settled(path, Outcome::Skipped, Settled::LeftAlone { kind, bytes })
    }
}
