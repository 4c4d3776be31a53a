//! A destination is verified: what is found of each kind of damage, and how a run ends.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use super::fixture::{Fixture, content, rel};
use super::*;
use crate::error::SetupError;
use crate::event::{PassedOver, VerifyEvent, VerifySummary};
use crate::exit::Exit;
use crate::manifest::{Link, Record};
use crate::options::VerifyOptions;

mod large;
mod noted;
mod part;
mod support;

use support::*;

#[test]
fn a_destination_that_is_as_recorded_is_sound() {
    let temp = sound().close();
    let found = verify_all(temp.path());
    assert_eq!(found.opened, (7, 300_005));
    assert_eq!(found.verdicts.len(), 7);
    assert!(
        found
            .verdicts
            .values()
            .all(|verdict| verdict.kind() == "ok")
    );
    let summary = found.summary;
    assert_eq!(summary.exit_code, Exit::Done);
    assert_eq!((summary.ok.total(), summary.bytes_read), (7, 300_005));
    let read = summary.read_direct + summary.read_evicted + summary.read_cached;
    assert_eq!(read, 3, "the hard link is not read again");
    assert!(found.error.is_none());
}

#[test]
fn flipped_bytes_are_corruption_with_the_ranges_of_their_blocks() {
    let fixture = sound();
    for offset in [65_536, 131_072 + 9, 299_999] {
        flip(&fixture.at("d/e/large"), offset);
    }
    flip(&fixture.at("d/small"), 0);
    let found = verify_all(fixture.close().path());
    let ranges = |path| match &found.verdicts[path] {
        Verdict::Corrupt { damage } => damage.ranges.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(ranges("d/e/large"), [65_536..196_608, 262_144..300_000]);
    assert_eq!(ranges("d/small").as_slice(), std::slice::from_ref(&(0..5)));
    assert_eq!(found.summary.files_corrupt, 2);
    assert_eq!(found.summary.exit_code, Exit::Damaged);
}

#[test]
fn damage_says_which_blocks_are_zeros_and_which_belong_elsewhere() {
    const BLOCK: usize = 1 << 16;
    let mut fixture = Fixture::new();
    let good = content(20 * BLOCK + 5);
    fixture.file("f", &good);
    let mut bad = good.clone();
    let block = |index: usize| index * BLOCK..(index + 1) * BLOCK;
    bad[block(2)].fill(0);
    bad[block(3)].copy_from_slice(&good[block(5)]);
    bad[block(9)].copy_from_slice(&good[block(1)]);
    bad[12 * BLOCK] ^= 1;
    *bad.last_mut().unwrap() ^= 1;
    let mtime = fs::metadata(fixture.at("f")).unwrap().modified().unwrap();
    fs::write(fixture.at("f"), &bad).unwrap();
    let file = fs::File::options().write(true).open(fixture.at("f"));
    file.unwrap().set_modified(mtime).unwrap();
    let found = verify_all(fixture.close().path());
    let Verdict::Corrupt { damage } = &found.verdicts["f"] else {
        panic!("{:?}", found.verdicts["f"]);
    };
    let counts = (damage.blocks_bad, damage.blocks_zero, damage.blocks_shifted);
    assert_eq!(counts, (5, 1, 2));
    assert_eq!(damage.blocks_other(), 2);
    let first = damage.first_shift.unwrap();
    let at = |index: usize| (index * BLOCK) as u64;
    assert_eq!((first.at, first.belongs), (at(3), at(5)));
}

#[test]
fn other_content_with_another_time_or_size_is_modified_and_names_what_differs() {
    let fixture = sound();
    flip(&fixture.at("d/e/large"), 0);
    age(&fixture.at("d/e/large"));
    fs::write(fixture.at("d/small"), "longer than before").unwrap();
    let found = verify_all(fixture.close().path());
    let what = |path| match &found.verdicts[path] {
        Verdict::Modified { what, .. } => what.clone(),
        other => panic!("{other:?}"),
    };
    assert!(what("d/e/large").ends_with("in bytes 0..65536"));
    assert_eq!(what("d/small"), "it is 18 bytes long, recorded as 5");
    assert_eq!(found.summary.modified.total(), 2);
}

#[test]
fn another_time_or_mode_alone_is_a_matter_of_metadata_and_the_content_stays_good() {
    let fixture = sound();
    age(&fixture.at("d/e/large"));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    fs::set_permissions(fixture.at("d"), mode).unwrap();
    let found = verify_all(fixture.close().path());
    for path in ["d/e/large", "d"] {
        assert_eq!(found.kind(path), "metadata");
    }
    assert_eq!(found.summary.metadata.total(), 2);
    assert_eq!(found.summary.exit_code, Exit::Damaged);
}

#[test]
fn a_strangers_file_changes_the_time_of_a_directory_and_that_is_no_damage() {
    let fixture = sound();
    fs::write(fixture.at("d/e/stranger"), "").unwrap();
    let found = verify_all(fixture.close().path());
    assert_eq!(found.summary.exit_code, Exit::Done);
}

#[test]
fn entries_that_are_gone_are_missing_and_those_below_a_gone_directory_too() {
    let fixture = sound();
    fs::remove_file(fixture.at("s")).unwrap();
    fs::remove_dir_all(fixture.at("d/e")).unwrap();
    let found = verify_all(fixture.close().path());
    for path in ["s", "d/e", "d/e/large"] {
        assert_eq!(found.kind(path), "missing");
    }
    assert_eq!(found.summary.missing.total(), 3);
    assert_eq!(found.summary.exit_code, Exit::Damaged);
}

#[test]
fn another_kind_or_target_is_modified_and_a_symlink_is_never_followed() {
    let fixture = sound();
    fs::remove_file(fixture.at("s")).unwrap();
    std::os::unix::fs::symlink("else", fixture.at("s")).unwrap();
    fs::remove_file(fixture.at("empty")).unwrap();
    fs::create_dir(fixture.at("empty")).unwrap();
    fs::rename(fixture.at("d/e"), fixture.at("moved")).unwrap();
    std::os::unix::fs::symlink("../moved", fixture.at("d/e")).unwrap();
    let found = verify_all(fixture.close().path());
    for path in ["s", "empty", "d/e"] {
        assert_eq!(found.kind(path), "modified", "{path}");
    }
    assert_eq!(found.kind("d/e/large"), "missing");
    assert_eq!(found.kind("moved/large"), "extra");
}

#[test]
fn a_hard_link_that_became_a_file_of_its_own_is_judged_by_its_content() {
    let mut fixture = sound();
    fixture.link("bad", "d/e/large");
    for (path, content) in [("again", content(5)), ("bad", content(300_000))] {
        fs::remove_file(fixture.at(path)).unwrap();
        fs::write(fixture.at(path), content).unwrap();
    }
    fs::write(fixture.at("again"), "small").unwrap();
    flip(&fixture.at("bad"), 70_000);
    let found = verify_all(fixture.close().path());
    assert_eq!(found.kind("again"), "ok");
    assert_eq!(found.kind("bad"), "modified");
    assert_eq!(found.kind("d/e/large"), "ok");
}

#[test]
fn what_is_not_finished_is_incomplete_and_says_how_far_it_is() {
    let mut fixture = sound();
    fixture.partial_file("d/film", &content(400_000), 2);
    let (path, to) = (rel("wanted"), rel("d/film"));
    fixture.append(&Record::LinkWanted(Link { path, to }));
    // Killed after it was recorded and before it was renamed.
    let stands = fixture.partial("killed");
    fs::write(&stands, "killed").unwrap();
    let stands = stands.file_name().unwrap().to_str().unwrap().to_string();
    fixture.record_file("killed", &stands, b"killed");
    let found = verify_all(fixture.close().path());
    let progress = |path| match found.verdicts[path] {
        Verdict::Incomplete { bytes, of } => (bytes, of),
        ref other => panic!("{other:?}"),
    };
    assert_eq!(progress("d/film"), (131_072, 400_000));
    assert_eq!(progress("wanted"), (0, 0));
    assert_eq!(progress("killed"), (6, 6));
    assert_eq!(found.summary.incomplete.total(), 3);
    assert_eq!(found.summary.extra.total(), 0, "partials are no extras");
    assert_eq!(found.summary.exit_code, Exit::Damaged);
}

#[test]
fn unknown_entries_are_extra_each_on_its_own_and_change_no_exit_code() {
    let fixture = sound();
    fs::create_dir(fixture.at("d/new")).unwrap();
    fs::write(fixture.at("d/new/f"), "").unwrap();
    fs::write(fixture.at(".sprag/note"), "").unwrap();
    fs::write(fixture.at(".sprag-0011223344556677.partial"), "").unwrap();
    let found = verify_all(fixture.close().path());
    let extra: Vec<&String> = found
        .verdicts
        .iter()
        .filter(|(_, verdict)| verdict.kind() == "extra")
        .map(|(path, _)| path)
        .collect();
    let expected = [".sprag-0011223344556677.partial", "d/new", "d/new/f"];
    assert_eq!(extra, expected);
    assert_eq!(found.summary.extra.total(), 3);
    assert_eq!(found.summary.exit_code, Exit::Done);
}

#[test]
fn an_entry_that_cannot_be_looked_at_is_reported_and_the_others_are_still_checked() {
    let mut fixture = sound();
    // No file system takes a name of this length: looking at it fails, and not by absence.
    let long = "x".repeat(300);
    fixture.record_file(&long, "d/small", b"small");
    let found = verify_all(fixture.close().path());
    assert_eq!(found.kind(&long), "unreadable");
    assert_eq!(found.kind("d/e/large"), "ok");
    assert_eq!(found.summary.unreadable.total(), 1);
    assert_eq!(found.summary.exit_code, Exit::Damaged);
}

#[test]
fn only_wanted_paths_are_checked_and_one_that_covers_nothing_recorded_is_refused() {
    let fixture = sound();
    fs::remove_file(fixture.at("s")).unwrap();
    fs::write(fixture.at("d/e/new"), "").unwrap();
    fs::write(fixture.at("new"), "").unwrap();
    let temp = fixture.close();
    let absolute = temp.path().join("d/e");
    let found = verify_paths(temp.path(), &[absolute.to_str().unwrap()]);
    assert_eq!(found.opened, (2, 300_000));
    let kinds: Vec<_> = found
        .verdicts
        .iter()
        .map(|(path, verdict)| (path.as_str(), verdict.kind()))
        .collect();
    let expected = [("d/e", "ok"), ("d/e/large", "ok"), ("d/e/new", "extra")];
    assert_eq!(kinds, expected);
    let found = verify_paths(temp.path(), &["s"]);
    assert_eq!(found.kind("s"), "missing");
    for (path, nearest) in [
        ("nowhere/at/all", ""),
        ("new", ""),
        ("D/E/Large", "d/e/large"),
    ] {
        let mut options = VerifyOptions::new(temp.path());
        options.paths = vec!["s".into(), path.into()];
        let error = verify(options).unwrap_err();
        assert_eq!(error.exit(), Exit::Unusable);
        let told = error.to_string();
        assert!(told.starts_with(path) && told.contains(nearest), "{told}");
    }
}

#[test]
fn a_manifest_whose_blocks_are_not_those_of_the_file_hash_proves_nothing() {
    let mut fixture = sound();
    let (one, other) = (content(200_000), vec![7; 200_000]);
    fixture.file("f", &one);
    let mut mixed = one.clone();
    mixed[..65_536].copy_from_slice(&other[..65_536]);
    fs::write(fixture.at("f"), &mixed).unwrap();
    fixture.record_with_hash_of("f", &mixed, &one);
    let found = verify_all(fixture.close().path());
    match &found.verdicts["f"] {
        Verdict::Corrupt { damage } => {
            assert_eq!((damage.ranges[0].start, damage.ranges[0].end), (0, 200_000));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stopped_run_says_so_and_a_dropped_one_ends() {
    let mut fixture = Fixture::new();
    for n in 0..2000 {
        fixture.file(&format!("f{n}"), b"x");
    }
    let temp = fixture.close();
    let mut options = VerifyOptions::new(temp.path());
    options.jobs = NonZeroUsize::new(1);
    let mut run = verify(options.clone()).unwrap();
    assert!(matches!(run.next(), Some(VerifyEvent::Opened { .. })));
    run.stopper().stop();
    let last = run.last().unwrap();
    let VerifyEvent::Finished { summary, error } = last else {
        panic!("{last:?}");
    };
    assert_eq!(summary.exit_code, Exit::Stopped);
    assert!(error.is_none() && summary.ok.total() < 2000);

    drop(verify(options).unwrap());
    assert_eq!(verify_all(temp.path()).summary.ok.total(), 2000);
}

#[test]
fn no_manifest_and_a_held_one_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let error = verify(VerifyOptions::new(temp.path())).unwrap_err();
    assert!(matches!(error, Error::Setup(SetupError::NoManifest { .. })));
    let fixture = sound();
    let error = verify(VerifyOptions::new(fixture.root())).unwrap_err();
    assert_eq!(error.exit(), Exit::Locked);
}

#[test]
fn several_verifications_may_run_at_once() {
    let temp = sound().close();
    let first = verify(VerifyOptions::new(temp.path())).unwrap();
    assert_eq!(verify_all(temp.path()).summary.exit_code, Exit::Done);
    drop(first);
}
