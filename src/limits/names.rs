//! Which names a file system takes.

use std::fmt;

/// The bytes that Windows forbids in names, beside control characters.
const WINDOWS_CHARS: &[u8] = b"\"*:<>?\\|";

/// The longest name where names are kept as UTF-16.
pub(super) const UTF16_MAX: u64 = 255;

/// The rules for one name. Each field that is a flag says that such names are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRules {
    /// Bytes, of ASCII, that no name may contain.
    pub chars: Vec<u8>,
    /// No control characters.
    pub controls: bool,
    /// No dot at the end.
    pub trailing_dot: bool,
    /// No blank at the end.
    pub trailing_space: bool,
    /// None of the names of devices: CON, NUL, COM1 and so on, whatever their ending.
    pub reserved: bool,
    /// Nothing but Unicode.
    pub unicode: bool,
    /// The longest name.
    pub max: NameMax,
}

/// How long a name may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameMax {
    /// So many bytes.
    Bytes(u64),
    /// So many 16-bit units of UTF-16.
    Utf16(u64),
}

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameProblem {
    /// A character that is not allowed.
    Char(char),
    /// A control character.
    Control,
    /// A dot at the end.
    TrailingDot,
    /// A blank at the end.
    TrailingSpace,
    /// The name of a device.
    Reserved,
    /// Not valid UTF-8.
    NotUnicode,
    /// Too long.
    TooLong {
        /// How long it is.
        has: u64,
        /// How long it may be.
        max: NameMax,
    },
}

impl NameRules {
    /// Anything of that length.
    pub fn any(max: NameMax) -> NameRules {
        NameRules {
            chars: Vec::new(),
            controls: false,
            trailing_dot: false,
            trailing_space: false,
            reserved: false,
            unicode: false,
            max,
        }
    }

    /// What exfat-fuse refuses. It makes files with a dot or a blank at the end.
    pub fn fuse_exfat() -> NameRules {
        NameRules {
            trailing_dot: false,
            trailing_space: false,
            ..NameRules::fat()
        }
    }

    /// What Linux refuses on NTFS, unless it is told to take what Windows can open only.
    pub fn ntfs() -> NameRules {
        NameRules {
            unicode: true,
            ..NameRules::any(NameMax::Utf16(UTF16_MAX))
        }
    }

    /// What Linux refuses on FAT and exFAT, or changes.
    pub fn fat() -> NameRules {
        NameRules {
            reserved: false,
            ..NameRules::windows()
        }
    }

    /// What Windows can open.
    pub fn windows() -> NameRules {
        NameRules {
            chars: WINDOWS_CHARS.to_vec(),
            controls: true,
            trailing_dot: true,
            trailing_space: true,
            reserved: true,
            unicode: true,
            max: NameMax::Utf16(UTF16_MAX),
        }
    }

    /// Each byte that some file system refuses, for trying.
    pub fn suspicious_chars() -> &'static [u8] {
        WINDOWS_CHARS
    }

    /// What is wrong with `name`, the first thing that is.
    pub fn check(&self, name: &[u8]) -> Option<NameProblem> {
        let text = std::str::from_utf8(name);
        if self.unicode && text.is_err() {
            return Some(NameProblem::NotUnicode);
        }
        if let Some(byte) = name.iter().find(|byte| self.chars.contains(byte)) {
            return Some(NameProblem::Char(char::from(*byte)));
        }
        if self.controls && name.iter().any(|byte| *byte < b' ') {
            return Some(NameProblem::Control);
        }
        if self.trailing_dot && name.ends_with(b".") {
            return Some(NameProblem::TrailingDot);
        }
        if self.trailing_space && name.ends_with(b" ") {
            return Some(NameProblem::TrailingSpace);
        }
        if self.reserved && is_reserved(name) {
            return Some(NameProblem::Reserved);
        }
        let (has, most) = match self.max {
            NameMax::Bytes(max) => (name.len() as u64, max),
            NameMax::Utf16(max) => {
                let units = String::from_utf8_lossy(name).encode_utf16().count();
                (units as u64, max)
            }
        };
        let max = self.max;
        (has > most).then_some(NameProblem::TooLong { has, max })
    }
}

/// Whether a name is that of a device to DOS and Windows, with or without an ending.
fn is_reserved(name: &[u8]) -> bool {
    let stem = name.split(|byte| *byte == b'.').next().unwrap_or_default();
    let stem = stem.trim_ascii_end().to_ascii_uppercase();
    matches!(
        &stem[..],
        b"CON"
            | b"PRN"
            | b"AUX"
            | b"NUL"
            | [b'C', b'O', b'M', b'1'..=b'9']
            | [b'L', b'P', b'T', b'1'..=b'9']
    )
}

impl NameProblem {
    /// What several names of this kind have in common, as a heading.
    pub(super) fn heading(&self) -> &'static str {
        match self {
            NameProblem::Char(_) => "names with characters that it forbids",
            NameProblem::Control => "names with control characters, which it forbids",
            NameProblem::TrailingDot => "names that end in a dot, which it drops or forbids",
            NameProblem::TrailingSpace => "names that end in a blank, which it drops or forbids",
            NameProblem::Reserved => "names that are reserved for devices",
            NameProblem::NotUnicode => "names that are not UTF-8",
            NameProblem::TooLong { .. } => "names that are too long",
        }
    }
}

impl fmt::Display for NameProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameProblem::Char(char) => write!(f, "no name can contain {char} there"),
            NameProblem::Control => f.write_str("no name can contain control characters there"),
            NameProblem::TrailingDot => f.write_str("no name can end in a dot there"),
            NameProblem::TrailingSpace => f.write_str("no name can end in a blank there"),
            NameProblem::Reserved => f.write_str("its name is reserved for a device there"),
            NameProblem::NotUnicode => {
                f.write_str("its name is not UTF-8, as names have to be there")
            }
            NameProblem::TooLong { has, max } => match max {
                NameMax::Bytes(max) => {
                    write!(
                        f,
                        "its name has {has} bytes, and at most {max} are possible there"
                    )
                }
                NameMax::Utf16(max) => {
                    write!(
                        f,
                        "its name has {has} UTF-16 units, and at most {max} are possible there"
                    )
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_names_are_told_from_those_that_only_linux_takes() {
        use NameProblem::*;
        let long = |units: &str, times: usize| units.repeat(times).into_bytes();
        let table: [(&[u8], Option<NameProblem>); 25] = [
            (b"plain.txt", None),
            (b"with blank and .dot", None),
            (b".hidden", None),
            ("\u{e9}t\u{e9} \u{1f600}".as_bytes(), None),
            (b"a:b", Some(Char(':'))),
            (b"what?", Some(Char('?'))),
            (b"back\\slash", Some(Char('\\'))),
            (b"new\nline", Some(Control)),
            (b"bell\x07", Some(Control)),
            (b"delete\x7f", None),
            (b"dot.", Some(TrailingDot)),
            (b"...", Some(TrailingDot)),
            (b"blank ", Some(TrailingSpace)),
            (b"CON", Some(Reserved)),
            (b"con.txt", Some(Reserved)),
            (b"Nul.tar.gz", Some(Reserved)),
            (b"com1", Some(Reserved)),
            (b"lpt9.x", Some(Reserved)),
            (b"com0", None),
            (b"com10", None),
            (b"console", None),
            (b"a.con", None),
            (b"caf\xe9", Some(NotUnicode)),
            (b"\xed\xa0\x80", Some(NotUnicode)),
            (b"", None),
        ];
        for (name, problem) in table {
            let text = String::from_utf8_lossy(name);
            assert_eq!(NameRules::windows().check(name), problem, "{text:?}");
            let any = NameRules::any(NameMax::Bytes(255));
            assert_eq!(any.check(name), None, "{text:?}");
        }
        let max = NameMax::Utf16(255);
        for (name, has) in [
            (long("x", 255), None),
            (long("x", 256), Some(256)),
            (long("\u{e9}", 255), None),
            (long("\u{1f600}", 127), None),
            (long("\u{1f600}", 128), Some(256)),
        ] {
            let expected = has.map(|has| TooLong { has, max });
            assert_eq!(NameRules::windows().check(&name), expected);
        }
    }

    #[test]
    fn bytes_are_counted_where_bytes_are_the_limit() {
        let rules = NameRules::any(NameMax::Bytes(255));
        assert_eq!(rules.check(&[b'x'; 255]), None);
        assert_eq!(rules.check("\u{e9}".repeat(127).as_bytes()), None);
        let max = NameMax::Bytes(255);
        let too_long = Some(NameProblem::TooLong { has: 256, max });
        assert_eq!(rules.check("\u{e9}".repeat(128).as_bytes()), too_long);
    }
}
