//! What `--delete` would take.

use super::*;
use crate::extraneous::{Extraneous, Found, Untouchable, left_mounted};
use crate::manifest::{Entry, SlotKind};
use crate::partial;

impl DryRun {
    /// Names what `--delete` would take.
    pub(super) fn tell_deletions(
        &mut self,
        fs: &OsFs,
        from: (&[scan::Source], &Walked),
    ) -> Result<Result<(), Error>, Over> {
        let (id, in_use) = match self.partials() {
            Ok(partials) => partials,
            Err(error) => return Ok(Err(error)),
        };
        let stays = |partial: &RelPath| in_use.contains(partial.name());
        let untouchable = Untouchable { id, stays: &stays };
        let options = self.options.clone();
        let max = options.delete.and_then(|delete| delete.max);
        let walk = Extraneous::new(fs, from, &options, untouchable);
        if let Some(error) = walk.moved() {
            self.problem(RelPath::root(), Some(Kind::Dir), error)?;
            return Ok(Ok(()));
        }
        for found in walk {
            match found {
                Found::Extraneous { path, kind } => {
                    if max.is_some_and(|max| self.summary.deleted.total() >= max) {
                        if self.summary.exit_code == Exit::Done {
                            self.summary.exit_code = Exit::DeleteLimit;
                        }
                        continue;
                    }
                    self.summary.deleted.add(Some(kind));
                    let outcome = Outcome::Deleted;
                    self.send(Event::Entry { path, outcome })?;
                }
                Found::Kept | Found::OtherSpelling(_) => {}
                Found::Mounted(path) => {
                    let text = left_mounted(&path.below(&self.setup.root));
                    self.send(Event::Warning(text))?;
                }
                Found::Unlisted { path, error } => {
                    let full = path.below(&self.setup.root);
                    let error = EntryError::Dest(PathError::new("list", full, error));
                    self.problem(path, Some(Kind::Dir), error)?;
                }
                Found::Unseen { path, error } => self.problem(path, None, error)?,
                Found::Moved { path, error } => {
                    self.problem(path, Some(Kind::Dir), error)?;
                    break;
                }
            }
        }
        Ok(Ok(()))
    }

    /// The id of the manifest, and the names of the partial files that it knows. Without a manifest
    /// there are none, and no name is one.
    fn partials(&self) -> Result<([u8; 16], HashSet<Vec<u8>>), Error> {
        let store = self.there.as_ref().and_then(|there| there.store.as_ref());
        let Some(store) = store else {
            return Ok(([0; 16], HashSet::new()));
        };
        let mut names = HashSet::new();
        for pos in store.positions_of(SlotKind::Partial) {
            if let (path, Entry::Partial(partial)) = store.entry_at(pos)? {
                names.insert(partial::name(store.id(), &path, partial.begin.attempt).to_vec());
            }
        }
        Ok((*store.id(), names))
    }
}
