//! The copy of the manifest says what the manifest says, whichever way it was made.

use std::fs;

use super::support::*;
use crate::fs::OsFs;
use crate::manifest::*;

/// Files, each of which takes the place of an earlier one `garbage` times.
fn filled(dest: &Dest, garbage: u64) -> Store<OsFs> {
    let mut store = dest.create();
    for round in 0..=garbage {
        for n in 0..20 {
            let record = Record::Done(done(&format!("file {n}"), 100 * round + n, 0));
            store.append(&record).unwrap();
        }
    }
    barrier(&mut store);
    store.write_out().unwrap();
    store
}

/// The copy, read as a manifest.
fn copied(dest: &Dest) -> (Vec<u8>, Store<OsFs>) {
    let bytes = fs::read(dest.state("manifest.bak")).unwrap();
    let other = Dest::with(&bytes);
    (bytes, other.open(OpenMode::Read))
}

#[test]
fn with_little_garbage_the_copy_has_every_frame_as_it_is() {
    let dest = Dest::quick();
    let mut store = filled(&dest, 0);
    store.back_up(true).unwrap();
    let (bytes, copy) = copied(&dest);
    let frames = &dest.bytes()[4096..];
    assert_eq!(&bytes[4096..4096 + frames.len()], frames);
    assert_eq!(listing(&copy), listing(&store));
    assert!(copy.tail().positions.is_empty(), "all is trusted");
}

#[test]
fn with_much_garbage_the_copy_is_compacted() {
    let dest = Dest::quick();
    let mut store = filled(&dest, 3);
    store.back_up(true).unwrap();
    let (bytes, copy) = copied(&dest);
    assert!(bytes.len() - 4096 < (dest.bytes().len() - 4096) / 2);
    assert_eq!(listing(&copy), listing(&store));
}

#[test]
fn rot_in_what_no_longer_counts_does_not_get_into_the_copy() {
    let dest = Dest::quick();
    let mut store = filled(&dest, 0);
    let replaced = store.lookup(&path("file 7")).unwrap().unwrap().0;
    let newer = Record::Done(done("file 7", 7777, 0));
    store.append(&newer).unwrap();
    store.write_out().unwrap();
    let mut bytes = dest.bytes();
    bytes[usize::try_from(replaced).unwrap() + 20] ^= 1;
    // Through the same file: the store has it open.
    dest.put(&bytes);
    store.back_up(true).unwrap();
    let (_, copy) = copied(&dest);
    assert_eq!(listing(&copy), listing(&store));
}
