//! The lock on a manifest: two sprags never work on one destination. The only user of fs2.
//!
//! What the lock is: `flock`, *advisory*, so it binds those who ask for it and nobody else. It
//! goes with the open file description: a second open of the same file, even in this process, is
//! a stranger to it. It is gone when the last descriptor of that description is closed, which the
//! system does for a process that ends, however it ends. So there is never a stale lock to remove.
//!
//! What it is not: a lock on a name. Compaction renames a new manifest over the old one, and
//! whoever opened the path a moment before then locks a file that no longer has a name. So the
//! opener, once it has the lock, must check that the path still names the inode it locked, and
//! open again if it does not. Nor does it reach across machines on every network file system; where there
//! are no locks at all, reading goes on without, and nothing is written.

use std::fs::File;
use std::io;

use rustix::io::Errno;

use crate::fs::FsFile;

/// How a file is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// With others who share: for readers.
    Shared,
    /// Alone: for a writer.
    Exclusive,
}

/// Tries to lock a file, without waiting. `false` when another open of it holds a lock that stands
/// in the way. A file that is no file of the system's has nothing to lock and counts as acquired.
pub(crate) fn try_lock(file: &impl FsFile, mode: Mode) -> io::Result<bool> {
    file.as_std()
        .map_or(Ok(true), |file| try_lock_std(file, mode))
}

/// Whether locking failed because the file system has no locks: some network file systems, or their
/// servers, have none.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS))
}

fn try_lock_std(file: &File, mode: Mode) -> io::Result<bool> {
    loop {
        // By full path: from Rust 1.89 on `File` has methods of these names and another result.
        let result = match mode {
            Mode::Shared => fs2::FileExt::try_lock_shared(file),
            Mode::Exclusive => fs2::FileExt::try_lock_exclusive(file),
        };
        return match result {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if is_contended(&error) => Ok(false),
            Err(error) => Err(error),
        };
    }
}

fn is_contended(error: &io::Error) -> bool {
    error.raw_os_error() == fs2::lock_contended_error().raw_os_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &std::path::Path) -> File {
        File::options()
            .create(true)
            .append(true)
            .read(true)
            .open(path)
            .unwrap()
    }

    fn locked(file: &File, mode: Mode) -> bool {
        try_lock_std(file, mode).unwrap()
    }

    #[test]
    fn an_exclusive_lock_keeps_every_other_open_out_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manifest");
        let (first, second) = (open(&path), open(&path));
        assert!(locked(&first, Mode::Exclusive));
        assert!(!locked(&second, Mode::Exclusive));
        assert!(!locked(&second, Mode::Shared));
        drop(first);
        assert!(locked(&second, Mode::Exclusive));
    }

    #[test]
    fn shared_locks_live_together_and_keep_a_writer_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manifest");
        let (first, second, writer) = (open(&path), open(&path), open(&path));
        assert!(locked(&first, Mode::Shared));
        assert!(locked(&second, Mode::Shared));
        assert!(!locked(&writer, Mode::Exclusive));
        drop((first, second));
        assert!(locked(&writer, Mode::Exclusive));
    }

    #[test]
    fn a_lock_does_not_follow_the_name_to_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manifest");
        let old = open(&path);
        assert!(locked(&old, Mode::Exclusive));
        std::fs::remove_file(&path).unwrap();
        assert!(locked(&open(&path), Mode::Exclusive));
    }
}
