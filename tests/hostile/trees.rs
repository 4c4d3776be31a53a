//! Small trees: copied as they are, given times, rid of partial files.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

/// Copies a small tree with its times and modes, hard links as files of their own.
pub(crate) fn clone_tree(from: &Path, to: &Path) {
    let entries = walkdir::WalkDir::new(from);
    let entries: Vec<_> = entries.into_iter().map(Result::unwrap).collect();
    for entry in &entries {
        let to = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir(&to).unwrap();
        } else if entry.file_type().is_symlink() {
            symlink(fs::read_link(entry.path()).unwrap(), &to).unwrap();
        } else {
            fs::copy(entry.path(), &to).unwrap();
        }
    }
    for entry in entries.iter().rev() {
        let to = to.join(entry.path().strip_prefix(from).unwrap());
        let meta = entry.metadata().unwrap();
        if !entry.file_type().is_symlink() {
            fs::set_permissions(&to, meta.permissions()).unwrap();
        }
        set_time(&to, &meta);
    }
}

/// Gives a path, symlinks included, the modification time that `meta` shows.
pub(crate) fn set_time(path: &Path, meta: &fs::Metadata) {
    let time = rustix::fs::Timespec {
        tv_sec: meta.mtime(),
        tv_nsec: meta.mtime_nsec(),
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    let (cwd, flags) = (rustix::fs::CWD, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
    rustix::fs::utimensat(cwd, path, &times, flags).unwrap();
}

/// Without its manifest a destination does not know its old partials: they stay, as strangers.
pub(crate) fn remove_partials(dest: &Path) {
    for entry in walkdir::WalkDir::new(dest) {
        let path = entry.unwrap().into_path();
        if path.as_os_str().as_bytes().ends_with(b".partial") {
            let meta = fs::metadata(dest).unwrap();
            fs::remove_file(&path).unwrap();
            set_time(dest, &meta);
        }
    }
}
