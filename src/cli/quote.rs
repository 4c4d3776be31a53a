//! Quoting for a POSIX shell, so that a printed command can be pasted and run again.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// The command `argv` once more, to continue what it began: without `--restart`, which would
/// throw away the progress that the rerun is to build on.
pub(crate) fn rerun(argv: &[OsString]) -> String {
    let mut options_over = false;
    let kept = argv.iter().filter(|arg| {
        options_over |= *arg == "--";
        options_over || *arg != "--restart"
    });
    command(kept.map(OsString::as_os_str))
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
    (' '..='~').contains(&c) || c.is_alphanumeric()
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
    fn a_rerun_does_not_restart() {
        let argv = ["sprag", "copy", "--restart", "a", "--", "--restart"].map(OsString::from);
        assert_eq!(rerun(&argv), "sprag copy a -- --restart");
        let argv = [OsString::from("sprag"), OsString::from_vec(vec![0xff])];
        assert_eq!(rerun(&argv), r"sprag $'\377'");
    }
}
