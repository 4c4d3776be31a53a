//! A destination that is slower than the page cache: what is shown stays true to the device.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::pty::Session;
use crate::support::*;

const THROTTLE: &str = "/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device";
const BYTES_A_SECOND: u64 = 8 << 20;
const SIZE: usize = 96 << 20;
/// Nothing is left for the kernel to do behind the back of the test.
const NO_LAZINESS: &str = "lazy_itable_init=0,lazy_journal_init=0";

/// An ext4 in an image behind a loop device that writes slowly.
struct SlowDisk {
    mount: PathBuf,
    device: String,
    temp: tempfile::TempDir,
}

impl SlowDisk {
    /// `None`: the machine does not let us, and the reason was told.
    fn new(test: &str) -> Option<SlowDisk> {
        if !is_root() || !has("mkfs.ext4") || !has("losetup") || !has("setsid") {
            skip(test, "root, mkfs.ext4, losetup and setsid");
            return None;
        }
        if !Path::new(THROTTLE).exists() {
            skip(test, THROTTLE);
            return None;
        }
        let temp = tempfile::tempdir().unwrap();
        let (image, mount) = (temp.path().join("image"), temp.path().join("mount"));
        fs::create_dir(&mount).unwrap();
        fs::File::create(&image)
            .unwrap()
            .set_len(400 << 20)
            .unwrap();
        let made = tool(
            Command::new("mkfs.ext4")
                .args(["-q", "-E", NO_LAZINESS])
                .arg(&image),
        )
        .and_then(|_| {
            tool(
                Command::new("losetup")
                    .args(["--find", "--show"])
                    .arg(&image),
            )
        });
        let device = match made {
            Ok(device) => device,
            Err(why) => {
                skip(test, &format!("a loop device: {why}"));
                return None;
            }
        };
        let disk = SlowDisk {
            mount,
            device,
            temp,
        };
        tool(Command::new("mount").arg(&disk.device).arg(&disk.mount)).unwrap();
        disk.throttle(BYTES_A_SECOND);
        Some(disk)
    }

    fn throttle(&self, bytes_a_second: u64) {
        let number = tool(
            Command::new("lsblk")
                .args(["-dno", "MAJ:MIN"])
                .arg(&self.device),
        );
        let line = format!("{} {bytes_a_second}", number.unwrap().trim());
        fs::write(THROTTLE, line).unwrap();
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        self.throttle(0);
        let _ = tool(Command::new("umount").arg(&self.mount));
        let _ = tool(Command::new("losetup").arg("--detach").arg(&self.device));
    }
}

fn tool(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_string()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_string()),
    }
}

/// What a screen showed.
#[derive(Debug, Clone, Copy)]
struct Shown {
    at: Instant,
    durable: f64,
    written: f64,
    percent: Option<u64>,
    left: Option<Duration>,
}

/// The number before `unit` and its value in MiB, for sizes.
fn mib(screen: &str, word: &str) -> Option<f64> {
    let line = screen
        .lines()
        .find(|line| line.trim_start().starts_with(word))?;
    let mut words = line.split_whitespace().skip(1);
    let number: f64 = words.next()?.parse().ok()?;
    Some(match words.next()? {
        "B" => number / f64::from(1 << 20),
        "KiB" => number / 1024.0,
        "MiB" => number,
        unit => panic!("{unit}"),
    })
}

fn number_before<'a>(words: &[&'a str], what: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| *word == what)?;
    words.get(at.checked_sub(1)?).copied()
}

fn read_screen((at, screen): &(Instant, String)) -> Option<Shown> {
    let first: Vec<&str> = screen.lines().next()?.split_whitespace().collect();
    let seconds = number_before(&first, "left").filter(|unit| *unit == "s");
    let left = seconds.and_then(|_| {
        let s = number_before(&first, "s")?.parse().ok()?;
        let min = number_before(&first, "min").and_then(|min| min.parse::<u64>().ok());
        Some(Duration::from_secs(s) + Duration::from_secs(60) * min.unwrap_or(0) as u32)
    });
    Some(Shown {
        at: *at,
        durable: mib(screen, "durable")?,
        written: mib(screen, "written")?,
        percent: number_before(&first, "%").and_then(|n| n.parse().ok()),
        left,
    })
}

#[test]
fn progress_is_true_to_a_device_that_is_slower_than_the_page_cache() {
    let test = "progress_is_true_to_a_device_that_is_slower_than_the_page_cache";
    let Some(disk) = SlowDisk::new(test) else {
        return;
    };
    let source = disk.temp.path().join("source");
    write(source.join("film"), Rng::new(3).bytes(SIZE));
    let mut command = sprag();
    command
        .args([
            "copy",
            "--block-size=64K",
            "--checkpoint-size=4M",
            "source/",
            "mount",
        ])
        .current_dir(disk.temp.path());
    let began = Instant::now();
    let mut session = Session::start(100, 24, "", &command);
    let (status, screen) = session.end();
    let whole = began.elapsed();
    assert_eq!(status.code(), Some(0), "{screen}");
    let end = began + whole;
    let shown: Vec<Shown> = session.screens().iter().filter_map(read_screen).collect();
    assert!(shown.len() > 20, "{screen}");
    let ahead = shown
        .iter()
        .filter(|at| at.written >= at.durable + 2.0)
        .count();
    assert!(ahead > shown.len() / 2, "written is not ahead of durable");
    for pair in shown.windows(2) {
        assert!(pair[1].durable >= pair[0].durable, "{pair:?}");
        assert!(pair[1].percent >= pair[0].percent, "{pair:?}");
        assert!(pair[1].percent < Some(100), "{pair:?}");
    }
    let late = shown.iter().filter(|at| at.at >= began + whole / 3);
    let mut worst: f64 = 0.0;
    for at in late {
        let Some(left) = at.left else {
            continue;
        };
        // Whole seconds are shown, one of them more than are left.
        let really = end.saturating_duration_since(at.at).as_secs_f64();
        let off = (left.as_secs_f64() - 0.5 - really).abs();
        worst = worst.max(off / whole.as_secs_f64());
        let allowed = 0.15 * really.max(whole.as_secs_f64() / 3.0) + 1.0;
        assert!(
            off <= allowed,
            "{at:?}, but {really:.1} s of {whole:?} were left"
        );
    }
    tell(&format!(
        "{test}: {whole:.1?}, the time left was wrong by {:.0} % of it at most",
        worst * 100.0
    ));
}
