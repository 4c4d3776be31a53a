//! What keeps a copy from being made where the drive should be and is not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::*;

/// A small source, a destination, and a state directory of its own.
struct Scene {
    at: Fixture,
    state: PathBuf,
}

impl Scene {
    fn new() -> Scene {
        let at = Fixture::new();
        write(at.source.join("a"), "content");
        let state = at.temp.path().join("state");
        Scene { at, state }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = sprag();
        command.env("XDG_STATE_HOME", &self.state);
        command.arg("copy").args(args);
        command.args([self.at.contents(), self.at.dest.clone()]);
        command
    }

    fn copy(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    #[track_caller]
    fn expect(&self, code: i32, args: &[&str]) -> String {
        let output = self.copy(args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        stderr
    }

    /// The files in which destinations are remembered.
    fn remembered(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.state.join("sprag/destinations"));
        files
            .map(|files| files.flatten().map(|file| file.path()).collect())
            .unwrap_or_default()
    }
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn a_destination_that_held_a_copy_and_holds_none_is_refused_and_left_alone() {
    let scene = Scene::new();
    let dest = &scene.at.dest;
    scene.expect(0, &[]);
    assert_eq!(scene.remembered().len(), 1);

    // An empty mount point, and one that went with its drive.
    fs::remove_dir_all(dest).unwrap();
    for exists in [true, false] {
        if exists {
            fs::create_dir(dest).unwrap();
        }
        for flags in [&[][..], &["--restart"]] {
            let told = scene.expect(3, flags);
            assert!(
                told.contains("is not mounted, or its state was removed"),
                "{told}"
            );
            assert!(told.contains("--new"), "{told}");
        }
        match exists {
            true => {
                assert!(is_empty(dest));
                fs::remove_dir(dest).unwrap();
            }
            false => assert!(!dest.exists()),
        }
    }
    // By another name of the same directory.
    fs::create_dir(dest).unwrap();
    let link = scene.at.temp.path().join("link");
    std::os::unix::fs::symlink(dest, &link).unwrap();
    let output = (sprag().env("XDG_STATE_HOME", &scene.state))
        .arg("copy")
        .args([scene.at.contents(), link])
        .output();
    assert_eq!(output.unwrap().status.code(), Some(3));

    scene.expect(0, &["--new"]);
    scene.at.assert_same();
    scene.expect(0, &[]);
}

#[test]
fn a_known_destination_whose_manifest_and_its_copy_are_damaged_is_there_and_can_be_restarted() {
    let scene = Scene::new();
    scene.expect(0, &[]);
    let state = scene.at.dest.join(".sprag");
    for name in ["manifest", "manifest.bak"] {
        let mut bytes = fs::read(state.join(name)).unwrap();
        bytes[4096 + 13] ^= 1;
        fs::write(state.join(name), bytes).unwrap();
    }
    let told = scene.expect(44, &[]);
    assert!(told.contains("`sprag copy --restart`"), "{told}");
    scene.expect(0, &["--restart"]);
    assert!(state.join("manifest.damaged").exists());
    assert_eq!(run("verify", [&scene.at.dest]).code, 0);
}

#[test]
fn without_a_state_or_with_a_broken_one_a_copy_is_as_the_first() {
    let scene = Scene::new();
    scene.expect(0, &[]);
    for file in scene.remembered() {
        fs::write(file, "broken").unwrap();
    }
    fs::remove_dir_all(&scene.at.dest).unwrap();
    scene.expect(0, &[]);
    scene.at.assert_same();
    // Nor does a state that cannot be written matter.
    fs::remove_dir_all(&scene.state).unwrap();
    fs::write(&scene.state, "a file").unwrap();
    scene.expect(0, &[]);
}

#[test]
fn a_state_removed_by_clean_is_forgotten() {
    let scene = Scene::new();
    scene.expect(0, &[]);
    let clean = (sprag().env("XDG_STATE_HOME", &scene.state))
        .args(["clean", "--all"])
        .arg(&scene.at.dest)
        .status();
    assert!(clean.unwrap().success());
    assert!(scene.remembered().is_empty());
    scene.expect(0, &[]);
}

#[test]
fn runs_at_the_same_time_do_not_hurt_what_is_remembered() {
    let scene = Scene::new();
    let dests: Vec<PathBuf> = (0..6)
        .map(|n| scene.at.temp.path().join(format!("d{n}")))
        .collect();
    let start = |dest: &PathBuf| {
        (sprag().env("XDG_STATE_HOME", &scene.state))
            .args(["copy", "-q"])
            .args([&scene.at.contents(), dest])
            .spawn()
            .unwrap()
    };
    let running: Vec<_> = dests.iter().map(start).collect();
    for child in running {
        assert!(end_within(60, child).status.success());
    }
    assert_eq!(scene.remembered().len(), dests.len());
    for dest in &dests {
        fs::remove_dir_all(dest).unwrap();
        assert_eq!(end_within(60, start(dest)).status.code(), Some(3));
        assert!(!dest.exists());
    }
}

#[test]
fn a_required_manifest_keeps_even_the_directory_from_being_made() {
    let scene = Scene::new();
    let told = scene.expect(3, &["--require-manifest"]);
    assert!(told.contains("holds no sprag manifest"), "{told}");
    assert!(!scene.at.dest.exists());
    fs::create_dir(&scene.at.dest).unwrap();
    scene.expect(3, &["--require-manifest"]);
    assert!(is_empty(&scene.at.dest));
}

#[test]
fn a_mount_point_that_fstab_lists_has_to_be_mounted() {
    let scene = Scene::new();
    let point = scene.at.temp.path();
    let fstab = point.join("fstab");
    write(
        &fstab,
        format!("# drives\nUUID=0 {} ext4 noauto 0 0\n", point.display()),
    );
    let run = |flags: &[&str]| {
        let mut command = scene.command(flags);
        command.env("LIBMOUNT_FSTAB", &fstab).output().unwrap()
    };
    let refused = run(&[]);
    assert_eq!(refused.status.code(), Some(3));
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(
        told.contains("where nothing is mounted") && told.contains("--no-mount-check"),
        "{told}"
    );
    assert!(!scene.at.dest.exists());
    assert_eq!(run(&["--no-mount-check"]).status.code(), Some(0));
    scene.at.assert_same();
    // Known by its manifest or not: it is not the drive that fstab means.
    assert_eq!(run(&[]).status.code(), Some(3));
}
