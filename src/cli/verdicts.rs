//! What is said about verdicts and about what a verification came to. Pure functions.

use std::ops::Range;
use std::time::Duration;

use sprag::event::{Damage, EntryCounts, PassedOver, Sides, SourceState, Verdict, VerifySummary};
use sprag::exit::Exit;
use sprag::path::Printable;

use super::out::Tone;
use super::scope::{By, Scope};
use super::{medium, units};

/// What there is to say about one entry besides the kind of its verdict.
pub(crate) fn detail(verdict: &Verdict, by: By) -> String {
    match verdict {
        Verdict::Ok => String::new(),
        Verdict::Sampled {
            blocks_read,
            blocks,
        } => format!("{blocks_read} of {blocks} blocks were read"),
        Verdict::Unread => "its content was not read".to_owned(),
        Verdict::Unproven => "its content is as it was copied, but it could only be read through \
             the page cache, which proves nothing about the device"
            .to_owned(),
        Verdict::Corrupt { damage } => format!(
            "{} differ from what was copied: {}",
            ranges_text(&damage.ranges),
            damage_text(damage)
        ),
        Verdict::Modified {
            what,
            damage: Some(damage),
        } => format!("{what}: {}", damage_text(damage)),
        Verdict::Modified { what, damage: None } | Verdict::Metadata { what } => what.clone(),
        Verdict::Missing => match by {
            By::Manifest => "it is not there".to_owned(),
            By::List => "the list names it and it is not there".to_owned(),
            By::Source => "the source has it and it is not there".to_owned(),
        },
        Verdict::Incomplete { bytes, of } => format!(
            "{} of {} are copied; rerun the copy to finish it",
            units::size(*bytes),
            units::size(*of)
        ),
        Verdict::Extra => match by {
            By::Manifest => "sprag did not copy it".to_owned(),
            By::List => "the list does not name it".to_owned(),
            By::Source => "the source does not have it".to_owned(),
        },
        Verdict::Unreadable { error } => error.to_string(),
        Verdict::Unknown { what } => what.clone(),
    }
}

/// `bytes 0..65536, 131072..196608`: ends exclusive, as in `--json`.
fn ranges_text(ranges: &[Range<u64>]) -> String {
    let ranges: Vec<String> = ranges
        .iter()
        .map(|range| format!("{}..{}", range.start, range.end))
        .collect();
    format!("bytes {}", ranges.join(", "))
}

/// `3 blocks, of which 1 holds only zeros and 2 hold what belongs elsewhere (…)`.
fn damage_text(damage: &Damage) -> String {
    let mut text = units::count(damage.blocks_bad, "block", "blocks");
    let mut parts = Vec::new();
    match damage.blocks_zero {
        0 => {}
        1 => parts.push("1 holds only zeros".to_owned()),
        many => parts.push(format!("{many} hold only zeros")),
    }
    if let Some(first) = damage.first_shift {
        let holds = match damage.blocks_shifted {
            1 => "1 holds".to_owned(),
            many => format!("{many} hold"),
        };
        parts.push(format!(
            "{holds} what belongs elsewhere in the file (at byte {} what belongs at {})",
            first.at, first.belongs
        ));
    }
    if !parts.is_empty() {
        text += &format!(", of which {}", parts.join(" and "));
    }
    text
}

/// Which side is not what was copied.
pub(crate) fn sides_text(source: Option<&SourceState>, dest_changed: bool) -> String {
    let source = match source {
        None => return "only the copy changed; the source is as it was copied".to_owned(),
        Some(SourceState::Edited) => "the source was edited since it was copied".to_owned(),
        Some(SourceState::Rotten) => {
            "the source is damaged: its content changed, its size and time did not".to_owned()
        }
        Some(SourceState::Missing) => "the source is not there any more".to_owned(),
        Some(SourceState::Unreadable(error)) => error.to_string(),
    };
    match dest_changed {
        true => format!("{source}, and the copy changed too"),
        false => format!("{source}; the copy is as it was copied"),
    }
}

/// What a verification came to.
pub(crate) fn summary_text(
    summary: &VerifySummary,
    scope: &Scope,
    seed: Option<u64>,
    extra_listed: bool,
) -> String {
    let files = EntryCounts::of_files;
    let mut text = String::new();
    for (counts, what, always) in [
        (summary.ok, "ok", true),
        (files(summary.files_sampled), "read in part", false),
        (files(summary.files_unread), "not read", false),
        (files(summary.files_corrupt), "corrupt", true),
        (summary.modified, "modified", true),
        (summary.missing, "missing", true),
        (summary.metadata, "with other metadata", false),
        (files(summary.files_unproven), "not proved", false),
        (summary.unknown, "unknown", false),
        (summary.unreadable, "unreadable", false),
        (summary.incomplete, "incomplete", false),
    ] {
        if always || counts.total() > 0 {
            text += &format!("{counts} {what}; ");
        }
    }
    text += &format!(
        "{} read in {}.",
        units::size(summary.bytes_read),
        units::duration(Duration::from_millis(summary.elapsed_ms)),
    );
    text += &medium::how_text([
        summary.read_direct,
        summary.read_evicted,
        summary.read_cached,
    ]);
    text += &passed_text(summary, scope);
    text += &extra_text(summary.extra, scope.by, extra_listed);
    text += &sources_text(&summary.sides);
    if scope.rebuild {
        return text + &rebuilt_text(summary);
    }
    if scope.by == By::List {
        return text;
    }
    if summary.manifest_damage.is_some() {
        // What to do about that comes first, and is told with the error.
    } else if summary.files_corrupt > 0 {
        text += "\n`sprag verify --repair --from SOURCE` mends corrupt files; \
                 what is modified or missing, a rerun of the copy brings back by itself.";
    } else if summary.modified.total() + summary.missing.total() > 0 {
        text += "\nA rerun of the copy brings back what is modified or missing.";
    } else if summary.metadata.total() > 0 {
        text += "\nA rerun of the copy sets the metadata right, without copying.";
    }
    text + &read_text(summary, scope, seed)
}

/// The sentence that a verification ends with. A rebuild says what it made instead.
pub(crate) fn verdict(summary: &VerifySummary, scope: &Scope) -> Option<(Tone, String)> {
    if scope.rebuild {
        return None;
    }
    let (tone, text) = match summary.exit_code {
        Exit::Done if scope.quick => (
            Tone::Good,
            "Nothing seems changed; whether the content is as it was copied is not known.",
        ),
        Exit::Done if scope.sample => (Tone::Good, "What was read of it is as it was copied."),
        Exit::Done if scope.by == By::List => {
            (Tone::Good, "Everything that the list names is as it says.")
        }
        Exit::Done => (
            Tone::Good,
            "Everything that was read back is as it was copied.",
        ),
        Exit::Stopped => (Tone::Unfinished, "Not finished: only part was read back."),
        Exit::Damaged => {
            let bad = bad(summary);
            let text = match scope.by {
                By::List => format!("Not as the list says: {bad}."),
                By::Manifest | By::Source => format!("Not as it was copied: {bad}."),
            };
            return (bad.total() > 0).then_some((Tone::Bad, text));
        }
        Exit::BadManifest => (
            Tone::Bad,
            "The manifest is damaged: not all that was copied could be checked.",
        ),
        _ => (Tone::Unfinished, "Not finished."),
    };
    Some((tone, text.to_owned()))
}

/// Everything that is not as it was recorded.
fn bad(summary: &VerifySummary) -> EntryCounts {
    let mut bad = summary.damaged();
    bad += EntryCounts::of_files(summary.files_unproven);
    bad += summary.unknown;
    bad
}

/// What is there besides what was to be there.
fn extra_text(extra: EntryCounts, by: By, listed: bool) -> String {
    if extra.total() == 0 {
        return String::new();
    }
    format!(
        "\n{extra} {} here that {}{}.",
        is_are(extra),
        match by {
            By::Manifest => "sprag did not copy",
            By::List => "the list does not name",
            By::Source => "the source does not have",
        },
        match listed {
            true => "",
            false => " (--extra lists them)",
        }
    )
}

fn is_are(counts: EntryCounts) -> &'static str {
    match counts.total() {
        1 => "is",
        _ => "are",
    }
}

/// Says how many entries were compared with each source, and how many sources have changed since.
fn sources_text(sides: &Sides) -> String {
    let compared = sides.sources.iter().map(|source| {
        let entries = units::count(source.entries_compared, "entry", "entries");
        format!("{entries} with {}", Printable(&source.path))
    });
    let compared: Vec<String> = compared.collect();
    let mut text = match compared.is_empty() {
        true => String::new(),
        false => format!("\nCompared {}.", compared.join(", ")),
    };
    let changed =
        sides.source_edited + sides.source_rotten + sides.source_missing + sides.source_unreadable;
    if changed == 0 {
        return text;
    }
    text += &format!(
        "\nOf the sources, {} edited since, {} damaged, {} missing and {} unreadable; of \
         these, {} a copy that changed too.",
        sides.source_edited,
        sides.source_rotten,
        sides.source_missing,
        sides.source_unreadable,
        units::count(sides.both_changed, "has", "have"),
    );
    text
}

/// What became of the manifest that was to be rebuilt.
fn rebuilt_text(summary: &VerifySummary) -> String {
    let all = summary.exit_code == Exit::Done;
    match summary.recorded.filter(|recorded| recorded.total() > 0) {
        None => match summary.exit_code {
            Exit::Done | Exit::Damaged | Exit::Partial => {
                "\nNo manifest was made: not one file is as it should be.".to_owned()
            }
            _ => "\nNo manifest was made, and nothing at DEST was changed.".to_owned(),
        },
        Some(entries) => format!(
            "\nA new manifest is in place, and {entries} {} recorded in it.{}",
            is_are(entries),
            match all {
                true => "",
                false =>
                    "\nOf what is named above, only what has other metadata is; `sprag copy` mends all of it.",
            }
        ),
    }
}

/// What a sample or a quick look did not read.
fn read_text(summary: &VerifySummary, scope: &Scope, seed: Option<u64>) -> String {
    if scope.quick {
        return "\nNo content was read: kinds, sizes and modification times were compared, which \
                proves nothing about the content."
            .to_owned();
    }
    if !scope.sample {
        return String::new();
    }
    let seed = seed.map_or(String::new(), |seed| format!(" (--seed {seed})"));
    format!(
        "\nA sample{seed}: {} read; {} not ({}), and nothing is known of {}.",
        units::count(summary.blocks_read, "block was", "blocks were"),
        units::count(summary.blocks_unread, "block was", "blocks were"),
        units::size(summary.bytes_unread),
        match summary.blocks_unread {
            1 => "it",
            _ => "them",
        }
    )
}

/// What a run that was stopped had checked, and how long ago.
pub(crate) fn before_text(passed: PassedOver) -> String {
    let mut text = format!("checked and as copied: {}", passed.before);
    if let Some(since_ms) = passed.before_since_ms {
        text += &format!(", the first on {}", units::utc(since_ms));
    }
    if passed.stale.total() > 0 {
        text += &format!(
            "; checked more than {} ago, and checked again: {}",
            humantime::format_duration(PassedOver::BEFORE_MAX),
            passed.stale
        );
    }
    text
}

/// What was passed over because it was verified already.
fn passed_text(summary: &VerifySummary, scope: &Scope) -> String {
    let mut text = String::new();
    let passed = summary.passed;
    if passed.before.total() + passed.stale.total() > 0 {
        text += &format!("\nBefore the stop, {}.", before_text(passed));
    }
    if let Some(age) = scope.older_than {
        text += &format!(
            "\nVerified within {}, and not looked at: {}.",
            humantime::format_duration(age),
            passed.recent
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use sprag::event::Shift;
    use sprag::fs::Kind;

    fn everything() -> Scope {
        Scope {
            sample: false,
            quick: false,
            older_than: None,
            rebuild: false,
            by: By::Manifest,
        }
    }

    #[test]
    fn a_sample_and_a_quick_look_say_what_was_not_read_and_never_that_all_is_well() {
        let summary = VerifySummary {
            files_sampled: 3,
            blocks_read: 5,
            blocks_unread: 95,
            bytes_unread: 95 << 20,
            ..VerifySummary::default()
        };
        let mut scope = everything();
        scope.sample = true;
        let text = summary_text(&summary, &scope, Some(7), false);
        let (_, end) = verdict(&summary, &scope).unwrap();
        assert_eq!(end, "What was read of it is as it was copied.");
        assert!(
            text.contains(
                "A sample (--seed 7): 5 blocks were read; 95 blocks were not (95 MiB), and \
                 nothing is known of them."
            ),
            "{text}"
        );
        scope = everything();
        scope.quick = true;
        let text = summary_text(&summary, &scope, None, false);
        assert!(text.contains("No content was read"), "{text}");
        let (_, end) = verdict(&summary, &scope).unwrap();
        assert!(end.contains("is not known"), "{end}");
    }

    #[test]
    fn of_what_was_checked_before_a_stop_it_is_said_how_long_ago() {
        let mut passed = PassedOver {
            before: EntryCounts::of([Some(Kind::File), Some(Kind::Dir)]),
            before_since_ms: Some(1_795_394_498_000),
            ..PassedOver::default()
        };
        assert_eq!(
            before_text(passed),
            "checked and as copied: 1 file, 1 directory, the first on 2026-11-23 00:41:38 UTC"
        );
        passed = PassedOver {
            stale: EntryCounts::of([Some(Kind::File)]),
            ..PassedOver::default()
        };
        assert_eq!(
            before_text(passed),
            "checked and as copied: 0; checked more than 30days ago, and checked again: 1 file"
        );
    }

    #[test]
    fn damage_is_told_in_byte_ranges() {
        let mut damage = Damage {
            ranges: vec![1_048_576..2_097_152, 5_242_880..5_242_881],
            blocks_bad: 2,
            ..Damage::default()
        };
        let verdict = Verdict::Corrupt {
            damage: damage.clone(),
        };
        assert_eq!(
            detail(&verdict, By::Manifest),
            "bytes 1048576..2097152, 5242880..5242881 differ from what was copied: 2 blocks"
        );
        damage.blocks_zero = 1;
        damage.blocks_shifted = 1;
        damage.first_shift = Some(Shift { at: 9, belongs: 0 });
        assert_eq!(
            damage_text(&damage),
            "2 blocks, of which 1 holds only zeros and 1 holds what belongs elsewhere in the file \
             (at byte 9 what belongs at 0)"
        );
    }

    #[test]
    fn a_read_through_the_page_cache_is_never_passed_over() {
        let mut summary = VerifySummary {
            ok: EntryCounts {
                files: 3,
                ..EntryCounts::default()
            },
            read_direct: 1,
            read_evicted: 2,
            bytes_read: 1 << 20,
            ..VerifySummary::default()
        };
        let text = summary_text(&summary, &everything(), None, false);
        assert!(!text.contains("Warning"), "{text}");
        summary.read_cached = 1;
        let text = summary_text(&summary, &everything(), None, false);
        assert!(text.contains("1 file through the page cache"), "{text}");
        assert!(text.contains("Warning"), "{text}");
    }

    #[test]
    fn only_a_clean_verification_says_that_all_is_well() {
        for exit_code in Exit::ALL {
            let summary = VerifySummary {
                exit_code,
                missing: EntryCounts::of([Some(Kind::Dir)]),
                extra: EntryCounts::of([Some(Kind::File), Some(Kind::Dir)]),
                ..VerifySummary::default()
            };
            let (tone, verdict) = verdict(&summary, &everything()).unwrap();
            let is_clean = exit_code == Exit::Done;
            assert_eq!(verdict.contains("Everything"), is_clean);
            assert_eq!(tone == Tone::Good, is_clean);
            if exit_code == Exit::Damaged {
                assert_eq!(verdict, "Not as it was copied: 1 directory.");
            }
            let text = summary_text(&summary, &everything(), None, false);
            assert!(
                text.contains("1 file, 1 directory are here that sprag did not copy"),
                "{text}"
            );
        }
    }
}
