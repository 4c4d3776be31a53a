//! Hard links of symlinks and special files, which are kept like those of regular files: the situation
//! that rsync's testsuite knows as hardlinks.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::*;

/// First names, and what is linked to them.
const LINKS: [(&str, &str); 3] = [
    ("a/symlink", "z/symlink"),
    ("a/fifo", "z/fifo"),
    ("a/file", "z/file"),
];

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let at = |name: &str| fixture.source.join(name);
    write(at("a/file"), "content");
    symlink("file", at("a/symlink")).unwrap();
    mknodat(CWD, at("a/fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    fs::create_dir(at("z")).unwrap();
    for (first, second) in LINKS {
        fs::hard_link(at(first), at(second)).unwrap();
    }
    fixture
}

fn ino(dest: &Path, name: &str) -> u64 {
    fs::symlink_metadata(dest.join(name)).unwrap().ino()
}

#[track_caller]
fn assert_linked(fixture: &Fixture) {
    for (first, second) in LINKS {
        assert_eq!(ino(&fixture.dest, first), ino(&fixture.dest, second));
        let kind = |root: &Path| fs::symlink_metadata(root.join(second)).unwrap().file_type();
        assert_eq!(kind(&fixture.source), kind(&fixture.dest), "{second}");
    }
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
}

#[test]
fn hardlinks_of_symlinks_and_fifos_are_kept_and_counted_as_what_they_are() {
    let fixture = fixture();
    let ran = fixture.copy(0);
    assert_eq!((ran.sum("symlinks"), ran.sum("specials")), (2, 2));
    assert_eq!(ran.sum("files_copied"), 2);
    assert_linked(&fixture);
    let again = fixture.copy(0);
    assert_eq!((again.sum("symlinks"), again.sum("specials")), (2, 2));
    assert_eq!(again.sum("entries_mended"), 0);
    assert_eq!(again.sum("files_unchanged"), 2);
}

#[test]
fn hardlinks_that_came_apart_are_made_again_by_a_rerun() {
    let fixture = fixture();
    fixture.copy(0);
    let at = |name: &str| fixture.dest.join(name);
    fs::remove_file(at("z/symlink")).unwrap();
    symlink("elsewhere", at("z/symlink")).unwrap();
    fs::remove_file(at("z/fifo")).unwrap();
    write(at("z/fifo"), "no fifo");
    let verified = run("verify", [&fixture.dest]);
    let modified = |path: &str| (path.to_string(), "modified".to_string());
    let mut problems = verified.problems();
    problems.sort();
    assert_eq!(problems, [modified("z/fifo"), modified("z/symlink")]);
    fixture.copy(0);
    assert_linked(&fixture);
    // One that becomes a link only later.
    fs::remove_file(fixture.source.join("z/symlink")).unwrap();
    symlink("file", fixture.source.join("z/symlink")).unwrap();
    fixture.copy(0);
    assert_ne!(
        ino(&fixture.dest, "a/symlink"),
        ino(&fixture.dest, "z/symlink")
    );
    fs::remove_file(fixture.source.join("z/symlink")).unwrap();
    fs::hard_link(
        fixture.source.join("a/symlink"),
        fixture.source.join("z/symlink"),
    )
    .unwrap();
    fixture.copy(0);
    assert_linked(&fixture);
}

#[test]
fn hardlinks_are_left_apart_on_request_and_foretold() {
    let fixture = fixture();
    let args = |flag: &str| [flag.into(), fixture.contents(), fixture.dest.clone()];
    let figures = |ran: &Ran| ["symlinks", "specials", "files_copied"].map(|name| ran.sum(name));
    let dry = copy(0, args("-n"));
    assert_eq!(figures(&dry), figures(&fixture.copy(0)));
    fs::remove_dir_all(&fixture.dest).unwrap();
    copy(0, args("--no-hard-links"));
    for (first, second) in LINKS {
        assert_ne!(ino(&fixture.dest, first), ino(&fixture.dest, second));
    }
}

#[test]
fn hardlinks_of_symlinks_are_exported_as_symlinks_and_their_sources_removed() {
    let fixture = fixture();
    fixture.copy(0);
    let listed = sprag()
        .args(["export", "--format", "json"])
        .arg(&fixture.dest)
        .output()
        .unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    let lines = text.lines().filter(|line| line.contains("z/symlink"));
    let lines: Vec<serde_json::Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert_eq!(lines[0]["target"], "file");
    let args = ["--remove-source-files".into(), fixture.contents()];
    copy(0, args.into_iter().chain([fixture.dest.clone()]));
    for name in ["a/symlink", "z/symlink", "a/file", "z/file"] {
        assert!(
            fs::symlink_metadata(fixture.source.join(name)).is_err(),
            "{name}"
        );
    }
    assert_linked_at(&fixture.dest);
}

fn assert_linked_at(dest: &Path) {
    for (first, second) in LINKS {
        assert_eq!(ino(dest, first), ino(dest, second));
    }
}

#[test]
fn a_name_on_another_mount_is_a_file_of_its_own_and_stays_one() {
    let fixture = Fixture::new();
    write(fixture.source.join("a/f"), "content");
    fs::create_dir(fixture.source.join("b")).unwrap();
    fs::hard_link(fixture.source.join("a/f"), fixture.source.join("b/f")).unwrap();
    let Some(_mount) = mount::Mount::tmpfs("a_name_on_another_mount", &fixture.dest.join("b"))
    else {
        return;
    };
    let ran = fixture.copy(0);
    assert!(
        ran.stderr.contains("one mounted file system"),
        "{}",
        ran.stderr
    );
    fixture.assert_same();
    let again = fixture.copy(0);
    assert_eq!(
        (again.sum("files_unchanged"), again.sum("bytes_copied")),
        (2, 0)
    );
}

#[test]
fn the_other_names_of_a_file_whose_first_one_fails_are_copied() {
    let fixture = Fixture::new();
    write(fixture.source.join("a"), "content");
    for name in ["b", "c"] {
        fs::hard_link(fixture.source.join("a"), fixture.source.join(name)).unwrap();
    }
    fs::create_dir_all(fixture.dest.join("a")).unwrap();
    let ran = fixture.copy(23);
    assert_eq!(ran.problems(), [("a".into(), "conflict".into())]);
    let ino = |name: &str| fs::metadata(fixture.dest.join(name)).unwrap().ino();
    assert_eq!(ino("b"), ino("c"));
    assert_eq!(fs::read(fixture.dest.join("b")).unwrap(), b"content");
}
