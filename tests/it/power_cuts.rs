//! File systems without a journal: a killed copy is told from a power cut by boot and mount, wherever in the
//! destination such a file system is mounted.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::fuse::FuseImage;
use crate::support::mount::Mount;
use crate::support::*;

const WARNING: &str = "the last copy here was cut off";
const LARGE: usize = 16 << 20;

/// Copies until some of the large file is recorded as durable, then kills the program.
fn kill_midway(source: &Path, dest: &Path, large: &Path) {
    let mut child = sprag()
        .args(["copy", "-q", "--bwlimit", "12M", "--block-size", "64K"])
        .args(["--checkpoint-size", "1M", "--checkpoint-interval", "100ms"])
        .arg(format!("{}/", source.display()))
        .arg(dest)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while partials_in(large)
        .iter()
        .all(|size| *size < (LARGE / 3) as u64)
    {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "nothing is copied"
        );
        assert!(child.try_wait().unwrap().is_none(), "it ended too soon");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The sizes of the partial files in a directory.
fn partials_in(dir: &Path) -> Vec<u64> {
    let listed = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let partials = listed.filter(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with(".sprag-")
    });
    partials
        .filter_map(|entry| Some(entry.metadata().ok()?.len()))
        .collect()
}

fn warns(ran: &Ran) -> bool {
    let text = |line: &serde_json::Value| line.to_string().contains(WARNING);
    ran.lines.iter().any(text)
}

/// A source with a large file in `dir` and a few small ones.
fn source_with(temp: &Path, dir: &str) -> PathBuf {
    let source = temp.join("source");
    let mut rng = Rng::new(7);
    for n in 0..8 {
        write(source.join(dir).join(format!("a{n}")), rng.bytes(5000));
    }
    write(source.join(dir).join("large"), rng.bytes(LARGE));
    source
}

fn assert_copied(source: &Path, dest: &Path, dir: &str) {
    for entry in std::fs::read_dir(source.join(dir)).unwrap() {
        let name = entry.unwrap().file_name();
        let wanted = std::fs::read(source.join(dir).join(&name)).unwrap();
        let there = std::fs::read(dest.join(dir).join(&name)).unwrap();
        assert!(there == wanted, "{name:?} differs");
    }
}

fn again(source: &Path, dest: &Path) -> Ran {
    copy(
        0,
        [format!("{}/", source.display()), dest.display().to_string()],
    )
}

#[test]
fn a_copy_that_was_killed_on_exfat_goes_on_as_on_any_other_file_system() {
    let Some(exfat) = FuseImage::exfat("a killed copy on exFAT") else {
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let (source, dest) = (source_with(temp.path(), "d"), exfat.at("dest"));
    kill_midway(&source, &dest, &dest.join("d"));
    let ran = again(&source, &dest);
    assert!(!warns(&ran), "{:?}", ran.lines);
    assert!(ran.sum("bytes_resumed") > 0);
    assert_eq!(ran.sum("files_read_back"), 0);
    assert_eq!(partials_in(&dest.join("d")), [0; 0], "a partial is left");
    assert_copied(&source, &dest, "d");
}

#[test]
fn a_copy_on_exfat_that_was_mounted_anew_since_it_was_killed_counts_as_cut_off() {
    let Some(exfat) = FuseImage::exfat("a cut copy on exFAT") else {
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let (source, dest) = (source_with(temp.path(), "d"), exfat.at("dest"));
    kill_midway(&source, &dest, &dest.join("d"));
    exfat.mount_again();
    let ran = again(&source, &dest);
    assert!(warns(&ran), "{:?}", ran.lines);
    assert!(ran.sum("files_read_back") > 0);
    assert_copied(&source, &dest, "d");
    // That run ended in good order, so nothing is wrong any more, wherever it is mounted.
    exfat.mount_again();
    assert!(!warns(&again(&source, &dest)));
}

#[test]
fn a_good_stop_and_a_clean_are_no_power_cut() {
    let test = "a clean copy on exFAT";
    let Some(exfat) = FuseImage::exfat(test) else {
        return;
    };
    let fixture = Fixture {
        dest: exfat.at("dest"),
        ..Fixture::new()
    };
    write(fixture.source.join("large"), Rng::new(3).bytes(LARGE));
    begin_copy(&fixture);
    assert_ne!(partials_in(&fixture.dest), [0; 0]);
    let cleaned = sprag().arg("clean").arg(&fixture.dest).status().unwrap();
    assert!(cleaned.success());
    exfat.mount_again();
    let ran = fixture.copy(0);
    assert!(!warns(&ran), "{:?}", ran.lines);
    assert_eq!(ran.sum("files_read_back"), 0);
}

#[test]
fn exfat_below_a_destination_with_a_journal_gets_the_same_care() {
    let test = "exFAT below another file system";
    let Some(exfat) = FuseImage::exfat(test) else {
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let source = source_with(temp.path(), "drive");
    write(source.join("z"), b"beside it");
    let dest = temp.path().join("dest");
    let shown = dest.join("drive");
    std::fs::create_dir(exfat.at("inside")).unwrap();
    let Some(mount) = Mount::bind(test, &exfat.at("inside"), &shown) else {
        return;
    };
    kill_midway(&source, &dest, &shown);
    let ran = again(&source, &dest);
    assert!(!warns(&ran), "{:?}", ran.lines);
    assert!(ran.sum("bytes_resumed") > 0);
    assert_copied(&source, &dest, "drive");

    write(source.join("drive/large"), Rng::new(9).bytes(LARGE));
    kill_midway(&source, &dest, &shown);
    drop(mount);
    let _mount = Mount::bind(test, &exfat.at("inside"), &shown).unwrap();
    let ran = again(&source, &dest);
    assert!(warns(&ran), "{:?}", ran.lines);
    assert!(ran.sum("files_read_back") > 0);
    assert_copied(&source, &dest, "drive");
    assert_eq!(std::fs::read(dest.join("z")).unwrap(), b"beside it");
}
