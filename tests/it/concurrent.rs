//! Several sprags and one destination: one writes, or many read, and nobody harms anybody.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::support::*;

/// What a child is allowed at most.
const SECS: u64 = 60;

fn spawn(command: &str, args: &[&Path]) -> Child {
    sprag()
        .args([command, "--json"])
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, signal: &str) {
    let pid = child.id().to_string();
    let mut kill = Command::new("kill");
    assert!(kill.args(["-s", signal, &pid]).status().unwrap().success());
}

/// A child that stands still in the middle of its work, and goes on when told to.
struct Frozen(Child);

impl Frozen {
    /// Freezes a copy that has begun to write.
    fn copy(fixture: &Fixture) -> Frozen {
        let child = spawn("copy", &[&fixture.contents(), &fixture.dest]);
        wait_until("a partial is there", || has_partial(&fixture.dest));
        Frozen::now(child)
    }

    /// Freezes a verification that has opened the manifest.
    fn verify(fixture: &Fixture) -> Frozen {
        let mut child = spawn("verify", &[&fixture.dest]);
        let mut line = String::new();
        // One byte at a time: what comes after this line is for whoever waits for the end.
        let stdout = child.stdout.as_mut().unwrap();
        BufReader::with_capacity(1, stdout)
            .read_line(&mut line)
            .unwrap();
        assert!(line.contains("\"opened\""), "{line}");
        Frozen::now(child)
    }

    fn now(mut child: Child) -> Frozen {
        signal(&child, "STOP");
        let over = child.try_wait().unwrap();
        assert!(over.is_none(), "over before it was frozen: {over:?}");
        Frozen(child)
    }

    fn thaw(self) -> Ran {
        signal(&self.0, "CONT");
        Ran::from(&end_within(SECS, self.0))
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(SECS);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
    }
}

fn has_partial(dest: &Path) -> bool {
    fs::read_dir(dest).is_ok_and(|mut entries| {
        entries.any(|entry| {
            let name = entry.unwrap().file_name();
            name.to_string_lossy().ends_with(".partial")
        })
    })
}

/// A source that takes a moment to copy.
fn fixture() -> Fixture {
    let fixture = Fixture::journaled();
    mixed_tree(&fixture.source, 20, &[96 << 20]);
    fixture
}

#[track_caller]
fn assert_refused(ran: &Ran, dest: &Path, holder: &str) {
    assert_eq!(ran.code, 41, "{}", ran.stderr);
    let named = ran.stderr.contains(&*dest.to_string_lossy());
    assert!(named && ran.stderr.contains(holder), "{}", ran.stderr);
}

#[track_caller]
fn assert_fine(fixture: &Fixture) {
    let again = fixture.copy(0);
    assert_eq!(again.sum("bytes_copied"), 0);
    assert_eq!(again.sum("bytes_rehashed"), 0);
    fixture.assert_same();
    let verified = run("verify", [&fixture.dest]);
    assert_eq!(verified.code, 0, "{:?}", verified.lines);
    assert_eq!(verified.sum("entries_extra"), 0);
    let state = fs::read_dir(fixture.dest.join(".sprag")).unwrap();
    let mut state: Vec<_> = state.map(|entry| entry.unwrap().file_name()).collect();
    state.sort();
    assert_eq!(state, ["manifest", "manifest.bak"]);
}

#[test]
fn of_two_copies_into_one_destination_the_second_is_refused_and_the_first_ends_well() {
    let fixture = fixture();
    let first = Frozen::copy(&fixture);
    let holder = format!("process {}", first.0.id());
    assert_refused(&fixture.copy(41), &fixture.dest, &holder);
    let ran = first.thaw();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_fine(&fixture);
}

#[test]
fn nothing_reads_or_cleans_a_destination_while_a_copy_runs() {
    let fixture = fixture();
    let copy = Frozen::copy(&fixture);
    let holder = format!("process {}", copy.0.id());
    for command in ["verify", "clean"] {
        let refused = run(command, [&fixture.dest]);
        assert_refused(&refused, &fixture.dest, &holder);
    }
    assert_eq!(copy.thaw().code, 0);
    assert_fine(&fixture);
}

#[test]
fn no_copy_begins_while_a_verification_runs_and_a_second_verification_does() {
    let fixture = fixture();
    fixture.copy(0);
    let first = Frozen::verify(&fixture);
    assert_refused(&fixture.copy(41), &fixture.dest, "verify");
    let second = run("verify", [&fixture.dest]);
    assert_eq!(second.code, 0, "{}", second.stderr);
    let first = first.thaw();
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert_eq!(first.sum("entries_ok"), second.sum("entries_ok"));
    assert_fine(&fixture);
}

#[test]
fn the_lock_of_a_killed_process_is_gone_with_it() {
    let fixture = fixture();
    let mut copy = Frozen::copy(&fixture);
    copy.0.kill().unwrap();
    copy.0.wait().unwrap();
    fixture.copy(0);
    let mut verify = Frozen::verify(&fixture);
    verify.0.kill().unwrap();
    verify.0.wait().unwrap();
    assert_fine(&fixture);
}

#[test]
fn a_lock_that_no_sprag_holds_is_told_of_with_the_process_that_does() {
    let fixture = fixture();
    fixture.copy(0);
    let manifest = fs::File::open(fixture.dest.join(".sprag/manifest")).unwrap();
    fs2::FileExt::lock_shared(&manifest).unwrap();
    let ran = run("copy", [&fixture.contents(), &fixture.dest]);
    assert_eq!(ran.code, 41);
    let holder = format!("process {} (", std::process::id());
    assert!(ran.stderr.contains(&holder), "{}", ran.stderr);
    drop(manifest);
    fixture.copy(0);
}

/// Starts `count` copies at the same moment; gives back how they ended.
fn all_at_once(fixture: &Fixture, count: usize) -> Vec<Ran> {
    let line = Barrier::new(count);
    std::thread::scope(|scope| {
        let each = || {
            line.wait();
            let child = spawn("copy", &[&fixture.contents(), &fixture.dest]);
            Ran::from(&end_within(SECS, child))
        };
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(each)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

#[track_caller]
fn assert_one_won(fixture: &Fixture, ran: &[Ran]) {
    let codes: Vec<i32> = ran.iter().map(|ran| ran.code).collect();
    let errors = || {
        ran.iter()
            .map(|ran| ran.stderr.as_str())
            .collect::<String>()
    };
    assert!(codes.contains(&0), "{codes:?} {}", errors());
    let known = codes.iter().all(|code| [0, 41].contains(code));
    assert!(known, "{codes:?} {}", errors());
    // Whoever came later found everything done: two that both copied would have shared it.
    let files = ran.iter().filter(|ran| ran.code == 0);
    let copied: Vec<u64> = files
        .map(|ran| ran.sum("files_copied"))
        .filter(|copied| *copied > 0)
        .collect();
    assert!(copied.len() <= 1, "{codes:?} {copied:?}");
    assert_fine(fixture);
}

#[test]
fn of_copies_started_at_once_on_a_fresh_destination_one_copies_and_the_manifest_is_whole() {
    for round in 0..15 {
        let fixture = Fixture::new();
        mixed_tree(&fixture.source, 30, &[3 << 20]);
        if round % 2 == 0 {
            // Otherwise they also race for the directory.
            fs::create_dir(&fixture.dest).unwrap();
        }
        assert_one_won(&fixture, &all_at_once(&fixture, 8));
    }
}

#[test]
fn of_copies_started_at_once_on_a_half_copied_destination_one_goes_on() {
    for _ in 0..5 {
        let fixture = Fixture::journaled();
        mixed_tree(&fixture.source, 30, &[16 << 20]);
        let mut copy = Frozen::copy(&fixture);
        copy.0.kill().unwrap();
        copy.0.wait().unwrap();
        assert_one_won(&fixture, &all_at_once(&fixture, 4));
    }
}

/// A copy that sleeps for a while just before one of its calls, on its way to a fresh destination.
fn late_before(
    fixture: &Fixture,
    chosen: impl Fn(&strace::Call) -> bool,
) -> impl FnOnce() -> Ran + Send + 'static {
    let log = fixture.temp.path().join("log");
    let rehearsal = fixture.temp.path().join("rehearsal");
    let args = |dest: &Path| {
        let args = [
            Path::new("copy"),
            Path::new("--json"),
            &fixture.contents(),
            dest,
        ];
        args.map(Path::to_path_buf)
    };
    let calls = strace::calls(&log, &args(&rehearsal));
    let call = calls.iter().find(|call| chosen(call)).unwrap();
    assert!(call.by_main, "{call:?}");
    let what = format!("delay_enter=2000000:when={}", call.nth);
    let (name, args) = (call.name.clone(), args(&fixture.dest));
    move || {
        let injected = strace::inject(&name, &what, &log, &args);
        assert_eq!(injected.hits, 1);
        injected.ran
    }
}

#[test]
fn a_copy_that_saw_no_manifest_does_not_replace_one_that_was_made_since() {
    if !strace::works("two first copies, one of them late") {
        return;
    }
    let fixture = fixture();
    let late = late_before(&fixture, |call| call.text.contains("\"manifest.new\""));
    let late = std::thread::spawn(late);
    wait_until("the late one is under way", || {
        fixture.dest.join(".sprag").exists()
    });
    std::thread::sleep(Duration::from_millis(500));
    let first = Frozen::copy(&fixture);
    let holder = format!("process {}", first.0.id());
    assert_refused(&late.join().unwrap(), &fixture.dest, &holder);
    assert_eq!(first.thaw().code, 0);
    assert_fine(&fixture);
}

#[test]
fn a_copy_that_finds_its_directories_made_by_another_meanwhile_takes_them_as_they_are() {
    if !strace::works("a directory made by another sprag meanwhile") {
        return;
    }
    for end in ["rehearsal\"", "\".sprag\""] {
        let fixture = Fixture::new();
        mixed_tree(&fixture.source, 30, &[]);
        let makes = |call: &strace::Call| call.name.starts_with("mkdir") && call.text.contains(end);
        let late = std::thread::spawn(late_before(&fixture, makes));
        std::thread::sleep(Duration::from_millis(800));
        fixture.copy(0);
        let late = late.join().unwrap();
        assert_eq!(late.code, 0, "{}", late.stderr);
        assert_eq!(late.sum("bytes_copied"), 0, "{end}: it was not late");
        assert_fine(&fixture);
    }
}
