//! The manifest: one append-only file that says what of a copy is done, and with which hashes.
//!
//! `record` is what can be said, `header` and `journal` how it lies in the file, `index` where in
//! the file each path's newest record is, `store` the whole: opened, locked, looked up, appended
//! to, compacted; `survey` finds what can be read of one that rots. `docs/FORMAT.md` describes the bytes.
//!
//! Invariants:
//! - A record may run ahead of what it tells of; a [`Record::Barrier`] makes everything before the
//!   position it names true. Only what lies before the last barrier *but one* is trusted.
//! - A frame is valid at one position of one file only: both are part of its checksum.
//! - Links between records (`prev`, `begin`, `chain`) point backwards, so every walk ends.

mod ahead;
mod at_most;
#[cfg(sprag_bench)]
pub(crate) mod bench;
mod ctimes;
mod dest_meta;
mod find;
mod frames;
mod glance;
mod hashes;
mod header;
mod index;
mod journal;
mod record;
mod seal;
mod store;
mod survey;
#[cfg(test)]
mod tests;
mod verified;
mod window;

pub(crate) use ctimes::Ctimes;
pub(crate) use dest_meta::{DestMeta, Lesser, Seen};
pub(crate) use find::{
    found, is_state, is_state_at, nearest, no_manifest, open_destination, whose_state,
};
pub(crate) use header::Holder;
pub(crate) use index::SlotKind;
pub(crate) use record::{
    Begin, Blocks, Cut, DirRecord, Done, Link, Mounted, Record, RunBegin, RunEnd, RunSource,
    SourceId, SpecialRecord, SymlinkRecord,
};
pub(crate) use store::{
    Entry, LastVerified, LastVerify, Mark, OpenMode, Partial, Rebuilt, Store, Tail, VerifyLog,
    must_be_ours_to_read,
};
#[cfg(test)]
pub(crate) use verified::Verified;
pub(crate) use verified::{Depth, Finding, Found, FoundDamage, Spans, VerifyBegin, VerifyEnd};

/// The directory at the top of a destination that holds sprag's state.
pub(crate) const STATE_DIR: &[u8] = b".sprag";
/// The manifest's name in it.
const MANIFEST_NAME: &str = "manifest";
/// The same as the system takes it.
const MANIFEST: &[u8] = MANIFEST_NAME.as_bytes();
/// The name of its copy.
const MANIFEST_BAK: &[u8] = b"manifest.bak";
