//! The exit codes: each command gives every one that the README's table says it gives, and 0 is never the
//! answer where nothing was copied or checked although something was asked for.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::support::image::Image;
use crate::support::*;
use crate::wait::Drive;

const ALL: &[&str] = &COMMANDS;
const OF_A_DESTINATION: &[&str] = &["copy", "verify", "status", "export", "clean"];

/// Each code with the commands that are made to give it, and how.
type Way = (u8, &'static [&'static str], fn(&str) -> Option<i32>);

const WAYS: [Way; 13] = [
    (0, ALL, |command| end(&mut on_a_copy(command).1)),
    (1, ALL, |command| end(sprag().args([command, "--nonsense"]))),
    (3, OF_A_DESTINATION, |command| {
        let at = Fixture::new();
        let none = at.temp.path().join("no/such/place");
        let mut run = sprag();
        run.arg(command);
        if command == "copy" {
            run.arg(&at.source);
        }
        end(run.arg(none))
    }),
    (11, ALL, |command| {
        let (_at, mut run) = on_a_copy(command);
        let full = File::options().write(true).open("/dev/full").unwrap();
        end_of(run.stdout(full).stderr(Stdio::null()))
    }),
    (20, &["copy", "verify"], |command| {
        let (at, mut run) = on_a_copy(command);
        write(at.source.join("large"), Rng::new(1).bytes(8 << 20));
        if command == "verify" {
            at.copy(0);
        }
        let child = run.arg("--bwlimit=1M").spawn().unwrap();
        std::thread::sleep(Duration::from_millis(700));
        let pid = child.id().to_string();
        Command::new("kill").args(["-INT", &pid]).status().unwrap();
        end_within(60, child).status.code()
    }),
    (23, &["copy", "verify", "export"], |command| {
        let (at, mut run) = on_a_copy(command);
        match command {
            "copy" => {
                let list = at.temp.path().join("list");
                write(&list, "file\nnone\n");
                run.arg("--files-from").arg(list);
            }
            "verify" => {
                write(at.source.join("file"), "edited since");
                run.arg("--against").arg(at.contents());
            }
            // A list for b3sum has no form for such a name.
            _ => {
                write(at.source.join(OsStr::from_bytes(b"caf\xe9")), "x");
                at.copy(0);
            }
        }
        end(&mut run)
    }),
    (24, &["copy"], |_| {
        let at = Fixture::new();
        fs::create_dir(&at.dest).unwrap();
        // It has more content than its size says.
        end(sprag().args(["copy", "/proc/version"]).arg(&at.dest))
    }),
    (25, &["copy"], |command| {
        let (at, mut run) = on_a_copy(command);
        fs::remove_file(at.source.join("file")).unwrap();
        end(run.args(["--delete", "--max-delete=0"]))
    }),
    (40, &["verify", "export"], |command| {
        let (at, mut run) = on_a_copy(command);
        rot(&at.dest.join("file"), 1);
        if command == "export" {
            run.args(["--format", "sha256"]);
        }
        end(&mut run)
    }),
    (41, &["copy", "verify", "export", "clean"], |command| {
        let (at, mut run) = on_a_copy(command);
        let manifest = File::open(at.dest.join(".sprag/manifest")).unwrap();
        flock(&manifest, FlockOperation::LockExclusive).unwrap();
        end(&mut run)
    }),
    (42, &["copy", "verify"], |command| {
        let drive = Drive::new("a device that goes during a run")?;
        let (source, dest) = (drive.path("source"), drive.here().join("copy"));
        write(source.join("large"), Rng::new(1).bytes(16 << 20));
        if command == "verify" {
            copy(0, [source.join(""), dest.clone()]);
        }
        let mut run = sprag();
        run.args([command, "--bwlimit=2M"]);
        if command == "copy" {
            run.arg(source.join(""));
        }
        let child = run.arg(&dest).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        drive.pull(&drive.here());
        end_within(60, child).status.code()
    }),
    (43, &["copy"], |_| {
        let small = Image::new("a copy that does not fit", "ext4", 16 << 20, "")?;
        let at = Fixture::new();
        write(at.source.join("large"), Rng::new(1).bytes(24 << 20));
        end(sprag().arg("copy").arg(&at.source).arg(&small.mount))
    }),
    (44, OF_A_DESTINATION, |command| {
        let (at, mut run) = on_a_copy(command);
        for name in ["manifest", "manifest.bak"] {
            let file = File::options()
                .read(true)
                .write(true)
                .open(at.dest.join(".sprag").join(name));
            let (file, mut byte, in_first_record) = (file.unwrap(), [0], 4096 + 13);
            file.read_exact_at(&mut byte, in_first_record).unwrap();
            file.write_all_at(&[byte[0] ^ 1], in_first_record).unwrap();
        }
        end(&mut run)
    }),
];

/// A small copy, and a command that has nothing to complain of with it.
fn on_a_copy(command: &str) -> (Fixture, Command) {
    let at = Fixture::new();
    for name in ["file", "other"] {
        write(at.source.join(name), "content");
    }
    at.copy(0);
    let mut run = sprag();
    run.arg(command);
    match command {
        "copy" => drop(run.args([at.contents(), at.dest.clone()])),
        "completions" => drop(run.arg("bash")),
        "man" => {}
        _ => drop(run.arg(&at.dest)),
    }
    (at, run)
}

fn end(run: &mut Command) -> Option<i32> {
    end_of(run.stdout(Stdio::null()).stderr(Stdio::null()))
}

fn end_of(run: &mut Command) -> Option<i32> {
    end_within(60, run.spawn().unwrap()).status.code()
}

/// The README's table: each code with a command that gives it.
fn table() -> BTreeSet<(u8, String)> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, table) = readme.split_once("## Exit codes\n").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let mut given = BTreeSet::new();
    for row in table.lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, code, _, by, _] = cells[..] else {
            continue;
        };
        let Ok(code) = code.parse() else { continue };
        let by: Vec<&str> = match by {
            "every command" => COMMANDS.to_vec(),
            by => by.split(", ").map(|name| name.trim_matches('`')).collect(),
        };
        given.extend(by.into_iter().map(|name| (code, name.to_owned())));
    }
    given
}

#[test]
fn each_command_gives_the_exit_codes_that_the_table_says() {
    let ways = WAYS.iter().flat_map(|(code, commands, _)| {
        let commands = commands.iter();
        commands.map(|command| (*code, (*command).to_owned()))
    });
    assert_eq!(table(), ways.collect());
    for (code, commands, way) in WAYS {
        for command in commands {
            // What cannot be tried on this machine was told.
            if let Some(ended) = way(command).filter(|ended| *ended != i32::from(code)) {
                panic!("sprag {command} ended with {ended} and not {code}");
            }
        }
    }
}

/// Runs a command with `--json`, which checks its totals, too; `{}` stands for where the fixture is.
fn told(at: &Fixture, words: &str) -> Ran {
    let words = words.replace("{}", at.temp.path().to_str().unwrap());
    let mut words = words.split(' ');
    run(words.next().unwrap(), words)
}

#[test]
fn a_run_that_has_nothing_to_do_because_of_the_users_selection_never_ends_with_0() {
    for words in [
        "copy --exclude=* {}/source/ {}/new",
        "copy --exclude=/source {}/source {}/new",
        "copy --include=*.none --exclude=* {}/source/ {}/new",
        "copy --max-size=1 {}/source/file {}/new/",
        "copy --files-from={}/empty {}/source {}/new",
        "copy --files-from={}/comments {}/source {}/new",
        "copy --files-from={}/list --exclude=file {}/source {}/new",
        "copy --delete --exclude=* {}/source/ {}/dest",
        "verify --exclude=* {}/dest",
        "verify --exclude=file {}/dest file",
        "verify --quick --exclude=* {}/dest",
        "verify {}/dest none",
        "verify --check={}/empty {}/dest",
        "verify --check={}/comments {}/dest",
    ] {
        let at = Fixture::new();
        write(at.source.join("file"), "content");
        at.copy(0);
        fs::create_dir(at.temp.path().join("new")).unwrap();
        write(at.temp.path().join("empty"), "");
        write(at.temp.path().join("comments"), "# nothing\n\n");
        write(at.temp.path().join("list"), "file\n");
        let ran = told(&at, words);
        assert_eq!(ran.code, 3, "{words}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("Nothing was"),
            "{words}: {}",
            ran.stderr
        );
        if let Some(rest) = words.strip_prefix("copy") {
            let dry = told(&at, &format!("copy -n{rest}"));
            assert_eq!(dry.code, 3, "-n {words}: {}", dry.stderr);
        }
    }
}

#[test]
fn a_run_that_finds_nothing_to_do_ends_with_0() {
    let at = Fixture::new();
    fs::create_dir(at.temp.path().join("empty")).unwrap();
    write(at.source.join("file"), "content");
    for words in [
        "copy {}/empty/ {}/new",
        "copy {}/empty {}/other",
        "copy {}/source/ {}/dest",
        "copy {}/source/ {}/dest",
        "copy --ignore-existing {}/source/ {}/dest",
        "copy --exclude=none {}/source/ {}/dest",
        "verify {}/new",
        "verify {}/dest",
        "verify --older-than=1d {}/dest",
    ] {
        let ran = told(&at, words);
        assert_eq!(ran.code, 0, "{words}: {}", ran.stderr);
    }
}
