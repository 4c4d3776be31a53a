//! `-n`: what would be done is told, and nothing is touched. The situations are those of rsync's
//! tests of `--dry-run`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::*;

fn with(fixture: &Fixture, code: i32, flags: &[&str]) -> Ran {
    let flags = flags.iter().map(OsString::from);
    let paths = [fixture.contents(), fixture.dest.clone()].map(OsString::from);
    copy(code, flags.chain(paths))
}

/// Everything below a directory, `.sprag` included, with all that a touch would change.
fn untouched(root: &Path) -> BTreeMap<PathBuf, (u64, i64, i64, i64, i64, u64)> {
    let entries = walkdir::WalkDir::new(root).into_iter().map(|entry| {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        let times = (
            meta.ino(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
            meta.len(),
        );
        (entry.path().to_path_buf(), times)
    });
    entries.collect()
}

/// What was told of entries, by path.
fn told(ran: &Ran) -> BTreeMap<String, String> {
    let entries = ran.lines.iter().filter(|line| line["type"] == "entry");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    entries
        .map(|line| (text(&line["path"]), text(&line["outcome"])))
        .collect()
}

const FIGURES: [&str; 12] = [
    "files_copied",
    "files_unchanged",
    "files_adopted",
    "entries_skipped",
    "entries_failed",
    "entries_deleted",
    "dirs",
    "symlinks",
    "specials",
    "bytes_total",
    "bytes_copied",
    "bytes_resumed",
];

/// Runs it dry, then in earnest: nothing is touched before, and what was told comes true.
fn foretells(fixture: &Fixture, code: i32, flags: &[&str]) {
    let top = fixture.temp.path();
    let before = untouched(top);
    let flags = [flags, &["-v"]].concat();
    let dry = with(fixture, code, &[&flags[..], &["-n"]].concat());
    assert_eq!(untouched(top), before);
    assert_eq!(dry.lines.last().unwrap()["dry_run"], true);
    let wet = with(fixture, code, &flags);
    assert_eq!(told(&dry), told(&wet), "{flags:?}");
    for figure in FIGURES {
        assert_eq!(dry.sum(figure), wet.sum(figure), "{figure} {flags:?}");
    }
    assert_eq!(dry.problems(), wet.problems());
    assert!(wet.lines.last().unwrap().get("dry_run").is_none());
}

#[test]
fn dry_run_foretells_a_first_copy_to_a_destination_that_does_not_exist() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 20, &[2 << 20]);
    let fifo = fixture.source.join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    foretells(&fixture, 0, &["--exclude=dir1/", "--max-size=60000"]);
    // Reading it would wait for ever.
    for fifo in [fifo, fixture.dest.join("fifo")] {
        fs::remove_file(fifo).unwrap();
    }
    fixture.copy(0);
    fixture.assert_same();
}

#[test]
fn dry_run_foretells_a_rerun_with_its_rules_and_deletions() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 20, &[2 << 20]);
    fixture.copy(0);
    alter(&fixture.source.join("dir1"));
    write(fixture.source.join("new dir/new"), "new");
    fs::remove_dir_all(fixture.source.join("dir2")).unwrap();
    write(fixture.source.join("same"), "same");
    write(fixture.dest.join("same"), "same");
    write(fixture.dest.join("stranger/deep"), "x");
    foretells(&fixture, 0, &["--delete", "--exclude=dir3/sub0"]);
    foretells(&fixture, 0, &["--delete"]);
    for flag in ["-u", "--ignore-existing", "--size-only"] {
        write(fixture.source.join("dir1/for rules"), flag);
        write(fixture.dest.join("dir1/for rules"), flag.to_uppercase());
        age(&fixture.source.join("dir1/for rules"), 2);
        foretells(&fixture, 0, &[flag]);
    }
}

#[test]
fn dry_run_foretells_failures_and_limits() {
    let fixture = Fixture::new();
    write(fixture.source.join("kind"), "a file");
    fs::create_dir(fixture.source.join("dir")).unwrap();
    write(fixture.source.join("dir/x"), "x");
    fs::create_dir_all(fixture.dest.join("kind")).unwrap();
    write(fixture.dest.join("dir"), "a file");
    symlink("x", fixture.source.join("link")).unwrap();
    foretells(&fixture, 23, &[]);
    let fixture = Fixture::new();
    for name in ["1", "2", "3"] {
        write(fixture.dest.join(name), "x");
    }
    fixture.copy(0);
    foretells(&fixture, 25, &["--delete", "--max-delete=2"]);
}

#[test]
fn dry_run_tells_how_much_of_a_half_copied_file_is_left() {
    let fixture = Fixture::new();
    write(fixture.source.join("large"), Rng::new(1).bytes(16 << 20));
    begin_copy(&fixture);
    let before = untouched(fixture.temp.path());
    let ran = with(&fixture, 0, &["-n"]);
    assert_eq!(untouched(fixture.temp.path()), before);
    assert!(ran.sum("bytes_resumed") > 0);
    assert_eq!(ran.sum("bytes_resumed") + ran.sum("bytes_copied"), 16 << 20);
}

#[test]
fn dry_run_lists_what_would_change_and_says_what_it_was() {
    let fixture = Fixture::new();
    write(fixture.source.join("new"), "12345");
    write(fixture.source.join("old"), "x");
    write(fixture.dest.join("gone"), "x");
    let run = |flags: &[&str]| {
        let paths = [fixture.contents(), fixture.dest.clone()];
        let output = sprag()
            .arg("copy")
            .args(flags)
            .args(paths)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["--exclude=new"]);
    let text = run(&["-n", "--delete"]);
    assert!(text.contains("copied     new\n"), "{text}");
    assert!(text.contains("deleted    gone\n"), "{text}");
    assert!(!text.contains("old"), "{text}");
    assert!(text.contains("would copy 1 file (5 B)"), "{text}");
    assert!(text.contains("nothing was touched"), "{text}");
    assert!(!text.contains("safe to unplug"), "{text}");
    assert!(run(&["-nv"]).contains("unchanged  old\n"));
    assert_eq!(run(&["-nq", "--delete"]), "");
}

#[test]
fn dry_run_refuses_what_a_copy_would_refuse() {
    let fixture = Fixture::new();
    let nowhere = fixture.temp.path().join("nowhere/at all");
    copy(3, ["-n".into(), fixture.contents(), nowhere]);
    with(&fixture, 3, &["-n", "--require-manifest"]);
    copy(3, ["-n".into(), fixture.contents(), fixture.source.clone()]);
    assert!(!fixture.dest.exists());
    assert_eq!(fs::read_dir(&fixture.source).unwrap().count(), 0);
}
