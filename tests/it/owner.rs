//! Whose state is believed, and who may read it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use crate::support::*;

const STRANGER: u32 = 20_001;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A destination that was copied to, and a source that has something new.
fn fixture() -> Fixture {
    // Without a journal names are not counted.
    let fixture = Fixture::journaled();
    write(fixture.source.join("a"), "a");
    fixture.copy(0);
    write(fixture.source.join("b"), "b");
    fixture
}

#[test]
fn a_state_that_others_can_have_written_is_not_believed() {
    if !is_root_with("a_state_that_others_can_have_written", &[]) {
        return;
    }
    type Spoil = fn(&Path);
    let spoil: [(&str, Spoil); 6] = [
        ("its directory", |state| {
            chown(state, Some(STRANGER), None).unwrap()
        }),
        ("its manifest", |state| {
            chown(state.join("manifest"), Some(STRANGER), None).unwrap()
        }),
        ("its copy", |state| {
            chown(state.join("manifest.bak"), Some(STRANGER), None).unwrap()
        }),
        ("all may write", |state| set_mode(state, 0o777)),
        ("a group may write", |state| {
            chown(state, None, Some(STRANGER)).unwrap();
            set_mode(state, 0o775);
        }),
        ("a second name", |state| {
            fs::hard_link(state.join("manifest"), state.join("../outside")).unwrap();
        }),
    ];
    for (what, spoil) in spoil {
        let fixture = fixture();
        let state = fixture.dest.join(".sprag");
        spoil(&state);
        let ran = copy(3, [&fixture.contents(), &fixture.dest]);
        assert!(
            ran.stderr.contains("not believed") && ran.stderr.contains("--trust-state"),
            "{what}"
        );
        let mends = [
            "--repair".into(),
            "--from".into(),
            fixture.contents(),
            fixture.dest.clone(),
        ];
        rot(&fixture.dest.join("a"), 0);
        let damaged = snapshot(&fixture.dest);
        assert_eq!(run("verify", mends).code, 3, "{what}");
        assert_eq!(snapshot(&fixture.dest), damaged, "{what}");
        assert_eq!(run("clean", [&fixture.dest]).code, 3, "{what}");
        // It may be read, and is left as it is.
        assert_eq!(run("verify", [&fixture.dest]).code, 40, "{what}");
        assert_eq!(run("status", [&fixture.dest]).code, 0, "{what}");
        copy(
            0,
            [
                "--trust-state".into(),
                fixture.contents(),
                fixture.dest.clone(),
            ],
        );
        assert!(fixture.dest.join("b").exists(), "{what}");
    }
}

#[test]
fn an_empty_state_directory_of_somebody_else_is_refused_before_the_first_copy() {
    if !is_root_with("an_empty_state_directory_of_somebody_else", &[]) {
        return;
    }
    let fixture = Fixture::new();
    write(fixture.source.join("a"), "a");
    let state = fixture.dest.join(".sprag");
    fs::create_dir_all(&state).unwrap();
    chown(&state, Some(STRANGER), None).unwrap();
    let ran = copy(3, [&fixture.contents(), &fixture.dest]);
    assert!(ran.stderr.contains(&STRANGER.to_string()), "{}", ran.stderr);
    assert!(!fixture.dest.join("a").exists());
    fs::remove_dir(&state).unwrap();
    symlink(fixture.temp.path(), &state).unwrap();
    copy(11, [&fixture.contents(), &fixture.dest]);
}

#[test]
fn a_manifest_above_a_source_that_is_somebody_else_s_decides_nothing() {
    if !is_root_with("a_manifest_above_a_source", &[]) {
        return;
    }
    let fixture = fixture();
    // By its manifest this has rotted.
    rot(&fixture.dest.join("a"), 0);
    let next = fixture.temp.path().join("next");
    copy(23, [&fixture.dest.join("a"), &next]);
    chown(fixture.dest.join(".sprag"), Some(STRANGER), None).unwrap();
    let ran = copy(0, [&fixture.dest.join("a"), &next]);
    assert!(ran.stderr.contains("not believed"), "{}", ran.stderr);
}

#[test]
fn the_state_is_as_private_as_what_is_copied() {
    let modes = |fixture: &Fixture| {
        let state = fixture.dest.join(".sprag");
        ["", "manifest", "manifest.bak"].map(|name| mode(&state.join(name)))
    };
    let public = Fixture::new();
    set_mode(&public.source, 0o755);
    write(public.source.join("dir/a"), "a");
    public.copy(0);
    assert_eq!(modes(&public), [0o755, 0o644, 0o644]);
    // It closes with the first file that others may not read.
    write(public.source.join("dir/b"), "b");
    set_mode(&public.source.join("dir/b"), 0o640);
    public.copy(0);
    assert_eq!(modes(&public), [0o700, 0o600, 0o600]);
    public.copy(0);
    assert_eq!(modes(&public), [0o700, 0o600, 0o600]);
    for (path, private) in [("dir/a", 0o600), ("dir", 0o711), ("", 0o700)] {
        let fixture = Fixture::new();
        set_mode(&fixture.source, 0o755);
        write(fixture.source.join("dir/a"), "a");
        set_mode(&fixture.source.join(path), private);
        fixture.copy(0);
        assert_eq!(modes(&fixture), [0o700, 0o600, 0o600], "{path}");
    }
}

#[test]
fn others_may_verify_what_they_may_read() {
    if !is_root_with("others_may_verify_what_they_may_read", &["setpriv"]) {
        return;
    }
    let fixture = Fixture::new();
    for dir in [fixture.temp.path(), &fixture.source] {
        set_mode(dir, 0o755);
    }
    write(fixture.source.join("a"), "a");
    fixture.copy(0);
    let program = user::program_in(fixture.temp.path());
    let verify = || {
        let mut command: Command = user::as_user(Some(STRANGER), &program);
        command
            .arg("verify")
            .arg(&fixture.dest)
            .status()
            .unwrap()
            .code()
    };
    assert_eq!(verify(), Some(0));
    write(fixture.source.join("b"), "b");
    set_mode(&fixture.source.join("b"), 0o600);
    fixture.copy(0);
    assert_ne!(verify(), Some(0));
}
