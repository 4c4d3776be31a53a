//! What is tried again, what is not, and sources that cannot be read to their end.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::*;

const MIB: usize = 1 << 20;

fn lines<'a>(ran: &'a Ran, kind: &str) -> Vec<&'a Value> {
    let of_kind = ran.lines.iter().filter(|line| line["type"] == kind);
    of_kind.collect()
}

/// A source of two small files around a large one, and the arguments that copy it.
fn scene(retries: &str) -> (Fixture, Vec<String>) {
    let at = Fixture::new();
    write(at.source.join("a"), "small");
    write(at.source.join("b"), Rng::new(7).bytes(3 * MIB));
    write(at.source.join("c"), "small too");
    let fixed = ["copy", "--json", "--jobs", "1", "--retries", retries];
    let mut args: Vec<String> = fixed.map(String::from).to_vec();
    args.push(at.contents().display().to_string());
    args.push(at.dest.display().to_string());
    (at, args)
}

#[test]
fn a_read_that_fails_once_is_made_again_and_told() {
    if !strace::works("a read that fails once") {
        return;
    }
    let (at, args) = scene("2");
    let log = at.temp.path().join("log");
    let what = "error=EIO:when=4";
    let injected = strace::inject_at(&at.source.join("b"), "pread64", what, &log, &args);
    assert!(injected.hits > 0);
    let ran = injected.ran;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    at.assert_same();
    let retries = lines(&ran, "retry");
    assert_eq!(retries.len(), 1);
    assert_eq!(retries[0]["attempt"], 1);
    assert_eq!(
        (&retries[0]["of"], &retries[0]["wait_ms"]),
        (&2.into(), &250.into())
    );
    let detail = retries[0]["detail"].as_str().unwrap();
    assert_eq!(detail, "Input/output error");
    assert!(ran.stderr.contains("trying again in 0.2 s (1 of 2)"));
}

#[test]
fn a_busy_name_at_the_destination_is_tried_again() {
    if !strace::works("a busy name") {
        return;
    }
    let (at, args) = scene("1");
    fs::create_dir_all(at.source.join("dir/dir/dir")).unwrap();
    let log = at.temp.path().join("log");
    // The first thread makes two directories, `.sprag` and the one for trying names in.
    let injected = strace::inject("mkdirat", "error=EBUSY:when=3", &log, &args);
    assert_eq!(injected.ran.code, 0, "{}", injected.ran.stderr);
    assert_eq!(lines(&injected.ran, "retry").len(), 1);
    at.assert_same();
}

#[test]
fn a_write_is_never_tried_again() {
    if !strace::works("a write that fails once") {
        return;
    }
    for error in ["EIO", "EAGAIN", "EBUSY", "ETIMEDOUT", "ESTALE"] {
        let (at, args) = scene("5");
        let log = at.temp.path().join("log");
        // The header of the manifest is written by the first thread.
        let what = format!("error={error}:when=2");
        let injected = strace::inject("pwrite64", &what, &log, &args);
        assert!(injected.hits > 0);
        assert_eq!(injected.ran.code, 11, "{error}: {}", injected.ran.stderr);
        assert!(lines(&injected.ran, "retry").is_empty(), "{error}");
        assert_eq!(run("copy", &args[2..]).code, 0);
        at.assert_same();
    }
}

/// The ranges of the one problem, and how many bytes they are together.
#[track_caller]
fn bad_ranges(ran: &Ran, path: &str) -> (Vec<(u64, u64)>, u64) {
    assert_eq!(ran.code, 23, "{}", ran.stderr);
    assert_eq!(ran.problems(), [(path.into(), "unreadable".into())]);
    let ranges = lines(ran, "problem")[0]["ranges"].as_array().unwrap();
    let number = |value: &Value| value.as_u64().unwrap();
    let ranges: Vec<_> = ranges
        .iter()
        .map(|range| (number(&range[0]), number(&range[1])))
        .collect();
    let bytes = ranges.iter().map(|(start, end)| end - start).sum();
    (ranges, bytes)
}

/// A mounted ext4 in an image whose end can be taken away, which makes real I/O errors of its
/// loop device.
struct BadDisk {
    temp: tempfile::TempDir,
    len: u64,
}

impl BadDisk {
    fn new(test: &str, len: u64) -> Option<BadDisk> {
        if !is_root_with(test, &["mkfs.ext4", "mount"]) {
            return None;
        }
        let temp = tempfile::tempdir().unwrap();
        let disk = BadDisk { temp, len };
        fs::create_dir(disk.mount()).unwrap();
        fs::File::create(disk.image())
            .unwrap()
            .set_len(len)
            .unwrap();
        // No journal: what it would write later must not fail.
        tool("mkfs.ext4", &["-q", "-O", "^has_journal"], &[&disk.image()]).unwrap();
        match tool("mount", &["-o", "loop"], &[&disk.image(), &disk.mount()]) {
            Ok(()) => Some(disk),
            Err(why) => {
                skip(test, &format!("to mount a loop image: {why}"));
                None
            }
        }
    }

    fn image(&self) -> std::path::PathBuf {
        self.temp.path().join("image")
    }

    fn mount(&self) -> std::path::PathBuf {
        self.temp.path().join("mount")
    }

    /// Takes away all behind `len`; gives it back for later.
    fn spoil(&self, len: u64) -> Vec<u8> {
        tool("mount", &["-o", "remount,ro"], &[&self.mount()]).unwrap();
        sync();
        let lost = fs::read(self.image()).unwrap().split_off(len as usize);
        let image = fs::File::options().write(true).open(self.image()).unwrap();
        image.set_len(len).unwrap();
        fs::write("/proc/sys/vm/drop_caches", "1").unwrap();
        lost
    }

    fn mend(&self, lost: &[u8]) {
        use std::os::unix::fs::FileExt;
        let image = fs::File::options().write(true).open(self.image()).unwrap();
        image
            .write_all_at(lost, self.len - lost.len() as u64)
            .unwrap();
    }
}

impl Drop for BadDisk {
    fn drop(&mut self) {
        let _ = tool("umount", &["--lazy"], &[&self.mount()]);
    }
}

fn sync() {
    assert!(Command::new("sync").status().unwrap().success());
}

fn tool(name: &str, options: &[&str], paths: &[&Path]) -> Result<(), String> {
    let output = Command::new(name)
        .args(options)
        .args(paths)
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_string()),
    }
}

#[test]
fn a_disk_with_bad_sectors_gives_all_but_what_they_hold() {
    let Some(disk) = BadDisk::new("a disk with bad sectors", 48 << 20) else {
        return;
    };
    let source = disk.mount().join("source");
    let large = Rng::new(3).bytes(30 * MIB);
    write(source.join("a"), "before");
    write(source.join("large"), &large);
    write(source.join("z"), "behind");
    let dest = disk.temp.path().join("dest");
    let args = ["--retries=1".into(), source.join(""), dest.clone()];

    let lost = disk.spoil(20 << 20);
    let ran = run("copy", &args);
    let (ranges, _) = bad_ranges(&ran, "large");
    assert!(
        ranges
            .iter()
            .all(|(start, end)| start < end && *end <= large.len() as u64)
    );
    assert!(!lines(&ran, "retry").is_empty());
    assert!(
        !dest.join("large").exists(),
        "a file with a hole was published"
    );
    assert_eq!(fs::read(dest.join("a")).unwrap(), b"before");
    assert_eq!(fs::read(dest.join("z")).unwrap(), b"behind");
    assert!(ran.stderr.contains("a rerun tries again"), "{}", ran.stderr);

    disk.mend(&lost);
    fs::write("/proc/sys/vm/drop_caches", "1").unwrap();
    let again = copy(0, &args);
    assert_eq!(
        again.sum("files_copied"),
        1,
        "only what failed is tried again"
    );
    let whole = again.sum("bytes_resumed") + again.sum("bytes_copied");
    assert_eq!(whole, large.len() as u64);
    assert!(again.sum("bytes_resumed") > 0);
    assert!(fs::read(dest.join("large")).unwrap() == large);
}

#[test]
fn a_file_that_cannot_be_read_from_some_byte_on_is_named_with_the_bytes() {
    if !strace::works("reads that fail for ever") {
        return;
    }
    let (at, mut args) = scene("0");
    fs::remove_file(at.source.join("c")).unwrap();
    let log = at.temp.path().join("log");
    let what = "error=EIO:when=6+";
    let injected = strace::inject_at(&at.source.join("b"), "pread64", what, &log, &args);
    let (ranges, bytes) = bad_ranges(&injected.ran, "b");
    // The read that failed, then page by page; after so many failures no more is tried.
    assert_eq!((ranges.len(), bytes), (1, 64 * 4096));
    // Four reads a mebibyte.
    assert_eq!(ranges[0].0, 5 << 18);
    assert!(injected.ran.stderr.contains("was not tried"));
    assert!(!at.dest.join("b").exists());
    args.drain(..2);
    let again = run("copy", &args);
    assert_eq!(again.code, 0);
    at.assert_same();
}
