//! The page cache: what of a file is in it, and getting it out.
//!
//! `cachestat(2)` and `mincore(2)` would tell, but neither can be called without `unsafe` code. A
//! read of one byte that must not wait tells as well: it is answered only if its page is in memory.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::ops::Range;

use rustix::fs::{Advice, AtFlags, StatxFlags};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::{retry, stat_of};

/// Whether the page that holds the byte at `offset` is in the page cache. `None` if this file
/// system cannot say. A page that is not, and is part of the file, is then being read.
pub(crate) fn is_resident(file: &File, offset: u64) -> io::Result<Option<bool>> {
    let mut byte = [0];
    loop {
        let into = &mut [IoSliceMut::new(&mut byte)];
        return match preadv2(file, into, offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(Some(read > 0)),
            Err(Errno::AGAIN) => Ok(Some(false)),
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => Ok(None),
            Err(Errno::INTR) => continue,
            Err(errno) => Err(errno.into()),
        };
    }
}

/// Has the pages of a range read that are not in the page cache, and waits for none. What is there is
/// read into `buf` or not.
pub(crate) fn begin_reading(file: &File, buf: &mut [u8], offset: u64) -> io::Result<()> {
    match preadv2(
        file,
        &mut [IoSliceMut::new(buf)],
        offset,
        ReadWriteFlags::NOWAIT,
    ) {
        // Whatever keeps it from beginning shows when the pages are looked at.
        Ok(_)
        | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::INTR) => {
            Ok(())
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Asks for the clean pages of a part of a file to be dropped. Only a request: pages that are
/// dirty or mapped stay, and the kernel does not say so.
pub(crate) fn drop_range(file: &File, range: Range<u64>) -> io::Result<()> {
    let Some(len) = NonZeroU64::new(range.end.saturating_sub(range.start)) else {
        return Ok(());
    };
    retry(|| rustix::fs::fadvise(file, range.start, Some(len), Advice::DontNeed))
}

/// Asks that nothing is read but what is asked for.
pub(crate) fn advise_random(file: &File) -> io::Result<()> {
    retry(|| rustix::fs::fadvise(file, 0, None, Advice::Random))
}

/// The size of an open file, and whether its file system says that it reads this very file through the page
/// cache, O_DIRECT or not: ext4 does so with encrypted and journalled data. Kernels before 6.1 do not say.
pub(crate) fn size_and_refusal(file: &File) -> io::Result<(u64, bool)> {
    let asked = StatxFlags::DIOALIGN | StatxFlags::SIZE;
    let Ok(told) = retry(|| rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, asked)) else {
        // A sandbox may not let it pass.
        let stat = retry(|| rustix::fs::fstat(file))?;
        return Ok((stat_of(&stat).size, false));
    };
    let says = StatxFlags::from_bits_retain(told.stx_mask).contains(StatxFlags::DIOALIGN);
    Ok((told.stx_size, says && told.stx_dio_offset_align == 0))
}

/// How many bytes of a file one page of the cache holds.
pub(crate) fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}
