//! What the tests of plans are made of: what stands somewhere, and what the manifest knows.

use crate::fs::{Kind, Stat};
use crate::manifest::{DestMeta, Done, Entry};
use crate::path::RelPath;

pub(super) fn stat(kind: Kind, size: u64, mtime_ns: i128) -> Stat {
    Stat {
        kind,
        size,
        allocated: size,
        mtime_ns,
        atime_ns: 0,
        ctime_ns: 1,
        mode: 0o644,
        uid: 0,
        gid: 0,
        dev: 1,
        ino: 2,
        nlink: 1,
    }
}

pub(super) fn dest_meta(mtime_ns: i128) -> DestMeta {
    DestMeta {
        mtime_ns: Some(mtime_ns),
        mode: 0o644,
        ..DestMeta::default()
    }
}

/// A finished file `f`.
pub(super) fn done(size: u64, mtime_ns: i128, dest_mtime_ns: i128) -> Entry {
    Entry::Done(Done {
        path: RelPath::new("f").unwrap(),
        size,
        mtime_ns,
        dest: dest_meta(dest_mtime_ns),
        hash: [0; 32],
        attempt: Some(0),
        chain: 0,
        ctimes: None,
        unsettled: false,
    })
}
