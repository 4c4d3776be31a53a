//! Sources that change under a running copy, modes, links and what may not be read or written: the
//! situations that the testsuites of rsync and coreutils know as growing-file, change-shrink,
//! change-vanish, preserve-mode, preserve-link, symlinks and fail-perm.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use sprag::event::Event;
use sprag::exit::Exit;

use crate::support::user::{USER, as_user, program_in};
use crate::support::*;

const LARGE: usize = 24 << 20;

/// Copies; does something to the source once the first of it is written. Gives how that ended.
fn copy_while(fixture: &Fixture, change: impl FnOnce(&Path)) -> Exit {
    let mut options = sprag::CopyOptions::new([fixture.contents()], &fixture.dest);
    options.block_size = Some(sprag::block::BlockSize::MIN);
    options.jobs = std::num::NonZeroUsize::new(1);
    let mut run = sprag::copy(options).unwrap();
    let begun = |event| matches!(event, Event::Progress(at) if at.bytes_written > 0);
    assert!(run.any(begun));
    change(&fixture.source);
    match run.last() {
        Some(Event::Finished { summary, .. }) => summary.exit_code,
        other => panic!("a run ended with {other:?}"),
    }
}

/// What stands under the name, if anything, is what the source holds now, and a rerun has it all.
fn assert_never_torn(fixture: &Fixture, name: &str, exit: Exit) {
    assert!(matches!(exit, Exit::Done | Exit::Vanished), "{exit:?}");
    if let Ok(copied) = fs::read(fixture.dest.join(name)) {
        assert!(copied == fs::read(fixture.source.join(name)).unwrap());
    }
    fixture.copy(0);
    fixture.assert_same();
}

#[test]
fn growing_file_is_copied_whole_or_reported() {
    let fixture = Fixture::new();
    write(fixture.source.join("log"), Rng::new(1).bytes(LARGE));
    let exit = copy_while(&fixture, |source| {
        let log = OpenOptions::new().append(true).open(source.join("log"));
        std::io::Write::write_all(&mut log.unwrap(), b"one line more").unwrap();
    });
    assert_never_torn(&fixture, "log", exit);
}

#[test]
fn change_shrink_leaves_no_tail_of_the_longer_file() {
    let fixture = Fixture::new();
    write(fixture.source.join("shrinks"), Rng::new(2).bytes(LARGE));
    let exit = copy_while(&fixture, |source| {
        let file = OpenOptions::new().write(true).open(source.join("shrinks"));
        file.unwrap().set_len(100).unwrap();
    });
    assert_never_torn(&fixture, "shrinks", exit);
}

#[test]
fn change_vanish_is_told_and_the_rest_is_copied() {
    let fixture = Fixture::new();
    write(fixture.source.join("a"), Rng::new(3).bytes(LARGE));
    for nth in 0..2000 {
        write(fixture.source.join(format!("m{nth:04}")), "small");
    }
    write(fixture.source.join("z"), "gone before its turn");
    let exit = copy_while(&fixture, |source| {
        fs::remove_file(source.join("z")).unwrap();
    });
    assert!(!fixture.dest.join("z").exists());
    assert!(fixture.dest.join("m1999").exists());
    assert_never_torn(&fixture, "a", exit);
}

#[test]
fn preserve_mode_whatever_the_umask_says() {
    let fixture = Fixture::new();
    let modes = [0o400, 0o444, 0o600, 0o640, 0o666, 0o755, 0o777, 0o1755];
    for mode in modes {
        let path = fixture.source.join(format!("{mode:o}"));
        File::create(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
    fixture.copy(0);
    for mode in modes {
        let copied = fs::metadata(fixture.dest.join(format!("{mode:o}"))).unwrap();
        assert_eq!(copied.mode() & 0o7777, mode);
    }
}

#[test]
fn preserve_link_names_of_one_file_in_several_sources_are_one_file_there() {
    let fixture = Fixture::new();
    let at = |name: &str| fixture.source.join(name);
    write(at("a/file"), "one");
    for name in ["b/file", "b/again"] {
        fs::create_dir_all(at("b")).unwrap();
        fs::hard_link(at("a/file"), at(name)).unwrap();
    }
    write(at("b/other"), "one");
    copy(0, [at("a"), at("b"), fixture.dest.clone()]);
    let ino = |name: &str| fs::metadata(fixture.dest.join(name)).unwrap().ino();
    assert_eq!(ino("a/file"), ino("b/file"));
    assert_eq!(ino("a/file"), ino("b/again"));
    assert_ne!(ino("a/file"), ino("b/other"));
}

#[test]
fn symlinks_are_copied_as_they_are_wherever_they_lead() {
    let fixture = Fixture::new();
    write(fixture.source.join("file"), "x");
    fs::create_dir(fixture.source.join("dir")).unwrap();
    let long = "long/".repeat(600);
    let targets = [
        "file", "dir", "nowhere", "/", "..", "../../up", "self", &long,
    ];
    for (nth, target) in targets.iter().enumerate() {
        symlink(target, fixture.source.join(format!("{nth}"))).unwrap();
    }
    fixture.copy(0);
    for (nth, target) in targets.iter().enumerate() {
        let copied = fs::read_link(fixture.dest.join(format!("{nth}"))).unwrap();
        assert_eq!(copied, Path::new(target));
    }
    // One that leads elsewhere now, one that became a file, and a file that became one.
    let at = |name: &str| fixture.source.join(name);
    for name in ["0", "1", "file"] {
        fs::remove_file(at(name)).unwrap();
    }
    symlink("elsewhere", at("0")).unwrap();
    write(at("1"), "a file now");
    symlink("1", at("file")).unwrap();
    fixture.copy(0);
    fixture.assert_same();
}

#[test]
fn fail_perm_what_may_not_be_read_or_written_is_told_and_costs_nothing_else() {
    let test = "fail_perm_…";
    if !is_root() || !has("setpriv") {
        return skip(test, "root and setpriv, to become another user");
    }
    let fixture = Fixture::new();
    let top = fixture.temp.path();
    let chmod =
        |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    chmod(top, 0o755);
    let program = program_in(top);
    let run_as_user = |flags: &[&str]| {
        let mut command = as_user(Some(USER), &program);
        forgetful(&mut command);
        command.args(["copy", "--json"]).args(flags);
        command.args([fixture.contents(), fixture.dest.clone()]);
        Ran::from(&command.output().unwrap())
    };
    let source = |name: &str| fixture.source.join(name);
    for name in ["open", "secret", "unlisted/x", "unsearched/x", "sealed/new"] {
        write(source(name), name);
    }
    // Readable, but what is in it cannot be looked at; and the other way round.
    chmod(&source("unsearched"), 0o744);
    chmod(&source("unlisted"), 0o711);
    chmod(&source("secret"), 0o600);
    write(fixture.dest.join("sealed/old"), "of root's");
    write(
        fixture.dest.join("extraneous"),
        "stays, as not all could be read",
    );
    chown(&fixture.dest, Some(USER), Some(USER)).unwrap();
    let ran = run_as_user(&["--delete"]);
    assert_eq!(ran.code, 23, "{}", ran.stderr);
    let mut failed: Vec<_> = ran.problems().into_iter().map(|(path, _)| path).collect();
    failed.sort();
    // Of the directory that is root's, neither what is new in it nor its time could be had.
    let of_dest = ["sealed", "sealed/new"];
    let of_source = ["secret", "unlisted", "unsearched/x"];
    assert_eq!(failed, [&of_dest[..], &of_source].concat());
    assert_eq!(fs::read(fixture.dest.join("open")).unwrap(), b"open");
    assert!(!fixture.dest.join("sealed/new").exists());
    for name in ["extraneous", "sealed/old"] {
        assert!(fixture.dest.join(name).exists(), "{name}");
    }
    // Once it may, the same command has it all.
    chmod(&source("unsearched"), 0o755);
    chmod(&source("unlisted"), 0o755);
    chmod(&source("secret"), 0o644);
    chown(fixture.dest.join("sealed"), Some(USER), Some(USER)).unwrap();
    let ran = run_as_user(&["--delete"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(contents(&fixture.source), contents(&fixture.dest));
}

#[test]
fn a_file_beyond_the_limit_of_file_sizes_fails_and_the_others_are_copied() {
    let fixture = Fixture::new();
    write(fixture.source.join("large"), vec![7; 3 << 20]);
    write(fixture.source.join("single"), vec![7; (1 << 20) - 1]);
    write(fixture.source.join("small"), "x");
    let sprag = env!("CARGO_BIN_EXE_sprag");
    for run in ["first", "second"] {
        // In units of 512 bytes or, by some shells, of 1024.
        let script = "ulimit -f 1000 && exec \"$0\" copy --json \"$@\"";
        let mut command = std::process::Command::new("sh");
        forgetful(&mut command);
        command.args(["-c", script, sprag]);
        let output = command.args([fixture.contents(), fixture.dest.clone()]);
        let ran = Ran::from(&output.output().unwrap());
        assert_eq!(ran.code, 23, "{run}: {}", ran.stderr);
        let problems = ran.problems();
        let large = ("large".to_owned(), "destination".to_owned());
        assert!(problems.contains(&large), "{run}: {problems:?}");
        assert!(ran.stderr.contains("File too large"), "{}", ran.stderr);
        assert!(fixture.dest.join("small").exists());
    }
    fixture.copy(0);
    fixture.assert_same();
}
