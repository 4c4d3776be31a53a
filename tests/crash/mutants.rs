//! The list of mutants fits the source: each piece of code that one of them changes is there once.
//! Whether the suite notices the change is for `tests/crash/mutants` to find out.

use std::collections::BTreeSet;
use std::path::Path;

const LIST: &str = include_str!("mutants.toml");

/// A text without white space and without lines that are comments, so that it does not matter how
/// rustfmt breaks the lines.
fn squeezed(text: &str) -> String {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(str::chars)
        .filter(|char| !char.is_whitespace())
        .collect()
}

/// The names and pieces of code. Of TOML only what the list is written in is understood: tables
/// that begin with a name, and code between triple quotes.
fn listed() -> Vec<(&'static str, String)> {
    let tables = LIST.split("[[mutant]]").skip(1);
    let between = |table: &'static str, open: &str, close: &str| {
        let (_, rest) = table.split_once(open)?;
        rest.split_once(close).map(|(inside, _)| inside)
    };
    tables
        .map(|table| {
            let name = between(table, "\nname = \"", "\"\n").expect("a name");
            let code = between(table, "\ncode = '''", "'''\n").expect("code");
            (name, squeezed(code).replace(['«', '»'], ""))
        })
        .collect()
}

/// Every source file.
fn sources() -> Vec<String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = walkdir::WalkDir::new(src).into_iter().map(|entry| {
        let entry = entry.expect("a source that can be read");
        let is_code = entry.path().extension().is_some_and(|of| of == "rs");
        is_code.then(|| std::fs::read_to_string(entry.path()).expect("a source that can be read"))
    });
    files.flatten().collect()
}

#[test]
fn every_mutant_changes_code_that_is_there_once() {
    let sources: Vec<String> = sources().iter().map(|text| squeezed(text)).collect();
    let listed = listed();
    let mut wrong = Vec::new();
    for (name, code) in &listed {
        let found: usize = sources.iter().map(|text| text.matches(code).count()).sum();
        if found != 1 {
            wrong.push(format!("{name}: its code was found {found} times"));
        }
    }
    assert!(wrong.is_empty(), "mutants.toml: {}", wrong.join("\n"));
    let names: BTreeSet<_> = listed.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), listed.len(), "names are there once");
    assert!(names.len() >= 75, "{} mutants", names.len());
}
