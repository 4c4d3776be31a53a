//! One writer or many readers, whoever it is has the file that has the name, and says so.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::hooked::Hooked;
use super::support::*;
use crate::block::BlockSize;
use crate::error::ManifestError;
use crate::fs::{self as sprag_fs, FsFile};
use crate::manifest::*;

const MODES: [OpenMode; 4] = [
    OpenMode::Read,
    OpenMode::Write,
    OpenMode::Create(BlockSize::MIN),
    OpenMode::Restart(BlockSize::MIN),
];

/// A manifest with one entry, closed.
fn begun() -> Dest {
    let dest = Dest::quick();
    let mut store = dest.create();
    store.append(&Record::Dir(dir("d"))).unwrap();
    store.write_out().unwrap();
    store.set_holder(None);
    drop(store);
    dest
}

fn refused_text(dest: &Dest, mode: OpenMode) -> String {
    let error = dest.refusal(mode);
    assert!(matches!(error, ManifestError::Locked { .. }), "{error}");
    error.to_string()
}

fn inode_of_name(dest: &Dest) -> u64 {
    fs::metadata(dest.state("manifest")).unwrap().ino()
}

#[test]
fn while_a_writer_has_it_every_mode_is_refused_and_told_who_it_is() {
    let dest = begun();
    let store = dest.open(OpenMode::Write);
    let holder = |pid, host: String| Holder {
        pid,
        host,
        started_ms: 1_700_000_000_000,
    };
    let here = std::process::id();
    store.set_holder(Some(&holder(here, sprag_fs::host_name())));
    let before = dest.bytes();
    for mode in MODES {
        let text = refused_text(&dest, mode);
        assert!(text.contains(&format!("process {here} on ")), "{text}");
        assert_eq!(dest.bytes(), before);
    }
    store.set_holder(Some(&holder(7, "another\x1bhost".to_string())));
    let text = refused_text(&dest, OpenMode::Read);
    assert!(text.contains("process 7 on another\\u{1b}host"), "{text}");
    // A pid of this machine that is no more did not let go in good order; it is not who holds it.
    store.set_holder(Some(&holder(u32::MAX >> 1, sprag_fs::host_name())));
    let text = refused_text(&dest, OpenMode::Read);
    assert!(text.contains(&format!("process {here} (")), "{text}");
    store.set_holder(None);
    drop(store);
    for mode in MODES {
        drop(dest.open(mode));
    }
}

#[test]
fn readers_share_it_and_keep_writers_out() {
    let dest = begun();
    let (one, two) = (dest.open(OpenMode::Read), dest.open(OpenMode::Read));
    assert_eq!(listing(&one), listing(&two));
    for mode in &MODES[1..] {
        let text = refused_text(&dest, *mode);
        let holder = format!("process {} (", std::process::id());
        assert!(text.contains(&holder), "{text}");
    }
    drop(one);
    refused_text(&dest, OpenMode::Write);
    drop(two);
    drop(dest.open(OpenMode::Write));
}

#[test]
fn who_opened_the_old_file_just_before_it_was_replaced_ends_up_with_the_new_one() {
    for mode in [OpenMode::Read, OpenMode::Write] {
        let dest = begun();
        let old = inode_of_name(&dest);
        let mut other = Some(dest.open(OpenMode::Write));
        let opens = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&opens);
        let fs = Hooked::new(&dest.fs, move || {
            counted.fetch_add(1, Ordering::Relaxed);
            if let Some(mut store) = other.take() {
                store.append(&Record::Dir(dir("e"))).unwrap();
                store.compact(None).unwrap();
            }
        });
        let store = Store::open(&fs, dest.root(), mode).unwrap().unwrap();
        assert_eq!(opens.load(Ordering::Relaxed), 2);
        let ino = store.file().stat().unwrap().ino;
        assert_eq!(ino, inode_of_name(&dest));
        assert_ne!(ino, old);
        assert_eq!(listing(&store).len(), 2, "{mode:?}");
    }
}

#[test]
fn a_lock_on_the_old_file_is_worth_nothing_while_the_new_one_is_held() {
    let dest = begun();
    let mut other = dest.open(OpenMode::Write);
    let fs = Hooked::new(&dest.fs, move || other.compact(None).unwrap());
    let Err(error) = Store::open(&fs, dest.root(), OpenMode::Write) else {
        panic!("opened");
    };
    assert!(matches!(error, ManifestError::Locked { .. }), "{error}");
}

#[test]
fn a_manifest_that_is_replaced_again_and_again_is_given_up_on() {
    let dest = begun();
    let (name, copy) = (dest.state("manifest"), dest.state("copy"));
    let opens = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&opens);
    let fs = Hooked::new(&dest.fs, move || {
        counted.fetch_add(1, Ordering::Relaxed);
        fs::copy(&name, &copy).unwrap();
        fs::rename(&copy, &name).unwrap();
    });
    let Err(error) = Store::open(&fs, dest.root(), OpenMode::Read) else {
        panic!("opened");
    };
    assert!(matches!(error, ManifestError::Locked { .. }), "{error}");
    assert_eq!(opens.load(Ordering::Relaxed), 100);
}

#[test]
fn nobody_gets_in_between_while_a_writer_compacts() {
    let dest = begun();
    let mut store = dest.open(OpenMode::Write);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for mode in [OpenMode::Read, OpenMode::Write] {
            let (dest, ended) = (&dest, &ended);
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    refused_text(dest, mode);
                }
            });
        }
        for _ in 0..200 {
            store.compact(None).unwrap();
        }
        ended.store(true, Ordering::Relaxed);
    });
    assert_eq!(store.file().stat().unwrap().ino, inode_of_name(&dest));
    drop(store);
    assert_eq!(listing(&dest.open(OpenMode::Read)).len(), 1);
}
