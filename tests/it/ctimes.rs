//! Attributes of files whose change times say that nobody touched them: a rerun does not list them.
//!
//! A change time counts when it is two seconds old (see `manifest::ctimes`); the other tests are
//! quicker than that, so there each file's attributes are listed.

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::support::strace;
use crate::support::xattr::{get, held, set};
use crate::support::*;

/// Until what was changed last counts as settled, and what changes now is told from it.
fn settle() {
    thread::sleep(Duration::from_millis(2_100));
}

/// Whether attributes of a file of this name were listed.
fn lists(log: &Path, name: &str) -> bool {
    let text = std::fs::read_to_string(log).unwrap();
    let mut lines = text.lines();
    lines.any(|line| line.contains("listxattr") && line.contains(&format!("{name}\"")))
}

#[test]
fn a_rerun_lists_the_attributes_of_what_was_touched_on_either_side_and_of_nothing_else() {
    let test = "change times";
    let fixture = Fixture::new();
    let probe = fixture.temp.path().join("probe");
    write(&probe, "");
    if let Err(error) = held(&probe) {
        return skip(test, &format!("attributes: {error}"));
    }
    if !strace::works(test) {
        return;
    }
    let names = ["untouched", "at source", "at dest"];
    for name in names {
        write(fixture.source.join(name), name);
        set(&fixture.source.join(name), "user.note", b"first");
    }
    settle();
    fixture.copy(0);
    settle();
    set(&fixture.source.join("at source"), "user.note", b"second");
    set(&fixture.dest.join("at dest"), "user.note", b"strange");
    let again = |log: &str| {
        let log = fixture.temp.path().join(log);
        let paths = [&fixture.source, &fixture.dest].map(|path| path.display().to_string());
        let [source, dest] = paths;
        strace::calls(&log, &["copy".into(), "--quiet".into(), source + "/", dest]);
        log
    };
    let log = again("mends");
    assert_eq!(names.map(|name| lists(&log, name)), [false, true, true]);
    for (name, note) in [
        ("untouched", "first"),
        ("at source", "second"),
        ("at dest", "first"),
    ] {
        let there = get(&fixture.dest.join(name), "user.note").unwrap();
        assert_eq!(there, note.as_bytes(), "{name}");
    }
    settle();
    // One had changed so shortly before it was mended that it may have changed once more.
    let log = again("has nothing to do");
    assert_eq!(names.map(|name| lists(&log, name)), [false, true, false]);
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
}
