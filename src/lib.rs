//! Resumable file copy with integrity verification: the engine behind the `sprag` command.
//!
//! A copy is a generator: [`copy()`] returns a [`CopyRun`], an iterator of [`Event`]s. Pull and it
//! copies; stop pulling and it pauses; drop it and it has checkpointed; make it anew and it goes
//! on from the last durable offset. The library prints nothing and reads no environment.
//!
//! ```
//! use sprag::{CopyOptions, Event, VerifyOptions, event::VerifyEvent, exit::Exit};
//!
//! # let temp = tempfile::tempdir()?;
//! # let (photos, drive) = (temp.path().join("photos"), temp.path().join("drive"));
//! # std::fs::create_dir(&photos)?;
//! # std::fs::create_dir(&drive)?;
//! # std::fs::write(photos.join("one.jpg"), "a picture")?;
//! for event in sprag::copy(CopyOptions::new([&photos], &drive))? {
//!     match event {
//!         Event::Problem { path, error } => eprintln!("{path}: {error}"),
//!         Event::Finished { summary, error: None } => assert_eq!(summary.exit_code, Exit::Done),
//!         Event::Finished { error: Some(error), .. } => return Err(error.into()),
//!         _ => {}
//!     }
//! }
//! for event in sprag::verify(VerifyOptions::new(&drive))? {
//!     if let VerifyEvent::Finished { summary, .. } = event {
//!         assert_eq!(summary.exit_code, Exit::Done);
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where to read on:
//!
//! - **Copying:** [`CopyOptions`] says what and where to, [`Selection`] and [`filter`] what is left out,
//!   [`Existing`] and [`Delete`] what becomes of what is there, [`event`] what a run tells, [`Stopper`] how it is
//!   asked to end.
//! - **Verifying:** [`verify()`] and [`VerifyOptions`]; [`repair()`] mends what was found; [`event`] has the verdicts.
//! - **Looking:** [`status()`] tells what a destination holds, [`export()`] and [`export_bag()`] write lists of it,
//!   [`clean()`] removes what is left over.
//! - **Failing:** [`error`] has a family of errors for each thing that can go wrong, [`exit`] the one code that
//!   each run comes to.
//! - **Below:** [`block`] and [`hash`] are how files are cut and hashed, [`path`] what a path at a destination may be,
//!   [`limits`] what a file system can hold, [`fs`] the seam to the operating system.

#![warn(missing_docs)]

#[cfg(sprag_bench)]
#[doc(hidden)]
pub mod bench;
pub mod block;
mod checksum;
mod codec;
mod concurrency;
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
mod latch;
mod left_over;
pub mod limits;
mod lock;
mod manifest;
mod options;
mod partial;
pub mod path;
mod plan;
mod scan;
mod selection;
pub mod size;
mod stop;
mod system_folders;
mod throttle;
mod time;
mod tree;
mod verify;

pub use copy::{CopyRun, copy, repair};
pub use event::Event;
pub use fs::Place;
pub use inspect::{
    CleanSummary, ExportFormat, ExportSummary, LastRun, LastVerification, LeftOut, PartialFile,
    Status, VerifiedPart, clean, export, export_bag, status,
};
pub use options::{
    ChecksumList, CopyOptions, Known, Reading, RepairOptions, SampleAmount, VerifyOptions, Wait,
};
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
