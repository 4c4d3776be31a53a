//! Torn tails are cut and nothing else is; damage is told and the file left as it is.

use super::support::*;
use crate::block::BlockSize;
use crate::error::ManifestError;
use crate::manifest::journal::FRAMES_START;
use crate::manifest::*;

const RESTART: OpenMode = OpenMode::Restart(BlockSize::MIN);

/// The bytes of a manifest, what it held after each record, and up to where it is trusted.
struct Sample {
    bytes: Vec<u8>,
    shots: Vec<(u64, Listing)>,
    trusted: u64,
}

/// One of everything before the first barrier, more before the second, and a tail.
fn sample() -> Sample {
    let dest = Dest::quick();
    let mut store = dest.create();
    let mut writer = Writer::new(&mut store);
    writer.everything();
    let trusted = writer.barrier();
    writer.add(Record::Done(done("d/later", 6, 0)));
    writer.add(Record::Done(done("d/small", 7, 0)));
    writer.barrier();
    let begin = writer.add(Record::Begin(begin("tail", 4 << 16)));
    let prev = writer.add(blocks(begin, begin, 0, 2));
    writer.add(cut(begin, prev, 1));
    writer.add(Record::Removed(path("d")));
    let shots = writer.shots;
    store.write_out().unwrap();
    drop(store);
    Sample {
        bytes: dest.bytes(),
        shots,
        trusted,
    }
}

#[test]
fn a_manifest_cut_at_any_length_keeps_all_whole_records_and_goes_on() {
    let Sample { bytes, shots, .. } = sample();
    let dest = Dest::with(&bytes);
    for len in FRAMES_START..=bytes.len() as u64 {
        let cut = &bytes[..len as usize];
        let (end, expected) = Writer::shot_within(&shots, len);
        dest.put(cut);
        let store = dest.open(OpenMode::Read);
        assert_eq!(&listing(&store), expected, "{len}");
        drop(store);
        assert_eq!(dest.bytes(), cut, "a reader changes nothing");
        let mut store = dest.open(OpenMode::Write);
        assert_eq!(&listing(&store), expected, "{len}");
        assert_eq!(dest.bytes(), &bytes[..*end as usize], "{len}");
        store.append(&Record::Dir(dir("new"))).unwrap();
        store.write_out().unwrap();
        let after = listing(&store);
        drop(store);
        assert_eq!(listing(&dest.open(OpenMode::Read)), after, "{len}");
    }
}

#[test]
fn zeros_behind_the_last_record_are_a_torn_tail() {
    let Sample { bytes, shots, .. } = sample();
    let mut torn = bytes.clone();
    torn.resize(bytes.len() + 10_000, 0);
    let dest = Dest::with(&torn);
    assert_eq!(
        listing(&dest.open(OpenMode::Write)),
        shots.last().unwrap().1
    );
    assert_eq!(dest.bytes(), bytes);
}

#[test]
fn a_hole_in_the_tail_is_cut_with_all_behind_it_and_is_no_damage() {
    let Sample { bytes, shots, .. } = sample();
    let tail = shots.len() - 5;
    for hole in tail..shots.len() - 1 {
        let (start, end) = (shots[hole].0 as usize, shots[hole + 1].0 as usize);
        let mut torn = bytes.clone();
        torn[start..end].fill(0);
        let dest = Dest::with(&torn);
        assert_eq!(listing(&dest.open(OpenMode::Read)), shots[hole].1);
        assert_eq!(listing(&dest.open(OpenMode::Write)), shots[hole].1);
        assert_eq!(dest.bytes(), &bytes[..start]);
    }
}

#[test]
fn a_hole_between_the_last_two_barriers_is_cut_since_only_the_last_vouches_for_it() {
    let Sample {
        bytes,
        shots,
        trusted,
    } = sample();
    let hole = shots.iter().position(|(end, _)| *end > trusted).unwrap();
    let start = shots[hole].0 as usize;
    let mut torn = bytes.clone();
    torn[start + 12] ^= 0xff;
    let dest = Dest::with(&torn);
    assert_eq!(listing(&dest.open(OpenMode::Write)), shots[hole].1);
    assert_eq!(dest.bytes(), &bytes[..start]);
}

#[test]
fn records_behind_a_hole_do_not_come_back_once_new_ones_fill_it() {
    let dest = Dest::new();
    let mut store = dest.create();
    let hole = store.append(&Record::Dir(dir("a"))).unwrap() as usize;
    store.append(&Record::Dir(dir("b"))).unwrap();
    store.write_out().unwrap();
    drop(store);
    let mut bytes = dest.bytes();
    bytes[hole + 12] ^= 1;
    dest.put(&bytes);
    let mut store = dest.open(OpenMode::Write);
    // Just as long as what was there: the old second record would follow it without a seam.
    store.append(&Record::Dir(dir("c"))).unwrap();
    store.write_out().unwrap();
    drop(store);
    let paths: Vec<_> = listing(&dest.open(OpenMode::Write)).into_keys().collect();
    assert_eq!(paths, [path("c")]);
}

#[test]
fn any_byte_changed_gives_damage_or_an_earlier_state_and_never_another_content() {
    let Sample {
        bytes,
        shots,
        trusted,
    } = sample();
    let dest = Dest::with(&bytes);
    // Behind its first bytes the header is all alike: a few of those will do.
    let header = (0..160).chain((160..FRAMES_START).step_by(101));
    for at in header.chain(FRAMES_START..bytes.len() as u64) {
        let mut changed = bytes.clone();
        changed[at as usize] ^= [0x01, 0x80, 0xff][at as usize % 3];
        dest.put(&changed);
        let must_be_damage = at < 64 || (FRAMES_START..trusted).contains(&at);
        for mode in [OpenMode::Read, OpenMode::Write] {
            let opened = dest.try_open(mode);
            if must_be_damage {
                assert!(
                    matches!(opened, Err(ManifestError::Damaged { offset, .. }) if offset <= at),
                    "byte {at}, {mode:?}"
                );
                assert_eq!(dest.bytes(), changed, "byte {at}, {mode:?}");
                continue;
            }
            let store = opened.unwrap().unwrap();
            let kept = if at < FRAMES_START {
                bytes.len() as u64
            } else {
                at
            };
            let (end, expected) = Writer::shot_within(&shots, kept);
            assert_eq!(store.end(), *end, "byte {at}, {mode:?}");
            assert_eq!(&listing(&store), expected, "byte {at}, {mode:?}");
        }
    }
}

#[test]
fn damage_is_told_with_its_place_and_the_way_out() {
    let Sample {
        mut bytes, shots, ..
    } = sample();
    let record = shots[3].0;
    bytes[record as usize + 20] ^= 4;
    let dest = Dest::with(&bytes);
    let error = dest.refusal(OpenMode::Write);
    let text = error.to_string();
    assert!(
        text.contains(&format!("damaged at byte {record}")),
        "{text}"
    );
    assert!(text.contains("--restart"), "{text}");
}

#[test]
fn a_frame_of_another_manifest_or_another_place_does_not_pass() {
    let Sample { bytes, shots, .. } = sample();
    let end = bytes.len();
    // A true frame, appended once more: right but for its position.
    let (start, next) = (shots[1].0 as usize, shots[2].0 as usize);
    let mut misplaced = bytes.clone();
    misplaced.extend_from_slice(&bytes[start..next]);
    let dest = Dest::with(&misplaced);
    assert_eq!(
        listing(&dest.open(OpenMode::Write)),
        shots.last().unwrap().1
    );
    assert_eq!(dest.bytes().len(), end);
    // The same bytes at the same place, of a manifest with another id.
    let other = Dest::new();
    drop(other.create());
    let mut foreign = other.bytes();
    foreign.extend_from_slice(&bytes[FRAMES_START as usize..]);
    other.put(&foreign);
    assert!(listing(&other.open(OpenMode::Read)).is_empty());
}

#[test]
fn frames_of_an_older_file_are_never_good_in_a_newer_one() {
    for anew in [
        |dest: &Dest| drop(dest.open(RESTART)),
        |dest: &Dest| {
            dest.open(OpenMode::Write).compact(None).unwrap();
        },
    ] {
        let dest = Dest::new();
        let mut store = dest.create();
        // Nothing is garbage, so that what is compacted has the same frames at the same places.
        for name in ["a", "b", "c"] {
            store.append(&Record::Done(done(name, 5, 0))).unwrap();
        }
        barrier(&mut store);
        barrier(&mut store);
        let second = store.positions()[1] as usize;
        store.write_out().unwrap();
        let id = *store.id();
        drop(store);
        let old = dest.bytes();
        anew(&dest);
        let mut store = dest.open(OpenMode::Write);
        assert_eq!(*store.id(), id);
        if store.positions().is_empty() {
            store.append(&Record::Done(done("a", 5, 0))).unwrap();
        }
        store.write_out().unwrap();
        drop(store);
        // As where a file was given the space of the older one, and was not flushed before a cut.
        let mut bytes = dest.bytes();
        bytes.truncate(second);
        bytes.extend_from_slice(&old[second..]);
        dest.put(&bytes);
        let paths: Vec<_> = listing(&dest.open(OpenMode::Read)).into_keys().collect();
        assert_eq!(paths, [path("a")]);
    }
}

#[test]
fn whole_records_that_contradict_each_other_are_damage() {
    for wrong in [
        Record::Barrier { covers: 1 << 40 },
        Record::Barrier { covers: 0 },
        blocks(FRAMES_START, 1 << 30, 0, 1),
        cut(FRAMES_START, FRAMES_START + 1, 0),
    ] {
        let dest = Dest::new();
        let mut store = dest.create();
        store.append(&Record::Begin(begin("f", 1 << 20))).unwrap();
        // The store itself refuses some of these, but only once they are written.
        let _ = store.append(&wrong);
        store.write_out().unwrap();
        drop(store);
        let before = dest.bytes();
        let error = dest.refusal(OpenMode::Write);
        assert!(matches!(error, ManifestError::Damaged { .. }), "{error}");
        assert_eq!(dest.bytes(), before);
    }
}
