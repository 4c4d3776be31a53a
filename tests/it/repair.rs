//! Repair from a source: what it mends, and what it leaves alone.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileExt, MetadataExt};

use crate::support::*;

fn copied() -> Fixture {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 10, &[8 << 20, 3 << 20]);
    fixture.copy(0);
    fixture
}

fn repair(fixture: &Fixture) -> Ran {
    let contents = fixture.contents();
    let args = [
        "--repair".as_ref(),
        "--from".as_ref(),
        contents.as_os_str(),
        fixture.dest.as_os_str(),
    ];
    run("verify", args)
}

#[test]
fn rot_and_losses_are_repaired_and_only_bad_blocks_are_read_from_the_source() {
    let fixture = copied();
    rot(&fixture.dest.join("large0"), (5 << 20) + 17);
    rot(&fixture.dest.join("large0"), 7);
    rot(&fixture.dest.join("dir0/hard a"), 3);
    fs::remove_file(fixture.dest.join("link")).unwrap();
    fs::remove_dir_all(fixture.dest.join("dir1")).unwrap();
    let lost = snapshot(&fixture.source.join("dir1")).len();
    // Where the destination is good, the source is not looked at.
    rot(&fixture.source.join("large0"), 3 << 20);
    let ran = repair(&fixture);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!((ran.sum("entries_failed"), ran.sum("entries_left")), (0, 0));
    assert!(
        ran.sum("bytes_repaired") < (2 << 20) + 700_000,
        "{}",
        ran.sum("bytes_repaired")
    );
    assert!(ran.sum("files_repaired") >= 2, "{lost} lost");
    rot(&fixture.source.join("large0"), 3 << 20);
    fixture.assert_same();
    let ino = |path: &str| fs::metadata(fixture.dest.join(path)).unwrap().ino();
    assert_eq!(ino("dir0/hard a"), ino("hard b"));
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
    assert_eq!(fixture.copy(0).sum("files_copied"), 0);
}

#[test]
fn an_edited_source_is_refused_file_by_file_and_nothing_of_it_is_written() {
    let fixture = copied();
    rot(&fixture.dest.join("large0"), 0);
    rot(&fixture.dest.join("large1"), 0);
    let rotten = fs::read(fixture.dest.join("large0")).unwrap();
    write(fixture.source.join("large0"), Rng::new(9).bytes(8 << 20));
    let ran = repair(&fixture);
    assert_eq!(ran.code, 40);
    let refused = ("large0".to_string(), "source_edited".to_string());
    assert!(ran.problems().contains(&refused), "{:?}", ran.problems());
    assert_eq!((ran.sum("files_repaired"), ran.sum("entries_left")), (1, 1));
    assert_eq!(fs::read(fixture.dest.join("large0")).unwrap(), rotten);
    assert_eq!(
        fs::read(fixture.dest.join("large1")).unwrap(),
        fs::read(fixture.source.join("large1")).unwrap()
    );
    fs::remove_file(fixture.source.join("large0")).unwrap();
    let ran = repair(&fixture);
    assert_eq!(ran.code, 40);
    let refused = ("large0".to_string(), "no_source".to_string());
    assert!(ran.problems().contains(&refused), "{:?}", ran.problems());
}

#[test]
fn what_was_edited_at_the_destination_is_left_alone() {
    let fixture = copied();
    fs::write(fixture.dest.join("large0"), "mine now").unwrap();
    rot(&fixture.dest.join("large1"), 1 << 20);
    let ran = repair(&fixture);
    assert_eq!(ran.code, 40);
    assert_eq!(ran.sum("files_repaired"), 1);
    assert_eq!(fs::read(fixture.dest.join("large0")).unwrap(), b"mine now");
}

#[test]
fn where_nothing_is_damaged_a_repair_touches_no_file() {
    let fixture = copied();
    let before = snapshot(&fixture.dest);
    let ran = repair(&fixture);
    assert_eq!((ran.code, ran.sum("files_repaired")), (0, 0));
    assert_eq!(snapshot(&fixture.dest), before);
    let output = sprag()
        .args(["verify", "--repair"])
        .arg(&fixture.dest)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "--repair needs --from");
}

#[test]
fn a_repair_is_told_on_the_screen_in_the_log_in_the_report_and_as_json() {
    let fixture = copied();
    rot(&fixture.dest.join("large0"), 5);
    rot(&fixture.dest.join("large1"), 5);
    fs::remove_file(fixture.source.join("large1")).unwrap();
    let (log, page) = (
        fixture.temp.path().join("log"),
        fixture.temp.path().join("page.html"),
    );
    let output = sprag()
        .args(["verify", "--json", "--repair", "--log-file"])
        .arg(&log)
        .arg("--report")
        .arg(&page)
        .arg("--from")
        .arg(fixture.contents())
        .arg(&fixture.dest)
        .output();
    let ran = Ran::from(&output.unwrap());
    assert_eq!(ran.code, 40, "{}", ran.stderr);
    let of = |kind: &str| {
        let lines = ran.lines.iter();
        lines
            .filter(|line| line["type"] == kind && line["command"] == "repair")
            .count()
    };
    assert_eq!((of("opened"), of("summary")), (1, 1));
    assert!(of("phase") > 0);
    let log = fs::read_to_string(log).unwrap();
    for words in ["corrupt", "repaired   large0", "no_source", "end "] {
        assert!(log.contains(words), "{words}: {log}");
    }
    let page = fs::read_to_string(page).unwrap();
    for words in ["Files repaired", "Files corrupt", "large1"] {
        assert!(page.contains(words), "{words}");
    }
    let people = sprag()
        .args(["verify", "--repair", "--from"])
        .arg(fixture.contents())
        .arg(&fixture.dest)
        .output();
    let stderr = String::from_utf8_lossy(&people.unwrap().stderr).into_owned();
    assert!(stderr.contains("repairing 1 file"), "{stderr}");
}

#[test]
fn what_is_repaired_keeps_its_holes() {
    const MIB: u64 = 1 << 20;
    let fixture = Fixture::new();
    let source = fixture.source.join("holey");
    let file = fs::File::create(&source).unwrap();
    for at in [3 * MIB + 8192, 20 * MIB] {
        file.write_all_at(&Rng::new(at).bytes(100_000), at).unwrap();
    }
    file.set_len(40 * MIB + 17).unwrap();
    file.sync_all().unwrap();
    age(&source, 3);
    write(fixture.source.join("full"), vec![0; 2 << 20]);
    fixture.copy(0);
    let taken = |name: &str| {
        let path = fixture.dest.join(name);
        fs::File::open(&path).unwrap().sync_all().unwrap();
        fs::metadata(path).unwrap().blocks() * 512
    };
    let before = ["holey", "full"].map(taken);
    rot(&fixture.dest.join("holey"), 20 * MIB + 5);
    rot(&fixture.dest.join("full"), 5);
    let ran = repair(&fixture);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.sum("files_repaired"), 2);
    fixture.assert_same();
    assert!(
        taken("holey") <= before[0],
        "{} of {before:?}",
        taken("holey")
    );
    assert!(taken("full") >= before[1], "zeros that took space still do");
    // One that is gone is made with the holes of its source.
    fs::remove_file(fixture.dest.join("holey")).unwrap();
    assert_eq!(repair(&fixture).code, 0);
    fixture.assert_same();
    assert!(
        taken("holey") <= before[0],
        "{} of {before:?}",
        taken("holey")
    );
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
}

#[test]
fn a_source_to_repair_from_that_is_not_there_is_told_before_anything_is_read() {
    let fixture = Fixture::new();
    write(fixture.source.join("a"), "content");
    fixture.copy(0);
    rot(&fixture.dest.join("a"), 0);
    let from = fixture.temp.path().join("a typo");
    let words = ["--repair".into(), "--from".into(), from.into_os_string()];
    let ran = run(
        "verify",
        words.into_iter().chain([fixture.dest.clone().into()]),
    );
    assert_eq!((ran.code, ran.problems()), (3, vec![]), "{}", ran.stderr);
    assert!(ran.stderr.contains("a typo"), "{}", ran.stderr);
}

/// A repair that is so slow that it can be met in the middle.
fn slow_repair(fixture: &Fixture) -> std::process::Child {
    sprag()
        .args(["verify", "--json", "--repair", "--bwlimit", "4M", "--from"])
        .arg(fixture.contents())
        .arg(&fixture.dest)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_repair_that_is_stopped_leaves_the_old_file_or_the_right_one_and_goes_on_when_it_is_run_again()
{
    let fixture = Fixture::new();
    write(fixture.source.join("large"), Rng::new(3).bytes(4 << 20));
    fixture.copy(0);
    rot(&fixture.dest.join("large"), 3 << 20);
    let rotten = contents(&fixture.dest);
    let mut child = slow_repair(&fixture);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let begun = lines
        .by_ref()
        .map(Result::unwrap)
        .any(|line| line.contains("\"opened\"") && line.contains("\"repair\""));
    assert!(begun, "it never began");
    let pid = child.id().to_string();
    let mut kill = std::process::Command::new("kill");
    assert!(kill.args(["-INT", &pid]).status().unwrap().success());
    let last = lines.map(Result::unwrap).last().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(20), "{last}");
    assert!(last.contains("\"exit_code\":20"), "{last}");
    let good = contents(&fixture.source);
    let now = contents(&fixture.dest);
    let of = |all: &Contents| all[std::path::Path::new("large")].clone();
    assert!(of(&now) == of(&rotten) || of(&now) == of(&good));
    assert_eq!(repair(&fixture).code, 0);
    fixture.assert_same();
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
}

#[test]
fn a_source_repairs_with_or_without_its_slash() {
    for copied_as_contents in [true, false] {
        let fixture = Fixture::new();
        write(fixture.source.join("f"), "a file");
        let (itself, contents) = (fixture.source.clone(), fixture.contents());
        let source = [&itself, &contents][usize::from(copied_as_contents)];
        copy(0, [source, &fixture.dest]);
        let copy = match copied_as_contents {
            true => fixture.dest.join("f"),
            false => fixture.dest.join("source/f"),
        };
        for given in [&itself, &contents] {
            rot(&copy, 2);
            let from = format!("--from={}", given.display());
            let args = ["--repair".as_ref(), from.as_ref(), fixture.dest.as_os_str()];
            let ran = run("verify", args);
            assert_eq!(ran.code, 0, "{given:?}: {}", ran.stderr);
            assert_eq!(fs::read(&copy).unwrap(), b"a file");
        }
    }
}

#[test]
fn a_source_of_which_nothing_is_recorded_is_refused_before_anything_is_read() {
    let fixture = copied();
    rot(&fixture.dest.join("large0"), 7);
    let other = fixture.temp.path().join("other");
    write(other.join("other"), "another");
    let from = format!("--from={}", other.display());
    let args = ["--repair".as_ref(), from.as_ref(), fixture.dest.as_os_str()];
    let ran = run("verify", args);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert_eq!(ran.sum("bytes_read"), 0);
    assert!(ran.stderr.contains("nothing of source"), "{}", ran.stderr);
}
