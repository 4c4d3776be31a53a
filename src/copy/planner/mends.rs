//! Metadata that drifted apart though the content did not, and directories, whose metadata is set
//! at the end of the run but for their attributes.

use super::*;
use crate::manifest::{DestMeta, Seen};

impl<F: Fs> Planner<'_, F> {
    /// The metadata that a source's copy shall have, in `dir`.
    pub(super) fn wanted(
        &self,
        scanned: &Scanned,
        dir: &F::Dir,
        there: Option<&Stat>,
    ) -> Result<Meta, Failure> {
        let xattrs = self
            .shared
            .xattrs(|| self.shared.source_entry(&scanned.source)?.xattrs());
        let xattrs =
            xattrs.map_err(|error| failure::at_source(self.shared, &scanned.source, error))?;
        let wanted = (self.shared).wanted_in(dir, &scanned.stat, xattrs, there);
        wanted.map_err(self.at_dest("look at the directory of", &scanned.dest))
    }

    /// What stands there: `stat`, and its attributes.
    pub(super) fn seen(&self, path: &RelPath, dir: &F::Dir, stat: Stat) -> Result<Seen, Failure> {
        let fs = &*self.shared.fs;
        let xattrs = (self.shared).xattrs(|| match path.is_root() {
            true => fs.dir_xattrs(dir),
            false => fs.xattrs(dir, path.name()),
        });
        let xattrs = xattrs.map_err(self.at_dest("look at", path))?;
        Ok(Seen::new(stat, xattrs))
    }

    /// Gives a directory its attributes, `there` if it was not made just now. That need not wait: what is put into it does not change
    /// them.
    pub(super) fn set_dir_xattrs(
        &mut self,
        path: &RelPath,
        there: Option<&Stat>,
        wanted: &Meta,
    ) -> Result<Seen, Failure> {
        let dir = self.open_dir(path)?;
        let meta = Meta {
            acls: wanted.acls.clone(),
            xattrs: wanted.xattrs.clone(),
            ..Meta::default()
        };
        let (shared, failed) = (self.shared, self.at_dest("set the metadata of", path));
        let mut seen = shared.seen_dir(&dir).map_err(&failed)?;
        let is_it = match there {
            Some(there) => there.id() == seen.stat.id(),
            None => shared.is_ours_or(&seen.stat, shared.own.uid()),
        };
        if !is_it {
            return Err(failed(fs::swapped()));
        }
        let lacks =
            |wanted: &Option<fs::Xattrs>, there| wanted.as_ref().is_some_and(|w| w != there);
        if lacks(&meta.acls, &seen.acls) || lacks(&meta.xattrs, &seen.xattrs) {
            shared.fs.set_dir_meta(&dir, &meta).map_err(&failed)?;
            seen = shared.seen_dir(&dir).map_err(&failed)?;
        }
        // An ACL, or the default one of the directory above, can take away what is needed until the end.
        if seen.stat.mode & DIR_WORKING_BITS != DIR_WORKING_BITS {
            let meta = Meta {
                mode: Some(seen.stat.mode | DIR_WORKING_BITS),
                ..Meta::default()
            };
            shared.fs.set_dir_meta(&dir, &meta).map_err(&failed)?;
        }
        Ok(seen)
    }

    /// What a directory will show at the end of the run, if the destination can hold it.
    pub(super) fn dir_in_the_end(&self, scanned: &Scanned, wanted: &Meta, seen: &Seen) -> DestMeta {
        let (stat, mtime_ns) = (&scanned.stat, scanned.stat.mtime_ns);
        let (uid, gid) = wanted.owner.unwrap_or((seen.stat.uid, seen.stat.gid));
        let mut seen = seen.clone();
        (seen.stat.uid, seen.stat.gid) = (uid, gid);
        seen.stat.mode = wanted.mode.unwrap_or(stat.mode);
        seen.stat.mtime_ns = mtime_ns;
        (self.shared).as_set(&scanned.dest, (wanted, mtime_ns), &seen, None)
    }
}
