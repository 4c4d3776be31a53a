//! A file for tests, of which each read is answered by a closure.

use std::io;

use super::{FsFile, Kind, Meta, Stat, Xattrs};
use crate::event::ReadHow;

/// A file of `size` bytes that cannot be written to.
pub(crate) struct Scripted<A> {
    pub(crate) size: u64,
    pub(crate) answer: A,
}

impl<A> FsFile for Scripted<A>
where
    A: Fn(&mut [u8], u64) -> io::Result<usize> + Send + Sync + 'static,
{
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        (self.answer)(buf, offset)
    }
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn stat(&self) -> io::Result<Stat> {
        Ok(Stat {
            kind: Kind::File,
            size: self.size,
            allocated: self.size,
            mtime_ns: 0,
            atime_ns: 0,
            ctime_ns: 0,
            mode: 0o644,
            uid: 0,
            gid: 0,
            dev: 0,
            ino: 0,
            nlink: 1,
        })
    }
    fn xattrs(&self) -> io::Result<Xattrs> {
        Ok(Xattrs::default())
    }
    fn set_meta(&self, _: &Meta) -> io::Result<()> {
        Ok(())
    }
    fn how(&self) -> ReadHow {
        ReadHow::Cached
    }
    fn as_std(&self) -> Option<&std::fs::File> {
        None
    }
}
