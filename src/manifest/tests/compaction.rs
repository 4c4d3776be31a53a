//! Compaction keeps what counts, leaves the rest behind, and can be cut short at any moment.

use std::fs;
use std::sync::atomic::Ordering;

use super::hooked::Hooked;
use super::support::*;
use crate::fs::OsFs;
use crate::manifest::*;

/// Fills a manifest with content, and with more garbage than content.
fn fill(store: &mut Store<OsFs>) {
    for round in 0..4 {
        Writer::new(store).everything();
        for n in 0..100 {
            let record = done(&format!("many/{n}"), 1000 * round + n, 0);
            store.append(&Record::Done(record)).unwrap();
        }
        barrier(store);
    }
}

#[test]
fn every_entry_hash_and_total_and_the_last_run_outlive_a_compaction() {
    let dest = Dest::new();
    let mut store = dest.create();
    fill(&mut store);
    let mounts = [mounted("", 1), mounted("d", 2)];
    for record in [
        Record::RunBegin(RunBegin {
            mounts: mounts[..1].to_vec(),
            ..run_begin()
        }),
        Record::Mounted(mounts[1].clone()),
        Record::RunEnd(run_end()),
    ] {
        store.append(&record).unwrap();
    }
    let (before, totals, run) = (listing(&store), store.totals(), store.last_run().unwrap());
    let (id, end) = (*store.id(), store.end());
    store.compact(None).unwrap();
    let check = |store: &Store<OsFs>| {
        assert_eq!(listing(store), before);
        assert_eq!(store.totals(), totals);
        assert_eq!(store.last_run().unwrap(), run);
        assert_eq!(store.mounted(), mounts);
        assert_eq!(*store.id(), id);
        assert_eq!(store.block_size(), crate::block::BlockSize::MIN);
        assert!(store.tail().positions.is_empty(), "all is trusted");
        assert!(!store.wants_compaction());
    };
    check(&store);
    assert!(store.end() < end / 2);
    assert_eq!(dest.bytes().len() as u64, store.end());
    assert!(!dest.state("manifest.new").exists());
    drop(store);
    check(&dest.open(OpenMode::Read));
    let mut store = dest.open(OpenMode::Write);
    check(&store);
    let end = store.end();
    store.compact(None).unwrap();
    assert_eq!(store.end(), end, "there is nothing more to gain");
}

#[test]
fn files_in_progress_go_on_after_a_compaction() {
    let dest = Dest::new();
    let mut store = dest.create();
    let at = store.append(&Record::Begin(begin("f", 1 << 30))).unwrap();
    let prev = store.append(&blocks(at, at, 0, 5)).unwrap();
    store.append(&cut(at, prev, 2)).unwrap();
    let only_begun = Record::Begin(begin("g", 1 << 30));
    store.append(&only_begun).unwrap();
    store.compact(None).unwrap();
    for (name, count) in [("f", 2), ("g", 0)] {
        let Some((_, Entry::Partial(partial))) = store.lookup(&path(name)).unwrap() else {
            panic!("not a partial");
        };
        assert_eq!(partial.blocks, count);
        let more = blocks(partial.begin_pos, partial.last_pos, count, 3);
        let last = store.append(&more).unwrap();
        store.append(&Record::Done(done(name, 8, last))).unwrap();
    }
    let before = listing(&store);
    assert_eq!(before[&path("f")].1, (0..5).map(hash).collect::<Vec<_>>());
    assert_eq!(before[&path("g")].1, (0..3).map(hash).collect::<Vec<_>>());
    store.write_out().unwrap();
    drop(store);
    assert_eq!(listing(&dest.open(OpenMode::Write)), before);
}

#[test]
fn a_long_chain_of_short_records_becomes_a_short_chain_of_long_ones() {
    let dest = Dest::new();
    let mut store = dest.create();
    let at = store.append(&Record::Begin(begin("f", 1 << 30))).unwrap();
    let mut last = at;
    let count = 2 * Blocks::HASHES_MAX as u64 + 1;
    for n in 0..count {
        last = store.append(&blocks(at, last, n, 1)).unwrap();
    }
    store.append(&Record::Done(done("f", 8, last))).unwrap();
    let before = listing(&store);
    store.compact(None).unwrap();
    assert_eq!(listing(&store), before);
    let content = store.end() - 4096 - 32 * count;
    assert!(content < 500, "{content} bytes beside the hashes");
}

#[test]
fn it_is_wanted_once_garbage_is_worth_it_and_outweighs_content() {
    let dest = Dest::new();
    let mut store = dest.create();
    let long = "x".repeat(200);
    let name = |n: u64| format!("{long}/{n:04}");
    // A little garbage is left alone, however little content there is.
    for n in 0..100 {
        store.append(&Record::Done(done(&name(0), n, 0))).unwrap();
    }
    assert!(!store.wants_compaction());
    for n in 0..1000 {
        store.append(&Record::Done(done(&name(n), 1, 0))).unwrap();
    }
    assert!(!store.wants_compaction());
    // Much of it is left alone while content is more.
    for n in 0..600 {
        store.append(&Record::Done(done(&name(n), 2, 0))).unwrap();
    }
    assert!(!store.wants_compaction());
    for n in 0..600 {
        store.append(&Record::Removed(path(&name(n)))).unwrap();
    }
    assert!(store.wants_compaction());
    store.write_out().unwrap();
    drop(store);
    let mut store = dest.open(OpenMode::Write);
    assert!(store.wants_compaction(), "it is seen when loading too");
    store.compact(None).unwrap();
    assert!(!store.wants_compaction());
    assert_eq!(store.totals().files_done, 400);
}

#[test]
fn a_new_file_that_a_crash_left_half_made_is_no_obstacle() {
    for junk in [&b"junk"[..], &[0xff; 10_000], &[]] {
        let dest = Dest::new();
        let mut store = dest.create();
        fill(&mut store);
        store.write_out().unwrap();
        let before = listing(&store);
        drop(store);
        fs::write(dest.state("manifest.new"), junk).unwrap();
        let mut store = dest.open(OpenMode::Write);
        assert_eq!(listing(&store), before);
        store.compact(None).unwrap();
        assert_eq!(listing(&store), before);
        drop(store);
        assert!(!dest.state("manifest.new").exists());
        assert_eq!(listing(&dest.open(OpenMode::Read)), before);
    }
}

#[test]
fn a_compaction_that_fails_before_its_rename_leaves_the_old_manifest_in_use() {
    let dest = Dest::new();
    let mut store = dest.create();
    fill(&mut store);
    store.write_out().unwrap();
    drop(store);
    let fs = Hooked::new(&dest.fs, || {});
    let mut store = Store::open(&fs, dest.root(), OpenMode::Write)
        .unwrap()
        .unwrap();
    let before = dest.bytes();
    fs.fails_renames.store(true, Ordering::Relaxed);
    store.compact(None).unwrap_err();
    assert_eq!(dest.bytes(), before);
    assert!(!dest.state("manifest.new").exists());
    store.append(&Record::Dir(dir("after"))).unwrap();
    store.write_out().unwrap();
    let expected = listing(&store);
    fs.fails_renames.store(false, Ordering::Relaxed);
    store.compact(None).unwrap();
    assert_eq!(listing(&store), expected);
    drop(store);
    assert_eq!(listing(&dest.open(OpenMode::Read)), expected);
}

#[test]
fn the_holder_is_named_in_the_new_file_too() {
    let dest = Dest::new();
    let mut store = dest.create();
    let holder = Holder {
        pid: 4242,
        host: "elsewhere".to_string(),
        started_ms: 0,
    };
    store.compact(Some(&holder)).unwrap();
    let text = dest.refusal(OpenMode::Read).to_string();
    assert!(text.contains("process 4242 on elsewhere"), "{text}");
}

#[test]
fn what_was_verified_is_still_known_after_compaction() {
    let dest = Dest::new();
    let mut store = dest.create();
    for n in 0..6 {
        let record = done(&format!("f{n}"), n, 0);
        store.append(&Record::Done(record)).unwrap();
    }
    store.write_out().unwrap();
    drop(store);
    let store = dest.open(OpenMode::Note);
    let at = |store: &Store<OsFs>, name: &str| store.lookup(&path(name)).unwrap().unwrap().0;
    let mut log = store.share().unwrap().unwrap();
    let begin = VerifyBegin {
        started_ms: 7,
        key: 1,
        seed: 0,
        what: "everything".to_string(),
    };
    let run = log.append(&Record::VerifyBegin(begin)).unwrap();
    let span = |from: &str, to: &str| at(&store, from)..at(&store, to) + 1;
    log.verified(0, 5, Depth::Medium, &[span("f0", "f5")])
        .unwrap();
    let spans = [span("f1", "f2"), span("f4", "f4")];
    log.verified(run, 9, Depth::Cached, &spans).unwrap();
    log.verified(run, 9, Depth::Partly, &[span("f3", "f3")])
        .unwrap();
    let pos = at(&store, "f5");
    let what = Found::Missing;
    log.finding(Finding { run, pos, what }).unwrap();
    log.flush().unwrap();
    drop((store, log));

    let mut store = dest.open(OpenMode::Write);
    store.append(&Record::Done(done("f2", 22, 0))).unwrap();
    store.append(&Record::Removed(path("f0"))).unwrap();
    store.write_out().unwrap();
    store.compact(None).unwrap();
    drop(store);

    let store = dest.open(OpenMode::Read);
    let history = store.history(false).unwrap();
    let seen = |name: &str| {
        let last = history.get(at(&store, name));
        last.map(|last| (last.at_ms, last.depth))
    };
    assert_eq!(seen("f1"), Some((9, Depth::Cached)));
    assert_eq!(seen("f2"), None, "it was copied again");
    assert_eq!(seen("f3"), Some((5, Depth::Medium)));
    assert_eq!(seen("f4"), Some((9, Depth::Cached)));
    assert_eq!(seen("f5"), Some((5, Depth::Medium)));
    let last = store.last_verify().unwrap().unwrap();
    assert_eq!((last.begin.started_ms, last.end.is_none()), (7, true));
    let found: Vec<_> = store
        .last_findings()
        .iter()
        .map(|(pos, at)| (*pos, store.found_at(*at).unwrap()))
        .collect();
    assert_eq!(found, [(at(&store, "f5"), Found::Missing)]);
    let checked = store.checked_by_last().unwrap();
    let by_last = ["f1", "f3", "f4", "f5"].map(|name| checked.get(at(&store, name)).is_some());
    assert_eq!(by_last, [true, true, true, false]);
}
