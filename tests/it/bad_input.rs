//! Bad input gets a clear error and its exit code, and loses nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::user::{USER, as_user, program_in};
use crate::support::*;

fn fails<S: AsRef<std::ffi::OsStr>>(code: i32, text: &str, args: impl IntoIterator<Item = S>) {
    let ran = copy(code, args);
    assert!(
        ran.stderr.contains(text),
        "{text:?} is not in {:?}",
        ran.stderr
    );
}

#[test]
fn sources_and_destinations_that_cannot_be_used_are_refused_with_3() {
    let fixture = Fixture::new();
    let temp = fixture.temp.path();
    write(fixture.source.join("a/b"), "x");
    write(temp.join("file"), "x");
    let missing = temp.join("missing");
    fails(3, "cannot use source", [&missing, &fixture.dest]);
    fails(3, "the same directory", [&fixture.source, &fixture.source]);
    fails(
        3,
        "copied onto itself",
        [&fixture.source.join("a"), &fixture.source],
    );
    fails(
        3,
        "does not exist",
        [&fixture.source, &missing.join("below")],
    );
    fails(
        3,
        "is not a directory",
        [&fixture.source, &temp.join("file")],
    );
    // A place where nothing can be made, though its directory is there.
    fails(
        3,
        "cannot use destination",
        [fixture.source.clone(), "/proc/x".into()],
    );
    fails(3, "onto itself", [&temp.join("file"), &temp.to_path_buf()]);
    assert!(!fixture.dest.exists());
    assert!(!temp.join(".sprag").exists());
    let require = ["--require-manifest".into(), fixture.source.clone(), {
        fs::create_dir(&fixture.dest).unwrap();
        fixture.dest.clone()
    }];
    fails(3, "holds no sprag manifest", require);
    assert!(fs::read_dir(&fixture.dest).unwrap().next().is_none());
}

#[test]
fn nothing_is_copied_into_the_state_of_a_destination() {
    let fixture = Fixture::new();
    write(fixture.source.join("f"), "x");
    fixture.copy(0);
    let state = fixture.dest.join(".sprag");
    let before = snapshot(&state);
    for dest in [state.clone(), state.join("new"), state.join("manifest")] {
        fails(3, "is in the state", [&fixture.source.join("f"), &dest]);
    }
    assert_eq!(snapshot(&state), before);
    // A directory of that name which is no state is like any other.
    let other = fixture.temp.path().join(".sprag");
    fs::create_dir(&other).unwrap();
    copy(0, [&fixture.source, &other.join("new")]);
}

#[test]
fn a_record_goes_to_a_file_and_not_to_standard_output() {
    let fixture = Fixture::new();
    write(fixture.source.join("f"), "x");
    for option in ["--log-file", "--report"] {
        let (source, dest) = (fixture.source.to_str(), fixture.dest.to_str());
        fails(
            1,
            "a file of its own",
            [option, "-", source.unwrap(), dest.unwrap()],
        );
    }
    assert!(!fixture.dest.exists());
}

#[test]
fn a_block_size_that_is_none_or_another_is_refused_with_1() {
    let fixture = Fixture::new();
    write(fixture.source.join("a"), "x");
    let with = |size: &str| {
        let size = format!("--block-size={size}");
        [size.into(), fixture.contents(), fixture.dest.clone()]
    };
    fails(1, "not a power of two", with("100000"));
    fails(1, "not a power of two", with("128M"));
    fails(1, "", ["--block-size=zebra", "a", "b"]);
    fails(1, "", [&fixture.dest]);
    assert!(!fixture.dest.exists());
    copy(0, with("64K"));
    fails(1, "was begun with a block size", with("128K"));
    fixture.copy(0);
}

#[test]
fn what_cannot_be_read_is_reported_and_the_rest_is_copied() {
    if !is_root() || !has("setpriv") {
        return skip(
            "what_cannot_be_read_…",
            "root and setpriv, to become another user",
        );
    }
    let fixture = Fixture::new();
    write(fixture.source.join("locked/inside"), "x");
    write(fixture.source.join("secret"), "x");
    write(fixture.source.join("open"), "x");
    for name in ["locked", "secret"] {
        let path = fixture.source.join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    }
    fs::create_dir(&fixture.dest).unwrap();
    for path in [fixture.temp.path(), &fixture.dest] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    std::os::unix::fs::chown(&fixture.dest, Some(USER), Some(USER)).unwrap();
    let program = program_in(fixture.temp.path());
    let output = as_user(Some(USER), &program)
        .env("XDG_STATE_HOME", "/dev/null/state")
        .args(["copy", "--json"])
        .args([fixture.contents(), fixture.dest.clone()])
        .output()
        .unwrap();
    let ran = Ran::from(&output);
    assert_eq!(ran.code, 23, "{}", ran.stderr);
    let unreadable = |path: &str| (path.to_string(), "unreadable".to_string());
    let mut problems = ran.problems();
    problems.sort();
    assert_eq!(problems, [unreadable("locked"), unreadable("secret")]);
    assert!(fixture.dest.join("open").exists());
    assert!(!fixture.dest.join("secret").exists());
}

/// A small file system of its own.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn new(path: &Path, options: &str) -> Option<Mounted> {
        fs::create_dir_all(path).unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(path)
            .status();
        status
            .is_ok_and(|status| status.success())
            .then(|| Mounted(path.to_path_buf()))
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let status = Command::new("mount")
            .args(["-o", &options])
            .arg(&self.0)
            .status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(&self.0).status();
    }
}

#[test]
fn a_full_destination_ends_with_11_and_a_rerun_goes_on_once_there_is_room() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 30, &[6 << 20, 20 << 20]);
    let Some(mounted) = Mounted::new(&fixture.dest, "size=16m") else {
        return skip("a_full_destination_…", "root, to mount a tmpfs");
    };
    let args = || {
        // Without progress a rerun is not counted, so that lack of room is met and not foreseen.
        let options = ["--no-progress", "--block-size=64K", "--checkpoint-size=1M"];
        let options = options.map(Into::into);
        options
            .into_iter()
            .chain([fixture.contents(), fixture.dest.clone()])
    };
    let whole = fixture.temp.path().join("whole");
    fs::rename(&fixture.source, &whole).unwrap();
    write(fixture.source.join("first"), "x");
    copy(0, args());
    fs::remove_dir_all(&fixture.source).unwrap();
    fs::rename(&whole, &fixture.source).unwrap();
    fails(11, "The destination is full; progress is saved", args());
    fails(11, "The destination is full; progress is saved", args());
    mounted.remount("size=64m");
    let ran = copy(0, args());
    assert!(ran.sum("files_unchanged") > 0);
    write(fixture.source.join("first"), "x");
    fixture.copy(0);
    fixture.assert_same();
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
}

#[test]
fn a_read_only_destination_ends_with_11_and_can_still_be_verified() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 5, &[]);
    let Some(mounted) = Mounted::new(&fixture.dest, "size=16m") else {
        return skip("a_read_only_destination_…", "root, to mount a tmpfs");
    };
    mounted.remount("ro");
    fails(
        11,
        "Read-only file system",
        [fixture.contents(), fixture.dest.clone()],
    );
    mounted.remount("rw");
    fixture.copy(0);
    mounted.remount("ro");
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
    fails(
        11,
        "Read-only file system",
        [fixture.contents(), fixture.dest.clone()],
    );
}

fn manifest(fixture: &Fixture) -> std::path::PathBuf {
    fixture.dest.join(".sprag/manifest")
}

#[test]
fn a_part_of_a_copy_is_refused_with_the_name_of_the_directory_that_holds_the_manifest() {
    let fixture = Fixture::new();
    write(fixture.source.join("photos/one"), "x");
    fixture.copy(0);
    let dest = fs::canonicalize(&fixture.dest).unwrap();
    let hint = format!("but {}, which it is in, does", dest.display());
    for part in ["photos", "photos/one"] {
        let part = fixture.dest.join(part);
        for command in ["verify", "status", "export", "clean"] {
            let output = sprag().arg(command).arg(&part).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(3), "{command}: {stderr}");
            assert!(stderr.contains(&hint), "{command} {part:?}: {stderr}");
        }
    }
    let strange = run("verify", [&fixture.source]);
    assert_eq!(strange.code, 3);
    assert!(strange.stderr.contains("nothing was copied there"));
    assert_eq!(run("verify", [dest.join("photos"), "x".into()]).code, 3);
}

#[test]
fn a_file_copied_within_a_destination_is_no_source_with_a_manifest_that_somebody_holds() {
    let fixture = Fixture::new();
    write(fixture.source.join("one"), "x");
    fixture.copy(0);
    let two = fixture.dest.join("two");
    let ran = copy(0, [fixture.dest.join("one"), two.clone()]);
    let warnings = ran.lines.iter().filter(|line| line["type"] == "warning");
    assert_eq!(warnings.count(), 0, "{:?}", ran.lines);
    assert_eq!(fs::read(two).unwrap(), b"x");
}

#[test]
fn a_damaged_manifest_is_refused_with_44_kept_and_set_aside_by_restart() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 20, &[2 << 20]);
    fixture.copy(0);
    let mut bytes = fs::read(manifest(&fixture)).unwrap();
    bytes[5000] ^= 0x10;
    fs::write(manifest(&fixture), &bytes).unwrap();
    fs::remove_file(fixture.dest.join(".sprag/manifest.bak")).unwrap();
    fails(
        44,
        "is damaged at byte",
        [fixture.contents(), fixture.dest.clone()],
    );
    for command in ["verify", "status"] {
        assert_eq!(run(command, [&fixture.dest]).code, 44, "{command}");
    }
    assert_eq!(fs::read(manifest(&fixture)).unwrap(), bytes);
    let args = ["--restart".into(), fixture.contents(), fixture.dest.clone()];
    assert_eq!(copy(0, args).sum("bytes_copied"), 0);
    let aside = fixture.dest.join(".sprag/manifest.damaged");
    assert_eq!(fs::read(aside).unwrap(), bytes);
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
}

#[test]
fn a_destination_in_use_is_refused_with_41_and_the_holder_is_named() {
    let fixture = Fixture::new();
    write(fixture.source.join("large"), Rng::new(1).bytes(256 << 20));
    let mut first = sprag()
        .args(["copy", "-q"])
        .args([fixture.contents(), fixture.dest.clone()])
        .spawn()
        .unwrap();
    let signal = |signal: &str| {
        let pid = first.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.unwrap().success());
    };
    while !manifest(&fixture).exists() {
        std::thread::yield_now();
    }
    signal("STOP");
    let text = format!("process {}", first.id());
    fails(41, &text, [fixture.contents(), fixture.dest.clone()]);
    assert_eq!(run("verify", [&fixture.dest]).code, 41);
    signal("CONT");
    assert!(first.wait().unwrap().success());
    fixture.copy(0);
}

#[test]
fn a_manifest_of_a_newer_version_is_refused_and_not_touched() {
    let fixture = Fixture::new();
    write(fixture.source.join("a"), "x");
    fixture.copy(0);
    let mut bytes = fs::read(manifest(&fixture)).unwrap();
    bytes[8..12].copy_from_slice(&2u32.to_le_bytes());
    let checksum = blake3::hash(&[b"sprag header", &bytes[..56]].concat());
    bytes[56..64].copy_from_slice(&checksum.as_bytes()[..8]);
    fs::write(manifest(&fixture), &bytes).unwrap();
    let text = "format version 2, and this sprag knows only up to 1";
    fails(3, text, [fixture.contents(), fixture.dest.clone()]);
    for command in ["verify", "status"] {
        assert_eq!(run(command, [&fixture.dest]).code, 3, "{command}");
    }
    let restart = ["--restart".into(), fixture.contents(), fixture.dest.clone()];
    fails(3, text, restart);
    assert_eq!(fs::read(manifest(&fixture)).unwrap(), bytes);
}
