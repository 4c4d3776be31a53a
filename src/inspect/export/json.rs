//! One JSON object an entry, as `docs/JSON.md` describes them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::hash::to_hex;
use crate::manifest::{Done, Entry};
use crate::path::RelPath;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    File {
        #[serde(flatten)]
        path: Path,
        size: u64,
        mtime_ns: i128,
        blake3: String,
        /// The name that it shares its inode with.
        #[serde(skip_serializing_if = "Option::is_none")]
        link_to: Option<String>,
    },
    Dir {
        #[serde(flatten)]
        path: Path,
    },
    Symlink {
        #[serde(flatten)]
        path: Path,
        target: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        target_bytes: Option<String>,
    },
}

#[derive(Serialize)]
struct Path {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
}

/// Bytes as text; exact as base64 beside it if that loses something.
fn text(bytes: &[u8]) -> (String, Option<String>) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let exact = text.as_bytes() == bytes;
    let bytes = (!exact).then(|| STANDARD.encode(bytes));
    (text, bytes)
}

/// The line of an entry; `done` is the file that it is or links to. `None`: it is not finished.
pub(super) fn line(path: &RelPath, entry: &Entry, done: Option<&Done>) -> Option<Vec<u8>> {
    let (path, path_bytes) = text(match path.is_root() {
        true => b".",
        false => path.as_bytes(),
    });
    let path = Path { path, path_bytes };
    let line = match (entry, done) {
        (_, Some(done)) => Line::File {
            path,
            size: done.size,
            mtime_ns: done.dest_mtime_ns(),
            blake3: to_hex(&done.hash),
            link_to: match entry {
                Entry::Link(link) => Some(text(link.to.as_bytes()).0),
                _ => None,
            },
        },
        (Entry::Symlink(link), None) => {
            let (target, target_bytes) = text(&link.target);
            Line::Symlink {
                path,
                target,
                target_bytes,
            }
        }
        (Entry::Dir(_), None) => Line::Dir { path },
        _ => return None,
    };
    let mut line = serde_json::to_vec(&line).ok()?;
    line.push(b'\n');
    Some(line)
}
