//! `--delete` while file systems below the source come and go: what the walk of a run met is never
//! deleted by it, and nothing is once a mount point is not what it was.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::mount::Mount;
use crate::support::*;

/// A source with something to copy for two seconds, behind everything else, and a destination that
/// has something that the source does not have.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    write(fixture.source.join("zz"), Rng::new(1).bytes(20 << 20));
    write(fixture.dest.join("extraneous"), "x");
    fixture
}

/// Copies with `--delete`; `meanwhile` happens once `there` is copied.
fn copy_while(fixture: &Fixture, flags: &[&str], there: &str, meanwhile: impl FnOnce()) -> Ran {
    let mut command = sprag();
    command.args(["copy", "--json", "--delete", "--bwlimit=10M"]);
    command.args(["--checkpoint-interval", "200ms"]);
    command
        .args(flags)
        .arg(fixture.contents())
        .arg(&fixture.dest);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let began = Instant::now();
    while !fixture.dest.join(there).exists() {
        assert!(began.elapsed() < Duration::from_secs(30), "{there}");
        std::thread::sleep(Duration::from_millis(5));
    }
    meanwhile();
    Ran::from(&end_within(60, child))
}

fn assert_stopped(ran: &Ran, fixture: &Fixture) {
    let kinds = ran.problems();
    assert!(
        kinds.iter().any(|(_, kind)| kind == "source_moved"),
        "{:?}",
        ran.lines
    );
    assert_eq!((ran.code, ran.sum("entries_deleted")), (23, 0));
    assert!(fixture.dest.join("extraneous").exists());
}

fn write_photos(dir: &Path) {
    for n in 0..3 {
        write(dir.join(n.to_string()), format!("photo {n}"));
    }
}

#[test]
fn a_file_system_that_is_unmounted_during_a_run_is_not_taken_for_deleted() {
    let fixture = fixture();
    let drive = fixture.source.join("drive");
    let Some(mount) = Mount::tmpfs("delete: a file system is unmounted", &drive) else {
        return;
    };
    write_photos(&drive);
    let ran = copy_while(&fixture, &[], "drive/2", || drop(mount));
    assert_stopped(&ran, &fixture);
    assert_eq!(fs::read_dir(fixture.dest.join("drive")).unwrap().count(), 3);
}

#[test]
fn a_mount_point_that_goes_with_its_file_system_stops_deletions_too() {
    let fixture = fixture();
    let drive = fixture.source.join("drive");
    let Some(mount) = Mount::tmpfs("delete: a mount point goes", &drive) else {
        return;
    };
    let ran = copy_while(&fixture, &[], "drive", || {
        drop(mount);
        fs::remove_dir(&drive).unwrap();
    });
    assert_stopped(&ran, &fixture);
    assert!(fixture.dest.join("drive").is_dir());
}

#[test]
fn what_a_bind_mount_showed_is_not_deleted_when_it_is_gone() {
    let fixture = fixture();
    let (drive, shown) = (
        fixture.source.join("drive"),
        fixture.temp.path().join("shown"),
    );
    write_photos(&shown);
    let test = "delete: a bind mount goes";
    let Some(mount) = Mount::bind(test, &shown, &drive) else {
        return;
    };
    // On the device of all the rest, so nothing but the walk tells of it.
    copy_while(&fixture, &[], "drive/2", || drop(mount));
    assert_eq!(fs::read_dir(fixture.dest.join("drive")).unwrap().count(), 3);
}

#[test]
fn a_mount_point_that_is_not_gone_into_may_go() {
    let fixture = fixture();
    let drive = fixture.source.join("drive");
    let test = "delete: a mount point that is not gone into is uncovered";
    let Some(mount) = Mount::tmpfs(test, &drive) else {
        return;
    };
    write_photos(&fixture.dest.join("drive"));
    write(fixture.source.join("a"), "x");
    let ran = copy_while(&fixture, &["--one-file-system"], "a", || drop(mount));
    // What is in its copy was nobody's to judge when the source was walked.
    assert_eq!((ran.code, ran.sum("entries_deleted")), (0, 1));
    assert_eq!(fs::read_dir(fixture.dest.join("drive")).unwrap().count(), 3);
}

#[test]
fn a_directory_that_is_covered_by_a_mount_stops_deletions() {
    let fixture = fixture();
    write(fixture.source.join("dir/a"), "x");
    let mut mount = None;
    let ran = copy_while(&fixture, &[], "dir/a", || {
        mount = Mount::tmpfs("delete: a mount covers", &fixture.source.join("dir"));
    });
    if mount.is_some() {
        assert_stopped(&ran, &fixture);
        assert!(fixture.dest.join("dir/a").exists());
    }
}

#[test]
fn a_source_that_another_directory_takes_the_place_of_stops_deletions() {
    let fixture = fixture();
    write(fixture.source.join("dir/a"), "x");
    let ran = copy_while(&fixture, &[], "dir/a", || {
        fs::rename(&fixture.source, fixture.temp.path().join("old")).unwrap();
        fs::create_dir(&fixture.source).unwrap();
    });
    assert_stopped(&ran, &fixture);
    assert!(fixture.dest.join("dir/a").exists());
}

#[test]
fn what_goes_from_the_source_while_a_run_copies_it_is_deleted_by_the_next() {
    let fixture = fixture();
    write_photos(&fixture.source.join("dir"));
    let ran = copy_while(&fixture, &[], "dir/2", || {
        fs::remove_dir_all(fixture.source.join("dir")).unwrap();
    });
    assert_eq!((ran.code, ran.sum("entries_deleted")), (0, 1));
    assert!(fixture.dest.join("dir/2").exists() && !fixture.dest.join("extraneous").exists());
    let ran = copy_while(&fixture, &[], "zz", || {});
    assert_eq!((ran.code, ran.sum("entries_deleted")), (0, 4));
    fixture.assert_same();
}

#[test]
fn a_dry_run_foretells_that_nothing_is_deleted_once_a_file_system_is_gone() {
    let fixture = fixture();
    let drive = fixture.source.join("drive");
    let test = "delete: a file system is unmounted in a dry run";
    let Some(mount) = Mount::tmpfs(test, &drive) else {
        return;
    };
    write_photos(&drive);
    write_photos(&fixture.dest.join("drive"));
    for n in 0..2000 {
        write(fixture.source.join(format!("later/{n}")), "");
    }
    let mut options = sprag::CopyOptions::new([fixture.contents()], &fixture.dest);
    options.delete = Some(sprag::Delete::default());
    options.dry_run = true;
    let mut run = sprag::copy(options).unwrap();
    let met = |event: sprag::Event| matches!(&event, sprag::Event::Entry { path, .. } if path.as_bytes() == b"drive/2");
    assert!(run.any(met));
    drop(mount);
    let Some(sprag::Event::Finished {
        summary,
        error: None,
    }) = run.last()
    else {
        panic!("it ended early");
    };
    assert_eq!((summary.exit_code as i32, summary.deleted.total()), (23, 0));
}
