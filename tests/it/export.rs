//! The exported list is one that b3sum itself accepts.

use std::fs;
use std::process::Command;

use crate::support::*;

#[test]
fn b3sum_checks_the_exported_list() {
    if !has("b3sum") {
        return skip(
            "b3sum_checks_the_exported_list",
            "b3sum (cargo install b3sum)",
        );
    }
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 30, &[3 << 20, (1 << 20) + 1]);
    write(fixture.source.join("back\\slash\nnewline"), "odd");
    // b3sum's lists cannot name it.
    let unspeakable = std::os::unix::ffi::OsStrExt::from_bytes(b"dir0/\xff\xfe");
    fs::remove_file(fixture.source.join::<&std::ffi::OsStr>(unspeakable)).unwrap();
    fixture.copy(0);
    let list = fixture.temp.path().join("list");
    let exported = sprag()
        .arg("export")
        .arg("-o")
        .arg(&list)
        .arg(&fixture.dest)
        .output();
    assert!(exported.unwrap().status.success());
    let checked = Command::new("b3sum")
        .arg("--check")
        .arg(&list)
        .current_dir(&fixture.dest)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{text}");
    assert_eq!(text.lines().count(), 30 + 2 + 4 - 1 + 1);
    fs::write(fixture.dest.join("large0"), "rot").unwrap();
    let checked = Command::new("b3sum")
        .arg("--check")
        .arg(&list)
        .current_dir(&fixture.dest)
        .output();
    assert!(!checked.unwrap().status.success());
}
