//! FAT32's largest file. The sources are holes of their full length, and refused, so nothing of them is
//! ever read or written.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::sync::Arc;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use sprag::error::Error;
use sprag::exit::Exit;
use sprag::{CopyOptions, CopyRun, Event};

use crate::support::folding::Folding;
use crate::support::fuse::FuseImage;
use crate::support::*;

const MAX: u64 = (4 << 30) - 1;

/// A plain file and one that is a byte too large.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    write(fixture.source.join("plain"), "plain");
    let film = File::create(fixture.source.join("film")).unwrap();
    film.set_len(MAX + 1).unwrap();
    fixture
}

/// Copies onto what says to be FAT32. Gives the problems by path, and how it ended.
fn copy_onto_fat(fixture: &Fixture, skips: bool) -> (Vec<(String, &'static str)>, Exit, String) {
    fs::create_dir_all(&fixture.dest).unwrap();
    let mut options = CopyOptions::new([fixture.contents()], &fixture.dest);
    options.skip_unsupported = skips;
    let fs = Arc::new(Folding::fat(&fixture.dest));
    let mut problems = Vec::new();
    let mut told_of_links = false;
    for event in CopyRun::start_on(fs, options).unwrap() {
        match event {
            Event::Problem { path, error } => problems.push((path.to_string(), error.kind())),
            Event::Warning(text) => told_of_links |= text.contains("cannot hold hard links"),
            Event::Finished { summary, error } => {
                let refused = match error {
                    Some(Error::Refused(refusal)) => refusal.to_string(),
                    other => format!("{other:?}"),
                };
                problems.sort();
                assert_eq!(told_of_links, skips);
                return (problems, summary.exit_code, refused);
            }
            _ => {}
        }
    }
    panic!("a run did not finish");
}

#[test]
fn a_file_over_4_gib_is_refused_before_the_first_byte_and_left_out_on_request() {
    let fixture = fixture();
    symlink("plain", fixture.source.join("link")).unwrap();
    let fifo = fixture.source.join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    fs::hard_link(fixture.source.join("plain"), fixture.source.join("twice")).unwrap();
    let (problems, exit, refused) = copy_onto_fat(&fixture, false);
    assert_eq!((problems.len(), exit), (0, Exit::Refused));
    for text in [
        "is on FAT32",
        "files that are too large: 1",
        "its 4294967296 bytes are more than the 4294967295",
        "symbolic links, which it does not have: 1",
        "fifos, sockets and device nodes, which it does not have: 1",
        "Nothing was copied.",
    ] {
        assert!(refused.contains(text), "{text}: {refused}");
    }
    let there = fs::read_dir(&fixture.dest).unwrap().count();
    assert_eq!(there, 1, "there is more than .sprag");
    let (problems, exit, _) = copy_onto_fat(&fixture, true);
    let unsupported = |path: &str| (path.to_string(), "unsupported");
    assert_eq!(problems, ["fifo", "film", "link"].map(unsupported));
    assert_eq!(exit, Exit::Partial);
    assert_eq!(fs::read(fixture.dest.join("plain")).unwrap(), b"plain");
    assert_eq!(fs::read(fixture.dest.join("twice")).unwrap(), b"plain");
    assert!(!fixture.dest.join("film").exists());
}

#[test]
fn dry_run_knows_fat32_by_its_mount_and_foretells_the_refusal() {
    let Some(fat) = FuseImage::fat("4 GiB on FAT32") else {
        return;
    };
    let fixture = fixture();
    let dest = fat.at("dest");
    let dry = |code| copy(code, ["-n".into(), fixture.contents(), dest.clone()]);
    let ran = dry(43);
    for text in ["is on FAT32", "files that are too large: 1"] {
        assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr);
    }
    assert!(!dest.exists());
    let film = File::create(fixture.source.join("film")).unwrap();
    film.set_len(MAX).unwrap();
    assert_eq!(dry(0).sum("bytes_copied"), MAX + 5);
}
