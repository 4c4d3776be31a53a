//! Going on inside a file: the prefix is trusted, the tail is proved, the rest is copied.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::*;

const BLOCK: u64 = 64 << 10;
const CHECKPOINT: u64 = 2 << 20;

fn small_steps() -> [&'static str; 4] {
    ["--block-size", "64K", "--checkpoint-size", "2M"]
}

/// The partial file in a directory.
fn partial(dir: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(dir).ok()?;
    let names = entries.map(|entry| entry.unwrap().path());
    names
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .ends_with(".partial")
        })
        .max_by_key(|path| fs::metadata(path).map_or(0, |meta| meta.len()))
}

fn start(args: impl IntoIterator<Item = PathBuf>) -> Child {
    sprag()
        .args(["copy", "--json"])
        .args(small_steps())
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Starts copying one large file and kills it when `bytes` of it are written.
fn kill_at(fixture: &Fixture, bytes: u64) {
    let mut child = start([fixture.contents(), fixture.dest.clone()]);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let len =
            partial(&fixture.dest).map_or(0, |path| fs::metadata(path).map_or(0, |m| m.len()));
        if len >= bytes {
            break;
        }
        assert!(Instant::now() < deadline, "never got to {bytes} bytes");
        assert!(child.try_wait().unwrap().is_none(), "ended before the kill");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn large(fixture: &Fixture, len: usize) -> Vec<u8> {
    let content = Rng::new(9).bytes(len);
    write(fixture.source.join("large"), &content);
    content
}

fn rerun(fixture: &Fixture) -> Ran {
    let args = small_steps().map(PathBuf::from);
    copy(
        0,
        args.into_iter()
            .chain([fixture.contents(), fixture.dest.clone()]),
    )
}

#[test]
fn a_killed_copy_goes_on_inside_the_file_and_reads_back_only_the_tail() {
    let fixture = Fixture::new();
    let content = large(&fixture, 192 << 20);
    kill_at(&fixture, 96 << 20);
    assert!(!fixture.dest.join("large").exists());
    let ran = rerun(&fixture);
    let size = content.len() as u64;
    assert!(
        ran.sum("bytes_resumed") >= 64 << 20,
        "{:?}",
        ran.lines.last()
    );
    assert_eq!(ran.sum("bytes_resumed") + ran.sum("bytes_copied"), size);
    assert!(ran.sum("bytes_rehashed") <= 3 * (CHECKPOINT + BLOCK));
    fixture.assert_same();
    let exported = sprag().arg("export").arg(&fixture.dest).output().unwrap();
    let hash = blake3::hash(&content).to_hex();
    assert_eq!(
        String::from_utf8(exported.stdout).unwrap(),
        format!("{hash}  large\n")
    );
}

#[test]
fn a_tail_that_was_lost_is_cut_off_at_its_first_bad_block_and_copied_again() {
    let fixture = Fixture::new();
    large(&fixture, 96 << 20);
    kill_at(&fixture, 48 << 20);
    // What a power cut does to data that was never flushed: the last written part reads as zeros.
    let path = partial(&fixture.dest).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    let len = file.metadata().unwrap().len();
    file.write_all_at(
        &vec![0; 3 * BLOCK as usize],
        len / BLOCK * BLOCK - 2 * BLOCK,
    )
    .unwrap();
    drop(file);
    rerun(&fixture);
    fixture.assert_same();
}

#[test]
fn a_partial_whose_source_changed_is_dropped_and_begun_again() {
    let fixture = Fixture::new();
    large(&fixture, 64 << 20);
    kill_at(&fixture, 24 << 20);
    let path = fixture.source.join("large");
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"changed", 5).unwrap();
    drop(file);
    let ran = rerun(&fixture);
    assert_eq!(ran.sum("bytes_resumed"), 0);
    assert_eq!(ran.sum("bytes_copied"), 64 << 20);
    fixture.assert_same();
}

#[test]
fn an_older_file_stays_readable_until_the_new_one_is_whole() {
    let fixture = Fixture::new();
    write(fixture.source.join("large"), "old");
    let first = small_steps().map(PathBuf::from);
    copy(
        0,
        first
            .into_iter()
            .chain([fixture.contents(), fixture.dest.clone()]),
    );
    large(&fixture, 64 << 20);
    kill_at(&fixture, 24 << 20);
    assert_eq!(fs::read(fixture.dest.join("large")).unwrap(), b"old");
    rerun(&fixture);
    fixture.assert_same();
}

#[test]
fn a_partial_that_is_gone_is_begun_again() {
    let fixture = Fixture::new();
    large(&fixture, 64 << 20);
    kill_at(&fixture, 24 << 20);
    fs::remove_file(partial(&fixture.dest).unwrap()).unwrap();
    let ran = rerun(&fixture);
    assert_eq!(ran.sum("bytes_resumed"), 0);
    fixture.assert_same();
}

#[test]
fn a_signal_makes_a_barrier_and_the_rerun_reads_nothing_back() {
    for signal in ["INT", "TERM"] {
        let fixture = Fixture::new();
        large(&fixture, 256 << 20);
        let child = start([fixture.contents(), fixture.dest.clone()]);
        let deadline = Instant::now() + Duration::from_secs(60);
        while partial(&fixture.dest).is_none_or(|p| fs::metadata(p).unwrap().len() < 16 << 20) {
            assert!(Instant::now() < deadline);
        }
        let kill = format!("kill -{signal} {}", child.id());
        assert!(
            std::process::Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
        let stopped = Ran::from(&child.wait_with_output().unwrap());
        assert_eq!(stopped.code, 20, "{}", stopped.stderr);
        assert!(stopped.stderr.contains("sprag copy"), "{}", stopped.stderr);
        let ran = rerun(&fixture);
        assert_eq!(ran.sum("bytes_rehashed"), 0);
        assert_eq!(ran.sum("bytes_resumed"), stopped.sum("bytes_copied"));
        fixture.assert_same();
    }
}

/// A copy that was stopped inside its one file.
fn half_copied() -> Fixture {
    let fixture = Fixture::new();
    write(fixture.source.join("a"), Rng::new(7).bytes(16 << 20));
    begin_copy(&fixture);
    fixture
}

#[test]
fn a_source_with_another_number_mode_or_link_is_resumed_once_its_beginning_was_compared() {
    let change: [fn(&Path); 3] = [
        |file| {
            fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap()
        },
        |file| fs::hard_link(file, file.with_file_name("b")).unwrap(),
        |file| {
            let time = fs::metadata(file).unwrap().modified().unwrap();
            let content = fs::read(file).unwrap();
            fs::rename(file, file.with_file_name("old")).unwrap();
            write(file, content);
            let new = fs::File::options().write(true).open(file).unwrap();
            new.set_modified(time).unwrap();
            fs::remove_file(file.with_file_name("old")).unwrap();
        },
    ];
    for change in change {
        let fixture = half_copied();
        change(&fixture.source.join("a"));
        let ran = fixture.copy(0);
        assert!(ran.sum("bytes_resumed") > 0, "{:?}", ran.lines);
        fixture.assert_same();
        assert_eq!(run("verify", [&fixture.dest]).code, 0);
    }
}

#[test]
fn another_content_of_the_same_size_and_time_is_not_mixed_with_what_was_copied() {
    let fixture = half_copied();
    let file = fixture.source.join("a");
    let time = fs::metadata(&file).unwrap().modified().unwrap();
    write(&file, Rng::new(8).bytes(16 << 20));
    let new = fs::File::options().write(true).open(&file).unwrap();
    new.set_modified(time).unwrap();
    assert_eq!(fixture.copy(0).sum("bytes_resumed"), 0);
    fixture.assert_same();
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
}

#[test]
fn another_content_that_begins_alike_is_resumed_from_the_first_difference() {
    let fixture = half_copied();
    let file = fixture.source.join("a");
    let time = fs::metadata(&file).unwrap().modified().unwrap();
    let mut content = fs::read(&file).unwrap();
    content[(64 << 10) + 5] ^= 1;
    write(&file, content);
    let new = fs::File::options().write(true).open(&file).unwrap();
    new.set_modified(time).unwrap();
    assert_eq!(fixture.copy(0).sum("bytes_resumed"), 64 << 10);
    fixture.assert_same();
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
}
