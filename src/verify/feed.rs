//! Handing out the records to check, in the order of the manifest, then what only the tree tells.
//!
//! That order is roughly the one in which the files were written, and so the one in which a drive
//! reads them back with the shortest ways. Only positions are kept: at most 12 bytes a record.

use crossbeam_channel::Sender;

use super::resume::Before;
use super::sample::{Population, Sampler};
use super::{Halt, Report, Shared, Work, extra};
use crate::error::{Error, ManifestError, SetupError};
use crate::event::PassedOver;
use crate::fs::{Fs, Kind};
use crate::hash::Hash32;
use crate::manifest::Entry;
use crate::options::Reading;
use crate::path::RelPath;

/// What there is to check.
struct Selection {
    /// Of every recorded path.
    positions: Vec<u64>,
    /// Which of them are handed out or, in a sample, chosen from, by index; `None`: all.
    kept: Option<Vec<u32>>,
    /// How many are to be checked.
    entries: u64,
    population: Population,
    passed: PassedOver,
    /// For each wanted path, whether anything recorded is at or below it.
    matched: Vec<bool>,
}

pub(super) fn run<F: Fs>(shared: &Shared<F>, work: Sender<Work>, reports: &Sender<Report>) {
    shared.signals.ended(reports, feed(shared, work, reports));
}

fn feed<F: Fs>(
    shared: &Shared<F>,
    work: Sender<Work>,
    reports: &Sender<Report>,
) -> Result<(), Halt> {
    let selection = select(shared)?;
    let (mut sampler, bytes) = match shared.reading {
        Reading::Everything => (None, selection.population.bytes),
        Reading::Metadata => (None, 0),
        Reading::Sample { amount, seed } => {
            let population = selection.population;
            let sampler = Sampler::new(amount, population, seed.unwrap_or_default());
            let bytes = sampler.bytes(population);
            (Some(sampler), bytes)
        }
    };
    let opened = Report::Opened {
        entries: selection.entries,
        bytes,
        passed: selection.passed,
    };
    reports.send(opened).map_err(|_| Halt::Stopped)?;
    if selection.is_empty()
        && shared.resume.findings.is_empty()
        && shared.store.salvaged().is_none()
    {
        let dest = shared.dest.clone();
        return Err(Halt::Failed(SetupError::NothingToVerify { dest }.into()));
    }
    found_before(shared, &selection, reports)?;
    for (ordinal, pos) in selection.iter() {
        shared.check_stop()?;
        let blocks = match (&mut sampler, shared.reading) {
            (Some(sampler), _) => Some(choose(shared, sampler, pos)?),
            (None, Reading::Everything) => None,
            (None, _) => Some(Vec::new()),
        };
        // Blocks were chosen all the same, so that it is the same sample as before.
        if sampler.is_some() && shared.resume.before(pos).is_some_and(Before::is_done) {
            continue;
        }
        let next = Work {
            pos,
            ordinal,
            blocks,
        };
        work.send(next).map_err(|_| Halt::Stopped)?;
    }
    drop(work);
    extra::report(shared, &selection.matched, reports)?;
    if let Some(damage) = shared.store.salvaged() {
        // Told apart from what is wrong with the data; the other threads go on to their end.
        let error = Error::Manifest(ManifestError::Salvaged(Box::new(damage.clone())));
        let _ = reports.send(Report::Failed(error));
    }
    Ok(())
}

impl Selection {
    /// Whether there is nothing to check, and nothing was checked before.
    fn is_empty(&self) -> bool {
        self.entries + self.passed.before.total() + self.passed.recent.total() == 0
    }

    fn len(&self) -> usize {
        match &self.kept {
            Some(kept) => kept.len(),
            None => self.positions.len(),
        }
    }

    /// Each record to check: its rank among all, and its position.
    fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        (0..self.len()).map(|nth| {
            let rank = match &self.kept {
                Some(kept) => kept[nth] as usize,
                None => nth,
            };
            (rank as u64, self.positions[rank])
        })
    }
}

/// What the run that is gone on with had found wrong, unless it was copied again since.
fn found_before<F: Fs>(
    shared: &Shared<F>,
    selection: &Selection,
    reports: &Sender<Report>,
) -> Result<(), Halt> {
    for (pos, at) in &shared.resume.findings {
        shared.check_stop()?;
        if selection.positions.binary_search(pos).is_err() {
            continue;
        }
        let (path, entry) = entry(shared, *pos)?;
        let kind = kind_of(shared, &entry)?;
        let found = shared.store.found_at(*at);
        let found = found.map_err(|error| shared.manifest_failed(error))?;
        let verdict = super::found::verdict(&found, || path.below(&shared.dest));
        shared.report(reports, super::Checked::again(path, kind, verdict))?;
    }
    Ok(())
}

fn choose<F: Fs>(shared: &Shared<F>, sampler: &mut Sampler, pos: u64) -> Result<Vec<u64>, Halt> {
    Ok(match entry(shared, pos)?.1 {
        Entry::Done(done) => sampler.choose(shared.store.block_size(), done.size),
        _ => Vec::new(),
    })
}

fn entry<F: Fs>(shared: &Shared<F>, pos: u64) -> Result<(RelPath, Entry), Halt> {
    let entry = shared.store.entry_at(pos);
    entry.map_err(|error| shared.manifest_failed(error))
}

fn kind_of<F: Fs>(shared: &Shared<F>, entry: &Entry) -> Result<Option<Kind>, Halt> {
    let kind = shared.store.kind_of(entry);
    kind.map_err(|error| shared.manifest_failed(error))
}

fn select<F: Fs>(shared: &Shared<F>) -> Result<Selection, Halt> {
    let positions = shared.store.positions();
    // A file has one block, or a hash in the manifest for each.
    let blocks_max = positions.len() as u64 + shared.store.end() / size_of::<Hash32>() as u64;
    let mut selection = Selection {
        positions,
        kept: None,
        entries: 0,
        population: Population::new(blocks_max),
        passed: PassedOver::default(),
        matched: vec![false; shared.wanted.tops().len()],
    };
    let sampled = matches!(shared.reading, Reading::Sample { .. });
    if shared.wanted.is_all() && shared.resume.passes_nothing() && !sampled {
        selection.matched.fill(true);
        selection.entries = selection.positions.len() as u64;
        selection.population.bytes = shared.store.totals().bytes_done;
        return Ok(selection);
    }
    let mut kept = Vec::new();
    for (rank, pos) in (0..).zip(&selection.positions) {
        shared.check_stop()?;
        let (path, entry) = entry(shared, *pos)?;
        let Some(top) = shared.wanted.top_of(&path) else {
            continue;
        };
        selection.matched[top] = true;
        if shared
            .wanted
            .leaves_out(&path, matches!(entry, Entry::Dir(_)))
        {
            continue;
        }
        let before = shared.resume.before(*pos);
        let is_done = before.is_some_and(Before::is_done);
        let passed = &mut selection.passed;
        match before {
            Some(Before::Good(at_ms)) => {
                passed.before.add(kind_of(shared, &entry)?);
                let since = passed.before_since_ms.map_or(at_ms, |ms| ms.min(at_ms));
                passed.before_since_ms = Some(since);
            }
            Some(Before::Stale) => passed.stale.add(kind_of(shared, &entry)?),
            Some(Before::Bad) | None => {}
        }
        if !is_done && shared.resume.is_recent(*pos) {
            selection.passed.recent.add(kind_of(shared, &entry)?);
            continue;
        }
        // A sample is one of all that is wanted, whatever of it was checked before.
        if is_done && !sampled {
            continue;
        }
        if let Entry::Done(done) = &entry {
            let block_size = shared.store.block_size();
            selection.population.add(block_size, done.size);
        }
        selection.entries += u64::from(!is_done);
        kept.push(rank);
    }
    selection.kept = Some(kept);
    Ok(selection)
}
