//! Sessions in a real terminal: what is shown, and what keys and signals do.
//!
//! The copies here have more blocks than the queues between the stages hold. A `p` that was typed
//! before the start is read before the first event, or a moment later if the terminal is slow to hand
//! it on; so that such a copy stands still half done on a machine of any speed, it has a limit.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::pty::Session;
use crate::support::{Fixture, Rng, has, skip, sprag, write};

const SIZE: usize = 64 << 20;
/// With this, copying that much takes two thirds of a second at least.
const UNHURRIED: &str = "--bwlimit=100M";

/// A file of 1024 blocks, and a few small ones.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    write(fixture.source.join("film"), Rng::new(7).bytes(SIZE));
    for n in 0..20 {
        write(fixture.source.join(format!("notes/{n}")), "a note");
    }
    fixture
}

fn copying(fixture: &Fixture) -> Command {
    copying_with(fixture, &["--checkpoint-interval=200ms", UNHURRIED])
}

fn copying_with(fixture: &Fixture, checkpoints: &[&str]) -> Command {
    let mut command = sprag();
    command
        .args(["copy", "-j1", "--block-size", "64K"])
        .args(checkpoints)
        .args(["source/", "dest"])
        .current_dir(fixture.temp.path());
    command
}

/// A copy that is paused from its beginning.
#[track_caller]
fn paused(fixture: &Fixture, columns: u16) -> Session {
    let session = Session::start(columns, 24, "p", &copying(fixture));
    session.wait_for("the pause", |screen| screen.contains("paused"));
    session
}

/// Whether the line of an amount is there, as far as its unit, and is more than nothing. What is seen may
/// be a screen that is only half drawn.
fn shows_some(screen: &str, word: &str) -> bool {
    let mut amounts = screen
        .lines()
        .filter_map(|line| line.trim().strip_prefix(word));
    amounts.any(|amount| amount.contains("iB") && !amount.trim_start().starts_with("0 B"))
}

fn is_there(fixture: &Fixture) -> bool {
    fixture.dest.join("film").exists()
}

fn can_run(test: &str) -> bool {
    let can = has("setsid");
    if !can {
        skip(test, "setsid of util-linux");
    }
    can
}

#[test]
fn p_pauses_until_all_that_is_written_is_durable_and_goes_on() {
    if !can_run("p_pauses_until_all_that_is_written_is_durable_and_goes_on") {
        return;
    }
    let fixture = fixture();
    // No checkpoint comes by itself.
    let never = [
        "--checkpoint-interval=1h",
        "--checkpoint-size=1T",
        UNHURRIED,
    ];
    let mut session = Session::start(80, 24, "p", &copying_with(&fixture, &never));
    session.wait_for("durability", |screen| {
        screen.contains("all that is written is durable") && screen.contains(" of 64")
    });
    session.wait_for_keys(true);
    assert!(!is_there(&fixture), "it did not pause");
    session.type_keys("p");
    let (status, screen) = session.end();
    assert_eq!(status.code(), Some(0), "{screen}");
    assert!(screen.contains("Everything is durable"), "{screen}");
    fixture.assert_same();
    session.wait_for_keys(false);
    // Nothing of the progress is left beside the summary.
    assert!(!screen.contains("q save"), "{screen}");
    for (_, screen) in session.screens() {
        assert!(!screen.contains("100 %"), "{screen}");
    }
}

#[test]
fn q_saves_and_leaves_from_a_pause_too_and_the_rerun_goes_on() {
    if !can_run("q_saves_and_leaves_from_a_pause_too_and_the_rerun_goes_on") {
        return;
    }
    let fixture = fixture();
    let mut session = paused(&fixture, 80);
    session.wait_for("something to save", |screen| shows_some(screen, "durable"));
    session.type_keys("q");
    let (status, screen) = session.end();
    assert_eq!(status.code(), Some(20), "{screen}");
    assert!(screen.contains("progress is saved"), "{screen}");
    assert!(!is_there(&fixture));
    session.wait_for_keys(false);
    assert!(fixture.copy(0).sum("bytes_resumed") > 0);
    fixture.assert_same();
}

#[test]
fn ctrl_c_saves_and_gives_the_terminal_back() {
    if !can_run("ctrl_c_saves_and_gives_the_terminal_back") {
        return;
    }
    let fixture = fixture();
    let mut session = paused(&fixture, 80);
    session.wait_for_keys(true);
    session.type_keys("\x03");
    let (status, screen) = session.end();
    assert_eq!(status.code(), Some(20), "{screen}");
    session.wait_for_keys(false);
}

#[test]
fn a_window_of_any_width_shows_whole_lines() {
    if !can_run("a_window_of_any_width_shows_whole_lines") {
        return;
    }
    let fixture = fixture();
    let mut session = paused(&fixture, 100);
    for columns in [40, 20, 80, 30] {
        session.resize(columns, 24);
        let screen = session.wait_for("the new width", |screen| {
            let mut lines = screen.lines();
            let paused = lines.find(|line| line.contains("paused"));
            let bar = screen.lines().find(|line| line.contains('['));
            // The window cuts off what was drawn for the old width; what is drawn now fits in.
            let fits = screen.lines().all(|line| line.len() < columns.into());
            // Wide windows have the bar beside the word, narrow ones below it.
            fits && paused.is_some() && bar.is_some() && (paused == bar) == (columns >= 60)
        });
        assert_eq!(screen.matches("paused").count(), 1, "{screen}");
    }
    session.type_keys("q");
    assert_eq!(session.end().0.code(), Some(20));
}

/// Sends a signal to one process.
fn signal(pid: u32, name: &str) {
    let mut kill = Command::new("kill");
    let sent = kill.args(["-s", name, &pid.to_string()]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn usr1_makes_a_checkpoint_and_prints_a_status_line() {
    if !can_run("usr1_makes_a_checkpoint_and_prints_a_status_line") {
        return;
    }
    let fixture = fixture();
    // No checkpoint comes by itself.
    let never = [
        "--checkpoint-interval=1h",
        "--checkpoint-size=1T",
        "--bwlimit=2M",
    ];
    let command = copying_with(&fixture, &never);
    let mut session = Session::start(100, 24, "", &command);
    session.wait_for("something written", |screen| {
        screen.contains("durable  0 B") && shows_some(screen, "written")
    });
    signal(session.pid(), "USR1");
    let status_line = |line: &str| {
        line.starts_with("copying ") && line.contains(", written ") && !line.contains(" 0 B")
    };
    session.wait_for("the status line", |screen| screen.lines().any(status_line));
    session.type_keys("q");
    assert_eq!(session.end().0.code(), Some(20));
}

/// A shell on a terminal, with the program on its path.
fn shell(fixture: &Fixture) -> Session {
    let mut shell = Command::new("bash");
    shell
        .args(["--norc", "--noprofile", "--noediting", "-i"])
        .env("PS1", "ready> ")
        .env("PATH", path_with_program())
        .env("XDG_STATE_HOME", "/dev/null/state")
        .current_dir(fixture.temp.path());
    Session::start(100, 24, "", &shell)
}

/// The arguments of the copy, for a shell.
fn copying_words(fixture: &Fixture) -> String {
    let command = copying(fixture);
    let words: Vec<&str> = command
        .get_args()
        .map(|word| word.to_str().unwrap())
        .collect();
    words.join(" ")
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_goes_on() {
    if !can_run("ctrl_z_gives_the_terminal_to_the_shell_and_fg_goes_on") {
        return;
    }
    let fixture = fixture();
    let mut session = shell(&fixture);
    session.wait_for("the shell", |screen| screen.contains("ready>"));
    let words = copying_words(&fixture);
    session.type_keys(&format!("sprag {}\np", words));
    session.wait_for("the pause", |screen| screen.contains("paused"));
    session.wait_for_keys(true);
    session.type_keys("\x1a");
    session.wait_for("the shell", |screen| {
        screen.contains("Stopped") && !screen.contains("paused")
    });
    session.wait_for_keys(false);
    session.type_keys("echo $((40 + 2))\nfg\n");
    session.wait_for("what the shell did meanwhile", |screen| {
        screen.contains("\n42\n")
    });
    session.wait_for("the copy", |screen| screen.contains("paused"));
    session.wait_for_keys(true);
    session.type_keys("p");
    session.wait_for("the end", |screen| screen.contains("Everything is durable"));
    session.wait_for_keys(false);
    fixture.assert_same();
    session.type_keys("exit\n");
    session.end();
}

#[test]
fn a_copy_in_the_background_leaves_the_terminal_alone() {
    if !can_run("a_copy_in_the_background_leaves_the_terminal_alone") {
        return;
    }
    let fixture = fixture();
    let mut session = shell(&fixture);
    let words = copying_words(&fixture);
    session.type_keys(&format!("sprag {} & wait; echo over $?\n", words));
    let screen = session.wait_for("the end", |screen| screen.contains("over 0"));
    assert!(screen.contains("Everything is durable"), "{screen}");
    // Neither stopped for touching the terminal, nor drawn over what the shell has there.
    assert!(!session.raw().contains("p pause"), "{}", session.raw());
    assert!(!session.raw().contains("Stopped"), "{}", session.raw());
    session.type_keys("exit\n");
    session.end();
}

#[test]
fn off_a_terminal_a_plain_line_comes_now_and_then_and_none_when_it_is_quiet() {
    let fixture = fixture();
    let mut slow = copying_with(&fixture, &["--bwlimit=1M"]);
    let mut child = slow
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    signal(child.id(), "INT");
    assert_eq!(child.wait().unwrap().code(), Some(20));
    assert!(
        line.starts_with("copying ") && line.contains(", durable "),
        "{line}"
    );
    assert!(!line.contains('\x1b'), "{line}");
    for words in [&["-q"][..], &["--json", "-q"]] {
        let mut quiet = copying(&fixture);
        let output = quiet.args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

#[test]
fn the_count_of_a_rerun_tells_what_was_there_before() {
    let fixture = Fixture::new();
    write(fixture.source.join("film"), Rng::new(7).bytes(3 << 20));
    write(fixture.source.join("note"), "a note");
    fixture.copy(0);
    write(fixture.source.join("new"), "a new one");
    let mut options = sprag::CopyOptions::new([fixture.contents()], &fixture.dest);
    options.count = true;
    let counts = sprag::copy(options)
        .unwrap()
        .filter_map(|event| match event {
            sprag::Event::Counted(now) if now.complete => Some(now),
            _ => None,
        });
    let counted = counts.last().unwrap();
    assert_eq!(counted.bytes_before, (3 << 20) + 6);
    assert_eq!(counted.bytes, (3 << 20) + 6 + 9);
}

#[test]
fn no_color_is_respected() {
    if !can_run("no_color_is_respected") {
        return;
    }
    let fixture = fixture();
    for (plain, coloured) in [(false, true), (true, false)] {
        let mut command = copying(&fixture);
        if plain {
            command.env("NO_COLOR", "1");
        }
        let mut session = Session::start(80, 24, "p", &command);
        session.wait_for("the pause", |screen| screen.contains("paused"));
        session.type_keys("q");
        assert_eq!(session.end().0.code(), Some(20));
        assert_eq!(session.raw().contains("\x1b[1m"), coloured);
    }
}

fn path_with_program() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_sprag"));
    let dir = program.parent().unwrap().to_str().unwrap();
    format!("{dir}:{}", std::env::var("PATH").unwrap_or_default())
}
