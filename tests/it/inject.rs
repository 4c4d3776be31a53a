//! Every system call of the binary fails, once or for ever, with all the errors a device or a
//! system has: the exit code is right, the message says what and why, and the rerun ends well.
//!
//! `SPRAG_LONG=1` tries all of it; without, a part.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::support::*;

/// What has to do with memory, threads, signals and the screen, which no file system makes fail.
/// And `close`: its errors are ignored for files, whose data was flushed before, and the standard
/// library takes it for impossible that a directory has one.
const NOT_FILES: &str = "close execve exit exit_group brk mmap munmap mprotect madvise mremap futex \
    arch_prctl set_tid_address set_robust_list rseq prlimit64 rt_sigaction rt_sigprocmask \
    rt_sigreturn sigaltstack clone clone3 sched_yield sched_getaffinity gettid getpid getrandom \
    prctl poll ioctl uname geteuid getegid umask getcwd access \
    nanosleep clock_nanosleep restart_syscall tgkill";

const ERRORS: [(&str, i32); 7] = [
    ("EIO", 5),
    ("ENOSPC", 28),
    ("EROFS", 30),
    ("EACCES", 13),
    ("EMFILE", 24),
    ("ENODEV", 19),
    ("EINTR", 4),
];

/// More than there are cores: after a failed call the program waits for news of its device.
const THREADS: usize = 6;

const FLUSHES: [&str; 3] = ["fsync", "fdatasync", "syncfs"];

/// What a run finds: sources, and what a destination holds before.
struct Scene {
    source: PathBuf,
    /// Copied to be the destination of each run.
    template: Option<PathBuf>,
    versions: Vec<Contents>,
    temp: tempfile::TempDir,
}

#[derive(Debug, Clone)]
struct Case {
    call: String,
    error: (&'static str, i32),
    when: String,
}

/// What the system says of an error.
fn in_words(number: i32) -> String {
    let error = std::io::Error::from_raw_os_error(number).to_string();
    error.replace(&format!(" (os error {number})"), "")
}

fn args(source: &Path, dest: &Path) -> Vec<String> {
    let fixed = "copy --json --jobs 1 --block-size 64K --checkpoint-size 128K --retries 0";
    let mut args: Vec<String> = fixed.split(' ').map(String::from).collect();
    args.push(format!("{}/", source.display()));
    args.push(dest.display().to_string());
    args
}

fn small_tree(root: &Path) {
    let mut rng = Rng::new(7);
    for (name, len) in [
        ("a", 10),
        ("big", 300_000),
        ("d/empty", 0),
        ("d/one block", 65_536),
        ("d/e/two blocks", 65_537),
        ("z", 5000),
    ] {
        write(root.join(name), rng.bytes(len));
        age(&root.join(name), 1);
    }
    fs::hard_link(root.join("a"), root.join("d/hard")).unwrap();
    std::os::unix::fs::symlink("nowhere", root.join("link")).unwrap();
    fs::create_dir(root.join("d/empty dir")).unwrap();
    for dir in ["d/e", "d", "."] {
        age(&root.join(dir), 2);
    }
}

impl Scene {
    /// Nothing is there yet.
    fn fresh() -> Scene {
        let temp = journaled_dir();
        let source = temp.path().join("source");
        small_tree(&source);
        Scene {
            versions: vec![contents(&source)],
            source,
            template: None,
            temp,
        }
    }

    /// An older version is there, and a copy of the new one that was killed at its second rename.
    fn killed() -> Scene {
        let mut scene = Scene::fresh();
        let template = scene.temp.path().join("template");
        copy(0, &args(&scene.source, &template)[2..]);
        alter(&scene.source);
        let log = scene.temp.path().join("log");
        let killed = strace::inject(
            "renameat",
            "signal=KILL:when=2",
            &log,
            &args(&scene.source, &template),
        );
        assert_eq!(killed.ran.code, -1, "not killed");
        scene.versions.push(contents(&scene.source));
        scene.template = Some(template);
        scene
    }

    fn place(&self, dest: &Path) {
        if let Some(template) = &self.template {
            let mut cp = Command::new("cp");
            assert!(
                cp.arg("-a")
                    .arg(template)
                    .arg(dest)
                    .status()
                    .unwrap()
                    .success()
            );
        }
    }

    /// For each call: how many of it are none of ours (the dynamic loader's for one), and the
    /// most that one thread makes.
    fn calls(&self) -> BTreeMap<String, (usize, usize)> {
        let dest = self.temp.path().join("traced");
        self.place(&dest);
        let log = self.temp.path().join("log");
        let source = self.source.display().to_string();
        let mut calls = BTreeMap::new();
        let mut began = false;
        for call in strace::calls(&log, &args(&self.source, &dest)) {
            began = began || call.name == "statx" && call.text.contains(&source);
            let (before, most) = calls.entry(call.name).or_insert((0, 0));
            if !began && call.by_main {
                *before = call.nth;
            }
            *most = call.nth.max(*most);
        }
        calls.retain(|name, (before, most)| {
            most > before && !NOT_FILES.split_whitespace().any(|other| other == name)
        });
        calls
    }

    /// What to try: all errors at all calls, or a part of it.
    fn cases(&self, long: bool) -> Vec<Case> {
        let mut cases = Vec::new();
        for (nth_call, (call, (before, most))) in self.calls().into_iter().enumerate() {
            let (first, middle) = (before + 1, (before + most).div_ceil(2));
            let mut whens: Vec<String> = match long {
                true => (first..=most.min(before + 40))
                    .map(|k| k.to_string())
                    .collect(),
                false => vec![first.to_string(), middle.to_string()],
            };
            whens.push(format!("{first}+"));
            whens.push(format!("{}+", first + 2));
            whens.dedup();
            for (nth_when, when) in whens.into_iter().enumerate() {
                for (nth_error, error) in ERRORS.into_iter().enumerate() {
                    let chosen = long || nth_error == (nth_call + nth_when) % ERRORS.len();
                    // Nothing is interrupted for ever.
                    if chosen && !(error.0 == "EINTR" && when.ends_with('+')) {
                        let call = call.clone();
                        cases.push(Case {
                            call,
                            error,
                            when: when.clone(),
                        });
                    }
                }
            }
        }
        cases
    }

    /// Tries one case in a directory of its own; gives back how often the call failed.
    fn try_case(&self, case: &Case, dir: &Path) -> Result<usize, String> {
        let dest = dir.join("dest");
        self.place(&dest);
        let args = args(&self.source, &dest);
        let what = format!("error={}:when={}", case.error.0, case.when);
        let injected = strace::inject(&case.call, &what, &dir.join("log"), &args);
        let ran = &injected.ran;
        let fail = |what: &str| {
            Err(format!(
                "{case:?}: {what}: exit {}: {}",
                ran.code, ran.stderr
            ))
        };
        if ran.stderr.contains("panicked") || ![0, 3, 11, 23, 42].contains(&ran.code) {
            return fail("not a documented end");
        }
        if ran.code == 0
            && let Some(differs) = difference(&self.source, &dest)
        {
            return fail(&format!("claims to be done, and {differs}"));
        }
        let flush_failed = FLUSHES.contains(&&*case.call) && injected.hits > 0;
        if flush_failed && ![11, 42].contains(&ran.code) {
            return fail("a flush failed and the run went on");
        }
        let told = ran.stderr.contains(&in_words(case.error.1))
            && ran.stderr.contains(&*self.temp.path().to_string_lossy());
        if ran.code != 0 && !told && case.call != "write" {
            return fail("path or cause is not told");
        }
        if dest.exists() {
            let versions: Vec<&Contents> = self.versions.iter().collect();
            let before = match self.template {
                Some(_) => &self.versions[0],
                None => &Contents::new(),
            };
            assert_names_are_whole(&dest, &versions, before);
        }
        let again = run("copy", &args[2..]);
        if again.code != 0 {
            return fail(&format!("the rerun: exit {}: {}", again.code, again.stderr));
        }
        if let Some(differs) = difference(&self.source, &dest) {
            return fail(&format!("after the rerun {differs}"));
        }
        let verified = run("verify", [&dest]);
        if verified.code != 0 || verified.sum("entries_extra") != 0 {
            return fail(&format!("verify: {:?}", verified.lines));
        }
        Ok(injected.hits)
    }

    fn try_all(&self, cases: Vec<Case>) {
        let queue = Mutex::new(cases.into_iter());
        let failures = Mutex::new(Vec::new());
        let tried = Mutex::new((0, 0));
        let work = |number: usize| {
            loop {
                let Some(case) = queue.lock().unwrap().next() else {
                    return;
                };
                let dir = self.temp.path().join(number.to_string());
                fs::create_dir(&dir).unwrap();
                let outcome = self.try_case(&case, &dir);
                fs::remove_dir_all(&dir).unwrap();
                let mut tried = tried.lock().unwrap();
                tried.0 += 1;
                match outcome {
                    Ok(hits) => tried.1 += usize::from(hits > 0),
                    Err(failure) => failures.lock().unwrap().push(failure),
                }
            }
        };
        std::thread::scope(|scope| {
            for number in 0..THREADS {
                let work = &work;
                scope.spawn(move || work(number));
            }
        });
        let (failures, (tried, hit)) =
            (failures.into_inner().unwrap(), tried.into_inner().unwrap());
        if is_long() {
            tell(&format!(
                "injected: {hit} of {tried} runs had a failing call"
            ));
        }
        assert!(
            failures.is_empty(),
            "{} failures:\n{}",
            failures.len(),
            failures.join("\n")
        );
        assert!(hit * 2 > tried, "only {hit} of {tried} runs were hit");
    }
}

fn is_long() -> bool {
    std::env::var_os("SPRAG_LONG").is_some_and(|value| value == "1")
}

#[test]
fn whichever_call_of_a_first_copy_fails_the_end_is_told_and_the_rerun_mends_it() {
    if strace::works("failing calls of a first copy") {
        let scene = Scene::fresh();
        scene.try_all(scene.cases(is_long()));
    }
}

#[test]
fn whichever_call_fails_after_a_crash_no_name_is_torn_and_the_rerun_mends_it() {
    if strace::works("failing calls after a crash") {
        let scene = Scene::killed();
        scene.try_all(scene.cases(is_long()));
    }
}

#[test]
fn a_directory_that_cannot_be_listed_to_its_end_is_named() {
    if !strace::works("a directory that cannot be listed") {
        return;
    }
    let scene = Scene::fresh();
    let dest = scene.temp.path().join("dest");
    let args = args(&scene.source, &dest);
    let log = scene.temp.path().join("log");
    let dir = scene.source.join("d");
    let ran = strace::inject_at(&dir, "getdents64", "error=EIO:when=1", &log, &args).ran;
    assert_eq!(ran.code, 23, "{}", ran.stderr);
    assert_eq!(ran.problems(), [("d".into(), "unreadable".into())]);
}

#[test]
fn where_there_are_no_file_locks_reading_goes_on_with_a_warning_and_copying_says_what_is_missing() {
    let test = "where_there_are_no_file_locks_reading_goes_on_with_a_warning_and_copying_says_what_is_missing";
    if !strace::works(test) {
        return;
    }
    let fixture = Fixture::new();
    write(fixture.source.join("f"), "content");
    fixture.copy(0);
    let (source, dest) = (fixture.contents(), fixture.dest.clone());
    let list = fixture.temp.path().join("list");
    let fresh = fixture.temp.path().join("fresh");
    fs::create_dir(&fresh).unwrap();
    let text = |path: &Path| path.display().to_string();
    let run = |words: &[&str]| {
        let log = fixture.temp.path().join("log");
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        strace::inject("flock", "error=ENOLCK", &log, &words).ran
    };
    for words in [
        &["verify", "--json", &text(&dest)][..],
        &["status", "--json", &text(&dest)],
        &["export", "-o", &text(&list), &text(&dest)],
    ] {
        let ran = run(words);
        assert_eq!(ran.code, 0, "{words:?}: {}", ran.stderr);
        let warned = "warning: ";
        assert!(ran.stderr.contains(warned), "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("no file locks"), "{}", ran.stderr);
    }
    assert!(fs::read_to_string(&list).unwrap().ends_with("  f\n"));
    let before = snapshot(&fixture.temp.path().join("fresh"));
    for words in [
        &["copy", "--json", &text(&source), &text(&dest)][..],
        &["copy", "--json", "-n", &text(&source), &text(&dest)],
        &["copy", "--json", &text(&source), &text(&fresh)],
        &["clean", "--json", &text(&dest)],
    ] {
        let ran = run(words);
        assert_eq!(ran.code, 3, "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("no file locks"), "{}", ran.stderr);
        assert!(ran.stderr.contains("local_lock"), "{}", ran.stderr);
    }
    assert_eq!(snapshot(&fresh), before);
}
