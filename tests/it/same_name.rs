//! Two names that the destination takes for one, on a file system that ignores case: the planner
//! sees what stands there when it looks; what appears afterwards is for the one check right before
//! a final name is given.

use std::fs;
use std::sync::Arc;

use sprag::{CopyOptions, CopyRun, Event};

use crate::support::folding::Folding;
use crate::support::*;

/// Copies; puts strangers there as soon as everything was planned. Gives the problems, by path.
fn copy_while_they_appear(fixture: &Fixture, strangers: &[&str]) -> Vec<(String, &'static str)> {
    fs::create_dir_all(&fixture.dest).unwrap();
    let mut options = CopyOptions::new([fixture.contents()], &fixture.dest);
    options.jobs = std::num::NonZeroUsize::new(1);
    options.block_size = Some(sprag::block::BlockSize::MIN);
    let fs = Arc::new(Folding::open_root(&fixture.dest));
    let mut run = CopyRun::start_on(fs, options).unwrap();
    let mut problems = Vec::new();
    let mut appeared = false;
    for event in &mut run {
        match event {
            // The walk makes directories itself: when this one is there, all was planned.
            Event::Progress(_) if !appeared && fixture.dest.join("z").exists() => {
                appeared = true;
                for name in strangers {
                    write(fixture.dest.join(name), "not ours");
                }
            }
            Event::Problem { path, error } => problems.push((path.to_string(), error.kind())),
            Event::Finished { error, .. } => assert!(error.is_none(), "{error:?}"),
            _ => {}
        }
    }
    assert!(appeared);
    problems.sort();
    problems
}

/// What takes a while to copy, and then a directory that tells that the walk is over.
fn fill(fixture: &Fixture) {
    write(fixture.source.join("large"), Rng::new(1).bytes(24 << 20));
    fs::create_dir(fixture.source.join("z")).unwrap();
}

#[test]
fn what_appears_under_the_same_name_after_planning_is_not_replaced_by_a_file() {
    let fixture = Fixture::new();
    fill(&fixture);
    write(fixture.source.join("notes"), "ours");
    std::os::unix::fs::symlink("large", fixture.source.join("pointer")).unwrap();
    let problems = copy_while_they_appear(&fixture, &["NOTES", "Pointer"]);
    let same = |path: &str| (path.to_string(), "same_name");
    assert_eq!(problems, [same("notes"), same("pointer")]);
    for name in ["NOTES", "Pointer"] {
        assert_eq!(fs::read(fixture.dest.join(name)).unwrap(), b"not ours");
    }
    for name in ["notes", "pointer"] {
        assert!(fs::symlink_metadata(fixture.dest.join(name)).is_err());
    }
    assert!(fixture.dest.join("large").exists());
}

#[test]
fn what_appears_under_the_same_name_after_planning_is_not_replaced_by_a_hard_link() {
    let fixture = Fixture::new();
    fill(&fixture);
    write(fixture.source.join("first"), "of two names");
    fs::hard_link(
        fixture.source.join("first"),
        fixture.source.join("m second"),
    )
    .unwrap();
    let problems = copy_while_they_appear(&fixture, &["M Second"]);
    assert_eq!(problems, [("m second".to_string(), "same_name")]);
    assert_eq!(
        fs::read(fixture.dest.join("M Second")).unwrap(),
        b"not ours"
    );
}
