//! Sparse files: holes stay holes and are not read, zeros become holes where that is asked for.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use crate::support::*;

const MIB: u64 = 1 << 20;

/// A file with holes in front, in the middle of a block, over whole blocks, and at the end.
fn holey(path: &Path) {
    let file = File::create(path).unwrap();
    let mut rng = Rng::new(5);
    for (offset, len) in [
        (3 * MIB + 8192, 5000),
        (4 * MIB - 4096, 8192),
        (20 * MIB, 100_000),
    ] {
        file.write_all_at(&rng.bytes(len), offset).unwrap();
    }
    file.set_len(40 * MIB + 17).unwrap();
    file.sync_all().unwrap();
    age(path, 3);
}

/// How much space a file takes once it is written.
fn taken(path: &Path) -> u64 {
    File::open(path).unwrap().sync_all().unwrap();
    fs::metadata(path).unwrap().blocks() * 512
}

/// How much `cp --sparse=always` makes of it.
fn taken_by_cp(path: &Path, copy: &Path) -> u64 {
    let mut cp = Command::new("cp");
    cp.arg("--sparse=always").arg(path).arg(copy);
    assert!(cp.status().unwrap().success());
    taken(copy)
}

#[test]
fn sparse_holes_stay_holes_and_take_no_more_space_than_cp_gives_them() {
    let fixture = Fixture::new();
    let source = fixture.source.join("holey");
    holey(&source);
    File::create(fixture.source.join("void"))
        .unwrap()
        .set_len(9 * MIB + 1)
        .unwrap();
    File::create(fixture.source.join("small"))
        .unwrap()
        .set_len(70_000)
        .unwrap();
    fixture.copy(0);
    fixture.assert_same();
    for name in ["holey", "void", "small"] {
        let by_cp = taken_by_cp(&fixture.source.join(name), &fixture.temp.path().join(name));
        let ours = taken(&fixture.dest.join(name));
        assert!(ours <= by_cp, "{name} takes {ours}, with cp {by_cp}");
    }
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
    let again = fixture.copy(0);
    assert_eq!(
        (again.sum("files_unchanged"), again.sum("bytes_copied")),
        (3, 0)
    );
}

#[test]
fn holes_are_not_read() {
    let test = "holes are not read";
    if !has("strace") {
        return skip(test, "strace");
    }
    let fixture = Fixture::new();
    holey(&fixture.source.join("holey"));
    let log = fixture.temp.path().join("strace");
    let traced = Command::new("strace")
        .args(["-f", "-y", "-qq", "-e", "trace=pread64", "-o"])
        .arg(&log)
        .arg(env!("CARGO_BIN_EXE_sprag"))
        .args(["copy", "-q"])
        .args([fixture.contents(), fixture.dest.clone()])
        .output()
        .unwrap();
    assert!(traced.status.success(), "{traced:?}");
    let log = fs::read_to_string(log).unwrap();
    let reads = log.lines().filter(|line| line.contains("/source/holey>"));
    let bytes = reads.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    let read: u64 = bytes.sum();
    assert!((113_192..MIB).contains(&read), "{read} bytes were read");
    fixture.assert_same();
}

#[test]
fn runs_of_zeros_become_holes_where_that_is_asked_for() {
    let fixture = Fixture::new();
    let mut content = Rng::new(6).bytes(6 * MIB as usize);
    content[5000..900_000].fill(0);
    content[2_000_000..5_000_001].fill(0);
    write(fixture.source.join("zeros"), &content);
    write(fixture.source.join("all zeros"), vec![0; 3 * MIB as usize]);
    write(
        fixture.source.join("small"),
        [&[1; 4096][..], &[0; 60_000]].concat(),
    );
    fixture.copy(0);
    let full = taken(&fixture.dest.join("zeros"));
    let sparse = fixture.temp.path().join("sparse");
    copy(0, ["--sparse".into(), fixture.contents(), sparse.clone()]);
    assert_same_tree(&fixture.source, &sparse);
    assert!(taken(&sparse.join("zeros")) < full - 3 * MIB);
    for name in ["zeros", "all zeros", "small"] {
        let by_cp = taken_by_cp(&fixture.source.join(name), &fixture.temp.path().join(name));
        let ours = taken(&sparse.join(name));
        assert!(ours <= by_cp, "{name} takes {ours}, with cp {by_cp}");
    }
    assert_eq!(run("verify", [&sparse]).code, 0);
}
