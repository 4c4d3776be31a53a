//! A manifest that is lost or damaged is built anew from a good source, or from a list.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::*;

/// A copy that lost its state.
fn lost() -> Fixture {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 12, &[5 << 20, 3 << 20]);
    fixture.copy(0);
    fs::remove_dir_all(fixture.dest.join(".sprag")).unwrap();
    fixture
}

fn rebuild_with(args: &[&OsStr], dest: &Path) -> Ran {
    let rebuild: &OsStr = "--rebuild".as_ref();
    let args = args.iter().copied().chain([rebuild, dest.as_os_str()]);
    run("verify", args)
}

fn rebuild(fixture: &Fixture) -> Ran {
    let contents = fixture.contents();
    rebuild_with(&["--from".as_ref(), contents.as_os_str()], &fixture.dest)
}

fn manifest(fixture: &Fixture) -> PathBuf {
    fixture.dest.join(".sprag/manifest")
}

/// Flips a byte of the first record of a manifest.
fn rot_record(path: &Path) {
    let file = fs::File::options().read(true).write(true).open(path);
    let (file, mut byte) = (file.unwrap(), [0]);
    file.read_exact_at(&mut byte, 4096 + 13).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 4096 + 13).unwrap();
}

fn verified(fixture: &Fixture) -> Ran {
    let ran = run("verify", [&fixture.dest]);
    assert_eq!((ran.code, ran.problems()), (0, vec![]), "{}", ran.stderr);
    ran
}

#[test]
fn a_lost_manifest_is_rebuilt_from_the_source_and_verify_and_copy_go_on_from_it() {
    let fixture = lost();
    let before = snapshot(&fixture.dest);
    let ran = rebuild(&fixture);
    assert_eq!((ran.code, ran.problems()), (0, vec![]), "{}", ran.stderr);
    assert_eq!(
        snapshot(&fixture.dest),
        before,
        "something else was written"
    );
    assert!(fixture.dest.join(".sprag/manifest.bak").exists());
    assert!(!fixture.dest.join(".sprag/manifest.new").exists());
    let after = verified(&fixture);
    assert_eq!(ran.sum("entries_recorded"), after.sum("entries_ok"));
    assert_eq!(after.sum("entries_extra"), 0);
    let rerun = fixture.copy(0);
    assert_eq!(
        (rerun.sum("files_copied"), rerun.sum("files_adopted")),
        (0, 0)
    );
    assert_eq!(rerun.sum("bytes_copied"), 0);
    // The blocks of it are those of the content.
    rot(&fixture.dest.join("large0"), (3 << 20) + 9);
    let rotten = run("verify", [&fixture.dest]);
    assert_eq!(rotten.problems(), [("large0".into(), "corrupt".into())]);
    let problem = rotten.lines.iter().find(|line| line["type"] == "problem");
    assert_eq!(
        problem.unwrap()["ranges"],
        serde_json::json!([[3 << 20, 4 << 20]])
    );
}

#[test]
fn what_is_not_as_at_the_source_is_named_and_never_recorded_as_good() {
    let fixture = lost();
    rot(&fixture.dest.join("large0"), (2 << 20) + 1);
    fs::write(fixture.dest.join("large1"), "mine").unwrap();
    fs::remove_file(fixture.dest.join("link")).unwrap();
    write(fixture.dest.join("stranger"), "s");
    rot(&fixture.dest.join("dir0/hard a"), 1);
    let before = snapshot(&fixture.dest);
    let ran = rebuild(&fixture);
    assert_eq!(ran.code, 40, "{}", ran.stderr);
    let mut problems = ran.problems();
    problems.sort();
    let named = |path: &str, kind: &str| (path.to_owned(), kind.to_owned());
    let expected = [
        named("dir0/hard a", "modified"),
        named("hard b", "modified"),
        named("large0", "modified"),
        named("large1", "modified"),
        named("link", "missing"),
    ];
    assert_eq!(problems, expected);
    assert_eq!(ran.sum("entries_extra"), 1);
    let ranges = |line: &&serde_json::Value| line["path"] == "large0";
    let large0 = ran.lines.iter().find(ranges).unwrap();
    assert_eq!(large0["ranges"], serde_json::json!([[2 << 20, 3 << 20]]));
    assert_eq!(
        snapshot(&fixture.dest),
        before,
        "something else was written"
    );
    let after = verified(&fixture);
    assert_eq!(after.sum("entries_extra"), 5, "what is wrong is not known");
    let rerun = fixture.copy(0);
    assert!(rerun.sum("files_copied") >= 3);
    fs::remove_file(fixture.dest.join("stranger")).unwrap();
    fixture.assert_same();
    verified(&fixture);
}

#[test]
fn a_manifest_that_is_whole_is_refused_and_a_damaged_one_is_kept_aside() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 4, &[2 << 20]);
    fixture.copy(0);
    let whole = fs::read(manifest(&fixture)).unwrap();
    let ran = rebuild(&fixture);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("is whole"), "{}", ran.stderr);
    assert!(fs::read(manifest(&fixture)).unwrap() == whole);
    // Its copy stands for it, so neither is it rebuilt then.
    rot_record(&manifest(&fixture));
    let ran = rebuild(&fixture);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("manifest.bak"), "{}", ran.stderr);
    for round in ["manifest.damaged", "manifest.damaged.2"] {
        rot_record(&fixture.dest.join(".sprag/manifest.bak"));
        let damaged = fs::read(manifest(&fixture)).unwrap();
        let ran = rebuild(&fixture);
        assert_eq!((ran.code, ran.problems()), (0, vec![]), "{}", ran.stderr);
        let kept = fs::read(fixture.dest.join(".sprag").join(round)).unwrap();
        assert!(kept == damaged, "{round}");
        verified(&fixture);
        assert_eq!(fixture.copy(0).sum("files_copied"), 0);
        rot_record(&manifest(&fixture));
    }
    rot_record(&manifest(&fixture));
    let cleaned = sprag().args(["clean", "--all"]).arg(&fixture.dest).output();
    assert!(cleaned.unwrap().status.success());
    assert!(!fixture.dest.join(".sprag").exists());
}

#[test]
fn a_rebuilt_manifest_says_what_was_changed_in_metadata_and_the_next_copy_sets_it() {
    let fixture = lost();
    let file = fixture.dest.join("large0");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    age(&fixture.dest.join("large1"), 99);
    let ran = rebuild(&fixture);
    assert_eq!(ran.code, 40, "{}", ran.stderr);
    let mut problems = ran.problems();
    problems.sort();
    let other = |path: &str| (path.to_owned(), "metadata".to_owned());
    assert_eq!(problems, [other("large0"), other("large1")]);
    let mut again = run("verify", [&fixture.dest]).problems();
    again.sort();
    assert_eq!(again, problems);
    let rerun = fixture.copy(0);
    assert_eq!(
        (rerun.sum("files_copied"), rerun.sum("bytes_copied")),
        (0, 0)
    );
    fixture.assert_same();
    verified(&fixture);
}

#[test]
fn a_manifest_is_rebuilt_from_a_list_of_b3sum_or_sha256sum() {
    for sha256 in [false, true] {
        let fixture = lost();
        let list = fixture.temp.path().join("list");
        let mut lines = String::new();
        for (path, _) in contents(&fixture.dest) {
            let full = fixture.dest.join(&path);
            let Some(name) = path.to_str().filter(|name| !name.contains('\n')) else {
                continue;
            };
            if full.is_symlink() || name == "large1" {
                continue;
            }
            let content = fs::read(&full).unwrap();
            let hash = match sha256 {
                true => {
                    let sum = Command::new("sha256sum").arg(&full).output().unwrap();
                    let text = String::from_utf8(sum.stdout).unwrap();
                    text.trim_start_matches('\\')[..64].to_owned()
                }
                false => blake3::hash(&content).to_string(),
            };
            lines += &format!("{hash}  {name}\n");
        }
        write(&list, &lines);
        rot(&fixture.dest.join("large0"), 7);
        let ran = rebuild_with(&["--check".as_ref(), list.as_os_str()], &fixture.dest);
        assert_eq!(ran.code, 40, "{}", ran.stderr);
        assert_eq!(ran.problems(), [("large0".into(), "modified".into())]);
        assert!(ran.sum("entries_extra") >= 1, "large1 is in no list");
        let after = verified(&fixture);
        assert_eq!(after.sum("entries_ok"), ran.sum("entries_recorded"));
        // It was copied with its times, so what is recorded counts as unchanged.
        let rerun = fixture.copy(0);
        assert_eq!(rerun.sum("bytes_copied"), 5 << 20, "large0, which rotted");
        fixture.assert_same();
        verified(&fixture);
    }
}

#[test]
fn a_rebuilding_that_is_stopped_has_changed_nothing() {
    let fixture = lost();
    let mut child = sprag()
        .args([
            "verify",
            "--rebuild",
            "--bwlimit=2M",
            "-j1",
            "-v",
            "--json",
            "--from",
        ])
        .args([fixture.contents(), fixture.dest.clone()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(r#""type":"entry""#)));
    // Nobody else works on it meanwhile.
    let other = copy(41, [fixture.contents(), fixture.dest.clone()]);
    assert!(other.stderr.contains("in use"), "{}", other.stderr);
    let pid = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &pid]).status();
    assert!(killed.unwrap().success());
    let rest = lines.count();
    assert_eq!(child.wait().unwrap().code(), Some(20), "after {rest} lines");
    assert!(!manifest(&fixture).exists());
    assert!(!fixture.dest.join(".sprag/manifest.new").exists());
    assert_eq!(rebuild(&fixture).code, 0);
    verified(&fixture);
}

#[test]
fn where_nothing_is_as_it_should_be_no_manifest_is_made() {
    let fixture = lost();
    let other = Fixture::new();
    write(other.source.join("large0"), "x");
    let from = other.contents();
    let ran = rebuild_with(&["--from".as_ref(), from.as_os_str()], &fixture.dest);
    assert_eq!((ran.code, ran.sum("entries_recorded")), (40, 0));
    assert!(!manifest(&fixture).exists());
    assert_eq!(run("verify", [&fixture.dest]).code, 3);
}

#[test]
fn the_destination_is_no_source_and_there_has_to_be_one() {
    let fixture = lost();
    let itself = ["--from".as_ref(), fixture.dest.as_os_str()];
    assert_eq!(rebuild_with(&itself, &fixture.dest).code, 3);
    let output = sprag()
        .args(["verify", "--rebuild"])
        .arg(&fixture.dest)
        .output();
    assert_eq!(output.unwrap().status.code(), Some(1));
    // The very files of the destination, under other names.
    let other = Fixture::new();
    let name = other.source.join("large0");
    if fs::hard_link(fixture.dest.join("large0"), name).is_ok() {
        let from = other.contents();
        let ran = rebuild_with(&["--from".as_ref(), from.as_os_str()], &fixture.dest);
        assert_eq!(ran.problems(), [("large0".into(), "modified".into())]);
    }
    assert!(!manifest(&fixture).exists());
}

#[test]
fn names_that_are_left_out_are_left_out_of_the_manifest_too() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 6, &[]);
    write(fixture.source.join("cache/big"), "c");
    let copied = sprag()
        .args(["copy", "--exclude=cache/"])
        .args([fixture.contents(), fixture.dest.clone()])
        .output();
    assert!(copied.unwrap().status.success());
    fs::remove_dir_all(fixture.dest.join(".sprag")).unwrap();
    let contents = fixture.contents();
    let from = [
        "--exclude=cache/".as_ref(),
        "--from".as_ref(),
        contents.as_os_str(),
    ];
    let ran = rebuild_with(&from, &fixture.dest);
    assert_eq!((ran.code, ran.problems()), (0, vec![]), "{}", ran.stderr);
    verified(&fixture);
}

#[test]
fn a_manifest_is_rebuilt_from_a_source_with_or_without_its_slash() {
    let fixture = lost();
    let ran = rebuild_with(
        &["--from".as_ref(), fixture.source.as_os_str()],
        &fixture.dest,
    );
    assert_eq!((ran.code, ran.problems()), (0, vec![]), "{}", ran.stderr);
    verified(&fixture);
    assert_eq!(fixture.copy(0).sum("files_copied"), 0);
}
