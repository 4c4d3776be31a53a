//! The copy: stages that hand entries down one way, and the run that owns them.
//!
//! ```text
//! scan → plan → [bounded] → workers (read, hash, write) → [bounded] → committer → manifest
//! ```
//!
//! - `setup` resolves sources and destination, `recover` takes up what an earlier run left.
//! - `planner` walks and decides; it alone makes directories.
//! - `worker` copies files; it alone writes content, and only under partial names.
//! - `committer` alone has things flushed (`flusher`) and renamed (`namer`) and writes the manifest.
//!
//! Invariants: a final name only ever appears by renaming a partial whose data was flushed; a
//! `Done` is handed to the system before its rename; a barrier is recorded only after the flush
//! that makes it true; after one failed flush no barrier is recorded any more.

use crate::error::Error;
use crate::options::CopyOptions;

mod adopt;
mod again;
mod ahead;
mod batch;
mod begin;
mod board;
mod classify;
mod committer;
mod copy_run;
mod counter;
mod delete;
mod dry_run;
mod failure;
mod finish;
mod fit;
mod flusher;
mod message;
mod metadata;
mod namer;
mod names;
mod origin;
mod planner;
mod power_cuts;
mod privacy;
mod read_back;
mod reader;
mod recover;
mod remove_source;
mod repair;
mod retry;
mod room;
mod run;
mod scanner;
mod setup;
mod shared;
mod siblings;
mod stages;
mod thread;
mod wait;
mod worker;
mod writes;

pub use copy_run::CopyRun;
pub use repair::repair;

use begin::{Begun, Handles, begin_os};
use shared::Shared;

/// Begins, or continues, a copy. See [`CopyRun`].
pub fn copy(options: CopyOptions) -> Result<CopyRun, Error> {
    if options.dry_run {
        return CopyRun::start_dry(setup::resolve(&options)?, options);
    }
    let handles = Handles::new();
    let begun = match begin_os(&options, &handles, None) {
        Err(error) if !wait::may_begin_later(&options, &error) => return Err(error),
        begun => begun,
    };
    CopyRun::spawn(handles, move |handles, events| {
        wait::run(begun, options, handles, &events);
    })
}
