//! Sources that are written to while they are read, on file systems whose clock ticks slowly: size and
//! time are the same before and after.

use std::ffi::OsString;
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::support::fuse::FuseImage;
use crate::support::image::Image;
use crate::support::*;

/// ext4 with small inodes, which have room for whole seconds only.
fn coarse(test: &str) -> Option<Image> {
    let image = Image::made_with(test, "ext4", 64 << 20, &["-I", "128"], "")?;
    fs::create_dir(image.at("source")).unwrap();
    Some(image)
}

/// Waits until a second has just begun, so that most of it is left.
fn await_second() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    std::thread::sleep(Duration::from_nanos(
        1_020_000_000 - u64::from(now.subsec_nanos()),
    ));
}

/// Overwrites a file in place.
fn overwrite(path: &Path, content: &[u8]) {
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(content, 0).unwrap();
}

fn args(flags: &[&str], source: &Path, dest: &Path) -> Vec<OsString> {
    let flags = flags.iter().map(OsString::from);
    flags.chain([source.join("").into(), dest.into()]).collect()
}

#[test]
fn a_source_that_is_written_to_while_it_is_copied_is_published_whole() {
    let Some(image) = coarse("a source that is written to on a coarse clock") else {
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let (source, dest) = (image.at("source"), temp.path().join("dest"));
    let contents = [1, 2].map(|seed| Rng::new(seed).bytes(6 << 20));
    let path = source.join("f");
    fs::write(&path, &contents[0]).unwrap();
    await_second();
    overwrite(&path, &contents[0]);
    let began = Instant::now();
    let mut command = sprag();
    command.args(["copy", "--json"]);
    command.args(args(&["--bwlimit=20M"], &source, &dest));
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    overwrite(&path, &contents[1]);
    let in_one_second = began.elapsed() < Duration::from_millis(900);
    let ran = Ran::from(&end_within(60, child));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    match in_one_second {
        true => assert!(fs::read(dest.join("f")).unwrap() == contents[1]),
        false => skip("a source that is written to", "a machine that is less busy"),
    }
}

#[test]
fn a_source_that_is_edited_right_after_its_copy_is_copied_again() {
    let Some(image) = coarse("a source that is edited right after its copy") else {
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let (source, dest) = (image.at("source"), temp.path().join("dest"));
    await_second();
    fs::write(source.join("f"), "before").unwrap();
    copy(0, args(&[], &source, &dest));
    overwrite(&source.join("f"), b"after!");
    copy(0, args(&[], &source, &dest));
    assert_eq!(fs::read(dest.join("f")).unwrap(), b"after!");
}

#[test]
fn a_source_goes_only_when_a_change_of_it_would_have_shown() {
    let Some(image) = coarse("a source that is changed while it is moved") else {
        return;
    };
    // Where the copy can be read back past the cache.
    let (source, dest) = (image.at("source"), image.at("dest"));
    fs::write(source.join("f"), "content").unwrap();
    copy(0, args(&[], &source, &dest));
    await_second();
    // Its time is as it was, and a write of this second would leave all as it is.
    let mtime = fs::metadata(source.join("f")).unwrap().modified().unwrap();
    overwrite(&source.join("f"), b"content");
    File::open(source.join("f"))
        .unwrap()
        .set_modified(mtime)
        .unwrap();
    let began = Instant::now();
    let ran = copy(0, args(&["--remove-source-files"], &source, &dest));
    assert_eq!(ran.sum("sources_removed"), 1);
    assert!(began.elapsed() > Duration::from_millis(800));
    assert!(!source.join("f").exists());
}

/// A source on exFAT by its FUSE driver, which keeps the times itself and shows the modification time
/// as the change time, too.
fn kept_by_a_daemon(test: &str) -> Option<(FuseImage, Fixture)> {
    let exfat = FuseImage::exfat(test)?;
    let temp = tempfile::tempdir().unwrap();
    let (source, dest) = (exfat.at("source"), temp.path().join("dest"));
    Some((exfat, Fixture { temp, source, dest }))
}

/// Writes a file that shows this time.
fn write_at(path: &Path, content: impl AsRef<[u8]>, time: SystemTime) {
    write(path, content);
    // The driver sets both times or none.
    let times = FileTimes::new().set_accessed(time).set_modified(time);
    File::open(path).unwrap().set_times(times).unwrap();
}

fn in_two_hours() -> SystemTime {
    SystemTime::now() + Duration::from_secs(7200)
}

#[test]
fn a_source_with_a_time_to_come_is_compared_by_each_run_and_not_removed() {
    let Some((_exfat, fixture)) = kept_by_a_daemon("a source with a time to come") else {
        return;
    };
    let (path, time) = (fixture.source.join("f"), in_two_hours());
    write_at(&path, "before", time);
    let ran = fixture.copy(0);
    let warnings = ran.lines.iter().filter(|line| line["type"] == "warning");
    let details: String = warnings.map(|line| line["detail"].to_string()).collect();
    assert!(details.contains("the next run compares it"), "{details}");
    for edited in ["after!", "again!"] {
        write_at(&path, edited, time);
        fixture.copy(0);
        let copied = fs::read_to_string(fixture.dest.join("f")).unwrap();
        assert_eq!(copied, edited);
    }
    let moves = args(&["--remove-source-files"], &fixture.source, &fixture.dest);
    let ran = copy(23, moves);
    assert_eq!(ran.problems(), [("f".to_owned(), "source_kept".to_owned())]);
    assert!(path.exists());
}

#[test]
fn a_partial_of_a_source_with_a_time_to_come_is_not_resumed() {
    let test = "a partial of a source with a time to come";
    let Some((_exfat, fixture)) = kept_by_a_daemon(test) else {
        return;
    };
    let contents = [1, 2].map(|seed| Rng::new(seed).bytes(16 << 20));
    let (path, time) = (fixture.source.join("f"), in_two_hours());
    write_at(&path, &contents[0], time);
    begin_copy(&fixture);
    // The driver gives a file another inode number when it is mounted again, but not before.
    let ino = |path: &Path| fs::metadata(path).unwrap().ino();
    let before = ino(&path);
    write_at(&path, &contents[1], time);
    assert_eq!(ino(&path), before);
    let ran = fixture.copy(0);
    assert_eq!(ran.sum("bytes_resumed"), 0);
    assert!(fs::read(fixture.dest.join("f")).unwrap() == contents[1]);
}

#[test]
fn a_source_that_has_settled_since_its_copy_is_compared_once_more() {
    let test = "a source that has settled since its copy";
    let Some((_exfat, fixture)) = kept_by_a_daemon(test) else {
        return;
    };
    let path = fixture.source.join("f");
    // Further ahead than is waited for.
    let time = SystemTime::now() + Duration::from_secs(6);
    write_at(&path, "before", time);
    fixture.copy(0);
    std::thread::sleep(Duration::from_secs(9));
    let ran = fixture.copy(0);
    assert_eq!(
        (ran.sum("files_unchanged"), ran.sum("entries_mended")),
        (1, 0)
    );
    // From now on its time tells, as that of any other file: one that is set back hides an edit.
    write_at(&path, "after!", time);
    fixture.copy(0);
    let copied = fs::read_to_string(fixture.dest.join("f")).unwrap();
    assert_eq!(copied, "before");
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
}
