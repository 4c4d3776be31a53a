//! Destinations that can hold less than the source has.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::fuse::FuseImage;
use crate::support::image::Image;
use crate::support::*;

/// Entries that exFAT holds, and those that it never can.
fn mixed(root: &Path) -> Vec<(&'static str, PathBuf)> {
    write(root.join("plain"), "plain");
    write(root.join("README"), "the first of two");
    write(root.join("sub/deeper/file"), "below");
    write(root.join("\u{fc}mlaut \u{1f600}"), "not ASCII");
    write(root.join("\u{e9}".repeat(127)), "long");
    let at = |name: &[u8]| root.join(OsStr::from_bytes(name));
    let refused = [
        ("names with characters that it forbids", at(b"a:b")),
        ("names with characters that it forbids", at(b"sub/what?")),
        ("names with control characters", at(b"new\nline")),
        ("names that are not UTF-8", at(b"caf\xe9")),
        ("names that are one name there", at(b"readme")),
        ("symbolic links", at(b"link")),
        ("fifos, sockets and device nodes", at(b"sub/fifo")),
    ];
    for (_, path) in &refused[..5] {
        write(path, "refused");
    }
    symlink("plain", &refused[5].1).unwrap();
    fifo(&refused[6].1);
    refused.to_vec()
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
}

fn args(options: &[&str], source: &Path, dest: &Path) -> Vec<PathBuf> {
    let mut args: Vec<PathBuf> = options.iter().map(PathBuf::from).collect();
    args.extend([source.join("."), dest.to_path_buf()]);
    args
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

#[test]
fn exfat_refuses_what_it_cannot_hold_before_the_first_byte_or_leaves_it_out() {
    let Some(exfat) = FuseImage::exfat("limits of exFAT") else {
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let source = temp.path().join("source");
    let refused = mixed(&source);
    let dest = exfat.at("dest");

    let ran = copy(43, args(&[], &source, &dest));
    assert_eq!(names(&dest), [".sprag"], "something was written");
    assert_eq!(names(&dest.join(".sprag")), ["manifest", "manifest.bak"]);
    for (heading, path) in &refused {
        let line = format!("{}:", sprag::path::Printable(path));
        assert!(ran.stderr.contains(heading), "{heading}: {}", ran.stderr);
        assert!(ran.stderr.contains(&line), "{line}: {}", ran.stderr);
    }
    assert!(ran.stderr.contains("Nothing was copied."));

    let ran = copy(23, args(&["--skip-unsupported"], &source, &dest));
    assert!(!ran.stderr.contains("cut off"), "{}", ran.stderr);
    let failed = ran.sum("entries_failed");
    assert_eq!(failed as usize, refused.len(), "{:?}", ran.problems());
    let kinds: Vec<_> = ran.problems().into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(
        kinds.iter().filter(|kind| *kind == "unsupported").count(),
        6
    );
    assert_eq!(kinds.iter().filter(|kind| *kind == "same_name").count(), 1);
    for (_, path) in refused {
        match path.is_dir() {
            true => fs::remove_dir_all(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
    }
    exfat.mount_again();
    assert_eq!(fs::read(dest.join("README")).unwrap(), b"the first of two");
    assert_eq!(contents(&source), contents(&dest));
    let again = copy(0, args(&[], &source, &dest));
    assert_eq!(again.sum("bytes_copied"), 0);
    assert_eq!(run("verify", [&dest]).code, 0);
}

/// The lines of standard error from a refusal on.
fn refusal(ran: &Ran) -> String {
    let lines = ran.stderr.lines();
    let refused = lines.skip_while(|line| !line.contains("cannot hold all of this"));
    refused.collect::<Vec<_>>().join("\n")
}

#[test]
fn dry_run_foretells_what_exfat_cannot_hold_with_the_same_list_and_touches_nothing() {
    let Some(exfat) = FuseImage::exfat("-n on exFAT") else {
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let source = temp.path().join("source");
    mixed(&source);
    let dest = exfat.at("dest");
    for is_there in [false, true] {
        if is_there {
            write(dest.join("strangers"), "was there before");
        }
        let before = contents(&exfat.mount);
        let dry = copy(43, args(&["-n"], &source, &dest));
        let skipped = copy(23, args(&["-n", "--skip-unsupported"], &source, &dest));
        assert_eq!(contents(&exfat.mount), before, "something was touched");
        assert_eq!(dest.exists(), is_there);
        let wet = copy(43, args(&[], &source, &dest));
        assert!(!refusal(&dry).is_empty(), "{}", dry.stderr);
        assert_eq!(refusal(&dry), refusal(&wet));
        let args = args(&["--skip-unsupported"], &source, &dest);
        assert_eq!(skipped.problems(), copy(23, args).problems());
        fs::remove_dir_all(&dest).unwrap();
    }
    // What stands there already under another name.
    write(dest.join("PLAIN"), "not ours");
    write(dest.join("SUB/DEEPER/x"), "not ours");
    let options = ["-n", "--skip-unsupported", "--exclude=[!ps]*"];
    let dry = copy(23, args(&options, &source, &dest));
    let wet = copy(23, args(&options[1..], &source, &dest));
    let same = |path: &str| (path.to_string(), "same_name".to_string());
    assert_eq!(dry.problems(), [same("plain"), same("sub")]);
    assert_eq!(dry.problems(), wet.problems());
}

#[test]
fn dry_run_foretells_what_does_not_fit() {
    let Some(ext4) = Image::new("-n and room on ext4", "ext4", 16 << 20, "") else {
        return;
    };
    let fixture = Fixture::new();
    write(fixture.source.join("large"), Rng::new(1).bytes(24 << 20));
    let dest = ext4.at("dest");
    let dry = copy(43, args(&["-n"], &fixture.source, &dest));
    let needed = "has not enough room: 24 MiB are needed";
    assert!(dry.stderr.contains(needed), "{}", dry.stderr);
    assert!(!dest.exists());
    // The manifest takes some of what was free.
    let wet = copy(43, args(&[], &fixture.source, &dest));
    assert!(wet.stderr.contains(needed), "{}", wet.stderr);
}

#[test]
fn ntfs_takes_more_than_windows_and_is_warned_about() {
    let Some(ntfs) = FuseImage::ntfs("limits of NTFS") else {
        return;
    };
    let fixture = Fixture::new();
    for name in ["a:b", "CON", "dot.", "plain", "Plain"] {
        write(fixture.source.join(name), name);
    }
    symlink("plain", fixture.source.join("link")).unwrap();
    let dest = ntfs.at("dest");
    let ran = copy(0, args(&[], &fixture.source, &dest));
    let warning = "3 files have names that Windows cannot open; the first is ";
    assert!(ran.stderr.contains(warning), "{}", ran.stderr);
    assert_eq!(contents(&fixture.source), contents(&dest));
    write(fixture.source.join(OsStr::from_bytes(b"caf\xe9")), "x");
    let ran = copy(43, args(&[], &fixture.source, &dest));
    assert!(ran.stderr.contains("not UTF-8"), "{}", ran.stderr);
}

#[test]
fn names_that_are_one_at_the_destination_never_replace_each_other_in_any_run() {
    let Some(exfat) = FuseImage::exfat("names that differ in case on exFAT") else {
        return;
    };
    let fixture = Fixture::new();
    let dest = exfat.at("dest");
    write(fixture.source.join("Notes"), "mine");
    write(fixture.source.join("Dir/inside"), "mine");
    copy(0, args(&[], &fixture.source, &dest));
    // Another source, another run: the walk of one source alone cannot see this.
    let other = fixture.temp.path().join("other");
    write(other.join("notes"), "of the same length, or not");
    write(other.join("dir/inside"), "also");
    let ran = copy(23, args(&[], &other, &dest));
    let mut problems = ran.problems();
    problems.sort();
    let same = |path: &str| (path.to_string(), "same_name".to_string());
    assert_eq!(problems, [same("dir"), same("notes")]);
    let named = format!("{} stands there", dest.join("Notes").display());
    assert!(ran.stderr.contains(&named), "{}", ran.stderr);
    exfat.mount_again();
    assert_eq!(names(&dest), [".sprag", "Dir", "Notes"]);
    assert_eq!(fs::read(dest.join("Notes")).unwrap(), b"mine");
    assert_eq!(fs::read(dest.join("Dir/inside")).unwrap(), b"mine");
    // Two sources of one run.
    let skip = PathBuf::from("--skip-unsupported");
    let both = [skip, fixture.contents(), other.join("."), exfat.at("both")];
    copy(43, &both[1..]);
    let ran = copy(23, both);
    assert_eq!(ran.sum("entries_failed"), 2, "{:?}", ran.problems());
    assert_eq!(fs::read(exfat.at("both/Notes")).unwrap(), b"mine");
}

/// A file system that is too small for the source, but not for what is missing of it.
#[test]
fn what_does_not_fit_is_refused_and_what_is_there_already_counts() {
    let Some(ext4) = Image::new("room on ext4", "ext4", 48 << 20, "") else {
        return;
    };
    let fixture = Fixture::new();
    for n in 0..6 {
        write(
            fixture.source.join(format!("{n}")),
            Rng::new(n).bytes(8 << 20),
        );
    }
    let dest = ext4.at("dest");
    let ran = copy(43, args(&[], &fixture.source, &dest));
    assert!(ran.stderr.contains("has not enough room"), "{}", ran.stderr);
    assert_eq!(names(&dest), [".sprag"]);
    for name in ["3", "4", "5"] {
        fs::remove_file(fixture.source.join(name)).unwrap();
    }
    copy(0, args(&[], &fixture.source, &dest));
    // All of it would not fit once more, and need not.
    write(fixture.source.join("3"), Rng::new(3).bytes(8 << 20));
    copy(0, args(&[], &fixture.source, &dest));
    let ran = copy(0, args(&["--restart"], &fixture.source, &dest));
    assert_eq!(ran.sum("bytes_copied"), 0);
}

#[test]
fn a_file_system_without_enough_inodes_is_refused() {
    let Some(ext4) = Image::new("inodes on ext4", "ext4", 16 << 20, "") else {
        return;
    };
    let fixture = Fixture::new();
    for n in 0..4200 {
        write(fixture.source.join(format!("{n}")), "");
    }
    let ran = copy(43, args(&[], &fixture.source, &ext4.at("dest")));
    assert!(ran.stderr.contains("not enough inodes"), "{}", ran.stderr);
}

#[test]
fn on_file_systems_that_take_every_name_nothing_is_refused() {
    for fs_type in ["ext4", "xfs", "btrfs"] {
        let test = format!("every name on {fs_type}");
        let Some(image) = Image::new(&test, fs_type, 320 << 20, "") else {
            continue;
        };
        let fixture = Fixture::new();
        mixed_tree(&fixture.source, 5, &[]);
        for name in [
            &b"a:b"[..],
            b"CON",
            b"dot.",
            b"case",
            b"CASE",
            b"\xff",
            b"\x1b[2J",
        ] {
            write(fixture.source.join(OsStr::from_bytes(name)), name);
        }
        write(fixture.source.join("x".repeat(255)), "as long as can be");
        let dest = image.at("dest");
        let ran = copy(0, args(&[], &fixture.source, &dest));
        assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
        assert_same_tree(&fixture.source, &dest);
    }
}

#[test]
fn a_file_that_is_replaced_needs_room_beside_the_old_one() {
    let Some(ext4) = Image::new("room on ext4", "ext4", 64 << 20, "") else {
        return;
    };
    let fixture = Fixture::new();
    let dest = ext4.at("dest");
    let (large, small) = (fixture.source.join("large"), fixture.source.join("small"));
    write(&large, Rng::new(1).bytes(30 << 20));
    write(&small, "content");
    copy(0, args(&[], &fixture.source, &dest));
    // The same again needs no room.
    copy(0, args(&["-n"], &fixture.source, &dest));
    write(&large, Rng::new(2).bytes((30 << 20) + 1));
    for flags in [&["-n"][..], &[]] {
        let ran = copy(43, args(flags, &fixture.source, &dest));
        assert!(ran.stderr.contains("not enough room"), "{}", ran.stderr);
    }
    assert_eq!(fs::metadata(dest.join("large")).unwrap().len(), 30 << 20);
    // A smaller one fits beside it.
    write(&large, Rng::new(3).bytes(12 << 20));
    write(&small, "other content");
    copy(0, args(&["-n"], &fixture.source, &dest));
    copy(0, args(&[], &fixture.source, &dest));
}

#[test]
fn a_mirror_for_which_only_deleting_makes_room_deletes_first_if_that_is_asked_for() {
    let Some(ext4) = Image::new("room for a mirror on ext4", "ext4", 64 << 20, "") else {
        return;
    };
    let fixture = Fixture::new();
    let dest = ext4.at("dest");
    let (old, new) = (fixture.source.join("old"), fixture.source.join("new"));
    write(&old, Rng::new(1).bytes(30 << 20));
    copy(0, args(&[], &fixture.source, &dest));
    write(dest.join("own.o"), "excluded");
    fs::remove_file(&old).unwrap();
    write(&new, Rng::new(2).bytes(30 << 20));
    let offers = |code, flags: &[&str]| {
        let flags = [flags, &["--exclude=*.o"]].concat();
        let ran = copy(code, args(&flags, &fixture.source, &dest));
        ran.stderr.contains("with --delete-before it goes first")
    };
    assert!(!offers(43, &[]));
    assert!(offers(43, &["-n", "--delete"]) && offers(43, &["--delete"]));
    assert!(!offers(43, &["--delete", "--max-delete=0"]));
    assert!(!offers(43, &["--delete-before", "--max-delete=0"]));
    assert!(dest.join("old").exists());
    assert!(!offers(0, &["-n", "--delete-before"]));
    assert!(dest.join("old").exists());
    offers(0, &["--delete-before"]);
    assert_eq!(names(&dest), [".sprag", "new", "own.o"]);
    assert_eq!(run("verify", [&dest]).code, 0);
}

#[test]
fn half_copies_of_files_that_are_gone_are_named_where_room_is_missing_and_give_it_back() {
    let Some(ext4) = Image::new("room for half copies on ext4", "ext4", 64 << 20, "") else {
        return;
    };
    let mut fixture = Fixture::new();
    fixture.dest = ext4.at("dest");
    write(fixture.source.join("begun"), Rng::new(1).bytes(30 << 20));
    let mut half =
        sprag::copy(sprag::CopyOptions::new([fixture.contents()], &fixture.dest)).unwrap();
    let is_enough = |event: &sprag::Event| matches!(event, sprag::Event::Progress(at) if at.bytes_written >= 20 << 20);
    assert!(half.any(|event| is_enough(&event)));
    drop(half);
    fs::remove_file(fixture.source.join("begun")).unwrap();
    write(fixture.source.join("new"), Rng::new(2).bytes(44 << 20));
    let refused = fixture.copy(43);
    assert!(
        refused.stderr.contains("`sprag clean`"),
        "{}",
        refused.stderr
    );
    copy(
        0,
        args(&["--delete-before"], &fixture.source, &fixture.dest),
    );
    assert_eq!(names(&fixture.dest), [".sprag", "new"]);
}
