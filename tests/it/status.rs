//! `sprag status`: what it tells of a copy that runs, of one that was cut off, and what to type next.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::*;

const SMALL: u64 = 40;

/// A copy that has small files behind it and is held up by a large one, and its checkpoints are made.
fn copying(fixture: &Fixture) -> Child {
    for n in 0..SMALL {
        write(fixture.source.join(format!("a{n:02}")), "small");
    }
    write(fixture.source.join("large"), Rng::new(1).bytes(24 << 20));
    let mut command = sprag();
    command.args(["copy", "--json", "--jobs=1", "--bwlimit=4M"]);
    command.args(["--checkpoint-interval=200ms", "--exclude", "no such name"]);
    command.arg(fixture.contents()).arg(&fixture.dest);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let mut durable = stdout.lines().map(|line| {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        line["bytes_durable"].as_u64().unwrap_or(0)
    });
    assert!(durable.any(|bytes| bytes > 4 << 20), "over too soon");
    // What comes after is for nobody, and must not fill the pipe.
    std::thread::spawn(move || durable.for_each(drop));
    child
}

fn status(fixture: &Fixture) -> Value {
    let ran = run("status", [&fixture.dest]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.lines[0].clone()
}

fn text(fixture: &Fixture) -> String {
    let ran = sprag().arg("status").arg(&fixture.dest).output().unwrap();
    assert!(ran.status.success());
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn status_beside_a_running_copy_tells_who_copies_and_what_is_done_so_far() {
    let fixture = Fixture::journaled();
    let mut child = copying(&fixture);
    let running = status(&fixture);
    let told = text(&fixture);
    let over = child.try_wait().unwrap();
    assert!(over.is_none(), "over too soon: {over:?}");
    let holder = running["held_by"].as_str().unwrap();
    assert!(
        holder.contains(&format!("process {}", child.id())),
        "{holder}"
    );
    let run = &running["last_run"];
    assert_eq!(
        (&run["exit_code"], &run["files_copied"]),
        (&Value::Null, &SMALL.into())
    );
    assert_eq!(running["files_done"], SMALL);
    assert_eq!(running["partial"][0]["path"], "large");
    assert!(told.ends_with("\nA copy is running.\n"), "{told}");
    child.wait().unwrap();
    assert_eq!(status(&fixture)["held_by"], Value::Null);
    assert!(text(&fixture).ends_with("\nComplete: nothing is half done, and nothing failed.\n"));
}

#[test]
fn after_a_kill_status_tells_what_was_finished_and_the_command_that_it_prints_goes_on() {
    let fixture = Fixture::journaled();
    let mut child = copying(&fixture);
    child.kill().unwrap();
    child.wait().unwrap();
    let cut = status(&fixture);
    assert_eq!(cut["last_run"]["files_copied"], SMALL);
    assert_eq!(cut["last_run"]["bytes_copied"], SMALL * 5);
    let told = text(&fixture);
    assert!(
        told.ends_with("\nNot complete: 1 file is half done.\n"),
        "{told}"
    );
    let (_, next) = told.split_once("\nNext:\n").unwrap();
    let next = next.lines().next().unwrap().trim();
    assert!(next.contains("'--exclude=no such name'"), "{next}");
    let next = next.strip_prefix("sprag ").unwrap();
    let binary = sprag().get_program().to_owned();
    let again = Command::new("sh")
        .args(["-c", &format!("\"$0\" {}", next.replace("4M", "0"))])
        .arg(binary)
        .current_dir("/")
        .output()
        .unwrap();
    assert!(again.status.success(), "{again:?}");
    fixture.assert_same();
}

#[test]
fn status_knows_the_sources_of_every_run_and_says_which_is_the_last() {
    let fixture = Fixture::new();
    for name in ["one", "two"] {
        let source = fixture.source.join(name);
        write(source.join("file"), name);
        copy(0, [source, fixture.dest.clone()]);
    }
    copy(0, [fixture.source.join("two"), fixture.dest.clone()]);
    let known = status(&fixture);
    let path = |path: &Value| path["path"].as_str().unwrap().to_owned();
    assert!(path(&known["last_run"]["sources"][0]).ends_with("/source/two"));
    let earlier = known["earlier_sources"].as_array().unwrap();
    assert_eq!(earlier.len(), 1);
    assert!(path(&earlier[0]).ends_with("/source/one"));
}

#[test]
fn a_source_of_an_earlier_run_that_is_empty_now_is_refused() {
    let fixture = Fixture::new();
    for name in ["one", "two"] {
        let source = fixture.source.join(name);
        write(source.join("file"), name);
        copy(0, [source, fixture.dest.clone()]);
    }
    fs::remove_file(fixture.source.join("one/file")).unwrap();
    let ran = copy(3, [fixture.source.join("one"), fixture.dest.clone()]);
    assert!(ran.stderr.contains("one"), "{}", ran.stderr);
    assert_eq!(fs::read(fixture.dest.join("one/file")).unwrap(), b"one");
}

#[test]
fn status_never_disturbs_a_copy_that_records_all_the_time() {
    let fixture = Fixture::journaled();
    for n in 0..3000 {
        write(fixture.source.join(format!("d{}/{n}", n % 7)), "x");
    }
    let mut child = sprag()
        .args(["copy", "--checkpoint-interval=50ms", "-q"])
        .arg(fixture.contents())
        .arg(&fixture.dest)
        .spawn()
        .unwrap();
    let mut looks = 0;
    while child.try_wait().unwrap().is_none() {
        if fixture.dest.join(".sprag/manifest").exists() {
            let ran = run("status", [&fixture.dest]);
            assert_eq!(ran.code, 0, "{}", ran.stderr);
            looks += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(looks > 0, "over too soon");
    assert!(child.wait().unwrap().success());
    assert_eq!(status(&fixture)["files_done"], 3000);
}
