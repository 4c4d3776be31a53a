//! Following the symlinks that a list names, as the tools do that write lists: what counts is the content
//! of the file behind them. They are followed inside the tree alone. A file outside of it is no part of
//! the copy, and its content proves nothing about that.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;

use super::line::Tree;
use crate::fs::{Fs, Kind, found};
use crate::path::RelPath;

/// More symlinks than this on the way to a file are a loop, as they are to the system.
const LINKS_MAX: u32 = 40;

/// What a path with symlinks leads to.
pub(super) enum Leads {
    To(RelPath),
    Nowhere,
    /// Out of the tree, by a symlink with this target.
    Out(Vec<u8>),
}

/// Follows `path`, component by component.
pub(super) fn follow<F: Fs>(fs: &F, tree: &Tree, path: &RelPath) -> io::Result<Leads> {
    let mut at = RelPath::root();
    // What is still to go, the next component last.
    let mut ahead = components(path.as_bytes());
    let (mut links, mut target) = (0, Vec::new());
    while let Some(name) = ahead.pop() {
        if name == b".." {
            let Some((parent, _)) = at.split() else {
                return Ok(Leads::Out(target));
            };
            at = parent;
            continue;
        }
        let next = at.join(&name);
        let next = next.map_err(|error| io::Error::new(io::ErrorKind::InvalidFilename, error))?;
        let Some(dir) = found(fs.open_dir(&at))? else {
            return Ok(Leads::Nowhere);
        };
        let kind = match fs.stat(&dir, &name)? {
            Some(stat) => stat.kind,
            None => return Ok(Leads::Nowhere),
        };
        if kind != Kind::Symlink {
            at = next;
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(Errno::LOOP.into());
        }
        target = fs.read_symlink(&dir, &name)?;
        let path = Path::new(OsStr::from_bytes(&target));
        let below = match path.is_absolute() {
            true => {
                at = RelPath::root();
                tree.below(path)
            }
            false => Some(&target[..]),
        };
        match below {
            Some(below) => ahead.extend(components(below)),
            None => return Ok(Leads::Out(target)),
        }
    }
    Ok(Leads::To(at))
}

/// The components of a path, the first one last.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').rev();
    let parts = parts.filter(|part| !part.is_empty() && *part != b".");
    parts.map(<[u8]>::to_vec).collect()
}
