//! A manifest that rots, and the copy of it that takes its place.

use std::fs;
use std::os::unix::fs::FileExt;

use crate::support::*;

/// Flips a byte of the manifest's first record.
fn rot_manifest(fixture: &Fixture) {
    let path = fixture.dest.join(".sprag/manifest");
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 4096 + 13).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 4096 + 13).unwrap();
}

#[test]
fn rot_in_the_manifest_is_told_apart_from_rot_in_the_data_and_mended_by_the_next_copy() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 8, &[3 << 20]);
    fixture.copy(0);
    rot_manifest(&fixture);
    let ran = run("verify", [&fixture.dest]);
    assert_eq!((ran.code, ran.problems()), (44, vec![]), "{}", ran.stderr);
    assert!(ran.sum("files_ok") > 8);
    assert!(ran.stderr.contains("manifest.bak"), "{}", ran.stderr);
    // Nothing was written: it is damaged still.
    assert_eq!(run("verify", [&fixture.dest]).code, 44);
    let rerun = fixture.copy(0);
    assert_eq!(rerun.sum("files_copied"), 0);
    assert!(rerun.lines.iter().any(|line| line["type"] == "warning"));
    assert!(fixture.dest.join(".sprag/manifest.damaged").exists());
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
    fs::remove_file(fixture.dest.join(".sprag/manifest")).unwrap();
    assert_eq!(run("verify", [&fixture.dest]).code, 44);
    assert_eq!(fixture.copy(0).sum("files_copied"), 0);
    fixture.assert_same();
}

#[test]
fn rot_in_both_ends_the_run_and_clean_leaves_no_copy_behind() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 3, &[]);
    fixture.copy(0);
    let copy = fixture.dest.join(".sprag/manifest.bak");
    let whole = fs::read(&copy).unwrap();
    fs::write(&copy, "rot").unwrap();
    rot_manifest(&fixture);
    assert_eq!(run("verify", [&fixture.dest]).code, 44);
    fixture.copy(44);
    fs::write(&copy, whole).unwrap();
    fixture.copy(0);
    let cleaned = sprag().args(["clean", "--all"]).arg(&fixture.dest).output();
    assert!(cleaned.unwrap().status.success());
    assert!(!fixture.dest.join(".sprag").exists());
}
