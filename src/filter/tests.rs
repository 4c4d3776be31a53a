use super::*;

fn filter(rules: &[&str]) -> Filter {
    let mut all = Rules::new();
    rules.iter().for_each(|rule| all.exclude(rule));
    all.compile().unwrap()
}

fn excludes(pattern: &str, path: &str) -> bool {
    let (path, is_dir) = match path.strip_suffix('/') {
        Some(dir) => (dir, true),
        None => (path, false),
    };
    filter(&[pattern]).excludes(&RelPath::new(path).unwrap(), is_dir)
}

#[test]
fn patterns_match_what_they_match_for_rsync() {
    for (pattern, matching, other) in [
        ("f", &["f", "a/f", "a/b/f/"][..], &["ff", "f/a", "a/ff"][..]),
        ("/f", &["f", "f/"], &["a/f"]),
        ("f/", &["f/", "a/f/"], &["f", "a/f"]),
        ("a/f", &["a/f", "x/a/f"], &["a/b/f", "xa/f", "f"]),
        (
            "/a/*.o",
            &["a/x.o", "a/.o"],
            &["a/b/x.o", "b/a/x.o", "a/xo"],
        ),
        ("*", &["f", "a/f", ".x/"], &[]),
        ("**", &["f", "a/b"], &[]),
        ("/a/**", &["a/f", "a/b/f"], &["a", "b/a/f"]),
        ("/a/**/f", &["a/b/f", "a/b/c/f"], &["a/f", "f"]),
        ("**/f", &["f", "a/f", "a/b/f"], &["af"]),
        ("/**/f", &["a/f", "a/b/f"], &["f"]),
        (
            "a**z",
            &["az", "abz", "a/z", "a/b/z", "x/a/b/z"],
            &["a/zy", "xa/z"],
        ),
        ("/x**", &["x", "xy", "x/y", "xy/z"], &["y/x"]),
        ("a/***", &["a/", "a/f", "a/b/f", "x/a/f"], &["a", "b/f"]),
        ("?.o", &["x.o", "a/y.o"], &[".o", "xx.o", "a/.o"]),
        ("[a-c]?", &["ax", "d/bx"], &["dx", "a", "a/"]),
        ("[!a-c]", &["d", "x/d"], &["a", "b", "x/a"]),
        ("[^a]x", &["bx"], &["ax", "x"]),
        ("a[!b]c", &["axc"], &["a/c", "abc"]),
        ("a[+-9]c", &["a0c", "a+c", "a-c"], &["a/c", "axc"]),
        ("[]x]", &["]", "x"], &["[", "y"]),
        ("[!]x]", &["[", "y"], &["]", "x"]),
        ("[a-]", &["a", "-"], &["b"]),
        ("[\\]a]", &["]", "a"], &["\\"]),
        ("[x!^]", &["x", "!", "^"], &["a"]),
        ("[\\!^]", &["!", "^"], &["a"]),
        ("[\\^]", &["^"], &["a"]),
        ("[A-z]", &["A", "z", "]", "^", "\\"], &["@", "{"]),
        ("[[:digit:]x]*", &["1", "xy", "07"], &["a1"]),
        ("[![:space:]]", &["x"], &[" "]),
        ("a\\b", &["a\\b"], &["ab"]),
        ("a\\b*", &["ab", "abc"], &["a\\b"]),
        ("\\*x*", &["*x", "*xy"], &["ax"]),
        ("{a,b}", &["{a,b}"], &["a", "b"]),
        ("*.{a,b}", &["x.{a,b}"], &["x.a", "x.b"]),
        ("new\nline?", &["new\nlines"], &["new line"]),
        ("ä?", &["äb"], &["ä", "ab"]),
    ] {
        for path in matching {
            assert!(excludes(pattern, path), "{pattern} does not match {path}");
        }
        for path in other {
            assert!(!excludes(pattern, path), "{pattern} matches {path}");
        }
    }
}

#[test]
fn a_name_of_any_bytes_is_matched() {
    let filter = filter(&["*\u{7f}", "x?y"]);
    let excludes = |name: &[u8]| filter.excludes(&RelPath::new(name).unwrap(), false);
    assert!(excludes(b"\xff\xfe\x7f"));
    assert!(excludes(b"x\xffy"));
    assert!(!excludes(b"\xff\xfe"));
}

#[test]
fn the_first_rule_that_matches_decides() {
    let path = |path: &str| RelPath::new(path).unwrap();
    let filter = filter(&["+ keep.o", "*.o", "+ b.o", "+ */", "*"]);
    assert!(!filter.excludes(&path("a/keep.o"), false));
    assert!(filter.excludes(&path("b.o"), false));
    assert!(!filter.excludes(&path("a"), true));
    assert!(filter.excludes(&path("a"), false));
    assert!(!filter.excludes(&RelPath::root(), true));
}

#[test]
fn a_file_of_rules_has_comments_prefixes_and_a_reset() {
    let mut rules = Rules::new();
    rules.exclude("forgotten");
    let file = b"!\n# comment\n; another\n\n+ *.c\r\n- *.d\nplain # not a comment";
    rules.exclude_lines(file, false).unwrap();
    let mut wanted = Rules::new();
    wanted.include("*.c");
    wanted.exclude("*.d");
    wanted.exclude("plain # not a comment");
    assert_eq!(rules, wanted);
    let mut marked = Rules::new();
    let file = b"\xef\xbb\xbf+ *.c\r\n*.d\r\nplain # not a comment";
    marked.exclude_lines(file, false).unwrap();
    assert_eq!(marked, wanted, "with a byte order mark");
    let mut nul = Rules::new();
    nul.exclude_lines(b"#a\0b\nc\0", true).unwrap();
    assert_eq!(nul.rules.len(), 2);
    assert!(
        nul.compile()
            .unwrap()
            .excludes(&RelPath::new("b\nc").unwrap(), false)
    );
}

#[test]
fn a_pattern_that_cannot_be_is_refused_with_its_text() {
    for pattern in [
        "",
        "/",
        "//",
        "+ ",
        "[",
        "a[b",
        "[[:alpha:",
        "[[:nope:]]",
        "[/]",
        "[ä]",
    ] {
        let mut rules = Rules::new();
        rules.exclude(pattern);
        let error = rules.compile().unwrap_err().to_string();
        let text = pattern.strip_prefix("+ ").unwrap_or(pattern);
        assert!(error.contains(&format!("{text:?}")), "{error}");
    }
    let error = Rules::new().exclude_lines(b"\xff", false).unwrap_err();
    assert!(error.to_string().contains("\\xff"), "{error}");
}
