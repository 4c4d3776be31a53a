//! What the documentation names is there: options, pages, and the fields of `--json`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{COMMANDS, Fixture, begin_copy, mixed_tree, rot, run, sprag, write};

/// Options of other programs that the pages speak of.
const OTHERS: [(&str, &str); 19] = [
    ("--append-verify", "rsync"),
    ("--bench", "cargo"),
    ("--broken", "tests/model/run"),
    ("--cycles", "tests/media/run"),
    ("--fsync", "rsync"),
    ("--lib", "cargo"),
    ("--lie", "tests/media/run"),
    ("--long", "tests/crash/mutants"),
    ("--locked", "cargo"),
    ("--nocapture", "cargo"),
    ("--only", "tests/crash/mutants"),
    ("--plot", "benches/compare/table"),
    ("--path", "cargo"),
    ("--release", "cargo"),
    ("--tag", "b3sum"),
    ("--target", "cargo"),
    ("--test", "cargo"),
    ("--profile", "cargo"),
    ("--list", "cargo"),
];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages for people: their paths and texts.
fn pages() -> Vec<(PathBuf, String)> {
    let top = [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
    ];
    let mut paths: Vec<PathBuf> = top.iter().map(|name| repository().join(name)).collect();
    for entry in fs::read_dir(repository().join("docs")).unwrap() {
        paths.push(entry.unwrap().path());
    }
    paths.retain(|path| path.extension().is_some_and(|end| end == "md"));
    let read = |path: PathBuf| (path.clone(), fs::read_to_string(path).unwrap());
    paths.into_iter().map(read).collect()
}

/// The long options that a text names.
fn options_in(text: &str) -> BTreeSet<String> {
    let starts = text.match_indices("--").map(|(at, _)| at);
    let begins = |at: &usize| {
        let before = text[..*at].chars().next_back();
        before.is_none_or(|c| " `([,\n".contains(c))
    };
    let name = |at: usize| -> String {
        let word = text[at + 2..].chars();
        let word = word.take_while(|c| c.is_ascii_alphanumeric() || *c == '-');
        format!("--{}", word.collect::<String>())
    };
    let names = starts.filter(begins).map(name);
    names
        .filter(|name| name[2..].starts_with(|c: char| c.is_ascii_alphabetic()))
        .collect()
}

/// The long options that the program's own help describes.
fn known_options() -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for command in COMMANDS {
        let output = sprag().args([command, "--help"]).output().unwrap();
        known.extend(options_in(&String::from_utf8(output.stdout).unwrap()));
    }
    known
}

#[test]
fn every_option_that_a_page_names_exists() {
    let known = known_options();
    assert!(known.contains("--checkpoint-interval"), "{known:?}");
    let mut others: BTreeSet<&str> = OTHERS.iter().map(|(option, _)| *option).collect();
    for (path, text) in pages() {
        for option in options_in(&text).difference(&known) {
            let of_others = OTHERS.iter().any(|(other, _)| other == option);
            assert!(of_others, "{}: {option}", path.display());
            others.remove(option.as_str());
        }
    }
    assert!(others.is_empty(), "named nowhere any more: {others:?}");
}

/// `[text](target)` of a page, without what is on other machines.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1);
    let targets = targets.filter_map(|rest| Some(rest.split_once(')')?.0));
    targets.filter(|target| !target.contains("://")).collect()
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let letters = heading.trim().to_lowercase();
    let kept = letters
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_leads_somewhere() {
    for (path, text) in pages() {
        for link in links(&text) {
            let (file, section) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", path.display());
            if section.is_empty() {
                continue;
            }
            let target = fs::read_to_string(target).unwrap();
            let headings = target.lines().filter(|line| line.starts_with('#'));
            let found = headings.map(|line| anchor(line.trim_start_matches('#')));
            let found: Vec<String> = found.collect();
            assert!(
                found.iter().any(|name| name == section),
                "{}: {link}",
                path.display()
            );
        }
    }
}

/// The names of all fields in a line, those of the objects in it included.
fn fields(line: &Value, into: &mut BTreeSet<String>) {
    match line {
        Value::Object(object) => {
            for (name, value) in object {
                into.insert(name.clone());
                fields(value, into);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, into)),
        _ => {}
    }
}

#[test]
fn every_field_of_json_stands_in_its_page() {
    let fixture = Fixture::new();
    mixed_tree(&fixture.source, 40, &[9 << 20]);
    let dest = fixture.dest.to_str().unwrap();
    let contents = fixture.contents();
    let source = contents.to_str().unwrap();
    begin_copy(&fixture);
    let mut lines = run("status", [dest]).lines;
    lines.extend(run("copy", ["-v", "--verify", source, dest]).lines);
    lines.extend(run("copy", ["-n", "-v", source, dest]).lines);
    lines.extend(run("verify", ["-v", dest]).lines);
    rot(&fixture.dest.join("large0"), 5 << 20);
    write(fixture.dest.join("stranger"), "not from here");
    fs::remove_file(fixture.dest.join("hard b")).unwrap();
    lines.extend(run("verify", ["--extra", "--against", source, dest]).lines);
    lines.extend(run("verify", ["--sample", "5%", dest]).lines);
    lines.extend(run("verify", ["--repair", "--from", source, dest]).lines);
    lines.extend(run("status", [dest]).lines);
    let list = sprag().args(["export", "--format", "json", dest]).output();
    let list = String::from_utf8(list.unwrap().stdout).unwrap();
    lines.extend(list.lines().map(|line| serde_json::from_str(line).unwrap()));
    lines.extend(run("clean", ["--all", dest]).lines);
    let mut named = BTreeSet::new();
    for line in &lines {
        fields(line, &mut named);
    }
    assert!(named.len() > 80, "{named:?}");
    let page = fs::read_to_string(repository().join("docs/JSON.md")).unwrap();
    let missing = named
        .iter()
        .filter(|name| !page.contains(&format!("`{name}`")));
    let missing: Vec<&String> = missing.collect();
    assert!(missing.is_empty(), "{missing:?}");
    let words: BTreeSet<&str> = lines
        .iter()
        .flat_map(|line| {
            [
                &line["type"],
                &line["outcome"],
                &line["kind"],
                &line["read"],
            ]
        })
        .filter_map(Value::as_str)
        .collect();
    for word in words {
        assert!(page.contains(&format!("`{word}`")), "{word}");
    }
}
