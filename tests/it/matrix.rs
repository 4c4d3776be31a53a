//! A tree with every kind of entry, copied by root and by a user onto each kind of file system.
//! The table in `docs/FILESYSTEMS.md` says what these tests check.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Command;

use crate::support::fuse::FuseImage;
use crate::support::image::{Image, tool};
use crate::support::user::{USER, as_user};
use crate::support::xattr::{get, held};
use crate::support::*;

mod tree;

use tree::Tree;

impl Tree {
    #[track_caller]
    fn sprag(&self, user: Option<u32>, code: i32, args: &[&OsStr]) -> Ran {
        let mut command = as_user(user, &self.program);
        forgetful(&mut command);
        let ran = Ran::from(&command.args(args).output().unwrap());
        assert_eq!(ran.code, code, "{} {:?}", ran.stderr, ran.lines.last());
        ran
    }

    #[track_caller]
    fn copy(&self, user: Option<u32>, code: i32, options: &[&str], dest: &Path) -> Ran {
        let mut args: Vec<&OsStr> = vec!["copy".as_ref(), "--json".as_ref()];
        args.extend(options.iter().map(OsStr::new));
        let sources = self.sources();
        args.extend(sources.iter().map(|source| source.as_os_str()));
        args.push(dest.as_ref());
        self.sprag(user, code, &args)
    }

    /// What rsync would change of the copy.
    fn rsync(&self, user: Option<u32>, dest: &Path) -> String {
        let mut rsync = as_user(user, Path::new("rsync"));
        rsync.args(["-naHAXSc", "--delete", "-i", "--exclude", ".sprag"]);
        if user.is_none() {
            // What XFS shows root of an ACL besides it; rsync's own copies differ there, too.
            rsync.arg("--filter=-x trusted.SGI_ACL_*");
        }
        let output = rsync.args(self.sources()).arg(dest).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        let lines = text.split_inclusive('\n');
        // What a user cannot make, and has been told of.
        let changes = lines.filter(|line| !line.starts_with("skipping non-regular file"));
        changes.collect()
    }

    /// Sparse files use no more space than cp gives them on the same file system.
    #[track_caller]
    fn assert_sparse(&self, dest: &Path) {
        for name in ["sparse", "void"] {
            let by_cp = dest.join(name);
            let mut cp = Command::new("cp");
            cp.arg("--sparse=always");
            cp.arg(self.sources()[0].join("files").join(name));
            tool(cp.arg(&by_cp)).unwrap();
            let (ours, theirs) = (taken(&dest.join("one/files").join(name)), taken(&by_cp));
            assert!(ours <= theirs, "{name} takes {ours}, with cp {theirs}");
            fs::remove_file(by_cp).unwrap();
        }
    }

    /// Nothing is left to do, and all is as it was recorded.
    #[track_caller]
    fn assert_settled(&self, user: Option<u32>, code: i32, options: &[&str], dest: &Path) -> Ran {
        let again = self.copy(user, code, options, dest);
        let done = ["files_copied", "bytes_copied", "entries_mended"].map(|sum| again.sum(sum));
        assert_eq!(done, [0; 3], "a rerun did something: {:?}", again.lines);
        let args = ["verify", "--json"].map(OsStr::new);
        let verified = self.sprag(user, 0, &[args[0], args[1], dest.as_ref()]);
        assert_eq!(verified.sum("entries_metadata"), 0);
        again
    }
}

/// How much space a file takes once it is written.
fn taken(path: &Path) -> u64 {
    File::open(path).unwrap().sync_all().unwrap();
    fs::metadata(path).unwrap().blocks() * 512
}

/// A file system in memory.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn new(test: &str) -> Option<Tmpfs> {
        let temp = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]);
        match tool(mount.arg(temp.path())) {
            Ok(()) => {
                let tmpfs = Tmpfs(temp);
                let probe = tmpfs.0.path().join("probe");
                fs::write(&probe, "").unwrap();
                let Err(error) = held(&probe) else {
                    return Some(tmpfs);
                };
                skip(test, &format!("a tmpfs that holds attributes: {error}"));
                None
            }
            Err(why) => {
                skip(test, &format!("to mount a tmpfs: {why}"));
                None
            }
        }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = tool(Command::new("umount").arg("--lazy").arg(self.0.path()));
    }
}

/// What a file system keeps that has a place for everything.
#[track_caller]
fn assert_holds_everything(tree: &Tree, mount: &Path) {
    let dest = mount.join("root");
    let ran = tree.copy(None, 0, &[], &dest);
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    assert_eq!(tree.rsync(None, &dest), "", "rsync would change something");
    tree.assert_sparse(&dest);
    tree.assert_settled(None, 0, &[], &dest);
    assert_eq!(tree.rsync(None, &dest), "", "the rerun changed something");

    let dest = mount.join("user");
    fs::create_dir(&dest).unwrap();
    chown(&dest, Some(USER), Some(USER)).unwrap();
    let ran = tree.copy(Some(USER), 23, &[], &dest);
    tree.assert_settled(Some(USER), 23, &[], &dest);
    let mut problems = ran.problems();
    problems.sort();
    let device = |name: &str| (format!("one/special/{name}"), "special".to_string());
    assert_eq!(problems, [device("disk"), device("null")]);
    // Nothing runs there in the name of its owner in the source, who is not its owner here.
    let bits = ["2755", "4755", "6755"].map(|mode| format!(".f...p..... one/modes/{mode}\n"));
    assert_eq!(tree.rsync(Some(USER), &dest), bits.concat());
}

#[test]
fn ext4_holds_everything() {
    on_image("ext4");
}

#[test]
fn xfs_holds_everything() {
    on_image("xfs");
}

#[test]
fn btrfs_holds_everything() {
    on_image("btrfs");
}

#[track_caller]
fn on_image(fs_type: &str) {
    let test = format!("everything on {fs_type}");
    let Some(tree) = Tree::new(&test) else { return };
    let Some(image) = Image::new(&test, fs_type, 320 << 20, "") else {
        return;
    };
    assert_holds_everything(&tree, &image.mount);
}

#[test]
fn tmpfs_holds_everything() {
    let test = "everything on tmpfs";
    let Some(tree) = Tree::new(test) else { return };
    let Some(tmpfs) = Tmpfs::new(test) else {
        return;
    };
    assert_holds_everything(&tree, tmpfs.0.path());
}

/// What a file system that can hold less makes of the tree.
struct Lesser<'a> {
    /// The beginning of each warning.
    warnings: &'a [&'a str],
    /// What is left out or cannot be made.
    missing: &'a [&'a [u8]],
    /// How finely times are kept.
    time_ns: i128,
}

const ROUNDED: &str = "the destination does not keep times exactly";
const NO_TIMES: &str = "the destination does not let this user set times";
const NO_MODES: &str = "the destination does not keep all permissions";
const NO_OWNERS: &str = "the destination does not keep owners";
const NO_ACLS: &str = "the destination, or this user, cannot set all ACLs";
const NO_XATTRS: &str = "the destination, or this user, cannot set all extended attributes";
const NO_LINKS: &str = "the destination cannot hold hard links";
const NO_LINKS_OF_ALL: &str = "the destination, or this user, cannot make hard links of symbolic";
const DEVICES: [&[u8]; 2] = [b"special/disk", b"special/null"];

#[test]
fn exfat_holds_contents_and_times_in_seconds() {
    let test = "everything on exFAT";
    let Some(tree) = Tree::new(test) else { return };
    let Some(exfat) = FuseImage::exfat(test) else {
        return;
    };
    let dest = exfat.at("root");
    let lesser = Lesser {
        warnings: &[
            ROUNDED,
            NO_MODES,
            NO_OWNERS,
            NO_ACLS,
            NO_XATTRS,
            NO_LINKS,
            "1 file has a time",
            "2 files have names",
        ],
        missing: &[
            b"dangling",
            b"link",
            b"links/dangling",
            b"links/fifo",
            b"names/\x1b[2J",
            b"names/a:b",
            b"names/new\nline",
            b"names/\xff\xfe",
            b"special/disk",
            b"special/fifo",
            b"special/null",
            b"special/socket",
        ],
        time_ns: 1_000_000_000,
    };
    assert_holds_less(&tree, None, &dest, &lesser);
    exfat.mount_again();
    let again = tree.copy(None, 23, &["--skip-unsupported"], &dest);
    assert_eq!(again.sum("bytes_copied"), 0);
    // All there belongs to whoever mounted it, so that others cannot set times.
    let lesser = Lesser {
        warnings: &[
            NO_TIMES,
            NO_MODES,
            NO_ACLS,
            NO_XATTRS,
            NO_LINKS,
            "1 file has a time",
            "2 files have names",
        ],
        time_ns: i128::MAX,
        ..lesser
    };
    assert_holds_less(&tree, Some(USER), &exfat.at("user"), &lesser);
}

#[test]
fn ntfs_holds_links_special_files_attributes_and_holes() {
    let test = "everything on NTFS";
    let Some(tree) = Tree::new(test) else { return };
    let Some(ntfs) = FuseImage::ntfs(test) else {
        return;
    };
    let windows = "5 files have names";
    let lesser = Lesser {
        warnings: &[ROUNDED, NO_MODES, NO_OWNERS, NO_ACLS, windows],
        missing: &[b"names/\xff\xfe"],
        time_ns: 100,
    };
    assert_holds_less(&tree, None, &ntfs.at("root"), &lesser);
    tree.assert_sparse(&ntfs.at("root"));
    let first = ntfs.at("root/one/links/first");
    let third = ntfs.at("root/two/sub/third");
    assert_eq!(
        fs::metadata(first).unwrap().ino(),
        fs::metadata(third).unwrap().ino()
    );
    for (first, second) in [("dangling", "dangling"), ("special/fifo", "fifo")] {
        let [first, second] = [first, &format!("links/{second}")].map(|name| {
            fs::symlink_metadata(ntfs.at("root/one").join(name))
                .unwrap()
                .ino()
        });
        assert_eq!(first, second);
    }
    let note = get(&ntfs.at("root/one/dressed/note"), "user.note");
    assert_eq!(note.as_deref(), Some(&b"text \0 bytes"[..]));
    // Owners are no matter to a user. To whom a special file does not belong may not link it.
    let lesser = Lesser {
        warnings: &[ROUNDED, NO_MODES, NO_ACLS, NO_LINKS_OF_ALL, windows],
        missing: &[b"names/\xff\xfe", DEVICES[0], DEVICES[1]],
        ..lesser
    };
    assert_holds_less(&tree, Some(USER), &ntfs.at("user"), &lesser);
}

/// What is lesser is told once, what is missing is listed, everything else is there.
#[track_caller]
fn assert_holds_less(tree: &Tree, user: Option<u32>, dest: &Path, lesser: &Lesser<'_>) {
    let options = ["--skip-unsupported"];
    let ran = tree.copy(user, 23, &options, dest);
    let warnings = |line: &&str| line.contains("warning: ");
    let told = ran.stderr.lines().filter(warnings).count();
    assert_eq!(told, lesser.warnings.len(), "{}", ran.stderr);
    for warning in lesser.warnings {
        let warning = format!("warning: {warning}");
        assert!(ran.stderr.contains(&warning), "{warning}: {}", ran.stderr);
    }
    assert_eq!(ran.sum("entries_failed") as usize, lesser.missing.len());
    let missing = |path: &Path| {
        let one = path.strip_prefix("one").unwrap_or(path);
        lesser.missing.contains(&one.as_os_str().as_bytes())
    };
    let mut there = 0;
    for source in tree.sources() {
        for entry in walkdir::WalkDir::new(source) {
            let entry = entry.unwrap();
            let path = entry.path().strip_prefix(tree.temp.path()).unwrap();
            let copy = fs::symlink_metadata(dest.join(path));
            assert_eq!(copy.is_err(), missing(path), "{path:?}");
            let Ok(copy) = copy else { continue };
            there += 1;
            let meta = fs::symlink_metadata(entry.path()).unwrap();
            assert_eq!(copy.file_type(), meta.file_type(), "{path:?}");
            if meta.is_file() {
                let (ours, theirs) = (fs::read(dest.join(path)), fs::read(entry.path()));
                assert!(ours.unwrap() == theirs.unwrap(), "{path:?}");
            }
            let time = |meta: &fs::Metadata| {
                i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec())
            };
            // Before 1970 the drivers round to seconds, or keep another year.
            let kept = time(&meta) > 0;
            let off = (time(&meta) - time(&copy)).abs();
            assert!(!kept || off <= lesser.time_ns, "{path:?} is {off} ns off");
        }
    }
    let entries = walkdir::WalkDir::new(dest).min_depth(1).into_iter();
    let own = |entry: &walkdir::DirEntry| entry.file_name() != ".sprag";
    assert_eq!(
        entries.filter_entry(own).count(),
        there,
        "something was left behind"
    );
    tree.assert_settled(user, 23, &options, dest);
}
