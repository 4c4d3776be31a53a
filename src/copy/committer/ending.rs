//! How a run ended: its last record, and what the consumer is told.

use super::*;

impl<F: Fs> Committer<'_, F> {
    /// The end of the run: its last record, and what the consumer is told.
    pub(in crate::copy) fn end(&mut self, elapsed: Duration) -> (RunEnd, Exit) {
        let exit = match &self.fatal {
            Some(error) => error.exit(),
            None if self.refusal.is_some() => Exit::Refused,
            None if self.shared.stopper.is_stopped() => Exit::Stopped,
            None => self.worst,
        };
        self.summary.exit_code = exit;
        self.summary.bytes_durable = self.progress.bytes_durable;
        self.summary.elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let end = RunEnd {
            ended_ms: crate::time::now_ms(),
            exit_code: exit.code(),
            files_copied: self.summary.files_copied,
            files_failed: self.summary.failed.total(),
            bytes_copied: self.summary.bytes_copied,
            failures: self.failures.clone(),
        };
        (end, exit)
    }

    /// Notes how a run that failed ended, if the manifest still takes it. Nothing depends on it:
    /// it is history, and no barrier covers it.
    pub(in crate::copy) fn note_failed_end(&mut self, elapsed: Duration) {
        let (end, _) = self.end(elapsed);
        let mut store = self.store();
        let _ = store
            .append(&Record::RunEnd(end))
            .and_then(|_| store.write_out());
    }

    /// What ended the run early, if something did.
    pub(in crate::copy) fn take_fatal(&mut self) -> Option<Error> {
        let refusal = self.refusal.take().map(Error::Refused);
        self.fatal.take().or(refusal)
    }

    /// Whether the run came to its end and did nothing, since the user's selection left nothing to do.
    pub(in crate::copy) fn copied_nothing(&self) -> bool {
        !self.has_failed()
            && !self.is_ending_early()
            && self.shared.selected.is_empty()
            && self.summary.deleted.total() + self.summary.failed.total() == 0
    }

    /// Whether the run shall do nothing more than make durable what is there.
    pub(in crate::copy) fn is_ending_early(&self) -> bool {
        self.shared.stopper.is_stopped() || self.refusal.is_some()
    }

    /// Whether a run that failed may still make a last barrier. What counts is not its first failure
    /// alone, but that none of them was a failed flush.
    pub(in crate::copy) fn failed_harmlessly(&self) -> bool {
        self.fatal.as_ref().is_some_and(is_harmless) && !self.shared.latch.is_closed()
    }
}

/// Whether what was written before can still be believed after this error: neither a full disk nor a
/// lost source makes it suspect.
pub(super) fn is_harmless(error: &Error) -> bool {
    matches!(error, Error::Full(_) | Error::SourceGone(_))
}
