use std::fs;

use super::*;
use crate::error::{ManifestError, SetupError};
use crate::exit::Exit;
use crate::manifest::{Link, Record, RunBegin, RunEnd, RunSource};
use crate::verify::fixture::{Fixture, content, rel};

fn source(path: &str) -> RunSource {
    RunSource {
        path: path.as_bytes().to_vec().into(),
        file_system: Default::default(),
    }
}

#[test]
fn the_status_tells_done_from_partial_and_how_the_last_run_went() {
    let mut fixture = Fixture::new();
    fixture.append(&Record::RunBegin(RunBegin {
        started_ms: 1,
        sources: vec![source("/photos")],
        earlier: vec![source("/music/")],
        options: vec![b"--delete".to_vec().into()],
        ..RunBegin::default()
    }));
    fixture.dir("d");
    fixture.file("d/small", b"x");
    fixture.file("large", &content(200_000));
    fixture.symlink("s", "d");
    fixture.link("again", "large");
    fixture.partial_file("film", &content(300_000), 2);
    fixture.append(&Record::RunEnd(RunEnd {
        ended_ms: 2,
        exit_code: 23,
        files_copied: 2,
        files_failed: 1,
        bytes_copied: 200_001,
        failures: vec![(rel("bad"), "cannot read it".into())],
    }));
    let id = fixture.id();
    let temp = fixture.close();
    let status = status(temp.path(), None).unwrap();
    assert_eq!(status.manifest_id, crate::hash::to_hex(&id));
    assert_eq!(status.block_size, 65_536);
    assert_eq!((status.files_done, status.files_partial), (3, 1));
    assert_eq!((status.dirs, status.symlinks), (1, 1));
    assert_eq!(
        (status.bytes_done, status.bytes_partial),
        (200_001, 131_072)
    );
    let partial = PartialFile {
        path: rel("film"),
        bytes: 131_072,
        of: 300_000,
    };
    assert_eq!(status.partial, [partial]);
    let run = status.last_run.unwrap();
    assert_eq!((run.started_ms, run.ended_ms), (1, Some(2)));
    assert_eq!(run.sources, [Path::new("/photos")]);
    assert_eq!(run.options, ["--delete"]);
    assert_eq!(status.earlier_sources, [Path::new("/music/")]);
    assert_eq!(run.exit, Some(Exit::Partial));
    assert_eq!(run.failures, [(rel("bad"), "cannot read it".to_string())]);
    let manifest = fs::metadata(temp.path().join(".sprag/manifest")).unwrap();
    assert_eq!(status.manifest_bytes, manifest.len());
}

fn exported(dest: &Path, out: &mut dyn std::io::Write) -> Result<ExportSummary, Error> {
    export(dest, None, ExportFormat::B3sum, out, &mut |_, _| {})
}

#[test]
fn a_destination_without_a_manifest_or_none_at_all_is_refused() {
    let temp = crate::fs::journaled_tempdir();
    let missing = temp.path().join("missing");
    for refused in [
        status(temp.path(), None).unwrap_err(),
        exported(temp.path(), &mut Vec::new()).unwrap_err(),
        clean(temp.path(), true, false).unwrap_err(),
    ] {
        let expected = matches!(refused, Error::Setup(SetupError::NoManifest { .. }));
        assert!(expected, "{refused:?}");
    }
    let error = status(&missing, None).unwrap_err();
    assert!(matches!(error, Error::Setup(SetupError::Dest { .. })));
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
}

#[test]
fn the_exported_list_has_every_finished_file_with_its_standard_hash() {
    let mut fixture = Fixture::new();
    let large = content(200_000);
    fixture.dir("d");
    fixture.file("d/large", &large);
    fixture.link("again", "d/large");
    fixture.file("line\nbreak", b"x");
    fixture.file("empty", b"");
    fixture.symlink("s", "d");
    fixture.partial_file("film", &content(300_000), 1);
    let (path, to) = (rel("wanted"), rel("d/large"));
    fixture.append(&Record::LinkWanted(Link { path, to }));
    let temp = fixture.close();
    let mut list = Vec::new();
    let summary = exported(temp.path(), &mut list).unwrap();
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex();
    let expected = format!(
        "{0}  d/large\n{0}  again\n\\{1}  line\\nbreak\n{2}  empty\n",
        hash(&large),
        hash(b"x"),
        hash(b"")
    );
    assert_eq!(String::from_utf8(list).unwrap(), expected);
    assert_eq!((summary.files, summary.incomplete), (4, 2));
    assert_eq!(summary.not_representable, 0);
}

#[test]
fn a_list_that_cannot_be_written_is_an_error_and_not_a_short_list() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut fixture = Fixture::new();
    fixture.file("f", b"x");
    let temp = fixture.close();
    let error = exported(temp.path(), &mut Full).unwrap_err();
    assert!(matches!(error, Error::Io(_)), "{error:?}");
}

/// A destination with a finished file, two partials, one of them unrecorded, and a look-alike.
fn untidy() -> tempfile::TempDir {
    let mut fixture = Fixture::new();
    fixture.dir("d");
    fixture.file("d/done", b"done");
    fixture.partial_file("d/film", &content(300_000), 2);
    fs::write(fixture.partial("left"), "left over").unwrap();
    fs::write(fixture.partial("killed"), "killed").unwrap();
    let stands = fixture.partial("killed");
    let stands = stands.file_name().unwrap().to_str().unwrap().to_string();
    fixture.record_file("killed", &stands, b"killed");
    fs::write(
        fixture.at(".sprag-0011223344556677.partial"),
        "a stranger's",
    )
    .unwrap();
    fixture.close()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn cleaning_removes_partials_and_leaves_files_strangers_and_the_manifest() {
    let temp = untidy();
    let summary = clean(temp.path(), false, false).unwrap();
    assert_eq!(summary.partials_removed, 3);
    assert_eq!(summary.bytes_freed, 2 * 65_536 + 9 + 6);
    assert!(!summary.state_removed);
    let left = [".sprag", ".sprag-0011223344556677.partial", "d"];
    assert_eq!(names(temp.path()), left);
    assert_eq!(names(&temp.path().join("d")), ["done"]);
    let status = status(temp.path(), None).unwrap();
    assert_eq!((status.files_done, status.files_partial), (1, 0));
    assert_eq!(
        clean(temp.path(), false, false).unwrap(),
        CleanSummary::default()
    );
}

#[test]
fn cleaning_removes_what_was_moved_out_of_the_way_after_a_power_cut() {
    for all in [false, true] {
        let temp = untidy();
        let aside = temp.path().join(".sprag/left-over");
        fs::create_dir(&aside).unwrap();
        for name in ["left", "left.2"] {
            fs::write(aside.join(format!(".sprag-{name}")), "left over").unwrap();
        }
        assert_eq!(clean(temp.path(), all, false).unwrap().partials_removed, 5);
        assert!(!aside.exists());
        assert_eq!(temp.path().join(".sprag").exists(), !all);
    }
}

#[test]
fn cleaning_all_removes_the_state_but_nothing_that_is_not_sprags() {
    let temp = untidy();
    fs::write(temp.path().join(".sprag/manifest.damaged"), "old").unwrap();
    assert!(clean(temp.path(), true, false).unwrap().state_removed);
    assert_eq!(names(temp.path()), [".sprag-0011223344556677.partial", "d"]);

    let temp = untidy();
    fs::write(temp.path().join(".sprag/note"), "mine").unwrap();
    assert!(clean(temp.path(), true, false).unwrap().state_removed);
    assert_eq!(names(&temp.path().join(".sprag")), ["note"]);
}

#[test]
fn cleaning_waits_for_nobody_and_is_refused_while_another_holds_the_destination() {
    let mut fixture = Fixture::new();
    fixture.file("f", b"x");
    // Its store still holds the lock.
    let error = clean(fixture.root(), true, false).unwrap_err();
    let locked = matches!(error, Error::Manifest(ManifestError::Locked { .. }));
    assert!(locked, "{error:?}");
    assert_eq!(error.exit(), Exit::Locked);
}
