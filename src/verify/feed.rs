//! Handing out the records to check, in the order of the manifest, then what only the tree tells.
//!
//! That order is roughly the one in which the files were written, and so the one in which a drive
//! reads them back with the shortest ways. Only positions are kept: 8 bytes a record.

use crossbeam_channel::Sender;

use super::{Halt, Report, Shared, extra};
use crate::fs::Fs;
use crate::manifest::Entry;

/// What there is to check.
struct Selection {
    positions: Vec<u64>,
    bytes: u64,
    /// For each wanted path, whether anything recorded is at or below it.
    matched: Vec<bool>,
}

pub(super) fn run<F: Fs>(shared: &Shared<F>, work: Sender<u64>, reports: &Sender<Report>) {
    shared.signals.ended(reports, feed(shared, work, reports));
}

fn feed<F: Fs>(
    shared: &Shared<F>,
    work: Sender<u64>,
    reports: &Sender<Report>,
) -> Result<(), Halt> {
    let selection = select(shared)?;
    let opened = Report::Opened {
        entries: selection.positions.len() as u64,
        bytes: selection.bytes,
    };
    reports.send(opened).map_err(|_| Halt::Stopped)?;
    for pos in selection.positions {
        shared.check_stop()?;
        work.send(pos).map_err(|_| Halt::Stopped)?;
    }
    drop(work);
    extra::report(shared, &selection.matched, reports)
}

fn select<F: Fs>(shared: &Shared<F>) -> Result<Selection, Halt> {
    let mut selection = Selection {
        positions: shared.store.positions(),
        bytes: shared.store.totals().bytes_done,
        matched: vec![false; shared.wanted.tops().len()],
    };
    if shared.wanted.is_all() {
        selection.matched.fill(true);
        return Ok(selection);
    }
    selection.bytes = 0;
    let mut kept = Vec::new();
    for pos in selection.positions {
        shared.check_stop()?;
        let (path, entry) = shared
            .store
            .entry_at(pos)
            .map_err(|error| shared.manifest_failed(error))?;
        if let Some(top) = shared.wanted.top_of(&path) {
            selection.matched[top] = true;
            kept.push(pos);
            if let Entry::Done(done) = entry {
                selection.bytes = selection.bytes.saturating_add(done.size);
            }
        }
    }
    selection.positions = kept;
    Ok(selection)
}
