//! Hard links: names that share an inode with one that was met before.

use super::*;
use crate::copy::fit::no_hard_links;

const LINKS_BETWEEN_MOUNTS: &str = "hard links cannot lead from one mounted file system of the destination to another: such names are \
     copied as files of their own";

impl<F: Fs> Planner<'_, F> {
    /// Hands on an entry whose inode was met under another name, as a hard link of that one; whether
    /// it is such an entry.
    pub(super) fn links(&mut self, scanned: &Scanned, dir: &F::Dir) -> Result<bool, Failure> {
        let (path, stat) = (&scanned.dest, &scanned.stat);
        if stat.nlink < 2 || !self.shared.options.hard_links {
            return Ok(false);
        }
        let Some(to) = self.links.meet(path, stat) else {
            return Ok(false);
        };
        if self.shared.fs.mount_of(path) != self.shared.fs.mount_of(&to) {
            if !std::mem::replace(&mut self.told_of_links, true) {
                self.send(Message::Warning(LINKS_BETWEEN_MOUNTS.into()))?;
            }
            return Ok(false);
        }
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
