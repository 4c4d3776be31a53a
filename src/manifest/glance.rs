//! What is taken from a record when a manifest is opened: of nearly all of them, that some path has
//! now a record of some kind. The path itself is hashed where it stands.

use super::index::{PathHash, PathHasher, SlotKind};
use super::record::Record;
use crate::codec;
use crate::path::PathRef;

/// A record at a glance.
pub(super) enum Glance {
    /// It sets a path and refers to no other record.
    Sets {
        hash: PathHash,
        kind: SlotKind,
        /// Of a done file.
        bytes: u64,
    },
    Barrier {
        covers: u64,
    },
    /// It has to be looked at as a whole.
    Whole(Box<Record>),
    /// It is no record that this version knows.
    Unknown,
}

impl Glance {
    /// That of the record in a payload.
    pub(super) fn of(payload: &[u8], paths: &PathHasher) -> Glance {
        let Ok(record) = codec::decode::<Record<PathRef<'_>>>(payload) else {
            return Glance::Unknown;
        };
        let (path, kind, bytes) = match &record {
            Record::Dir(dir) => (dir.path, SlotKind::Dir, 0),
            Record::Symlink(link) => (link.path, SlotKind::Symlink, 0),
            Record::Special(special) => (special.path, SlotKind::Special, 0),
            Record::Begin(begin) => (begin.path, SlotKind::Partial, 0),
            Record::Done(done) if done.chain == 0 => (done.path, SlotKind::Done, done.size),
            Record::LinkWanted(link) => (link.path, SlotKind::LinkWanted, 0),
            Record::Link(link) => (link.path, SlotKind::Link, 0),
            Record::Barrier { covers } => return Glance::Barrier { covers: *covers },
            Record::Done(_)
            | Record::Removed(_)
            | Record::RunBegin(_)
            | Record::RunEnd(_)
            | Record::Blocks(_)
            | Record::Cut(_)
            | Record::ReadBack { .. }
            | Record::VerifyBegin(_)
            | Record::Verified(_)
            | Record::Finding(_)
            | Record::VerifyEnd(_)
            | Record::Mounted(_) => {
                return match codec::decode(payload) {
                    Ok(record) => Glance::Whole(Box::new(record)),
                    Err(_) => Glance::Unknown,
                };
            }
        };
        Glance::Sets {
            hash: paths.hash(path.as_bytes()),
            kind,
            bytes,
        }
    }
}
