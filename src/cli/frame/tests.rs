//! What the lines look like, in windows of several sizes.

use super::*;

const GIB: u64 = 1 << 30;

fn copying() -> Facts {
    Facts {
        doing: phase_word(Phase::Copying),
        done: Amount {
            word: "durable",
            bytes: 4 * GIB + GIB / 5,
        },
        ahead: Some(Amount {
            word: "written",
            bytes: 5 * GIB,
        }),
        total: Some(10 * GIB),
        speed: Some(31 << 20),
        left: Some(Duration::from_secs(191)),
        elapsed: Duration::from_secs(137),
        files: vec![
            ("film.mkv".into(), GIB, 3 * GIB),
            (
                format!(
                    "{}/notes",
                    "a long way down/".repeat(6).trim_end_matches('/')
                ),
                0,
                9,
            ),
        ],
        mood: Mood {
            keys: true,
            ..Mood::default()
        },
        ..Facts::default()
    }
}

fn drawn(facts: &Facts, columns: usize, rows: usize) -> String {
    console::set_colors_enabled_stderr(false);
    let lines = lines(facts, Size { columns, rows });
    for line in &lines {
        assert!(console::measure_text_width(line) < columns.max(2), "{line}");
    }
    assert!(lines.len() < rows.max(2));
    lines.join("\n")
}

#[test]
fn a_copy_in_a_wide_window() {
    insta::assert_snapshot!(drawn(&copying(), 80, 24));
}

#[test]
fn a_copy_in_narrow_windows() {
    insta::assert_snapshot!(drawn(&copying(), 40, 24));
    insta::assert_snapshot!(drawn(&copying(), 20, 24));
}

#[test]
fn problems_and_a_long_flush_are_shown() {
    let facts = Facts {
        problems: 2,
        last_problem: "cannot read /src/a: Permission denied".into(),
        flush: Some((GIB, Duration::from_secs(12))),
        ..copying()
    };
    insta::assert_snapshot!(drawn(&facts, 80, 24));
}

#[test]
fn a_pause_says_whether_all_is_durable() {
    let mut facts = copying();
    facts.mood.paused = true;
    insta::assert_snapshot!(drawn(&facts, 80, 24));
    facts.done.bytes = 5 * GIB;
    insta::assert_snapshot!(drawn(&facts, 80, 24));
}

#[test]
fn before_the_count_is_over_there_is_no_percentage() {
    let facts = Facts {
        total: None,
        counted: 7 * GIB,
        files: Vec::new(),
        ..copying()
    };
    insta::assert_snapshot!(drawn(&facts, 80, 24));
}

#[test]
fn a_log_has_one_line_for_each_moment() {
    insta::assert_snapshot!(plain(&copying()));
    let flushing = Facts {
        doing: phase_word(Phase::Flushing),
        flush: Some((GIB, Duration::from_secs(12))),
        problems: 1,
        ..copying()
    };
    insta::assert_snapshot!(plain(&flushing));
}

#[test]
fn a_phase_without_amounts_shows_that_it_goes_on() {
    let facts = Facts {
        doing: phase_word(Phase::Recovering),
        elapsed: Duration::from_secs(75),
        ..Facts::default()
    };
    insta::assert_snapshot!(drawn(&facts, 80, 24));
}

#[test]
fn no_window_is_too_small() {
    for columns in 1..100 {
        for rows in 1..12 {
            drawn(&copying(), columns, rows);
        }
    }
}

#[test]
fn the_bar_is_not_full_before_the_end() {
    for (done, total) in [(10, 10), (0, 0), (u64::MAX, 1), (99, 100)] {
        assert!(part(done, total, 100) < 100);
        let facts = Facts {
            done: Amount {
                word: "durable",
                bytes: done,
            },
            total: Some(total),
            ..Facts::default()
        };
        let bar = bar(&facts, 20).unwrap();
        assert!(bar.ends_with(" ]"), "{bar}");
    }
}
