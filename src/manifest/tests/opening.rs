//! What opening does with what it finds: nothing, an empty file, a newer version, damage.

use std::fs;

use std::sync::atomic::Ordering;

use super::hooked::Hooked;
use super::support::*;
use crate::block::BlockSize;
use crate::error::ManifestError;
use crate::hash::header_checksum;
use crate::manifest::*;

const RESTART: OpenMode = OpenMode::Restart(BlockSize::MAX);

/// A manifest with content and two barriers, as bytes.
fn content() -> (Vec<u8>, [u8; 16]) {
    let dest = Dest::quick();
    let mut store = dest.create();
    let mut writer = Writer::new(&mut store);
    writer.everything();
    writer.barrier();
    writer.barrier();
    store.write_out().unwrap();
    (dest.bytes(), *store.id())
}

#[test]
fn where_there_is_no_manifest_only_the_modes_that_make_one_leave_anything_behind() {
    let dest = Dest::new();
    for mode in [OpenMode::Read, OpenMode::Write] {
        assert!(dest.try_open(mode).unwrap().is_none());
        assert!(!dest.root().join(".sprag").exists());
    }
    let store = dest.create();
    assert!(listing(&store).is_empty());
    assert_eq!(store.path(), dest.state("manifest"));
    drop(store);
    assert_eq!(dest.bytes().len(), 4096);
    assert!(dest.try_open(OpenMode::Read).unwrap().is_some());
}

#[test]
fn creating_keeps_what_is_there_with_its_own_block_size() {
    let (bytes, id) = content();
    let dest = Dest::with(&bytes);
    let store = dest.open(OpenMode::Create(BlockSize::MAX));
    assert_eq!((*store.id(), store.block_size()), (id, BlockSize::MIN));
    assert_eq!(listing(&store).len(), 7);
}

/// The barrier that covers what is kept stands behind it, and is cut off with the rest.
#[test]
fn what_is_kept_after_a_power_cut_is_kept_if_the_next_comes_while_the_rest_is_cut_off() {
    let dest = Dest::quick();
    let mut store = dest.create();
    store.append(&Record::RunBegin(run_begin())).unwrap();
    barrier(&mut store);
    store.append(&Record::Done(done("deleted", 9, 0))).unwrap();
    barrier(&mut store);
    store.append(&Record::Removed(path("deleted"))).unwrap();
    store.append(&Record::Done(done("flushed", 5, 0))).unwrap();
    let covers = store.end();
    store
        .append(&Record::Done(done("unflushed", 6, 0)))
        .unwrap();
    store.append(&Record::Barrier { covers }).unwrap();
    store.write_out().unwrap();
    drop(store);
    let fs = Hooked::new(&dest.fs, || {});
    fs.lacks_journal.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        let store = Store::open(&fs, dest.root(), OpenMode::Write);
        let store = store.unwrap().unwrap();
        assert!(store.was_cut());
        let known: Vec<_> = listing(&store).into_keys().collect();
        assert_eq!(known, [path("flushed")]);
        assert_eq!(store.tail().covered, covers);
        drop(store);
        let mut cut = dest.bytes();
        cut.truncate(covers as usize);
        dest.put(&cut);
    }
}

#[test]
fn two_manifests_have_different_ids() {
    let (one, two) = (Dest::new(), Dest::new());
    assert_ne!(one.create().id(), two.create().id());
}

#[test]
fn an_empty_or_zeroed_file_is_no_manifest_and_is_made_anew() {
    for blank in [&[][..], &[0; 100], &[0; 4096]] {
        let dest = Dest::with(blank);
        assert!(dest.try_open(OpenMode::Read).unwrap().is_none());
        assert!(dest.try_open(OpenMode::Write).unwrap().is_none());
        assert_eq!(dest.bytes(), blank);
        assert!(listing(&dest.create()).is_empty());
        assert_eq!(dest.bytes().len(), 4096);
    }
}

#[test]
fn a_header_of_zeros_before_records_is_damage() {
    let (mut bytes, _) = content();
    bytes[..4096].fill(0);
    let dest = Dest::with(&bytes);
    for mode in [
        OpenMode::Read,
        OpenMode::Write,
        OpenMode::Create(BlockSize::MIN),
    ] {
        let error = dest.refusal(mode);
        assert!(matches!(error, ManifestError::Damaged { .. }), "{error}");
        assert_eq!(dest.bytes(), bytes);
    }
}

#[test]
fn a_newer_version_is_refused_in_every_mode_and_nothing_is_touched() {
    let (whole, _) = content();
    // Of a later version only the first 64 bytes are known, so its header may be shorter.
    for len in [whole.len(), 4096, 64] {
        let mut bytes = whole[..len].to_vec();
        bytes[8..12].copy_from_slice(&2u32.to_le_bytes());
        let checksum = header_checksum(&bytes[..56]).to_le_bytes();
        bytes[56..64].copy_from_slice(&checksum);
        let dest = Dest::with(&bytes);
        for mode in [
            OpenMode::Read,
            OpenMode::Write,
            OpenMode::Create(BlockSize::MIN),
            RESTART,
        ] {
            let error = dest.refusal(mode);
            assert!(
                matches!(
                    error,
                    ManifestError::Newer {
                        version: 2,
                        known: 1,
                        ..
                    }
                ),
                "{error}"
            );
            assert_eq!(dest.bytes(), bytes);
            let names = fs::read_dir(dest.root().join(".sprag")).unwrap().count();
            assert_eq!(names, 1, "{mode:?}");
        }
    }
}

#[test]
fn restarting_a_whole_manifest_keeps_only_its_id() {
    let (bytes, id) = content();
    let dest = Dest::with(&bytes);
    let store = dest.open(RESTART);
    assert_eq!((*store.id(), store.block_size()), (id, BlockSize::MAX));
    assert!(listing(&store).is_empty());
    assert!(!dest.state("manifest.damaged").exists());
}

#[test]
fn restarting_a_damaged_manifest_sets_it_aside_and_keeps_its_id() {
    let (mut bytes, id) = content();
    bytes[4096 + 30] ^= 1;
    let dest = Dest::with(&bytes);
    dest.refusal(OpenMode::Write);
    let store = dest.open(RESTART);
    assert_eq!(*store.id(), id);
    assert!(listing(&store).is_empty());
    drop(store);
    assert_eq!(fs::read(dest.state("manifest.damaged")).unwrap(), bytes);
    assert!(listing(&dest.open(OpenMode::Write)).is_empty());
}

#[test]
fn each_damaged_manifest_is_kept_and_none_takes_the_place_of_an_earlier_one() {
    let (whole, _) = content();
    let dest = Dest::with(&whole);
    let names = [
        "manifest.damaged",
        "manifest.damaged.2",
        "manifest.damaged.3",
    ];
    for (nth, name) in names.into_iter().enumerate() {
        let mut bytes = whole.clone();
        bytes[4096 + 30 + nth] ^= 1;
        dest.put(&bytes);
        drop(dest.open(RESTART));
        assert_eq!(fs::read(dest.state(name)).unwrap(), bytes, "{name}");
    }
    // One that was taken away leaves a gap, and what is newer still comes last.
    fs::remove_file(dest.state("manifest.damaged.2")).unwrap();
    dest.put(&whole[..1000]);
    drop(dest.open(RESTART));
    let latest = fs::read(dest.state("manifest.damaged.4")).unwrap();
    assert_eq!(latest, whole[..1000]);
}

#[test]
fn restarting_with_a_damaged_header_sets_it_aside_and_takes_a_new_id() {
    let (bytes, id) = content();
    let cut_short = bytes[..1000].to_vec();
    let mut flipped = bytes.clone();
    flipped[20] ^= 1;
    let mut foreign = bytes.clone();
    foreign[..8].copy_from_slice(b"PK\x03\x04 zip");
    let mut zeroed = bytes.clone();
    zeroed[..4096].fill(0);
    for damaged in [cut_short, flipped, foreign, zeroed] {
        let dest = Dest::with(&damaged);
        let error = dest.refusal(OpenMode::Create(BlockSize::MIN));
        assert!(
            matches!(error, ManifestError::Damaged { offset: 0, .. }),
            "{error}"
        );
        let store = dest.open(RESTART);
        assert_ne!(*store.id(), id);
        assert!(listing(&store).is_empty());
        assert_eq!(fs::read(dest.state("manifest.damaged")).unwrap(), damaged);
    }
}

#[test]
fn restarting_where_whole_records_contradict_each_other_sets_the_file_aside() {
    let dest = Dest::new();
    let mut store = dest.create();
    let at = store.append(&Record::Begin(begin("f", 1 << 20))).unwrap();
    store.append(&cut(at, at + 1, 0)).unwrap_err();
    store.write_out().unwrap();
    let id = *store.id();
    drop(store);
    let before = dest.bytes();
    dest.refusal(OpenMode::Write);
    assert_eq!(*dest.open(RESTART).id(), id);
    assert_eq!(fs::read(dest.state("manifest.damaged")).unwrap(), before);
}

#[test]
fn a_manifest_that_is_no_regular_file_is_refused() {
    let dest = Dest::new();
    fs::create_dir(dest.root().join(".sprag")).unwrap();
    fs::write(dest.root().join("elsewhere"), content().0).unwrap();
    std::os::unix::fs::symlink("../elsewhere", dest.state("manifest")).unwrap();
    let error = dest.refusal(OpenMode::Create(BlockSize::MIN));
    assert!(matches!(error, ManifestError::Io(_)), "{error}");
}
