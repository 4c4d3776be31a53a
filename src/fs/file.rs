//! An open file of the real file system, and how its reads get past the page cache.
//!
//! `Direct` is said only where the file system honours O_DIRECT for that very file. `Evicted` is
//! said only where each page was seen to be absent, or on its way from the medium, after the file was
//! flushed and before it was read; one that stays, or might have, makes it `Cached`.
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

/// So much is asked for at once before its pages are looked at: enough for a device to stream, little
/// enough that most pages are still on their way when they are.
const LOOK_BYTES: usize = 1 << 20;

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
        let how = match sys::strictest(&file.file)? {
            ReadHow::Direct if sys::set_direct(&file.file, true)? => ReadHow::Direct,
            ReadHow::Direct | ReadHow::Evicted => {
                file.evict()?;
                ReadHow::Evicted
            }
            ReadHow::Cached => {
                // Still flushed and dropped: what can be had short of the medium.
                sys::sync_data(&file.file)?;
                ReadHow::Cached
            }
        };
        sys::drop_cache(&file.file)?;
        file.how.store(how as u8, Ordering::Relaxed);
        Ok(file)
    }

    /// Prepares for reading what was dropped before.
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

    /// Reads what was dropped before, and sees of each page that it comes from the medium.
    fn read_evicted(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        for piece in buf.chunks_mut(LOOK_BYTES) {
            let at = offset + done as u64;
            if self.how() == ReadHow::Evicted {
                self.evict_range(piece, at)?;
            }
            let read = sys::read_full(&self.file, piece, at)?;
            done += read;
            if read < piece.len() {
                break;
            }
        }
        Ok(done)
    }

    /// Sees to it that no page of what will be read into `buf` was in the cache when it was asked for,
    /// or else owns up to reading from it.
    ///
    /// A page is proved by one look that finds it absent or on its way, at any time after the file was
    /// flushed: whoever brings it in afterwards brings what the medium holds. Looking at a page has it
    /// read, and a read of one page at a time is slow. So all of a piece is asked for at once, and its
    /// pages are looked at while they are on their way. Those that arrived before they were looked at
    /// are dropped again, and asked for once more.
    fn evict_range(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let page = sys::page_bytes();
        let stat = stat(&self.file)?;
        let end = stat.size.min(offset + buf.len() as u64);
        let mut unseen = self.pages_with_data(&stat, offset..end);
        for _ in 0..LOOKS_MAX {
            if unseen.is_empty() {
                return Ok(());
            }
            for run in &unseen {
                sys::drop_range(&self.file, run.clone())?;
            }
            let mut still = Vec::new();
            for run in unseen {
                self.look_on_the_way(run, buf, &mut still)?;
            }
            unseen = still;
        }
        for run in unseen {
            for at in run.step_by(page as usize) {
                if !self.is_absent(at, page)? {
                    self.lower_to(ReadHow::Cached);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The whole pages of a range, without those that lie in holes: they read as zeros because the
    /// file system says so, and are in the cache as soon as they are asked for.
    fn pages_with_data(&self, stat: &Stat, range: Range<u64>) -> Vec<Range<u64>> {
        let page = sys::page_bytes();
        let whole = |part: Range<u64>| part.start / page * page..part.end.next_multiple_of(page);
        let has_holes = stat.allocated < stat.size;
        let mut parts = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let data = match has_holes {
                true => sys::next_data(&self.file, at),
                false => range.clone(),
            };
            let part = data.start.max(at)..data.end.min(range.end);
            if !part.is_empty() {
                parts.push(whole(part));
            }
            at = data.end;
        }
        parts
    }

    /// Has a run of pages read without waiting for them, and adds those that are there already to
    /// `still`.
    fn look_on_the_way(
        &self,
        run: Range<u64>,
        buf: &mut [u8],
        still: &mut Vec<Range<u64>>,
    ) -> io::Result<()> {
        let page = sys::page_bytes();
        // No longer than the buffer, but for large pages.
        let len = buf.len().min((run.end - run.start) as usize);
        sys::begin_reading(&self.file, &mut buf[..len], run.start)?;
        for at in run.step_by(page as usize) {
            if sys::is_resident(&self.file, at)? == Some(false) {
                continue;
            }
            match still.last_mut() {
                Some(last) if last.end == at => last.end = at + page,
                _ => still.push(at..at + page),
            }
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
        Ok(done + self.read_evicted(&mut buf[done..], offset + done as u64)?)
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
