//! What verify finds, and that it never finds what is not there.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use crate::support::user::{USER, as_user, program_in};
use crate::support::*;

#[test]
fn a_flipped_byte_is_found_with_the_range_of_its_block() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 10, &[8 << 20]);
    fixture.copy(0);
    rot(&fixture.dest.join("large0"), (5 << 20) + 17);
    let ran = run("verify", [&fixture.dest]);
    assert_eq!(ran.code, 40);
    assert_eq!(ran.problems(), [("large0".into(), "corrupt".into())]);
    let problem = ran
        .lines
        .iter()
        .find(|line| line["type"] == "problem")
        .unwrap();
    assert_eq!(problem["ranges"], serde_json::json!([[5 << 20, 6 << 20]]));
    assert_eq!(ran.sum("files_corrupt"), 1);
    let people = sprag().arg("verify").arg(&fixture.dest).output().unwrap();
    let text = String::from_utf8_lossy(&people.stderr) + String::from_utf8_lossy(&people.stdout);
    assert!(text.contains("5242880..6291456"), "{text}");
}

#[test]
fn modified_missing_and_extra_entries_are_told_apart() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 10, &[2 << 20]);
    fixture.copy(0);
    fs::write(fixture.dest.join("large0"), "edited").unwrap();
    fs::remove_file(fixture.dest.join("link")).unwrap();
    fs::write(fixture.dest.join("new"), "new").unwrap();
    let ran = run("verify", ["--extra".as_ref(), fixture.dest.as_os_str()]);
    assert_eq!(ran.code, 40);
    let mut problems = ran.problems();
    problems.sort();
    let problem = |path: &str, kind: &str| (path.to_string(), kind.to_string());
    let expected = [
        problem("large0", "modified"),
        problem("link", "missing"),
        problem("new", "extra"),
    ];
    assert_eq!(problems, expected);
}

#[test]
fn an_extra_file_alone_is_counted_and_no_damage() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 3, &[]);
    fixture.copy(0);
    fs::write(fixture.dest.join("new"), "new").unwrap();
    let ran = run("verify", [&fixture.dest]);
    assert_eq!(ran.code, 0);
    assert_eq!(ran.sum("entries_extra"), 1);
    assert!(ran.problems().is_empty());
}

#[test]
fn each_file_says_how_it_was_read() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 10, &[2 << 20]);
    fixture.copy(0);
    let ran = run("verify", [&fixture.dest]);
    assert_eq!(ran.code, 0);
    let read = ["read_direct", "read_evicted", "read_cached"].map(|how| ran.sum(how));
    assert!(read.iter().sum::<u64>() >= 10 + 1 + 3, "{read:?}");
    assert!(ran.sum("bytes_read") >= 2 << 20);
}

#[test]
fn only_the_paths_asked_for_are_read() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 10, &[2 << 20, 2 << 20]);
    fixture.copy(0);
    rot(&fixture.dest.join("large0"), 0);
    let clean = run("verify", [fixture.dest.as_os_str(), "large1".as_ref()]);
    assert_eq!((clean.code, clean.sum("entries_ok")), (0, 1));
    let bad = run("verify", [fixture.dest.as_os_str(), "large0".as_ref()]);
    assert_eq!(bad.code, 40);
}

#[test]
fn a_path_that_covers_nothing_recorded_is_refused_with_the_nearest_name() {
    let fixture = Fixture::new();
    write(fixture.source.join("Photos/2024/f"), "x");
    write(fixture.source.join("notes"), "x");
    fixture.copy(0);
    write(fixture.dest.join("extra"), "x");
    let list = fixture.temp.path().join("list");
    let hash = blake3::hash(b"x").to_hex();
    let lines = ["Photos/2024/f", "notes"].map(|name| format!("{hash}  {name}\n"));
    write(&list, lines.concat());
    let list = format!("--check={}", list.display());
    let from = format!("--from={}/", fixture.source.display());
    for flags in [&[][..], &["--quick"], &["--repair", &*from], &[&*list]] {
        for (path, nearest) in [
            ("photos", "Photos"),
            ("Photos/2042", "Photos/2024"),
            ("2024/f", "Photos/2024/f"),
            ("extra", ""),
        ] {
            // What another PATH covers does not make up for it.
            let paths = [fixture.dest.as_os_str(), "notes".as_ref(), path.as_ref()];
            let words = flags.iter().map(AsRef::as_ref).chain(paths);
            let ran = run("verify", words);
            assert_eq!(ran.code, 3, "{flags:?} {path}: {}", ran.stderr);
            let told = &ran.stderr;
            assert!(told.contains(&format!("{path} is not recorded")), "{told}");
            assert!(told.contains(&format!("{nearest}. Nothing")), "{told}");
        }
        let paths = [fixture.dest.as_os_str(), "Photos/2024".as_ref()];
        let ran = run("verify", flags.iter().map(AsRef::as_ref).chain(paths));
        assert_eq!(ran.code, 0, "{flags:?}: {}", ran.stderr);
    }
}

#[test]
fn a_destination_without_a_manifest_cannot_be_verified() {
    let fixture = Fixture::new();
    let ran = run("verify", [&fixture.source]);
    assert_eq!(ran.code, 3);
    assert!(
        ran.stderr.contains("holds no sprag manifest"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_copy_with_verify_reads_back_every_file_it_copied_and_no_other() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 10, &[5 << 20]);
    let args = || ["--verify".into(), fixture.contents(), fixture.dest.clone()];
    let ran = copy(0, args());
    fixture.assert_same();
    assert_eq!(ran.sum("files_read_back"), ran.sum("files_copied") - 1);
    let read = ["read_direct", "read_evicted", "read_cached"].map(|how| ran.sum(how));
    assert_eq!(read.iter().sum::<u64>(), ran.sum("files_read_back"));
    assert!(ran.sum("bytes_read_back") >= 5 << 20);
    write(fixture.source.join("new"), "new");
    assert_eq!(copy(0, args()).sum("files_read_back"), 1);
    let people = sprag().arg("copy").args(args()).output().unwrap();
    assert!(people.status.success());
}

#[test]
fn a_copy_that_may_not_be_read_back_is_no_bad_medium() {
    let test = "a_copy_that_may_not_be_read_back_is_no_bad_medium";
    if !is_root_with(test, &["setpriv"]) {
        return;
    }
    let fixture = Fixture::new();
    let program = program_in(fixture.temp.path());
    // Its group may read it, and its owner may not.
    let file = fixture.source.join("f");
    write(&file, "content");
    write(fixture.source.join("g"), "content");
    fs::create_dir(&fixture.dest).unwrap();
    chown(&file, Some(0), Some(USER)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o040)).unwrap();
    fs::set_permissions(&fixture.temp, fs::Permissions::from_mode(0o755)).unwrap();
    chown(&fixture.source, Some(USER), Some(USER)).unwrap();
    chown(&fixture.dest, Some(USER), Some(USER)).unwrap();
    let copies = |flag: &str| {
        let mut command = as_user(Some(USER), &program);
        forgetful(&mut command);
        command.args(["copy", "--json", flag]);
        let output = command.args([fixture.contents(), fixture.dest.clone()]);
        Ran::from(&output.output().unwrap())
    };
    let mut figures = Vec::new();
    for flag in ["--verify", "--verify", "--remove-source-files"] {
        let ran = copies(flag);
        assert_eq!(ran.code, 23, "{flag}: {}", ran.stderr);
        let problems = [("f".to_owned(), "not_verified".to_owned())];
        assert_eq!(ran.problems(), problems, "{flag}");
        let told = &ran.stderr;
        assert!(told.contains("cannot read back"), "{told}");
        assert!(told.contains("Permission denied"), "{told}");
        assert!(!told.contains("medium"), "{told}");
        assert!(file.exists());
        figures.push(["files_copied", "files_unchanged", "entries_failed"].map(|of| ran.sum(of)));
    }
    assert_eq!(figures[..2], [[2, 0, 0], [0, 2, 0]]);
    // It was copied all the same.
    assert_eq!(copies("--quiet").code, 0);
}

#[test]
fn a_verification_that_is_stopped_goes_on_when_it_is_rerun() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 40, &[6 << 20, 6 << 20]);
    fixture.copy(0);
    rot(&fixture.dest.join("large0"), 17);
    let slow = ["--bwlimit=3M", "-j1", "-v"].map(std::ffi::OsStr::new);
    let mut child = sprag()
        .args(["verify", "--json"])
        .args(slow)
        .arg(&fixture.dest)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Once it has judged something, it is interrupted as by Ctrl-C.
    let stdout = child.stdout.take().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stdout));
    assert!(lines.any(|line| line.unwrap().contains(r#""type":"entry""#)));
    let pid = child.id().to_string();
    let mut kill = std::process::Command::new("kill");
    assert!(kill.args(["-INT", &pid]).status().unwrap().success());
    let last = lines.last().unwrap().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(20));
    let first: serde_json::Value = serde_json::from_str(&last).unwrap();
    assert!(first["entries_ok"].as_u64().unwrap() > 0);

    let status = run("status", [&fixture.dest]);
    assert_eq!(
        status.lines[0]["last_verify"]["ended_ms"],
        serde_json::Value::Null
    );
    let rest = run("verify", [&fixture.dest]);
    assert_eq!(rest.code, 40);
    assert_eq!(rest.sum("entries_before"), first["entries_ok"]);
    assert_eq!(rest.problems(), [("large0".into(), "corrupt".into())]);
    let all = rest.sum("entries_ok") + rest.sum("entries_before") + 1;
    let anew = run("verify", [&fixture.dest]);
    assert_eq!(anew.sum("entries_before"), 0);
    assert_eq!(anew.sum("entries_ok") + 1, all);

    let status = run("status", [&fixture.dest]);
    assert_eq!(status.lines[0]["last_verify"]["exit_code"], 40);
    assert_eq!(status.lines[0]["last_verify"]["entries_bad"], 1);
}

#[test]
fn what_was_verified_lately_is_passed_over() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 10, &[2 << 20]);
    fixture.copy(0);
    let older = |age: &str| {
        run(
            "verify",
            [
                "--older-than".as_ref(),
                age.as_ref(),
                fixture.dest.as_os_str(),
            ],
        )
    };
    let first = older("1d");
    assert_eq!((first.code, first.sum("entries_recent")), (0, 0));
    let second = older("1d");
    assert_eq!((second.sum("entries_ok"), second.sum("bytes_read")), (0, 0));
    assert_eq!(second.sum("entries_recent"), first.sum("entries_ok"));
    write(fixture.source.join("large0"), "a new version");
    fixture.copy(0);
    let third = older("1d");
    let root = third.sum("entries_ok") - 1;
    assert!(root <= 2, "large0, and directories that were recorded anew");
    assert_eq!(third.sum("bytes_read"), 13);
}

#[test]
fn a_sample_and_a_quick_look_never_say_that_everything_is_as_it_was_copied() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 10, &[4 << 20]);
    fixture.copy(0);
    let text = |args: &[&str]| {
        let ran = sprag().arg("verify").args(args).arg(&fixture.dest).output();
        let ran = ran.unwrap();
        assert_eq!(ran.status.code(), Some(0));
        String::from_utf8(ran.stdout).unwrap()
    };
    let sample = text(&["--sample", "3", "--seed", "5"]);
    assert!(
        sample.contains("A sample (--seed 5): 3 blocks were read"),
        "{sample}"
    );
    let quick = text(&["--quick"]);
    assert!(quick.contains("No content was read"), "{quick}");
    for said in [sample, quick] {
        assert!(
            !said.contains("Everything") && !said.contains("verified"),
            "{said}"
        );
    }
    assert!(text(&[]).contains("Everything that was read back"));
}

#[test]
fn against_the_source_it_is_said_which_side_is_not_what_was_copied() {
    let fixture = Fixture::new();
    for name in ["same", "dest rot", "source rot", "edited", "gone", "both"] {
        write(fixture.source.join(name), name.repeat(9000));
    }
    std::os::unix::fs::symlink("same", fixture.source.join("link")).unwrap();
    fixture.copy(0);
    let (source, dest) = (&fixture.source, &fixture.dest);
    rot(&dest.join("dest rot"), 9);
    rot(&source.join("source rot"), 9);
    write(source.join("edited"), "a new version");
    fs::remove_file(source.join("gone")).unwrap();
    write(source.join("both"), "a new version");
    fs::remove_file(dest.join("both")).unwrap();
    fs::remove_file(source.join("link")).unwrap();
    std::os::unix::fs::symlink("elsewhere", source.join("link")).unwrap();
    let against = format!("--against={}", fixture.contents().display());
    let ran = run("verify", [against.as_ref(), dest.as_os_str()]);
    assert_eq!(ran.code, 40, "{}", ran.stderr);
    let lines = ran.lines.iter().filter(|line| line["type"] == "compared");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_string();
    let mut sides: Vec<_> = lines
        .map(|line| ["path", "source", "dest"].map(|field| text(&line[field])))
        .collect();
    sides.sort();
    let expected = [
        ["both", "edited", "changed"],
        ["dest rot", "same", "changed"],
        ["edited", "edited", "same"],
        ["gone", "missing", "same"],
        ["link", "edited", "same"],
        ["source rot", "rotten", "same"],
    ];
    assert_eq!(sides, expected);
    assert_eq!((ran.sum("source_edited"), ran.sum("both_changed")), (3, 1));
    assert_eq!(
        (ran.sum("source_rotten"), ran.sum("source_missing")),
        (1, 1)
    );
}

#[test]
fn a_source_that_was_edited_since_is_no_damage_and_still_not_0() {
    let fixture = Fixture::new();
    write(fixture.source.join("f"), "before");
    copy(0, [&fixture.source, &fixture.dest]);
    let against = || {
        let flag = format!("--against={}", fixture.source.display());
        run("verify", [flag.as_ref(), fixture.dest.as_os_str()]).code
    };
    assert_eq!(against(), 0);
    write(fixture.source.join("f"), "after that");
    assert_eq!(against(), 23);
}

fn against<'a>(sources: impl IntoIterator<Item = &'a Path>, paths: &[&Path]) -> Ran {
    let flags = sources
        .into_iter()
        .map(|source| format!("--against={}", source.display()).into());
    let paths = paths.iter().map(|path| path.as_os_str().to_owned());
    run("verify", flags.chain(paths).collect::<Vec<OsString>>())
}

/// How many entries were compared with each source.
fn compared(ran: &Ran) -> Vec<u64> {
    let sources = ran.lines.last().unwrap()["sources"].as_array().unwrap();
    let entries = sources.iter().map(|source| &source["entries_compared"]);
    entries.map(|entries| entries.as_u64().unwrap()).collect()
}

#[test]
fn a_source_is_compared_with_or_without_its_slash_and_it_is_said_how_much_was() {
    for copied_as_contents in [true, false] {
        let fixture = Fixture::new();
        write(fixture.source.join("f"), "a file");
        write(fixture.source.join("dir/g"), "another");
        let (itself, contents) = (fixture.source.clone(), fixture.contents());
        let source = [&itself, &contents][usize::from(copied_as_contents)];
        copy(0, [source, &fixture.dest]);
        // DEST or the directory under the source's name, `f`, `dir` and `dir/g`.
        for given in [&itself, &contents] {
            let ran = against([&**given], &[&fixture.dest]);
            assert_eq!((ran.code, compared(&ran)), (0, vec![4]), "{}", ran.stderr);
            assert_eq!(
                ran.lines.last().unwrap()["sources"][0]["path"],
                given.to_str().unwrap()
            );
        }
        let people = sprag()
            .args(["verify", "--against"])
            .args([&itself, &fixture.dest])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&people.stdout);
        let said = format!("Compared 4 entries with {}.", itself.display());
        assert!(text.contains(&said), "{text}");
        rot(&fixture.source.join("f"), 2);
        for given in [&itself, &contents] {
            let ran = against([&**given], &[&fixture.dest]);
            assert_eq!((ran.code, ran.sum("source_rotten")), (40, 1));
        }
    }
}

#[test]
fn an_entry_is_compared_with_the_first_source_that_has_it() {
    let fixture = Fixture::new();
    let [one, two] = ["one/", "two/"].map(|name| fixture.temp.path().join(name));
    write(one.join("in both"), "as copied");
    write(two.join("in both"), "not copied");
    write(two.join("in two"), "as copied");
    // The second file of the same name is refused.
    copy(23, [&one, &two, &fixture.dest]);
    let ran = against([&*one, &*two], &[&fixture.dest]);
    assert_eq!(
        (ran.code, compared(&ran)),
        (0, vec![2, 1]),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_source_that_nothing_can_be_compared_with_is_never_said_to_be_as_it_was_copied() {
    let fixture = Fixture::new();
    write(fixture.source.join("f"), "a file");
    let music = fixture.temp.path().join("music");
    write(music.join("song"), "a song");
    copy(0, [&fixture.contents(), &music, &fixture.dest]);
    let (other, empty) = (
        fixture.temp.path().join("other"),
        fixture.temp.path().join("empty"),
    );
    write(other.join("g"), "never copied");
    fs::create_dir(&empty).unwrap();
    for source in [&other, &empty] {
        let ran = against([&*fixture.source, &**source], &[&fixture.dest]);
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        let said = format!("nothing of source {} is recorded", source.display());
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
        assert_eq!(ran.sum("files_ok"), 0);
    }
    let ran = against([&*music], &[&fixture.dest, Path::new("f")]);
    assert_eq!((ran.code, compared(&ran)), (3, vec![0]), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("nothing was compared"),
        "{}",
        ran.stderr
    );
    let ran = against([&*music], &[&fixture.dest, Path::new("music")]);
    assert_eq!((ran.code, compared(&ran)), (0, vec![2]), "{}", ran.stderr);
}

#[test]
fn rules_that_leave_nothing_to_check_are_refused() {
    let fixture = Fixture::new();
    write(fixture.source.join("a.jpg"), "a");
    write(fixture.source.join("dir/b.jpg"), "b");
    fixture.copy(0);
    let list = fixture.temp.path().join("list");
    write(&list, format!("{}  a.jpg\n", blake3::hash(b"a")));
    let list = format!("--check={}", list.display());
    let from = format!("--from={}", fixture.source.display());
    let dest = fixture.dest.as_os_str();
    let verify = |flags: &[&str], paths: &[&str]| {
        let words = flags.iter().chain(paths).map(OsString::from);
        let mut words: Vec<OsString> = words.collect();
        words.insert(flags.len(), dest.to_owned());
        run("verify", words)
    };
    for (rule, paths) in [
        ("*", &[][..]),
        ("*.jpg", &["a.jpg"]),
        ("dir", &["dir/b.jpg"]),
    ] {
        let exclude = format!("--exclude={rule}");
        for flags in [
            &[][..],
            &["--quick"],
            &["--sample=1"],
            &["--repair", &*from],
        ] {
            let flags: Vec<&str> = flags.iter().copied().chain([&*exclude]).collect();
            let ran = verify(&flags, paths);
            assert_eq!(ran.code, 3, "{flags:?} {paths:?}: {}", ran.stderr);
            assert!(
                ran.stderr.contains("leave out everything"),
                "{}",
                ran.stderr
            );
        }
    }
    for flags in [
        &[&*list][..],
        &["--rebuild", &*list],
        &["--rebuild", &*from],
    ] {
        let flags: Vec<&str> = flags.iter().copied().chain(["--exclude=*"]).collect();
        let ran = verify(&flags, &[]);
        assert_eq!(ran.code, 3, "{flags:?}: {}", ran.stderr);
    }
    let ran = verify(&["--exclude=*.jpg"], &[]);
    assert_eq!(ran.code, 0, "a directory is left: {}", ran.stderr);
    fs::remove_dir_all(&fixture.dest).unwrap();
    fs::remove_dir_all(&fixture.source).unwrap();
    fs::create_dir(&fixture.source).unwrap();
    fixture.copy(0);
    let ran = verify(&["--exclude=*.jpg"], &[]);
    assert_eq!(ran.code, 0, "no rule left anything out: {}", ran.stderr);
}
