//! What deciding costs a file: the plan alone, the walk of the sources, and a dry run, which is the walk
//! with a look at the manifest and at the destination for each entry.
//!
//! It measures the inside of the library, which only builds with this cfg hand out:
//!
//!     RUSTFLAGS="--cfg sprag_bench" cargo bench --bench plan
//!
//! Add `-- walk` for the groups whose names have that in them, `-- --quick` for a first look. Files are
//! made in the directory for temporary ones (`TMPDIR`) and are looked at from the system's caches.

#[cfg(sprag_bench)]
mod inside {
    use std::fs;
    use std::hint::black_box;
    use std::path::{Path, PathBuf};

    use criterion::{Criterion, Throughput, criterion_group};
    use sprag::bench::{FileCase, walk};
    use sprag::event::CopySummary;
    use sprag::exit::Exit;
    use sprag::{CopyOptions, Event};

    const DIRS: u64 = 20;
    const FILES_EACH: u64 = 100;
    const FILES: u64 = DIRS * FILES_EACH;

    /// Small files with the same content, in directories of their own.
    fn make_tree(at: &Path, content: &str) {
        for dir in 0..DIRS {
            let dir = at.join(format!("directory-{dir:04}"));
            fs::create_dir_all(&dir).expect("a directory can be made");
            for file in 0..FILES_EACH {
                let path = dir.join(format!("file-{file:06}.txt"));
                fs::write(path, content).expect("a file can be written");
            }
        }
    }

    /// Copies the contents of a directory, or tells what that would do.
    fn copy(source: &Path, dest: &Path, dry_run: bool) -> CopySummary {
        let mut options = CopyOptions::new([source.join("")], dest);
        options.dry_run = dry_run;
        let run = sprag::copy(options).expect("the copy can begin");
        let summary = run.filter_map(|event| match event {
            Event::Finished { summary, .. } => Some(summary),
            _ => None,
        });
        let summary = summary.last().expect("a run says how it ended");
        assert_eq!(summary.exit_code, Exit::Done);
        *summary
    }

    /// The decision about one file, without looking at anything.
    fn file(c: &mut Criterion) {
        let mut group = c.benchmark_group("file");
        for (name, case) in [
            ("unchanged", FileCase::unchanged()),
            ("new", FileCase::new_file()),
            ("changed", FileCase::changed()),
        ] {
            assert!(case.decides(), "{name}: {case:?}");
            group.bench_function(name, |b| b.iter(|| black_box(&case).decides()));
        }
        group.finish();
    }

    /// A tree: names and `lstat` only.
    fn tree(c: &mut Criterion) {
        let temp = tempfile::tempdir().expect("a directory can be made");
        make_tree(temp.path(), "content");
        // The top is an entry, too.
        let entries = 1 + DIRS + FILES;
        let mut group = c.benchmark_group("walk");
        group.throughput(Throughput::Elements(entries));
        group.bench_function("tree", |b| {
            b.iter(|| assert_eq!(walk(temp.path()), entries))
        });
        group.finish();
    }

    /// A whole tree that was copied before, one that was not, and one whose files all changed.
    fn dry_run(c: &mut Criterion) {
        let temp = tempfile::tempdir().expect("a directory can be made");
        let path = |name: &str| -> PathBuf { temp.path().join(name) };
        let (source, copied, absent) = (path("source"), path("copied"), path("absent"));
        let changed = path("changed");
        make_tree(&source, "content");
        make_tree(&changed, "longer content");
        assert_eq!(copy(&source, &copied, false).files_copied, FILES);
        let unchanged = |run: &CopySummary| run.files_unchanged;
        let to_copy = |run: &CopySummary| run.files_copied;
        type Count = fn(&CopySummary) -> u64;
        let cases: [(&str, &Path, &Path, Count); 3] = [
            ("unchanged", &source, &copied, unchanged),
            ("new", &source, &absent, to_copy),
            ("changed", &changed, &copied, to_copy),
        ];
        let mut group = c.benchmark_group("dry run");
        group.throughput(Throughput::Elements(FILES));
        for (name, source, dest, count) in cases {
            group.bench_function(name, |b| {
                b.iter(|| assert_eq!(count(&copy(source, dest, true)), FILES));
            });
        }
        group.finish();
    }

    criterion_group!(benches, file, tree, dry_run);
}

#[cfg(sprag_bench)]
criterion::criterion_main!(inside::benches);

#[cfg(not(sprag_bench))]
#[expect(clippy::print_stderr, reason = "whoever runs it is to see how")]
fn main() {
    eprintln!(
        "plan: nothing measured; run RUSTFLAGS=\"--cfg sprag_bench\" cargo bench --bench plan"
    );
}
