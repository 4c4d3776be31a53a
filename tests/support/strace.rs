//! Runs of the program under strace: which calls it makes, and what it does when one of them
//! fails, is late, or is its last.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Ran, end_within, skip};

/// A system call of a run.
#[derive(Debug)]
pub(crate) struct Call {
    /// Whether the program's first thread made it.
    pub(crate) by_main: bool,
    pub(crate) name: String,
    /// Which of this thread's calls of this name it is, from 1: what `when=` counts.
    pub(crate) nth: usize,
    /// The line that strace wrote.
    pub(crate) text: String,
}

/// Whether strace may do its work here; if not, says so.
pub(crate) fn works(test: &str) -> bool {
    let traced = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .output();
    let works = traced.is_ok_and(|output| output.status.success());
    if !works {
        skip(test, "strace, and leave to trace");
    }
    works
}

/// Runs the program under strace with these options of strace's.
fn strace<S: AsRef<OsStr>>(options: &[String], log: &Path, args: &[S]) -> std::process::Output {
    let mut command = Command::new("strace");
    super::forgetful(&mut command);
    let child = command
        .args(["-f", "-o"])
        .arg(log)
        .args(options)
        .arg(env!("CARGO_BIN_EXE_sprag"))
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    end_within(120, child)
}

/// The calls of a run, thread by thread in the order they were made.
pub(crate) fn calls<S: AsRef<OsStr>>(log: &Path, args: &[S]) -> Vec<Call> {
    let output = strace(&["-s".into(), "4096".into()], log, args);
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read(log).unwrap();
    let text = String::from_utf8_lossy(&text);
    let mut counts = std::collections::HashMap::new();
    let mut calls = Vec::new();
    let main = text.split_whitespace().next().unwrap().to_string();
    for line in text.lines() {
        let (thread, rest) = line.split_once(' ').unwrap();
        let Some((name, _)) = rest.trim_start().split_once('(') else {
            continue;
        };
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        let nth: &mut usize = counts
            .entry((thread.to_string(), name.to_string()))
            .or_default();
        *nth += 1;
        calls.push(Call {
            by_main: thread == main,
            name: name.to_string(),
            nth: *nth,
            text: line.to_string(),
        });
    }
    calls
}

/// What a run came to, and how often strace meddled with it.
pub(crate) struct Injected {
    pub(crate) ran: Ran,
    pub(crate) hits: usize,
}

/// Runs the program while strace does `what` (as `error=EIO:when=3`) to calls of one name.
pub(crate) fn inject<S: AsRef<OsStr>>(call: &str, what: &str, log: &Path, args: &[S]) -> Injected {
    inject_with(Vec::new(), call, what, log, args)
}

/// [`inject`] to those calls only that are about `path`.
pub(crate) fn inject_at<S: AsRef<OsStr>>(
    path: &Path,
    call: &str,
    what: &str,
    log: &Path,
    args: &[S],
) -> Injected {
    let only = vec!["-P".into(), path.display().to_string()];
    inject_with(only, call, what, log, args)
}

fn inject_with<S: AsRef<OsStr>>(
    mut options: Vec<String>,
    call: &str,
    what: &str,
    log: &Path,
    args: &[S],
) -> Injected {
    options.extend(["-e".into(), format!("trace={call}")]);
    options.extend(["-e".into(), format!("inject={call}:{what}")]);
    let output = strace(&options, log, args);
    let text = std::fs::read(log).unwrap();
    let text = String::from_utf8_lossy(&text);
    let meddled = |line: &&str| {
        ["(INJECTED)", "(DELAYED)"]
            .iter()
            .any(|mark| line.contains(mark))
    };
    Injected {
        ran: Ran::from(&output),
        hits: text.lines().filter(meddled).count(),
    }
}
