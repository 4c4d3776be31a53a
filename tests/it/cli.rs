//! The command line itself: help, usage errors, streams and exit codes.

use std::process::Stdio;

use assert_cmd::Command;
use predicates::prelude::*;

use crate::support;

fn sprag() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sprag"));
    command.env("XDG_STATE_HOME", "/dev/null/state");
    command
}

/// The last line of standard output, as JSON.
fn last_json(stdout: &[u8]) -> serde_json::Value {
    let text = String::from_utf8_lossy(stdout);
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_default()
}

#[test]
fn help_and_version_go_to_standard_output_and_succeed() {
    for words in [
        &["--help"][..],
        &["-h"],
        &["help"],
        &["help", "copy"],
        &["--version"],
        &["copy", "--help"],
        &["verify", "--help"],
        &["status", "--help"],
        &["export", "--help"],
        &["clean", "--help"],
        &["completions", "--help"],
        &["man", "--help"],
    ] {
        sprag()
            .args(words)
            .assert()
            .code(0)
            .stdout(predicate::str::contains("sprag"))
            .stderr("");
    }
}

#[test]
fn the_long_help_of_each_command_has_an_example_and_the_short_one_is_compact() {
    for command in ["copy", "verify", "status", "export", "clean"] {
        let example = predicate::str::contains(format!("sprag {command} "));
        let assert = sprag().args([command, "--help"]).assert();
        assert.stdout(example.and(predicate::str::contains("Example")));
        let short = sprag().args([command, "-h"]).assert();
        short.stdout(predicate::str::contains("Example").not());
    }
}

#[test]
fn each_command_is_described_by_its_own_words() {
    for (command, words) in [
        ("copy", "Copy, or continue a copy"),
        ("verify", "Check what is on DEST"),
        ("status", "Show what is done"),
        ("export", "Write what was copied as a list"),
        ("clean", "Remove half-copied files"),
    ] {
        let assert = sprag().args([command, "-h"]).assert();
        assert.stdout(predicate::str::starts_with(words));
    }
}

#[test]
fn a_wrong_command_line_exits_with_1_and_says_why_on_standard_error() {
    for (words, why) in [
        (&[][..], "Usage"),
        (&["frobnicate"], "frobnicate"),
        (&["copy"], "SOURCE"),
        (&["copy", "only-one"], "DEST"),
        (&["copy", "--frobnicate", "a", "b"], "--frobnicate"),
        (&["copy", "-v", "-q", "a", "b"], "--quiet"),
        (&["copy", "-j", "0", "a", "b"], "--jobs"),
        (&["copy", "-j", "999999999", "a", "b"], "--jobs"),
        (&["copy", "--block-size", "1MB", "a", "b"], "1024"),
        (&["copy", "--checkpoint-size", "0", "a", "b"], "zero"),
        (&["copy", "--checkpoint-interval", "5", "a", "b"], "unit"),
        (&["copy", "--checkpoint-interval", "99h", "a", "b"], "24h"),
        (&["copy", "", "b"], "value"),
        (&["verify"], "DEST"),
        (&["status"], "DEST"),
        (&["export"], "DEST"),
        (&["clean"], "DEST"),
    ] {
        let assert = sprag().args(words).assert().code(1).stdout("");
        assert.stderr(predicate::str::contains(why));
    }
}

#[test]
fn one_path_alone_is_no_copy_and_what_is_missing_is_said() {
    let output = sprag().args(["copy", "photos"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("needs a SOURCE and a DEST"), "{stderr}");
    let output = sprag().arg("copy").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains("<SOURCE>...") && stderr.contains("<DEST>"),
        "{stderr}"
    );
}

#[test]
fn what_cp_and_rsync_call_archive_and_recursive_is_taken_and_changes_nothing() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::create_dir(temp.path().join("source")).unwrap();
    for flag in ["-a", "-r", "-av", "--archive"] {
        let mut copy = sprag();
        copy.args(["copy", flag, "source", "dest"]);
        let output = copy.current_dir(temp.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{flag}");
    }
}

#[test]
fn h_in_a_cluster_or_beside_operands_is_human_readable_and_no_help() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::create_dir(temp.path().join("a")).unwrap();
    std::fs::write(temp.path().join("a/f"), "x").unwrap();
    for (nth, words) in [
        &["copy", "-avh", "a"][..],
        &["copy", "-h", "a"],
        &["copy", "a", "-hq"],
        &["-h", "copy", "a"],
        &["copy", "--human-readable", "a"],
    ]
    .iter()
    .enumerate()
    {
        let dest = format!("b{nth}");
        let mut copy = sprag();
        copy.args(*words).arg(&dest).current_dir(temp.path());
        let assert = copy.assert().code(0);
        assert.stdout(predicate::str::contains("Usage").not());
        assert!(temp.path().join(dest).join("a/f").exists(), "{words:?}");
    }
    for command in ["verify", "status", "export"] {
        let mut told = sprag();
        told.args([command, "-h", "b0"]).current_dir(temp.path());
        let assert = told.assert().code(0);
        assert.stdout(predicate::str::contains("Usage").not());
    }
    // With nothing to copy it is no help either.
    sprag().args(["copy", "-vh"]).assert().code(1).stdout("");
}

#[test]
fn operands_behind_two_dashes_may_look_like_flags() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("-n"), "x").unwrap();
    let mut copy = sprag();
    copy.args(["copy", "--", "-n", "-d"])
        .current_dir(temp.path());
    copy.assert().code(0);
    assert_eq!(std::fs::read(temp.path().join("-d")).unwrap(), b"x");
}

#[test]
fn a_mistyped_flag_or_command_is_answered_with_the_right_one() {
    for (words, right) in [
        (&["copy", "--exlude=x", "a", "b"][..], "--exclude"),
        (
            &["copy", "--require-manifset", "a", "b"],
            "--require-manifest",
        ),
        (&["verfy", "a"], "verify"),
        (&["completions", "bsh"], "bash"),
    ] {
        let assert = sprag().args(words).assert().code(1);
        assert.stderr(predicate::str::contains(right));
    }
}

#[test]
fn bash_completes_flags_and_commands_by_the_script() {
    if !support::has("bash") {
        return support::skip("completion in bash", "bash");
    }
    for (line, last, expected) in [
        ("sprag copy --block", 2, "--block-size"),
        ("sprag verify --no-pro", 2, "--no-progress"),
        ("sprag stat", 1, "status"),
    ] {
        let script = format!(
            "source <({} completions bash); COMP_WORDS=({line}); COMP_CWORD={last}; \
             _sprag sprag \"${{COMP_WORDS[{last}]}}\" \"\"; printf '%s\n' \"${{COMPREPLY[@]}}\"",
            env!("CARGO_BIN_EXE_sprag")
        );
        let assert = Command::new("bash").args(["-c", &script]).assert();
        assert.stdout(format!("{expected}\n"));
    }
}

#[test]
fn each_command_has_a_manual_page_that_man_can_read() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("new/man1");
    sprag().args(["man", "--out"]).arg(&pages).assert().code(0);
    for command in ["", "-copy", "-verify", "-status", "-export", "-clean"] {
        let page = pages.join(format!("sprag{command}.1"));
        let text = std::fs::read_to_string(&page).unwrap();
        assert!(text.contains(".TH"), "{text}");
    }
    let one = sprag().args(["man", "copy"]).assert().code(0);
    one.stdout(predicate::str::contains("checkpoint\\-interval"));
    sprag().args(["man", "nothing"]).assert().code(1);
    if !support::has("man") {
        return support::skip("reading of the manual pages", "man");
    }
    let page = pages.join("sprag-copy.1");
    let read = Command::new("man").arg("-l").arg(page).assert().code(0);
    read.stdout(predicate::str::contains("Example"));
}

#[test]
fn a_block_size_that_is_no_power_of_two_is_refused_before_anything_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("dest");
    std::fs::write(dir.path().join("source"), "x").unwrap();
    sprag()
        .args(["copy", "--block-size", "3M", "source", "dest"])
        .current_dir(dir.path())
        .assert()
        .code(1)
        .stdout("")
        .stderr("sprag: block size 3145728 is not a power of two from 64 KiB to 64 MiB\n");
    assert!(!dest.exists());
}

#[test]
fn a_run_that_cannot_start_still_ends_with_a_json_summary() {
    let assert = sprag()
        .args(["copy", "--json", "--block-size", "3M", "a", "b"])
        .assert()
        .code(1)
        .stderr(predicate::str::starts_with("sprag: block size 3145728"));
    let stdout = &assert.get_output().stdout;
    let first = String::from_utf8_lossy(stdout)
        .lines()
        .next()
        .map(str::to_owned);
    assert_eq!(
        first.as_deref(),
        Some(
            r#"{"type":"error","exit_code":1,"detail":"block size 3145728 is not a power of two from 64 KiB to 64 MiB"}"#
        )
    );
    let summary = last_json(stdout);
    assert_eq!(summary["type"], "summary");
    assert_eq!(summary["command"], "copy");
    assert_eq!(summary["exit_code"], 1);
    assert_eq!(summary["files_copied"], 0);
}

#[test]
fn a_path_to_verify_that_is_not_below_the_destination_is_wrong_usage() {
    let assert = sprag()
        .args(["verify", "--json", "dest", "../elsewhere"])
        .assert()
        .code(1)
        .stderr(predicate::str::contains("../elsewhere is not below dest"));
    let summary = last_json(&assert.get_output().stdout);
    assert_eq!(summary["command"], "verify");
    assert_eq!(summary["exit_code"], 1);
}

#[test]
fn an_export_that_fails_leaves_the_old_list_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list");
    std::fs::write(&list, "old").unwrap();
    std::fs::create_dir(dir.path().join("dest")).unwrap();
    sprag()
        .args(["export", "-o", "list", "dest"])
        .current_dir(dir.path())
        .assert()
        .code(3)
        .stdout("")
        .stderr(predicate::str::starts_with("sprag: "));
    assert_eq!(std::fs::read(&list).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_reader_that_has_gone_away_causes_no_panic() {
    for words in [
        &["copy", "--help"][..],
        &["copy", "--json", "--block-size", "3M", "a", "b"],
    ] {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_sprag"))
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    }
}
