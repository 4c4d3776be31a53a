//! `copy --verify` on a medium with bad blocks.

use sprag::exit::Exit;
use sprag::fs::FlushBy;

use super::engine::{self, End, Stop};
use super::source::{BLOCK, Source};
use super::tree;
use crate::sim::SimFs;

fn lab(name: &str) -> (Source, SimFs) {
    let source = Source::of(name);
    source.clear();
    source.file("a/small", 1, 1000);
    source.file("large", 1, 5 * BLOCK);
    source.file("z", 1, BLOCK);
    source.link("hard", "large");
    (source, SimFs::new(FlushBy::Whole))
}

fn copy(source: &Source, fs: &SimFs, stop: Stop) -> End {
    let mut options = engine::options(&source.dir);
    options.verify = true;
    engine::run(fs, options, stop)
}

fn assert_good(source: &Source, fs: &SimFs, end: &End) {
    assert_eq!(
        (end.exit, &end.said),
        (Exit::Done, &vec![]),
        "{}",
        end.describe()
    );
    let copied = tree::of_disk(&fs.disk()).tree;
    tree::holds(&copied, &tree::of_source(&source.dir)).expect("all of the source");
    engine::verify(fs).expect("everything reads back");
}

#[test]
fn what_does_not_read_back_is_copied_again() {
    let (source, fs) = lab("read back again");
    fs.bad_blocks(2);
    let end = copy(&source, &fs, Stop::Never);
    assert_good(&source, &fs, &end);
    assert_eq!(end.summary.files_read_back, 3 + 2);
    assert_eq!(end.summary.read_direct, 3 + 2);
    assert_eq!(end.summary.files_copied, 4);
    let rerun = copy(&source, &fs, Stop::Never);
    assert_good(&source, &fs, &rerun);
    assert_eq!(
        (rerun.summary.files_read_back, rerun.summary.files_unchanged),
        (0, 4)
    );
}

#[test]
fn a_medium_that_stays_bad_is_reported_with_the_ranges_and_copied_again_by_a_rerun() {
    let (source, fs) = lab("read back never");
    fs.bad_blocks(u64::MAX);
    let end = copy(&source, &fs, Stop::Never);
    assert_eq!(end.exit, Exit::Partial, "{}", end.describe());
    // Each name of the large file fails, too.
    assert_eq!(
        (end.summary.failed.total(), end.summary.files_copied),
        (4, 0)
    );
    assert_eq!(end.summary.files_read_back, 3 * 4);
    let range = format!(
        "copied again 3 times: bytes {}..{} differ",
        2 * BLOCK,
        3 * BLOCK
    );
    let told = end.said.iter().any(|said| said.contains(&range));
    assert!(told, "{:?}", end.said);
    fs.bad_blocks(0);
    let rerun = copy(&source, &fs, Stop::Never);
    assert_good(&source, &fs, &rerun);
    assert_eq!(rerun.summary.files_read_back, 3);
}

#[test]
fn what_a_stopped_run_had_not_read_back_is_read_back_by_the_next() {
    for bytes in [1, 2 * BLOCK as u64, 6 * BLOCK as u64] {
        let (source, fs) = lab("read back stopped");
        fs.bad_blocks(2);
        let first = copy(&source, &fs, Stop::At(bytes));
        assert!(
            matches!(first.exit, Exit::Stopped | Exit::Done),
            "{}",
            first.describe()
        );
        let second = copy(&source, &fs, Stop::Never);
        assert_good(&source, &fs, &second);
        let read = first.summary.files_read_back + second.summary.files_read_back;
        assert!(read >= 3, "{read} files were read back");
    }
}
