//! What is known of the file systems that a destination is on, asked of real ones.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use sprag::fs::{FlushBy, Fs, FsMeta, MountNo, OsFs};

use crate::support::image::{Image, tool};
use crate::support::*;

/// A file system that is mounted for a test and unmounted after it.
struct Mounted(PathBuf);

impl Mounted {
    /// `None`: the machine does not let us, and the reason was told.
    fn new(test: &str, fs_type: &str, options: &str, at: PathBuf) -> Option<Mounted> {
        if !is_root_with(test, &["mount"]) {
            return None;
        }
        std::fs::create_dir_all(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", fs_type, "-o", options, "none"]);
        match tool(mount.arg(&at)) {
            Ok(()) => Some(Mounted(at)),
            Err(why) => {
                skip(test, &format!("to mount {fs_type}: {why}"));
                None
            }
        }
    }

    /// An overlay whose upper directory is in `upper`.
    fn overlay(test: &str, upper: &Path, at: PathBuf) -> Option<Mounted> {
        let dirs = ["lower", "upper", "work"].map(|name| upper.join(name));
        for dir in &dirs {
            std::fs::create_dir_all(dir).unwrap();
        }
        let [lower, upper, work] = dirs.map(|dir| dir.display().to_string());
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        Mounted::new(test, "overlay", &options, at)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = tool(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

fn at(path: &Path) -> OsFs {
    OsFs::open_root(path).unwrap()
}

/// Whether this kernel is at least of that version.
fn is_kernel(since: (u32, u32)) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap()) >= since
}

#[test]
fn a_session_lasts_as_long_as_the_mount_and_no_longer() {
    let test = "a_session_lasts_as_long_as_the_mount";
    let Some(image) = Image::new(test, "ext4", 64 << 20, "") else {
        return;
    };
    let session = || {
        let fs = at(&image.mount);
        fs.session(&fs.root())
    };
    let Some((boot, mount)) = session() else {
        return skip(test, "mount ids that are never given again (Linux 6.8)");
    };
    assert_eq!(session(), Some((boot, mount)));
    image.mount_again("");
    let (boot_then, mount_then) = session().unwrap();
    assert_eq!(boot_then, boot);
    assert_ne!(mount_then, mount, "it was unmounted in between");
}

#[test]
fn an_ext4_counts_as_journaled_only_if_it_has_a_journal() {
    let test = "an_ext4_counts_as_journaled_only_if_it_has_a_journal";
    for (fs_type, mkfs_options, has_journal) in [
        ("ext4", &[][..], true),
        ("ext3", &[], true),
        ("ext4", &["-O", "^has_journal"], false),
        ("ext2", &[], false),
    ] {
        let Some(image) = Image::made_with(test, fs_type, 64 << 20, mkfs_options, "") else {
            return;
        };
        let fs = at(&image.mount);
        assert_eq!(
            !fs.rules(MountNo::default()).lacks_journal,
            has_journal,
            "{fs_type} {mkfs_options:?}"
        );
    }
}

#[test]
fn a_file_system_is_flushed_as_a_whole_only_where_that_is_known_to_suffice() {
    let test = "a_file_system_is_flushed_as_a_whole_only_where_that_is_known_to_suffice";
    let temp = tempfile::tempdir().unwrap();
    let known = match is_kernel((5, 17)) {
        true => FlushBy::Whole,
        false => FlushBy::Each,
    };
    for (fs_type, bytes) in [("ext4", 64 << 20), ("btrfs", 128 << 20), ("xfs", 320 << 20)] {
        if let Some(image) = Image::new(test, fs_type, bytes, "") {
            assert_eq!(
                at(&image.mount).rules(MountNo::default()).flush_by,
                known,
                "{fs_type}"
            );
        }
    }
    let Some(memory) = Mounted::new(test, "tmpfs", "size=64M", temp.path().join("memory")) else {
        return;
    };
    assert_eq!(
        at(&memory.0).rules(MountNo::default()).flush_by,
        FlushBy::Whole
    );
    if let Some(merged) = Mounted::overlay(test, &memory.0, temp.path().join("merged")) {
        let fs = at(&merged.0);
        assert_eq!(fs.rules(MountNo::default()).flush_by, FlushBy::Each);
        assert!(
            fs.rules(MountNo::default()).lacks_journal,
            "nobody says what is below"
        );
    }
}

#[test]
fn data_that_cannot_be_written_below_an_overlay_ends_the_run() {
    let test = "data_that_cannot_be_written_below_an_overlay_ends_the_run";
    if !is_root_with(test, &["mkfs.ext4", "mount"]) {
        return;
    }
    // A device that takes what is written over its first 8 MiB and answers most other writes with
    // EIO: the file that it is made of has taken all room of a small file system by then. So the
    // metadata of the file system on it can be written, and the content of files cannot.
    let fixture = Fixture::new();
    let temp = fixture.temp.path();
    let Some(small) = Mounted::new(test, "tmpfs", "size=24M", temp.join("small")) else {
        return;
    };
    let device = small.0.join("device");
    let file = std::fs::File::create(&device).unwrap();
    file.set_len(120 << 20).unwrap();
    let mut mkfs = Command::new("mkfs.ext4");
    mkfs.args(["-q", "-b", "4096", "-J", "size=4", "-N", "1024"]);
    mkfs.args([
        "-O",
        "^metadata_csum,^uninit_bg",
        "-E",
        "lazy_itable_init=0",
    ]);
    tool(mkfs.arg(&device)).unwrap();
    let made = std::fs::read(&device).unwrap();
    file.write_all_at(&made[..8 << 20], 0).unwrap();
    let below = temp.join("below");
    std::fs::create_dir(&below).unwrap();
    let mut mount = Command::new("mount");
    if let Err(why) = tool(mount.args(["-o", "loop"]).arg(&device).arg(&below)) {
        return skip(test, &format!("to mount a loop image of ext4: {why}"));
    }
    let below = Mounted(below);
    let Some(merged) = Mounted::overlay(test, &below.0, temp.join("merged")) else {
        return;
    };
    // The manifest can be flushed, so that nothing else tells of what the flush of the data did not.
    let state = merged.0.join("dest/.sprag");
    let Some(_state) = Mounted::new(test, "tmpfs", "size=8M", state) else {
        return;
    };
    tool(Command::new("sync").arg("-f").arg(&below.0)).unwrap();
    for n in 0..40 {
        write(
            fixture.source.join(format!("f{n}")),
            Rng::new(n).bytes(1 << 20),
        );
    }
    let ran = run("copy", [fixture.contents(), merged.0.join("dest")]);
    assert_eq!(ran.code, 11, "{}", ran.stderr);
}

#[test]
fn an_overlay_is_flushed_file_by_file_and_as_a_whole() {
    let test = "an_overlay_is_flushed_file_by_file_and_as_a_whole";
    if !strace::works(test) {
        return;
    }
    let fixture = Fixture::new();
    let temp = fixture.temp.path();
    let Some(memory) = Mounted::new(test, "tmpfs", "size=64M", temp.join("memory")) else {
        return;
    };
    let Some(merged) = Mounted::overlay(test, &memory.0, temp.join("merged")) else {
        return;
    };
    let files = 30;
    for n in 0..files {
        write(
            fixture.source.join(format!("f{n}")),
            Rng::new(n).bytes(5000),
        );
    }
    let (log, dest) = (temp.join("log"), merged.0.join("dest"));
    let (source, dest) = (fixture.contents(), dest.into_os_string());
    let calls = strace::calls(&log, &["copy".into(), source.into_os_string(), dest]);
    let nth = |name: &str| -> Vec<usize> {
        let calls = calls.iter().enumerate();
        calls
            .filter(|(_, call)| call.name.starts_with(name))
            .map(|(nth, _)| nth)
            .collect()
    };
    let (flushed, flushed_whole) = (nth("fsync"), nth("syncfs"));
    let renames = nth("rename").into_iter();
    let mut names = renames.filter(|nth| calls[*nth].text.contains(".partial"));
    let first_name = names.next().unwrap();
    let before_names = flushed.iter().filter(|nth| **nth < first_name).count();
    assert!(
        before_names >= files as usize,
        "{before_names} files flushed"
    );
    // Which space they take is known to the whole alone, should there be no journal below.
    assert!(
        flushed_whole.iter().any(|nth| *nth < first_name),
        "{flushed_whole:?}"
    );
}

#[test]
fn rot_is_told_from_an_edit_on_a_drive_whose_times_have_shifted_with_the_zone() {
    let Some(image) = fuse::FuseImage::exfat("rot on a drive whose times have shifted") else {
        return;
    };
    let fixture = Fixture::new();
    write(fixture.source.join("f"), Rng::new(5).bytes(3 << 20));
    age(&fixture.source.join("f"), 7);
    let (dest, two) = (image.at("copy"), fixture.temp.path().join("two"));
    for to in [&dest, &two] {
        copy(0, [&fixture.contents(), to]);
    }
    let there = dest.join("f");
    let later = || {
        let source = std::fs::metadata(fixture.source.join("f")).unwrap();
        let time = source.modified().unwrap() + std::time::Duration::from_secs(3600);
        // The driver takes both times or none.
        let times = std::fs::FileTimes::new()
            .set_modified(time)
            .set_accessed(time);
        std::fs::File::open(&there)
            .unwrap()
            .set_times(times)
            .unwrap();
    };
    later();
    for flags in [&["--quick"][..], &[]] {
        let args = flags.iter().map(PathBuf::from).chain([dest.clone()]);
        assert_eq!(run("verify", args).code, 0, "{flags:?}");
    }
    rot(&there, 1_500_000);
    image.mount_again();
    later();
    let verified = run("verify", [&dest]);
    assert_eq!(verified.problems(), [("f".into(), "corrupt".into())]);
    // It does not travel on.
    let next = copy(23, [&dest.join(""), &two]);
    assert_eq!(next.problems(), [("f".into(), "source_corrupt".into())]);
    let mends = [
        "--repair".into(),
        "--from".into(),
        fixture.contents(),
        dest.clone(),
    ];
    assert_eq!(run("verify", mends).code, 0);
    assert_eq!(run("verify", [&dest]).code, 0);
}

#[test]
fn a_dead_mount_below_a_source_fails_and_the_rest_is_copied() {
    let test = "a_dead_mount_below_a_source";
    if !is_root_with(test, &["bindfs", "pkill"]) {
        return;
    }
    let fixture = Fixture::new();
    let dead = fixture.source.join("dead");
    for n in 0..50 {
        write(fixture.source.join(format!("z/{n}")), "content");
    }
    std::fs::create_dir(&dead).unwrap();
    let shown = fixture.temp.path().join("shown");
    std::fs::create_dir(&shown).unwrap();
    tool(Command::new("bindfs").arg(&shown).arg(&dead)).unwrap();
    let _mounted = Mounted(dead.clone());
    let daemon = format!("bindfs {}", shown.display());
    tool(Command::new("pkill").args(["-KILL", "-f", &daemon])).unwrap();
    while std::fs::read_dir(&dead).is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let ran = fixture.copy(23);
    assert_eq!(ran.problems(), [("dead".into(), "unreadable".into())]);
    assert_eq!(ran.sum("files_copied"), 50);
}

/// On a file system that copies on write not one byte can be appended then.
#[test]
fn a_full_drive_can_be_verified_and_cleaned() {
    let test = "a_full_drive_can_be_verified_and_cleaned";
    let Some(image) = Image::made_with(test, "btrfs", 150 << 20, &["-M"], "") else {
        return;
    };
    let fixture = Fixture::new();
    for n in 1..10 {
        let content = Rng::new(n).bytes(20 << 20);
        write(fixture.source.join(n.to_string()), content);
    }
    let dest = image.at("dest");
    copy(11, [&fixture.contents(), &dest]);
    let fills = || -> std::io::Result<()> {
        let options = std::fs::File::options();
        let mut own = options
            .clone()
            .append(true)
            .create(true)
            .open(image.at("own"))?;
        loop {
            std::io::Write::write_all(&mut own, &[0; 4096])?;
            own.sync_all()?;
        }
    };
    fills().unwrap_err();
    // Each attempt may find a little that the one before made free.
    for _ in 0..10 {
        fills().unwrap_err();
    }
    let verified = run("verify", [&dest]);
    // What is half copied is told of, and nothing else.
    let kinds = verified.problems();
    assert!(
        kinds.iter().all(|(_, kind)| kind == "incomplete"),
        "{kinds:?}"
    );
    assert_eq!(verified.code, 40, "{}", verified.stderr);
    let cleaned = sprag().arg("clean").arg(&dest).output().unwrap();
    assert!(cleaned.status.success(), "{cleaned:?}");
    let partials = names_below(&dest)
        .into_iter()
        .filter(|name| name.ends_with(".partial"));
    assert_eq!(partials.count(), 0);
}

fn names_below(dir: &Path) -> Vec<String> {
    let names = snapshot(dir).into_keys();
    names.map(|path| path.display().to_string()).collect()
}
