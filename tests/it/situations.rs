//! Sources that change under a running copy, and modes: the situations that the testsuites of rsync and
//! coreutils know as growing-file, change-shrink, change-vanish and preserve-mode.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use sprag::event::Event;
use sprag::exit::Exit;

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
