//! A place is what it is, not what it is called: bind mounts, other mounts of one file system, and
//! destinations and sources that lie in one another.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::mount::Mount;
use crate::support::*;

/// A source with a directory `photos` in it.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    write(fixture.source.join("photos/p"), "photo");
    symlink("p", fixture.source.join("photos/l")).unwrap();
    write(fixture.source.join("docs/d"), "doc");
    fixture
}

fn args<'a>(flags: &[&'a str], paths: &[&'a Path]) -> Vec<std::ffi::OsString> {
    let flags = flags.iter().map(|flag| (*flag).into());
    flags
        .chain(paths.iter().map(|path| (*path).into()))
        .collect()
}

fn warnings(ran: &Ran) -> Vec<&str> {
    let of = |line: &'_ serde_json::Value| line["type"] == "warning";
    let warnings = ran.lines.iter().filter(|line| of(line));
    warnings
        .filter_map(|line| line["detail"].as_str())
        .collect()
}

#[test]
fn a_directory_that_is_mounted_at_two_places_is_not_moved_onto_itself() {
    let fixture = fixture();
    let Some(_mount) = Mount::bind(
        "identity: moved onto itself",
        &fixture.source,
        &fixture.dest,
    ) else {
        return;
    };
    let before = snapshot(&fixture.source);
    for flags in [&["--remove-source-files"][..], &[], &["--delete"]] {
        let onto = copy(
            3,
            args(flags, &[&fixture.source.join("photos"), &fixture.dest]),
        );
        assert!(
            onto.stderr.contains("copied onto itself"),
            "{}",
            onto.stderr
        );
        let same = copy(3, args(flags, &[&fixture.contents(), &fixture.dest]));
        assert!(
            same.stderr.contains("the same directory"),
            "{}",
            same.stderr
        );
    }
    assert_eq!(snapshot(&fixture.source), before);
}

#[test]
fn a_part_of_the_source_that_is_shown_in_the_destination_fails_and_stays() {
    let fixture = fixture();
    let photos = fixture.source.join("photos");
    let Some(_mount) = Mount::bind("identity: a part", &photos, &fixture.dest.join("photos"))
    else {
        return;
    };
    for flags in [&["--remove-source-files"][..], &["--delete"]] {
        let ran = copy(23, args(flags, &[&fixture.contents(), &fixture.dest]));
        assert_eq!(ran.problems(), [("photos".into(), "onto_source".into())]);
        assert_eq!(fs::read(photos.join("p")).unwrap(), b"photo");
        assert!(photos.join("l").is_symlink());
    }
}

#[test]
fn a_file_that_is_mounted_at_two_places_is_not_removed() {
    let fixture = fixture();
    let (from, to) = (fixture.source.join("docs/d"), fixture.dest.join("docs/d"));
    write(&to, "");
    let Some(_mount) = Mount::bind_file("identity: a file", &from, &to) else {
        return;
    };
    let flags = ["--remove-source-files"];
    let ran = copy(23, args(&flags, &[&fixture.contents(), &fixture.dest]));
    assert!(!ran.problems().is_empty());
    assert_eq!(fs::read(from).unwrap(), b"doc");
}

#[test]
fn a_source_that_shows_in_the_destination_with_another_number_is_not_removed() {
    let fixture = fixture();
    let temp = fixture.temp.path();
    let lower = temp.join("lower");
    fs::create_dir_all(&lower).unwrap();
    fs::create_dir_all(temp.join("work")).unwrap();
    let (source, dest) = (&fixture.source, &fixture.dest);
    let before = contents(source);
    let overlay = |at: &Path| {
        Mount::overlay(
            "identity: overlayfs",
            [&lower, source, &temp.join("work")],
            at,
        )
    };
    let merged = |at: &Path| Mount::merged("identity: mergerfs", [source, &lower], at);
    for by_overlay in [true, false] {
        let mounted = if by_overlay {
            overlay(dest)
        } else {
            merged(dest)
        };
        let Some(_mount) = mounted else { continue };
        let flags = ["--remove-source-files", "--new"];
        let ran = copy(23, args(&flags, &[&fixture.contents(), dest]));
        // What cannot be read past the cache is kept anyway.
        assert_eq!(ran.problems(), [("photos/l".into(), "one_file".into())]);
        assert_eq!(ran.sum("sources_removed"), 0);
        for dir in [source, &lower] {
            let _ = fs::remove_dir_all(dir.join(".sprag"));
        }
        assert_eq!(contents(source), before);
    }
}

#[test]
fn a_destination_in_a_source_is_left_out_of_the_copy() {
    let fixture = fixture();
    let dest = fixture.source.join("backup/new");
    for _ in 0..2 {
        fs::create_dir_all(fixture.source.join("backup")).unwrap();
        let ran = copy(0, args(&[], &[&fixture.source, &dest]));
        let told = warnings(&ran);
        assert!(
            told.iter().any(|text| text.contains("is the destination")),
            "{told:?}"
        );
    }
    let copied = contents(&dest.join("source"));
    let paths: Vec<_> = copied.keys().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(paths, ["docs/d", "photos/l", "photos/p"]);
    assert!(dest.join("source/backup").is_dir());
    assert!(!dest.join("source/backup/new").exists());
    assert_eq!(run("verify", [&dest]).code, 0);
}

#[test]
fn a_destination_below_an_excluded_directory_of_the_source_is_copied_to_in_silence() {
    let fixture = fixture();
    let dest = fixture.source.join("mnt");
    fs::create_dir(&dest).unwrap();
    let ran = copy(0, args(&["--exclude=/mnt"], &[&fixture.contents(), &dest]));
    assert_eq!(warnings(&ran), [""; 0]);
    assert_eq!(fs::read(dest.join("docs/d")).unwrap(), b"doc");
    assert!(!dest.join("mnt").exists());
}

#[test]
fn a_drive_that_is_mounted_in_the_source_is_copied_to() {
    let fixture = fixture();
    let dest = fixture.source.join("mnt/drive");
    let Some(_mount) = Mount::tmpfs("identity: a whole system", &dest) else {
        return;
    };
    for flags in [&["-x"][..], &[]] {
        copy(0, args(flags, &[&fixture.contents(), &dest]));
        assert_eq!(fs::read(dest.join("photos/p")).unwrap(), b"photo");
        assert!(dest.join("mnt").is_dir() && !dest.join("mnt/drive").exists());
    }
}

#[test]
fn a_source_in_the_destination_is_copied_and_never_deleted() {
    let fixture = fixture();
    let inner = fixture.source.join("photos");
    let dest = &fixture.source;
    let from = inner.join("");
    copy(0, args(&["--delete"], &[&from, dest]));
    assert_eq!(fs::read(dest.join("p")).unwrap(), b"photo");
    assert_eq!(fs::read(inner.join("p")).unwrap(), b"photo");
    assert!(!dest.join("docs").exists(), "what no source has is deleted");
}

#[test]
fn what_is_mounted_in_the_destination_is_never_deleted_from() {
    let fixture = fixture();
    let other = fixture.temp.path().join("other");
    write(other.join("keep"), "precious");
    let (memory, bound) = (
        fixture.dest.join("photos/memory"),
        fixture.dest.join("gone/bound"),
    );
    let Some(_memory) = Mount::tmpfs("identity: --delete", &memory) else {
        return;
    };
    let Some(_bound) = Mount::bind("identity: --delete", &other, &bound) else {
        return;
    };
    write(memory.join("keep"), "precious");
    write(fixture.dest.join("gone/file"), "extraneous");
    for flags in [&["--delete"][..], &["--delete", "-x"], &["--delete", "-n"]] {
        let ran = copy(0, args(flags, &[&fixture.contents(), &fixture.dest]));
        let told = warnings(&ran);
        for place in ["photos/memory", "gone/bound"] {
            let left = |text: &&str| text.contains(place) && text.contains("nothing was deleted");
            assert!(told.iter().any(left), "{place}: {told:?}");
        }
    }
    assert!(memory.join("keep").exists() && other.join("keep").exists());
    assert!(!fixture.dest.join("gone/file").exists());
}

#[test]
fn a_directory_called_sprag_is_content_unless_it_is_the_state_of_a_copy() {
    let fixture = fixture();
    write(fixture.source.join("project/.sprag/notes"), "notes");
    // A destination of an earlier copy, among the rest.
    let inner = fixture.source.join("old");
    copy(0, args(&[], &[&fixture.source.join("docs"), &inner]));
    let ran = copy(0, args(&["-v"], &[&fixture.contents(), &fixture.dest]));
    assert_eq!(
        fs::read(fixture.dest.join("project/.sprag/notes")).unwrap(),
        b"notes"
    );
    assert!(fixture.dest.join("old/docs/d").exists() && !fixture.dest.join("old/.sprag").exists());
    let skipped =
        |line: &&serde_json::Value| line["path"] == "old/.sprag" && line["outcome"] == "skipped";
    assert_eq!(ran.lines.iter().filter(skipped).count(), 1);
    assert_eq!(ran.sum("entries_skipped"), 1);
    // Neither is deleted where the source does not have it: the one for being state.
    fs::rename(inner.join(".sprag"), fixture.temp.path().join("state")).unwrap();
    fs::create_dir(fixture.dest.join("old/.sprag")).unwrap();
    let manifest = fixture.temp.path().join("state/manifest");
    fs::copy(manifest, fixture.dest.join("old/.sprag/manifest")).unwrap();
    fs::remove_dir_all(fixture.source.join("project/.sprag")).unwrap();
    copy(
        0,
        args(&["--delete"], &[&fixture.contents(), &fixture.dest]),
    );
    assert!(fixture.dest.join("old/.sprag/manifest").exists());
    assert!(!fixture.dest.join("project/.sprag").exists());
}

#[test]
fn nothing_is_copied_over_the_state_of_the_destination() {
    let fixture = fixture();
    copy(0, args(&[], &[&fixture.source, &fixture.dest]));
    let manifest = fs::read(fixture.dest.join(".sprag/manifest")).unwrap();
    let id = &manifest[16..32];
    let other = fixture.temp.path().join("other");
    write(other.join(".sprag/manifest"), "not ours");
    let (state, list) = (other.join(".sprag"), fixture.temp.path().join("list"));
    fs::write(&list, ".sprag/manifest\n").unwrap();
    let from_list = format!("--files-from={}", list.display());
    let contents = other.join("");
    let cases: [(&[&str], &Path); 3] =
        [(&[], &state), (&[], &contents), (&[&from_list], &contents)];
    for (flags, source) in cases {
        for dry in [&["-n"][..], &[]] {
            let ran = copy(23, args(&[flags, dry].concat(), &[source, &fixture.dest]));
            assert_eq!(
                ran.problems(),
                [(".sprag".into(), "reserved".into())],
                "{source:?}"
            );
        }
        let now = fs::read(fixture.dest.join(".sprag/manifest")).unwrap();
        assert_eq!(&now[16..32], id);
    }
    // The state of another copy is left out, as any is that is met on the way.
    fs::remove_dir_all(&state).unwrap();
    copy(0, args(&[], &[&fixture.source.join("docs"), &other]));
    let ran = copy(0, args(&[], &[&contents, &fixture.dest]));
    assert_eq!(ran.sum("entries_skipped"), 1);
}

/// All contents of files in some directories.
fn all_contents(dirs: &[&Path]) -> std::collections::BTreeSet<Vec<u8>> {
    let of = dirs.iter().flat_map(|dir| contents(dir).into_values());
    of.map(|content| format!("{content:?}").into_bytes())
        .collect()
}

#[test]
fn however_source_and_destination_lie_nothing_is_lost_and_nothing_else_is_touched() {
    type Arrange = fn(&Fixture, &Path) -> Option<Vec<Mount>>;
    const TEST: &str = "however source and destination lie";
    let arrangements: [(&str, Arrange); 8] = [
        ("apart", |_, _| Some(Vec::new())),
        ("a part of the source below the destination", |at, _| {
            let (from, to) = (at.source.join("photos"), at.dest.join("photos"));
            Some(vec![Mount::bind(TEST, &from, &to)?])
        }),
        ("the source as the destination", |at, _| {
            Some(vec![Mount::bind(TEST, &at.source, &at.dest)?])
        }),
        ("the destination below the source", |at, _| {
            Some(vec![Mount::bind(
                TEST,
                &at.dest,
                &at.source.join("docs/drive"),
            )?])
        }),
        ("another directory below the destination", |at, other| {
            Some(vec![Mount::bind(
                TEST,
                other,
                &at.dest.join("photos/other"),
            )?])
        }),
        ("another directory below the source", |at, other| {
            Some(vec![Mount::bind(
                TEST,
                other,
                &at.source.join("photos/other"),
            )?])
        }),
        ("another directory below both", |at, other| {
            let [one, two] = [&at.source, &at.dest].map(|dir| dir.join("photos/other"));
            Some(vec![
                Mount::bind(TEST, other, &one)?,
                Mount::bind(TEST, other, &two)?,
            ])
        }),
        ("another file system below both", |at, _| {
            let [one, two] = [&at.source, &at.dest].map(|dir| dir.join("docs/memory"));
            Some(vec![Mount::tmpfs(TEST, &one)?, Mount::tmpfs(TEST, &two)?])
        }),
    ];
    let flags: [&[&str]; 6] = [
        &[],
        &["-x"],
        &["--delete"],
        &["--delete", "-x"],
        &["--remove-source-files"],
        &["--wait=1s"],
    ];
    for (name, arrange) in arrangements {
        for flags in flags {
            let fixture = fixture();
            let other = fixture.temp.path().join("other");
            write(other.join("precious"), "precious");
            write(fixture.dest.join("photos/older"), "older");
            fs::create_dir_all(fixture.dest.join("docs")).unwrap();
            let dirs = [&*fixture.source, &other];
            let (before, of_other) = (all_contents(&dirs), snapshot(&other));
            let Some(mounts) = arrange(&fixture, &other) else {
                return;
            };
            for _ in 0..2 {
                let paths = [fixture.contents(), fixture.dest.clone()];
                let ran = run("copy", args(flags, &[&paths[0], &paths[1]]));
                assert!(
                    [0, 3, 23].contains(&ran.code),
                    "{name} {flags:?}: {}",
                    ran.stderr
                );
            }
            let mends = args(
                &["--repair", "--from"],
                &[&fixture.contents(), &fixture.dest],
            );
            let mended = run("verify", mends);
            assert!(
                [0, 3, 23, 40].contains(&mended.code),
                "{name}: {}",
                mended.stderr
            );
            drop(mounts);
            let all = all_contents(&[&fixture.source, &fixture.dest, &other]);
            let lost: Vec<_> = before.difference(&all).collect();
            assert!(lost.is_empty(), "{name} {flags:?}: {lost:?}");
            let moves = flags.contains(&"--remove-source-files");
            if !moves {
                assert_eq!(snapshot(&other), of_other, "{name} {flags:?}");
                let kept = all_contents(&[&fixture.source, &other]);
                assert!(kept.is_superset(&before), "{name} {flags:?}");
            }
        }
    }
}
