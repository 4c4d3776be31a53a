//! Repair from a source: what it mends, and what it leaves alone.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::support::*;

fn copied() -> Fixture {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 10, &[8 << 20, 3 << 20]);
    fixture.copy(0);
    fixture
}

fn repair(fixture: &Fixture) -> Ran {
    let contents = fixture.contents();
    let args = [
        "--repair".as_ref(),
        "--from".as_ref(),
        contents.as_os_str(),
        fixture.dest.as_os_str(),
    ];
    run("verify", args)
}

#[test]
fn rot_and_losses_are_repaired_and_only_bad_blocks_are_read_from_the_source() {
    let fixture = copied();
    rot(&fixture.dest.join("large0"), (5 << 20) + 17);
    rot(&fixture.dest.join("large0"), 7);
    rot(&fixture.dest.join("dir0/hard a"), 3);
    fs::remove_file(fixture.dest.join("link")).unwrap();
    fs::remove_dir_all(fixture.dest.join("dir1")).unwrap();
    let lost = snapshot(&fixture.source.join("dir1")).len();
    // Where the destination is good, the source is not looked at.
    rot(&fixture.source.join("large0"), 3 << 20);
    let ran = repair(&fixture);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!((ran.sum("files_failed"), ran.sum("entries_left")), (0, 0));
    assert!(
        ran.sum("bytes_repaired") < (2 << 20) + 700_000,
        "{}",
        ran.sum("bytes_repaired")
    );
    assert!(ran.sum("files_repaired") >= 2, "{lost} lost");
    rot(&fixture.source.join("large0"), 3 << 20);
    fixture.assert_same();
    let ino = |path: &str| fs::metadata(fixture.dest.join(path)).unwrap().ino();
    assert_eq!(ino("dir0/hard a"), ino("hard b"));
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
    assert_eq!(fixture.copy(0).sum("files_copied"), 0);
}

#[test]
fn an_edited_source_is_refused_file_by_file_and_nothing_of_it_is_written() {
    let fixture = copied();
    rot(&fixture.dest.join("large0"), 0);
    rot(&fixture.dest.join("large1"), 0);
    let rotten = fs::read(fixture.dest.join("large0")).unwrap();
    write(fixture.source.join("large0"), Rng::new(9).bytes(8 << 20));
    let ran = repair(&fixture);
    assert_eq!(ran.code, 40);
    let refused = ("large0".to_string(), "source_edited".to_string());
    assert!(ran.problems().contains(&refused), "{:?}", ran.problems());
    assert_eq!((ran.sum("files_repaired"), ran.sum("entries_left")), (1, 1));
    assert_eq!(fs::read(fixture.dest.join("large0")).unwrap(), rotten);
    assert_eq!(
        fs::read(fixture.dest.join("large1")).unwrap(),
        fs::read(fixture.source.join("large1")).unwrap()
    );
    fs::remove_file(fixture.source.join("large0")).unwrap();
    let ran = repair(&fixture);
    assert_eq!(ran.code, 40);
    let refused = ("large0".to_string(), "no_source".to_string());
    assert!(ran.problems().contains(&refused), "{:?}", ran.problems());
}

#[test]
fn what_was_edited_at_the_destination_is_left_alone() {
    let fixture = copied();
    fs::write(fixture.dest.join("large0"), "mine now").unwrap();
    rot(&fixture.dest.join("large1"), 1 << 20);
    let ran = repair(&fixture);
    assert_eq!(ran.code, 40);
    assert_eq!(ran.sum("files_repaired"), 1);
    assert_eq!(fs::read(fixture.dest.join("large0")).unwrap(), b"mine now");
}

#[test]
fn where_nothing_is_damaged_a_repair_touches_no_file() {
    let fixture = copied();
    let before = snapshot(&fixture.dest);
    let ran = repair(&fixture);
    assert_eq!((ran.code, ran.sum("files_repaired")), (0, 0));
    assert_eq!(snapshot(&fixture.dest), before);
    let output = sprag()
        .args(["verify", "--repair"])
        .arg(&fixture.dest)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "--repair needs --from");
}
