//! The copy of the manifest says what the manifest says, grows by what is new, and is never taken for
//! more than it is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::hooked::Hooked;
use super::support::*;
use crate::block::BlockSize;
use crate::error::ManifestError;
use crate::fs::{Fs, OsFs};
use crate::manifest::*;

/// Adds a run that copied files of these names, as it ends: all of it is durable.
fn run<F: Fs>(store: &mut Store<F>, names: &[&str]) {
    store.append(&Record::RunBegin(run_begin())).unwrap();
    for name in names {
        store.append(&Record::Done(done(name, 100, 0))).unwrap();
    }
    barrier(store);
    let ended_ms = store.end();
    let end = RunEnd {
        ended_ms,
        ..run_end()
    };
    store.append(&Record::RunEnd(end)).unwrap();
    barrier(store);
    store.write_out().unwrap();
}

/// A manifest with so many files, in a file system that counts.
fn filled(dest: &Dest, files: usize) -> (Arc<Hooked>, Store<Hooked>) {
    let fs = Hooked::new(&dest.fs, || {});
    let create = OpenMode::Create(BlockSize::MIN);
    let mut store = Store::open(&fs, dest.root(), create).unwrap().unwrap();
    let names: Vec<_> = (0..files).map(|n| format!("file {n}")).collect();
    run(
        &mut store,
        &names.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    (fs, store)
}

fn copy(dest: &Dest) -> Vec<u8> {
    fs::read(dest.state("manifest.bak")).unwrap()
}

/// What the copy says where it stands in for a manifest that rots, in another destination.
fn stands_in(dest: &Dest) -> Result<Listing, ManifestError> {
    let mut rotten = dest.bytes();
    rotten[4096 + 13] ^= 1;
    let other = Dest::with(&rotten);
    fs::write(other.state("manifest.bak"), copy(dest)).unwrap();
    let opened = Store::open_or_backup(&other.fs, other.root(), OpenMode::Read);
    opened.map(|store| {
        let store: Store<OsFs> = store.unwrap();
        assert!(store.stands_for().is_some());
        assert!(store.tail().positions.is_empty(), "all is trusted");
        listing(&store)
    })
}

#[test]
fn the_copy_has_every_frame_as_it_is() {
    let dest = Dest::quick();
    let (_, mut store) = filled(&dest, 20);
    store.back_up().unwrap();
    assert!(copy(&dest)[4096..] == dest.bytes()[4096..]);
    assert!(copy(&dest)[..64] == dest.bytes()[..64]);
    assert_eq!(stands_in(&dest).unwrap(), listing(&store));
}

#[test]
fn what_is_new_is_all_that_is_written() {
    let dest = Dest::quick();
    let (fs, mut store) = filled(&dest, 20_000);
    store.back_up().unwrap();
    let inode = || fs::metadata(dest.state("manifest.bak")).unwrap().ino();
    let before = inode();
    for name in ["one more", "and another"] {
        let end = store.end();
        run(&mut store, &[name]);
        let new = store.end() - end;
        fs.written.store(0, Ordering::Relaxed);
        store.back_up().unwrap();
        let written = fs.written.swap(0, Ordering::Relaxed);
        assert!((new..new + 100).contains(&written), "{written} for {new}");
        store.back_up().unwrap();
        assert_eq!(
            fs.written.load(Ordering::Relaxed),
            0,
            "there is nothing new"
        );
        assert!(copy(&dest)[4096..] == dest.bytes()[4096..]);
    }
    assert_eq!(inode(), before);
    assert_eq!(stands_in(&dest).unwrap(), listing(&store));
    // What a run without anything to do records is not worth it.
    run(&mut store, &[]);
    store.back_up().unwrap();
    assert_eq!(
        fs.written.load(Ordering::Relaxed),
        store.end() - copy(&dest).len() as u64
    );
}

#[test]
fn without_a_journal_nothing_that_is_left_over_is_cut_or_replaced() {
    let dest = Dest::quick();
    let (fs, mut store) = filled(&dest, 20);
    store.back_up().unwrap();
    let torn = [copy(&dest), b"torn".to_vec()].concat();
    fs.lacks_journal.store(true, Ordering::Relaxed);
    fs::remove_file(dest.state("manifest.bak")).unwrap();
    run(&mut store, &["another"]);
    store.back_up().unwrap();
    assert!(!dest.state("left-over").exists(), "there was nothing");
    for kept in [
        ["manifest.bak", "manifest.bak.new"],
        ["manifest.bak.2", "manifest.bak.new.2"],
    ] {
        fs::write(dest.state("manifest.bak"), &torn).unwrap();
        fs::write(dest.state("manifest.bak.new"), "left over").unwrap();
        run(&mut store, &[kept[0]]);
        store.back_up().unwrap();
        assert!(copy(&dest)[4096..] == dest.bytes()[4096..]);
        let [bak, new] = kept.map(|name| fs::read(dest.state("left-over").join(name)).unwrap());
        assert!(bak == torn);
        assert_eq!(new, b"left over");
    }
    fs::write(dest.state("manifest.new"), "left over").unwrap();
    store.compact(None).unwrap();
    assert!(dest.state("left-over/manifest.new").exists());
    // What ends at its seal is durable: it may be gone on with and replaced.
    store.back_up().unwrap();
    run(&mut store, &["more"]);
    store.back_up().unwrap();
    assert_eq!(fs::read_dir(dest.state("left-over")).unwrap().count(), 5);
}

#[test]
fn a_manifest_opened_anew_goes_on_with_its_copy() {
    let dest = Dest::quick();
    let (fs, mut store) = filled(&dest, 1000);
    store.back_up().unwrap();
    run(&mut store, &["later"]);
    drop(store);
    let mut store = Store::open(&fs, dest.root(), OpenMode::Write)
        .unwrap()
        .unwrap();
    fs.written.store(0, Ordering::Relaxed);
    store.back_up().unwrap();
    let written = fs.written.load(Ordering::Relaxed);
    assert!((100..1000).contains(&written), "{written}");
    assert_eq!(stands_in(&dest).unwrap(), listing(&store));
}

#[test]
fn whatever_is_left_of_what_was_being_appended_the_copy_says_what_it_said() {
    let dest = Dest::quick();
    let (fs, mut store) = filled(&dest, 20);
    store.back_up().unwrap();
    let before = (copy(&dest), listing(&store));
    run(&mut store, &["later"]);
    run(&mut store, &["last"]);
    // The records are flushed, the seal is not.
    fs.syncs_left.store(0, Ordering::Relaxed);
    store.back_up().unwrap_err();
    let appended = copy(&dest);
    assert_eq!(appended[..4096], before.0[..4096], "it has the seal it had");
    assert!(appended.len() > before.0.len() + 100);
    for from in (before.0.len()..appended.len()).step_by(7) {
        for until in [from, from + 20, appended.len()] {
            let mut torn = appended.clone();
            torn[from..until.min(appended.len())].fill(0);
            for torn in [&torn[..], &torn[..from]] {
                fs::write(dest.state("manifest.bak"), torn).unwrap();
                assert_eq!(stands_in(&dest).unwrap(), before.1, "{from} to {until}");
            }
        }
    }
    fs.syncs_left.store(u64::MAX, Ordering::Relaxed);
    store.back_up().unwrap();
    assert!(copy(&dest)[4096..] == dest.bytes()[4096..]);
    assert_eq!(stands_in(&dest).unwrap(), listing(&store));
}

#[test]
fn a_copy_that_rots_before_its_seal_does_not_stand_in() {
    let dest = Dest::quick();
    let (_, mut store) = filled(&dest, 20);
    store.back_up().unwrap();
    let whole = copy(&dest);
    for at in (4096..whole.len()).step_by(31).chain([whole.len() - 1]) {
        let mut rotten = whole.clone();
        rotten[at] ^= 1;
        fs::write(dest.state("manifest.bak"), rotten).unwrap();
        assert!(stands_in(&dest).is_err(), "byte {at}");
        fs::write(dest.state("manifest.bak"), &whole[..at]).unwrap();
        assert!(stands_in(&dest).is_err(), "cut at {at}");
    }
}

#[test]
fn a_copy_is_made_anew_where_it_is_not_the_beginning_of_this_file() {
    let dest = Dest::quick();
    let (_, mut store) = filled(&dest, 20);
    store.back_up().unwrap();
    let begun = dest.bytes();
    let whole = |store: &mut Store<Hooked>, what: &str| {
        store.back_up().unwrap();
        assert!(copy(&dest)[4096..] == dest.bytes()[4096..], "{what}");
        assert_eq!(stands_in(&dest).unwrap(), listing(store), "{what}");
    };
    // A drive lost what it had called durable; something else was recorded in its place.
    run(&mut store, &["lost"]);
    store.back_up().unwrap();
    drop(store);
    dest.put(&begun);
    let fs = Hooked::new(&dest.fs, || {});
    let mut store = Store::open(&fs, dest.root(), OpenMode::Write)
        .unwrap()
        .unwrap();
    run(&mut store, &["anew", "and more"]);
    whole(&mut store, "what it said was lost");
    store.compact(None).unwrap();
    whole(&mut store, "the manifest was compacted");
    run(&mut store, &["later"]);
    fs::hard_link(dest.state("manifest.bak"), dest.state("kept")).unwrap();
    let kept = fs::read(dest.state("kept")).unwrap();
    whole(&mut store, "it has another name");
    assert!(fs::read(dest.state("kept")).unwrap() == kept);
    run(&mut store, &["last"]);
    let mut rotten = copy(&dest);
    rotten[20] ^= 1;
    fs::write(dest.state("manifest.bak"), rotten).unwrap();
    whole(&mut store, "its header rots");
}

#[test]
fn rot_in_what_no_longer_counts_gets_neither_into_the_copy_nor_stays_in_the_manifest() {
    let dest = Dest::quick();
    let (_, mut store) = filled(&dest, 20);
    let replaced = store.lookup(&path("file 7")).unwrap().unwrap().0;
    store
        .append(&Record::Done(done("file 7", 7777, 0)))
        .unwrap();
    run(&mut store, &[]);
    let mut bytes = dest.bytes();
    bytes[usize::try_from(replaced).unwrap() + 20] ^= 1;
    // Through the same file: the store has it open.
    dest.put(&bytes);
    store.back_up().unwrap();
    let expected = listing(&store);
    assert_eq!(stands_in(&dest).unwrap(), expected);
    drop(store);
    assert_eq!(listing(&dest.open(OpenMode::Write)), expected);
}
