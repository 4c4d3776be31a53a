//! The trees that the scenarios copy, and what becomes of them between two runs.

use super::source::{BLOCK, Source};

/// Files of every small kind, in several directories.
pub(super) fn small_files(source: &Source) {
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

pub(super) fn change_small(source: &Source) {
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
pub(super) fn block_files(source: &Source) {
    for n in 0..14 {
        source.file(&format!("{}/{n}", n % 3), n, BLOCK - (n as usize % 2));
    }
    source.file("9/several", 1, 3 * BLOCK);
    source.dir_time(".");
}

/// More files of one block than barriers may cover at a time, in batches.
pub(super) fn many_block_files(source: &Source) {
    for n in 0..48 {
        source.file(&format!("{n}"), n, BLOCK);
    }
    source.dir_time(".");
}

/// Names in more directories than are flushed one by one.
pub(super) fn many_dirs(source: &Source) {
    for n in 0..12 {
        source.symlink(&format!("{n}/ln"), "../elsewhere");
        source.dir_time(&format!("{n}"));
    }
    source.dir_time(".");
}

/// Files of one block, then of two, so that the last checkpoints hold both kinds.
pub(super) fn mixed_files(source: &Source) {
    for n in 0..6 {
        source.file(&format!("a{n}"), n, BLOCK);
    }
    for n in 0..12 {
        source.file(&format!("b{n}"), n, 2 * BLOCK);
    }
    source.dir_time(".");
}

/// Removes some of [`mixed_files`].
pub(super) fn remove_mixed(source: &Source) {
    for n in 0..6 {
        source.remove(&format!("a{n}"));
        source.remove(&format!("b{}", 2 * n));
    }
    source.dir_time(".");
}

/// Files of one block and of several at the top, and in the directory at which another file system is mounted.
pub(super) fn below_and_above(source: &Source) {
    for n in 0..6 {
        source.file(&format!("a{n}"), n, BLOCK);
        source.file(&format!("m/a{n}"), n, BLOCK);
        source.file(&format!("m/d/b{n}"), n, 2 * BLOCK);
        source.file(&format!("z{n}"), n, 2 * BLOCK);
    }
    source.file("m/large", 1, 9 * BLOCK + 99);
    for dir in ["m/d", "m", "."] {
        source.dir_time(dir);
    }
}

/// A file of many blocks beside many that are small.
pub(super) fn large_and_small_files(source: &Source) {
    source.file("a", 1, 20 * BLOCK + 99);
    for n in 0..60 {
        source.file(&format!("b/{n}"), n, 3000);
    }
    source.dir_time("b");
    source.dir_time(".");
}

/// Two files of many blocks, which two workers copy at once.
pub(super) fn large_file(source: &Source) {
    source.file("large", 1, 20 * BLOCK + 1234);
    source.file("less", 1, 7 * BLOCK);
    source.dir_time(".");
}

pub(super) fn change_large(source: &Source) {
    source.file("large", 2, 20 * BLOCK + 1234);
    source.file("less", 2, 3 * BLOCK);
}

/// Files with holes, in front, between and at the end.
pub(super) fn sparse_files(source: &Source) {
    source.sparse("large", 20);
    source.sparse("few", 3);
    source.sparse("hole", 1);
    source.file("full", 1, 2 * BLOCK);
    source.dir_time(".");
}

/// Other metadata, the same content.
pub(super) fn change_meta(source: &Source) {
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

/// Paths so long that their records soon fill a manifest.
pub(super) fn long_names(source: &Source) {
    let dir = long_dir();
    for n in 0..18 {
        source.file(&format!("{dir}/{n}"), 1, 10 + n);
    }
    source.file("several", 1, 3 * BLOCK);
}

pub(super) fn long_dir() -> String {
    [
        ["x"; 240].concat(),
        ["y"; 240].concat(),
        ["z"; 240].concat(),
    ]
    .join("/")
}

/// Files, links of both kinds, in directories that can be changed.
pub(super) fn movable_files(source: &Source) {
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

pub(super) fn build_again(source: &Source) {
    source.clear();
    movable_files(source);
}
