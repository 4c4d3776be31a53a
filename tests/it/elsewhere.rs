//! A manifest that is kept elsewhere than on the drive that it tells of (`--manifest`).

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::image::{Image, tool};
use crate::support::*;

/// A copy, and a copy of its manifest in another place.
fn kept() -> (Fixture, PathBuf) {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 8, &[3 << 20]);
    fixture.copy(0);
    let kept = keep(&fixture, &fixture.dest);
    (fixture, kept)
}

fn keep(fixture: &Fixture, dest: &Path) -> PathBuf {
    let kept = fixture.temp.path().join("drive.manifest");
    fs::copy(dest.join(".sprag/manifest"), &kept).unwrap();
    kept
}

fn verify(manifest: &Path, dest: &Path) -> Ran {
    let args = [
        "--manifest".as_ref(),
        manifest.as_os_str(),
        dest.as_os_str(),
    ];
    run("verify", args)
}

/// Flips a byte of a manifest's first record.
fn rot_record(path: &Path) {
    let file = fs::File::options().read(true).write(true).open(path);
    let (file, mut byte) = (file.unwrap(), [0]);
    file.read_exact_at(&mut byte, 4096 + 13).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 4096 + 13).unwrap();
}

#[test]
fn a_drive_whose_own_manifest_is_lost_or_damaged_is_verified_by_one_kept_elsewhere() {
    let (fixture, kept) = kept();
    rot_record(&fixture.dest.join(".sprag/manifest"));
    let state = fs::read(fixture.dest.join(".sprag/manifest")).unwrap();
    let ran = verify(&kept, &fixture.dest);
    assert_eq!((ran.code, ran.problems()), (0, vec![]), "{}", ran.stderr);
    let files = ran.sum("entries_ok");
    assert!(files > 8);
    let after = fs::read(fixture.dest.join(".sprag/manifest")).unwrap();
    assert!(state == after, "the one below the destination was touched");
    fs::remove_dir_all(fixture.dest.join(".sprag")).unwrap();
    let ran = verify(&kept, &fixture.dest);
    assert_eq!(
        (ran.code, ran.sum("entries_ok")),
        (0, files),
        "{}",
        ran.stderr
    );
    assert!(!fixture.dest.join(".sprag").exists());
    rot(&fixture.dest.join("large0"), 2 << 20);
    let ran = verify(&kept, &fixture.dest);
    let corrupt = [("large0".to_string(), "corrupt".to_string())];
    assert_eq!((ran.code, &ran.problems()[..]), (40, &corrupt[..]));
    fixture.copy(0);
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
}

#[test]
fn the_history_of_verifications_goes_into_the_manifest_kept_elsewhere() {
    let (fixture, kept) = kept();
    let own = fs::read(fixture.dest.join(".sprag/manifest")).unwrap();
    assert_eq!(verify(&kept, &fixture.dest).code, 0);
    let status = |more: &[&std::ffi::OsStr]| {
        let args = more.iter().copied().chain([fixture.dest.as_os_str()]);
        let ran = run("status", args);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.lines[0].clone()
    };
    let by_kept = status(&["--manifest".as_ref(), kept.as_os_str()]);
    assert_eq!(by_kept["last_verify"]["exit_code"], 0, "{by_kept}");
    assert!(status(&[])["last_verify"].is_null());
    let after = fs::read(fixture.dest.join(".sprag/manifest")).unwrap();
    assert!(own == after, "the one below the destination was touched");
}

#[test]
fn a_verification_that_is_stopped_goes_on_by_the_manifest_kept_elsewhere() {
    let fixture = Fixture::new();
    for n in 0..8 {
        write(
            fixture.source.join(format!("f{n}")),
            Rng::new(n).bytes(1 << 20),
        );
    }
    fixture.copy(0);
    let kept = keep(&fixture, &fixture.dest);
    fs::remove_dir_all(fixture.dest.join(".sprag")).unwrap();
    let mut child = sprag()
        .args([
            "verify",
            "--bwlimit=3M",
            "-j1",
            "-v",
            "--json",
            "--manifest",
        ])
        .args([&kept, &fixture.dest])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let judged = lines.find(|line| line.as_ref().unwrap().contains("\"entry\""));
    assert!(judged.is_some());
    tool(Command::new("kill").arg(child.id().to_string())).unwrap();
    let rest = lines.count();
    assert_eq!(child.wait().unwrap().code(), Some(20), "after {rest} lines");
    let ran = verify(&kept, &fixture.dest);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.sum("entries_before") > 0);
    assert!(ran.sum("bytes_read") < 8 << 20);
    assert!(!fixture.dest.join(".sprag").exists());
}

#[test]
fn a_drive_that_cannot_be_written_to_is_verified_and_noted_elsewhere() {
    let test = "a_drive_that_cannot_be_written_to_is_verified_and_noted_elsewhere";
    let Some(image) = Image::new(test, "ext4", 64 << 20, "") else {
        return;
    };
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 5, &[]);
    let dest = image.at("dest");
    copy(0, [fixture.contents(), dest.clone()]);
    let kept = keep(&fixture, &dest);
    image.mount_again("ro");
    let before = fs::read(&image.file).unwrap();
    let ran = verify(&kept, &dest);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!ran.lines.iter().any(|line| line["type"] == "warning"));
    let again = sprag()
        .args(["verify", "--older-than=1h", "--json", "--manifest"])
        .args([&kept, &dest])
        .output();
    let again = Ran::from(&again.unwrap());
    assert_eq!((again.code, again.sum("entries_ok")), (0, 0));
    assert!(again.sum("entries_recent") > 5);
    // The other way round: what is noted goes nowhere, and that is said.
    fs::copy(&kept, fixture.temp.path().join("m")).unwrap();
    let by_own = verify(&dest.join(".sprag/manifest"), &dest);
    assert_eq!(by_own.code, 0, "{}", by_own.stderr);
    assert!(by_own.lines.iter().any(|line| line["type"] == "warning"));
    assert!(
        fs::read(&image.file).unwrap() == before,
        "the drive was written to"
    );
}

#[test]
fn a_manifest_of_another_tree_is_told_and_judged_as_what_it_names() {
    let (_fixture, kept) = kept();
    let other = Fixture::new();
    write(other.source.join("large0"), Rng::new(77).bytes(3 << 20));
    write(other.source.join("only here"), "x");
    other.copy(0);
    let before = snapshot(&other.dest);
    let ran = verify(&kept, &other.dest);
    assert_eq!(ran.code, 40, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("of another destination"),
        "{}",
        ran.stderr
    );
    let problems = ran.problems();
    assert!(problems.contains(&("large0".into(), "modified".into())));
    assert!(problems.contains(&("link".into(), "missing".into())));
    assert_eq!(ran.sum("entries_extra"), 1);
    assert_eq!(snapshot(&other.dest), before);
}

#[test]
fn a_list_is_exported_by_a_manifest_kept_elsewhere() {
    let (fixture, kept) = kept();
    let export = |manifest: Option<&Path>| {
        let mut command = sprag();
        command.arg("export");
        if let Some(manifest) = manifest {
            command.arg("--manifest").arg(manifest);
        }
        command.arg(&fixture.dest).output().unwrap()
    };
    let own = export(None);
    fs::remove_dir_all(fixture.dest.join(".sprag")).unwrap();
    assert_eq!(export(None).status.code(), Some(3));
    let by_kept = export(Some(&kept));
    assert!(by_kept.status.code() == own.status.code() && !own.stdout.is_empty());
    assert!(by_kept.stdout == own.stdout);
}

#[test]
fn what_is_no_manifest_is_refused_and_a_damaged_one_is_told_and_kept() {
    let (fixture, kept) = kept();
    let missing = verify(&fixture.temp.path().join("nothing"), &fixture.dest);
    assert_eq!(missing.code, 3, "{}", missing.stderr);
    let empty = fixture.temp.path().join("empty");
    write(&empty, "");
    assert_eq!(verify(&empty, &fixture.dest).code, 3);
    let text = fixture.source.join("large0");
    assert_eq!(verify(&text, &fixture.dest).code, 44);
    rot_record(&kept);
    let rotten = fs::read(&kept).unwrap();
    let ran = verify(&kept, &fixture.dest);
    assert_eq!(ran.code, 44, "{}", ran.stderr);
    assert!(ran.stderr.contains("drive.manifest"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("--restart"), "{}", ran.stderr);
    // What is left of it is used.
    assert!(ran.sum("entries_ok") > 0 && ran.sum("entries_extra") == 0);
    let damage = &ran.lines.last().unwrap()["manifest_damage"];
    assert_eq!(damage["copy"], "elsewhere", "{damage}");
    assert!(fs::read(&kept).unwrap() == rotten);
}
