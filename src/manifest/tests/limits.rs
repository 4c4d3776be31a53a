//! What a file says about lengths is never believed further than a frame may be long.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::checksum::FileKey;
use crate::codec::FRAME_MAX;
use crate::fs::scripted::Scripted;
use crate::fs::{ALIGN, FsFile};
use crate::manifest::index::Index;
use crate::manifest::journal::{self, FRAMES_START, Journal};
use crate::manifest::{MANIFEST, Record};

/// A file in memory, and the longest buffer it was read into.
struct Spy<F> {
    file: Arc<F>,
    longest: Arc<AtomicUsize>,
}

fn spy(bytes: Vec<u8>) -> Spy<impl FsFile> {
    let longest = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&longest);
    let file = Arc::new(Scripted {
        size: bytes.len() as u64,
        answer: move |buf: &mut [u8], offset: u64| {
            seen.fetch_max(buf.len(), Ordering::Relaxed);
            let rest = bytes.get(offset as usize..).unwrap_or(&[]);
            let have = rest.len().min(buf.len());
            buf[..have].copy_from_slice(&rest[..have]);
            Ok(have)
        },
    });
    Spy { file, longest }
}

impl<F: FsFile> Spy<F> {
    fn longest(&self) -> usize {
        self.longest.load(Ordering::Relaxed)
    }

    fn scanned(&self) -> journal::ScanEnd {
        let paths = Index::new().hasher().clone();
        journal::scan(&*self.file, &KEY, u64::MAX, &paths, |_| Ok(Ok(()))).unwrap()
    }
}

/// The longest frame, in the whole pages that it may lie in.
const READ_MAX: usize = (FRAME_MAX + 12).next_multiple_of(ALIGN) + ALIGN;
const KEY: FileKey = *b"0123456789abcdefghijklmnopqrstuv";

#[test]
fn no_length_field_makes_a_read_longer_than_a_frame_may_be() {
    let max = FRAME_MAX as u32;
    for len in [0, 1, max, max + 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        let mut bytes = vec![0; FRAMES_START as usize];
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.resize(FRAMES_START as usize + FRAME_MAX + 100_000, 0);
        let file = spy(bytes);
        let scanned = file.scanned();
        assert_eq!((scanned.end, scanned.damage), (FRAMES_START, None), "{len}");
        let end = file.file.stat().unwrap().size;
        let journal = Journal::new(Arc::clone(&file.file), KEY, end);
        let error = journal.read(FRAMES_START).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{len}");
        assert!(file.longest() <= READ_MAX, "{len}: {}", file.longest());
    }
}

#[test]
fn a_file_of_nothing_but_greatest_lengths_is_read_in_bounded_pieces() {
    let mut bytes = vec![0; FRAMES_START as usize];
    bytes.resize(FRAMES_START as usize + (1 << 20), 0xff);
    let file = spy(bytes);
    assert_eq!(file.scanned().end, FRAMES_START);
    assert!(file.longest() <= READ_MAX);
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
    run.options = vec![vec![b'x'; FRAME_MAX].into()];
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
