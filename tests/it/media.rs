//! Power cuts on real file systems: a loop image is shut down under a running copy, so that every
//! later write fails and what was not flushed is gone after the next mount. `tests/media/run` cuts
//! more file systems, on a disk that loses only some of that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::support::image::Image;
use crate::support::python::Helper;
use crate::support::*;

const BLOCK: u64 = 64 << 10;
const CHECKPOINT: u64 = 1 << 20;
const CUTS: usize = 3;

/// Waits to be told how long to wait, then does `FS_IOC_SHUTDOWN` without a flush of the log.
const CUTTER: &str = "
import fcntl, os, struct, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY)
print('ready', flush=True)
time.sleep(float(sys.stdin.readline()))
fcntl.ioctl(fd, 0x8004587d, struct.pack('I', 2))
";

/// Cuts the power when so much time is over.
fn cut_after(mut cutter: Helper, wait: Duration) {
    cutter.tell(&wait.as_secs_f64().to_string());
    cutter.end();
}

fn start(source: &Path, dest: &Path) -> Child {
    sprag()
        .args(["copy", "--json", "--block-size", "64K"])
        .args(["--checkpoint-size", "1M", "--checkpoint-interval", "100ms"])
        .arg(format!("{}/", source.display()))
        .arg(dest)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finish(child: Child) -> Ran {
    let ran = Ran::from(&end_within(60, child));
    if let Some(opened) = ran.lines.iter().find(|line| line["type"] == "opened") {
        let rehashed = opened["bytes_rehashed"].as_u64().unwrap();
        // As `docs/DURABILITY.md` states it.
        let bound = 3 * (CHECKPOINT + BLOCK);
        assert!(rehashed <= bound, "{rehashed} read back, over {bound}");
    }
    ran
}

#[track_caller]
fn copy_whole(source: &Path, dest: &Path) -> Ran {
    let ran = finish(start(source, dest));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_same_tree(source, dest);
    ran
}

/// Two trees of the same paths.
fn two_versions(temp: &Path) -> [PathBuf; 2] {
    let versions = ["one", "two"].map(|name| temp.join(name));
    for version in &versions {
        mixed_tree(version, 250, &[9 << 20, (3 << 20) + 12_345]);
    }
    alter(&versions[1]);
    versions
}

/// Cuts the power at a random moment of a copy; gives back whether the copy was still running.
fn cut_during(medium: &Image, source: &Path, dest: &Path, wait: Duration) -> bool {
    let cutter = Helper::ready(CUTTER, &medium.mount);
    let running = start(source, dest);
    cut_after(cutter, wait);
    let ran = finish(running);
    medium.mount_again("");
    match ran.code {
        // It was over before the cut: then everything is there.
        0 => assert_same_tree(source, dest),
        11 | 42 => {
            let named = ran.stderr.contains(&*dest.to_string_lossy());
            assert!(named, "no path: {}", ran.stderr);
        }
        // The cut came too early for the destination to be opened.
        3 => assert!(ran.lines.iter().all(|line| line["type"] != "opened")),
        code => panic!("exit {code}: {}", ran.stderr),
    }
    ran.code != 0
}

fn power_cuts(test: &str, fs_type: &str) {
    if !has("python3") {
        return skip(test, "python3");
    }
    let Some(medium) = Image::new(test, fs_type, 400 << 20, "") else {
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let sources = two_versions(temp.path());
    let contents = sources.each_ref().map(|source| contents(source));
    let both = [&contents[0], &contents[1]];
    let old = medium.mount.join("old");

    let whole_run_ms = copy_whole(&sources[0], &old).sum("elapsed_ms");
    cut_after(Helper::ready(CUTTER, &medium.mount), Duration::ZERO);
    medium.mount_again("");
    assert_same_tree(&sources[0], &old);
    let again = copy_whole(&sources[0], &old);
    let again = (again.sum("bytes_copied"), again.sum("files_copied"));
    assert_eq!(again, (0, 0), "exit 0 was not the truth");

    let seed = u64::from(std::process::id());
    let mut rng = Rng::new(seed);
    let mut cut_short = 0;
    for nth in 1..=CUTS {
        let source = &sources[nth % 2];
        let wait = Duration::from_micros(rng.below(whole_run_ms * 1000));
        // What is to be overwritten, then a destination that does not exist yet.
        if cut_during(&medium, source, &old, wait) {
            cut_short += 1;
        }
        assert_names_are_whole(&old, &both, &contents[0]);
        copy_whole(source, &old);
        let new = medium.mount.join(format!("new{}", nth % 2));
        if cut_during(&medium, source, &new, wait) {
            cut_short += 1;
        }
        if new.exists() {
            assert_names_are_whole(&new, &[&contents[nth % 2]], &Contents::new());
        }
        copy_whole(source, &new);
        let verified = run("verify", [&new]);
        assert_eq!(verified.code, 0, "{:?}", verified.lines);
        assert_eq!(verified.sum("entries_extra"), 0);
        fs::remove_dir_all(&new).unwrap();
    }
    assert!(
        cut_short > 0,
        "seed {seed}: every copy was over before its cut"
    );
}

#[test]
fn after_a_power_cut_on_ext4_every_name_is_whole_and_the_rerun_ends_as_the_source() {
    power_cuts("power cuts on ext4", "ext4");
}

#[test]
fn after_a_power_cut_on_xfs_every_name_is_whole_and_the_rerun_ends_as_the_source() {
    power_cuts("power cuts on xfs", "xfs");
}
