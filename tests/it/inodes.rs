//! What stands at a destination is changed only if nobody else gains by it: whose it is, how many names it has
//! and what is in it decide, not size and time.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use crate::support::*;

const STRANGER: u32 = 20_001;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn ino(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[test]
fn a_file_of_somebody_else_is_not_adopted_but_replaced() {
    if !is_root_with("a_file_of_somebody_else_is_not_adopted", &[]) {
        return;
    }
    let fixture = Fixture::new();
    for path in [fixture.source.join("a"), fixture.dest.join("a")] {
        write(path, "content");
    }
    let theirs = fixture.dest.join("a");
    chown(&theirs, Some(STRANGER), None).unwrap();
    let before = ino(&theirs);
    let ran = fixture.copy(0);
    assert_eq!((ran.sum("files_copied"), ran.sum("files_adopted")), (1, 0));
    assert_ne!(ino(&theirs), before);
    assert_eq!(fs::metadata(&theirs).unwrap().uid(), 0);
    // It is adopted if it is to belong to that one anyway.
    fs::remove_dir_all(fixture.dest.join(".sprag")).unwrap();
    for path in [&fixture.source.join("a"), &theirs] {
        chown(path, Some(STRANGER), None).unwrap();
    }
    assert_eq!(
        copy(
            0,
            ["--new".into(), fixture.contents(), fixture.dest.clone()]
        )
        .sum("files_adopted"),
        1
    );
}

#[test]
fn a_file_that_has_a_name_outside_is_not_adopted() {
    let fixture = Fixture::new();
    let outside = fixture.temp.path().join("outside");
    for path in [&fixture.source.join("a"), &outside] {
        write(path, "content");
    }
    set_mode(&fixture.source.join("a"), 0o600);
    fs::create_dir(&fixture.dest).unwrap();
    fs::hard_link(&outside, fixture.dest.join("a")).unwrap();
    assert_eq!(fixture.copy(0).sum("files_copied"), 1);
    assert_ne!(fs::metadata(&outside).unwrap().mode() & 0o777, 0o600);
    fixture.assert_same();
}

#[test]
fn what_runs_in_its_owners_name_is_made_anew() {
    let fixture = Fixture::new();
    for path in [fixture.source.join("a"), fixture.dest.join("a")] {
        write(path, "program");
    }
    set_mode(&fixture.source.join("a"), 0o4755);
    let before = ino(&fixture.dest.join("a"));
    fixture.copy(0);
    assert_ne!(ino(&fixture.dest.join("a")), before);
    fixture.assert_same();
    assert_eq!(fixture.copy(0).sum("files_unchanged"), 1);
}

#[test]
fn a_wider_mode_is_given_only_to_the_content_that_the_source_has() {
    let fixture = Fixture::new();
    let source = fixture.source.join("a");
    write(&source, "secret");
    set_mode(&source, 0o600);
    fixture.copy(0);
    let dest = fixture.dest.join("a");
    // Another file of the same size and time, open to all.
    let time = fs::metadata(&source).unwrap().modified().unwrap();
    fs::remove_file(&source).unwrap();
    write(&source, "public");
    let file = fs::File::options().write(true).open(&source).unwrap();
    file.set_modified(time).unwrap();
    set_mode(&source, 0o644);
    fixture.copy(0);
    assert_eq!(fs::read(&dest).unwrap(), b"public");
    // The same content is proved, and then not copied.
    set_mode(&source, 0o664);
    let ran = fixture.copy(0);
    assert_eq!((ran.sum("entries_mended"), ran.sum("bytes_copied")), (1, 0));
    // To take something away needs no proof.
    set_mode(&source, 0o600);
    assert_eq!(fixture.copy(0).sum("entries_mended"), 1);
    fixture.assert_same();
}

#[test]
fn a_partial_that_somebody_else_put_there_is_not_resumed() {
    if !is_root_with("a_partial_that_somebody_else_put_there", &[]) {
        return;
    }
    let fixture = Fixture::journaled();
    write(fixture.source.join("a"), Rng::new(3).bytes(16 << 20));
    begin_copy(&fixture);
    let names = fs::read_dir(&fixture.dest).unwrap().flatten();
    let partial = names.map(|entry| entry.path());
    let partial = { partial }.find(|path| path.extension().is_some_and(|it| it == "partial"));
    let partial = partial.expect("a file that is half copied");
    chown(&partial, Some(STRANGER), None).unwrap();
    let held = fs::File::open(&partial).unwrap();
    let had = held.metadata().unwrap().len();
    let ran = fixture.copy(0);
    assert_eq!(ran.sum("bytes_resumed"), 0);
    assert_eq!(held.metadata().unwrap().len(), had, "it was written to");
    fixture.assert_same();
}

#[test]
fn a_directory_of_somebody_else_is_closed_before_anything_private_is_put_into_it() {
    if !is_root_with("a_directory_of_somebody_else_is_closed", &[]) {
        return;
    }
    let fixture = Fixture::new();
    let dir = fixture.source.join("private");
    write(dir.join("a"), "secret");
    write(dir.join("z"), vec![0; 24 << 20]);
    set_mode(&dir, 0o700);
    let there = fixture.dest.join("private");
    fs::create_dir_all(&there).unwrap();
    chown(&there, Some(STRANGER), None).unwrap();
    set_mode(&there, 0o777);
    let mut command = sprag();
    command.args(["copy", "-q", "--bwlimit=8M", "--checkpoint-interval=100ms"]);
    let child = command.arg(fixture.contents()).arg(&fixture.dest).spawn();
    while !there.join("a").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let meta = fs::metadata(&there).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o700, 0));
    assert!(end_within(60, child.unwrap()).status.success());
    fixture.assert_same();
}
