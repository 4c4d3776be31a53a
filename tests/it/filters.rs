//! Patterns, lists of files and sizes: what is copied and what is skipped. The situations are those of
//! rsync's tests `exclude`, `files-from`, `max-size` and `trimslash`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::user::{USER, as_user, program_in};
use crate::support::*;

/// Paths of the rows of a table in `docs/FILTERS.md` with the same rules, and whether each is copied.
type Examples = BTreeMap<String, Vec<(String, bool)>>;

fn examples() -> Examples {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/FILTERS.md");
    let mut examples = Examples::new();
    for line in fs::read_to_string(page).unwrap().lines() {
        let cells: Vec<&str> = line.split(" | ").collect();
        let [rules, path, result @ ("copied |" | "skipped |")] = cells[..] else {
            continue;
        };
        if let Some(rules) = rules.strip_prefix("| `--") {
            let copied = result == "copied |";
            let rules = format!("--{}", rules.trim_end_matches('`'));
            let path = path.trim_matches('`').to_owned();
            examples.entry(rules).or_default().push((path, copied));
        }
    }
    examples
}

/// Checks that the rows hold for a program that copies `source/` to `dest`.
fn check_examples(rows: &[(String, bool)], program: &mut Command) {
    let fixture = Fixture::new();
    for (path, _) in rows {
        let path = fixture.source.join(path);
        match path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            true => fs::create_dir_all(path).unwrap(),
            false => write(path, "x"),
        }
    }
    let output = program
        .args([fixture.contents(), fixture.dest.clone()])
        .output()
        .unwrap();
    // A copy of nothing is a mistake to sprag.
    let copied_nothing = output.status.code() == Some(3) && names(&fixture.dest).is_empty();
    assert!(
        output.status.success() || copied_nothing,
        "{program:?}: {output:?}"
    );
    for (path, copied) in rows {
        let there = fixture.dest.join(path).exists();
        assert_eq!(there, *copied, "{program:?}: {path}");
    }
}

#[test]
fn exclude_the_examples_of_the_page_are_true() {
    let examples = examples();
    assert!(examples.values().flatten().count() > 50);
    for (rules, rows) in &examples {
        let mut program = sprag();
        check_examples(rows, program.arg("copy").args(rules.split(' ')));
    }
}

#[test]
fn exclude_the_examples_of_the_page_are_true_of_rsync() {
    if !has("rsync") {
        return skip("exclude: examples against rsync", "rsync");
    }
    for (rules, rows) in &examples() {
        let mut program = Command::new("rsync");
        check_examples(rows, program.arg("-a").args(rules.split(' ')));
    }
}

#[test]
fn exclude_rules_of_files_stand_where_their_flag_does() {
    let fixture = Fixture::new();
    for name in ["a.log", "b.log", "c.log", "d"] {
        write(fixture.source.join(name), "x");
    }
    let rules = fixture.temp.path().join("rules");
    write(&rules, "# no logs\n\n+ b.log\n*.log\n");
    let from = format!("--exclude-from={}", rules.display());
    let (source, dest) = (fixture.contents(), fixture.dest.clone());
    let ran = copy(
        0,
        [
            "--include=a.log".as_ref(),
            from.as_ref(),
            "--include=c.log".as_ref(),
            "-v".as_ref(),
            source.as_os_str(),
            dest.as_os_str(),
        ],
    );
    assert_eq!(names(&fixture.dest), ["a.log", "b.log", "d"]);
    assert_eq!(ran.sum("entries_skipped"), 1);
    let skipped = ran.lines.iter().find(|line| line["outcome"] == "skipped");
    assert_eq!(skipped.unwrap()["path"], "c.log");
}

#[test]
fn exclude_rules_and_lists_of_editors_on_windows_lose_nothing() {
    let fixture = Fixture::new();
    for name in ["a.key", "b.tmp", "c", "d"] {
        write(fixture.source.join(name), "x");
    }
    let rules = fixture.temp.path().join("rules");
    write(&rules, "\u{feff}*.key\r\n*.tmp\r\n");
    let from = format!("--exclude-from={}", rules.display());
    let args = [from.into(), fixture.contents(), fixture.dest.clone()];
    copy(0, args);
    assert_eq!(names(&fixture.dest), ["c", "d"]);
    fs::remove_dir_all(&fixture.dest).unwrap();
    listed(&fixture, "\u{feff}c\r\nb.tmp\r\n".as_bytes(), &[], 0);
    assert_eq!(names(&fixture.dest), ["b.tmp", "c"]);
    let list = fixture.temp.path().join("list");
    let hash = blake3::hash(b"x").to_hex();
    write(&list, format!("\u{feff}{hash}  c\r\n{hash}  b.tmp\r\n"));
    let args = [
        "--check".as_ref(),
        list.as_os_str(),
        fixture.dest.as_os_str(),
    ];
    let ran = run("verify", args);
    assert_eq!((ran.code, ran.sum("entries_ok")), (0, 2), "{}", ran.stderr);
}

/// The names in a directory, sprag's own aside.
fn names(dir: &Path) -> Vec<String> {
    let tree = snapshot(dir);
    tree.keys().map(|path| path.display().to_string()).collect()
}

#[test]
fn exclude_every_entry_is_counted_once_and_what_is_below_an_excluded_directory_is_not() {
    let fixture = Fixture::new();
    for name in ["a/x", "a/b/x", "a/b/y", "c/x", "keep"] {
        write(fixture.source.join(name), "12345");
    }
    symlink("keep", fixture.source.join("link")).unwrap();
    let (source, dest) = (fixture.contents(), fixture.dest.clone());
    let rules = ["--exclude=/a/b", "--exclude=link", "--exclude=c/x"];
    let args = rules.map(Into::into).into_iter();
    let ran = copy(
        0,
        args.chain([source.into_os_string(), dest.into_os_string()]),
    );
    assert_eq!(names(&fixture.dest), ["a", "a/x", "c", "keep"]);
    assert_eq!(ran.sum("entries_skipped"), 3);
    assert_eq!(ran.sum("files_copied"), 2);
    assert_eq!(ran.sum("dirs"), 3);
    assert_eq!(ran.sum("symlinks"), 0);
    assert_eq!(ran.sum("bytes_total"), 10);
}

#[test]
fn exclude_a_source_itself_and_a_file_under_a_new_name_go_by_their_own_names() {
    let fixture = Fixture::new();
    write(fixture.source.join("f"), "x");
    fs::create_dir(&fixture.dest).unwrap();
    let (source, file) = (fixture.source.clone(), fixture.source.join("f"));
    let ran = copy(
        3,
        ["--exclude=/source".into(), source, fixture.dest.clone()],
    );
    assert_eq!((ran.sum("entries_skipped"), ran.sum("dirs")), (1, 0));
    let ran = copy(
        3,
        ["--exclude=/f".into(), file.clone(), fixture.dest.join("g")],
    );
    assert_eq!(
        (ran.sum("entries_skipped"), ran.sum("files_copied")),
        (1, 0)
    );
    let ran = copy(0, ["--exclude=/g".into(), file, fixture.dest.join("g")]);
    assert_eq!(
        (ran.sum("entries_skipped"), ran.sum("files_copied")),
        (0, 1)
    );
}

#[test]
fn exclude_a_pattern_that_is_none_is_wrong_usage_and_nothing_is_touched() {
    let fixture = Fixture::new();
    for (flag, why) in [
        ("--exclude=a[b", "closing ]"),
        ("--include=/", "names nothing"),
        ("--exclude-from=/nowhere/at all", "No such file"),
        ("--files-from=/nowhere/at all", "nothing was copied"),
        ("--max-size=1MB", "1024"),
    ] {
        let args = [flag.into(), fixture.contents(), fixture.dest.clone()];
        let output = sprag().arg("copy").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{flag}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(why), "{flag}: {stderr}");
        assert!(!fixture.dest.exists());
    }
}

fn listed(fixture: &Fixture, list: &[u8], flags: &[&str], code: i32) -> Ran {
    let mut child = sprag()
        .args(["copy", "--json", "--files-from=-"])
        .args(flags)
        .args([&fixture.source, &fixture.dest])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    use std::io::Write;
    child.stdin.take().unwrap().write_all(list).unwrap();
    let ran = Ran::from(&end_within(60, child));
    assert_eq!(ran.code, code, "{}", ran.stderr);
    ran
}

#[test]
fn files_from_copies_what_it_names_and_the_directories_that_lead_there() {
    let fixture = Fixture::new();
    for name in ["a/b/x", "a/b/y", "a/c/d/x", "a/z", "e/f/x", "g"] {
        write(fixture.source.join(name), name);
    }
    for dir in ["a/b", "a", "e/f", "e"] {
        age(&fixture.source.join(dir), 7);
    }
    let list = b"/a/b/x\n# a comment\n\ne/./f/\na/c\na/c/d/x\na/b/x\n";
    let ran = listed(&fixture, list, &[], 0);
    let there = [
        "a", "a/b", "a/b/x", "a/c", "a/c/d", "a/c/d/x", "e", "e/f", "e/f/x",
    ];
    assert_eq!(names(&fixture.dest), there);
    assert_eq!((ran.sum("files_copied"), ran.sum("dirs")), (3, 6));
    let (source, dest) = (snapshot(&fixture.source), snapshot(&fixture.dest));
    assert!(dest.iter().all(|(path, what)| source[path] == *what));
    let again = listed(&fixture, list, &[], 0);
    assert_eq!(
        (again.sum("files_unchanged"), again.sum("bytes_copied")),
        (3, 0)
    );
}

#[test]
fn files_from_with_nul_takes_any_name_and_rules_apply_to_what_is_named() {
    let fixture = Fixture::new();
    for name in ["new\nline", "#x", "a/x", "a/y"] {
        write(fixture.source.join(name), name);
    }
    let ran = listed(&fixture, b"new\nline\0#x\0a\0", &["-0", "--exclude=y"], 0);
    assert_eq!(names(&fixture.dest), ["#x", "a", "a/x", "new\nline"]);
    assert_eq!(ran.sum("entries_skipped"), 1);
    // Rules do not cut off the way to what is named.
    fs::remove_dir_all(&fixture.dest).unwrap();
    listed(&fixture, b"a/x\n", &["--exclude=/a/"], 0);
    assert_eq!(names(&fixture.dest), ["a", "a/x"]);
}

#[test]
fn files_from_names_what_is_missing_and_does_not_go_through_links() {
    let fixture = Fixture::new();
    write(fixture.source.join("a/x"), "x");
    symlink("a", fixture.source.join("link")).unwrap();
    let ran = listed(&fixture, b"a/x\na/none\nno/x\nlink/x\nlink/y\n", &[], 23);
    assert_eq!(names(&fixture.dest), ["a", "a/x"]);
    let problem = |path: &str, kind: &str| (path.to_owned(), kind.to_owned());
    let expected = [
        problem("a/none", "not_there"),
        problem("link", "unreadable"),
        problem("no", "not_there"),
    ];
    assert_eq!(ran.problems(), expected);
}

#[test]
fn files_from_a_path_below_another_has_to_be_there_and_is_copied_once() {
    let fixture = Fixture::new();
    for name in ["d/e/f", "d/g", "d/z/y", "h"] {
        write(fixture.source.join(name), "x");
    }
    symlink("e", fixture.source.join("d/link")).unwrap();
    let list = b"d\nd/e/f\nd/e/none\nd/g/below\nd/link/f\nd/missing\nd/missing/too\nd/z\n";
    let ran = listed(&fixture, list, &[], 23);
    let problem = |path: &str, kind: &str| (path.to_owned(), kind.to_owned());
    let expected = [
        problem("d/e/none", "not_there"),
        problem("d/g", "unreadable"),
        problem("d/link", "unreadable"),
        problem("d/missing", "not_there"),
    ];
    assert_eq!(ran.problems(), expected);
    let there = ["d", "d/e", "d/e/f", "d/g", "d/link", "d/z", "d/z/y"];
    assert_eq!(names(&fixture.dest), there);
    assert_eq!((ran.sum("files_copied"), ran.sum("dirs")), (3, 3));
    let ran = listed(&fixture, b".\nd/e/f\nh\nnone\n", &[], 23);
    assert_eq!(ran.problems(), [problem("none", "not_there")]);
    assert_eq!(
        (ran.sum("files_copied"), ran.sum("files_unchanged")),
        (1, 3)
    );
    fixture.assert_same();
}

#[test]
fn files_from_a_path_below_another_is_copied_though_a_rule_leaves_out_a_directory_above_it() {
    let fixture = Fixture::new();
    for name in ["d/a", "d/e/f/x", "d/e/f/y", "d/e/g", "d/e/h/i", "d/z"] {
        write(fixture.source.join(name), "x");
    }
    let rules = ["--exclude=/d/e", "--exclude=y"];
    let ran = listed(&fixture, b"d\nd/e/f\nd/e/h/none\nd/e/h/i\n", &rules, 23);
    let there = [
        "d", "d/a", "d/e", "d/e/f", "d/e/f/x", "d/e/h", "d/e/h/i", "d/z",
    ];
    assert_eq!(names(&fixture.dest), there);
    assert_eq!(
        ran.problems(),
        [("d/e/h/none".to_owned(), "not_there".to_owned())]
    );
    // Of what the rules leave out only `y` is met.
    assert_eq!((ran.sum("entries_skipped"), ran.sum("dirs")), (1, 4));
    let ran = listed(&fixture, b"d\nd/z\n", &["--exclude=/d"], 0);
    assert_eq!((ran.sum("files_unchanged"), ran.sum("dirs")), (1, 1));
}

#[test]
fn exclude_what_cannot_be_looked_at_can_be_left_out_by_its_name() {
    let test = "exclude_what_cannot_be_looked_at_can_be_left_out_by_its_name";
    if !is_root_with(test, &["setpriv"]) {
        return;
    }
    let fixture = Fixture::new();
    let program = program_in(fixture.temp.path());
    write(fixture.source.join("ok"), "x");
    // Names in it can be listed and not looked at.
    let unsearched = fixture.source.join("unsearched");
    write(unsearched.join("locked"), "x");
    fs::create_dir(unsearched.join("dir")).unwrap();
    write(fixture.dest.join("extra"), "x");
    for path in [fixture.temp.path(), &unsearched] {
        let mode = if path == unsearched { 0o644 } else { 0o755 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    for path in [&fixture.source, &unsearched, &fixture.dest] {
        chown(path, Some(USER), Some(USER)).unwrap();
    }
    let user_copies = |rules: &[&str]| {
        let mut command = as_user(Some(USER), &program);
        forgetful(&mut command);
        command.args(["copy", "--json", "--delete"]).args(rules);
        let output = command.args([fixture.contents(), fixture.dest.clone()]);
        Ran::from(&output.output().unwrap())
    };
    let ran = user_copies(&[]);
    assert_eq!((ran.code, ran.sum("entries_failed")), (23, 2));
    let ran = user_copies(&["--exclude=locked", "--exclude=dir/"]);
    assert_eq!((ran.code, ran.problems()), (0, vec![]), "{}", ran.stderr);
    assert_eq!(
        (ran.sum("entries_skipped"), ran.sum("entries_deleted")),
        (2, 1)
    );
    assert_eq!(names(&fixture.dest), ["ok", "unsearched"]);
    // It is no directory, so that a rule about directories says nothing of it.
    let ran = user_copies(&["--exclude=locked/", "--exclude=dir"]);
    assert_eq!((ran.code, ran.sum("entries_failed")), (23, 1));
}

#[test]
fn files_from_wants_one_directory_and_paths_that_stay_in_it() {
    let fixture = Fixture::new();
    write(fixture.source.join("f"), "x");
    let ran = listed(&fixture, b"../f\n", &[], 1);
    assert!(ran.stderr.contains("without .."), "{}", ran.stderr);
    let other = fixture.temp.path().display().to_string();
    let ran = listed(&fixture, b"f\n", &[&other], 1);
    assert!(ran.stderr.contains("one directory"), "{}", ran.stderr);
    assert!(!fixture.dest.exists());
}

#[test]
fn max_size_and_min_size_leave_out_files_and_nothing_else() {
    let fixture = Fixture::new();
    for (name, len) in [("empty", 0), ("1K", 1024), ("1K+1", 1025), ("4K", 4096)] {
        write(fixture.source.join(name), vec![7; len]);
    }
    symlink("4K", fixture.source.join("link")).unwrap();
    fs::create_dir(fixture.source.join("dir")).unwrap();
    let (source, dest) = (fixture.contents(), fixture.dest.clone());
    let ran = copy(0, ["--max-size=1K".into(), source.clone(), dest.clone()]);
    assert_eq!(names(&dest), ["1K", "dir", "empty", "link"]);
    assert_eq!(
        (ran.sum("files_copied"), ran.sum("entries_skipped")),
        (2, 2)
    );
    let ran = copy(0, ["--min-size=1025".into(), source, dest]);
    assert_eq!(
        (ran.sum("files_copied"), ran.sum("entries_skipped")),
        (2, 2)
    );
    fixture.assert_same();
}

#[test]
fn trimslash_one_slash_or_many_at_the_end_of_a_source_mean_its_contents() {
    for end in ["/", "//", "/.", "/./"] {
        let fixture = Fixture::new();
        write(fixture.source.join("f"), "x");
        let source = format!("{}{end}", fixture.source.display());
        copy(0, [source.into(), fixture.dest.clone()]);
        assert_eq!(names(&fixture.dest), ["f"], "{end}");
    }
}

#[test]
fn one_file_system_makes_mount_points_and_leaves_them_empty() {
    let fixture = Fixture::new();
    write(fixture.source.join("f"), "x");
    let mount = fixture.source.join("mount");
    fs::create_dir(&mount).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "sprag-test"])
        .arg(&mount)
        .output();
    if !is_root() || !mounted.is_ok_and(|output| output.status.success()) {
        return skip("one-file-system", "root that may mount tmpfs");
    }
    write(mount.join("other"), "x");
    write(fixture.source.join("z"), "behind it");
    let (source, dest) = (fixture.contents(), fixture.dest.clone());
    let ran = run("copy", ["-x".into(), source.clone(), dest.clone()]);
    let there = names(&dest);
    // A mount point that a rule leaves out takes nothing with it that stands behind it.
    let without = fixture.temp.path().join("without");
    let options = ["-x", "--exclude=mount"].map(Into::into);
    let left_out = run(
        "copy",
        options.into_iter().chain([source.clone(), without.clone()]),
    );
    let all = run("copy", [source, dest.clone()]);
    let then = names(&dest);
    let unmounted = Command::new("umount").arg(&mount).status().unwrap();
    assert!(unmounted.success());
    assert_eq!(
        (ran.code, left_out.code, all.code),
        (0, 0, 0),
        "{} {}",
        ran.stderr,
        all.stderr
    );
    assert_eq!(there, ["f", "mount", "z"]);
    assert_eq!(names(&without), ["f", "z"]);
    assert_eq!(then, ["f", "mount", "mount/other", "z"]);
}
