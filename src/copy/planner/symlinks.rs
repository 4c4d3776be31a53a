//! Symbolic links: what they point to, and metadata.

use super::*;

impl<F: Fs> Planner<'_, F> {
    pub(super) fn symlink(&mut self, scanned: Scanned, dir: Arc<F::Dir>) -> Result<(), Failure> {
        let fs = &*self.shared.fs;
        let path = &scanned.dest;
        let read = (self.trier()).read(&scanned.source, || {
            self.shared.source_entry(&scanned.source)?.read_link()
        });
        let target =
            read.map_err(|error| failure::at_source(self.shared, &scanned.source, error))?;
        if let Some(tag) = fs::source::windows_only(&target) {
            let path = scanned.source;
            return Err(EntryError::WindowsOnly { path, tag }.into());
        }
        let there = self.there(&dir, path)?;
        let there_target = match &there {
            Some(stat) if stat.kind == Kind::Symlink => {
                let found = fs::found(fs.read_symlink(&dir, path.name()));
                found.map_err(self.at_dest("look at", path))?
            }
            _ => None,
        };
        let known = self.known(path)?;
        let there_is = there.map(|stat| (stat.kind, there_target.as_deref()));
        let rules = self.shared.options.existing;
        match plan::plan_symlink_under(rules, (&scanned.stat, &target), known.as_ref(), there_is) {
            SymlinkPlan::Leave => self.leave(scanned, &dir, known.as_ref()),
            SymlinkPlan::Conflict(found) => Err(self.conflict(path, found, Kind::Symlink).into()),
            SymlinkPlan::Unchanged => match known {
                Some(Entry::Symlink(link)) => {
                    let record = Box::new(Record::Symlink(link));
                    self.hand_on(scanned, dir, there, Task::Compare(record))
                }
                _ => self.settled(scanned.dest, Outcome::Unchanged, Settled::Symlink),
            },
            SymlinkPlan::Make => {
                self.drop_partial(path, &dir, known.as_ref())?;
                self.hand_on(scanned, dir, there, Task::Symlink(target))
            }
            SymlinkPlan::Adopt => self.adopt_symlink((scanned, target), &dir, there),
        }
    }

    fn adopt_symlink(
        &self,
        (scanned, target): (Scanned, Vec<u8>),
        dir: &F::Dir,
        there: Option<Stat>,
    ) -> Result<(), Failure> {
        let (path, mtime_ns) = (&scanned.dest, scanned.stat.mtime_ns);
        let wanted = self.wanted(&scanned, dir, None)?;
        let is_it = |stat: &Stat| there.is_some_and(|there| there.id() == stat.id());
        let at = (dir, path.name());
        let set = (self.shared).set_named(path, at, &is_it, (&wanted, mtime_ns), None);
        let dest = set.map_err(self.at_dest("set the metadata of", path))?;
        self.send(Message::Complete {
            worker: None,
            completed: Box::new(Completed {
                mtime_ns,
                dest,
                path: scanned.dest,
                attempt: None,
                content: Content::Symlink { target },
                file: None,
            }),
        })
    }
}
