//! What reading the source side promises.

use super::*;
use std::os::unix::fs::symlink;

#[test]
fn a_file_is_read_at_offsets_up_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, b"hello world").unwrap();
    let file = SourceFile::open(&path).unwrap();
    file.advise_sequential();
    let mut buf = [0; 8];
    assert_eq!(file.read(&mut buf, 6).unwrap(), 5);
    assert_eq!(&buf[..5], b"world");
    assert_eq!(file.read(&mut buf, 11).unwrap(), 0);
    let mut before = file.stat().unwrap();
    let after = lstat(&path).unwrap();
    before.atime_ns = after.atime_ns;
    assert_eq!(before, after);
    assert_eq!((after.kind, after.size), (Kind::File, 11));
}

#[test]
fn a_source_that_cannot_be_looked_at_is_not_taken_for_a_file_in_its_parent() {
    let dir = tempfile::tempdir().unwrap();
    let too_long = dir.path().join("n".repeat(256));
    assert!(SourceRoot::open(&too_long).is_err());
    // A symlink to such a thing is in its parent.
    let link = dir.path().join("link");
    symlink(&too_long, &link).unwrap();
    assert!(SourceRoot::open(&link).is_ok());
}

#[test]
fn what_is_no_regular_file_is_refused_and_a_fifo_does_not_hang() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("f"), b"x").unwrap();
    symlink("f", dir.path().join("link")).unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let fifo = dir.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for (name, what) in [
        ("link", "it is a symbolic link, not a regular file"),
        ("sub", "it is a directory, not a regular file"),
        ("fifo", "it is a fifo, not a regular file"),
    ] {
        let error = SourceFile::open(&dir.path().join(name)).unwrap_err();
        assert_eq!(error.to_string(), what);
    }
    let missing = SourceFile::open(&dir.path().join("none")).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
}

#[test]
fn holes_are_told_from_data_where_the_file_system_tells_and_all_of_the_file_is_covered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let made = File::create(&path).unwrap();
    let at = |offset| std::os::unix::fs::FileExt::write_all_at(&made, b"data", offset).unwrap();
    at(1 << 20);
    at(5 << 20);
    made.set_len(8 << 20).unwrap();
    made.sync_all().unwrap();
    let file = SourceFile::open(&path).unwrap();
    let (mut offset, mut data) = (0, Vec::new());
    while offset < 8 << 20 {
        let end = match file.extent(offset) {
            Extent::Hole(end) => end,
            Extent::Data(end) => {
                data.push(offset..end);
                end
            }
        };
        assert!(end > offset);
        offset = end;
    }
    for written in [1 << 20, 5 << 20] {
        assert!(data.iter().any(|data| data.contains(&written)));
    }
    let full = dir.path().join("full");
    fs::write(&full, b"full").unwrap();
    let full = SourceFile::open(&full).unwrap();
    assert_eq!(full.extent(0), Extent::Data(u64::MAX));
}

#[test]
fn links_are_looked_at_or_followed_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("link");
    make_dir(&dir.path().join("sub")).unwrap();
    symlink("sub", &link).unwrap();
    assert_eq!(lstat(&link).unwrap().kind, Kind::Symlink);
    assert_eq!(stat_follow(&link).unwrap().kind, Kind::Dir);
    assert_eq!(read_link(&link).unwrap(), b"sub");
    let real = canonicalize(dir.path()).unwrap().join("sub");
    assert_eq!(canonicalize(&link).unwrap(), real);
}
