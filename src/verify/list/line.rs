//! The lines of checksum lists, as b3sum, sha256sum and their like write and read them.
//!
//! ```text
//! HASH  NAME          two spaces, or a space and `*`
//! \HASH  NAME         in NAME, `\\` is a backslash, `\n` a line feed, `\r` a carriage return
//! BLAKE3 (NAME) = HASH    SHA256 (NAME) = HASH    with `--tag`, escaped the same way
//! ```
//!
//! The rules are those of b3sum: a name with U+FFFD in it was not UTF-8 when the list was made and
//! stands for no file. Names are relative to the tree, and none may lead out of it.

use crate::hash::Hash32;
use crate::path::{RelPath, RelPathError};
use crate::verify::rehash::Algorithm;

const HEX_DIGITS: usize = 64;
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();
const TAGS: [(&[u8], Algorithm); 2] = [
    (b"BLAKE3 (", Algorithm::Blake3),
    (b"SHA256 (", Algorithm::Sha256),
];

/// One file of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) path: RelPath,
    pub(crate) hash: Hash32,
    /// What the hash is, if the line says so: both have 64 digits.
    pub(crate) by: Option<Algorithm>,
}

/// Why a line cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LineError {
    #[error("it is no hash and name as b3sum and sha256sum write them")]
    Form,
    #[error("its name has an escape other than \\\\, \\n and \\r")]
    Escape,
    #[error("the name was not UTF-8 when the list was made, so what stands there names no file")]
    Replaced,
    #[error("{0}")]
    Path(#[from] RelPathError),
    #[error("it is longer than a line of a list can be")]
    TooLong,
}

/// Reads one line, without its line feed. `None`: it is empty or a comment.
pub(crate) fn parse(line: &[u8]) -> Result<Option<Listed>, LineError> {
    // Lists that went through Windows; a name's own carriage return is escaped.
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() || line[0] == b'#' {
        return Ok(None);
    }
    let (escaped, rest) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (name, digits, by) = tagged(rest)
        .or_else(|| plain(rest))
        .ok_or(LineError::Form)?;
    let hash = from_hex(digits).ok_or(LineError::Form)?;
    let name = match escaped {
        true => unescaped(name)?,
        false => name.to_vec(),
    };
    if name.windows(REPLACEMENT.len()).any(|at| at == REPLACEMENT) {
        return Err(LineError::Replaced);
    }
    let path = relative(&name)?;
    Ok(Some(Listed { path, hash, by }))
}

fn tagged(line: &[u8]) -> Option<(&[u8], &[u8], Option<Algorithm>)> {
    TAGS.iter().find_map(|(tag, by)| {
        let rest = line.strip_prefix(*tag)?;
        let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(HEX_DIGITS)?)?;
        Some((rest.strip_suffix(b") = ")?, digits, Some(*by)))
    })
}

fn plain(line: &[u8]) -> Option<(&[u8], &[u8], Option<Algorithm>)> {
    let (digits, rest) = line.split_at_checked(HEX_DIGITS)?;
    let name = rest.strip_prefix(b"  ").or(rest.strip_prefix(b" *"))?;
    Some((name, digits, None))
}

fn from_hex(digits: &[u8]) -> Option<Hash32> {
    let mut hash = [0; 32];
    if digits.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        // Two digits of four bits each.
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(hash)
}

fn unescaped(name: &[u8]) -> Result<Vec<u8>, LineError> {
    let mut plain = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'\\') => b'\\',
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                _ => return Err(LineError::Escape),
            },
            byte => *byte,
        });
    }
    Ok(plain)
}

/// `./a//b` is `a/b`: such names are what `find` and shells give to the tools.
fn relative(name: &[u8]) -> Result<RelPath, LineError> {
    if name.first() == Some(&b'/') {
        return Err(RelPathError::Absolute.into());
    }
    let mut path = RelPath::root();
    for part in name.split(|byte| *byte == b'/') {
        if !part.is_empty() && part != b"." {
            path = path.join(part)?;
        }
    }
    match path.is_root() {
        true => Err(RelPathError::Component.into()),
        false => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

    fn read(line: &[u8]) -> Result<(String, Option<Algorithm>), LineError> {
        let line = String::from_utf8_lossy(line).replace('@', HEX);
        let listed = parse(line.as_bytes())?.expect("a file");
        assert_eq!(listed.hash[..3], [0x00, 0x11, 0x22]);
        assert_eq!(listed.hash[31], 0xff);
        let path = String::from_utf8(listed.path.as_bytes().to_vec()).unwrap();
        Ok((path, listed.by))
    }

    #[test]
    fn the_forms_of_b3sum_and_sha256sum_are_read() {
        for (line, path, by) in [
            (&b"@  a b/c"[..], "a b/c", None),
            (b"@ *a", "a", None),
            (b"@   a", " a", None),
            (b"@  ./a//b/./c\r", "a/b/c", None),
            (b"\\@  a\\\\n\\nb\\rc", "a\\n\nb\rc", None),
            (b"@  a\\nb", "a\\nb", None),
            (b"BLAKE3 (a) b) = @", "a) b", Some(Algorithm::Blake3)),
            (b"SHA256 (a) = @", "a", Some(Algorithm::Sha256)),
            (b"\\BLAKE3 (a\\nb) = @", "a\nb", Some(Algorithm::Blake3)),
        ] {
            assert_eq!(read(line), Ok((path.to_string(), by)), "{line:?}");
        }
    }

    #[test]
    fn what_no_tool_writes_is_refused() {
        for (line, error) in [
            (&b"@"[..], LineError::Form),
            (b"@ ", LineError::Form),
            (b"@ a", LineError::Form),
            (b"xyz", LineError::Form),
            (b"MD5 (a) = @", LineError::Form),
            (
                b"g0112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF  a",
                LineError::Form,
            ),
            (b"\\@  a\\tb", LineError::Escape),
            (b"\\@  a\\", LineError::Escape),
            ("@  caf\u{fffd}".as_bytes(), LineError::Replaced),
            (b"@  /etc/passwd", RelPathError::Absolute.into()),
            (b"@  a/../../b", RelPathError::Component.into()),
            (b"@  ./", RelPathError::Component.into()),
            (b"@  a\0b", RelPathError::Component.into()),
        ] {
            assert_eq!(read(line), Err(error), "{line:?}");
        }
        assert_eq!(parse(b""), Ok(None));
        assert_eq!(parse(b"# made by hand"), Ok(None));
    }

    #[test]
    fn names_that_are_not_utf8_are_taken_as_they_are() {
        let mut line = HEX.as_bytes().to_vec();
        line.extend_from_slice(b"  caf\xe9");
        let listed = parse(&line).unwrap().unwrap();
        assert_eq!(listed.path.as_bytes(), b"caf\xe9");
    }
}
