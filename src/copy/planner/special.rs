//! Fifos, sockets and device nodes: a kind, for devices a number, and metadata.

use super::*;
use crate::fs::Special;
use crate::manifest::{Record, SpecialRecord};

impl<F: Fs> Planner<'_, F> {
    pub(super) fn special(
        &mut self,
        scanned: Scanned,
        dir: Arc<F::Dir>,
        what: Special,
    ) -> Result<(), Failure> {
        let path = &scanned.dest;
        let there = self.there(&dir, path)?;
        let known = self.known(path)?;
        if there.is_some() && self.shared.options.existing.ignore {
            return self.leave(scanned, &dir, known.as_ref());
        }
        let task = match (&there, &known) {
            (Some(stat), _) if stat.kind == Kind::Dir => {
                return Err(self.conflict(path, Kind::Dir, scanned.stat.kind).into());
            }
            (Some(stat), Some(Entry::Special(special)))
                if stat.kind == Kind::Special(what) && special.what == what =>
            {
                Task::Compare(Box::new(Record::Special(special.clone())))
            }
            // It is there, but not from sprag: recording it is all.
            (Some(stat), known)
                if stat.kind == Kind::Special(what)
                    && !plan::comes_apart(&scanned.stat, known.as_ref()) =>
            {
                self.drop_partial(path, &dir, known.as_ref())?;
                Task::Mend(Box::new(Record::Special(SpecialRecord {
                    path: path.clone(),
                    what,
                    mtime_ns: scanned.stat.mtime_ns,
                    dest: DestMeta::default(),
                    attempt: 0,
                })))
            }
            _ => {
                self.drop_partial(path, &dir, known.as_ref())?;
                Task::Special(what)
            }
        };
        self.hand_on(scanned, dir, there, task)
    }
}
