//! What becomes of trust once a write or a flush at a destination has failed.
//!
//! After such a failure nobody knows what the medium holds. The system reports it once and counts the data as
//! written, so a later flush that succeeds proves nothing. The latch is closed where a failure is heard of,
//! whatever failed before, and is never opened again in this process; a barrier is recorded only while it is
//! open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Closed for good by the first failed flush. Clones are the same latch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latch(Arc<AtomicBool>);

impl Latch {
    /// Notes that a write or a flush failed.
    pub(crate) fn close(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether one failed.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
