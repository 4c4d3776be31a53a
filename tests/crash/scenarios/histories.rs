//! What happens while a scenario is recorded, where that is more than one copy onto an empty disk.

use std::time::Duration;

use sprag::fs::{FlushBy, Fs, FsFile, FsMeta, Meta};
use sprag::path::RelPath;

use super::cases::{Lab, PROTECTED};
use super::engine::{self, Stop};
use super::source::{BLOCK, Source, content};
use super::tree;
use super::trees::{change_meta, change_small, long_dir};
use crate::sim::{Disk, Entry, Log, Replay, SimFs};

/// What is there already gets other modes and attributes, and is not copied for that.
pub(super) fn mending(lab: &Lab) -> Log {
    let fs = lab.disk();
    lab.done(&fs);
    let disk = lab.settle(&fs);
    change_meta(&lab.source);
    let fs = lab.mount(disk);
    let end = lab.run(&fs, Stop::Never);
    let (copied, mended) = (end.summary.bytes_copied, end.summary.mended.total());
    assert!(copied == 0 && mended > 5, "{}", end.describe());
    fs.log()
}

/// Puts a stranger's entry onto a disk.
fn put(fs: &SimFs, name: &str, content: &[u8], mode: u32) {
    let file = fs.create_new(&fs.root(), name.as_bytes());
    let file = file.expect("a disk without faults");
    file.write_at(content, 0).expect("a disk without faults");
    let meta = Meta {
        mode: Some(mode),
        times_ns: Some((5, 5)),
        ..Meta::default()
    };
    file.set_meta(&meta).expect("a disk without faults");
}

/// With `--verify`, onto a medium on which some files do not read back at first.
pub(super) fn read_back(lab: &Lab) -> Log {
    let fs = lab.mount(lab.settle(&lab.disk()));
    fs.bad_blocks(lab.case.bad_reads);
    let mut options = engine::options(&lab.source.dir);
    options.verify = true;
    let end = engine::run(&fs, options, Stop::Never);
    assert_eq!(end.exit, sprag::exit::Exit::Done, "{}", end.describe());
    fs.log()
}

/// Over what an earlier version of the source, and strangers, left.
pub(super) fn overwriting(lab: &Lab) -> Log {
    let fs = lab.disk();
    put(&fs, "exact", &content("stranger", 1, BLOCK), 0o600);
    put(&fs, "two", &content("stranger", 2, BLOCK + 1), 0o600);
    put(&fs, "one", b"longer", 0o600);
    put(&fs, "empty", b"", 0o600);
    put(&fs, "ln", b"a file, not a link", 0o600);
    put(&fs, "bystander", b"a stranger's", 0o640);
    lab.done(&fs);
    let disk = lab.settle(&fs);
    change_small(&lab.source);
    lab.onto(disk)
}

/// What somebody else was writing while the copy ran.
pub(super) const WRITTEN_MEANWHILE: [&str; 3] = ["0/0", "1/1", "2/2"];

/// Over what somebody else wrote just before, and did not flush.
pub(super) fn overwriting_unflushed(lab: &Lab) -> Log {
    let fs = lab.mount(lab.settle(&lab.disk()));
    for path in WRITTEN_MEANWHILE {
        let path = RelPath::new(path).expect("a path");
        let (parent, name) = path.split().expect("a file");
        fs.make_dir(&fs.root(), parent.name())
            .expect("a disk without faults");
        let dir = fs.open_dir(&parent).expect("a disk without faults");
        let file = fs.create_new(&dir, name).expect("a disk without faults");
        let other = content("another's", 1, 2 * BLOCK);
        file.write_at(&other, 0).expect("a disk without faults");
    }
    lab.done(&fs);
    fs.log()
}

/// Over what an earlier version of the source, and strangers, left, of which much is to be deleted.
pub(super) fn deleting(lab: &Lab) -> Log {
    let fs = lab.disk();
    lab.done(&fs);
    let root = fs.root();
    for dir in ["strange", PROTECTED] {
        fs.make_dir(&root, dir.as_bytes())
            .expect("a disk without faults");
        let path = RelPath::new(dir).expect("a path");
        let dir = fs.open_dir(&path).expect("a disk without faults");
        fs.create_new(&dir, b"inside")
            .expect("a disk without faults");
    }
    put(&fs, "bystander", b"a stranger's", 0o640);
    let disk = lab.settle(&fs);
    lab.source.mode("a/b/c", 0o755);
    for gone in ["one", "two", "ln", "z/again", "a/three"] {
        lab.source.remove(gone);
    }
    lab.source.remove_dir("a/b");
    lab.source.file("exact", 2, BLOCK);
    for dir in ["a", "z", "."] {
        lab.source.dir_time(dir);
    }
    lab.onto(disk)
}

/// Nothing is copied, and no directory has to be made writable: all that the run does is to delete.
pub(super) fn only_deleting(lab: &Lab) -> Log {
    let fs = lab.disk();
    lab.done(&fs);
    let disk = lab.settle(&fs);
    lab.source.remove("a/b/4");
    lab.source.remove("exact");
    for dir in ["a/b", "."] {
        lab.source.dir_time(dir);
    }
    lab.onto(disk)
}

/// Moved: each source is seen to go at the moment at which it goes.
pub(super) fn moving(lab: &Lab) -> Log {
    let fs = lab.mount(lab.settle(&lab.disk()));
    fs.watch(lab.source.witness());
    let mut options = engine::options(&lab.source.dir);
    options.remove_source_files = true;
    let end = engine::run(&fs, options, Stop::Never);
    assert_eq!(end.exit, sprag::exit::Exit::Done, "{}", end.describe());
    assert_eq!(end.summary.sources_removed, 11, "{}", end.describe());
    fs.log()
}

/// A disk onto which a stranger just copied everything, but for one file that is not the same
/// after all. Nothing of it is flushed.
pub(super) fn strangers_copy(flush_by: FlushBy, source: &Source) -> SimFs {
    let fs = SimFs::new(flush_by);
    let copied = tree::of_source(&source.dir).into_iter().try_for_each(
        |(path, node)| -> std::io::Result<()> {
            let Some((parent, name)) = path.split() else {
                return Ok(());
            };
            let dir = fs.open_dir(&parent)?;
            match &node.what {
                Entry::Dir => fs.make_dir(&dir, name),
                Entry::Symlink(target) => fs.make_symlink(&dir, name, target),
                Entry::Special(what) => fs.make_special(&dir, name, *what),
                Entry::File(content) => {
                    let file = fs.create_new(&dir, name)?;
                    file.write_at(&content.to_vec(), 0)
                }
            }
        },
    );
    let removed = copied.and_then(|()| fs.remove(&fs.root(), b"exact"));
    removed.expect("a disk without faults");
    put(&fs, "exact", &content("stranger", 1, BLOCK), 0o600);
    fs
}

/// Everything is there already, but not from sprag.
pub(super) fn adopting(lab: &Lab) -> Log {
    let fs = strangers_copy(lab.case.flush_by, &lab.source);
    lab.onto(lab.settle(&fs))
}

/// With a manifest that is begun afresh in the place of one that knows it all.
pub(super) fn restarting(lab: &Lab) -> Log {
    let fs = lab.disk();
    lab.done(&fs);
    let fs = lab.mount(lab.settle(&fs));
    let mut options = engine::options(&lab.source.dir);
    options.restart = true;
    let end = engine::run(&fs, options, Stop::Never);
    assert_eq!(end.exit, sprag::exit::Exit::Done, "{}", end.describe());
    fs.log()
}

/// Stopped in the middle, then begun again.
pub(super) fn stopped(lab: &Lab) -> Log {
    let fs = lab.mount(lab.settle(&lab.disk()));
    let end = lab.run(&fs, Stop::At(11 * BLOCK as u64));
    assert_eq!(end.exit, sprag::exit::Exit::Stopped, "{}", end.describe());
    lab.done(&fs);
    fs.log()
}

/// So many reruns with changed sources that the manifest is compacted at the end of the last.
pub(super) fn compacting(lab: &Lab) -> Log {
    let fs = lab.disk();
    let dir = long_dir();
    let mut size = 0;
    let mut version = 1;
    let mut disk = lab.settle(&fs);
    loop {
        let log = lab.onto(disk.clone());
        let now = manifest_bytes(&Replay::at_end(&log).disk(&[]));
        if now < size {
            return log;
        }
        size = now;
        assert!(version < 20, "no compaction at {size} bytes");
        disk = lab.settle(&SimFs::with_disk(
            Replay::at_end(&log).disk(&[]),
            lab.case.flush_by,
            Duration::ZERO,
        ));
        version += 1;
        for n in 0..18 {
            lab.source.file(&format!("{dir}/{n}"), version, 10 + n);
        }
        lab.source.file("several", version, 3 * BLOCK);
    }
}

pub(super) fn manifest_bytes(disk: &Disk) -> u64 {
    let mut bytes = 0;
    disk.walk(|path, _, stat| {
        if path.as_bytes() == b".sprag/manifest" {
            bytes = stat.size;
        }
    });
    bytes
}
