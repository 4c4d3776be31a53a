//! What is made by name alone, symlinks and special files: is it there, and under which name?

use super::*;

impl<F: Fs> Recovery<'_, F> {
    pub(super) fn check_symlink(
        &self,
        path: &RelPath,
        link: &SymlinkRecord,
    ) -> Result<Finding, Error> {
        let fs = &*self.shared.fs;
        self.find_made(path, link.attempt, |dir, name| {
            let target = found(fs.read_symlink(dir, name))?;
            Ok(target.is_some_and(|target| target == link.target))
        })
    }

    pub(super) fn check_special(
        &self,
        path: &RelPath,
        special: &SpecialRecord,
    ) -> Result<Finding, Error> {
        let fs = &*self.shared.fs;
        self.find_made(path, special.attempt, |dir, name| {
            let stat = fs.stat(dir, name)?;
            Ok(stat.is_some_and(|stat| stat.kind == Kind::Special(special.what)))
        })
    }

    /// Looks for what was made by name alone, under its partial name and then under its final one.
    fn find_made(
        &self,
        path: &RelPath,
        attempt: u8,
        is_it: impl Fn(&F::Dir, &[u8]) -> io::Result<bool>,
    ) -> Result<Finding, Error> {
        let untrue = Finding::Untrue(path.clone());
        let Some(dir) = self.parent(path)? else {
            return Ok(untrue);
        };
        let is_it = |name: &[u8]| -> Result<bool, Error> {
            Ok(self.unless_gone(path, is_it(&dir, name))? == Some(true))
        };
        if is_it(&self.partial_name(path, attempt))? {
            let path = path.clone();
            return Ok(Finding::Rename { path, attempt });
        }
        Ok(match is_it(path.name())? {
            true => Finding::True,
            false => untrue,
        })
    }
}
