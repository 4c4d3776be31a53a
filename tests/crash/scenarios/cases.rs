//! The scenarios: what is copied, onto what, and what happens between the recording and the rerun.

use std::time::Duration;

use sprag::fs::{FlushBy, Fs, FsFile, FsMeta, Meta};
use sprag::path::RelPath;

use super::check::{Expected, FLUSH_TAKES};
use super::engine::{self, End, Stop};
use super::source::{BLOCK, Source, content};
use super::tree::{self, Tree};
use crate::explore::{Budget, Explored, recorded};
use crate::sim::{Disk, Entry, Log, Replay, SimFs};

/// A scenario: how to record it. What `change` does to the source happens after the recording.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) flush_by: FlushBy,
    /// The destination has no journal.
    pub(crate) is_fat: bool,
    build: fn(&Source),
    record: fn(&Lab) -> Log,
    change: Option<fn(&Source)>,
    /// The run deletes what the source does not have, but for [`PROTECTED`].
    deletes: bool,
    /// The recorded run removes its source files; they are made again for the rerun.
    moves: bool,
    /// So many reads of the medium go wrong while it is recorded.
    bad_reads: u64,
}

/// What the runs that delete leave out.
pub(crate) const PROTECTED: &str = "protected";

/// Where a case is recorded.
pub(crate) struct Lab {
    pub(crate) case: Case,
    pub(crate) source: Source,
}

pub(crate) const CASES: &[Case] = &[
    Case::new("small files", FlushBy::Whole, small_files, |lab| {
        lab.fresh()
    }),
    Case::new("small files each", FlushBy::Each, small_files, |lab| {
        lab.fresh()
    }),
    Case::new("block files", FlushBy::Whole, block_files, |lab| {
        lab.fresh()
    }),
    Case::new("block files each", FlushBy::Each, block_files, |lab| {
        lab.fresh()
    }),
    Case::new("mixed files", FlushBy::Whole, mixed_files, |lab| {
        lab.fresh()
    }),
    Case::new("large file", FlushBy::Whole, large_file, |lab| lab.fresh()),
    Case::new("large file each", FlushBy::Each, large_file, |lab| {
        lab.fresh()
    }),
    Case::new("overwriting", FlushBy::Whole, small_files, overwriting),
    Case::new("overwriting each", FlushBy::Each, small_files, overwriting),
    Case::new("adopting", FlushBy::Whole, small_files, adopting),
    Case::new("adopting each", FlushBy::Each, small_files, adopting),
    Case::new("stopped", FlushBy::Whole, large_file, stopped),
    Case::new("stopped each", FlushBy::Each, large_file, stopped),
    Case::new("sparse files", FlushBy::Whole, sparse_files, |lab| {
        lab.fresh()
    }),
    Case::new("sparse files each", FlushBy::Each, sparse_files, stopped),
    Case::new("metadata mends", FlushBy::Whole, small_files, mending),
    Case::new("metadata mends each", FlushBy::Each, small_files, mending),
    Case::new("compacting", FlushBy::Whole, long_names, compacting),
    Case::new("compacting each", FlushBy::Each, long_names, compacting),
    Case {
        bad_reads: 3,
        ..Case::new("read back", FlushBy::Whole, mixed_files, read_back)
    },
    Case {
        bad_reads: 3,
        ..Case::new("read back each", FlushBy::Each, small_files, read_back)
    },
    Case {
        is_fat: true,
        ..Case::new("fat block files", FlushBy::Whole, block_files, |lab| {
            lab.fresh()
        })
    },
    Case {
        is_fat: true,
        ..Case::new("fat large file", FlushBy::Whole, large_file, |lab| {
            lab.fresh()
        })
    },
    Case {
        deletes: true,
        ..Case::new("deleting", FlushBy::Whole, small_files, deleting)
    },
    Case {
        deletes: true,
        ..Case::new("deleting each", FlushBy::Each, small_files, deleting)
    },
    Case {
        is_fat: true,
        deletes: true,
        ..Case::new("fat deleting", FlushBy::Whole, small_files, deleting)
    },
    Case {
        moves: true,
        change: Some(build_again),
        ..Case::new("moving", FlushBy::Whole, movable_files, moving)
    },
    Case {
        moves: true,
        change: Some(build_again),
        ..Case::new("moving each", FlushBy::Each, movable_files, moving)
    },
    Case {
        change: Some(change_large),
        ..Case::new("source changed", FlushBy::Whole, large_file, |lab| {
            lab.fresh()
        })
    },
    Case {
        change: Some(change_small),
        ..Case::new("sources changed each", FlushBy::Each, small_files, |lab| {
            lab.fresh()
        })
    },
];

impl Case {
    /// The scenario of this name, under another name: two tests may go through it at once.
    pub(crate) fn named(name: &str, other: &'static str) -> Case {
        let case = CASES.iter().find(|case| case.name == name);
        Case {
            name: other,
            ..*case.expect("a scenario")
        }
    }

    const fn new(
        name: &'static str,
        flush_by: FlushBy,
        build: fn(&Source),
        record: fn(&Lab) -> Log,
    ) -> Case {
        Case {
            name,
            flush_by,
            is_fat: false,
            build,
            record,
            change: None,
            deletes: false,
            moves: false,
            bad_reads: 0,
        }
    }

    /// Records it and explores the recording.
    pub(crate) fn explore(&self, budget: Budget) -> Explored {
        let (log, expected) = self.recorded();
        expected.explore(self.name, &log, budget)
    }

    /// A recording, and what is expected of the disks it leaves.
    pub(crate) fn recorded(&self) -> (Log, Expected) {
        let lab = Lab {
            case: *self,
            source: Source::of(self.name),
        };
        let log = recorded(self.name, || {
            lab.source.clear();
            (self.build)(&lab.source);
            let log = (self.record)(&lab);
            if let Some(change) = self.change {
                change(&lab.source);
            }
            log
        });
        let mut expected = lab.expected(&log);
        if self.change.is_some() {
            expected.first = lab.as_built();
            expected.new = expected.first.clone();
            expected.moves = self.moves;
        }
        // A file each, at most.
        expected.spoilt = self.bad_reads * tree::largest(&expected.after);
        (log, expected)
    }
}

impl Lab {
    pub(crate) fn expected(&self, log: &Log) -> Expected {
        let expected = Expected::of(log, &self.source, self.case.flush_by, self.case.is_fat);
        match self.case.deletes {
            true => expected.deleting(),
            false => expected,
        }
    }

    /// The source as it was before it was changed.
    fn as_built(&self) -> Tree {
        let source = Source::of(&format!("{} built", self.case.name));
        source.clear();
        (self.case.build)(&source);
        tree::of_source(&source.dir)
    }

    /// A new disk.
    pub(crate) fn disk(&self) -> SimFs {
        SimFs::new(self.case.flush_by)
    }

    /// The same disk, as something to record on.
    pub(crate) fn mount(&self, disk: Disk) -> SimFs {
        let fs = SimFs::with_disk(disk, self.case.flush_by, FLUSH_TAKES);
        if self.case.is_fat {
            fs.without_journal()
        } else {
            fs
        }
    }

    /// The disk as it is, all of it durable.
    pub(crate) fn settle(&self, fs: &SimFs) -> Disk {
        fs.sync_all().expect("a disk without faults");
        Replay::at_end(&fs.log()).disk(&[])
    }

    pub(crate) fn run(&self, fs: &SimFs, stop: Stop) -> End {
        let mut options = engine::options(&self.source.dir);
        if self.case.deletes {
            engine::delete(&mut options);
        }
        engine::run(fs, options, stop)
    }

    /// Runs to the end, which has to be a good one.
    fn done(&self, fs: &SimFs) {
        let end = self.run(fs, Stop::Never);
        assert_eq!(end.exit, sprag::exit::Exit::Done, "{}", end.describe());
    }

    /// Records a run onto a disk.
    fn onto(&self, disk: Disk) -> Log {
        let fs = self.mount(disk);
        self.done(&fs);
        fs.log()
    }

    fn fresh(&self) -> Log {
        self.onto(self.settle(&self.disk()))
    }
}

/// Files of every small kind, in several directories.
pub(crate) fn small_files(source: &Source) {
    source.file("empty", 1, 0);
    source.file("one", 1, 1);
    source.file("exact", 1, BLOCK);
    source.file("two", 1, BLOCK + 1);
    source.file("a/three", 1, 150_000);
    for n in 0..5 {
        source.file(&format!("a/b/{n}"), n, 100 + 700 * n as usize);
    }
    source.file("a/b/c/deep", 1, 3000);
    source.file("a/b/c/none", 1, 0);
    source.mode("a/b/c/deep", 0o444);
    source.mode("one", 0o755);
    source.symlink("ln", "one");
    source.symlink("a/dangling", "../nowhere/at all");
    source.symlink("a/to-dir", "b");
    source.fifo("a/b/fifo");
    source.fifo("pipe");
    source.link("hard", "a/b/3");
    source.link("z/hard", "a/three");
    source.link("z/again", "a/three");
    source.link("z/dangling", "a/dangling");
    source.link("z/pipe", "pipe");
    source.dir("void");
    source.mode("a/b/c", 0o555);
    for dir in ["a/b/c", "a/b", "a", "z", "void", "."] {
        source.dir_time(dir);
    }
}

fn change_small(source: &Source) {
    source.mode("a/b/c", 0o755);
    source.file("one", 2, 1);
    source.file("two", 2, BLOCK - 3);
    source.file("a/three", 2, 150_000);
    source.file("a/b/1", 2, 20_000);
    source.file("added/here", 1, 70_000);
    source.remove("ln");
    source.symlink("ln", "two");
    source.remove("empty");
    source.symlink("empty", "one");
    source.remove("a/to-dir");
    source.file("a/to-dir", 1, 50);
    source.remove("hard");
    source.file("hard", 1, 40);
}

/// Files of one whole block, or nearly.
fn block_files(source: &Source) {
    for n in 0..14 {
        source.file(&format!("{}/{n}", n % 3), n, BLOCK - (n as usize % 2));
    }
    source.file("9/several", 1, 3 * BLOCK);
    source.dir_time(".");
}

/// Files of one block, then of two, so that the last checkpoints hold both kinds.
fn mixed_files(source: &Source) {
    for n in 0..6 {
        source.file(&format!("a{n}"), n, BLOCK);
    }
    for n in 0..12 {
        source.file(&format!("b{n}"), n, 2 * BLOCK);
    }
    source.dir_time(".");
}

/// Two files of many blocks, which two workers copy at once.
fn large_file(source: &Source) {
    source.file("large", 1, 20 * BLOCK + 1234);
    source.file("less", 1, 7 * BLOCK);
    source.dir_time(".");
}

fn change_large(source: &Source) {
    source.file("large", 2, 20 * BLOCK + 1234);
    source.file("less", 2, 3 * BLOCK);
}

/// Files with holes, in front, between and at the end.
fn sparse_files(source: &Source) {
    source.sparse("large", 20);
    source.sparse("few", 3);
    source.sparse("hole", 1);
    source.file("full", 1, 2 * BLOCK);
    source.dir_time(".");
}

/// Other metadata, the same content.
fn change_meta(source: &Source) {
    source.mode("a/b/c", 0o755);
    source.mode("one", 0o4711);
    source.mode("two", 0o640);
    source.mode("a/b/2", 0o600);
    source.mode("void", 0o1777);
    for name in ["two", "a/three", "a/b/1", "z"] {
        source.attribute(name, "changed");
    }
    for dir in ["a/b/c", "a/b", "a", "z", "."] {
        source.dir_time(dir);
    }
}

/// What is there already gets other modes and attributes, and is not copied for that.
fn mending(lab: &Lab) -> Log {
    let fs = lab.disk();
    lab.done(&fs);
    let disk = lab.settle(&fs);
    change_meta(&lab.source);
    let fs = lab.mount(disk);
    let end = lab.run(&fs, Stop::Never);
    let (copied, mended) = (end.summary.bytes_copied, end.summary.metadata_mended);
    assert!(copied == 0 && mended > 5, "{}", end.describe());
    fs.log()
}

/// Paths so long that their records soon fill a manifest.
fn long_names(source: &Source) {
    let dir = long_dir();
    for n in 0..18 {
        source.file(&format!("{dir}/{n}"), 1, 10 + n);
    }
    source.file("several", 1, 3 * BLOCK);
}

fn long_dir() -> String {
    [
        ["x"; 240].concat(),
        ["y"; 240].concat(),
        ["z"; 240].concat(),
    ]
    .join("/")
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
fn read_back(lab: &Lab) -> Log {
    let fs = lab.mount(lab.settle(&lab.disk()));
    fs.bad_blocks(lab.case.bad_reads);
    let mut options = engine::options(&lab.source.dir);
    options.verify = true;
    let end = engine::run(&fs, options, Stop::Never);
    assert_eq!(end.exit, sprag::exit::Exit::Done, "{}", end.describe());
    fs.log()
}

/// Over what an earlier version of the source, and strangers, left.
fn overwriting(lab: &Lab) -> Log {
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

/// Over what an earlier version of the source, and strangers, left, of which much is to be deleted.
fn deleting(lab: &Lab) -> Log {
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

/// Files, links of both kinds, in directories that can be changed.
fn movable_files(source: &Source) {
    source.file("empty", 1, 0);
    source.file("exact", 1, BLOCK);
    source.file("a/several", 1, 3 * BLOCK + 5);
    for n in 0..6 {
        source.file(&format!("a/b/{n}"), n, 100 + 700 * n as usize);
    }
    source.symlink("a/ln", "several");
    source.link("z/hard", "a/several");
    for dir in ["a/b", "a", "z", "."] {
        source.dir_time(dir);
    }
}

fn build_again(source: &Source) {
    source.clear();
    movable_files(source);
}

/// Moved: each source is seen to go at the moment at which it goes.
fn moving(lab: &Lab) -> Log {
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
pub(crate) fn strangers_copy(flush_by: FlushBy, source: &Source) -> SimFs {
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
fn adopting(lab: &Lab) -> Log {
    let fs = strangers_copy(lab.case.flush_by, &lab.source);
    lab.onto(lab.settle(&fs))
}

/// Stopped in the middle, then begun again.
fn stopped(lab: &Lab) -> Log {
    let fs = lab.mount(lab.settle(&lab.disk()));
    let end = lab.run(&fs, Stop::At(11 * BLOCK as u64));
    assert_eq!(end.exit, sprag::exit::Exit::Stopped, "{}", end.describe());
    lab.done(&fs);
    fs.log()
}

/// So many reruns with changed sources that the manifest is compacted at the end of the last.
fn compacting(lab: &Lab) -> Log {
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

fn manifest_bytes(disk: &Disk) -> u64 {
    let mut bytes = 0;
    disk.walk(|path, _, stat| {
        if path.as_bytes() == b".sprag/manifest" {
            bytes = stat.size;
        }
    });
    bytes
}
