//! Runs and verifications that copy nothing do not make the manifest grow without end, nor is it made
//! anew each time.

use super::support::*;
use crate::fs::OsFs;
use crate::manifest::*;
use crate::path::RelPath;

/// How large the manifest became, and how often it was compacted.
struct Grown {
    bytes: u64,
    compactions: usize,
}

/// Opens the manifest again and again, as runs do, each of which adds something; at its end it is
/// compacted if that is worth it.
fn grow(dest: &Dest, runs: u64, mut add: impl FnMut(&mut Store<OsFs>, u64)) -> Grown {
    let mut grown = Grown {
        bytes: 0,
        compactions: 0,
    };
    for nth in 0..runs {
        let mut store = dest.open(OpenMode::Write);
        add(&mut store, nth);
        store.write_out().unwrap();
        grown.bytes = grown.bytes.max(store.end());
        if store.wants_compaction() {
            let before = (listing(&store), store.last_run().unwrap());
            store.compact(None).unwrap();
            assert_eq!((listing(&store), store.last_run().unwrap()), before);
            assert!(!store.wants_compaction());
            grown.compactions += 1;
        }
    }
    grown
}

/// What a run records that copies nothing.
fn idle(store: &mut Store<OsFs>, nth: u64, failures: Vec<(RelPath, String)>) {
    let begin = RunBegin {
        mounts: vec![mounted("", nth)],
        ..run_begin()
    };
    store.append(&Record::RunBegin(begin)).unwrap();
    store.append(&Record::Mounted(mounted("d", nth))).unwrap();
    store.append(&Record::ReadBack { due: true }).unwrap();
    store.append(&Record::ReadBack { due: false }).unwrap();
    barrier(store);
    let end = RunEnd {
        ended_ms: nth,
        failures,
        ..run_end()
    };
    store.append(&Record::RunEnd(end)).unwrap();
    barrier(store);
}

fn with_files(files: u64) -> Dest {
    let dest = Dest::quick();
    let mut store = dest.create();
    for n in 0..files {
        let record = Record::Done(done(&format!("file {n}"), n, 0));
        store.append(&record).unwrap();
    }
    store.write_out().unwrap();
    drop(store);
    dest
}

#[test]
fn a_thousand_runs_with_nothing_to_do_leave_a_small_manifest_small() {
    let dest = with_files(3);
    let grown = grow(&dest, 1000, |store, nth| idle(store, nth, Vec::new()));
    assert!(grown.bytes < 80 << 10, "{} bytes", grown.bytes);
    assert!(
        (2..=5).contains(&grown.compactions),
        "{}",
        grown.compactions
    );
}

#[test]
fn runs_with_nothing_to_do_are_no_reason_to_make_a_large_manifest_anew() {
    let dest = with_files(3000);
    let content = dest.bytes().len() as u64;
    let grown = grow(&dest, 300, |store, nth| idle(store, nth, Vec::new()));
    assert_eq!(grown.compactions, 0);
    assert!(grown.bytes < 2 * content);
}

#[test]
fn what_fails_on_every_run_is_kept_of_the_last_one_only() {
    let dest = with_files(1);
    let failures = |nth: u64| -> Vec<_> {
        let of = |n| {
            (
                path(&format!("bad {n}")),
                format!("{nth}: {}", "x".repeat(440)),
            )
        };
        (0..RunEnd::FAILURES_MAX).map(of).collect()
    };
    let grown = grow(&dest, 60, |store, nth| idle(store, nth, failures(nth)));
    assert!(grown.bytes < 200 << 10, "{} bytes", grown.bytes);
    assert!(
        (10..=30).contains(&grown.compactions),
        "{}",
        grown.compactions
    );
    let (_, end) = dest.open(OpenMode::Read).last_run().unwrap().unwrap();
    assert!(end.unwrap().failures.len() == RunEnd::FAILURES_MAX);
}

#[test]
fn what_is_removed_and_comes_back_does_not_make_it_grow() {
    let dest = with_files(10);
    let grown = grow(&dest, 1000, |store, nth| {
        store.append(&Record::Removed(path("file 3"))).unwrap();
        store.append(&Record::Removed(path("never there"))).unwrap();
        store.append(&Record::Done(done("file 3", nth, 0))).unwrap();
        barrier(store);
    });
    assert!(grown.bytes < 80 << 10, "{} bytes", grown.bytes);
}

/// Verifies all files, or one, as `nth` says, and finds something wrong with some.
fn verify(store: &mut Store<OsFs>, nth: u64, ends: bool) {
    let positions = store.positions();
    let begin = VerifyBegin {
        started_ms: nth,
        key: 1,
        seed: 0,
        what: "everything".to_string(),
    };
    let run = store.append(&Record::VerifyBegin(begin)).unwrap();
    let one = positions[nth as usize % positions.len()];
    let all = positions[0]..positions[positions.len() - 1] + 1;
    for (depth, span) in [
        (Depth::Medium, all),
        (Depth::Cached, one..one + 1),
        (Depth::Partly, one..one + 1),
    ] {
        let (spans, _) = Verified::pack(&[span]);
        let at_ms = nth;
        let record = Verified {
            run,
            at_ms,
            depth,
            spans,
        };
        store.append(&Record::Verified(record)).unwrap();
    }
    for pos in positions.iter().take(5) {
        let what = Found::Unreadable("Input/output error".to_string());
        let finding = Finding {
            run,
            pos: *pos,
            what,
        };
        store.append(&Record::Finding(finding)).unwrap();
    }
    if ends {
        let end = VerifyEnd {
            run,
            ended_ms: nth,
            exit_code: 40,
            entries_ok: 5,
            entries_bad: 5,
        };
        store.append(&Record::VerifyEnd(end)).unwrap();
    }
    barrier(store);
}

#[test]
fn verifications_of_the_same_files_are_kept_once() {
    for ends in [true, false] {
        let dest = with_files(10);
        let grown = grow(&dest, 600, |store, nth| verify(store, nth, ends));
        assert!(grown.bytes < 90 << 10, "{} bytes", grown.bytes);
        assert!(
            (1..=6).contains(&grown.compactions),
            "{}",
            grown.compactions
        );
        let mut store = dest.open(OpenMode::Write);
        store.compact(None).unwrap();
        let left = store.end();
        assert!(left < 8 << 10, "{left} bytes are left");
        let last = store.last_verify().unwrap().unwrap();
        assert_eq!(
            (last.begin.started_ms, store.last_findings().len()),
            (599, 5)
        );
        for pos in store.positions() {
            let last = store.history(false).unwrap().get(pos).unwrap();
            assert_eq!(last.at_ms, 599);
        }
    }
}

#[test]
fn what_earlier_verifications_alone_have_read_is_content() {
    const FILES: u64 = 4000;
    let dest = with_files(FILES);
    let grown = grow(&dest, 400, |store, nth| {
        // A sample of every tenth file, and no two of them alike.
        let positions = store.positions();
        let sampled = positions.iter().skip(nth as usize % 10).step_by(10);
        let spans: Vec<_> = sampled.map(|pos| *pos..*pos + 1).collect();
        let (spans, _) = Verified::pack(&spans);
        let (run, at_ms, depth) = (0, nth, Depth::Medium);
        let record = Verified {
            run,
            at_ms,
            depth,
            spans,
        };
        store.append(&Record::Verified(record)).unwrap();
    });
    assert!(grown.bytes < 1400 << 10, "{} bytes", grown.bytes);
    assert!(
        (1..=2).contains(&grown.compactions),
        "{}",
        grown.compactions
    );
    let store = dest.open(OpenMode::Read);
    let history = store.history(true).unwrap();
    assert!(
        store
            .positions()
            .iter()
            .all(|pos| history.get(*pos).is_some_and(|at| at.at_ms >= 390))
    );
}
