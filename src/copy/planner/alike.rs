//! Entries that the destination can never hold, and names that it takes for one.

use super::*;
use crate::error::{Error, Refusal};

impl<F: Fs> Planner<'_, F> {
    /// Why an entry cannot get its place, if that is so: with `--skip-unsupported`, or if only its
    /// neighbour is in the way, that fails the entry; otherwise it ends the run.
    pub(super) fn cannot_stand(
        &mut self,
        scanned: &Scanned,
        dir: &F::Dir,
    ) -> Result<Option<Failure>, Failure> {
        let path = scanned.source.clone();
        if let Some(why) = self.shared.limits.refuses(&scanned.dest, &scanned.stat) {
            if self.shared.options.skip_unsupported {
                return Ok(Some(EntryError::Unsupported { path, why }.into()));
            }
            let kind = self.shared.limits.kind.describe();
            let mut refusal = Refusal::new(&self.shared.dest, kind).under_way(true);
            refusal.add(&path, why);
            return Err(Failure::Fatal(Error::Refused(Box::new(refusal))));
        }
        if !self.shared.folds(dir) {
            return Ok(None);
        }
        let other = self.alike(&scanned.dest, dir)?;
        Ok(other.map(|other| {
            let path = self.shared.full(&scanned.dest);
            let there = self.shared.full(&other);
            EntryError::SameName { path, there }.into()
        }))
    }

    /// What has the name of `path` for the file system, and another for us: an entry of this walk
    /// before it, or something that stands there.
    fn alike(&mut self, path: &RelPath, dir: &F::Dir) -> Result<Option<RelPath>, Failure> {
        let at_dest = self.at_dest("look at", path);
        if let Some(other) = self.siblings.meet(path)
            && self.shared.are_one(&other, path).map_err(&at_dest)?
        {
            return Ok(Some(other));
        }
        let Some((parent, name)) = path.split() else {
            return Ok(None);
        };
        let there = self.shared.fs.stat(dir, name).map_err(&at_dest)?;
        if there.is_none() || self.is_listed(&parent, name, dir).map_err(&at_dest)? {
            return Ok(None);
        }
        // What was listed may be older than what was made in this run.
        self.shared.stands_as(dir, path).map_err(&at_dest)
    }

    /// Whether a directory was seen to hold this very name.
    fn is_listed(&mut self, dir: &RelPath, name: &[u8], open: &F::Dir) -> std::io::Result<bool> {
        while let Some((listed, _)) = self.listed.last()
            && !dir.is_within(listed)
        {
            self.listed.pop();
        }
        if self.listed.last().is_none_or(|(listed, _)| listed != dir) {
            let names = self.shared.fs.list(open)?;
            let names = names.into_iter().map(|(name, _)| name).collect();
            self.listed.push((dir.clone(), names));
        }
        let names = self.listed.last().map(|(_, names)| names);
        Ok(names.is_some_and(|names| names.contains(name)))
    }
}
