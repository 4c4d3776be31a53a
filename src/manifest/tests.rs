//! Tests of the manifest as a whole, on the real file system.
//!
//! `support` makes manifests and says in one value what one holds; the others each take one
//! promise of the module's.

mod backup;
mod compaction;
mod damage;
mod golden;
mod growth;
mod hooked;
mod limits;
mod locking;
mod model;
mod opening;
mod records;
mod salvage;
mod support;
