//! Quoting for a POSIX shell, so that a printed command can be pasted and run again.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sprag::path::is_hidden;

/// A command line, to be printed so that it continues what it began: without `--restart` and `--new`,
/// which would throw away the progress that the rerun is to build on, or begin where no drive is.
#[derive(Debug, Clone)]
pub(crate) struct Rerun {
    argv: Vec<OsString>,
    /// Its options, as words of a command line.
    pub(crate) options: Vec<OsString>,
}

impl Rerun {
    pub(crate) fn new(argv: &[OsString], mut options: Vec<OsString>) -> Rerun {
        let begins_anew = |word: &OsString| word == "--restart" || word == "--new";
        let mut options_over = false;
        let kept = argv.iter().filter(|arg| {
            options_over |= *arg == "--";
            options_over || !begins_anew(arg)
        });
        options.retain(|word| !begins_anew(word));
        Rerun {
            argv: kept.cloned().collect(),
            options,
        }
    }

    /// The same with a destination that was found at another path.
    pub(crate) fn at(&self, dest: &Path, now: &Path) -> Rerun {
        let mut argv = self.argv.clone();
        // DEST is the last of its name: the others are sources.
        if let Some(arg) = argv.iter_mut().rev().find(|arg| *arg == dest.as_os_str()) {
            *arg = now.as_os_str().to_owned();
        }
        Rerun {
            argv,
            options: self.options.clone(),
        }
    }
}

impl fmt::Display for Rerun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&command(self.argv.iter().map(OsString::as_os_str)))
    }
}

/// Builds a command with options and operands. No operand can be taken for an option.
pub(crate) fn with_operands(
    command: [&str; 2],
    options: &[OsString],
    operands: &[&OsStr],
) -> String {
    let is_option = |word: &&OsStr| word.as_bytes().starts_with(b"-");
    let over = operands.iter().any(is_option).then_some(OsStr::new("--"));
    let options = options.iter().map(OsString::as_os_str);
    let words = command.into_iter().map(OsStr::new);
    let words = words.chain(options).chain(over);
    self::command(words.chain(operands.iter().copied()))
}

/// Words, each quoted if it needs it, with spaces between.
pub(crate) fn command<'a>(words: impl IntoIterator<Item = &'a OsStr>) -> String {
    let words: Vec<String> = words.into_iter().map(word).collect();
    words.join(" ")
}

/// One word. What a terminal would act on, and what is not UTF-8, becomes `$'\NNN'` in octal, as
/// POSIX has it since 2024 and bash, zsh and ksh since long before.
fn word(word: &OsStr) -> String {
    match word.to_str() {
        Some(text) if !text.is_empty() && text.bytes().all(is_plain) => text.to_owned(),
        Some(text) if text.chars().all(is_visible) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => escaped(word.as_bytes()),
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut quoted = String::from("$'");
    for byte in bytes {
        match byte {
            b'\'' | b'\\' => quoted.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => quoted.push(char::from(*byte)),
            _ => quoted.push_str(&format!("\\{byte:03o}")),
        }
    }
    quoted.push('\'');
    quoted
}

/// Bytes that mean nothing to a shell wherever they stand.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._-+=:,@%".contains(&byte)
}

/// Letters and the like of any script; beyond ASCII nothing that could hide or reorder text.
fn is_visible(c: char) -> bool {
    (' '..='~').contains(&c) || (c.is_alphanumeric() && !is_hidden(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    const ODD: [&[u8]; 10] = [
        b"plain/path-1.0",
        b"",
        b"two words",
        b"it's",
        b"$HOME `id` \\ \"x\" !",
        b"~",
        "\u{fc}ber \u{202e}x".as_bytes(),
        b"line\nbreak\x1b[2J",
        b"caf\xe9'\\",
        b"--restart",
    ];

    #[test]
    fn words_are_quoted_only_where_needed() {
        let quoted: Vec<String> = ODD.iter().map(|w| word(OsStr::from_bytes(w))).collect();
        assert_eq!(
            quoted,
            [
                "plain/path-1.0",
                "''",
                "'two words'",
                r"'it'\''s'",
                r#"'$HOME `id` \ "x" !'"#,
                "'~'",
                r"$'\303\274ber \342\200\256x'",
                r"$'line\012break\033[2J'",
                r"$'caf\351\'\\'",
                "--restart",
            ]
        );
    }

    #[test]
    fn bash_reads_back_what_was_quoted() {
        let line = command(ODD.iter().map(|w| OsStr::from_bytes(w)));
        let script = format!("printf '%s\\0' {line}");
        let Ok(output) = std::process::Command::new("bash")
            .args(["-c", &script])
            .output()
        else {
            return; // No bash here; the exact texts are pinned above.
        };
        let mut expected = ODD.join(&b"\0"[..]);
        expected.push(0);
        assert_eq!(output.stdout, expected);
    }

    #[test]
    fn what_a_stranger_names_is_no_option_and_hides_nothing() {
        let words = ["--delete", "/a\u{115f}b"].map(OsStr::new);
        let options = [OsString::from("--exclude=a b")];
        let command = with_operands(["sprag", "copy"], &options, &words);
        let expected = r"sprag copy '--exclude=a b' -- --delete $'/a\341\205\237b'";
        assert_eq!(command, expected);
        assert_eq!(
            with_operands(["sprag", "verify"], &[], &[OsStr::new("a")]),
            "sprag verify a"
        );
    }

    #[test]
    fn a_rerun_neither_restarts_nor_begins_afresh_and_names_the_place_of_the_drive() {
        let argv = ["sprag", "copy", "--restart", "--new", "a", "--", "--new"].map(OsString::from);
        let options = ["--restart", "--delete"].map(OsString::from);
        let rerun = Rerun::new(&argv, options.to_vec());
        assert_eq!(rerun.to_string(), "sprag copy a -- --new");
        assert_eq!(rerun.options, ["--delete"]);
        let moved = rerun.at(Path::new("--new"), Path::new("/mnt/b c"));
        assert_eq!(moved.to_string(), "sprag copy a -- '/mnt/b c'");
        let argv = [OsString::from("sprag"), OsString::from_vec(vec![0xff])];
        assert_eq!(Rerun::new(&argv, Vec::new()).to_string(), r"sprag $'\377'");
    }
}
