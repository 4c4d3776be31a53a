//! Which names may be one name to a file system that ignores case or Unicode normal form.
//!
//! File systems differ in their tables, so these keys only raise a suspicion; whether two names
//! are one is then asked of the file system.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

/// A key that is the same for any two names that some file system takes for one.
pub fn fold_key(name: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(name) {
        Ok(text) => text
            .nfd()
            .map(fold_char)
            .nfc()
            .collect::<String>()
            .into_bytes(),
        Err(_) => name.to_ascii_lowercase(),
    }
}

/// A key that is the same for two names that differ in case only, as FAT and exFAT have it.
pub fn case_key(name: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(name) {
        Ok(text) => text.chars().map(fold_char).collect::<String>().into_bytes(),
        Err(_) => name.to_ascii_lowercase(),
    }
}

/// One character for one: file systems fold by a table of single characters.
fn fold_char(c: char) -> char {
    let upper = only(c.to_uppercase()).unwrap_or(c);
    only(upper.to_lowercase()).unwrap_or(upper)
}

fn only(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next();
    first.filter(|_| chars.next().is_none())
}

/// Whether two names differ in their Unicode normal form at most.
pub fn same_spelling(a: &[u8], b: &[u8]) -> bool {
    a == b || composed(a) == composed(b)
}

fn composed(name: &[u8]) -> Cow<'_, [u8]> {
    match std::str::from_utf8(name) {
        Ok(text) => Cow::Owned(text.nfc().collect::<String>().into_bytes()),
        Err(_) => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_some_file_system_takes_for_one_have_one_key() {
        for (a, b) in [
            ("README", "readme"),
            ("\u{c9}t\u{e9}", "\u{e9}T\u{c9}"),
            ("\u{e9}", "e\u{301}"),
            ("E\u{301}", "\u{e9}"),
            ("\u{3a3}", "\u{3c2}"),
            ("\u{212a}elvin", "kelvin"),
        ] {
            assert_eq!(fold_key(a.as_bytes()), fold_key(b.as_bytes()), "{a} {b}");
        }
        for (a, b) in [("a", "b"), ("stra\u{df}e", "strasse"), ("e", "\u{e9}")] {
            assert_ne!(fold_key(a.as_bytes()), fold_key(b.as_bytes()), "{a} {b}");
        }
        assert_eq!(fold_key(b"CAF\xe9"), fold_key(b"caf\xe9"));
    }

    #[test]
    fn names_of_another_normal_form_differ_by_more_than_case() {
        assert_eq!(
            case_key("\u{c9}A".as_bytes()),
            case_key("\u{e9}a".as_bytes())
        );
        assert_ne!(
            case_key("\u{e9}".as_bytes()),
            case_key("e\u{301}".as_bytes())
        );
        assert_eq!(case_key(b"CAF\xe9"), case_key(b"caf\xe9"));
    }

    #[test]
    fn a_spelling_is_the_same_in_any_normal_form_but_not_in_any_case() {
        assert!(same_spelling("\u{e9}".as_bytes(), "e\u{301}".as_bytes()));
        assert!(!same_spelling(b"a", b"A"));
        assert!(same_spelling(b"\xff", b"\xff"));
    }
}
