//! `--wait`: drives that go while a copy runs and come back. A loop image is shut down and
//! unmounted under the copy, as a system does with a drive that was pulled, and mounted again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::support::*;

/// `FS_IOC_SHUTDOWN` without a flush of the log.
const CUT: &str = "
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))
";

/// A drive, and two places to mount it at.
pub(crate) struct Drive {
    temp: tempfile::TempDir,
}

impl Drive {
    pub(crate) fn new(test: &str) -> Option<Drive> {
        if !is_root_with(test, &["mkfs.ext4", "mount", "python3"]) {
            return None;
        }
        let temp = tempfile::tempdir().unwrap();
        let drive = Drive { temp };
        for dir in [drive.here(), drive.there()] {
            fs::create_dir(dir).unwrap();
        }
        let image = drive.path("image");
        fs::File::create(&image)
            .unwrap()
            .set_len(200 << 20)
            .unwrap();
        tool(Command::new("mkfs.ext4").arg("-q").arg(&image)).unwrap();
        match drive.mount(&drive.here()) {
            Ok(()) => Some(drive),
            Err(why) => {
                skip(test, &format!("to mount a loop image: {why}"));
                None
            }
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    pub(crate) fn here(&self) -> PathBuf {
        self.path("here")
    }

    fn there(&self) -> PathBuf {
        self.path("there")
    }

    fn mount(&self, at: &Path) -> Result<(), String> {
        self.mount_image("image", at)
    }

    fn mount_image(&self, image: &str, at: &Path) -> Result<(), String> {
        let image = self.path(image);
        tool(
            Command::new("mount")
                .args(["-o", "loop"])
                .arg(image)
                .arg(at),
        )
    }

    fn unmount(&self, at: &Path) {
        tool(Command::new("umount").arg(at)).unwrap();
    }

    /// What was not flushed is lost, every later call fails, and the mount point is bare.
    pub(crate) fn pull(&self, at: &Path) {
        tool(Command::new("python3").args(["-c", CUT]).arg(at)).unwrap();
        tool(Command::new("umount").arg("--lazy").arg(at)).unwrap();
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        for at in [self.here(), self.there()] {
            let _ = tool(Command::new("umount").arg("--lazy").arg(at));
        }
    }
}

fn tool(command: &mut Command) -> Result<(), String> {
    let output = command.output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_string()),
    }
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

/// A copy that runs, and what it says.
struct Copying {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    /// The lines so far.
    said: Vec<Value>,
}

impl Copying {
    fn start(state: &Path, flags: &[&str], source: &Path, dest: &Path) -> Copying {
        let mut child = sprag()
            .env("XDG_STATE_HOME", state)
            .args(["copy", "--json", "-v", "--block-size", "64K"])
            .args(["--checkpoint-size", "1M", "--checkpoint-interval", "100ms"])
            .args(flags)
            .arg(source.join(""))
            .arg(dest)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = Vec::new();
        Copying { child, lines, said }
    }

    /// The next line of that type; the run must not end before.
    #[track_caller]
    fn until(&mut self, kind: &str) -> Value {
        for line in self.lines.by_ref() {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            self.said.push(line.clone());
            if line["type"] == kind {
                return line;
            }
            assert_ne!(
                line["type"], "summary",
                "ended without a line {kind}: {line}"
            );
        }
        panic!("no line {kind}");
    }

    #[track_caller]
    fn end(mut self, code: i32) -> Value {
        let summary = self.until("summary");
        totals::check(&self.said, code);
        assert_eq!(summary["exit_code"], code, "{summary}");
        assert_eq!(self.child.wait().unwrap().code(), Some(code));
        summary
    }
}

/// Enough that a limited copy does not end before its drive is pulled.
fn source(drive: &Drive) -> PathBuf {
    let source = drive.path("source");
    mixed_tree(&source, 60, &[1 << 20; 9]);
    source
}

const LIMIT: &str = "--bwlimit=2M";

#[test]
fn a_destination_that_is_pulled_and_mounted_again_is_gone_on_with_by_the_same_process() {
    let Some(drive) = Drive::new("a destination that is pulled") else {
        return;
    };
    let (source, state, dest) = (
        source(&drive),
        drive.path("state"),
        drive.here().join("copy"),
    );
    let mut copying = Copying::start(&state, &["--wait", LIMIT], &source, &dest);
    // Twice: back at the same place, then at another.
    for back in [drive.here(), drive.there()] {
        copying.until("entry");
        copying.until("progress");
        drive.pull(&drive.here());
        let waiting = copying.until("waiting");
        assert!(
            waiting["detail"].as_str().unwrap().contains("cannot"),
            "{waiting}"
        );
        assert!(
            is_empty(&drive.here()),
            "something was written into the mount point"
        );
        drive.mount(&back).unwrap();
        let found = copying.until("found");
        assert_eq!(found["path"], back.join("copy").to_str().unwrap());
        copying.until("opened");
    }
    copying.end(0);
    assert_same_tree(&source, &drive.there().join("copy"));
    assert!(
        is_empty(&drive.here()),
        "something was written into the mount point"
    );
    let dest = drive.there().join("copy");
    assert_eq!(run("verify", [&dest]).code, 0);
    let again = copy(0, [source.join(""), dest]);
    assert_eq!(again.sum("bytes_copied"), 0);
}

#[test]
fn without_wait_a_pulled_destination_ends_the_run_and_a_wait_has_an_end() {
    let Some(drive) = Drive::new("a destination that stays away") else {
        return;
    };
    let (source, state, dest) = (
        source(&drive),
        drive.path("state"),
        drive.here().join("copy"),
    );
    let mut copying = Copying::start(&state, &[LIMIT], &source, &dest);
    copying.until("progress");
    drive.pull(&drive.here());
    copying.end(42);
    // At the start, too, it is waited for it: it is known.
    let mut copying = Copying::start(&state, &["--wait=300ms"], &source, &dest);
    copying.until("waiting");
    copying.end(3);
    let mut stopped = Copying::start(&state, &["--wait"], &source, &dest);
    stopped.until("waiting");
    tool(Command::new("kill").arg(stopped.child.id().to_string())).unwrap();
    stopped.end(20);
    assert!(is_empty(&drive.here()));

    let mut copying = Copying::start(&state, &["--wait"], &source, &dest);
    copying.until("waiting");
    drive.mount(&drive.there()).unwrap();
    copying.until("found");
    copying.end(0);
    assert_same_tree(&source, &drive.there().join("copy"));
    assert!(is_empty(&drive.here()));
}

#[test]
fn what_was_never_known_is_not_waited_for() {
    let at = Fixture::new();
    let dest = at.temp.path().join("not/there");
    let ran = run("copy", [Path::new("--wait"), &at.contents(), &dest]);
    assert_eq!(ran.code, 3);
}

#[test]
fn a_source_that_is_pulled_is_waited_for_and_its_files_do_not_count_as_vanished() {
    let Some(drive) = Drive::new("a source that is pulled") else {
        return;
    };
    let source = drive.here().join("source");
    mixed_tree(&source, 60, &[1 << 20; 9]);
    tool(Command::new("sync").arg("-f").arg(&source)).unwrap();
    let (state, dest) = (drive.path("state"), drive.path("dest"));
    let mut copying = Copying::start(&state, &["--wait", "--retries=0", LIMIT], &source, &dest);
    copying.until("progress");
    drive.pull(&drive.here());
    copying.until("waiting");
    drive.mount(&drive.here()).unwrap();
    copying.until("found");
    let summary = copying.end(0);
    assert_eq!(summary["entries_failed"], 0);
    assert_same_tree(&source, &dest);
}

#[test]
fn an_older_copy_of_a_drive_is_not_taken_for_it() {
    let Some(drive) = Drive::new("an older copy of a drive") else {
        return;
    };
    let (source, state) = (source(&drive), drive.path("state"));
    let dest = drive.here().join("copy");
    let mut copying = Copying::start(&state, &["--wait", LIMIT], &source, &dest);
    copying.until("progress");
    tool(Command::new("sync").arg("-f").arg(&dest)).unwrap();
    fs::copy(drive.path("image"), drive.path("clone")).unwrap();
    copying.until("progress");
    drive.pull(&drive.here());
    copying.until("waiting");
    drive.mount_image("clone", &drive.there()).unwrap();
    let manifest = drive.there().join("copy/.sprag/manifest");
    let before = fs::read(&manifest).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(
        fs::read(&manifest).unwrap(),
        before,
        "the clone was written to"
    );
    drive.mount(&drive.here()).unwrap();
    let found = copying.until("found");
    assert_eq!(found["path"], dest.to_str().unwrap());
    copying.end(0);
    assert_same_tree(&source, &dest);
}

#[test]
fn another_file_system_with_the_same_manifest_is_not_taken_for_the_drive() {
    let Some(drive) = Drive::new("another file system with the same manifest") else {
        return;
    };
    let (source, state, dest) = (drive.path("source"), drive.path("state"), drive.here());
    write(source.join("one"), "1");
    Copying::start(&state, &[], &source, &dest).end(0);
    // All of it, the state included, on a drive of its own.
    let image = drive.path("other");
    fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    tool(Command::new("mkfs.ext4").arg("-q").arg(&image)).unwrap();
    drive.mount_image("other", &drive.there()).unwrap();
    let (from, to) = (drive.here().join("."), drive.there());
    tool(Command::new("cp").arg("-a").arg(from).arg(&to)).unwrap();
    drive.unmount(&drive.here());
    write(source.join("two"), "2");
    let mut copying = Copying::start(&state, &["--wait=1500ms"], &source, &dest);
    copying.until("waiting");
    copying.end(3);
    assert!(!drive.there().join("two").exists());
    assert!(is_empty(&dest));
}

#[test]
fn of_several_drives_that_take_turns_at_one_place_any_is_waited_for() {
    let Some(drive) = Drive::new("several drives that take turns") else {
        return;
    };
    let (source, state, dest) = (drive.path("source"), drive.path("state"), drive.here());
    write(source.join("one"), "1");
    Copying::start(&state, &[], &source, &dest).end(0);
    drive.unmount(&dest);
    let image = drive.path("other");
    fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    tool(Command::new("mkfs.ext4").arg("-q").arg(&image)).unwrap();
    drive.mount_image("other", &dest).unwrap();
    Copying::start(&state, &["--new"], &source, &dest).end(0);
    drive.unmount(&dest);
    write(source.join("two"), "2");
    let mut copying = Copying::start(&state, &["--wait"], &source, &dest);
    copying.until("waiting");
    drive.mount(&dest).unwrap();
    copying.until("found");
    copying.end(0);
    assert!(dest.join("two").exists());
}

#[test]
fn what_is_printed_to_go_on_names_the_place_where_the_drive_is_now() {
    let Some(drive) = Drive::new("the place where the drive is now") else {
        return;
    };
    let (source, state) = (source(&drive), drive.path("state"));
    let dest = drive.here().join("copy");
    let mut command = sprag();
    command.env("XDG_STATE_HOME", state);
    command.args([
        "copy",
        "--new",
        "--wait",
        LIMIT,
        "--checkpoint-interval=100ms",
    ]);
    let command = command.arg(&source).arg(&dest);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    while !dest.join(".sprag/manifest").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    std::thread::sleep(std::time::Duration::from_millis(1500));
    drive.pull(&drive.here());
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    told.by_ref()
        .map(Result::unwrap)
        .find(|line| line.contains("The drive is gone"))
        .expect("that it waits");
    drive.mount(&drive.there()).unwrap();
    let told: Vec<String> = told.map(Result::unwrap).collect();
    let told = told.join("\n");
    assert!(child.wait().unwrap().success(), "{told}");
    let now = format!("sprag verify {}", drive.there().join("copy").display());
    assert!(told.contains(&now), "{told}");
}
