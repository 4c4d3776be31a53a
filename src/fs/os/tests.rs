//! The real file system through the traits, in temporary directories.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use super::*;
use crate::event::ReadHow;
use crate::fs::{ALIGN, AlignedBuf, FsFile, found_dir};

fn fixture() -> (tempfile::TempDir, OsFs) {
    let dir = tempfile::tempdir().unwrap();
    let fs = OsFs::open_root(dir.path()).unwrap();
    (dir, fs)
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn make_fifo(fs: &OsFs, name: &str) {
    let mode = Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(&fs.root().fd, name, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

#[test]
fn a_symlink_anywhere_in_a_path_is_refused() {
    let (tmp, fs) = fixture();
    fs::create_dir_all(tmp.path().join("real/sub")).unwrap();
    symlink("real", tmp.path().join("link")).unwrap();
    symlink("/", tmp.path().join("real/out")).unwrap();
    let root = &fs.root().fd;
    for bad in ["link", "link/sub", "real/out", "real/out/etc"] {
        assert!(fs.open_dir(&path(bad)).is_err(), "{bad}");
        assert!(sys::walk(root, &path(bad), DIRECTORY).is_err(), "{bad}");
    }
    let real = fs.open_dir(&path("real/sub")).unwrap();
    let walked = stat_fd(sys::walk(root, &path("real/sub"), DIRECTORY).unwrap()).unwrap();
    assert_eq!(fs.stat_dir(&real).unwrap().ino, walked.ino);
}

#[test]
fn the_root_path_opens_the_root_and_one_of_full_length_is_no_problem() {
    let (_tmp, fs) = fixture();
    let again = fs.open_dir(&RelPath::root()).unwrap();
    let (a, b) = (fs.stat_dir(&again), fs.stat_dir(&fs.root()));
    assert_eq!(a.unwrap().ino, b.unwrap().ino);
    let name = [b'd'; 240];
    let mut at = RelPath::root();
    for _ in 0..16 {
        let dir = fs.open_dir(&at).unwrap();
        fs.make_dir(&dir, &name).unwrap();
        at = at.join(&name).unwrap();
    }
    let dir = fs.open_dir(&at).unwrap();
    let rest = vec![b'e'; crate::path::PATH_BYTES_MAX - at.as_bytes().len() - 1];
    fs.make_dir(&dir, &rest).unwrap();
    let longest = at.join(&rest).unwrap();
    assert_eq!(longest.as_bytes().len(), crate::path::PATH_BYTES_MAX);
    fs.open_dir(&longest).unwrap();
}

#[test]
fn the_tree_is_reached_by_its_handle_even_when_its_path_is_another_directory() {
    let (tmp, _) = fixture();
    let (at, away) = (tmp.path().join("at"), tmp.path().join("away"));
    fs::create_dir(&at).unwrap();
    let fs = OsFs::open_root(&at).unwrap();
    fs::rename(&at, &away).unwrap();
    fs::create_dir(&at).unwrap();
    fs.create_new(&fs.root(), b"f").unwrap();
    assert!(away.join("f").exists());
    assert!(!at.join("f").exists());
}

#[test]
fn below_what_is_no_directory_nothing_is_there() {
    let (tmp, fs) = fixture();
    fs.make_dir(&fs.root(), b"d").unwrap();
    fs.create_new(&fs.root(), b"f").unwrap();
    for (name, to) in [("l", "d"), ("loop", "loop")] {
        std::os::unix::fs::symlink(to, tmp.path().join(name)).unwrap();
    }
    assert!(found_dir(&fs, &path("d")).unwrap().is_some());
    for none in ["f", "f/x", "l", "l/x", "loop/x", "none", "none/x"] {
        assert!(found_dir(&fs, &path(none)).unwrap().is_none(), "{none}");
    }
}

#[test]
fn a_name_that_is_no_single_component_is_refused() {
    let (_tmp, fs) = fixture();
    let root = fs.root();
    for bad in [&b""[..], b".", b"..", b"a/b", b"/etc"] {
        assert!(fs.stat(&root, bad).is_err());
        assert!(fs.create_new(&root, bad).is_err());
        assert!(fs.rename(&root, b"a", &root, bad).is_err());
        let meta = Meta {
            mode: Some(0o600),
            owner: None,
            times_ns: Some((0, 0)),
            ..Meta::default()
        };
        assert!(fs.set_meta(&root, bad, &|_| true, &meta).is_err());
    }
    assert!(fs.create_new(&root, b"a\0b").is_err());
}

#[test]
fn opening_never_follows_a_symlink() {
    let (tmp, fs) = fixture();
    let outside = tempfile::NamedTempFile::new().unwrap();
    symlink(outside.path(), tmp.path().join("link")).unwrap();
    symlink(tmp.path().join("new"), tmp.path().join("dangling")).unwrap();
    let root = fs.root();
    for name in [&b"link"[..], b"dangling"] {
        for access in [Access::Read, Access::Write, Access::WriteOrCreate] {
            let error = fs.open(&root, name, access).unwrap_err();
            assert_eq!(
                error.to_string(),
                "it is a symbolic link, not a regular file"
            );
        }
        assert!(fs.open_medium(&root, name).is_err());
        assert!(fs.create_new(&root, name).is_err());
    }
    assert!(!tmp.path().join("new").exists());
}

#[test]
fn opening_a_fifo_or_a_directory_is_refused_and_does_not_hang() {
    let (_tmp, fs) = fixture();
    let root = fs.root();
    make_fifo(&fs, "fifo");
    fs.make_dir(&root, b"dir").unwrap();
    for access in [Access::Read, Access::Write, Access::WriteOrCreate] {
        let error = fs.open(&root, b"fifo", access).unwrap_err();
        assert_eq!(error.to_string(), "it is a fifo, not a regular file");
        assert!(fs.open(&root, b"dir", access).is_err());
    }
    assert!(fs.open_medium(&root, b"fifo").is_err());
}

#[test]
fn a_new_file_is_private_and_an_existing_one_is_not_taken_for_new() {
    let (_tmp, fs) = fixture();
    let root = fs.root();
    let file = fs.create_new(&root, b"f").unwrap();
    assert_eq!(file.stat().unwrap().mode & 0o077, 0);
    let error = fs.create_new(&root, b"f").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs.stat(&root, b"none").unwrap(), None);
    assert!(fs.open(&root, b"none", Access::Write).is_err());
    fs.open(&root, b"none", Access::WriteOrCreate).unwrap();
}

#[test]
fn times_come_back_to_the_nanosecond_also_before_1970() {
    let (_tmp, fs) = fixture();
    let root = fs.root();
    let file = fs.create_new(&root, b"f").unwrap();
    fs.make_symlink(&root, b"link", b"f").unwrap();
    for mtime in [0, 1_700_000_000_123_456_789, -1, -86_400_000_000_001] {
        let meta = Meta {
            times_ns: Some((mtime + 5, mtime)),
            ..Meta::default()
        };
        file.set_meta(&meta).unwrap();
        fs.set_meta(&root, b"link", &|_| true, &meta).unwrap();
        fs.set_dir_meta(&root, &meta).unwrap();
        let link = fs.stat(&root, b"link").unwrap().unwrap();
        for stat in [file.stat().unwrap(), link, fs.stat_dir(&root).unwrap()] {
            assert_eq!((stat.atime_ns, stat.mtime_ns), (mtime + 5, mtime));
        }
    }
    let far = Meta {
        times_ns: Some((i128::MIN, i128::MAX)),
        ..Meta::default()
    };
    file.set_meta(&far).unwrap();
}

#[test]
fn a_mode_is_never_set_through_a_symlink() {
    let (tmp, fs) = fixture();
    let root = fs.root();
    let outside = tempfile::NamedTempFile::new().unwrap();
    let mode = || fs::metadata(outside.path()).unwrap().mode() & 0o7777;
    let before = mode();
    symlink(outside.path(), tmp.path().join("link")).unwrap();
    fs.create_new(&root, b"f").unwrap();
    make_fifo(&fs, "fifo");
    let meta = Meta {
        mode: Some(0o4711),
        ..Meta::default()
    };
    for name in [&b"link"[..], b"f", b"fifo"] {
        fs.set_meta(&root, name, &|_| true, &meta).unwrap();
    }
    assert_eq!(mode(), before);
    assert_eq!(fs.stat(&root, b"f").unwrap().unwrap().mode, 0o4711);
    assert_eq!(fs.stat(&root, b"fifo").unwrap().unwrap().mode, 0o4711);
}

#[test]
fn setting_the_owner_does_not_cost_the_setuid_bit() {
    let (_tmp, fs) = fixture();
    let root = fs.root();
    let file = fs.create_new(&root, b"f").unwrap();
    let stat = file.stat().unwrap();
    let meta = Meta {
        mode: Some(0o4755),
        owner: Some((stat.uid, stat.gid)),
        times_ns: None,
        ..Meta::default()
    };
    file.set_meta(&meta).unwrap();
    assert_eq!(file.stat().unwrap().mode, 0o4755);
    fs.set_meta(&root, b"f", &|_| true, &meta).unwrap();
    assert_eq!(file.stat().unwrap().mode, 0o4755);
}

#[test]
fn a_directory_lists_every_name_with_its_kind() {
    let (_tmp, fs) = fixture();
    let root = fs.root();
    fs.create_new(&root, b"f\xff").unwrap();
    fs.make_dir(&root, b"d").unwrap();
    fs.make_symlink(&root, b"l", b"nowhere").unwrap();
    make_fifo(&fs, "p");
    for _ in 0..2 {
        let mut names = fs.list(&root).unwrap();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        let expected = [
            (b"d".to_vec(), Kind::Dir),
            (b"f\xff".to_vec(), Kind::File),
            (b"l".to_vec(), Kind::Symlink),
            (b"p".to_vec(), Kind::Special(Special::Fifo)),
        ];
        assert_eq!(names, expected);
    }
    assert_eq!(fs.read_symlink(&root, b"l").unwrap(), b"nowhere");
}

#[test]
fn names_are_linked_renamed_and_removed() {
    let (_tmp, fs) = fixture();
    let root = fs.root();
    let file = fs.create_new(&root, b"a").unwrap();
    fs.make_dir(&root, b"d").unwrap();
    let dir = fs.open_dir(&path("d")).unwrap();
    fs.link(&root, b"a", &dir, b"b").unwrap();
    assert_eq!(file.stat().unwrap().nlink, 2);
    assert!(fs.remove_dir(&root, b"d").is_err());
    fs.rename(&dir, b"b", &dir, b"c").unwrap();
    fs.rename(&dir, b"c", &root, b"c").unwrap();
    fs.remove(&root, b"c").unwrap();
    fs.sync_dir(&dir).unwrap();
    fs.remove_dir(&root, b"d").unwrap();
    for mount in Fs::mounts(&fs) {
        fs.sync_mount(mount).unwrap();
    }
    assert_eq!(file.stat().unwrap().nlink, 1);
    assert!(!fs.device_gone());
}

/// Writes a file whose length is no multiple of anything, then reads it back from the medium.
fn read_back(fs: &OsFs) -> ReadHow {
    let root = fs.root();
    let bytes: Vec<u8> = (0..70_001_u32).map(|i| (i * 7 % 251) as u8).collect();
    let file = fs.create_new(&root, b"f").unwrap();
    assert_eq!(file.how(), ReadHow::Cached);
    file.write_at(&bytes[30_000..], 30_000).unwrap();
    file.write_at(&bytes[..30_000], 0).unwrap();
    file.sync().unwrap();
    let medium = fs.open_medium(&root, b"f").unwrap();
    for chunk in [ALIGN, 16 * ALIGN, 32 * ALIGN] {
        let mut buf = AlignedBuf::new(chunk);
        let mut got = Vec::new();
        loop {
            let n = medium.read_at(&mut buf, got.len() as u64).unwrap();
            got.extend_from_slice(&buf[..n]);
            if n < chunk {
                break;
            }
        }
        assert_eq!(got, bytes, "in steps of {chunk}");
        let past_the_end = 100 * ALIGN as u64;
        assert_eq!(medium.read_at(&mut buf, past_the_end).unwrap(), 0);
    }
    medium.how()
}

#[test]
fn reading_the_medium_gives_the_whole_file_and_says_how() {
    let (_tmp, fs) = fixture();
    let how = read_back(&fs);
    let file = fs.open(&fs.root(), b"f", Access::Read).unwrap();
    let strictest = sys::strictest(file.as_std().unwrap()).unwrap();
    assert_eq!(how == ReadHow::Cached, strictest == ReadHow::Cached);
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_in_memory_is_said_to_be_read_from_the_cache() {
    let Ok(tmp) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let fs = OsFs::open_root(tmp.path()).unwrap();
    assert_eq!(read_back(&fs), ReadHow::Cached);
}

#[test]
#[cfg(target_os = "linux")]
fn reading_the_medium_leaves_the_access_time_alone() {
    let (_tmp, fs) = fixture();
    read_back(&fs);
    let meta = Meta {
        times_ns: Some((1, 2)),
        ..Meta::default()
    };
    fs.set_meta(&fs.root(), b"f", &|_| true, &meta).unwrap();
    let medium = fs.open_medium(&fs.root(), b"f").unwrap();
    medium.read_at(&mut AlignedBuf::new(ALIGN), 0).unwrap();
    assert_eq!(medium.stat().unwrap().atime_ns, 1);
}

#[test]
fn a_read_that_is_not_aligned_is_answered_without_o_direct_and_says_so() {
    let (_tmp, fs) = fixture();
    let root = fs.root();
    let file = fs.create_new(&root, b"f").unwrap();
    file.write_at(&[7; 10_000], 0).unwrap();
    let medium = fs.open_medium(&root, b"f").unwrap();
    let mut buf = [0; 3000];
    assert_eq!(medium.read_at(&mut buf, 8001).unwrap(), 1999);
    assert_eq!(buf[..1999], [7; 1999]);
    assert_ne!(medium.how(), ReadHow::Direct);
}
