//! Verifying a part: samples, metadata only, filters.

use super::*;
use crate::filter::Rules;
use crate::options::{Reading, SampleAmount};

fn sample(dest: &Path, amount: SampleAmount, seed: u64) -> Found {
    let mut options = VerifyOptions::new(dest);
    let seed = Some(seed);
    options.reading = Reading::Sample { amount, seed };
    verify_with(options)
}

#[test]
fn a_sample_reads_as_many_blocks_as_it_should_and_says_what_it_did_not_read() {
    let temp = sound().close();
    // Five of `large`, one each of `small` and `empty`.
    let found = sample(temp.path(), SampleAmount::Blocks(3), 1);
    let summary = &found.summary;
    assert_eq!((summary.blocks_read, summary.blocks_unread), (3, 4));
    assert_eq!(summary.bytes_read + summary.bytes_unread, 300_005);
    let files = summary.files_sampled + summary.files_unread;
    assert!(files >= 1 && summary.ok.total() == 7 - files);
    assert_eq!(summary.exit_code, Exit::Done);
    let kinds =
        |found: &Found| -> Vec<&str> { found.verdicts.values().map(Verdict::kind).collect() };
    let again = sample(temp.path(), SampleAmount::Blocks(3), 1);
    assert_eq!(kinds(&found), kinds(&again));
    assert_eq!(again.summary.bytes_read, summary.bytes_read);

    let whole = sample(temp.path(), SampleAmount::PerMillion(1_000_000), 1);
    assert_eq!(
        (whole.summary.ok.total(), whole.summary.blocks_unread),
        (7, 0)
    );
}

#[test]
fn damage_in_the_sample_is_found_and_damage_outside_is_not_claimed_to_be_sound() {
    let fixture = sound();
    for block in 0..5 {
        flip(&fixture.at("d/e/large"), block << 16);
    }
    let temp = fixture.close();
    let mut found_some = false;
    for seed in 0..20 {
        let found = sample(temp.path(), SampleAmount::Blocks(2), seed);
        match &found.verdicts["d/e/large"] {
            Verdict::Corrupt { damage } => {
                found_some = true;
                assert!((1..=2).contains(&damage.blocks_bad));
                assert_eq!(found.summary.exit_code, Exit::Damaged);
            }
            verdict => assert_eq!(verdict.kind(), "unread"),
        }
    }
    assert!(found_some);
}

#[test]
fn metadata_only_reads_nothing_and_still_sees_what_stat_shows() {
    let fixture = sound();
    flip(&fixture.at("d/e/large"), 0);
    age(&fixture.at("empty"));
    fs::write(fixture.at("d/small"), "longer than before").unwrap();
    fs::remove_file(fixture.at("s")).unwrap();
    let temp = fixture.close();
    let mut options = VerifyOptions::new(temp.path());
    options.reading = Reading::Metadata;
    let found = verify_with(options);
    assert_eq!(found.opened.1, 0);
    assert_eq!(found.summary.bytes_read, 0);
    assert_eq!(found.summary.blocks_read, 0);
    let kinds = ["d/e/large", "empty", "d/small", "s", "d"].map(|path| found.kind(path));
    assert_eq!(kinds, ["unread", "modified", "modified", "missing", "ok"]);
}

#[test]
fn what_a_rule_leaves_out_is_neither_checked_nor_extra() {
    let fixture = sound();
    flip(&fixture.at("d/e/large"), 0);
    fs::write(fixture.at("d/e/new"), "").unwrap();
    fs::write(fixture.at("note.tmp"), "").unwrap();
    let temp = fixture.close();
    let mut rules = Rules::new();
    rules.exclude("/d/e/");
    rules.exclude("*.tmp");
    let mut options = VerifyOptions::new(temp.path());
    options.filter = rules.compile().unwrap();
    let found = verify_with(options);
    let paths: Vec<&str> = found.verdicts.keys().map(String::as_str).collect();
    assert_eq!(paths, ["again", "d", "d/small", "empty", "s"]);
    assert_eq!(found.summary.exit_code, Exit::Done);
    assert_eq!(found.opened, (5, 5));
}

#[test]
fn a_limit_on_the_rate_slows_the_reading_down() {
    let temp = sound().close();
    let mut options = VerifyOptions::new(temp.path());
    options.bytes_per_s = std::num::NonZeroU64::new(300_000);
    let start = std::time::Instant::now();
    assert_eq!(verify_with(options).summary.exit_code, Exit::Done);
    // A second at the rate, less what may pass at once.
    assert!(start.elapsed() >= Duration::from_millis(700));
}
