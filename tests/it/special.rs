//! Fifos, sockets and device nodes.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::support::*;

fn make(path: &Path, what: FileType, number: u64) {
    mknodat(CWD, path, what, Mode::from_raw_mode(0o640), number).unwrap();
}

/// Kind, mode, owner, device number and time of an entry.
fn look(path: &Path) -> (String, u32, u32, u64, i64) {
    let meta = fs::symlink_metadata(path).unwrap();
    let what = format!("{:?}", meta.file_type());
    (what, meta.mode(), meta.uid(), meta.rdev(), meta.mtime())
}

#[test]
fn fifos_and_sockets_are_copied_mended_and_verified() {
    let fixture = Fixture::new();
    let names = ["fifo", "socket"];
    let at = |name: &str| fixture.source.join(name);
    let there = |name: &str| fixture.dest.join(name);
    make(&at("fifo"), FileType::Fifo, 0);
    make(&at("socket"), FileType::Socket, 0);
    let ran = fixture.copy(0);
    assert_eq!(ran.sum("specials"), 2);
    assert!(
        fs::symlink_metadata(there("socket"))
            .unwrap()
            .file_type()
            .is_socket()
    );
    for name in names {
        assert_eq!(look(&at(name)), look(&there(name)));
    }
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
    let ran = fixture.copy(0);
    assert_eq!((ran.sum("specials"), ran.sum("entries_mended")), (2, 0));
    // On both sides something changes.
    fs::set_permissions(at("fifo"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(there("socket")).unwrap();
    make(&there("socket"), FileType::Fifo, 0);
    let verified = run("verify", [&fixture.dest]);
    let modified = ("socket".to_string(), "modified".to_string());
    assert_eq!(verified.problems(), [modified]);
    // The fifo, and the time of the directory.
    assert_eq!(fixture.copy(0).sum("entries_mended"), 2);
    for name in names {
        assert_eq!(look(&at(name)), look(&there(name)));
    }
}

#[test]
fn devices_are_copied_by_root_with_number_and_owner() {
    let test = "device nodes";
    if !is_root() {
        return skip(test, "root");
    }
    let fixture = Fixture::new();
    make(
        &fixture.source.join("null"),
        FileType::CharacterDevice,
        makedev(1, 3),
    );
    make(
        &fixture.source.join("disk"),
        FileType::BlockDevice,
        makedev(8, 300),
    );
    std::os::unix::fs::chown(fixture.source.join("disk"), Some(7), Some(8)).unwrap();
    assert_eq!(fixture.copy(0).sum("specials"), 2);
    let same = || {
        for name in ["null", "disk"] {
            assert_eq!(
                look(&fixture.source.join(name)),
                look(&fixture.dest.join(name))
            );
        }
    };
    same();
    // Another number is another device.
    fs::remove_file(fixture.source.join("null")).unwrap();
    make(
        &fixture.source.join("null"),
        FileType::CharacterDevice,
        makedev(1, 5),
    );
    fixture.copy(0);
    same();
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
}
