//! Files that are read ahead by threads of their own.

use super::*;

const BLOCK: u64 = 1 << 16;

#[test]
fn of_several_large_files_exactly_the_blocks_that_were_hit_are_named() {
    let mut fixture = Fixture::new();
    let bytes = content(5_000_001);
    let hit: [(&str, &[u64]); 3] = [("a", &[0, 9 * BLOCK + 1]), ("b", &[]), ("c", &[5_000_000])];
    for (path, offsets) in hit {
        fixture.file(path, &bytes);
        offsets
            .iter()
            .for_each(|offset| flip(&fixture.at(path), *offset));
    }
    let found = verify_all(fixture.close().path());
    for (path, offsets) in hit {
        let ranges = match &found.verdicts[path] {
            Verdict::Corrupt { damage } => damage.ranges.clone(),
            Verdict::Ok => Vec::new(),
            other => panic!("{other:?}"),
        };
        let block = |at: &u64| at / BLOCK * BLOCK..(at / BLOCK * BLOCK + BLOCK).min(5_000_001);
        let expected: Vec<_> = offsets.iter().map(block).collect();
        assert_eq!(ranges, expected, "{path}");
    }
    assert_eq!(found.summary.bytes_read, 3 * 5_000_001);
}

#[test]
fn a_run_that_is_dropped_while_a_large_file_is_read_ends() {
    let mut fixture = Fixture::new();
    fixture.file("large", &content(12_000_000));
    let temp = fixture.close();
    let mut run = verify(VerifyOptions::new(temp.path())).unwrap();
    assert!(matches!(run.next(), Some(VerifyEvent::Opened { .. })));
    drop(run);
}
