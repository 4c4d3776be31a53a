//! A tree with every kind of entry there is, in two sources.

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, makedev, mknodat, utimensat};

use crate::support::user::program_in;
use crate::support::xattr::{ACCESS, DEFAULT, acl_for_others, held, set};
use crate::support::*;

const MIB: u64 = 1 << 20;

/// Two sources of one run, and where the user finds the program.
pub(super) struct Tree {
    pub(super) temp: tempfile::TempDir,
    pub(super) program: PathBuf,
}

impl Tree {
    /// `None`: the machine does not let us, and the reason was told.
    pub(super) fn new(test: &str) -> Option<Tree> {
        if !is_root() {
            skip(test, "root");
            return None;
        }
        for program in ["rsync", "setpriv"] {
            if !has(program) {
                skip(test, program);
                return None;
            }
        }
        let temp = tempfile::tempdir().unwrap();
        let probe = temp.path().join("probe");
        fs::write(&probe, "").unwrap();
        if let Err(error) = held(&probe) {
            let needs = format!("a temporary directory that holds attributes and ACLs: {error}");
            skip(test, &needs);
            return None;
        }
        chmod(temp.path(), 0o755);
        let program = program_in(temp.path());
        let tree = Tree { temp, program };
        tree.fill();
        Some(tree)
    }

    pub(super) fn sources(&self) -> [PathBuf; 2] {
        ["one", "two"].map(|name| self.temp.path().join(name))
    }

    /// Every kind of entry there is; all of it can be read by everyone.
    fn fill(&self) {
        let [one, two] = self.sources();
        let mut rng = Rng::new(9);
        write(one.join("files/empty"), "");
        write(one.join("files/small"), "small");
        write(one.join("files/blocks"), rng.bytes(2 * MIB as usize + 777));
        holey(&one.join("files/sparse"));
        File::create(one.join("files/void"))
            .unwrap()
            .set_len(3 * MIB)
            .unwrap();
        fs::create_dir_all(one.join("empty dir")).unwrap();
        write(two.join("sub/file"), "of the second source");

        symlink("files/small", one.join("link")).unwrap();
        symlink("/nowhere/at all", one.join("dangling")).unwrap();
        lchown(one.join("dangling"), Some(3), Some(4)).unwrap();
        write(one.join("links/first"), "one inode");
        fs::hard_link(one.join("links/first"), one.join("links/second")).unwrap();
        fs::hard_link(one.join("links/first"), two.join("sub/third")).unwrap();

        let special = |name: &str, what, number| {
            fs::create_dir_all(one.join("special")).unwrap();
            let mode = Mode::from_raw_mode(0o640);
            mknodat(CWD, one.join("special").join(name), what, mode, number).unwrap();
        };
        special("fifo", FileType::Fifo, 0);
        special("socket", FileType::Socket, 0);
        special("null", FileType::CharacterDevice, makedev(1, 3));
        special("disk", FileType::BlockDevice, makedev(8, 300));

        fs::hard_link(one.join("dangling"), one.join("links/dangling")).unwrap();
        fs::hard_link(one.join("special/fifo"), one.join("links/fifo")).unwrap();

        self.dress();
        age_all(&one);
        age_all(&two);
        let past = UNIX_EPOCH - Duration::new(86_400 * 365, 250_000_000);
        let future = UNIX_EPOCH + Duration::new(4_200_000_000, 1);
        for (name, time) in [("before 1970", past), ("after 2100", future)] {
            let path = two.join(name);
            write(&path, name);
            let times = FileTimes::new().set_modified(time);
            File::open(&path).unwrap().set_times(times).unwrap();
        }
        age_one(&two, 77);
    }

    /// Modes, owners, attributes and names.
    fn dress(&self) {
        let [one, _] = self.sources();
        for mode in [0o4755, 0o2755, 0o6711 | 0o44, 0o444, 0o604, 0o777] {
            let path = one.join(format!("modes/{mode:o}"));
            write(&path, "mode");
            chmod(&path, mode);
        }
        for mode in [0o1777, 0o2775, 0o705] {
            let path = one.join(format!("modes/dir {mode:o}"));
            fs::create_dir_all(&path).unwrap();
            chmod(&path, mode);
        }
        write(one.join("owned/file"), "owned");
        chown(one.join("owned/file"), Some(4711), Some(815)).unwrap();
        chown(one.join("owned"), Some(1), Some(2)).unwrap();

        write(one.join("dressed/note"), "note");
        set(&one.join("dressed/note"), "user.note", b"text \0 bytes");
        set(&one.join("dressed"), "user.of dir", b"");
        write(one.join("dressed/acl"), "acl");
        set(&one.join("dressed/acl"), ACCESS, &acl_for_others(4));
        fs::create_dir(one.join("dressed/default")).unwrap();
        set(&one.join("dressed/default"), DEFAULT, &acl_for_others(4));

        for name in [
            &b"new\nline"[..],
            b"\xff\xfe",
            b"a:b",
            b"\x1b[2J",
            b"dot.",
            b" ",
        ] {
            write(one.join("names").join(OsStr::from_bytes(name)), name);
        }
        write(one.join("names/\u{fc}mlaut \u{1f600}"), "not ASCII");
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Data between holes, and a hole at the end.
fn holey(path: &Path) {
    let file = File::create(path).unwrap();
    let mut rng = Rng::new(5);
    for (offset, len) in [
        (MIB + 8192, 8192),
        (2 * MIB - 4096, 8192),
        (5 * MIB, 98_304),
    ] {
        file.write_all_at(&rng.bytes(len), offset).unwrap();
    }
    file.set_len(9 * MIB + 17).unwrap();
    file.sync_all().unwrap();
}

/// Gives one entry, which may be a symlink, a time with odd nanoseconds.
fn age_one(path: &Path, nth: i64) {
    let time = Timespec {
        tv_sec: 1_600_000_000 + nth,
        tv_nsec: 123_456_789,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Gives each entry below, and the directories after their contents, a time of its own.
fn age_all(root: &Path) {
    let entries = walkdir::WalkDir::new(root).contents_first(true);
    for (nth, entry) in entries.into_iter().enumerate() {
        age_one(entry.unwrap().path(), nth as i64);
    }
}
