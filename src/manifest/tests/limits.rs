//! What a file says about lengths is never believed further than a frame may be long.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::codec::FRAME_MAX;
use crate::event::ReadHow;
use crate::fs::{FsFile, Kind, Meta, Stat, Xattrs};
use crate::manifest::journal::{self, FRAMES_START, Journal};
use crate::manifest::{MANIFEST, Record};

/// A file in memory that remembers the longest buffer it was read into.
struct Spy {
    bytes: Vec<u8>,
    longest: AtomicUsize,
}

impl Spy {
    fn new(bytes: Vec<u8>) -> Arc<Spy> {
        Arc::new(Spy {
            bytes,
            longest: AtomicUsize::new(0),
        })
    }

    fn longest(&self) -> usize {
        self.longest.load(Ordering::Relaxed)
    }
}

impl FsFile for Spy {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.longest.fetch_max(buf.len(), Ordering::Relaxed);
        let rest = self.bytes.get(offset as usize..).unwrap_or(&[]);
        let have = rest.len().min(buf.len());
        buf[..have].copy_from_slice(&rest[..have]);
        Ok(have)
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
            size: self.bytes.len() as u64,
            allocated: self.bytes.len() as u64,
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

const ID: [u8; 16] = *b"0123456789abcdef";

fn scan_end(file: &Spy) -> journal::ScanEnd {
    journal::scan(file, &ID, u64::MAX, |_, _, _| Ok(Ok(()))).unwrap()
}

#[test]
fn no_length_field_makes_a_read_longer_than_a_frame_may_be() {
    let max = FRAME_MAX as u32;
    for len in [0, 1, max, max + 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        let mut bytes = vec![0; FRAMES_START as usize];
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.resize(FRAMES_START as usize + FRAME_MAX + 100_000, 0);
        let file = Spy::new(bytes);
        let scanned = scan_end(&file);
        assert_eq!((scanned.end, scanned.damage), (FRAMES_START, None), "{len}");
        let end = file.bytes.len() as u64;
        let journal = Journal::new(Arc::clone(&file), ID, end);
        let error = journal.read(FRAMES_START).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{len}");
        assert!(
            file.longest() <= FRAME_MAX + 12,
            "{len}: {}",
            file.longest()
        );
    }
}

#[test]
fn a_file_of_nothing_but_greatest_lengths_is_read_in_bounded_pieces() {
    let mut bytes = vec![0; FRAMES_START as usize];
    bytes.resize(FRAMES_START as usize + (1 << 20), 0xff);
    let file = Spy::new(bytes);
    assert_eq!(scan_end(&file).end, FRAMES_START);
    assert!(file.longest() <= FRAME_MAX + 12);
}

#[test]
fn a_record_behind_the_end_or_inside_another_is_an_error_and_no_panic() {
    let dest = super::support::Dest::quick();
    let mut store = dest.create();
    let record = Record::Dir(super::support::dir("d"));
    let first = store.append(&record).unwrap();
    for pos in [0, first + 1, store.end(), store.end() + 1, 1 << 47] {
        store.entry_at(pos).unwrap_err();
    }
    store.write_out().unwrap();
    for pos in [0, first + 1, store.end(), store.end() + 1, 1 << 47] {
        let error = store.entry_at(pos).unwrap_err();
        let name = String::from_utf8_lossy(MANIFEST);
        assert!(error.to_string().contains(&*name), "{error}");
    }
}

#[test]
fn a_record_that_is_too_long_is_refused_and_the_manifest_goes_on() {
    let dest = super::support::Dest::quick();
    let mut store = dest.create();
    let end = store.end();
    let mut run = super::support::run_begin();
    run.sources = vec![vec![b'x'; FRAME_MAX].into()];
    store.append(&Record::RunBegin(run)).unwrap_err();
    assert_eq!(store.end(), end);
    store
        .append(&Record::Dir(super::support::dir("d")))
        .unwrap();
    store.write_out().unwrap();
    drop(store);
    let store = dest.open(crate::manifest::OpenMode::Read);
    assert_eq!(super::support::listing(&store).len(), 1);
}
