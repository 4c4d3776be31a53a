//! What keeps a copy from being made where the drive should be and is not.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::mount::Mount;
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
fn a_destination_whose_drive_is_not_mounted_is_refused_and_left_alone() {
    let scene = Scene::new();
    let dest = &scene.at.dest;
    let Some(drive) = Mount::tmpfs("guards: a drive that is not mounted", dest) else {
        return;
    };
    scene.expect(0, &[]);
    assert_eq!(scene.remembered().len(), 1);
    drop(drive);

    // An empty mount point, and one that went with its drive.
    for exists in [true, false] {
        for flags in [&[][..], &["--restart"], &["-n"]] {
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
fn a_destination_that_was_removed_is_begun_afresh_and_that_is_said() {
    let scene = Scene::new();
    let dest = &scene.at.dest;
    scene.expect(0, &[]);
    for state_only in [true, false] {
        match state_only {
            true => fs::remove_dir_all(dest.join(".sprag")).unwrap(),
            false => fs::remove_dir_all(dest).unwrap(),
        }
        for flags in [&["-n"][..], &["--wait"], &[]] {
            let told = scene.expect(0, flags);
            let first = flags != [""; 0];
            assert_eq!(told.contains("whose state was removed"), first, "{told}");
            if flags == ["--wait"] {
                fs::remove_dir_all(dest.join(".sprag")).unwrap();
                let told = scene.expect(0, &[]);
                assert!(told.contains("whose state was removed"), "{told}");
            }
        }
        scene.at.assert_same();
    }
}

#[test]
fn a_source_below_a_mount_point_of_fstab_has_to_be_mounted() {
    let scene = Scene::new();
    let fstab = scene.at.temp.path().join("fstab");
    let source = scene.at.source.display();
    write(&fstab, format!("UUID=0 {source} ext4 noauto 0 0\n"));
    write(scene.at.dest.join("precious"), "x");
    for flags in [&["--delete"][..], &[], &["--wait"]] {
        let mut command = scene.command(flags);
        let output = command.env("LIBMOUNT_FSTAB", &fstab).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
    }
    assert!(scene.at.dest.join("precious").exists());
    assert!(!scene.at.dest.join(".sprag").exists());
    scene.expect(0, &[]);
    let rebuild = |flags: &[&str]| {
        let mut command = sprag();
        command.args(["verify", "--rebuild", "--from"]);
        command
            .arg(scene.at.contents())
            .args(flags)
            .arg(&scene.at.dest);
        let output = command.env("LIBMOUNT_FSTAB", &fstab).output().unwrap();
        output.status.code()
    };
    fs::remove_dir_all(scene.at.dest.join(".sprag")).unwrap();
    assert_eq!(rebuild(&[]), Some(3));
    assert_eq!(rebuild(&["--no-mount-check"]), Some(0));
}

#[test]
fn a_directory_for_drives_on_the_system_disk_is_no_drive() {
    let test = "a_directory_for_drives_on_the_system_disk";
    let scene = Scene::new();
    let dir = tempfile::tempdir_in("/mnt");
    let Ok(dir) = dir else {
        return skip(test, "a directory in /mnt that can be written to");
    };
    if fs::metadata("/mnt").unwrap().dev() != fs::metadata("/").unwrap().dev() {
        return skip(test, "/mnt on the root file system");
    }
    let to = |flags: &[&str], dest: PathBuf| {
        let mut command = sprag();
        command.env("XDG_STATE_HOME", &scene.state);
        let command = command.arg("copy").args(flags).arg(scene.at.contents());
        command.arg(dest).output().unwrap()
    };
    for dest in [dir.path().to_path_buf(), dir.path().join("new")] {
        let output = to(&[], dest);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains("on the system disk") && told.contains("--no-mount-check"));
    }
    assert!(is_empty(dir.path()));
    let allowed = to(&["--no-mount-check"], dir.path().to_path_buf());
    assert_eq!(allowed.status.code(), Some(0));
    if let Some(_drive) = Mount::tmpfs(test, &dir.path().join("drive")) {
        assert_eq!(
            to(&[], dir.path().join("drive/copy")).status.code(),
            Some(0)
        );
    }
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
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let running: Vec<_> = dests.iter().map(start).collect();
    for child in running {
        assert!(end_within(60, child).status.success());
    }
    assert_eq!(scene.remembered().len(), dests.len());
    for dest in &dests {
        fs::remove_dir_all(dest.join(".sprag")).unwrap();
        let told = end_within(60, start(dest)).stderr;
        assert!(String::from_utf8_lossy(&told).contains("whose state was removed"));
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

#[test]
fn a_source_that_has_become_empty_is_refused_and_nothing_is_deleted() {
    let scene = Scene::new();
    let file = scene.at.source.join("a");
    scene.expect(0, &[]);
    fs::remove_file(&file).unwrap();
    for flags in [&["--delete"][..], &[], &["-n", "--delete"]] {
        let told = scene.expect(3, flags);
        assert!(
            told.contains("is empty") && told.contains("--no-mount-check"),
            "{told}"
        );
    }
    assert!(scene.at.dest.join("a").exists());
    scene.expect(0, &["--delete", "--no-mount-check"]);
    assert!(!scene.at.dest.join("a").exists());
    // Nothing was copied from it by now.
    scene.expect(0, &["--delete"]);
    // What is moved leaves nothing behind.
    write(&file, "content");
    scene.expect(0, &[]);
    fs::remove_file(&file).unwrap();
    scene.expect(0, &["--remove-source-files"]);
}

#[test]
fn a_source_on_another_file_system_that_lacks_most_of_the_copy_deletes_nothing() {
    let scene = Scene::new();
    let source = &scene.at.source;
    for name in ["b", "c", "d"] {
        write(source.join(name), name);
    }
    scene.expect(0, &[]);
    // Another drive, in the place of the one that was copied from.
    let test = "guards: another drive in the place of a source";
    let Some(other) = Mount::tmpfs(test, source) else {
        return;
    };
    write(source.join("a"), "content");
    for flags in [&["--delete"][..], &["-n", "--delete"]] {
        let told = scene.expect(3, flags);
        for word in ["lacks 3 of 4 entries", "tmpfs", "--no-mount-check"] {
            assert!(told.contains(word), "{told}");
        }
    }
    for name in ["a", "b", "c", "d"] {
        assert!(scene.at.dest.join(name).exists(), "{name}");
    }
    // One that has half of it is believed, as is the same one, whatever it lacks.
    write(source.join("b"), "b");
    scene.expect(0, &["--delete"]);
    assert!(!scene.at.dest.join("c").exists());
    write(source.join("e"), "e");
    write(source.join("f"), "f");
    scene.expect(0, &["--delete"]);
    for name in ["a", "b", "e"] {
        fs::remove_file(source.join(name)).unwrap();
    }
    scene.expect(0, &["--delete"]);
    drop(other);
    // Without deleting, nothing can be lost.
    scene.expect(0, &[]);
    for name in ["a", "b", "c", "d"] {
        fs::remove_file(source.join(name)).unwrap();
    }
    write(source.join("g"), "g");
    assert!(scene.at.dest.join("d").exists());
    scene.expect(0, &["--delete", "--no-mount-check"]);
    assert!(!scene.at.dest.join("d").exists());
}
