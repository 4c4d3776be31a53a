//! A manifest that rots, the copy of it that takes its place, and what is read when both rot.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::support::*;

/// Flips a byte of the first record of a manifest or of its copy.
fn rot_first_record(fixture: &Fixture, name: &str) {
    flip(&fixture.dest.join(".sprag").join(name), 4096 + 13);
}

fn flip(path: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(path);
    let file = file.unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

/// Flips the first byte of each place in a manifest that names a path, so that no record of it can
/// be read.
fn lose(fixture: &Fixture, path: &str) {
    for name in ["manifest", "manifest.bak"] {
        let manifest = fixture.dest.join(".sprag").join(name);
        let bytes = fs::read(&manifest).unwrap();
        let needle = [&[path.len() as u8], path.as_bytes()].concat();
        let places = bytes.windows(needle.len()).enumerate();
        let places = places.filter(|(_, there)| *there == needle);
        let mut found = 0;
        for (at, _) in places {
            flip(&manifest, at as u64);
            found += 1;
        }
        assert!(found > 0, "{name} does not name {path}");
    }
}

fn said(command: &str, args: &[&OsStr]) -> (Option<i32>, String, String) {
    let output = sprag().arg(command).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn rot_in_the_manifest_is_told_apart_from_rot_in_the_data_and_mended_by_the_next_copy() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 8, &[3 << 20]);
    fixture.copy(0);
    rot_first_record(&fixture, "manifest");
    let ran = run("verify", [&fixture.dest]);
    assert_eq!((ran.code, ran.problems()), (44, vec![]), "{}", ran.stderr);
    assert!(ran.sum("entries_ok") > 8);
    assert!(ran.stderr.contains("manifest.bak"), "{}", ran.stderr);
    let damage = &ran.lines.last().unwrap()["manifest_damage"];
    assert_eq!(
        (&damage["complete"], &damage["copy"]),
        (&true.into(), &"whole".into())
    );
    // Nothing was written: it is damaged still.
    assert_eq!(run("verify", [&fixture.dest]).code, 44);
    let rerun = fixture.copy(0);
    assert_eq!(rerun.sum("files_copied"), 0);
    assert!(rerun.lines.iter().any(|line| line["type"] == "warning"));
    assert!(fixture.dest.join(".sprag/manifest.damaged").exists());
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
    fs::remove_file(fixture.dest.join(".sprag/manifest")).unwrap();
    assert_eq!(run("verify", [&fixture.dest]).code, 44);
    assert_eq!(fixture.copy(0).sum("files_copied"), 0);
    fixture.assert_same();
}

#[test]
fn a_manifest_that_rots_again_is_kept_beside_the_one_before_and_the_warning_says_where() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 8, &[]);
    fixture.copy(0);
    let warning = || {
        let ran = fixture.copy(0);
        let warnings = ran.lines.iter().filter(|line| line["type"] == "warning");
        let texts: Vec<String> = warnings.map(|line| line["detail"].to_string()).collect();
        texts.concat()
    };
    for name in ["manifest.damaged", "manifest.damaged.2"] {
        rot_first_record(&fixture, "manifest");
        let rotten = fs::read(fixture.dest.join(".sprag/manifest")).unwrap();
        let said = warning();
        let kept = fixture.dest.join(".sprag").join(name);
        assert_eq!(fs::read(&kept).unwrap(), rotten, "{name}");
        assert!(
            said.contains(&format!("is kept as {}\"", kept.display())),
            "{said}"
        );
        assert!(
            !said.contains("--restart"),
            "nothing is left to be done: {said}"
        );
    }
    fs::remove_file(fixture.dest.join(".sprag/manifest")).unwrap();
    let said = warning();
    assert!(said.contains("it is gone. Its copy"), "{said}");
    assert!(!said.contains("is kept as"), "{said}");
    let cleaned = sprag().args(["clean", "--all"]).arg(&fixture.dest).output();
    assert!(cleaned.unwrap().status.success());
    assert!(!fixture.dest.join(".sprag").exists());
}

#[test]
fn clean_uses_the_copy_of_a_damaged_manifest_and_without_one_says_how_to_get_a_new_manifest() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 4, &[]);
    fixture.copy(0);
    let clean = |all: &[&str]| {
        let all = all.iter().map(|word| OsStr::new(*word));
        let args: Vec<&OsStr> = all.chain([fixture.dest.as_os_str()]).collect();
        said("clean", &args)
    };
    rot_first_record(&fixture, "manifest");
    assert_eq!(clean(&[]).0, Some(0));
    assert!(fixture.dest.join(".sprag/manifest.damaged").exists());
    assert_eq!(run("verify", [&fixture.dest]).code, 0);
    rot_first_record(&fixture, "manifest");
    rot_first_record(&fixture, "manifest.bak");
    let (code, _, stderr) = clean(&["--all"]);
    assert_eq!(code, Some(44), "{stderr}");
    assert!(stderr.contains("`sprag copy --restart`"), "{stderr}");
    let restart = ["--restart".into(), fixture.contents(), fixture.dest.clone()];
    copy(0, restart);
    assert_eq!(clean(&["--all"]).0, Some(0));
    assert!(!fixture.dest.join(".sprag").exists());
}

#[test]
fn status_and_export_read_the_copy_of_a_damaged_manifest_and_say_so() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 8, &[3 << 20]);
    fixture.copy(0);
    let dest = fixture.dest.as_os_str();
    let json: [&OsStr; 2] = ["--json".as_ref(), dest];
    let formats = ["b3sum", "sha256", "json"];
    let list = |format: &str| {
        let (code, list, stderr) = said("export", &["--format".as_ref(), format.as_ref(), dest]);
        let mut lines: Vec<String> = list.lines().map(str::to_owned).collect();
        lines.sort();
        (code, lines, stderr)
    };
    let lists = formats.map(|format| list(format).1);
    let status: serde_json::Value = serde_json::from_str(&said("status", &json).1).unwrap();
    assert!(status["manifest_damage"].is_null());
    for rotten in [true, false] {
        match rotten {
            true => rot_first_record(&fixture, "manifest"),
            false => fs::remove_file(fixture.dest.join(".sprag/manifest")).unwrap(),
        }
        let (code, now, stderr) = said("status", &json);
        assert_eq!(code, Some(44));
        assert!(stderr.contains("manifest.bak"), "{stderr}");
        let now: serde_json::Value = serde_json::from_str(&now).unwrap();
        assert_eq!(now["manifest_damage"]["copy"], "whole");
        for field in ["files_done", "bytes_done", "dirs", "symlinks", "last_run"] {
            assert_eq!(now[field], status[field], "{field}");
        }
        let (code, text, _) = said("status", &[dest]);
        assert_eq!(code, Some(44));
        assert!(text.contains("The manifest is damaged"), "{text}");
        for (format, before) in formats.iter().zip(&lists) {
            let (code, now, stderr) = list(format);
            assert_eq!((code, &now), (Some(44), before), "{format}");
            assert!(stderr.contains("manifest.bak"), "{stderr}");
        }
    }
}

#[test]
fn rot_in_both_leaves_a_check_of_what_can_be_read_that_never_says_all_is_well() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 8, &[3 << 20, 2 << 20]);
    write(fixture.source.join("the lost one"), "whose record rots");
    fixture.copy(0);
    write(fixture.dest.join("a stranger"), "not ours");
    rot(&fixture.dest.join("large0"), 5);
    lose(&fixture, "the lost one");
    let before = snapshot(&fixture.dest);
    let ran = run("verify", [&fixture.dest]);
    assert_eq!(ran.code, 44, "{}", ran.stderr);
    let kinds: BTreeMap<String, String> = ran.problems().into_iter().collect();
    let of = |path: &str| kinds.get(path).map(String::as_str);
    assert_eq!(of("large0"), Some("corrupt"));
    assert_eq!(of("the lost one"), Some("unknown"));
    // It may be one of ours, for all that is known.
    assert_eq!(of("a stranger"), Some("unknown"));
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    assert_eq!(
        (ran.sum("entries_unknown"), ran.sum("entries_extra")),
        (2, 0)
    );
    let damage = &ran.lines.last().unwrap()["manifest_damage"];
    assert_eq!(
        (&damage["complete"], &damage["copy"]),
        (&false.into(), &"damaged".into())
    );
    assert!(damage["bytes_lost"].as_u64().unwrap() > 50, "{damage}");
    let (code, stdout, stderr) = said("verify", &[fixture.dest.as_os_str()]);
    assert_eq!(code, Some(44));
    assert!(!stdout.contains("Everything"), "{stdout}");
    assert!(
        stderr.contains("cannot be read") && stderr.contains("--rebuild"),
        "{stderr}"
    );
    assert_eq!(snapshot(&fixture.dest), before, "looking changed something");
    // No copy goes on from what was salvaged.
    let ran = fixture.copy(44);
    assert!(ran.stderr.contains("sprag verify"), "{}", ran.stderr);
    assert_eq!(snapshot(&fixture.dest), before);
}

#[test]
fn what_is_known_only_from_an_old_record_is_unknown_when_it_differs_and_never_modified() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 4, &[]);
    write(fixture.source.join("edited"), "first");
    fixture.copy(0);
    fs::write(fixture.source.join("edited"), "second, and longer").unwrap();
    age(&fixture.source.join("edited"), 77);
    // Behind the record of the second version there has to be something that vouches for it.
    fixture.copy(0);
    lose_newest(&fixture, "edited");
    fs::remove_file(fixture.dest.join(".sprag/manifest.bak")).unwrap();
    let ran = run("verify", [&fixture.dest]);
    assert_eq!(ran.code, 44, "{}", ran.stderr);
    let edited = ("edited".to_string(), "unknown".to_string());
    assert!(ran.problems().contains(&edited), "{:?}", ran.problems());
    assert_eq!(
        (ran.sum("entries_modified"), ran.sum("entries_missing")),
        (0, 0)
    );
}

/// Flips a byte of the last record in the manifest that names a path.
fn lose_newest(fixture: &Fixture, path: &str) {
    let manifest = fixture.dest.join(".sprag/manifest");
    let bytes = fs::read(&manifest).unwrap();
    let needle = [&[path.len() as u8], path.as_bytes()].concat();
    let at = bytes
        .windows(needle.len())
        .rposition(|there| there == needle);
    flip(&manifest, at.unwrap() as u64);
}

#[test]
fn a_manifest_that_is_nothing_any_more_ends_the_run_and_clean_leaves_no_copy_behind() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 3, &[]);
    fixture.copy(0);
    let copy = fixture.dest.join(".sprag/manifest.bak");
    let whole = fs::read(&copy).unwrap();
    fs::write(&copy, "rot").unwrap();
    fs::write(fixture.dest.join(".sprag/manifest"), vec![b'x'; 9000]).unwrap();
    let dest = [fixture.dest.as_os_str()];
    for command in ["verify", "status", "export"] {
        let (code, _, stderr) = said(command, &dest);
        assert_eq!(code, Some(44), "{command}: {stderr}");
        assert!(stderr.contains("--restart"), "{command}: {stderr}");
    }
    fixture.copy(44);
    fs::write(&copy, whole).unwrap();
    fixture.copy(0);
    let cleaned = sprag().args(["clean", "--all"]).arg(&fixture.dest).output();
    assert!(cleaned.unwrap().status.success());
    assert!(!fixture.dest.join(".sprag").exists());
}
