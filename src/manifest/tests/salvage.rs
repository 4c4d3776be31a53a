//! What can be read of a manifest that rots, with and without its copy.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::sync::atomic::Ordering;

use super::hooked::Hooked;
use super::support::*;
use crate::block::BlockSize;
use crate::error::{ManifestCopy, ManifestDamage, ManifestError};
use crate::fs::OsFs;
use crate::manifest::*;
use crate::path::RelPath;

/// A manifest with its copy, and where the frame of each path is in both.
struct Sample {
    dest: Dest,
    manifest: Vec<u8>,
    copy: Vec<u8>,
    frames: Vec<(RelPath, Range<u64>)>,
    copied: Vec<(RelPath, Range<u64>)>,
}

fn frames(store: &Store<OsFs>) -> Vec<(RelPath, Range<u64>)> {
    let positions = store.positions();
    let ends = positions.iter().skip(1).copied();
    let spans = positions.iter().zip(ends.chain([store.end()]));
    spans
        .map(|(start, end)| (store.entry_at(*start).unwrap().0, *start..end))
        .collect()
}

/// A run that copied some small files and was backed up; two barriers make all of it trusted.
fn sample() -> Sample {
    sample_with(|_| ())
}

/// The same where something was done after the copy was written.
fn sample_with(after: impl FnOnce(&mut Store<OsFs>)) -> Sample {
    let dest = Dest::quick();
    let mut store = dest.create();
    let earlier = Record::Done(done("file 0", 1000, 0));
    store.append(&earlier).unwrap();
    store.append(&Record::RunBegin(run_begin())).unwrap();
    for n in 0..6 {
        let file = done(&format!("file {n}"), n, 0);
        store.append(&Record::Done(file)).unwrap();
    }
    store.append(&Record::RunEnd(run_end())).unwrap();
    barrier(&mut store);
    barrier(&mut store);
    store.write_out().unwrap();
    store.back_up().unwrap();
    after(&mut store);
    let frames = frames(&store);
    drop(store);
    let (manifest, copy) = (dest.bytes(), fs::read(dest.state("manifest.bak")).unwrap());
    // As its own manifest, to see where things are.
    dest.put(&copy);
    let copied = self::frames(&dest.open(OpenMode::Read));
    Sample {
        dest,
        manifest,
        copy,
        frames,
        copied,
    }
}

impl Sample {
    /// Puts both in place, the bytes at these positions changed, and reads them.
    fn read(&self, in_manifest: &[u64], in_copy: Option<&[u64]>) -> Store<OsFs> {
        self.dest.put(&changed(&self.manifest, in_manifest));
        let copy = self.dest.state("manifest.bak");
        match in_copy {
            Some(at) => fs::write(copy, changed(&self.copy, at)).unwrap(),
            None => drop(fs::remove_file(copy)),
        }
        let store = Store::open_to_read(&self.dest.fs, self.dest.root());
        store.unwrap().unwrap()
    }

    fn paths(&self) -> BTreeSet<RelPath> {
        self.frames.iter().map(|(path, _)| path.clone()).collect()
    }
}

fn changed(bytes: &[u8], at: &[u64]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in at {
        bytes[*at as usize] ^= [0x01, 0x80, 0xff][*at as usize % 3];
    }
    bytes
}

/// The paths that have a record; each can be looked up.
fn paths(store: &Store<OsFs>) -> BTreeSet<RelPath> {
    let of = |pos| {
        let (path, entry) = store.entry_at(pos).unwrap();
        assert_eq!(store.lookup(&path).unwrap(), Some((pos, entry)));
        path
    };
    store.positions().into_iter().map(of).collect()
}

fn damage(store: &Store<OsFs>) -> &ManifestDamage {
    store.salvaged().expect("it is damaged")
}

#[test]
fn a_changed_byte_costs_the_record_that_it_is_in_and_no_other() {
    let sample = sample();
    for (path, frame) in &sample.frames[..5] {
        let mut expected = sample.paths();
        if *path != super::support::path("file 0") {
            // Of that one there is an older record.
            expected.remove(path);
        }
        for at in frame.clone() {
            let store = sample.read(&[at], None);
            assert_eq!(paths(&store), expected, "byte {at}");
            let damage = damage(&store);
            let lost = (damage.places_lost, damage.bytes_lost);
            assert_eq!(lost, (1, frame.end - frame.start), "byte {at}");
            assert!(!damage.complete);
            for pos in store.positions() {
                assert_eq!(store.in_doubt(pos), pos < frame.start, "{pos}, byte {at}");
            }
        }
    }
}

#[test]
fn a_changed_byte_of_the_header_costs_nothing() {
    let sample = sample();
    for at in 0..64 {
        let store = sample.read(&[at], None);
        assert_eq!(paths(&store), sample.paths(), "byte {at}");
        assert!(damage(&store).complete);
        assert!(!store.positions().iter().any(|pos| store.in_doubt(*pos)));
    }
}

#[test]
fn a_header_that_is_gone_is_that_of_the_copy_even_if_the_copy_rots_too() {
    let sample = sample();
    let sector: Vec<u64> = (0..512).collect();
    let lost = sample.frames[2].1.start + 5;
    let copy_lost = sample.copied[4].1.start + 5;
    let header_and_record = [&sector[..], &[lost]].concat();
    let store = sample.read(&header_and_record, Some(&[copy_lost]));
    assert_eq!(paths(&store), sample.paths());
    let store = sample.read(&[lost], Some(&sector));
    assert_eq!(paths(&store), sample.paths());
}

/// Loses one record in the manifest and one in its copy, each with each. What is read has the newest
/// content of all the others; gives whether all was complete unless it was the same record.
fn one_lost_in_each(sample: &Sample) -> bool {
    let mut complete = true;
    for (nth, (path, frame)) in sample.frames[..5].iter().enumerate() {
        for (other, (_, copied)) in sample.copied[..5].iter().enumerate() {
            let (at, copy_at) = (frame.start + 13, copied.start + 13);
            let store = sample.read(&[at], Some(&[copy_at]));
            let damage = damage(&store);
            assert_eq!(damage.copy, ManifestCopy::Damaged);
            for (n, known) in sample.paths().iter().enumerate() {
                let found = store.lookup(known).unwrap();
                let size = match &found {
                    Some((_, Entry::Done(done))) => Some(done.size),
                    _ => None,
                };
                if nth == other && known == path {
                    let doubted = found.is_none_or(|(pos, _)| store.in_doubt(pos));
                    assert!(size != Some(n as u64) && doubted, "{nth}");
                } else {
                    assert_eq!(size, Some(n as u64), "{known}: {nth} and {other}");
                }
            }
            match nth == other {
                true => assert!(!damage.complete),
                false => complete &= damage.complete,
            }
        }
    }
    complete
}

#[test]
fn a_record_is_lost_only_if_manifest_and_copy_both_lost_it() {
    let compacted = sample_with(|store| store.compact(None).unwrap());
    assert_ne!(compacted.frames[0].1, compacted.copied[0].1);
    // Nobody knows what else may have been there.
    assert!(!one_lost_in_each(&compacted));
}

#[test]
fn where_the_copy_was_made_frame_by_frame_it_is_known_when_nothing_is_lost() {
    let sample = sample();
    assert_eq!(sample.frames[0].1, sample.copied[0].1);
    assert!(one_lost_in_each(&sample));
}

#[test]
fn where_the_copy_is_whole_and_all_behind_it_too_nothing_is_in_doubt() {
    let sample = sample();
    for (_, frame) in &sample.frames {
        let store = sample.read(&[frame.start + 13], Some(&[]));
        assert_eq!(paths(&store), sample.paths());
        let damage = damage(&store);
        assert!(damage.complete && damage.copy == ManifestCopy::Whole);
        assert!(!store.positions().iter().any(|pos| store.in_doubt(*pos)));
    }
}

/// A sample of which a later run was cut short: it copied one file anew, one more, and removed one.
fn with_a_later_run() -> (Sample, Range<u64>) {
    let mut sample = sample();
    sample.dest.put(&sample.manifest);
    let mut store = sample.dest.open(OpenMode::Write);
    let start = store.append(&Record::RunBegin(RunBegin {
        started_ms: 1_800_000_000_000,
        ..RunBegin::default()
    }));
    store.append(&Record::Done(done("file 1", 111, 0))).unwrap();
    store.append(&Record::Done(done("later", 9, 0))).unwrap();
    store.append(&Record::Removed(path("file 2"))).unwrap();
    let later = start.unwrap()..store.end();
    barrier(&mut store);
    barrier(&mut store);
    store.write_out().unwrap();
    drop(store);
    sample.manifest = sample.dest.bytes();
    (sample, later)
}

#[test]
fn what_was_recorded_after_the_copy_was_written_is_read_from_the_manifest() {
    let (sample, _) = with_a_later_run();
    let rotten = sample.frames[4].1.start + 13;
    for in_copy in [&[][..], &[sample.copied[0].1.start + 13]] {
        let store = sample.read(&[rotten], Some(in_copy));
        let mut expected = sample.paths();
        expected.insert(path("later"));
        expected.remove(&path("file 2"));
        assert_eq!(paths(&store), expected);
        let Some((_, Entry::Done(anew))) = store.lookup(&path("file 1")).unwrap() else {
            panic!("it is done");
        };
        assert_eq!(anew.size, 111);
        assert!(damage(&store).complete, "no record is lost in both");
    }
}

#[test]
fn where_a_record_behind_the_copy_is_lost_all_before_it_is_in_doubt() {
    let (sample, later) = with_a_later_run();
    for at in later.clone() {
        let store = sample.read(&[at], Some(&[]));
        assert!(!damage(&store).complete, "byte {at}");
        let (pos, _) = store.lookup(&path("file 5")).unwrap().unwrap();
        assert!(store.in_doubt(pos), "byte {at}");
    }
}

#[test]
fn a_copy_that_restart_left_behind_is_none_of_this_manifest() {
    let sample = sample();
    sample.dest.put(&sample.manifest);
    // Two manifests with one id are told apart by when they were begun.
    let before = crate::time::now_ms();
    while crate::time::now_ms() == before {
        std::hint::spin_loop();
    }
    let mut store = sample.dest.open(OpenMode::Restart(BlockSize::MIN));
    for name in ["x", "y"] {
        store.append(&Record::Done(done(name, 5, 0))).unwrap();
    }
    let lost = store.positions()[0] + 13;
    barrier(&mut store);
    barrier(&mut store);
    store.write_out().unwrap();
    drop(store);
    sample.dest.put(&changed(&sample.dest.bytes(), &[lost]));
    fs::write(sample.dest.state("manifest.bak"), &sample.copy).unwrap();
    let store = Store::open_to_read(&sample.dest.fs, sample.dest.root());
    let store = store.unwrap().unwrap();
    assert_eq!(paths(&store), BTreeSet::from([path("y")]));
    assert_eq!(damage(&store).copy, ManifestCopy::None);
}

#[test]
fn a_copy_of_an_earlier_manifest_never_stands_in() {
    let sample = sample();
    let copy = sample.dest.state("manifest.bak");
    sample.dest.put(&sample.manifest);
    let before = crate::time::now_ms();
    while crate::time::now_ms() == before {
        std::hint::spin_loop();
    }
    fs::write(&copy, &sample.copy).unwrap();
    let mut store = sample.dest.open(OpenMode::Restart(BlockSize::MIN));
    assert!(!copy.exists(), "restarting forgets it");
    store.append(&Record::Done(done("x", 5, 0))).unwrap();
    let at = store.positions()[0] + 13;
    barrier(&mut store);
    barrier(&mut store);
    store.write_out().unwrap();
    drop(store);
    // A drive that kept nothing of its removal.
    fs::write(&copy, &sample.copy).unwrap();
    sample.dest.put(&changed(&sample.dest.bytes(), &[at]));
    for mode in [OpenMode::Read, OpenMode::Create(BlockSize::MIN)] {
        let opened = Store::open_or_backup(&sample.dest.fs, sample.dest.root(), mode);
        assert!(matches!(opened, Err(ManifestError::Damaged { .. })));
    }
}

#[test]
fn a_restart_that_is_cut_off_leaves_the_earlier_manifest_without_a_copy() {
    let sample = sample();
    sample.dest.put(&sample.manifest);
    let fs = Hooked::new(&sample.dest.fs, || {});
    fs.fails_renames.store(true, Ordering::Relaxed);
    let restart = OpenMode::Restart(BlockSize::MIN);
    assert!(Store::open(&fs, sample.dest.root(), restart).is_err());
    assert!(sample.dest.bytes() == sample.manifest);
    assert!(!sample.dest.state("manifest.bak").exists());
}

/// A large file, finished and begun anew, and a small one.
fn large() -> (Dest, Vec<u64>) {
    let dest = Dest::quick();
    let mut store = dest.create();
    let mut at = Vec::new();
    let mut add = |record: &Record| {
        let pos = store.append(record).unwrap();
        at.push(pos);
        pos
    };
    let begun = add(&Record::Begin(begin("large", 4 << 16)));
    let first = add(&blocks(begun, begun, 0, 2));
    let last = add(&blocks(begun, first, 2, 2));
    add(&Record::Done(done("large", 4 << 16, last)));
    let again = add(&Record::Begin(begin("large", 5 << 16)));
    let last = add(&blocks(again, again, 0, 5));
    add(&Record::Done(done("large", 5 << 16, last)));
    add(&Record::Dir(dir("d")));
    barrier(&mut store);
    barrier(&mut store);
    store.write_out().unwrap();
    drop(store);
    (dest, at)
}

fn large_without(nth: usize) -> (Store<OsFs>, Done) {
    let (dest, at) = large();
    dest.put(&changed(&dest.bytes(), &[at[nth] + 13]));
    let store = Store::open_to_read(&dest.fs, dest.root());
    let store = store.unwrap().unwrap();
    let Some((_, Entry::Done(done))) = store.lookup(&path("large")).unwrap() else {
        panic!("it is done");
    };
    (store, done)
}

#[test]
fn a_file_keeps_its_own_hash_when_those_of_its_blocks_are_lost() {
    let (store, done) = large_without(5);
    assert_eq!(done.size, 5 << 16);
    let broken = store.chain(done.chain);
    assert!(matches!(broken, Err(ManifestError::Damaged { .. })));
}

#[test]
fn a_finished_file_is_not_given_up_for_a_beginning_whose_end_is_lost() {
    let (store, done) = large_without(6);
    assert_eq!(done.size, 4 << 16);
    assert_eq!(hashes(&store, done.chain).len(), 4);
    let (pos, _) = store.lookup(&path("large")).unwrap().unwrap();
    assert!(store.in_doubt(pos));
}

#[test]
fn where_nothing_can_be_read_the_damage_is_the_answer() {
    let sample = sample();
    sample.dest.put(&vec![7; sample.manifest.len()]);
    for copy in [None, Some(vec![9; 5000])] {
        match copy {
            Some(copy) => fs::write(sample.dest.state("manifest.bak"), copy).unwrap(),
            None => fs::remove_file(sample.dest.state("manifest.bak")).unwrap(),
        }
        match Store::open_to_read(&sample.dest.fs, sample.dest.root()) {
            Err(error) => assert!(matches!(error, ManifestError::Damaged { .. })),
            Ok(_) => panic!("there is nothing to read"),
        }
    }
}

#[test]
fn an_empty_manifest_beside_a_copy_is_a_lost_one() {
    let sample = sample();
    sample.dest.put(&[]);
    fs::write(sample.dest.state("manifest.bak"), &sample.copy).unwrap();
    let store = Store::open_to_read(&sample.dest.fs, sample.dest.root());
    let store = store.unwrap().unwrap();
    assert_eq!(paths(&store), sample.paths());
    drop(store);
    let store = Store::open_or_backup(
        &sample.dest.fs,
        sample.dest.root(),
        OpenMode::Create(BlockSize::MIN),
    );
    assert_eq!(paths(&store.unwrap().unwrap()), sample.paths());
}
