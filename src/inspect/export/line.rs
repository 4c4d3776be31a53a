//! Lines as b3sum and sha256sum write them.

use super::LeftOut;
use crate::hash::{Hash32, to_hex};
use crate::path::RelPath;

/// A line of b3sum's, which knows no names but UTF-8.
pub(super) fn b3sum(hash: &Hash32, path: &RelPath) -> Result<Vec<u8>, LeftOut> {
    let not_utf8 = "its name is not UTF-8, for which b3sum's list has no form";
    let text = str::from_utf8(path.as_bytes()).map_err(|_| LeftOut::NotRepresentable(not_utf8))?;
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(LeftOut::NotRepresentable(
            "its name has U+FFFD in it, which b3sum's list takes for a name that is not UTF-8",
        ));
    }
    Ok(line(hash, path))
}

/// A line of sha256sum's, which takes names as they are.
pub(super) fn sha256(hash: &Hash32, path: &RelPath) -> Vec<u8> {
    line(hash, path)
}

fn line(hash: &Hash32, path: &RelPath) -> Vec<u8> {
    // By itself a dash would mean standard input.
    let path = match path.as_bytes() {
        b"-" => b"./-",
        path => path,
    };
    let mut line = Vec::with_capacity(path.len() + 70);
    if path.iter().any(|byte| b"\\\n\r".contains(byte)) {
        line.push(b'\\');
    }
    line.extend_from_slice(to_hex(hash).as_bytes());
    line.extend_from_slice(b"  ");
    for byte in path {
        match byte {
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            byte => line.push(*byte),
        }
    }
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(path: &[u8]) -> Option<String> {
        let line = b3sum(&[0xab; 32], &RelPath::new(path).unwrap()).ok()?;
        Some(
            String::from_utf8(line)
                .unwrap()
                .replace(&"ab".repeat(32), "H"),
        )
    }

    #[test]
    fn names_are_escaped_as_b3sum_escapes_them() {
        let plain = path_of("a b/\u{e9}  c".as_bytes());
        assert_eq!(plain.as_deref(), Some("H  a b/\u{e9}  c\n"));
        let escaped = path_of(b"a\\n\nb\rc");
        assert_eq!(escaped.as_deref(), Some("\\H  a\\\\n\\nb\\rc\n"));
        assert_eq!(path_of(b"-").as_deref(), Some("H  ./-\n"));
        assert_eq!(path_of(b"d/-").as_deref(), Some("H  d/-\n"));
    }

    #[test]
    fn names_that_b3sum_refuses_have_no_line_there_and_one_in_sha256sums_list() {
        assert_eq!(path_of(b"\xff"), None);
        assert_eq!(path_of("\u{fffd}".as_bytes()), None);
        let path = RelPath::new(&b"caf\xe9"[..]).unwrap();
        assert!(sha256(&[0; 32], &path).ends_with(b"  caf\xe9\n"));
    }
}
