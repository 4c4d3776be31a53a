//! What a verification notes in the manifest, and what later ones make of it.

use super::*;
use crate::event::EntryCounts;
use crate::filter::Filter;
use crate::manifest::{Depth, Finding, Found, Record, Verified, VerifyBegin};
use crate::options::{Reading, SampleAmount};

fn noting(dest: &Path) -> VerifyOptions {
    let mut options = VerifyOptions::new(dest);
    options.record = true;
    options
}

/// Twelve files, some large, of which one is damaged.
fn dozen() -> Fixture {
    let mut fixture = Fixture::new();
    for n in 0..12 {
        fixture.file(&format!("f{n:02}"), &content(n * 30_000 + 1));
    }
    flip(&fixture.at("f02"), 0);
    fixture
}

/// Verifies until `count` entries were judged, and stops then.
fn stop_after(options: VerifyOptions, count: usize) -> VerifySummary {
    let mut options = options;
    options.jobs = NonZeroUsize::new(1);
    // Slow enough that it cannot be over before the stop is noticed.
    options.bytes_per_s = std::num::NonZeroU64::new(600_000);
    let mut run = verify(options).unwrap();
    let stopper = run.stopper();
    let mut seen = 0;
    for event in run.by_ref() {
        match event {
            VerifyEvent::Entry { .. } => {
                seen += 1;
                if seen == count {
                    stopper.stop();
                }
            }
            VerifyEvent::Warning(text) | VerifyEvent::Unnoted(text) => panic!("{text}"),
            VerifyEvent::Finished { summary, .. } => {
                assert_eq!(summary.exit_code, Exit::Stopped);
                return *summary;
            }
            _ => {}
        }
    }
    panic!("no last event");
}

#[test]
fn a_stopped_run_is_gone_on_with_and_tells_again_what_it_had_found() {
    let temp = dozen().close();
    let first = stop_after(noting(temp.path()), 6);
    let checked = first.ok.total() + first.files_corrupt;
    assert!((6..12).contains(&checked));
    let rest = verify_with(noting(temp.path()));
    assert_eq!(rest.passed.before.total(), first.ok.total());
    assert_eq!(rest.opened.0, 12 - checked);
    assert_eq!(rest.kind("f02"), "corrupt");
    assert!(!rest.verdicts.contains_key("f00"), "it is not read again");
    let summary = &rest.summary;
    assert_eq!(summary.ok.total() + first.ok.total(), 11);
    assert_eq!(summary.files_corrupt, 1);
    assert_eq!(summary.exit_code, Exit::Damaged);

    let anew = verify_with(noting(temp.path()));
    assert_eq!(anew.passed, PassedOver::default(), "that one had ended");
    assert_eq!(anew.verdicts.len(), 12);
}

#[test]
fn a_stopped_run_is_begun_anew_on_request_and_by_one_that_wants_something_else() {
    let temp = dozen().close();
    stop_after(noting(temp.path()), 4);
    let mut other = noting(temp.path());
    other.paths = vec!["f01".into(), "f11".into()];
    assert_eq!(verify_with(other).verdicts.len(), 2);
    stop_after(noting(temp.path()), 4);
    let mut options = noting(temp.path());
    options.restart = true;
    assert_eq!(verify_with(options).verdicts.len(), 12);
}

#[test]
fn what_was_copied_again_since_the_stop_is_checked_again() {
    let mut fixture = dozen();
    fixture.release();
    stop_after(noting(fixture.root()), 5);
    let mut fixture = fixture.reopen();
    fixture.file("f00", b"a new version");
    fixture.file("f02", b"mended");
    let temp = fixture.close();
    let rest = verify_with(noting(temp.path()));
    assert_eq!((rest.kind("f00"), rest.kind("f02")), ("ok", "ok"));
    assert_eq!(rest.summary.files_corrupt, 0);
}

#[test]
fn a_stopped_sample_goes_on_with_the_same_blocks() {
    let temp = dozen().close();
    let mut options = noting(temp.path());
    let amount = SampleAmount::PerMillion(600_000);
    options.reading = Reading::Sample { amount, seed: None };
    let first = stop_after(options.clone(), 5);
    let rest = verify_with(options).summary;
    let blocks: u64 = (0..12).map(|n| (n * 30_000 + 1_u64).div_ceil(65_536)).sum();
    assert_eq!(
        first.blocks_read + rest.blocks_read,
        (blocks * 6).div_ceil(10)
    );
}

#[test]
fn what_was_verified_recently_is_passed_over_and_what_was_only_looked_at_is_not() {
    let temp = dozen().close();
    let mut quick = noting(temp.path());
    quick.reading = Reading::Metadata;
    assert_eq!(verify_with(quick).summary.files_unread, 12);
    let mut some = noting(temp.path());
    some.paths = vec!["f01".into(), "f02".into(), "f03".into()];
    assert_eq!(verify_with(some).summary.ok.total(), 2);
    let mut options = noting(temp.path());
    options.older_than = Some(Duration::from_secs(3600));
    let found = verify_with(options.clone());
    assert_eq!(found.passed.recent.total(), 2);
    assert_eq!(found.verdicts.len(), 10);
    assert_eq!(found.kind("f02"), "corrupt", "it was not as recorded");
    options.older_than = Some(Duration::ZERO);
    assert_eq!(verify_with(options).passed.recent.total(), 0);
}

#[test]
fn a_time_of_verification_in_the_future_does_not_count() {
    let mut fixture = Fixture::new();
    let names = ["f00", "f01", "f02"];
    names.iter().for_each(|name| fixture.file(name, b"content"));
    let run = fixture.append(&Record::VerifyBegin(VerifyBegin {
        started_ms: 1,
        key: 0,
        seed: 0,
        what: String::new(),
    }));
    let hour_ms = 3_600_000;
    let (now_ms, all) = (crate::time::now_ms(), vec![(0, run)]);
    fixture.append(&Record::Verified(Verified {
        run,
        at_ms: now_ms + hour_ms,
        depth: Depth::Medium,
        spans: all,
    }));
    flip(&fixture.at("f01"), 0);
    let temp = fixture.close();
    let never = || {
        let parts = crate::inspect::status(temp.path(), None).unwrap().verified;
        let all = parts.iter().map(|part| part.files_never);
        all.sum::<u64>()
    };
    assert_eq!(never(), 3);
    let mut options = noting(temp.path());
    options.older_than = Some(Duration::from_secs(3600));
    let found = verify_with(options.clone());
    assert_eq!((found.passed.recent.total(), found.verdicts.len()), (0, 3));
    assert_eq!(found.kind("f01"), "corrupt");
    // From now on the right time counts, though the other one is later.
    let found = verify_with(options);
    assert_eq!((found.passed.recent.total(), found.verdicts.len()), (2, 1));
    assert_eq!(never(), 1);
}

#[test]
fn what_a_stopped_run_had_checked_long_ago_is_checked_again_and_the_rest_is_dated() {
    let mut fixture = Fixture::new();
    let mut positions = Vec::new();
    for nth in 0..6 {
        let name = format!("f{nth:02}");
        fs::write(fixture.at(&name), b"content").unwrap();
        positions.push(fixture.record_file(&name, &name, b"content"));
    }
    let options = noting(fixture.root());
    let wanted = select::Wanted::new(&[""; 0], Filter::default(), fixture.root()).unwrap();
    let now_ms = crate::time::now_ms();
    let days_ago = |days: u64| now_ms - days * 86_400_000;
    let run = fixture.append(&Record::VerifyBegin(VerifyBegin {
        started_ms: days_ago(40),
        key: resume::key(&options, &wanted),
        seed: 0,
        what: String::new(),
    }));
    for (pos, at_ms) in [
        (positions[0], days_ago(40)),
        (positions[1], days_ago(31)),
        (positions[2], days_ago(20)),
        (positions[3], now_ms + 86_400_000),
    ] {
        fixture.append(&Record::Verified(Verified {
            run,
            at_ms,
            depth: Depth::Medium,
            spans: vec![(pos, 1)],
        }));
    }
    fixture.append(&Record::Finding(Finding {
        run,
        pos: positions[5],
        what: Found::Missing,
    }));
    for rotten in ["f00", "f02"] {
        flip(&fixture.at(rotten), 0);
    }
    let temp = fixture.close();
    let rest = verify_with(options);
    let checked: Vec<&str> = rest.verdicts.keys().map(String::as_str).collect();
    assert_eq!(
        checked,
        ["f00", "f01", "f03", "f04", "f05"],
        "{:?}",
        rest.passed
    );
    assert_eq!((rest.kind("f00"), rest.kind("f05")), ("corrupt", "ok"));
    let files = EntryCounts::of_files;
    let expected = PassedOver {
        before: files(1),
        before_since_ms: Some(days_ago(20)),
        stale: files(3),
        recent: files(0),
    };
    assert_eq!((rest.passed, rest.opened.0), (expected, 5));
    drop(temp);
}

#[test]
fn status_tells_when_each_part_was_verified() {
    let mut fixture = dozen();
    fixture.dir("d");
    fixture.file("d/g", b"x");
    let temp = fixture.close();
    let before = crate::inspect::status(temp.path(), None).unwrap();
    assert!(before.last_verify.is_none() && before.verified.is_empty());
    let mut options = noting(temp.path());
    options.paths = vec!["f01".into(), "f02".into()];
    verify_with(options);
    let status = crate::inspect::status(temp.path(), None).unwrap();
    let last = status.last_verify.unwrap();
    assert_eq!((last.exit, last.entries_bad), (Some(Exit::Damaged), 1));
    assert_eq!(last.what, "f01, f02");
    let part = |path: &str| {
        let mut parts = status.verified.iter();
        parts.find(|part| part.path == rel(path)).unwrap().clone()
    };
    assert!(part("f01").oldest_ms.is_some() && part("f01").files_never == 0);
    assert_eq!((part("f02").files_never, part("d").files_never), (1, 1));

    let stopped = stop_after(noting(temp.path()), 3);
    let last = crate::inspect::status(temp.path(), None)
        .unwrap()
        .last_verify;
    let last = last.unwrap();
    assert!(last.ended_ms.is_none() && last.exit.is_none());
    assert_eq!(last.entries_bad, stopped.files_corrupt);
}

#[test]
fn a_second_run_beside_one_that_notes_still_verifies_and_says_that_it_notes_nothing() {
    let temp = dozen().close();
    let first = verify(noting(temp.path())).unwrap();
    let second = verify_with(noting(temp.path()));
    assert_eq!(second.summary.ok.total(), 11);
    assert!(
        second.warnings[0].contains("another sprag"),
        "{:?}",
        second.warnings
    );
    drop(first);
    assert!(verify_with(noting(temp.path())).warnings.is_empty());
}
