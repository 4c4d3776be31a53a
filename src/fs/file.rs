//! An open file of the real file system, and how its reads get past the page cache.
//!
//! `Direct` is said only where the file system honours O_DIRECT for that very file. `Evicted` is
//! said only where each page was seen to be absent right before it was read; one that stays, or
//! might have, makes it `Cached`.
//!
//! Not guaranteed: anything below the page cache. What the host of a virtual disk or loop device
//! caches, or the drive itself, is out of reach.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::io::Errno;

use super::meta::{self, Target};
use super::{ALIGN, FsFile, Kind, Meta, Stat, Xattrs, sys};
use crate::event::ReadHow;

/// How often a page is looked for before it counts as one that stays.
const LOOKS_MAX: u32 = 3;

/// An open file of a destination.
#[derive(Debug)]
pub struct OsFile {
    file: File,
    /// [`ReadHow`], ordered from the strictest to the laxest: it only ever grows.
    how: AtomicU8,
}

impl OsFile {
    /// Takes a file that was just opened, if it is a regular one.
    pub(super) fn regular(file: File) -> io::Result<OsFile> {
        let kind = stat(&file)?.kind;
        if kind != Kind::File {
            return Err(sys::not_regular(kind));
        }
        Ok(OsFile::new(file))
    }

    /// A file that is known to be regular.
    pub(super) fn new(file: File) -> OsFile {
        OsFile {
            file,
            how: AtomicU8::new(ReadHow::Cached as u8),
        }
    }

    /// Turns a file that was opened for reading towards the medium, as far as that goes.
    pub(super) fn past_the_cache(file: OsFile) -> io::Result<OsFile> {
        let traits = sys::traits(&file.file)?;
        let direct = || {
            Ok::<_, io::Error>(
                !traits.may_ignore_direct
                    && stat(&file.file)?.size >= traits.inline_below
                    && !sys::refuses_direct(&file.file)
                    && sys::set_direct(&file.file, true)?,
            )
        };
        let how = if traits.always_cached {
            // Still flushed and dropped: what can be had short of the medium.
            sys::sync_data(&file.file)?;
            ReadHow::Cached
        } else if direct()? {
            ReadHow::Direct
        } else {
            file.evict()?;
            ReadHow::Evicted
        };
        sys::drop_cache(&file.file)?;
        file.how.store(how as u8, Ordering::Relaxed);
        Ok(file)
    }

    /// Prepares for reading page by page what was dropped before.
    fn evict(&self) -> io::Result<()> {
        // A dirty page cannot be dropped.
        sys::sync_data(&self.file)?;
        // Pages that were read ahead could not be told from old ones.
        sys::advise_random(&self.file)
    }

    /// Goes on without O_DIRECT, for a file system that took the flag but not the read.
    fn leave_direct(&self) -> io::Result<()> {
        // The flag last: another thread's read must not find the old pages.
        self.evict()?;
        sys::drop_cache(&self.file)?;
        sys::set_direct(&self.file, false)?;
        self.lower_to(ReadHow::Evicted);
        Ok(())
    }

    fn lower_to(&self, how: ReadHow) {
        self.how.fetch_max(how as u8, Ordering::Relaxed);
    }

    /// Sees to it that no page of a range is in the cache, or else owns up to reading from it.
    fn evict_range(&self, range: Range<u64>) -> io::Result<()> {
        let page = sys::page_bytes();
        let end = range.end.min(stat(&self.file)?.size);
        sys::drop_range(
            &self.file,
            range.start / page * page..end.next_multiple_of(page),
        )?;
        let mut at = range.start;
        while at < end {
            if !self.is_absent(at, page)? {
                self.lower_to(ReadHow::Cached);
                return Ok(());
            }
            at = (at / page + 1) * page;
        }
        Ok(())
    }

    /// Whether the page at `at` is not in the cache, if need be after dropping it again: a very
    /// fast device may have answered the look itself.
    fn is_absent(&self, at: u64, page: u64) -> io::Result<bool> {
        for _ in 0..LOOKS_MAX {
            match sys::is_resident(&self.file, at)? {
                Some(false) => return Ok(true),
                Some(true) => {}
                None => return Ok(false),
            }
            let start = at / page * page;
            sys::drop_range(&self.file, start..start + page)?;
        }
        Ok(false)
    }

    /// One direct read, repeated as long as it goes on in whole [`ALIGN`]s. `Err(done)` if it has
    /// to be finished without O_DIRECT from there on.
    fn read_direct(&self, buf: &mut [u8], offset: u64) -> io::Result<Result<usize, usize>> {
        let mut done = 0;
        while done < buf.len() {
            let at = offset + done as u64;
            match self.file.read_at(&mut buf[done..], at) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if refuses(&error) => return Ok(Err(done)),
                Err(error) => return Err(error),
            }
            if done < buf.len() && done % ALIGN != 0 {
                // The end of the file, or a bad sector: the size tells them apart.
                let end = stat(&self.file)?.size;
                let at_end = offset + done as u64 >= end;
                return Ok(if at_end { Ok(done) } else { Err(done) });
            }
        }
        Ok(Ok(done))
    }
}

/// Whether a file system says with this error that it does not do direct reads here.
fn refuses(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::INVAL | Errno::OPNOTSUPP)
    )
}

fn is_aligned(buf: &[u8], offset: u64) -> bool {
    let address = buf.as_ptr() as usize;
    address.is_multiple_of(ALIGN)
        && buf.len().is_multiple_of(ALIGN)
        && offset.is_multiple_of(ALIGN as u64)
}

fn stat(file: &File) -> io::Result<Stat> {
    Ok(sys::stat_of(&sys::retry(|| rustix::fs::fstat(file))?))
}

impl FsFile for OsFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        if self.how() == ReadHow::Direct {
            // Not all file systems refuse what is not aligned; some quietly use the cache then.
            if is_aligned(buf, offset) {
                match self.read_direct(buf, offset)? {
                    Ok(n) => return Ok(n),
                    Err(n) => done = n,
                }
            }
            self.leave_direct()?;
        }
        if self.how() == ReadHow::Evicted {
            let end = offset.saturating_add(buf.len() as u64);
            self.evict_range(offset + done as u64..end)?;
        }
        Ok(done + sys::read_full(&self.file, &mut buf[done..], offset + done as u64)?)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        // Loops over short writes and signals; a write of nothing is `WriteZero`.
        self.file.write_all_at(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn share(&self, other: &Self) -> io::Result<bool> {
        sys::share(&self.file, &other.file)
    }

    fn sync(&self) -> io::Result<()> {
        sys::sync_data(&self.file)
    }

    fn begin_writing_out(&self, range: Range<u64>) {
        // Before it drops what is clean, the system begins to write out what is not.
        let _ = sys::drop_range(&self.file, range);
    }

    fn forget_flushed(&self) {
        let _ = sys::drop_cache(&self.file);
    }

    fn stat(&self) -> io::Result<Stat> {
        stat(&self.file)
    }

    fn xattrs(&self) -> io::Result<Xattrs> {
        sys::xattrs(sys::XattrsOf::Open(self.file.as_fd()))
    }

    fn set_meta(&self, meta: &Meta) -> io::Result<()> {
        meta::set(Target::Open(self.file.as_fd()), meta)
    }

    fn settle(&self, meta: &Meta) -> io::Result<(Stat, Xattrs)> {
        meta::settle(&self.file, meta)
    }

    fn how(&self) -> ReadHow {
        match self.how.load(Ordering::Relaxed) {
            how if how == ReadHow::Direct as u8 => ReadHow::Direct,
            how if how == ReadHow::Evicted as u8 => ReadHow::Evicted,
            _ => ReadHow::Cached,
        }
    }

    fn as_std(&self) -> Option<&File> {
        Some(&self.file)
    }
}
