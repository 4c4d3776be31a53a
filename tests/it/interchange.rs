//! Lists and bags for other tools, and trees checked against lists that other tools made.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::*;

/// Names that lists have to escape, or cannot have.
const ODD: [&str; 6] = [
    "back\\slash",
    "line\nfeed",
    "return\r",
    "\\n",
    "-",
    " blank",
];

fn odd_tree(fixture: &Fixture) {
    for name in ODD {
        write(fixture.source.join(name), name);
        write(fixture.source.join("sub").join(name), name);
    }
    write(fixture.source.join("sub/large"), Rng::new(1).bytes(3 << 20));
    write(fixture.source.join("empty"), "");
}

fn export(fixture: &Fixture, args: &[&str]) -> Output {
    let ran = sprag().arg("export").args(args).arg(&fixture.dest).output();
    ran.unwrap()
}

/// Runs a tool on a list in a tree; whether it was content.
fn accepts(tool: &str, list: &Path, tree: &Path) -> bool {
    let ran = Command::new(tool)
        .arg("--check")
        .arg(list)
        .current_dir(tree)
        .output();
    let output = ran.unwrap();
    if !output.status.success() {
        tell_of(&output);
    }
    output.status.success()
}

fn tell_of(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    tell(&text);
}

fn list_of(fixture: &Fixture, tool: &str, args: &[&str]) -> std::path::PathBuf {
    let list = fixture.temp.path().join("list");
    let script = format!(
        "find . -type f -not -path './.sprag/*' -print0 | xargs -0 {tool} {}",
        args.join(" ")
    );
    let ran = Command::new("sh")
        .args(["-c", &script])
        .current_dir(&fixture.dest)
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    fs::write(&list, ran.stdout).unwrap();
    list
}

fn check(fixture: &Fixture, list: &Path) -> Ran {
    let args = [
        OsStr::new("--extra"),
        OsStr::new("--check"),
        list.as_os_str(),
        fixture.dest.as_os_str(),
    ];
    run("verify", args)
}

#[test]
fn b3sum_accepts_a_list_with_odd_names_and_what_it_cannot_have_is_named() {
    let test = "b3sum_accepts_a_list_with_odd_names_and_what_it_cannot_have_is_named";
    if !has("b3sum") {
        return skip(test, "b3sum (cargo install b3sum)");
    }
    let fixture = Fixture::new();
    odd_tree(&fixture);
    fixture.copy(0);
    let list = fixture.temp.path().join("list");
    let exported = export(&fixture, &["-o", list.to_str().unwrap()]);
    assert!(exported.status.success());
    assert!(accepts("b3sum", &list, &fixture.dest));
    assert_eq!(
        fs::read_to_string(&list).unwrap().lines().count(),
        2 * ODD.len() + 2
    );
    write(fixture.source.join(OsStr::from_bytes(b"caf\xe9")), "latin");
    fixture.copy(0);
    let exported = export(&fixture, &["-o", list.to_str().unwrap()]);
    assert_eq!(exported.status.code(), Some(23));
    let told = String::from_utf8_lossy(&exported.stderr).into_owned();
    assert!(
        told.contains("left out caf") && told.contains("not UTF-8"),
        "{told}"
    );
    assert!(accepts("b3sum", &list, &fixture.dest));
}

#[test]
fn sha256sum_accepts_the_list_and_rot_gets_no_fresh_hash() {
    let test = "sha256sum_accepts_the_list_and_rot_gets_no_fresh_hash";
    if !has("sha256sum") {
        return skip(test, "sha256sum");
    }
    let fixture = Fixture::new();
    odd_tree(&fixture);
    write(fixture.source.join(OsStr::from_bytes(b"caf\xe9")), "latin");
    fixture.copy(0);
    let list = fixture.temp.path().join("list");
    let args = ["--format", "sha256", "-o", list.to_str().unwrap()];
    assert!(export(&fixture, &args).status.success());
    assert!(accepts("sha256sum", &list, &fixture.dest));
    assert_eq!(
        fs::read(&list)
            .unwrap()
            .iter()
            .filter(|b| **b == b'\n')
            .count(),
        2 * ODD.len() + 3
    );
    fs::write(fixture.dest.join("sub/large"), "rot").unwrap();
    let exported = export(&fixture, &args);
    assert_eq!(exported.status.code(), Some(40));
    let told = String::from_utf8_lossy(&exported.stderr).into_owned();
    assert!(
        told.contains("left out sub/large: its content is not what was copied"),
        "{told}"
    );
    assert!(!String::from_utf8_lossy(&fs::read(&list).unwrap()).contains("sub/large"));
}

#[test]
fn every_entry_has_a_line_of_json() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 3, &[2 << 20]);
    fixture.copy(0);
    let exported = export(&fixture, &["--format", "json"]);
    let ran = Ran::from(&exported);
    let of = |kind: &str| ran.lines.iter().filter(|line| line["type"] == kind).count();
    assert_eq!((of("file"), of("symlink")), (3 + 1 + 4, 2));
    let large = ran
        .lines
        .iter()
        .find(|line| line["path"] == "large0")
        .unwrap();
    assert_eq!(large["size"], 2 << 20);
    let content = fs::read(fixture.source.join("large0")).unwrap();
    assert_eq!(large["blake3"], blake3::hash(&content).to_hex().as_str());
    let hard = ran
        .lines
        .iter()
        .find(|line| line["path"] == "hard b")
        .unwrap();
    assert_eq!(hard["link_to"], "dir0/hard a");
    assert!(
        ran.lines
            .iter()
            .any(|line| line["path_bytes"] == "ZGlyMC///g==")
    );
}

/// What the reference validator of BagIt says.
fn bag_is_valid(bag: &Path) -> bool {
    let script = "import bagit, sys; bagit.Bag(sys.argv[1]).validate()";
    let ran = Command::new("python3")
        .args(["-W", "ignore", "-c", script])
        .arg(bag)
        .output();
    let output = ran.unwrap();
    if !output.status.success() {
        tell_of(&output);
    }
    output.status.success()
}

fn has_bagit() -> bool {
    let ran = Command::new("python3")
        .args(["-W", "ignore", "-c", "import bagit"])
        .output();
    ran.is_ok_and(|output| output.status.success())
}

#[test]
fn the_reference_validator_accepts_a_bag_of_hard_links() {
    let test = "the_reference_validator_accepts_a_bag_of_hard_links";
    if !has_bagit() {
        return skip(test, "the Python package bagit (pip install bagit)");
    }
    let fixture = Fixture::new();
    odd_tree(&fixture);
    write(fixture.source.join("50% off"), "percent");
    fixture.copy(0);
    let bag = fixture.temp.path().join("bag");
    let args = ["--format", "bagit", "-o", bag.to_str().unwrap()];
    let exported = export(&fixture, &args);
    assert!(exported.status.success());
    assert!(bag_is_valid(&bag));
    let again = export(&fixture, &args);
    assert_eq!(again.status.code(), Some(3));
    fs::remove_file(bag.join("data/50% off")).unwrap();
    assert!(!bag_is_valid(&bag));
}

#[test]
fn a_copy_below_data_becomes_a_bag_in_place() {
    let test = "a_copy_below_data_becomes_a_bag_in_place";
    let fixture = Fixture::new();
    mixed_tree(&fixture.source.join("data"), 5, &[2 << 20]);
    let unspeakable = OsStr::from_bytes(b"data/dir0/\xff\xfe");
    fs::remove_file(fixture.source.join(unspeakable)).unwrap();
    for link in ["data/link", "data/dir0/dangling"] {
        fs::remove_file(fixture.source.join(link)).unwrap();
    }
    fixture.copy(0);
    let args = ["--format", "bagit", "-o", fixture.dest.to_str().unwrap()];
    let exported = export(&fixture, &args);
    assert!(exported.status.success());
    write(fixture.dest.join("data/stranger"), "new");
    let exported = export(&fixture, &args);
    assert_eq!(exported.status.code(), Some(23));
    let told = String::from_utf8_lossy(&exported.stderr).into_owned();
    assert!(told.contains("left out data/stranger"), "{told}");
    fs::remove_file(fixture.dest.join("data/stranger")).unwrap();
    if !has_bagit() {
        return skip(test, "the Python package bagit (pip install bagit)");
    }
    assert!(bag_is_valid(&fixture.dest));
}

#[test]
fn a_tree_is_checked_against_lists_of_other_tools() {
    let test = "a_tree_is_checked_against_lists_of_other_tools";
    for (tool, args) in [
        ("b3sum", &[][..]),
        ("sha256sum", &[]),
        ("sha256sum", &["--tag"]),
    ] {
        if !has(tool) {
            skip(test, tool);
            continue;
        }
        let fixture = Fixture::new();
        odd_tree(&fixture);
        fixture.copy(0);
        fs::remove_dir_all(fixture.dest.join(".sprag")).unwrap();
        let list = list_of(&fixture, tool, args);
        let ran = check(&fixture, &list);
        assert_eq!(
            (ran.code, ran.problems()),
            (0, vec![]),
            "{tool} {}",
            ran.stderr
        );
        assert_eq!(ran.sum("entries_ok"), 2 * ODD.len() as u64 + 2);
        assert!(ran.sum("bytes_read") >= 3 << 20);
        fs::write(fixture.dest.join("sub/large"), "edited").unwrap();
        fs::remove_file(fixture.dest.join("line\nfeed")).unwrap();
        write(fixture.dest.join("sub/new"), "new");
        let ran = check(&fixture, &list);
        let mut problems = ran.problems();
        problems.sort();
        let problem = |path: &str, kind: &str| (path.to_string(), kind.to_string());
        let expected = [
            problem("line\nfeed", "missing"),
            problem("sub/large", "modified"),
            problem("sub/new", "extra"),
        ];
        assert_eq!((ran.code, problems), (40, expected.to_vec()), "{tool}");
    }
}

#[test]
fn a_list_may_come_from_a_pipe_or_standard_input_or_stand_behind_a_symlink() {
    let fixture = Fixture::new();
    write(fixture.dest.join("a"), "a");
    let list = fixture.temp.path().join("list");
    write(&list, format!("{}  a\n", blake3::hash(b"a")));
    let link = fixture.temp.path().join("latest");
    std::os::unix::fs::symlink(&list, &link).unwrap();
    let ran = check(&fixture, &link);
    assert_eq!((ran.code, ran.sum("entries_ok")), (0, 1), "{}", ran.stderr);
    let sprag = env!("CARGO_BIN_EXE_sprag");
    for script in [
        "cat list | $0 verify --check - dest",
        "$0 verify --check - dest <list",
        "$0 verify --check <(cat list) dest",
        "$0 verify --rebuild --check - dest <list",
    ] {
        let mut bash = std::process::Command::new("bash");
        bash.args(["-c", script, sprag]).current_dir(&fixture.temp);
        let output = bash.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{script}: {told}");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(told.contains("1 file"), "{script}: {told}");
    }
    let ran = check(&fixture, &fixture.dest);
    assert_eq!(ran.code, 3);
    assert!(
        ran.stderr.contains("cannot read the list"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_list_inside_the_tree_is_not_extra_and_lines_that_lead_out_of_it_are_refused() {
    let fixture = Fixture::new();
    write(fixture.dest.join("a"), "a");
    let hash = blake3::hash(b"a").to_hex();
    let list = fixture.dest.join("sums.b3");
    write(&list, format!("{hash}  a\n"));
    let ran = check(&fixture, &list);
    assert_eq!(
        (ran.code, ran.sum("entries_ok"), ran.sum("entries_extra")),
        (0, 1, 0)
    );
    write(
        &list,
        format!("{hash}  a\n{hash}  ../a\n{hash}  caf\u{fffd}\n"),
    );
    let ran = check(&fixture, &list);
    assert_eq!((ran.code, ran.sum("entries_unreadable")), (40, 2));
    write(&list, "no list at all\n");
    let ran = check(&fixture, &list);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("is no checksum list"), "{}", ran.stderr);
}

#[test]
fn a_list_that_names_nothing_to_check_proves_nothing() {
    let fixture = Fixture::new();
    write(fixture.dest.join("f"), "content");
    let list = fixture.temp.path().join("list");
    let hash = "ab".repeat(32);
    let other = format!("{hash}  other\n");
    for (content, more) in [("", None), ("# a comment\n\n", None), (&*other, Some("f"))] {
        write(&list, content);
        for flags in [&["--check"][..], &["--rebuild", "--check"]] {
            if more.is_some() && flags.len() > 1 {
                continue;
            }
            let args = flags.iter().map(std::path::PathBuf::from);
            let args = args.chain([list.clone(), fixture.dest.clone()]);
            let args = args.chain(more.map(std::path::PathBuf::from));
            let ran = run("verify", args);
            assert_eq!(ran.code, 3, "{content:?} {flags:?}: {}", ran.stderr);
            assert!(
                ran.stderr.contains("Nothing was verified"),
                "{}",
                ran.stderr
            );
        }
    }
    assert!(!fixture.dest.join(".sprag").exists());
}

#[test]
fn names_that_a_bag_cannot_tell_are_named_and_left_out_of_it() {
    let test = "names_that_a_bag_cannot_tell_are_named_and_left_out_of_it";
    let fixture = Fixture::new();
    let untold = [
        "scan ",
        "tab\t",
        "nbsp\u{a0}",
        "a\u{2028}b",
        "a\u{85}b",
        "a\u{b}b",
        "unit\u{1f}",
    ];
    let told = ["a b", " leading", "inner\u{a0}space", "dir /f", "line\n"];
    for name in untold.iter().chain(&told) {
        write(fixture.source.join(name), name);
    }
    fixture.copy(0);
    let bag = fixture.temp.path().join("bag");
    let args = ["--format", "bagit", "-o", bag.to_str().unwrap()];
    let exported = export(&fixture, &args);
    assert_eq!(exported.status.code(), Some(23));
    let said = String::from_utf8_lossy(&exported.stderr).into_owned();
    assert_eq!(
        said.matches("ends in white space").count(),
        untold.len(),
        "{said}"
    );
    for name in told {
        assert!(bag.join("data").join(name).exists(), "{name:?}");
    }
    if !has_bagit() {
        return skip(test, "the Python package bagit (pip install bagit)");
    }
    assert!(bag_is_valid(&bag));
}

/// A tree with a file, a symlink to it, and one to its directory.
fn plain_tree() -> Fixture {
    let fixture = Fixture::new();
    write(fixture.dest.join("dir/a b"), "content");
    std::os::unix::fs::symlink("dir/a b", fixture.dest.join("link")).unwrap();
    std::os::unix::fs::symlink("dir", fixture.dest.join("dirlink")).unwrap();
    fixture
}

#[test]
fn lists_are_read_in_the_forms_in_which_tools_systems_and_hands_leave_them() {
    let fixture = plain_tree();
    let list = fixture.temp.path().join("list");
    let blake3 = blake3::hash(b"content").to_hex().to_string();
    let sha256 = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73";
    for (form, line) in [
        ("b3sum", "BLAKE3HEX  dir/a b"),
        ("b3sum --tag", "BLAKE3 (dir/a b) = BLAKE3HEX"),
        ("sha256sum", "SHAHEX  dir/a b"),
        (
            "sha256sum -b, shasum -b, openssl dgst -r",
            "SHAHEX *dir/a b",
        ),
        (
            "sha256sum --tag, cksum -a sha256",
            "SHA256 (dir/a b) = SHAHEX",
        ),
        ("openssl 3", "SHA2-256(dir/a b)= SHAHEX"),
        ("openssl 1", "SHA256(dir/a b)= SHAHEX"),
        ("sha256 -r of the BSDs", "SHAHEX dir/a b"),
        ("a tab", "SHAHEX\tdir/a b"),
        ("many blanks", "SHAHEX     dir/a b"),
        ("find . | xargs", "SHAHEX  ./dir//a b"),
        ("an absolute path", "SHAHEX  DEST/dir/a b"),
        ("upper case", "SHAUPPER  dir/a b"),
        ("CRLF", "SHAHEX  dir/a b\r"),
        ("a byte order mark", "\u{feff}SHAHEX  dir/a b"),
        ("blanks in front", "  SHAHEX  dir/a b"),
        (
            "comments",
            "; made\n# by hand\n\n \t\r\nSHAHEX  dir/a b\n;end",
        ),
        ("Windows", "SHAHEX *dir\\a b"),
        ("Windows, with a dot", "SHAHEX  .\\dir\\a b"),
        ("sha256sum on Windows", "\\SHAHEX *dir\\\\a b"),
        ("a symlink", "SHAHEX  link"),
        ("a symlink to a directory", "SHAHEX  dirlink/a b"),
    ] {
        let text = line
            .replace("BLAKE3HEX", &blake3)
            .replace("SHAHEX", sha256)
            .replace("SHAUPPER", &sha256.to_uppercase())
            .replace("DEST", fixture.dest.to_str().unwrap());
        write(&list, format!("{text}\n"));
        let ran = check(&fixture, &list);
        assert_eq!(ran.code, 0, "{form}: {} {:?}", ran.stderr, ran.problems());
        assert_eq!(ran.sum("bytes_read"), 7, "{form}");
        let other = text.replace("ed70", "ed71").replace("ED70", "ED71");
        let other = other.replace(&blake3[..4], "0000");
        write(&list, format!("{other}\n"));
        assert_eq!(check(&fixture, &list).code, 40, "{form}: another hash");
    }
}

#[test]
fn a_name_is_taken_as_it_stands_if_that_is_there_and_read_otherwise_only_if_not() {
    let fixture = Fixture::new();
    let list = fixture.temp.path().join("list");
    for (name, other) in [("dir\\f", "dir/f"), ("*g", "g"), ("  h", "h")] {
        write(fixture.dest.join(name), name);
        write(fixture.dest.join(other), other);
        let hash = blake3::hash(name.as_bytes()).to_hex();
        let line = match name {
            "*g" => format!("{hash}\t{name}\n"),
            _ => format!("{hash}  {name}\n"),
        };
        write(&list, line);
        assert_eq!(check(&fixture, &list).code, 0, "{name:?}");
        fs::remove_file(fixture.dest.join(name)).unwrap();
        // The other file has another content.
        assert_eq!(check(&fixture, &list).code, 40, "{name:?} is {other:?} now");
        write(fixture.dest.join(other), name);
        assert_eq!(check(&fixture, &list).code, 0, "{name:?} is {other:?} now");
    }
}

#[test]
fn a_symlink_is_followed_inside_of_the_tree_alone() {
    let fixture = plain_tree();
    let (temp, dest) = (fixture.temp.path(), &fixture.dest);
    write(temp.join("outside"), "content");
    for (name, target) in [
        ("out", "../outside"),
        ("up", "dir/../../outside"),
        ("absolute", temp.join("outside").to_str().unwrap()),
        ("inside", dest.join("dir/a b").to_str().unwrap()),
        ("around", "dir/../dirlink/../link"),
        ("loop", "loop"),
        ("dangling", "gone"),
    ] {
        std::os::unix::fs::symlink(target, dest.join(name)).unwrap();
    }
    let list = temp.join("list");
    let hash = blake3::hash(b"content").to_hex();
    for (name, problem) in [
        ("inside", None),
        ("around", None),
        ("out", Some("modified")),
        ("up", Some("modified")),
        ("absolute", Some("modified")),
        ("dirlink", Some("modified")),
        ("loop", Some("unreadable")),
        ("dangling", Some("missing")),
    ] {
        write(&list, format!("{hash}  {name}\n"));
        let ran = run(
            "verify",
            ["--check".as_ref(), list.as_os_str(), dest.as_os_str()],
        );
        let expected: Vec<_> = problem
            .map(|kind| (name.into(), kind.into()))
            .into_iter()
            .collect();
        assert_eq!(ran.problems(), expected, "{name}: {}", ran.stderr);
        assert_eq!(ran.code, if problem.is_some() { 40 } else { 0 }, "{name}");
    }
}

#[test]
fn what_the_tools_here_write_is_read() {
    for command in [
        "b3sum",
        "b3sum --tag",
        "sha256sum -b",
        "sha256sum --tag",
        "shasum -a 256",
        "shasum -b -a 256",
        "cksum -a sha256",
        "cksum -a sha256 --untagged",
        "openssl dgst -sha256",
        "openssl dgst -r -sha256",
    ] {
        let fixture = plain_tree();
        let (tool, args) = command.split_once(' ').unwrap_or((command, ""));
        let made = Command::new("sh")
            .args(["-c", &format!("{tool} {args} 'dir/a b' link")])
            .current_dir(&fixture.dest)
            .output()
            .unwrap();
        if !made.status.success() {
            skip("what_the_tools_here_write_is_read", command);
            continue;
        }
        let list = fixture.temp.path().join("list");
        write(&list, made.stdout);
        let ran = check(&fixture, &list);
        assert_eq!(
            (ran.code, ran.sum("files_ok")),
            (0, 2),
            "{command}: {}",
            ran.stderr
        );
    }
}

#[test]
fn a_list_of_another_hash_is_refused_by_its_name() {
    let fixture = plain_tree();
    let list = fixture.temp.path().join("list");
    let md5 = "9a0364b9e99bb480dd25e1f0284c8555";
    for (line, name) in [
        (format!("{md5}  dir/a b"), "MD5"),
        (format!("MD5 (dir/a b) = {md5}"), "MD5"),
        (
            format!("BLAKE2B-512(dir/a b)= {}", md5.repeat(4)),
            "BLAKE2B-512",
        ),
        (format!("{}  dir/a b", md5.repeat(4)), "SHA-512"),
    ] {
        write(&list, format!("# a comment\n{line}\n"));
        let ran = check(&fixture, &list);
        assert_eq!(ran.code, 1, "{line}");
        let said = format!("Of line 2: its hash is {name}");
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
        let hash = blake3::hash(b"content").to_hex();
        write(&list, format!("{hash}  dir/a b\n{line}\n"));
        let ran = check(&fixture, &list);
        assert_eq!((ran.code, ran.sum("entries_unreadable")), (40, 1), "{line}");
    }
}
