//! Metadata: what is kept of it, what a rerun mends without copying, what `verify` says of it.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown};
use std::path::Path;
use std::process::Command;

use crate::support::image::Image;
use crate::support::xattr::{ACCESS, DEFAULT, acl, get, held, set};
use crate::support::*;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A fixture whose temporary directory holds ACLs and attributes, or `None`, told loudly.
fn fixture(test: &str) -> Option<Fixture> {
    let fixture = Fixture::new();
    let probe = fixture.temp.path().join("probe");
    fs::write(&probe, "").unwrap();
    match held(&probe) {
        Ok(()) => Some(fixture),
        Err(error) => {
            let needs = format!("a temporary directory that holds attributes and ACLs: {error}");
            skip(test, &needs);
            None
        }
    }
}

/// Small and large files, a directory, a symlink, with attributes and ACLs on them.
fn dressed_tree(root: &Path) {
    write(root.join("d/small"), "small");
    write(root.join("d/large"), vec![7; 3 << 20]);
    write(root.join("d/sealed"), "read only");
    write(root.join("plain"), "plain");
    std::os::unix::fs::symlink("d/small", root.join("link")).unwrap();
    for name in ["d/small", "d/large", "d/sealed", "d", "."] {
        set(&root.join(name), "user.note", name.as_bytes());
    }
    set(&root.join("d/small"), "user.empty", b"");
    set(&root.join("d/small"), ACCESS, &acl());
    set(&root.join("d"), DEFAULT, &acl());
    chmod(&root.join("d/sealed"), 0o444);
    chmod(&root.join("plain"), 0o2711);
    for name in ["d/small", "d/large", "d/sealed", "plain", "d", "."] {
        age(&root.join(name), 7);
    }
}

/// What a run did besides finding everything as it was.
#[track_caller]
fn assert_only_mended(ran: &Ran, mended: u64) {
    assert_eq!(ran.sum("entries_mended"), mended, "{:?}", ran.lines);
    for figure in ["bytes_copied", "files_copied", "files_adopted"] {
        assert_eq!(ran.sum(figure), 0, "{figure}");
    }
}

#[test]
fn xattrs_acls_and_modes_are_those_of_the_source_and_a_rerun_has_nothing_to_do() {
    let test = "attributes and ACLs";
    let Some(fixture) = fixture(test) else { return };
    dressed_tree(&fixture.source);
    fixture.copy(0);
    fixture.assert_same();
    let at = |name: &str| fixture.dest.join(name);
    for name in ["d/small", "d/large", "d/sealed", "d", "."] {
        let note = get(&at(name), "user.note");
        assert_eq!(note.as_deref(), Some(name.as_bytes()), "{name}");
    }
    assert_eq!(get(&at("d/small"), "user.empty"), Some(Vec::new()));
    assert_eq!(get(&at("d/small"), ACCESS), Some(acl()));
    assert_eq!(get(&at("d"), DEFAULT), Some(acl()));
    // It would have inherited one from the directory it is in.
    assert_eq!(get(&at("d/large"), ACCESS), None);
    assert_only_mended(&fixture.copy(0), 0);
    // Nor does one that is put there later.
    write(fixture.source.join("d/later"), "later");
    rustix::fs::lremovexattr(fixture.source.join("d/later"), ACCESS).unwrap();
    fixture.copy(0);
    assert_eq!(get(&at("d/later"), ACCESS), None);
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
}

#[test]
fn metadata_that_changes_at_the_source_is_mended_without_copying() {
    let test = "metadata drift at the source";
    let Some(fixture) = fixture(test) else { return };
    dressed_tree(&fixture.source);
    fixture.copy(0);
    let at = |name: &str| fixture.source.join(name);
    chmod(&at("plain"), 0o600);
    chmod(&at("d"), 0o710);
    set(&at("d/large"), "user.note", b"changed");
    rustix::fs::lremovexattr(at("d/small"), ACCESS).unwrap();
    rustix::fs::lremovexattr(at("."), "user.note").unwrap();
    chmod(&at("d/sealed"), 0o644);
    set(&at("d/sealed"), "user.note", b"changed");
    chmod(&at("d/sealed"), 0o444);
    assert_only_mended(&fixture.copy(0), 6);
    fixture.assert_same();
    let there = |name: &str| fixture.dest.join(name);
    for name in ["d/large", "d/sealed"] {
        assert_eq!(get(&there(name), "user.note").unwrap(), b"changed");
    }
    assert_eq!(get(&there("d/small"), ACCESS), None);
    assert_eq!(get(&there("."), "user.note"), None);
    assert_only_mended(&fixture.copy(0), 0);
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
}

#[test]
fn metadata_that_changes_at_the_destination_is_reported_by_verify_and_mended_by_a_rerun() {
    let test = "metadata drift at the destination";
    let Some(fixture) = fixture(test) else { return };
    dressed_tree(&fixture.source);
    fixture.copy(0);
    let at = |name: &str| fixture.dest.join(name);
    chmod(&at("plain"), 0o777);
    chmod(&at("d"), 0o777);
    set(&at("d/large"), "user.extra", b"1");
    set(&at("d/small"), "user.note", b"other");
    let verified = run("verify", [&fixture.dest]);
    assert_eq!(verified.code, 40);
    assert_eq!(verified.sum("entries_metadata"), 4);
    let mut problems = verified.problems();
    problems.sort_unstable();
    let metadata = |path: &str| (path.to_string(), "metadata".to_string());
    assert_eq!(problems, ["d", "d/large", "d/small", "plain"].map(metadata));
    let ran = fixture.copy(0);
    // What runs in its owner's name is copied anew.
    let sums = ["entries_mended", "files_copied"].map(|sum| ran.sum(sum));
    assert_eq!(sums, [3, 1], "{:?}", ran.lines);
    fixture.assert_same();
    assert_eq!(get(&at("d/large"), "user.extra"), None);
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
}

#[test]
fn a_file_that_was_only_touched_is_compared_and_not_copied() {
    let fixture = Fixture::new();
    write(fixture.source.join("small"), "small");
    write(fixture.source.join("large"), vec![9; 5 << 20]);
    fixture.copy(0);
    age(&fixture.source.join("small"), 1);
    age(&fixture.source.join("large"), 2);
    let ran = fixture.copy(0);
    assert_eq!((ran.sum("bytes_copied"), ran.sum("files_adopted")), (0, 2));
    fixture.assert_same();
    write(fixture.source.join("small"), "SMALL");
    let ran = fixture.copy(0);
    assert_eq!((ran.sum("bytes_copied"), ran.sum("files_copied")), (5, 1));
    fixture.assert_same();
}

#[test]
fn each_no_flag_leaves_its_part_alone() {
    let test = "the --no- flags";
    let Some(fixture) = fixture(test) else { return };
    dressed_tree(&fixture.source);
    fs::hard_link(fixture.source.join("plain"), fixture.source.join("second")).unwrap();
    let flags = ["--no-perms", "--no-times", "--no-xattrs", "--no-hard-links"];
    let args = || {
        let paths = [fixture.contents(), fixture.dest.clone()];
        flags.map(Into::into).into_iter().chain(paths)
    };
    copy(0, args());
    let at = |name: &str| fixture.dest.join(name);
    let mode = |name: &str| fs::metadata(at(name)).unwrap().mode() & 0o7777;
    // What the umask leaves, which is hardly more than this.
    assert_eq!(mode("plain") & !0o755, 0);
    assert_eq!(mode("d/sealed") & 0o222, 0);
    assert_eq!(get(&at("d/small"), ACCESS), None);
    assert_eq!(get(&at("d/small"), "user.note"), None);
    let meta = |name: &str| fs::metadata(at(name)).unwrap();
    assert_ne!(meta("plain").mtime(), 1_600_000_007);
    assert_ne!(meta("plain").ino(), meta("second").ino());
    // Whoever sets another mode there keeps it.
    chmod(&at("plain"), 0o640);
    assert_eq!(copy(0, args()).sum("bytes_copied"), 0);
    assert_eq!(mode("plain"), 0o640);
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
    // Without the flags everything is made up for, and nothing copied but what runs in its owner's name.
    let ran = fixture.copy(0);
    let plain = meta("plain").len();
    assert_eq!(ran.sum("bytes_copied"), plain);
    fixture.assert_same();
    assert_eq!(meta("plain").ino(), meta("second").ino());
    assert_eq!(get(&at("d/small"), ACCESS), Some(acl()));
}

#[test]
fn owners_trusted_attributes_and_capabilities_are_kept_for_root() {
    let test = "owners, trusted attributes and capabilities";
    if !is_root() {
        return skip(test, "root");
    }
    let Some(fixture) = fixture(test) else { return };
    let at = |name: &str| fixture.source.join(name);
    for name in ["program", "capable", "dir/f"] {
        write(at(name), name);
        chown(at(name), Some(4711), Some(815)).unwrap();
    }
    chown(at("dir"), Some(1), Some(2)).unwrap();
    chmod(&at("program"), 0o6755);
    chmod(&at("dir"), 0o3770);
    std::os::unix::fs::symlink("nowhere", at("link")).unwrap();
    lchown(at("link"), Some(3), Some(4)).unwrap();
    // cap_net_raw, effective and permitted.
    let capability = [
        1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    set(&at("capable"), "security.capability", &capability);
    set(&at("dir/f"), "trusted.note", b"for root");
    set(&at("link"), "trusted.note", b"of a link");
    fixture.copy(0);
    fixture.assert_same();
    let owner = |name: &str| {
        let meta = fs::symlink_metadata(fixture.dest.join(name)).unwrap();
        (meta.uid(), meta.gid())
    };
    assert_eq!(owner("program"), (4711, 815));
    assert_eq!((owner("dir"), owner("link")), ((1, 2), (3, 4)));
    let there = |name: &str| fixture.dest.join(name);
    let kept = get(&there("capable"), "security.capability");
    assert_eq!(kept.as_deref(), Some(&capability[..]));
    for name in ["dir/f", "link"] {
        assert_eq!(
            get(&there(name), "trusted.note"),
            get(&at(name), "trusted.note")
        );
    }
    assert_only_mended(&fixture.copy(0), 0);
    chown(there("program"), Some(1), Some(1)).unwrap();
    lchown(there("link"), Some(1), Some(1)).unwrap();
    set(&at("dir/f"), "trusted.note", b"changed");
    assert_eq!(run("verify", [&fixture.dest]).sum("entries_metadata"), 2);
    let ran = fixture.copy(0);
    let sums = ["entries_mended", "files_copied"].map(|sum| ran.sum(sum));
    assert_eq!(sums, [2, 1], "{:?}", ran.lines);
    fixture.assert_same();
    assert_eq!((owner("program"), owner("link")), ((4711, 815), (3, 4)));
}

#[test]
fn a_program_that_runs_in_its_owners_name_is_not_copied_to_run_in_another_name() {
    let test = "setuid without owners";
    if !is_root() {
        return skip(test, "root");
    }
    let fixture = Fixture::new();
    write(fixture.source.join("program"), "program");
    chown(fixture.source.join("program"), Some(4711), Some(815)).unwrap();
    chmod(&fixture.source.join("program"), 0o6755);
    let args = || {
        [
            "--no-owner".into(),
            fixture.contents(),
            fixture.dest.clone(),
        ]
    };
    copy(0, args());
    let meta = fs::metadata(fixture.dest.join("program")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o755, 0));
    assert_only_mended(&copy(0, args()), 0);
    assert_eq!(fixture.copy(0).sum("files_copied"), 1);
    fixture.assert_same();
}

#[test]
fn names_of_any_bytes_carry_their_attributes() {
    let test = "attributes of odd names";
    let Some(fixture) = fixture(test) else { return };
    let odd = [&b"new\nline"[..], b"\xff\xfe", &[b'n'; 255]];
    for name in odd.map(std::ffi::OsStr::from_bytes) {
        write(fixture.source.join(name), "");
        set(&fixture.source.join(name), "user.note", b"odd");
    }
    fixture.copy(0);
    for name in odd.map(std::ffi::OsStr::from_bytes) {
        let note = get(&fixture.dest.join(name), "user.note");
        assert_eq!(note.as_deref(), Some(&b"odd"[..]));
    }
    assert_only_mended(&fixture.copy(0), 0);
}

#[test]
fn who_may_not_give_files_away_copies_them_all_the_same() {
    if !is_root_with("who_may_not_give_files_away", &["setpriv"]) {
        return;
    }
    let fixture = Fixture::new();
    for (name, owner) in [("own", 0), ("other", 4711)] {
        write(fixture.source.join(name), name);
        chown(fixture.source.join(name), Some(owner), None).unwrap();
    }
    chmod(&fixture.source.join("other"), 0o4755);
    let copy = || {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-chown", env!("CARGO_BIN_EXE_sprag")]);
        command.args(["copy", "--json"]);
        let output = command.arg(fixture.contents()).arg(&fixture.dest).output();
        Ran::from(&output.unwrap())
    };
    let ran = copy();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("does not keep owners"),
        "{}",
        ran.stderr
    );
    // What ran in somebody else's name does not run in ours.
    let there = fs::metadata(fixture.dest.join("other")).unwrap();
    assert_eq!((there.uid(), there.mode() & 0o7777), (0, 0o755));
    assert_eq!(copy().sum("files_unchanged"), 2);
}

#[test]
fn a_read_only_directory_with_an_acl_is_filled_before_it_is_closed() {
    let test = "a_read_only_directory_with_an_acl";
    if !is_root_with(test, &["setpriv"]) {
        return;
    }
    let Some(fixture) = fixture(test) else { return };
    let program = user::program_in(fixture.temp.path());
    chmod(fixture.temp.path(), 0o755);
    let dir = fixture.source.join("closed");
    write(dir.join("f"), "content");
    set(&dir, ACCESS, &acl());
    chmod(&dir, 0o555);
    fs::create_dir(&fixture.dest).unwrap();
    for path in [&fixture.source, &dir, &dir.join("f"), &fixture.dest] {
        chown(path, Some(user::USER), Some(user::USER)).unwrap();
    }
    let mut command = user::as_user(Some(user::USER), &program);
    command.env("XDG_STATE_HOME", fixture.temp.path().join("state"));
    let output = command
        .arg("copy")
        .arg(fixture.contents())
        .arg(&fixture.dest);
    let output = output.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    fixture.assert_same();
    assert_eq!(get(&fixture.dest.join("closed"), ACCESS), get(&dir, ACCESS));
}

#[test]
fn without_permissions_new_entries_have_the_modes_that_cp_gives_them() {
    let Some(fixture) =
        fixture("without_permissions_new_entries_have_the_modes_that_cp_gives_them")
    else {
        return;
    };
    for (name, mode) in [("f", 0o664), ("program", 0o775), ("secret", 0o600)] {
        for dir in ["", "d", "d/closed"] {
            let path = fixture.source.join(dir).join(name);
            write(&path, "x");
            chmod(&path, mode);
        }
    }
    chmod(&fixture.source.join("d/closed"), 0o700);
    chmod(&fixture.source.join("d"), 0o775);
    let modes = |root: &Path| {
        let mode = |path: std::path::PathBuf| {
            let at = root.join(&path);
            let metadata = fs::metadata(&at).unwrap();
            (path, metadata.mode(), metadata.gid(), get(&at, ACCESS))
        };
        snapshot(root).into_keys().map(mode).collect::<Vec<_>>()
    };
    for (parent, acls) in [(0o755, 0), (0o2775, 0), (0o755, 1), (0o2775, 1)] {
        let [ours, theirs] = ["ours", "theirs"].map(|name| {
            let dir = fixture
                .temp
                .path()
                .join(format!("{name} {parent:o} {acls}"));
            fs::create_dir(&dir).unwrap();
            if is_root() {
                chown(&dir, None, Some(4711)).unwrap();
            }
            chmod(&dir, parent);
            if acls > 0 {
                set(&dir, DEFAULT, &acl());
            }
            dir
        });
        let flags = ["--no-perms", "--no-owner"].map(std::ffi::OsString::from);
        let paths = [fixture.contents().into(), ours.clone().into_os_string()];
        for _ in 0..2 {
            copy(0, flags.iter().chain(&paths));
        }
        let mut contents = fixture.source.join("").into_os_string();
        contents.push(".");
        let copied = Command::new("cp")
            .arg("-r")
            .arg(contents)
            .arg(&theirs)
            .status();
        assert!(copied.unwrap().success());
        assert_eq!(modes(&ours), modes(&theirs), "{parent:o} {acls}");
    }
}

#[test]
fn what_the_destination_cannot_hold_of_a_file_is_told_with_its_name() {
    let test = "what_the_destination_cannot_hold_of_a_file_is_told_with_its_name";
    let Some(image) = Image::new(test, "ext4", 64 << 20, "") else {
        return;
    };
    // It holds what ext4 does not: times after 2446, and attributes of more than a block.
    let source = tempfile::tempdir_in("/dev/shm").unwrap();
    let file = source.path().join("late");
    write(&file, "x");
    let late = std::time::UNIX_EPOCH + std::time::Duration::from_secs(16_725_225_600);
    let times = fs::FileTimes::new().set_modified(late);
    fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_times(times)
        .unwrap();
    let large = source.path().join("large");
    write(&large, "x");
    let value = vec![7; 30_000];
    let none = rustix::fs::XattrFlags::empty();
    let has_large = rustix::fs::lsetxattr(&large, "user.large", &value, none).is_ok();
    if has_large {
        let dir = source.path().join("dir");
        write(dir.join("larger"), "x");
        for path in [&dir, &dir.join("larger")] {
            set(path, "user.large", &value);
        }
    }
    let mut path = source.path().as_os_str().to_owned();
    path.push("/");
    let ran = copy(0, [path, image.at("dest").into_os_string()]);
    let told = &ran.stderr;
    assert!(!told.contains("does not let this user set times"), "{told}");
    assert!(told.contains("cannot hold all times"), "{told}");
    assert!(
        told.contains(&format!(
            "the first is of {}",
            image.at("dest/late").display()
        )),
        "{told}"
    );
    match has_large {
        true => {
            let unfit =
                |line: &&str| line.contains("do not all fit") && line.contains("user.large");
            let unfit: Vec<_> = told.lines().filter(unfit).collect();
            assert_eq!(unfit.len(), 3, "{told}");
            for path in ["dest/large", "dest/dir", "dest/dir/larger"] {
                let path = format!("{} do", image.at(path).display());
                assert!(unfit.iter().any(|line| line.contains(&path)), "{told}");
            }
            assert!(!told.contains("or this user, cannot set"), "{told}");
        }
        false => skip(test, "a tmpfs that holds attributes of users"),
    }
}
