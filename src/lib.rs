//! Resumable file copy with integrity verification: the engine behind the `sprag` command.
//!
//! A copy is a generator: [`copy`] returns a [`CopyRun`], an iterator of [`Event`]s. Pull and it
//! copies; stop pulling and it pauses; drop it and it has checkpointed; make it anew and it goes
//! on from the last durable offset. The library prints nothing and reads no environment.

#![warn(missing_docs)]

pub mod block;
mod codec;
mod copy;
pub mod error;
pub mod event;
pub mod exit;
mod extraneous;
pub mod file_list;
pub mod filter;
pub mod fs;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod hash;
pub mod id;
mod inspect;
pub mod limits;
mod lock;
mod manifest;
mod options;
mod partial;
pub mod path;
mod plan;
mod scan;
mod selection;
mod stop;
mod throttle;
mod time;
mod tree;
mod verify;

pub use copy::{CopyRun, Place, copy, repair};
pub use event::Event;
pub use inspect::{
    CleanSummary, ExportFormat, ExportSummary, LastRun, LastVerification, LeftOut, PartialFile,
    Status, VerifiedPart, clean, export, export_bag, status,
};
pub use options::{CopyOptions, Known, Reading, RepairOptions, SampleAmount, VerifyOptions, Wait};
pub use selection::{Delete, Existing, Selection};
pub use stop::Stopper;
pub use time::utc_text;
pub use verify::{VerifyRun, verify};

/// Locks a mutex. One that a panicking thread held is used all the same: what it guards is only
/// ever changed in steps that are whole by themselves.
fn lock_mutex<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
