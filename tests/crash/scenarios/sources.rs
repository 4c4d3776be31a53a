//! Sources that are not the same all the time: another one stands under the same name for a while, or a
//! file is written to while it is read.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sprag::exit::Exit;
use sprag::fs::FlushBy;

use super::engine::{self, Stop};
use super::source::{BLOCK, Source};
use super::tree;
use crate::sim::{CrashKind, Replay, Rng, SimFs, Witness};

/// Writes another version of a file over the first one at the `at`-th event.
fn writer(source: &Source, at: usize) -> (Witness, Arc<AtomicUsize>) {
    let (source, events) = (source.clone(), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&events);
    let witness = move || {
        if seen.fetch_add(1, Ordering::Relaxed) == at {
            source.file("large", 2, 9 * BLOCK + 1234);
        }
        Vec::new()
    };
    (Box::new(witness), events)
}

pub(super) fn built(source: &Source, version: u64) {
    source.clear();
    source.file("large", version, 9 * BLOCK + 1234);
    source.file("small", 1, 700);
    source.dir_time(".");
}

/// Writes to a source while it is read, at each of an even sample of moments.
fn is_never_torn(scenario: &str, flush_by: FlushBy) {
    let source = Source::of(scenario);
    let of = |version: u64| {
        built(&source, version);
        tree::of_source(Path::new(&source.dir))
    };
    let versions = [of(2), of(1)];
    let allowed = [&versions[0], &versions[1]];
    let (mut at, mut torn) = (0, 0);
    loop {
        built(&source, 1);
        let fs = SimFs::new(flush_by);
        let (writer, events) = writer(&source, at);
        fs.watch(writer);
        let end = engine::run(&fs, engine::options(&source.dir), Stop::Never);
        assert_eq!(end.exit, Exit::Done, "{}", end.describe());
        let there = tree::of_disk(&fs.disk()).tree;
        let whole = tree::is_whole(&there, &allowed, &Default::default());
        whole.unwrap_or_else(|problem| panic!("{scenario}, written at {at}: {problem}"));
        let copied = end.summary.bytes_copied;
        torn += usize::from(copied > tree::bytes(&versions[0]));
        fs.watch(Box::new(Vec::new));
        let end = engine::run(&fs, engine::options(&source.dir), Stop::Never);
        assert_eq!(end.exit, Exit::Done, "{}", end.describe());
        let there = tree::of_disk(&fs.disk()).tree;
        tree::holds(&there, &tree::of_source(&source.dir))
            .unwrap_or_else(|problem| panic!("{scenario}, written at {at}: {problem}"));
        engine::verify(&fs).expect("everything reads back");
        if at >= events.load(Ordering::Relaxed) {
            break;
        }
        at += 2;
    }
    assert!(torn > 2, "it was written to while it was read {torn} times");
}

#[test]
fn a_source_that_is_written_while_it_is_read_is_copied_as_the_one_or_the_other() {
    is_never_torn("torn", FlushBy::Whole);
    is_never_torn("torn each", FlushBy::Each);
}

/// Copies files that are given by name and are hard links of each other: nothing is recorded of the
/// directory that they come to stand in, so nothing is set in it in the end.
fn links_are_durable(scenario: &str, flush_by: FlushBy) {
    let source = Source::of(scenario);
    source.clear();
    source.file("one", 1, 5000);
    source.link("two", "one");
    let fs = SimFs::new(flush_by);
    for names in [&["one"][..], &["one", "two"]] {
        let mut options = engine::options(&source.dir);
        let paths = names.iter().map(|name| source.dir.join(name));
        options.sources = paths.collect();
        let end = engine::run(&fs, options, Stop::Never);
        assert_eq!(end.exit, Exit::Done, "{}", end.describe());
    }
    let mut wanted = tree::of_source(&source.dir);
    wanted.retain(|path, _| !path.is_root());
    let log = fs.log();
    let replay = Replay::at_end(&log);
    for kind in CrashKind::ALL
        .into_iter()
        .filter(|kind| replay.applies(*kind))
    {
        let disk = replay.disk(&replay.fates(kind, &mut Rng::of(&[6])));
        tree::holds(&tree::of_disk(&disk).tree, &wanted)
            .unwrap_or_else(|problem| panic!("{scenario}, power cut ({kind}): {problem}"));
    }
}

#[test]
fn hard_links_are_durable_where_nothing_else_has_their_directory_flushed() {
    links_are_durable("links by name", FlushBy::Whole);
    links_are_durable("links by name each", FlushBy::Each);
}
