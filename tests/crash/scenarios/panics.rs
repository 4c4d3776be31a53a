//! Threads that panic: the run ends as a failure that says so, nobody waits for ever, and the next run puts
//! everything right.

use std::sync::mpsc;
use std::time::Duration;

use sprag::exit::Exit;
use sprag::fs::FlushBy;

use super::engine::{self, End, Stop};
use super::source::{BLOCK, Source};
use super::tree;
use crate::sim::{Call, SimFs};

/// A run that takes longer than this waits for something that will not come.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

fn copy(source: &Source, fs: &SimFs) -> End {
    let (ended, ends) = mpsc::channel();
    let (source, fs) = (source.clone(), fs.clone());
    std::thread::spawn(move || {
        let mut options = engine::options(&source.dir);
        options.verify = true;
        let _ = ended.send(engine::run(&fs, options, Stop::Never));
    });
    let end = ends.recv_timeout(ENDS_WITHIN);
    end.expect("a run that ends though one of its threads panicked")
}

fn ends_and_is_put_right(flush_by: FlushBy, calls: &[Call]) {
    let source = Source::of(&format!("panics {flush_by:?}"));
    source.clear();
    source.file("a/small", 1, 1000);
    source.file("large", 1, 9 * BLOCK);
    source.file("z", 1, BLOCK);
    source.link("hard", "large");
    source.dir_time("a");
    source.dir_time(".");
    for call in calls {
        let fs = SimFs::new(flush_by);
        fs.panic_in(*call);
        let end = copy(&source, &fs);
        assert_eq!(end.exit, Exit::Io, "{call:?}: {}", end.describe());
        let text = end.error_text();
        assert!(text.contains("panicked"), "{call:?}: {text}");
        let rerun = copy(&source, &fs);
        assert_eq!(rerun.exit, Exit::Done, "{call:?}: {}", rerun.describe());
        let there = tree::of_disk(&fs.disk()).tree;
        let wanted = tree::of_source(&source.dir);
        tree::holds(&there, &wanted).unwrap_or_else(|problem| panic!("{call:?}: {problem}"));
    }
}

#[test]
fn a_thread_that_panics_ends_the_run_as_a_failure() {
    let calls = [
        Call::Rename,
        Call::SyncAll,
        Call::FileSync,
        Call::FileWrite,
        Call::FileRead,
        Call::CreateNew,
        Call::MakeDir,
        Call::Link,
    ];
    ends_and_is_put_right(FlushBy::Whole, &calls);
}

#[test]
fn so_does_one_where_each_file_has_to_be_flushed() {
    let calls = [
        Call::Rename,
        Call::FileSync,
        Call::SyncDir,
        Call::OpenMedium,
    ];
    ends_and_is_put_right(FlushBy::Each, &calls);
}
