//! What becomes of files that exist. The situations are those of rsync's tests `update`,
//! `ignore-existing`, `size-only` and `checksum`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use crate::support::*;

fn with(fixture: &Fixture, code: i32, flags: &[&str]) -> Ran {
    let flags = flags.iter().map(OsString::from);
    let paths = [fixture.contents(), fixture.dest.clone()].map(OsString::from);
    copy(code, flags.chain(paths))
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

/// A file of this content and age on both sides.
fn both(fixture: &Fixture, name: &str, source: (&str, u64), dest: (&str, u64)) {
    for (root, (content, nth)) in [(&fixture.source, source), (&fixture.dest, dest)] {
        write(root.join(name), content);
        age(&root.join(name), nth);
    }
}

#[test]
fn update_leaves_alone_what_is_newer_and_replaces_what_is_not() {
    let fixture = Fixture::new();
    both(&fixture, "newer", ("source", 5), ("dest", 6));
    both(&fixture, "same time", ("source", 5), ("dest", 5));
    both(&fixture, "older", ("source", 5), ("dest", 4));
    write(fixture.source.join("new"), "source");
    symlink("source", fixture.source.join("link")).unwrap();
    symlink("dest", fixture.dest.join("link")).unwrap();
    let ran = with(&fixture, 0, &["-u"]);
    let there = |name: &str| read(fixture.dest.join(name));
    assert_eq!(there("newer"), "dest");
    for name in ["same time", "older", "new"] {
        assert_eq!(there(name), "source", "{name}");
    }
    let link = fs::read_link(fixture.dest.join("link")).unwrap();
    assert_eq!(link, Path::new("source"));
    assert_eq!(
        (ran.sum("entries_skipped"), ran.sum("files_copied")),
        (1, 3)
    );
    assert_eq!(ran.sum("bytes_total"), 3 * 6);
    // A copy of ours is as new as its source, and older than one that changed since.
    let again = with(&fixture, 0, &["--update"]);
    assert_eq!(
        (again.sum("entries_skipped"), again.sum("files_unchanged")),
        (1, 3)
    );
    write(fixture.source.join("new"), "source again");
    with(&fixture, 0, &["--update"]);
    assert_eq!(there("new"), "source again");
    age(&fixture.source.join("new"), 1);
    let older = with(&fixture, 0, &["--update"]);
    assert_eq!(older.sum("entries_skipped"), 2);
}

#[test]
fn ignore_existing_replaces_nothing_and_reads_nothing() {
    let fixture = Fixture::new();
    both(&fixture, "other", ("source", 5), ("dest", 1));
    both(&fixture, "same", ("same", 5), ("same", 5));
    write(fixture.source.join("dir/new"), "source");
    fs::create_dir(fixture.dest.join("dir")).unwrap();
    write(fixture.source.join("kind"), "a file");
    fs::create_dir(fixture.dest.join("kind")).unwrap();
    symlink("source", fixture.source.join("link")).unwrap();
    symlink("dest", fixture.dest.join("link")).unwrap();
    let ran = with(&fixture, 0, &["--ignore-existing"]);
    assert_eq!(read(fixture.dest.join("other")), "dest");
    assert_eq!(read(fixture.dest.join("dir/new")), "source");
    assert!(fixture.dest.join("kind").is_dir());
    let link = fs::read_link(fixture.dest.join("link")).unwrap();
    assert_eq!(link, Path::new("dest"));
    assert_eq!(
        (ran.sum("entries_skipped"), ran.sum("files_copied")),
        (4, 1)
    );
    assert_eq!(ran.sum("files_adopted"), 0);
    // What sprag copied is unchanged, and stays as it is when its source changes.
    let again = with(&fixture, 0, &["--ignore-existing"]);
    assert_eq!(
        (again.sum("entries_skipped"), again.sum("files_unchanged")),
        (4, 1)
    );
    write(fixture.source.join("dir/new"), "changed");
    with(&fixture, 0, &["--ignore-existing"]);
    assert_eq!(read(fixture.dest.join("dir/new")), "source");
}

#[test]
fn ignore_existing_and_update_hold_for_every_name_of_a_file() {
    for flag in ["--ignore-existing", "--update"] {
        let fixture = Fixture::new();
        write(fixture.source.join("a"), "shared");
        age(&fixture.source.join("a"), 1);
        for name in ["b", "c", "d"] {
            fs::hard_link(fixture.source.join("a"), fixture.source.join(name)).unwrap();
        }
        // The first name and a later one exist already.
        for name in ["a", "c"] {
            write(fixture.dest.join(name), "dest");
        }
        let ran = with(&fixture, 0, &[flag]);
        let there = |name: &str| read(fixture.dest.join(name));
        assert_eq!(
            ["a", "b", "c", "d"].map(there),
            ["dest", "shared", "dest", "shared"]
        );
        let ino = |name: &str| fs::metadata(fixture.dest.join(name)).unwrap().ino();
        assert_eq!(ino("b"), ino("d"));
        assert_eq!(
            (ran.sum("entries_skipped"), ran.sum("files_copied")),
            (2, 2)
        );
        assert_eq!(run("verify", [&fixture.dest]).code, 0);
    }
}

#[test]
fn ignore_existing_forgets_what_was_begun_in_place_of_what_stands_there_now() {
    let fixture = Fixture::new();
    write(fixture.source.join("large"), Rng::new(1).bytes(16 << 20));
    begin_copy(&fixture);
    assert!(!fixture.dest.join("large").exists());
    write(fixture.dest.join("large"), "not ours");
    let ran = with(&fixture, 0, &["--ignore-existing"]);
    assert_eq!(ran.sum("entries_skipped"), 1);
    assert_eq!(read(fixture.dest.join("large")), "not ours");
    let status = run("status", [&fixture.dest]);
    assert_eq!(status.lines[0]["files_partial"], 0, "{:?}", status.lines);
    assert_eq!(names(&fixture.dest), ["large"]);
}

/// The names in a directory, partials included.
fn names(dir: &Path) -> Vec<String> {
    let tree = snapshot(dir);
    tree.keys().map(|path| path.display().to_string()).collect()
}

#[test]
fn size_only_goes_by_size_whatever_the_time_says() {
    let fixture = Fixture::new();
    both(&fixture, "same size", ("source", 5), ("others", 1));
    both(&fixture, "other size", ("source", 5), ("dest", 5));
    let ran = with(&fixture, 0, &["--size-only"]);
    assert_eq!(read(fixture.dest.join("same size")), "others");
    assert_eq!(read(fixture.dest.join("other size")), "source");
    assert_eq!(
        (ran.sum("entries_skipped"), ran.sum("files_copied")),
        (1, 1)
    );
    age(&fixture.source.join("other size"), 9);
    let touched = with(&fixture, 0, &["--size-only"]);
    assert_eq!(
        (
            touched.sum("entries_skipped"),
            touched.sum("files_unchanged")
        ),
        (1, 1)
    );
    assert_eq!(touched.sum("bytes_copied"), 0);
}

#[test]
fn checksum_finds_a_change_that_time_and_size_hide_on_either_side() {
    let fixture = Fixture::new();
    let content = Rng::new(3).bytes(3 << 20);
    for name in ["source", "dest", "same", "small"] {
        let len = if name == "small" { 100 } else { content.len() };
        write(fixture.source.join(name), &content[..len]);
        age(&fixture.source.join(name), 4);
    }
    fixture.copy(0);
    let mut other = content.clone();
    other[2 << 20] ^= 1;
    for (root, name) in [(&fixture.source, "source"), (&fixture.dest, "dest")] {
        write(root.join(name), &other);
        age(&root.join(name), 4);
    }
    let blind = fixture.copy(0);
    assert_eq!(blind.sum("files_unchanged"), 4);
    let ran = with(&fixture, 0, &["-c"]);
    assert_eq!(
        (ran.sum("files_copied"), ran.sum("files_unchanged")),
        (2, 2)
    );
    fixture.assert_same();
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
    // Only the time differs: nothing is written but that.
    age(&fixture.source.join("same"), 8);
    let ran = with(&fixture, 0, &["--checksum"]);
    assert_eq!((ran.sum("files_adopted"), ran.sum("bytes_copied")), (1, 0));
    fixture.assert_same();
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
}

#[test]
fn a_file_of_which_only_the_beginning_is_there_already_is_counted_once() {
    let fixture = Fixture::new();
    let content = Rng::new(5).bytes(600 << 10);
    let mut other = content.clone();
    *other.last_mut().unwrap() ^= 1;
    for name in ["one", "two"] {
        write(fixture.source.join(name), &content);
        write(fixture.dest.join(name), &other);
    }
    let ran = with(&fixture, 0, &["--block-size=64K"]);
    assert_eq!(ran.sum("files_copied"), 2);
    assert_eq!(ran.sum("bytes_total"), 2 * (600 << 10));
    assert_eq!(ran.sum("bytes_durable"), ran.sum("bytes_total"));
    fixture.assert_same();
}
