//! `--remove-source-files`: a source goes only when its copy was read back and is the same.
//!
//! Whether a file system lets anything be read past its cache differs; where it does not, sources
//! have to stay, and that is tested on tmpfs.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::*;

fn with(fixture: &Fixture, code: i32, flags: &[&str]) -> Ran {
    let flags = flags.iter().map(OsString::from);
    let paths = [fixture.contents(), fixture.dest.clone()].map(OsString::from);
    copy(code, flags.chain(paths))
}

/// The files and links in a directory, sprag's own aside.
fn files(dir: &Path) -> Vec<String> {
    let found = contents(dir);
    found
        .keys()
        .map(|path| path.display().to_string())
        .collect()
}

/// Whether files here can be read back from the medium, found out by doing it.
fn reads_the_medium(test: &str) -> bool {
    let fixture = Fixture::new();
    write(fixture.source.join("f"), vec![1; 100_000]);
    fixture.copy(0);
    let reads = run("verify", [&fixture.dest]).sum("read_cached") == 0;
    if !reads {
        skip(
            test,
            "a temporary directory on a file system that reads past its cache",
        );
    }
    reads
}

#[test]
fn remove_source_files_moves_files_and_links_and_leaves_directories() {
    if !reads_the_medium("remove_source_files_moves") {
        return;
    }
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 20, &[3 << 20]);
    let before = snapshot(&fixture.source);
    let ran = with(&fixture, 0, &["--remove-source-files", "-v"]);
    assert_eq!(files(&fixture.source), [""; 0]);
    assert!(fixture.source.join("dir0/sub0").is_dir());
    let count = contents(&fixture.dest).len() as u64;
    assert_eq!(ran.sum("sources_removed"), count);
    let removed = |line: &&serde_json::Value| line["outcome"] == "source_removed";
    assert_eq!(ran.lines.iter().filter(removed).count() as u64, count);
    assert_eq!(snapshot(&fixture.dest), before);
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
    let again = with(&fixture, 0, &["--remove-source-files"]);
    assert_eq!(again.sum("sources_removed"), 0);
}

#[test]
fn remove_source_files_takes_what_was_copied_before_and_what_was_adopted() {
    if !reads_the_medium("remove_source_files_takes") {
        return;
    }
    let fixture = Fixture::new();
    for name in ["before", "adopted", "new"] {
        write(fixture.source.join(name), name);
        age(&fixture.source.join(name), 3);
    }
    write(fixture.dest.join("adopted"), "adopted");
    let once = ["--exclude=new", "--exclude=adopted"];
    with(&fixture, 0, &once);
    let ran = with(&fixture, 0, &["--remove-source-files"]);
    assert_eq!(
        (ran.sum("files_unchanged"), ran.sum("files_adopted")),
        (1, 1)
    );
    assert_eq!(ran.sum("sources_removed"), 3);
    assert_eq!(files(&fixture.source), [""; 0]);
}

#[test]
fn remove_source_files_leaves_what_a_rule_leaves_out_or_alone() {
    let fixture = Fixture::new();
    for name in ["excluded", "exists", "too large"] {
        write(fixture.source.join(name), name);
    }
    write(fixture.dest.join("exists"), "other");
    let flags = [
        "--remove-source-files",
        "--exclude=excluded",
        "--ignore-existing",
        "--max-size=8",
    ];
    let ran = with(&fixture, 0, &flags);
    assert_eq!(ran.sum("sources_removed"), 0);
    assert_eq!(files(&fixture.source).len(), 3);
}

#[test]
fn remove_source_files_keeps_the_source_of_a_copy_that_has_rotted_and_copies_it_again() {
    let fixture = Fixture::new();
    write(fixture.source.join("f"), vec![7; 200_000]);
    age(&fixture.source.join("f"), 3);
    fixture.copy(0);
    let mut rotten = vec![7; 200_000];
    rotten[150_000] = 8;
    write(fixture.dest.join("f"), rotten);
    age(&fixture.dest.join("f"), 3);
    let ran = with(&fixture, 23, &["--remove-source-files"]);
    assert_eq!(
        ran.problems(),
        [("f".to_owned(), "not_read_back".to_owned())]
    );
    assert_eq!(
        (ran.sum("sources_removed"), ran.sum("entries_failed")),
        (0, 0)
    );
    assert_eq!(files(&fixture.source), ["f"]);
    fixture.copy(0);
    fixture.assert_same();
}

#[test]
fn remove_source_files_keeps_a_source_whose_change_size_and_time_hide() {
    let fixture = Fixture::new();
    write(fixture.source.join("f"), "as copied");
    age(&fixture.source.join("f"), 3);
    fixture.copy(0);
    write(fixture.source.join("f"), "different");
    age(&fixture.source.join("f"), 3);
    let ran = with(&fixture, 23, &["--remove-source-files"]);
    assert_eq!(
        ran.problems(),
        [("f".to_owned(), "changed_since".to_owned())]
    );
    assert_eq!(fs::read(fixture.source.join("f")).unwrap(), b"different");
}

#[test]
fn remove_source_files_keeps_all_where_nothing_can_be_read_past_the_cache() {
    let shm = Path::new("/dev/shm");
    let Ok(temp) = tempfile::tempdir_in(shm) else {
        return skip("remove_source_files_keeps_all", "tmpfs at /dev/shm");
    };
    let fixture = Fixture::new();
    write(fixture.source.join("f"), "x");
    let paths = [fixture.contents(), temp.path().to_path_buf()].map(OsString::from);
    let args = ["--remove-source-files".into()].into_iter().chain(paths);
    let ran = run("copy", args);
    let cached = ran.sum("read_cached") > 0;
    let kept = fixture.source.join("f").exists();
    assert_eq!((ran.code == 23, kept), (cached, cached), "{}", ran.stderr);
    assert_eq!(ran.stderr.contains("source files were kept"), cached);
}

#[test]
fn remove_source_files_does_not_touch_the_file_of_a_clash_nor_a_dry_source() {
    let fixture = Fixture::new();
    let other = fixture.temp.path().join("other");
    write(fixture.source.join("f"), "one");
    write(other.join("f"), "two");
    let args = [
        "--remove-source-files".into(),
        fixture.contents(),
        other.join(""),
        fixture.dest.clone(),
    ];
    let dry = run("copy", [vec!["-n".into()], args.to_vec()].concat());
    assert_eq!(dry.sum("sources_removed"), 1);
    assert!(fixture.source.join("f").exists());
    let ran = run("copy", args);
    assert_eq!(ran.code, 23);
    assert!(other.join("f").exists());
}

#[test]
fn remove_source_files_does_not_go_with_delete() {
    let fixture = Fixture::new();
    symlink("x", fixture.source.join("l")).unwrap();
    let ran = with(&fixture, 1, &["--remove-source-files", "--delete"]);
    assert!(
        ran.stderr.contains("the next would delete"),
        "{}",
        ran.stderr
    );
    assert!(!fixture.dest.exists());
}
