//! Comparing with the sources too: when the two differ, which side is no longer what was copied.
//!
//! The manifest is the judge: it says what both held when it was written. A source is read through
//! the page cache; it is the destination that is on trial.

use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::check::Checker;
use super::{Compared, Halt};
use crate::block::BlockSize;
use crate::error::{Error, PathError, SetupError};
use crate::event::{SourceState, Verdict};
use crate::fs::source::{self, SourceFile, SourceRoot};
use crate::fs::{Fs, Kind, Stat, found};
use crate::hash::{BlockHasher, Hash32, TreeMerger};
use crate::manifest::{Done, Entry};
use crate::options::Reading;
use crate::path::{self, RelPath};

/// The sources of a destination.
#[derive(Debug)]
pub(super) struct Sources {
    sources: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    /// Where it is at the destination.
    dest: RelPath,
}

impl Sources {
    /// Takes sources as they were given to the copy: with a slash at the end, one's contents.
    pub(super) fn new(given: &[PathBuf]) -> Result<Sources, Error> {
        let sources = given.iter().map(|path| {
            let failed = |source| SetupError::Source {
                path: path.clone(),
                source,
            };
            source::stat_follow(path).map_err(failed)?;
            let dest = if path::means_contents(path) {
                RelPath::root()
            } else {
                let name = path.file_name().unwrap_or_default();
                let dest = RelPath::root().join(name.as_bytes());
                dest.map_err(|_| SetupError::SourceName { path: path.clone() })?
            };
            let path = path.clone();
            Ok(Source { path, dest })
        });
        Ok(Sources {
            sources: sources.collect::<Result<_, Error>>()?,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Whether the device of any of them has to seek, as far as the system says.
    pub(super) fn seek(&self) -> bool {
        let seeks = |source: &Source| SourceRoot::open(&source.path).is_ok_and(|it| it.seeks());
        self.sources.iter().any(seeks)
    }

    /// Where in the sources a path of the destination comes from.
    fn path_of(&self, path: &RelPath) -> Option<PathBuf> {
        self.sources.iter().find_map(|source| {
            let below = path.as_bytes().strip_prefix(source.dest.as_bytes())?;
            let below = match below.first() {
                None => return Some(source.path.clone()),
                Some(b'/') => &below[1..],
                Some(_) if source.dest.is_root() => below,
                Some(_) => return None,
            };
            let below = std::ffi::OsStr::from_bytes(below);
            Some(source.path.join(below))
        })
    }
}

impl<F: Fs> Checker<'_, F> {
    /// What has become of the source of an entry, and of its copy. `None`: both are as they were,
    /// or nothing is known of a source.
    pub(super) fn compare(
        &mut self,
        path: &RelPath,
        entry: &Entry,
        verdict: &Verdict,
    ) -> Result<Option<Compared>, Halt> {
        let Some(from) = self.shared.against.path_of(path) else {
            return Ok(None);
        };
        let source = match self.source_state(&from, entry) {
            Ok(state) => state,
            Err(Failed::Halt(halt)) => return Err(halt),
            Err(Failed::Io(error)) => {
                Some(SourceState::Unreadable(PathError::new("read", from, error)))
            }
        };
        let dest_changed = matches!(
            verdict,
            Verdict::Corrupt { .. } | Verdict::Modified { .. } | Verdict::Missing
        );
        let compared = Compared {
            path: path.clone(),
            source,
            dest_changed,
        };
        let same = compared.source.is_none() && !dest_changed;
        Ok((!same).then_some(compared))
    }

    fn source_state(&mut self, from: &Path, entry: &Entry) -> Result<Option<SourceState>, Failed> {
        let kind = match entry {
            Entry::Dir(_) => Kind::Dir,
            Entry::Symlink(_) => Kind::Symlink,
            Entry::Done(_) => Kind::File,
            // Nothing is recorded yet, or it is recorded under another name.
            _ => return Ok(None),
        };
        let stat = match found(source::lstat(from)) {
            Ok(Some(stat)) => stat,
            Ok(None) => return Ok(Some(SourceState::Missing)),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Ok(Some(SourceState::Missing));
            }
            Err(error) => return Err(Failed::Io(error)),
        };
        // A source that was given as a symlink to a directory.
        let given = stat.kind == Kind::Symlink && kind == Kind::Dir;
        if stat.kind != kind && !given {
            return Ok(Some(SourceState::Edited));
        }
        let same = match entry {
            Entry::Symlink(link) => source::read_link(from)? == link.target,
            Entry::Done(done) => return self.file_state(from, &stat, done),
            _ => true,
        };
        Ok((!same).then_some(SourceState::Edited))
    }

    fn file_state(
        &mut self,
        from: &Path,
        stat: &Stat,
        done: &Done,
    ) -> Result<Option<SourceState>, Failed> {
        let same_stat = (stat.size, stat.mtime_ns) == (done.size, done.mtime_ns);
        let whole = self.shared.reading == Reading::Everything;
        let same = match stat.size == done.size {
            true if whole => self.source_hash(from, done.size)? == Some(done.hash),
            same_size => same_size && same_stat,
        };
        Ok(match (same, same_stat) {
            (true, _) => None,
            // A source that had not settled may have been edited and show the same time.
            (false, true) if !done.unsettled => Some(SourceState::Rotten),
            (false, _) => Some(SourceState::Edited),
        })
    }

    /// The hash of a source file. `None` if it is not so long any more, or longer.
    fn source_hash(&mut self, from: &Path, size: u64) -> Result<Option<Hash32>, Failed> {
        let file = SourceFile::open(from)?;
        file.advise_sequential();
        let block_size: BlockSize = self.shared.store.block_size();
        let mut merger = TreeMerger::new(block_size);
        for index in 0..block_size.count(size) {
            let range = block_size.range(index, size);
            let single = block_size.is_single(size);
            let each = |bytes| {
                self.shared.check_stop()?;
                self.shared.throttle.take(bytes);
                Ok(())
            };
            match hash_block(&file, &mut self.buf, range, single, each)? {
                Some(hash) => merger.push(hash),
                None => return Ok(None),
            }
        }
        Ok(file.ends_at(size)?.then(|| merger.finish()))
    }
}

/// The hash of a block of a source, which is `single` if it is all of the file. `None` if the file
/// ends within it. `each` is called before each piece.
pub(super) fn hash_block(
    file: &SourceFile,
    buf: &mut [u8],
    range: Range<u64>,
    single: bool,
    mut each: impl FnMut(u64) -> Result<(), Halt>,
) -> Result<Option<Hash32>, Failed> {
    let mut hasher = BlockHasher::new(range.start, single);
    let mut at = range.start;
    while at < range.end {
        // No more than the buffer holds, so it fits.
        let wanted = (range.end - at).min(buf.len() as u64) as usize;
        each(wanted as u64).map_err(Failed::Halt)?;
        if file.read(&mut buf[..wanted], at)? < wanted {
            return Ok(None);
        }
        hasher.update(&buf[..wanted]);
        at += wanted as u64;
    }
    Ok(Some(hasher.finish()))
}

/// Why nothing is known of a source.
pub(super) enum Failed {
    Io(io::Error),
    Halt(Halt),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        Failed::Io(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_comes_from_the_source_that_was_copied_to_it() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        std::fs::create_dir(dir.join("photos")).unwrap();
        let contents = PathBuf::from(format!("{}/", dir.join("photos").display()));
        let of = |given: &[PathBuf], path: &str| {
            let sources = Sources::new(given).unwrap();
            sources.path_of(&RelPath::new(path).unwrap())
        };
        let itself = [dir.join("photos")];
        assert_eq!(of(&itself, "photos/a/b"), Some(dir.join("photos/a/b")));
        assert_eq!(of(&itself, "photos"), Some(dir.join("photos")));
        assert_eq!(of(&itself, "photos2/a"), None);
        assert_eq!(of(&[contents], "a/b"), Some(dir.join("photos/a/b")));
        assert!(Sources::new(&[dir.join("gone")]).is_err());
    }
}
