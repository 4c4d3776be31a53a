//! What `docs/FORMAT.md` says is enough to read a manifest: a reader that knows nothing else finds what
//! sprag itself says.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::*;

const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/format/read_manifest.py");

/// What the reader finds, or `None` if this machine cannot run it.
fn read(test: &str, manifest: &Path) -> Option<Value> {
    if !has("python3") || !has("b3sum") {
        skip(test, "python3 and b3sum (cargo install b3sum)");
        return None;
    }
    let output = Command::new("python3")
        .args([Path::new(READER), manifest])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn of_kind<'a>(found: &'a Value, kind: &str) -> Vec<&'a Value> {
    let entries = found["entries"].as_array().unwrap().iter();
    entries.filter(|entry| entry["kind"] == kind).collect()
}

#[test]
fn a_reader_written_from_the_description_of_the_format_finds_what_export_lists() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 30, &[3 << 20, (1 << 20) + 1]);
    fixture.copy(0);
    alter(&fixture.source);
    fixture.copy(0);
    let manifest = fixture.dest.join(".sprag/manifest");
    let test = "a_reader_written_from_the_description_of_the_format_finds_what_export_lists";
    let Some(found) = read(test, &manifest) else {
        return;
    };
    let list = sprag().arg("export").arg(&fixture.dest).output().unwrap();
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    for done in of_kind(&found, "Done") {
        // Names that lists have to escape, or cannot hold, are for the tests of `export`.
        let Some(path) = done["path"]
            .as_str()
            .filter(|path| !path.contains(['\\', '\n']))
        else {
            continue;
        };
        let line = format!("{}  {path}", done["hash"].as_str().unwrap());
        assert!(list.lines().any(|listed| listed == line), "{line}");
    }
    assert_eq!(found["runs"], 2);
    assert_eq!(found["block_bytes"], 1 << 20);
    assert!(found["trusted"].as_u64().unwrap() < fs::metadata(&manifest).unwrap().len());
    assert!(of_kind(&found, "Dir").len() > 1 && !of_kind(&found, "Symlink").is_empty());
}

#[test]
fn a_reader_written_from_the_description_of_the_format_reads_every_kind_of_record() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/manifest-v1.bin");
    let test = "a_reader_written_from_the_description_of_the_format_reads_every_kind_of_record";
    let Some(found) = read(test, Path::new(golden)) else {
        return;
    };
    assert!(found["entries"].as_array().unwrap().len() > 5, "{found}");
    assert!(found["trusted"].as_u64().unwrap() > 4096);
}
