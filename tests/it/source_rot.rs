//! Sources that sprag wrote: rot there does not travel on.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::*;

/// A tree on a first drive, and where a second one would be.
fn first_drive() -> (Fixture, PathBuf) {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source.join("sub"), 6, &[3 << 20]);
    write(fixture.source.join("sub/small"), "small");
    fixture.copy(0);
    let second = fixture.temp.path().join("second");
    (fixture, second)
}

fn contents(dir: &Path) -> PathBuf {
    let mut path = dir.to_path_buf().into_os_string();
    path.push("/");
    path.into()
}

#[test]
fn rot_at_a_source_is_found_while_copying_and_neither_published_nor_left_behind() {
    // The manifest is at the source, or above it.
    for below in ["", "sub"] {
        let (fixture, second) = first_drive();
        let from = fixture.dest.join(below);
        rot(&fixture.dest.join("sub/large0"), (2 << 20) + 5);
        rot(&fixture.dest.join("sub/small"), 0);
        let ran = copy(23, [contents(&from), second.clone()]);
        let mut problems = ran.problems();
        problems.sort();
        let at = |name: &str| match below {
            "" => format!("sub/{name}"),
            _ => name.to_string(),
        };
        let kind = || "source_corrupt".to_string();
        assert_eq!(problems, [(at("large0"), kind()), (at("small"), kind())]);
        assert!(!second.join(at("large0")).exists() && !second.join(at("small")).exists());
        let left = walkdir::WalkDir::new(&second)
            .into_iter()
            .map(|entry| entry.unwrap());
        let left = left.filter(|entry| entry.file_name().to_string_lossy().ends_with(".partial"));
        assert_eq!(left.count(), 0);
        assert_eq!(run("verify", [&second]).code, 0);
        let accepted = copy(
            0,
            [
                "--accept-source-rot".into(),
                contents(&from),
                second.clone(),
            ],
        );
        let warned = accepted
            .lines
            .iter()
            .filter(|line| line["type"] == "warning");
        assert_eq!(warned.count(), 2);
        assert_eq!(
            fs::read(second.join(at("small"))).unwrap(),
            fs::read(fixture.dest.join("sub/small")).unwrap()
        );
    }
}

#[test]
fn a_good_copy_is_not_replaced_by_rot_and_an_edited_source_is_simply_new() {
    let (fixture, second) = first_drive();
    copy(0, [contents(&fixture.dest), second.clone()]);
    let good = fs::read(second.join("sub/large0")).unwrap();
    rot(&fixture.dest.join("sub/large0"), 9);
    // As if the second drive had another time, so that the file is looked at again.
    age(&second.join("sub/large0"), 4711);
    copy(23, [contents(&fixture.dest), second.clone()]);
    assert_eq!(fs::read(second.join("sub/large0")).unwrap(), good);
    fs::write(fixture.dest.join("sub/large0"), "edited").unwrap();
    let ran = copy(0, [contents(&fixture.dest), second.clone()]);
    assert!(ran.sum("files_copied") >= 1);
    assert_eq!(fs::read(second.join("sub/large0")).unwrap(), b"edited");
}

#[test]
fn a_manifest_of_the_source_that_cannot_be_used_is_a_warning() {
    let (fixture, second) = first_drive();
    let manifest = fixture.dest.join(".sprag/manifest");
    let bytes = fs::read(&manifest).unwrap();
    fs::write(&manifest, [&[0; 20][..], &bytes[20..]].concat()).unwrap();
    let ran = copy(0, [contents(&fixture.dest), second.clone()]);
    let warning = ran
        .lines
        .iter()
        .find(|line| line["type"] == "warning")
        .unwrap();
    assert!(
        warning["detail"]
            .as_str()
            .unwrap()
            .contains("cannot be used"),
        "{warning}"
    );
    assert_eq!(fs::read(&manifest).unwrap()[..20], [0; 20]);
    assert_same_tree(&fixture.source, &second);
}
