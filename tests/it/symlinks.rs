//! What someone does to either tree in the middle of a run, named after rsync's and coreutils' tests
//! of these situations. The run is a library's, which goes on only as it is pulled: a few hundred
//! small files keep it short of what is changed meanwhile.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use sprag::{CopyOptions, Event};

use crate::support::*;

/// More than all queues of a run hold together.
const FILLERS: usize = 700;

/// Files that come first in a directory and keep a run busy.
fn fill(dir: &Path) {
    for n in 0..FILLERS {
        write(dir.join(format!("a/{n}")), "filler");
    }
}

/// Copies; when the run has come to the fillers of `d`, changes something. The kinds of problems by
/// path.
fn copy_and_meanwhile(
    source: &Path,
    dest: &Path,
    change: impl FnOnce(),
) -> Vec<(String, &'static str)> {
    let mut options = CopyOptions::new([source.join(".")], dest);
    options.jobs = std::num::NonZeroUsize::new(1);
    let mut change = Some(change);
    let mut problems = Vec::new();
    for event in sprag::copy(options).unwrap() {
        match event {
            Event::Entry { path, .. } if path.to_string() == "d/a" => {
                if let Some(change) = change.take() {
                    change();
                }
            }
            Event::Problem { path, error } => problems.push((path.to_string(), error.kind())),
            Event::Finished { error, .. } => assert!(error.is_none(), "{error:?}"),
            _ => {}
        }
    }
    assert!(change.is_none(), "nothing was changed");
    problems.sort();
    problems
}

#[test]
fn symlink_race_dest_a_directory_swapped_for_a_symlink_leads_no_write_outside() {
    let fixture = Fixture::new();
    let outside = fixture.temp.path().join("outside");
    for dir in [&fixture.source, &outside] {
        write(dir.join("d/sub/kept"), "kept");
        fs::set_permissions(dir.join("d/sub"), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fixture.copy(0);
    let before = snapshot(&outside);
    // A new file, a changed one and a changed mode, behind what keeps the run busy.
    write(fixture.source.join("d/sub/new"), "new");
    write(fixture.source.join("d/sub/kept"), "changed");
    fs::set_permissions(
        fixture.source.join("d/sub"),
        fs::Permissions::from_mode(0o700),
    )
    .unwrap();
    fill(&fixture.source.join("d"));
    let problems = copy_and_meanwhile(&fixture.source, &fixture.dest, || {
        fs::rename(fixture.dest.join("d"), fixture.dest.join("moved")).unwrap();
        symlink(outside.join("d"), fixture.dest.join("d")).unwrap();
    });
    assert_eq!(snapshot(&outside), before);
    assert!(!problems.is_empty(), "nobody noticed");
    // With the symlink gone the same command mends everything.
    fs::remove_file(fixture.dest.join("d")).unwrap();
    fs::remove_dir_all(fixture.dest.join("moved")).unwrap();
    fixture.copy(0);
    fixture.assert_same();
}

#[test]
fn symlink_race_source_what_was_swapped_after_it_was_listed_is_not_read() {
    let fixture = Fixture::new();
    let secret = fixture.temp.path().join("secret");
    write(secret.join("key"), "this is not to be copied");
    // They are handed to a worker before they are opened; it has 80 MiB to copy first, which the
    // limit below makes the better part of a second.
    for n in 0..40 {
        write(fixture.source.join(format!("{n:02}")), vec![n; 2 << 20]);
    }
    for name in ["x dir/key", "x link", "x other", "x pipe"] {
        write(fixture.source.join(name), "as listed");
    }
    // The walk makes directories itself: when this one is there, all was listed.
    fs::create_dir(fixture.source.join("z")).unwrap();
    // What takes their places is ready, so that no place is ever empty.
    let swapped = fixture.temp.path().join("swapped");
    fs::create_dir(&swapped).unwrap();
    symlink(&secret, swapped.join("x dir")).unwrap();
    symlink(secret.join("key"), swapped.join("x link")).unwrap();
    write(swapped.join("x other"), "of another size");
    let fifo = std::process::Command::new("mkfifo")
        .arg(swapped.join("x pipe"))
        .status();
    assert!(fifo.unwrap().success());
    let mut options = CopyOptions::new([fixture.contents()], &fixture.dest);
    options.jobs = std::num::NonZeroUsize::new(1);
    options.bytes_per_s = std::num::NonZeroU64::new(120 << 20);
    let mut changed = false;
    let mut problems = Vec::new();
    for event in sprag::copy(options).unwrap() {
        match event {
            Event::Progress(_) if !changed && fixture.dest.join("z").exists() => {
                changed = true;
                for name in ["x dir", "x link", "x other", "x pipe"] {
                    let places = (fixture.source.join(name), swapped.join(name));
                    renameat_with(CWD, places.0, CWD, places.1, RenameFlags::EXCHANGE).unwrap();
                }
            }
            Event::Problem { path, error } => problems.push((path.to_string(), error.kind())),
            _ => {}
        }
    }
    problems.sort();
    let expected = [
        ("x dir/key", "unreadable"),
        ("x link", "unreadable"),
        ("x other", "replaced"),
        ("x pipe", "unreadable"),
    ];
    assert_eq!(
        problems,
        expected.map(|(path, kind)| (path.to_string(), kind))
    );
    for (name, _) in expected {
        assert!(!fixture.dest.join(name).exists(), "{name}");
    }
}

#[test]
fn longdir_names_and_paths_as_long_as_they_can_be_are_copied() {
    let fixture = Fixture::new();
    let mut path = fixture.source.clone();
    // Just short of what one system call takes as a path.
    while path.as_os_str().len() + 250 < 4000 {
        path.push("d".repeat(240));
    }
    write(path.join("f".repeat(90)), "at the bottom");
    write(fixture.source.join("n".repeat(255)), "a long name");
    fixture.copy(0);
    fixture.assert_same();
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
}

#[test]
fn non_utf8_name_and_names_that_drive_a_terminal_are_copied_and_shown_cleaned() {
    let fixture = Fixture::new();
    let names: [&[u8]; 5] = [
        b"caf\xe9",
        b"\x1b[2J\x1b]0;title\x07",
        b"two\nlines\rback",
        "\u{202e}gpj.exe".as_bytes(),
        b"-rf",
    ];
    let at = |root: &Path, name: &[u8]| root.join(std::ffi::OsStr::from_bytes(name));
    for name in names {
        write(at(&fixture.source, name).join("inside"), name);
        // Something to complain about under that name.
        write(at(&fixture.dest, name).join("inside/in the way"), "x");
    }
    let said = |command: &str, args: &[&str]| {
        let mut command_line = sprag();
        command_line.arg(command).args(args);
        if command == "copy" {
            command_line.arg(fixture.contents());
        }
        let output = command_line.arg(&fixture.dest).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let to_a_program = args.contains(&"--json");
        for (forbidden, what) in [
            (&b"\x1b"[..], "an escape"),
            (b"\x07", "a bell"),
            (b"\r", "a carriage return"),
            (b"two\nlines", "a line break"),
            ("\u{202e}".as_bytes(), "a change of direction"),
            (b"\xe9", "what is no UTF-8"),
        ] {
            // JSON has its own escapes, and programs no sense of direction.
            if to_a_program && what == "a change of direction" {
                continue;
            }
            let found = text.windows(forbidden.len()).any(|part| part == forbidden);
            let text = String::from_utf8_lossy(&text);
            assert!(!found, "{command} {args:?} printed {what}: {text}");
        }
        text
    };
    let text = said("copy", &["-v"]);
    assert!(text.windows(10).any(|part| part == b"two\\nlines"));
    said("copy", &["-v", "--json"]);
    said("status", &[]);
    said("verify", &["-v", "--extra"]);
    for name in names {
        fs::remove_dir_all(at(&fixture.dest, name).join("inside")).unwrap();
    }
    said("copy", &["-v"]);
    fixture.assert_same();
    said("status", &[]);
    said("status", &["--json"]);
    fs::remove_file(at(&fixture.dest, names[1]).join("inside")).unwrap();
    said("verify", &["-v"]);
    // Every byte of a name can be had from `--json`.
    let ran = run(
        "verify",
        [std::ffi::OsStr::new("-v"), fixture.dest.as_os_str()],
    );
    let bytes: Vec<_> = ran
        .lines
        .iter()
        .filter_map(|l| l["path_bytes"].as_str())
        .collect();
    assert!(
        bytes.contains(&"Y2Fm6Q==") || bytes.contains(&"Y2Fm6S9pbnNpZGU="),
        "{bytes:?}"
    );
}

#[test]
fn a_partial_is_private_until_it_is_published() {
    let fixture = Fixture::new();
    write(fixture.source.join("open to all"), vec![7; 8 << 20]);
    let mode = fs::Permissions::from_mode(0o666);
    fs::set_permissions(fixture.source.join("open to all"), mode).unwrap();
    let mut options = CopyOptions::new([fixture.contents()], &fixture.dest);
    // More blocks than wait anywhere: while nothing is pulled, the file stays half written.
    options.block_size = sprag::block::BlockSize::new(64 << 10).ok();
    let mut seen = 0;
    for event in sprag::copy(options).unwrap() {
        if !matches!(event, Event::Progress(_)) || fixture.dest.join("open to all").exists() {
            continue;
        }
        for entry in fs::read_dir(&fixture.dest).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let meta = entry.metadata().unwrap();
            // Its metadata is set when all of it is written.
            if name.ends_with(".partial") && meta.len() < 8 << 20 {
                assert_eq!(meta.permissions().mode() & 0o777, 0o600);
                seen += 1;
            }
        }
    }
    assert!(seen > 0, "no partial was seen");
}

#[test]
fn a_file_that_only_windows_can_read_is_not_copied_as_the_link_that_it_shows_as() {
    let fixture = Fixture::new();
    write(fixture.source.join("plain"), "content");
    let target = "unsupported reparse tag 0x9000001a";
    std::os::unix::fs::symlink(target, fixture.source.join("placeholder")).unwrap();
    for flags in [&["-n"][..], &[]] {
        let ran = copy(
            23,
            flags
                .iter()
                .map(PathBuf::from)
                .chain([fixture.contents(), fixture.dest.clone()]),
        );
        let expected = ("placeholder".to_string(), "windows_only".to_string());
        assert_eq!(ran.problems(), [expected]);
        assert!(format!("{:?}", ran.lines).contains("0x9000001a"));
    }
    assert!(fixture.dest.join("plain").exists());
    assert!(fixture.dest.join("placeholder").symlink_metadata().is_err());
}
