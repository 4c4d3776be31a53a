//! Entries whose content is as recorded: whether their metadata is, too. To look at attributes takes
//! longer than all else that a rerun does for a file, so the workers do it side by side.

use super::*;
use crate::event::Outcome;
use crate::manifest::{Done, Record};
use crate::plan;

/// What came of it.
pub(super) enum Compared<'w, F: Fs> {
    Told(Message<F>),
    /// To set its metadata right would let somebody do more with it: first it is to be proved by its hash.
    Prove(&'w Done),
    /// It may not be given the metadata that its source has: it is to be copied anew.
    Copy,
}

impl<F: Fs> Worker<'_, F> {
    /// Compares what is there with what was recorded, and mends what drifted apart.
    pub(super) fn compare<'w>(
        &self,
        work: &Work<F>,
        record: &'w Record,
    ) -> Result<Compared<'w, F>, Failure> {
        let (shared, bytes) = (self.shared, work.stat.size);
        let (dest, mtime_ns, what) = match record {
            Record::Done(done) => (&done.dest, done.mtime_ns, Settled::File { bytes }),
            Record::Symlink(link) => (&link.dest, link.mtime_ns, Settled::Symlink),
            Record::Special(special) => (&special.dest, special.mtime_ns, Settled::Special),
            // Nothing else is ever handed here; nothing is wrong with recording it once more.
            _ => return self.mend(work, record).map(Compared::Told),
        };
        let Some(there) = work.there else {
            return self.mend(work, record).map(Compared::Told);
        };
        let xattrs = shared.xattrs(|| shared.source_entry(&work.source)?.xattrs());
        let xattrs = xattrs.map_err(|error| unreadable(shared, work, error))?;
        let wanted = shared.wanted(&work.stat, xattrs, &there);
        let xattrs = shared.xattrs(|| shared.fs.xattrs(&work.dir, work.path.name()));
        let seen = Seen::new(there, xattrs.map_err(self.naming("look at", &work.path))?);
        if !plan::has_drifted(&work.stat, &wanted, &seen, (dest, mtime_ns)) {
            return Ok(Compared::Told(Message::Settled {
                path: work.path.clone(),
                outcome: Outcome::Unchanged,
                what,
            }));
        }
        match record {
            Record::Done(_) if !shared.may_take(&there, &work.stat) => Ok(Compared::Copy),
            Record::Done(done) if shared.grants(&wanted, &seen) => Ok(Compared::Prove(done)),
            _ => self.mend(work, record).map(Compared::Told),
        }
    }
}
