//! Comparing an entry's metadata with the recorded one, once its content is found to be right.
//!
//! Recorded is what the destination showed when it was set, so a file system that rounds times or
//! knows no modes gives no alarm. Where owners and modes are made up by whoever mounts it, they
//! are not compared at all. A directory's time is not either: every stranger's file changes it.

use super::check::{Checker, Trouble};
use crate::event::Verdict;
use crate::fs::{Fs, Kind, Stat};
use crate::manifest::{DestMeta, Seen};
use crate::path::RelPath;
use crate::plan::DIR_WORKING_BITS;

impl<F: Fs> Checker<'_, F> {
    /// The verdict on an entry whose content is as recorded.
    pub(super) fn metadata(
        &mut self,
        path: &RelPath,
        stat: &Stat,
        dest: &DestMeta,
        source_mtime_ns: i128,
    ) -> Result<Verdict, Trouble> {
        let fs = &*self.shared.fs;
        let xattrs = match self.parent(path)? {
            _ if path.is_root() => self.at("look at", path, fs.dir_xattrs(&fs.root()))?,
            Some(dir) => self.at("look at", path, fs.xattrs(&dir, path.name()))?,
            None => return Ok(Verdict::Missing),
        };
        let mut stat = *stat;
        if stat.kind == Kind::Dir {
            if stat.mode == DIR_WORKING_BITS && dest.mode != stat.mode {
                // The end of the run, which sets it, was not reached.
                return Ok(Verdict::Incomplete { bytes: 0, of: 0 });
            }
            stat.mtime_ns = dest.mtime_ns(source_mtime_ns);
        }
        let seen = Seen::new(stat, xattrs);
        Ok(
            match dest.differences(source_mtime_ns, &seen, self.shared.times) {
                None => Verdict::Ok,
                Some(what) => Verdict::Metadata { what },
            },
        )
    }
}
