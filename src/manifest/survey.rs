//! What of a manifest can be read when parts of it cannot, because they are wrong or because the drive
//! does not give them back: the stretches in which whole frames follow
//! each other, found again behind each bad one.
//!
//! A frame that is whole is one at its own place in this very manifest, so a stretch that was found
//! is no guess. What lies between two stretches is lost; how many frames that were is not known.

use std::io;
use std::ops::Range;

use super::journal::{FRAME_PREFIX, FRAMES_START, RESYNC_BYTES_MAX};
use super::record::Record;
use super::window::Window;
use crate::checksum::FileKey;
use crate::codec;
use crate::fs::FsFile;

/// So many stretches are told apart; what is behind them counts as lost.
const STRETCHES_MAX: usize = 1 << 16;
/// Frames that are looked for byte by byte are no longer than this. What is written stays far below,
/// and each candidate has to be hashed.
const CANDIDATE_BYTES_MAX: u64 = 256 << 10;

/// How far a file can be read.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Where whole frames follow each other, in order.
    pub(super) stretches: Vec<Range<u64>>,
    /// Where the part ends in which something may be lost.
    end: u64,
}

impl Survey {
    /// Goes through a file. All before the position `sealed` was durable once, and nothing behind it
    /// counts. Without one what lies behind the last barrier and behind a bad frame is a torn tail,
    /// and nothing is lost by that.
    pub(super) fn of<F: FsFile>(
        file: &F,
        key: &FileKey,
        sealed: Option<u64>,
    ) -> io::Result<Survey> {
        Survey::with_effort(file, key, sealed, RESYNC_BYTES_MAX)
    }

    /// Gives up looking after so many bytes in vain.
    fn with_effort<F: FsFile>(
        file: &F,
        key: &FileKey,
        sealed: Option<u64>,
        effort_max: u64,
    ) -> io::Result<Survey> {
        let file_len = file.stat()?.size.min(sealed.unwrap_or(u64::MAX));
        let mut window = Window::patchy(file, file_len);
        let mut stretches = Vec::new();
        let mut sealed = sealed.unwrap_or(FRAMES_START);
        let mut effort = effort_max;
        let mut pos = FRAMES_START;
        loop {
            let start = pos;
            while let Some(payload) = window.frame(key, pos)? {
                pos += (FRAME_PREFIX + payload.len()) as u64;
                if let Ok(Record::Barrier { .. }) = codec::decode::<Record>(payload) {
                    sealed = sealed.max(pos);
                }
            }
            if pos > start {
                stretches.push(start..pos);
            }
            if pos >= file_len {
                break;
            }
            let next = next_frame(&mut window, key, pos, &mut effort)?;
            if stretches.len() == STRETCHES_MAX || effort == 0 {
                // Nothing is known of the rest.
                sealed = sealed.max(file_len);
                break;
            }
            match next {
                Some(next) => pos = next,
                None => break,
            }
        }
        stretches.retain(|stretch| stretch.start <= sealed);
        let read_to = stretches.last().map_or(FRAMES_START, |last| last.end);
        Ok(Survey {
            stretches,
            end: sealed.max(read_to),
        })
    }

    /// Where something is lost: between the stretches, and up to the end.
    pub(super) fn gaps(&self) -> impl Iterator<Item = Range<u64>> {
        let ends = self.stretches.iter().map(|stretch| stretch.end);
        let starts = self.stretches.iter().map(|stretch| stretch.start);
        let gaps = std::iter::once(FRAMES_START).chain(ends);
        let gaps = gaps
            .zip(starts.chain([self.end]))
            .map(|(from, to)| from..to);
        gaps.filter(|gap| !gap.is_empty())
    }

    /// Calls `visit` with each record that can be read within a range of positions, until it fails.
    /// What is whole and no record counts as not there.
    pub(super) fn records<F: FsFile, E>(
        &self,
        file: &F,
        key: &FileKey,
        within: Range<u64>,
        mut visit: impl FnMut(u64, Record) -> Result<(), E>,
    ) -> io::Result<Result<(), E>> {
        let mut window = Window::patchy(file, file.stat()?.size);
        for stretch in &self.stretches {
            let mut pos = stretch.start;
            while pos < stretch.end
                && let Some(payload) = window.frame(key, pos)?
            {
                let frame = (FRAME_PREFIX + payload.len()) as u64;
                if within.contains(&pos)
                    && let Ok(record) = codec::decode::<Record>(payload)
                    && let Err(error) = visit(pos, record)
                {
                    return Ok(Err(error));
                }
                pos += frame;
            }
        }
        Ok(Ok(()))
    }
}

/// Where the next whole frame behind the bad one at `bad` is. `effort` is used up, so that a file made
/// of nothing but candidates cannot keep anybody busy for long.
fn next_frame<F: FsFile>(
    window: &mut Window<'_, F>,
    key: &FileKey,
    bad: u64,
    effort: &mut u64,
) -> io::Result<Option<u64>> {
    // Its length may be what is bad: to go by that could lead over good frames to another one.
    let mut pos = bad + 1;
    while pos + (FRAME_PREFIX as u64) < window.file_len && *effort > 0 {
        let end = window.end_of_frame(pos)?;
        if end.is_some_and(|end| end - pos <= CANDIDATE_BYTES_MAX) {
            if window.frame(key, pos)?.is_some() {
                return Ok(Some(pos));
            }
            *effort = effort.saturating_sub(window.tried_bytes);
        }
        *effort = effort.saturating_sub(1);
        pos += 1;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{Access, Fs, FsMeta, OsFs};
    use crate::manifest::journal::Journal;

    const KEY: FileKey = [7; 32];

    /// One good frame, then these bytes, then another.
    fn file(between: &[u8]) -> (tempfile::TempDir, <OsFs as FsMeta>::File, u64) {
        let temp = tempfile::tempdir().unwrap();
        let mut bytes = vec![0; FRAMES_START as usize];
        let frame = |bytes: &mut Vec<u8>| {
            let mut payload = Vec::new();
            let covers = FRAMES_START;
            let barrier: Record = Record::Barrier { covers };
            codec::encode(&barrier, &mut payload).unwrap();
            let sum = crate::checksum::frame_checksum(&KEY, bytes.len() as u64, &payload);
            bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&sum.to_le_bytes());
            bytes.extend_from_slice(&payload);
        };
        frame(&mut bytes);
        let first = bytes.len() as u64;
        bytes.extend_from_slice(between);
        frame(&mut bytes);
        std::fs::write(temp.path().join("m"), bytes).unwrap();
        let fs = OsFs::open_root(temp.path()).unwrap();
        let file = fs.open(&fs.root(), b"m", Access::Read).unwrap();
        (temp, file, first)
    }

    /// A file on a drive with a bad sector.
    struct Scratched {
        file: <OsFs as FsMeta>::File,
        bad: Range<u64>,
    }

    impl FsFile for Scratched {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            let end = offset + buf.len() as u64;
            match offset < self.bad.end && self.bad.start < end {
                true => Err(io::Error::from_raw_os_error(5)),
                false => self.file.read_at(buf, offset),
            }
        }
        fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
            self.file.write_at(buf, offset)
        }
        fn set_len(&self, len: u64) -> io::Result<()> {
            self.file.set_len(len)
        }
        fn sync(&self) -> io::Result<()> {
            self.file.sync()
        }
        fn stat(&self) -> io::Result<crate::fs::Stat> {
            self.file.stat()
        }
        fn xattrs(&self) -> io::Result<crate::fs::Xattrs> {
            self.file.xattrs()
        }
        fn set_meta(&self, meta: &crate::fs::Meta) -> io::Result<()> {
            self.file.set_meta(meta)
        }
        fn how(&self) -> crate::event::ReadHow {
            self.file.how()
        }
        fn as_std(&self) -> Option<&std::fs::File> {
            self.file.as_std()
        }
    }

    #[test]
    fn what_stands_beside_a_bad_sector_can_be_read() {
        let (_temp, file, first) = file(&[0; 10_000]);
        let bad = 2 * FRAMES_START..3 * FRAMES_START;
        let file = Scratched { file, bad };
        let survey = Survey::of(&file, &KEY, None).unwrap();
        let gap = first..first + 10_000;
        assert!(survey.gaps().eq([gap.clone()]));
        // A frame is read with what is behind it, unless that cannot be.
        let bad = first..2 * FRAMES_START;
        let file = Scratched { bad, ..file };
        let journal = Journal::new(std::sync::Arc::new(file), KEY, u64::MAX);
        for pos in [FRAMES_START, gap.end] {
            assert!(matches!(
                journal.read(pos).unwrap().0,
                Record::Barrier { .. }
            ));
        }
    }

    #[test]
    fn frames_are_found_again_behind_whatever_stands_between() {
        let length = 40_u32.to_le_bytes();
        for between in [
            &[0; 5000][..],
            &[0xff; 3],
            &[1; 700],
            &length,
            &[b'x'; 300_000],
        ] {
            let (_temp, file, first) = file(between);
            let survey = Survey::of(&file, &KEY, None).unwrap();
            let gap = first..first + between.len() as u64;
            assert!(survey.gaps().eq([gap]));
            assert_eq!(survey.stretches.len(), 2);
        }
    }

    #[test]
    fn looking_gives_up_where_everything_could_be_a_frame_and_says_what_it_left_out() {
        // Each of these bytes could begin a frame of some thousand bytes.
        let hostile: Vec<u8> = [0x10, 0x10, 0, 0].repeat(20_000);
        let (_temp, file, first) = file(&hostile);
        let len = file.stat().unwrap().size;
        let survey = Survey::with_effort(&file, &KEY, None, 1 << 20).unwrap();
        let gap = first..len;
        assert!(survey.gaps().eq([gap]));
    }
}
