//! Listing directories one after the other, in memory that is used again.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use rustix::fs::RawDir;
use rustix::io::Errno;

/// As much as the C library asks for at once.
const BYTES: usize = 32 << 10;

#[derive(Default)]
pub(crate) struct Lister {
    buffer: Vec<MaybeUninit<u8>>,
}

impl Lister {
    /// Calls `visit` with each name but `.` and `..`, in no order.
    pub(crate) fn list(&mut self, dir: impl AsFd, mut visit: impl FnMut(&[u8])) -> io::Result<()> {
        self.buffer.resize(BYTES, MaybeUninit::uninit());
        let mut entries = RawDir::new(dir, &mut self.buffer);
        while let Some(entry) = entries.next() {
            match entry {
                Ok(entry) => match entry.file_name().to_bytes() {
                    b"." | b".." => {}
                    name => visit(name),
                },
                Err(Errno::INTR) => {}
                // It was removed meanwhile; so was what was in it.
                Err(Errno::NOENT) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}
