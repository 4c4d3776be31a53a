//! `--delete`: what it takes, and what it never takes. The situations are those of rsync's tests
//! `delete` and `delete-deep`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::support::fuse::FuseImage;
use crate::support::mount::Mount;
use crate::support::*;

fn with(fixture: &Fixture, code: i32, flags: &[&str]) -> Ran {
    let flags = flags.iter().map(OsString::from);
    let paths = [fixture.contents(), fixture.dest.clone()].map(OsString::from);
    copy(code, flags.chain(paths))
}

/// The paths below a directory, sprag's own state aside.
fn names(dir: &Path) -> Vec<String> {
    let tree = snapshot(dir);
    tree.keys().map(|path| path.display().to_string()).collect()
}

fn warnings(ran: &Ran) -> Vec<String> {
    let warnings = ran.lines.iter().filter(|line| line["type"] == "warning");
    warnings.map(|line| line["detail"].to_string()).collect()
}

#[test]
fn delete_makes_a_mirror_and_the_manifest_forgets_what_is_gone() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 30, &[2 << 20]);
    fixture.copy(0);
    write(fixture.dest.join("stranger/deep/file"), "x");
    symlink("/nowhere", fixture.dest.join("dir1/link of a stranger")).unwrap();
    age(&fixture.dest.join("dir1"), 1);
    fs::remove_dir_all(fixture.source.join("dir0")).unwrap();
    fs::remove_file(fixture.source.join("link")).unwrap();
    fs::remove_file(fixture.source.join("large0")).unwrap();
    let gone = names(&fixture.dest).len() - names(&fixture.source).len();
    let ran = with(&fixture, 0, &["--delete", "-v"]);
    fixture.assert_same();
    assert_eq!(ran.sum("entries_deleted"), gone as u64);
    let deleted = ran.lines.iter().filter(|line| line["outcome"] == "deleted");
    assert_eq!(deleted.count(), gone);
    let verified = run("verify", [&fixture.dest]);
    assert_eq!((verified.code, verified.sum("entries_extra")), (0, 0));
    let again = with(&fixture, 0, &["--delete"]);
    assert_eq!(
        (again.sum("entries_deleted"), again.sum("files_copied")),
        (0, 0)
    );
}

#[test]
fn without_the_flag_nothing_is_deleted() {
    let fixture = Fixture::new();
    write(fixture.dest.join("stranger"), "x");
    let ran = fixture.copy(0);
    assert_eq!(ran.sum("entries_deleted"), 0);
    assert_eq!(names(&fixture.dest), ["stranger"]);
}

#[test]
fn delete_deep_takes_whole_trees_bottom_up_and_stays_inside_what_was_copied() {
    let fixture = Fixture::new();
    write(fixture.source.join("kept/f"), "x");
    for dir in ["", "source/kept/", "source/"] {
        for n in 0..5 {
            write(fixture.dest.join(format!("{dir}a/b{n}/c/d/e")), "x");
        }
    }
    let ran = copy(
        0,
        [
            "--delete".into(),
            fixture.source.clone(),
            fixture.dest.clone(),
        ],
    );
    // Each of the two: a, 5 b, c, d, e.
    assert_eq!(ran.sum("entries_deleted"), 2 * (1 + 5 * 4));
    assert_same_tree(&fixture.source, &fixture.dest.join("source"));
    assert_eq!(names(&fixture.dest.join("a")).len(), 20);
}

#[test]
fn delete_looks_at_all_sources_that_go_to_the_same_place() {
    let fixture = Fixture::new();
    let other = fixture.temp.path().join("other");
    write(fixture.source.join("dir/a"), "x");
    write(other.join("dir/b"), "x");
    for name in ["dir/a", "dir/b", "dir/c", "d"] {
        write(fixture.dest.join(name), "x");
    }
    let sources = [fixture.contents(), other.join("")];
    let args = [OsString::from("--delete")].into_iter();
    let paths = sources.map(OsString::from).into_iter();
    copy(0, args.chain(paths).chain([fixture.dest.clone().into()]));
    assert_eq!(names(&fixture.dest), ["dir", "dir/a", "dir/b"]);
}

#[test]
fn delete_protects_what_is_excluded_unless_asked_to_take_it() {
    let fixture = Fixture::new();
    write(fixture.source.join("f"), "x");
    write(fixture.source.join("excluded.o"), "x");
    write(fixture.source.join("big"), vec![0; 100]);
    for name in [
        "excluded.o",
        "gone",
        "dir/x.o",
        "dir/y",
        "dir2/y",
        "cache/y",
        "big",
    ] {
        write(fixture.dest.join(name), "x");
    }
    let rules = [
        "--delete",
        "--exclude=*.o",
        "--exclude=cache/",
        "--max-size=10",
    ];
    let ran = with(&fixture, 0, &rules);
    let kept = [
        "big",
        "cache",
        "cache/y",
        "dir",
        "dir/x.o",
        "excluded.o",
        "f",
    ];
    assert_eq!(names(&fixture.dest), kept);
    assert_eq!(ran.sum("entries_deleted"), 4);
    assert!(
        warnings(&ran)[0].contains("1 directory that the source does not have was not deleted"),
        "{:?}",
        warnings(&ran)
    );
    let mut all = rules.to_vec();
    all[0] = "--delete-excluded";
    with(&fixture, 0, &all);
    assert_eq!(names(&fixture.dest), ["big", "f"]);
}

#[test]
fn delete_never_takes_the_state_of_any_destination() {
    let fixture = Fixture::new();
    write(fixture.source.join("f"), "x");
    // Another destination inside this one.
    fs::create_dir_all(fixture.dest.join("inner")).unwrap();
    copy(0, [&fixture.source.join("f"), &fixture.dest.join("inner")]);
    with(&fixture, 0, &["--delete"]);
    assert!(fixture.dest.join(".sprag/manifest").exists());
    assert!(fixture.dest.join("inner/.sprag/manifest").exists());
    assert!(!fixture.dest.join("inner/f").exists());
}

#[test]
fn delete_takes_partial_files_only_of_sources_that_are_gone() {
    let fixture = Fixture::new();
    for name in ["dir/a", "b"] {
        // One after the other: both get half done.
        write(fixture.source.join(name), Rng::new(1).bytes(16 << 20));
        begin_copy(&fixture);
    }
    let partials = || {
        let names = names(&fixture.dest);
        names
            .iter()
            .filter(|name| name.ends_with(".partial"))
            .count()
    };
    assert_eq!(partials(), 2, "{:?}", names(&fixture.dest));
    fs::remove_dir_all(fixture.source.join("dir")).unwrap();
    // The file of a stranger whose name only looks like one of ours.
    write(fixture.dest.join(".sprag-0123456789abcdef.partial"), "x");
    // The source of the other is there, though not to be copied now: it stays begun.
    with(&fixture, 0, &["--delete", "--max-size=1K"]);
    assert_eq!(partials(), 1, "{:?}", names(&fixture.dest));
    assert!(!fixture.dest.join("dir").exists());
    let ran = with(&fixture, 0, &["--delete"]);
    assert!(ran.sum("bytes_resumed") > 0);
    fixture.assert_same();
}

#[test]
fn delete_stops_at_max_delete_and_says_so() {
    let fixture = Fixture::new();
    write(fixture.source.join("f"), "x");
    for n in 0..7 {
        write(fixture.dest.join(format!("{n}")), "x");
    }
    let ran = with(&fixture, 25, &["--delete", "--max-delete=3"]);
    assert_eq!(ran.sum("entries_deleted"), 3);
    assert_eq!(names(&fixture.dest).len(), 5);
    assert!(
        warnings(&ran)[0].contains("4 files"),
        "{:?}",
        warnings(&ran)
    );
    let ran = with(&fixture, 25, &["--delete", "--max-delete=0"]);
    assert_eq!(ran.sum("entries_deleted"), 0);
    let ran = with(&fixture, 0, &["--delete", "--max-delete=4"]);
    assert_eq!(ran.sum("entries_deleted"), 4);
    fixture.assert_same();
}

#[test]
fn delete_does_nothing_when_a_part_of_the_source_was_not_seen() {
    let fixture = Fixture::new();
    write(fixture.source.join("f"), "x");
    write(fixture.dest.join("gone"), "x");
    // A path too long for a destination: the walk cannot hand it on.
    let mut deep = fixture.source.clone();
    let name = "n".repeat(250);
    fs::create_dir_all(&deep).unwrap();
    for _ in 0..17 {
        rustix_mkdir(&deep, &name);
        deep = deep.join(&name);
    }
    let ran = with(&fixture, 23, &["--delete"]);
    assert_eq!(ran.sum("entries_deleted"), 0);
    assert!(fixture.dest.join("gone").exists());
    assert!(
        warnings(&ran)[0].contains("nothing was deleted"),
        "{:?}",
        warnings(&ran)
    );
}

/// Makes a directory whose path is too long for one call.
fn rustix_mkdir(at: &Path, name: &str) {
    use rustix::fs::{Mode, OFlags, mkdirat, open, openat};
    let flags = OFlags::DIRECTORY | OFlags::PATH;
    let mut dir = open("/", flags, Mode::empty()).unwrap();
    for part in at.components().skip(1) {
        dir = openat(&dir, part.as_os_str(), flags, Mode::empty()).unwrap();
    }
    mkdirat(&dir, name, Mode::RWXU).unwrap();
}

#[test]
fn delete_does_not_follow_links_and_does_not_resolve_conflicts() {
    let fixture = Fixture::new();
    let outside = fixture.temp.path().join("outside");
    write(outside.join("precious"), "x");
    write(fixture.source.join("kind"), "a file");
    fs::create_dir_all(fixture.source.join("dir")).unwrap();
    write(fixture.dest.join("kind/in the way"), "x");
    symlink(&outside, fixture.dest.join("gone")).unwrap();
    symlink(&outside, fixture.dest.join("dir")).unwrap();
    let ran = with(&fixture, 23, &["--delete"]);
    assert_eq!(ran.sum("entries_deleted"), 1);
    assert!(outside.join("precious").exists());
    assert!(fixture.dest.join("kind/in the way").exists());
    assert!(fixture.dest.join("dir").is_symlink());
    assert!(!fixture.dest.join("gone").is_symlink());
}

#[test]
fn delete_of_the_first_name_of_a_file_leaves_the_others_verifiable() {
    let fixture = Fixture::new();
    write(fixture.source.join("a"), "shared");
    for name in ["b", "c"] {
        fs::hard_link(fixture.source.join("a"), fixture.source.join(name)).unwrap();
    }
    fixture.copy(0);
    fs::remove_file(fixture.source.join("a")).unwrap();
    with(&fixture, 0, &["--delete", "--exclude=c"]);
    assert_eq!(names(&fixture.dest), ["b", "c"]);
    let verified = run("verify", [&fixture.dest]);
    assert_eq!((verified.code, verified.sum("entries_extra")), (0, 1));
    with(&fixture, 0, &["--delete"]);
    let verified = run("verify", [&fixture.dest]);
    assert_eq!((verified.code, verified.sum("entries_extra")), (0, 0));
}

#[test]
fn delete_takes_directories_without_write_permission_and_restores_times_of_the_others() {
    let fixture = Fixture::new();
    write(fixture.source.join("dir/f"), "x");
    write(fixture.source.join("dir/gone"), "x");
    write(fixture.source.join("locked/gone"), "x");
    for (dir, mode) in [("locked", 0o555), ("dir", 0o555)] {
        let path = fixture.source.join(dir);
        age(&path, 9);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    fixture.copy(0);
    for dir in ["locked", "dir"] {
        let path = fixture.source.join(dir);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        fs::remove_file(path.join("gone")).unwrap();
    }
    fs::remove_dir(fixture.source.join("locked")).unwrap();
    let dir = fixture.source.join("dir");
    age(&dir, 9);
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o555)).unwrap();
    let ran = with(&fixture, 0, &["--delete"]);
    assert_eq!(ran.sum("entries_deleted"), 3);
    fixture.assert_same();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let path = fixture.dest.join("dir");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn delete_with_a_list_of_files_is_refused() {
    let fixture = Fixture::new();
    write(fixture.source.join("list"), "list\n");
    let list = format!("--files-from={}", fixture.source.join("list").display());
    let ran = with(&fixture, 1, &["--delete", &list]);
    assert!(ran.stderr.contains("--files-from"), "{}", ran.stderr);
    assert!(!fixture.dest.exists());
}

#[test]
fn delete_takes_nothing_that_the_file_system_holds_under_another_spelling() {
    let Some(exfat) = FuseImage::exfat("delete: another spelling on exFAT") else {
        return;
    };
    let fixture = Fixture::new();
    let dest = exfat.at("dest");
    write(fixture.source.join("dir/Readme"), "content");
    write(fixture.source.join("dir/gone"), "x");
    write(fixture.source.join("other/gone"), "x");
    copy(0, [fixture.contents(), dest.clone()]);
    let (from, to) = ("dir/Readme", "dir/README");
    fs::rename(fixture.source.join(from), fixture.source.join(to)).unwrap();
    for gone in ["dir/gone", "other/gone"] {
        fs::remove_file(fixture.source.join(gone)).unwrap();
    }
    // The new spelling cannot be copied beside the old one, which is the only copy there is.
    let ran = copy(23, ["--delete".into(), fixture.contents(), dest.clone()]);
    assert_eq!(fs::read(dest.join(from)).unwrap(), b"content");
    let warned = |text: &String| text.contains("spelled");
    assert!(warnings(&ran).iter().any(warned), "{:?}", ran.lines);
    assert!(dest.join("dir/gone").exists());
    assert!(!dest.join("other/gone").exists());
}

#[test]
fn folders_of_the_file_system_and_the_desktop_at_the_top_of_a_drive_are_neither_extra_nor_deleted()
{
    let fixture = Fixture::new();
    write(fixture.source.join("dir/a"), "content");
    let test = "delete: folders of the system";
    let Some(_drive) = Mount::tmpfs(test, &fixture.dest) else {
        return;
    };
    let folders = [
        "lost+found",
        "System Volume Information",
        "$RECYCLE.BIN",
        ".Trash-1000",
    ];
    let files: Vec<_> = (folders.iter())
        .map(|name| fixture.dest.join(name).join("inside"))
        .collect();
    for file in &files {
        write(file, "x");
    }
    // Below the top such a name is one as any other.
    let below = fixture.dest.join("dir/lost+found/inside");
    write(&below, "x");
    let verified = || run("verify", [&fixture.dest]).sum("entries_extra");
    with(&fixture, 0, &["-n", "--delete"]);
    fixture.copy(0);
    assert_eq!(verified(), 2);
    let ran = with(&fixture, 0, &["--delete"]);
    assert_eq!(ran.sum("entries_deleted"), 2);
    assert!(files.iter().all(|file| file.exists()) && !below.exists());
    assert_eq!(verified(), 0);
    with(&fixture, 0, &["--delete", "--delete-excluded"]);
    assert!(!files.iter().any(|file| file.exists()));
}
