//! Totals count each kind of entry for itself, and add up to the tree that they tell of.

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;

use crate::support::*;

/// Regular files, directories (the top one, too), symlinks and special files below a directory.
fn kinds(root: &Path) -> [u64; 4] {
    let mut kinds = [0; 4];
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(root).unwrap();
        if path.starts_with(".sprag") {
            continue;
        }
        let kind = entry.file_type();
        let is_special = kind.is_fifo() || kind.is_socket();
        let nth = [kind.is_file(), kind.is_dir(), kind.is_symlink(), is_special];
        kinds[nth.iter().position(|is| *is).unwrap()] += 1;
    }
    kinds
}

/// A tree of entries of all kinds, with further names of a file, a symlink and a fifo.
fn tree(at: &Fixture) {
    for name in ["a/x", "a/b/y", "z"] {
        write(at.source.join(name), name);
    }
    fs::create_dir(at.source.join("empty")).unwrap();
    symlink("a", at.source.join("link")).unwrap();
    let (fifo, mode) = (at.source.join("fifo"), Mode::RUSR);
    mknodat(CWD, &fifo, FileType::Fifo, mode, 0).unwrap();
    for name in ["a/x", "link", "fifo"] {
        let other = at.source.join(format!("{name} again"));
        fs::hard_link(at.source.join(name), other).unwrap();
    }
}

/// Counts by kind of a line, whose names end in `name`.
#[track_caller]
fn named(line: &Value, name: &str) -> [u64; 4] {
    ["files", "dirs", "symlinks", "specials"]
        .map(|of| line[format!("{of}_{name}")].as_u64().unwrap())
}

#[test]
fn the_totals_of_each_command_are_those_of_the_tree() {
    let at = Fixture::new();
    tree(&at);
    let there = kinds(&at.source);
    assert_eq!(there, [4, 4, 2, 2]);
    let source = at.contents();
    let (source, dest) = (source.to_str().unwrap(), at.dest.to_str().unwrap());
    let of_copy = |ran: &Ran, files: &str| {
        let others = ["dirs", "symlinks", "specials"].map(|of| ran.sum(of));
        [ran.sum(files), others[0], others[1], others[2]]
    };
    assert_eq!(
        of_copy(&run("copy", ["-n", source, dest]), "files_copied"),
        there
    );
    assert_eq!(of_copy(&at.copy(0), "files_copied"), there);
    assert_eq!(of_copy(&at.copy(0), "files_unchanged"), there);

    let ok = |ran: &Ran| named(ran.lines.last().unwrap(), "ok");
    let verified = run("verify", [dest]);
    assert_eq!((ok(&verified), verified.sum("entries_ok")), (there, 12));
    let recent = run("verify", ["--older-than=1d", dest]);
    assert_eq!(named(&recent.lines[0], "recent"), there);
    assert_eq!(named(recent.lines.last().unwrap(), "recent"), there);
    assert_eq!(ok(&run("verify", ["--against", source, dest])), there);

    let status = run("status", [dest]);
    let fields = ["files_done", "dirs", "symlinks", "specials"];
    assert_eq!(
        fields.map(|of| status.lines[0][of].as_u64().unwrap()),
        there
    );

    let list = at.temp.path().join("list");
    let exported = sprag().args(["export", dest]).output().unwrap();
    fs::write(&list, exported.stdout).unwrap();
    let list = list.to_str().unwrap();
    let checked = run("verify", ["--check", list, dest]);
    assert_eq!(ok(&checked), [there[0], 0, 0, 0], "{}", checked.stderr);

    fs::remove_dir_all(at.dest.join(".sprag")).unwrap();
    let rebuilt = run("verify", ["--rebuild", "--from", source, dest]);
    assert_eq!(
        (rebuilt.code, ok(&rebuilt)),
        (0, there),
        "{}",
        rebuilt.stderr
    );
    assert_eq!(named(rebuilt.lines.last().unwrap(), "recorded"), there);
}

#[test]
fn what_is_not_there_skipped_or_deleted_is_counted_as_what_it_is() {
    let at = Fixture::new();
    tree(&at);
    at.copy(0);
    let (source, dest) = (at.contents(), at.dest.clone());
    for name in ["a/b/y", "link", "fifo"] {
        fs::remove_file(dest.join(name)).unwrap();
    }
    fs::remove_dir(dest.join("a/b")).unwrap();
    fs::create_dir(dest.join("not ours")).unwrap();
    let ran = run("verify", [&dest]);
    let last = ran.lines.last().unwrap();
    assert_eq!(named(last, "missing"), [1, 1, 1, 1]);
    assert_eq!(named(last, "extra"), [0, 1, 0, 0]);
    at.copy(0);
    let rules = ["--exclude=/a/", "--exclude=z", "--exclude=link*"];
    let rules = rules.iter().map(Into::into);
    let ran = copy(0, rules.chain([source.clone(), dest.clone()]));
    assert_eq!(named(ran.lines.last().unwrap(), "skipped"), [1, 1, 2, 0]);
    for name in ["a/b/y", "link", "fifo"] {
        fs::remove_file(at.source.join(name)).unwrap();
    }
    let ran = copy(0, ["--delete".into(), source, dest]);
    assert_eq!(named(ran.lines.last().unwrap(), "deleted"), [1, 1, 1, 1]);
}

#[test]
fn people_are_told_of_files_directories_and_symlinks_and_not_of_entries() {
    let at = Fixture::new();
    tree(&at);
    at.copy(0);
    let said = |args: &[&str]| {
        let output = sprag().args(args).arg(&at.dest).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let verified = said(&["verify"]);
    let ok = "4 files, 4 directories, 2 symlinks, 2 special files ok; 0 corrupt; ";
    assert!(verified.starts_with(ok), "{verified}");
    let status = said(&["status"]);
    let done = "4 directories, 2 symlinks, 2 special files";
    assert!(status.contains(done), "{status}");
    fs::remove_file(at.dest.join("a/b/y")).unwrap();
    fs::remove_dir(at.dest.join("a/b")).unwrap();
    let verified = said(&["verify"]);
    assert!(
        verified.contains("1 file, 1 directory missing; "),
        "{verified}"
    );
    let source = at.contents();
    let copied = said(&[
        "copy",
        "--exclude=/a/",
        "--exclude=z",
        source.to_str().unwrap(),
    ]);
    assert!(
        copied.contains("; 1 file, 1 directory skipped; "),
        "{copied}"
    );
}
