//! The lines of checksum lists, as the tools write them that people use, and as hands and other systems
//! leave them.
//!
//! ```text
//! HASH  NAME              b3sum, sha256sum, shasum, openssl dgst -r: two blanks, or a blank and `*`
//! HASH NAME               sha256 -r of the BSDs: one blank; or a tab, or several of either
//! \HASH  NAME             in NAME, `\\` is a backslash, `\n` a line feed, `\r` a carriage return
//! SHA256 (NAME) = HASH    with `--tag`, sha256 of the BSDs, cksum -a; escaped the same way
//! SHA2-256(NAME)= HASH    openssl dgst
//! # TEXT, ; TEXT          comments
//! ```
//!
//! What a name is may be said in more than one way: a blank in front of it may belong to it, a backslash
//! may be a separator of Windows. So a line gives several paths, the likeliest first, and what is there
//! decides. A name with U+FFFD in it was not UTF-8 when the list was made, as b3sum has it, and stands for
//! no file. Names are relative to the tree, or absolute and below it, and none may lead out of it.

use std::path::{Path, PathBuf};

use crate::fs::source;
use crate::hash::Hash32;
use crate::path::{RelPath, RelPathError, bytes_below};
use crate::verify::rehash::Algorithm;

const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();
/// What a hash is that has so many digits, if the line does not say so.
const BY_DIGITS: [(usize, &str); 6] = [
    (32, "MD5"),
    (40, "SHA-1"),
    (56, "SHA-224"),
    (64, ""),
    (96, "SHA-384"),
    (128, "SHA-512 or BLAKE2b"),
];
const HEX_DIGITS: usize = 64;

/// A file of a list, before it is known which of its possible names it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The likeliest first; at least one.
    pub(crate) paths: Vec<RelPath>,
    pub(crate) hash: Hash32,
    /// What the hash is, if the line says so: both have 64 digits.
    pub(crate) by: Option<Algorithm>,
}

/// Why a line cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LineError {
    #[error("it is no hash and name as b3sum, sha256sum or openssl write them")]
    Form,
    #[error("its hash is {0}, and only BLAKE3 and SHA-256 are compared")]
    Algorithm(String),
    #[error("its name has an escape other than \\\\, \\n and \\r")]
    Escape,
    #[error("the name was not UTF-8 when the list was made, so what stands there names no file")]
    Replaced,
    #[error("{0}")]
    Path(#[from] RelPathError),
    #[error("it is longer than a line of a list can be")]
    TooLong,
}

/// The tree that names are relative to, by the paths that it may have in them.
#[derive(Debug)]
pub(super) struct Tree {
    paths: Vec<PathBuf>,
}

impl Tree {
    pub(super) fn at(dest: &Path) -> Tree {
        let mut paths = vec![source::absolute(dest)];
        paths.extend(source::canonicalize(dest));
        Tree { paths }
    }

    /// What is left of an absolute path below the tree.
    pub(super) fn below<'a>(&self, path: &'a Path) -> Option<&'a [u8]> {
        self.paths.iter().find_map(|tree| bytes_below(path, tree))
    }

    /// `./a//b` is `a/b`: such names are what `find` and shells give to the tools.
    fn relative(&self, name: &[u8]) -> Result<RelPath, LineError> {
        let below = match name.first() {
            Some(b'/') => self.below(as_path(name)).ok_or(RelPathError::Absolute)?,
            _ => name,
        };
        let mut path = RelPath::root();
        for part in below.split(|byte| *byte == b'/') {
            if !part.is_empty() && part != b"." {
                path = path.join(part)?;
            }
        }
        match path.is_root() {
            true => Err(RelPathError::Component.into()),
            false => Ok(path),
        }
    }
}

fn as_path(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// Reads one line, without its line feed. `None`: it is empty or a comment.
pub(super) fn parse(line: &[u8], tree: &Tree) -> Result<Option<Line>, LineError> {
    // Lists that went through Windows; a name's own carriage return is escaped.
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = without_blanks(line);
    if matches!(line.first(), None | Some(b'#' | b';')) {
        return Ok(None);
    }
    let (escaped, rest) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let parts = plain(rest).or_else(|| tagged(rest));
    let Parts { names, digits, by } = parts.ok_or(LineError::Form)?;
    let by = algorithm(by, digits)?;
    let hash = from_hex(digits).ok_or(LineError::Form)?;
    let mut paths = Vec::new();
    for (nth, name) in possible(&names, escaped)?.iter().enumerate() {
        match tree.relative(name) {
            Ok(path) if paths.contains(&path) => {}
            Ok(path) => paths.push(path),
            // A name that leads out of the tree is not made good by another reading of it.
            Err(error) if nth == 0 => return Err(error),
            Err(_) => {}
        }
    }
    Ok(Some(Line { paths, hash, by }))
}

/// What a line consists of.
struct Parts<'a> {
    /// The name, the likeliest reading of it first.
    names: Vec<&'a [u8]>,
    digits: &'a [u8],
    /// What the hash is.
    by: Option<&'a [u8]>,
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The text behind the blanks that it begins with.
fn without_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| is_blank(**byte)).count();
    &text[blanks..]
}

fn plain(line: &[u8]) -> Option<Parts<'_>> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let (digits, rest) = line.split_at(digits.count());
    let is_hash = BY_DIGITS.iter().any(|(many, _)| *many == digits.len());
    if !is_hash || !rest.first().is_some_and(|byte| is_blank(*byte)) {
        return None;
    }
    let gnu = rest.strip_prefix(b"  ").or(rest.strip_prefix(b" *"));
    let bare = without_blanks(rest);
    let readings = [gnu, Some(&rest[1..]), bare.strip_prefix(b"*"), Some(bare)];
    let names = readings.into_iter().flatten();
    let names: Vec<&[u8]> = names.filter(|name| !name.is_empty()).collect();
    let by = None;
    (!names.is_empty()).then_some(Parts { names, digits, by })
}

fn tagged(line: &[u8]) -> Option<Parts<'_>> {
    let open = line.iter().position(|byte| *byte == b'(')?;
    let close = line.iter().rposition(|byte| *byte == b')')?;
    let by = line[..open].strip_suffix(b" ").unwrap_or(&line[..open]);
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_/".contains(byte);
    let name = line.get(open + 1..close)?;
    let digits = without_blanks(without_blanks(&line[close + 1..]).strip_prefix(b"=")?);
    let is_one = !by.is_empty() && by.iter().all(is_word) && !name.is_empty() && !digits.is_empty();
    (is_one && digits.iter().all(u8::is_ascii_hexdigit)).then_some(Parts {
        names: vec![name],
        digits,
        by: Some(by),
    })
}

/// What a hash is by its tag, or by its length. `None`: it may be either.
fn algorithm(tag: Option<&[u8]>, digits: &[u8]) -> Result<Option<Algorithm>, LineError> {
    let other = |name: &str| Err(LineError::Algorithm(name.to_owned()));
    match tag {
        Some(b"BLAKE3") => Ok(Some(Algorithm::Blake3)),
        Some(b"SHA256" | b"SHA2-256" | b"SHA-256") => Ok(Some(Algorithm::Sha256)),
        Some(tag) => other(&String::from_utf8_lossy(tag)),
        None => match BY_DIGITS.iter().find(|(many, _)| *many == digits.len()) {
            Some((HEX_DIGITS, _)) | None => Ok(None),
            Some((_, name)) => other(name),
        },
    }
}

/// The names that may be meant, the likeliest first: those with separators of Windows come last.
fn possible(readings: &[&[u8]], escaped: bool) -> Result<Vec<Vec<u8>>, LineError> {
    let mut names = Vec::with_capacity(2 * readings.len());
    for name in readings {
        let name = match escaped {
            true => unescaped(name)?,
            false => name.to_vec(),
        };
        if name.windows(REPLACEMENT.len()).any(|at| at == REPLACEMENT) {
            return Err(LineError::Replaced);
        }
        names.push(name);
    }
    for nth in 0..names.len() {
        if names[nth].contains(&b'\\') {
            let slashes = |byte: &u8| if *byte == b'\\' { b'/' } else { *byte };
            names.push(names[nth].iter().map(slashes).collect());
        }
    }
    Ok(names)
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

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

    /// The paths that a line gives, joined by `|`.
    fn read(line: &[u8]) -> Result<(String, Option<Algorithm>), LineError> {
        let line = String::from_utf8_lossy(line).replace('@', HEX);
        let tree = Tree::at(Path::new("/mnt/drive"));
        let line = parse(line.as_bytes(), &tree)?.expect("a file");
        assert_eq!(line.hash[..3], [0x00, 0x11, 0x22]);
        assert_eq!(line.hash[31], 0xff);
        let paths = line.paths.iter().map(|path| path.as_bytes());
        let paths = paths.map(|path| String::from_utf8(path.to_vec()).unwrap());
        Ok((paths.collect::<Vec<_>>().join("|"), line.by))
    }

    #[test]
    fn every_reading_of_a_name_is_kept_the_likeliest_first() {
        let (blake3, sha256) = (Some(Algorithm::Blake3), Some(Algorithm::Sha256));
        for (line, paths, by) in [
            (&b"@  a b/c"[..], "a b/c| a b/c", None),
            (b"@ *a", "a|*a", None),
            (b"@   a", " a|  a|a", None),
            (b"@ a", "a", None),
            (b"@\ta", "a", None),
            (b"@\t*a", "*a|a", None),
            (b"@ \t  a", "\t  a|a", None),
            (b"  @  a", "a| a", None),
            (b"@ ./a//b/./c\r", "a/b/c", None),
            (b"@ /mnt/drive/a/b", "a/b", None),
            (b"@ .\\a\\b", ".\\a\\b|a/b", None),
            (b"\\@ a\\\\b", "a\\b|a/b", None),
            (b"\\@ a\\\\n\\nb\\rc", "a\\n\nb\rc|a/n\nb\rc", None),
            (b"@ a\\nb", "a\\nb|a/nb", None),
            (b"BLAKE3 (a) b) = @", "a) b", blake3),
            (b"SHA256 (a) = @", "a", sha256),
            (b"SHA256(a)= @", "a", sha256),
            (b"SHA2-256(a)= @", "a", sha256),
            (b"\\BLAKE3 (a\\nb) = @", "a\nb", blake3),
            (b"SHA256 (/mnt/drive/a) = @\r", "a", sha256),
        ] {
            let line_text = String::from_utf8_lossy(line);
            assert_eq!(read(line), Ok((paths.to_string(), by)), "{line_text}");
        }
    }

    #[test]
    fn what_no_tool_writes_is_refused() {
        let other = |name: &str| LineError::Algorithm(name.to_owned());
        let md5 = "0cc175b9c0f1b6a831c399e269772661";
        for (line, error) in [
            (&b"@"[..], LineError::Form),
            (b"@ ", LineError::Form),
            (b"@a", LineError::Form),
            (b"xyz", LineError::Form),
            (b"1220704766 1 a", LineError::Form),
            (b"MD5 (a) = @", other("MD5")),
            (b"BLAKE2B-512(a)= @", other("BLAKE2B-512")),
            (format!("{md5}  a").as_bytes(), other("MD5")),
            (
                format!("{md5}{md5}{md5}{md5}  a").as_bytes(),
                other("SHA-512 or BLAKE2b"),
            ),
            (b"SHA256 (a) = 0123", LineError::Form),
            (
                b"g0112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF  a",
                LineError::Form,
            ),
            (b"\\@  a\\tb", LineError::Escape),
            (b"\\@  a\\", LineError::Escape),
            ("@  caf\u{fffd}".as_bytes(), LineError::Replaced),
            (b"@ /etc/passwd", RelPathError::Absolute.into()),
            (b"@ /mnt/drives/a", RelPathError::Absolute.into()),
            (b"@  ../a", RelPathError::Component.into()),
            (b"@ a/../../b", RelPathError::Component.into()),
            (b"@ ./", RelPathError::Component.into()),
            (b"@ a\0b", RelPathError::Component.into()),
        ] {
            let line_text = String::from_utf8_lossy(line);
            assert_eq!(read(line), Err(error), "{line_text}");
        }
        let tree = Tree::at(Path::new("/mnt/drive"));
        for line in [
            &b""[..],
            b" \t",
            b"\r",
            b"# made by hand",
            b"; made by hand",
            b"  # x",
        ] {
            assert_eq!(parse(line, &tree), Ok(None));
        }
    }

    #[test]
    fn names_that_are_not_utf8_are_taken_as_they_are() {
        let mut line = HEX.as_bytes().to_vec();
        line.extend_from_slice(b" caf\xe9");
        let line = parse(&line, &Tree::at(Path::new("/mnt/drive")))
            .unwrap()
            .unwrap();
        assert_eq!(line.paths[0].as_bytes(), b"caf\xe9");
    }
}
