//! Hard links: which names share an inode, and whether the destination can hold that.

use super::*;
use crate::copy::fit::no_hard_links;

/// The first destination path of an inode with several names.
pub(super) struct FirstName {
    path: RelPath,
    /// How many further names there can be.
    left: u64,
}

impl<F: Fs> Planner<'_, F> {
    /// The destination path under which this inode was met before. `None`: this is the first.
    fn first_name(&mut self, path: &RelPath, stat: &Stat) -> Option<RelPath> {
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

    /// Hands on an entry whose inode was met under another name, as a hard link of that one; whether
    /// it is such an entry.
    pub(super) fn links(&mut self, scanned: &Scanned, dir: &F::Dir) -> Result<bool, Failure> {
        let (path, stat) = (&scanned.dest, &scanned.stat);
        if stat.nlink < 2 || !self.shared.options.hard_links {
            return Ok(false);
        }
        let Some(to) = self.first_name(path, stat) else {
            return Ok(false);
        };
        if !self.shared.limits.holds_links_of(stat.kind) {
            if !std::mem::replace(&mut self.told_of_links, true) {
                let text = no_hard_links(&self.shared.limits);
                self.send(Message::Warning(text.into()))?;
            }
            return Ok(false);
        }
        let known = self.known(path)?;
        self.drop_partial(path, dir, known.as_ref())?;
        let path = path.clone();
        self.send(Message::Link { path, to })?;
        Ok(true)
    }
}
