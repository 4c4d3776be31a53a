//! What the manifest costs a file: its record to bytes and back, appending it, reading all of them
//! again when a manifest is opened, and finding one by its path.
//!
//! It measures the inside of the library, which only builds with this cfg hand out:
//!
//!     RUSTFLAGS="--cfg sprag_bench" cargo bench --bench manifest
//!
//! Add `-- lookup` for the groups whose names have that in them, `-- --quick` for a first look. Files are
//! made in the directory for temporary ones (`TMPDIR`) and are read from the page cache.

#[cfg(sprag_bench)]
mod inside {
    use std::hint::black_box;

    use criterion::measurement::WallTime;
    use criterion::{
        BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group,
    };
    use sprag::bench::{FileRecord, JournalFile, Manifest, PathIndex};
    use sprag::path::RelPath;

    /// A few directories, and more than any cache of a core's own holds.
    const ENTRIES: [u64; 2] = [1_000, 100_000];
    /// Has no factor in common with [`ENTRIES`], so that steps of it lead to every entry, and far
    /// enough that reading ahead does not help.
    const STEP: usize = 7_919;

    fn records(numbers: std::ops::Range<u64>) -> Vec<FileRecord> {
        numbers.map(FileRecord::new).collect()
    }

    /// One record of a finished small file.
    fn codec(c: &mut Criterion) {
        let record = FileRecord::new(12_345);
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        let mut group = c.benchmark_group("codec");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("encode", |b| {
            let mut out = Vec::with_capacity(2 * bytes.len());
            b.iter(|| {
                out.clear();
                black_box(&record).encode(&mut out);
                black_box(out.len())
            });
        });
        group.bench_function("decode", |b| {
            b.iter(|| FileRecord::decode(black_box(&bytes)));
        });
        group.finish();
    }

    /// Records into a file and out of it again. Appended to an empty file each time.
    fn journal(c: &mut Criterion) {
        let temp = tempfile::tempdir().expect("a directory can be made");
        let file = JournalFile::create(temp.path());
        let mut group = c.benchmark_group("journal");
        for entries in ENTRIES {
            let records = records(0..entries);
            group.throughput(Throughput::Elements(entries));
            group.bench_function(BenchmarkId::new("append", entries), |b| {
                b.iter_batched(
                    || file.empty(),
                    |()| file.append(&records),
                    BatchSize::PerIteration,
                );
            });
            file.empty();
            file.append(&records);
            group.bench_function(BenchmarkId::new("scan", entries), |b| {
                b.iter(|| assert_eq!(file.scan(), entries));
            });
        }
        group.finish();
    }

    /// A whole manifest: read, checked and put into an index.
    fn open(c: &mut Criterion) {
        let mut group = c.benchmark_group("open");
        for entries in ENTRIES {
            let temp = tempfile::tempdir().expect("a directory can be made");
            Manifest::make(temp.path(), &records(0..entries));
            group.throughput(Throughput::Elements(entries));
            group.bench_function(BenchmarkId::from_parameter(entries), |b| {
                b.iter(|| assert_eq!(Manifest::open(temp.path()).files(), entries));
            });
        }
        group.finish();
    }

    /// One path: in the index alone, and in a manifest, where what is found is read and compared.
    fn lookup(c: &mut Criterion) {
        for entries in ENTRIES {
            let temp = tempfile::tempdir().expect("a directory can be made");
            let there = records(0..entries);
            Manifest::make(temp.path(), &there);
            let manifest = Manifest::open(temp.path());
            let index = PathIndex::new(&there);
            let absent = records(entries..2 * entries);

            let mut group = c.benchmark_group("lookup");
            group.throughput(Throughput::Elements(1));
            each(&mut group, ("index", entries), &there, STEP, |path| {
                assert_ne!(index.look_up(path), 0);
            });
            each(&mut group, ("absent", entries), &absent, STEP, |path| {
                assert!(!manifest.look_up(path));
            });
            each(&mut group, ("in order", entries), &there, 1, |path| {
                assert!(manifest.look_up(path));
            });
            each(&mut group, ("scattered", entries), &there, STEP, |path| {
                assert!(manifest.look_up(path));
            });
            group.finish();
        }
    }

    /// Measures `look` at one path after the other, so many records apart.
    fn each(
        group: &mut BenchmarkGroup<'_, WallTime>,
        (name, entries): (&str, u64),
        records: &[FileRecord],
        step: usize,
        look: impl Fn(&RelPath),
    ) {
        let mut at = 0;
        group.bench_function(BenchmarkId::new(name, entries), |b| {
            b.iter(|| {
                at = (at + step) % records.len();
                look(black_box(records[at].path()));
            });
        });
    }

    criterion_group!(benches, codec, journal, open, lookup);
}

#[cfg(sprag_bench)]
criterion::criterion_main!(inside::benches);

#[cfg(not(sprag_bench))]
#[expect(clippy::print_stderr, reason = "whoever runs it is to see how")]
fn main() {
    eprintln!(
        "manifest: nothing measured; run RUSTFLAGS=\"--cfg sprag_bench\" cargo bench --bench manifest"
    );
}
