//! Hard links: which names share an inode, and whether the destination can hold that.

use super::*;
use crate::copy::fit::NO_HARD_LINKS;

/// The first destination path of an inode with several names.
pub(super) struct FirstName {
    path: RelPath,
    /// How many further names there can be.
    left: u64,
}

impl<F: Fs> Planner<'_, F> {
    /// The destination path under which this inode was met before. `None`: this is the first.
    pub(super) fn first_name(&mut self, path: &RelPath, stat: &Stat) -> Option<RelPath> {
        let inode = (stat.dev, stat.ino);
        let Some(first) = self.links.get_mut(&inode) else {
            let first = FirstName {
                path: path.clone(),
                left: stat.nlink - 1,
            };
            self.links.insert(inode, first);
            return None;
        };
        first.left -= 1;
        if first.left == 0 {
            return self.links.remove(&inode).map(|first| first.path);
        }
        Some(first.path.clone())
    }

    /// Whether the destination can hold hard links; that it cannot is told when it first matters.
    pub(super) fn holds_links(&mut self) -> Result<bool, Failure> {
        let holds = self.shared.limits.hard_links;
        if !holds && !std::mem::replace(&mut self.told_of_links, true) {
            self.send(Message::Warning(NO_HARD_LINKS.into()))?;
        }
        Ok(holds)
    }
}
