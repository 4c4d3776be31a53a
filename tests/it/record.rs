//! The log and the report of a run.

use std::fs;
use std::path::Path;

use crate::support::*;

fn in_dir(fixture: &Fixture, words: &[&str]) -> std::process::Output {
    let dir = fixture.temp.path();
    sprag().args(words).current_dir(dir).output().unwrap()
}

fn read(fixture: &Fixture, name: &str) -> String {
    fs::read_to_string(fixture.temp.path().join(name)).unwrap()
}

#[test]
fn the_log_has_a_line_for_each_entry_and_problem_and_grows_with_each_run() {
    let fixture = Fixture::new();
    write(fixture.source.join("a"), "a");
    write(fixture.source.join("new\nline"), "b");
    // Something stands where the directory must go.
    write(fixture.source.join("taken/x"), "x");
    write(fixture.dest.join("taken"), "in the way");
    let words = ["copy", "--log-file", "log", "source/", "dest"];
    assert_eq!(in_dir(&fixture, &words).status.code(), Some(23));
    let first = read(&fixture, "log");
    for line in first.lines() {
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.ends_with('Z') && time.len() == 24, "{line}");
        assert!(!rest.is_empty());
    }
    let has = |text: &str| first.lines().any(|line| line.ends_with(text));
    assert!(first.contains(" begin "), "{first}");
    assert!(has("copied     a"), "{first}");
    assert!(has(r"copied     new\nline"), "{first}");
    assert!(first.contains(" conflict "), "{first}");
    assert!(first.lines().last().unwrap().contains(" end "), "{first}");
    in_dir(&fixture, &words);
    let both = read(&fixture, "log");
    assert!(both.starts_with(&first));
    assert!(both[first.len()..].contains("unchanged  a"), "{both}");
}

#[test]
fn what_a_verification_warns_of_is_in_its_log_and_told_as_that_of_a_copy() {
    let fixture = Fixture::new();
    write(fixture.source.join("a"), "a");
    fixture.copy(0);
    fs::remove_file(fixture.dest.join(".sprag/manifest")).unwrap();
    let ran = in_dir(&fixture, &["verify", "--log-file", "log", "dest"]);
    assert_eq!(ran.status.code(), Some(44));
    let stderr = String::from_utf8_lossy(&ran.stderr);
    assert!(stderr.contains("sprag: warning: "), "{stderr}");
    let log = read(&fixture, "log");
    assert!(log.contains(" warning "), "{log}");
}

#[test]
fn a_log_that_cannot_be_opened_prevents_the_run_and_one_that_is_full_does_not() {
    let fixture = Fixture::new();
    write(fixture.source.join("a"), "a");
    let words = ["copy", "--log-file", "no/such/dir/log", "source/", "dest"];
    let refused = in_dir(&fixture, &words);
    assert_eq!(refused.status.code(), Some(11));
    assert!(!fixture.dest.exists());
    if !Path::new("/dev/full").exists() {
        return skip("a log on a full disk", "/dev/full");
    }
    let full = in_dir(
        &fixture,
        &["copy", "--log-file", "/dev/full", "source/", "dest"],
    );
    assert_eq!(full.status.code(), Some(11), "{full:?}");
    assert_eq!(fs::read(fixture.dest.join("a")).unwrap(), b"a");
}

/// The text of a page between two texts.
fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let rest = page
        .split_once(from)
        .unwrap_or_else(|| panic!("no {from:?} in {page}"));
    rest.1.split_once(to).unwrap().0
}

#[test]
fn the_report_of_a_copy_says_what_happened_and_no_name_in_it_is_markup() {
    let fixture = Fixture::new();
    write(fixture.source.join("<script>alert(1)</script>&'\""), "odd");
    write(fixture.source.join("film"), Rng::new(1).bytes(5 << 20));
    let words = ["copy", "--report", "report.html", "source/", "dest"];
    let output = in_dir(&fixture, &words);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let page = read(&fixture, "report.html");
    assert!(page.starts_with("<!DOCTYPE html>"));
    assert!(page.contains("<p class=\"verdict\">Done and durable</p>"));
    assert!(page.contains("Everything is durable on the device"));
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&amp;&#39;&quot;"));
    // Nothing is fetched from anywhere.
    for outside in ["http:", "https:", "src=", "href=", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("<th>Files copied</th><td>2</td>"), "{page}");
    // The digest is that of the list.
    let list = in_dir(&fixture, &["export", "dest"]).stdout;
    let digest = between(&page, "<p class=\"digest\">", "</p>");
    assert_eq!(digest, blake3::hash(&list).to_hex().as_str());
    let hash = blake3::hash(&fs::read(fixture.source.join("film")).unwrap());
    assert!(page.contains(hash.to_hex().as_str()));
    well_formed(&page);
}

#[test]
fn the_report_of_a_verification_maps_the_damaged_blocks() {
    let fixture = Fixture::new();
    write(fixture.source.join("film"), Rng::new(1).bytes(8 << 20));
    fixture.copy(0);
    let film = fixture.dest.join("film");
    let stat = fs::metadata(&film).unwrap();
    let mut content = fs::read(&film).unwrap();
    content[(5 << 20) + 7] ^= 1;
    fs::write(&film, content).unwrap();
    let times = fs::FileTimes::new().set_modified(stat.modified().unwrap());
    fs::File::options()
        .append(true)
        .open(&film)
        .unwrap()
        .set_times(times)
        .unwrap();
    let output = in_dir(&fixture, &["verify", "--report", "r.html", "dest"]);
    assert_eq!(output.status.code(), Some(40), "{output:?}");
    let page = read(&fixture, "r.html");
    assert!(
        page.contains("<p class=\"verdict\">Damage found</p>"),
        "{page}"
    );
    let map = between(&page, "<svg class=\"map\"", "</svg>");
    assert_eq!(map.matches("class=\"bad\"").count(), 1);
    assert_eq!(map.matches("class=\"good\"").count(), 7);
    assert!(page.contains("Read back: 1 file"), "{page}");
    well_formed(&page);
}

#[test]
fn the_report_of_a_verification_has_its_hashes_from_what_it_was_verified_against() {
    let fixture = Fixture::new();
    write(fixture.source.join("f"), "content");
    fixture.copy(0);
    let kept = fixture.temp.path().join("kept");
    fs::copy(fixture.dest.join(".sprag/manifest"), kept).unwrap();
    fs::remove_dir_all(fixture.dest.join(".sprag")).unwrap();
    let words = ["verify", "--manifest", "kept", "--report", "r.html", "dest"];
    let output = in_dir(&fixture, &words);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let page = read(&fixture, "r.html");
    let hash = blake3::hash(b"content");
    assert!(page.contains(hash.to_hex().as_str()), "{page}");
    assert!(page.contains("1 file, 7 B"), "{page}");
    // A list says nothing that a manifest is needed for.
    let list = format!("{hash}  f\n");
    fs::write(fixture.temp.path().join("list"), list).unwrap();
    let words = ["verify", "--check", "list", "--report", "r.html", "dest"];
    let output = in_dir(&fixture, &words);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let page = read(&fixture, "r.html");
    assert!(!page.contains("<h2>Hashes</h2>"), "{page}");
    well_formed(&page);
}

#[test]
fn the_report_of_a_copy_that_was_stopped_maps_its_partial_files() {
    let fixture = Fixture::new();
    write(fixture.source.join("film"), Rng::new(1).bytes(16 << 20));
    let mut options = sprag::CopyOptions::new([fixture.contents()], &fixture.dest);
    options.block_size = sprag::block::BlockSize::new(64 << 10).ok();
    let mut run = sprag::copy(options).unwrap();
    for event in &mut run {
        if matches!(event, sprag::Event::Progress(at) if at.bytes_written >= 4 << 20) {
            break;
        }
    }
    drop(run);
    // A run that may not go on leaves the partial as it is.
    fs::rename(&fixture.source, fixture.temp.path().join("away")).unwrap();
    fs::create_dir(&fixture.source).unwrap();
    in_dir(&fixture, &["copy", "--report", "r.html", "source/", "dest"]);
    let page = read(&fixture, "r.html");
    let map = between(&page, "<svg class=\"map\"", "</svg>");
    assert_eq!(map.matches("<rect").count(), 256);
    assert!(map.matches("class=\"good\"").count() >= 64, "{map}");
    assert!(map.matches("class=\"missing\"").count() > 1, "{map}");
}

#[test]
fn a_report_that_cannot_be_written_is_no_clean_end() {
    let fixture = Fixture::new();
    write(fixture.source.join("a"), "a");
    let output = in_dir(
        &fixture,
        &["copy", "--report", "no/dir/r.html", "source/", "dest"],
    );
    assert_eq!(output.status.code(), Some(11));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("no report was written"), "{told}");
    assert_eq!(fs::read(fixture.dest.join("a")).unwrap(), b"a");
}

/// Each element that is opened is closed, in order.
fn well_formed(page: &str) {
    const VOID: [&str; 2] = ["meta", "!DOCTYPE"];
    let mut open: Vec<&str> = Vec::new();
    for tag in page.split('<').skip(1) {
        let tag = tag.split_once('>').unwrap().0;
        let name = tag
            .trim_start_matches('/')
            .split([' ', '/'])
            .next()
            .unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}
