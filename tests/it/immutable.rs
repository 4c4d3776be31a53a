//! Immutable bits are left alone: a copy has none, and what has one is neither changed nor freed of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::*;

/// A file that nobody may change, until the end of the test.
struct Immutable(PathBuf);

impl Immutable {
    /// `None`, told loudly, where that cannot be.
    fn make(test: &str, path: &Path) -> Option<Immutable> {
        if !is_root_with(test, &["chattr", "lsattr"]) {
            return None;
        }
        let made = Command::new("chattr").arg("+i").arg(path).output().unwrap();
        if !made.status.success() {
            skip(
                test,
                "a temporary directory on a file system with immutable bits",
            );
            return None;
        }
        Some(Immutable(path.to_path_buf()))
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg("-i").arg(&self.0).output();
    }
}

fn is_immutable(path: &Path) -> bool {
    let listed = Command::new("lsattr").arg(path).output().unwrap();
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    text.split_whitespace().next().unwrap().contains('i')
}

#[test]
fn the_copy_of_an_immutable_file_is_not_immutable_and_the_source_stays_so() {
    let fixture = Fixture::new();
    let file = fixture.source.join("sealed");
    write(&file, "sealed");
    let test = "the copy of an immutable file is not immutable";
    let Some(sealed) = Immutable::make(test, &file) else {
        return;
    };
    fixture.copy(0);
    let copy = fixture.dest.join("sealed");
    assert_eq!(fs::read(&copy).unwrap(), b"sealed");
    assert!(!is_immutable(&copy) && is_immutable(&sealed.0));
    fs::remove_file(copy).unwrap();
}

#[test]
fn an_immutable_file_in_the_way_is_reported_and_everything_else_is_copied() {
    let fixture = Fixture::new();
    write(fixture.source.join("sealed"), "old");
    write(fixture.source.join("open"), "old");
    fixture.copy(0);
    let copy = fixture.dest.join("sealed");
    let test = "an immutable file in the way is reported";
    let Some(sealed) = Immutable::make(test, &copy) else {
        return;
    };
    write(fixture.source.join("sealed"), "newer");
    write(fixture.source.join("open"), "newer");
    let ran = fixture.copy(23);
    let problems = ran.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].0.ends_with("sealed"), "{problems:?}");
    assert_eq!(fs::read(&copy).unwrap(), b"old");
    assert!(is_immutable(&copy));
    assert_eq!(fs::read(fixture.dest.join("open")).unwrap(), b"newer");
    // Freed, the same command finishes.
    drop(sealed);
    fixture.copy(0);
    assert_eq!(fs::read(&copy).unwrap(), b"newer");
}
