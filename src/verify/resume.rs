//! What is known of earlier verifications: whether this one goes on with one that was stopped, and
//! what was verified recently enough.

use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use super::elsewhere::Elsewhere;
use super::ledger::{Ledger, ManifestLedger};
use super::select::Wanted;
use crate::error::{Error, ManifestError, Reason, SetupError};
use crate::event::PassedOver;
use crate::fs::{self, Fs};
use crate::hash::hash_block;
use crate::manifest::{
    LastVerified, LastVerify, OpenMode, Record, Spans, Store, VerifyBegin, VerifyLog, found,
};
use crate::options::{Reading, SampleAmount, VerifyOptions};
use crate::path::Printable;
use crate::size::Size;
use crate::time;

/// A shared lock may be in the way for the moment in which a `status` reads the manifest.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// A manifest that is open to be verified against.
pub(super) struct Opened<F: Fs> {
    pub(super) store: Store<F>,
    /// Where to note what is done.
    log: Option<VerifyLog<F>>,
    /// Why nothing is noted, though it was wanted.
    pub(super) warning: Option<String>,
    /// What has to be said if it cannot be locked while it is read.
    pub(super) unlocked: Option<String>,
}

/// Opens the manifest under a shared lock; with `record`, in such a way that what is verified can
/// be noted, if that is possible.
pub(super) fn open<F: Fs>(at: &At<'_, F>, record: bool) -> Result<Opened<F>, Error> {
    let mut warning = None;
    if record {
        match open_to_note(at) {
            Ok(opened) => return Ok(opened),
            Err(Refused::Because(why)) => {
                warning = Some(format!(
                    "{why}: what is verified now is not noted on it, so this run cannot be gone on with if it is stopped"
                ));
            }
            // What can still be read of it may do.
            Err(Refused::Failed(Error::Manifest(
                ManifestError::Damaged { .. }
                | ManifestError::DamagedElsewhere { .. }
                | ManifestError::Io(_),
            )))
            | Err(Refused::Failed(Error::Setup(SetupError::NoManifest { .. }))) => {}
            Err(Refused::Failed(error)) => return Err(error),
        }
    }
    let store = match at {
        At::Dest(fs, dest) => found(Store::open_to_read(fs, dest)?, dest)?,
        At::Elsewhere(at) => at.open_to_read()?,
    };
    let unlocked = store.unlocked();
    Ok(Opened {
        store,
        log: None,
        warning,
        unlocked,
    })
}

/// Where a manifest is: in its destination, or elsewhere.
pub(super) enum At<'a, F: Fs> {
    Dest(&'a Arc<F>, &'a Path),
    Elsewhere(&'a Elsewhere<F>),
}

impl<F: Fs> At<'_, F> {
    fn path(&self) -> &Path {
        match self {
            At::Dest(_, dest) => dest,
            At::Elsewhere(at) => at.path(),
        }
    }

    fn open_to_note(&self) -> Result<Store<F>, Error> {
        match self {
            At::Dest(fs, dest) => found(Store::open(fs, dest, OpenMode::Note)?, dest),
            At::Elsewhere(at) => at.open(OpenMode::Note),
        }
    }
}

/// Why nothing can be noted.
enum Refused {
    /// The manifest can still be read.
    Because(String),
    Failed(Error),
}

impl From<ManifestError> for Refused {
    fn from(error: ManifestError) -> Refused {
        Refused::Failed(error.into())
    }
}

fn open_to_note<F: Fs>(at: &At<'_, F>) -> Result<Opened<F>, Refused> {
    let name = Printable(at.path());
    for _ in 0..LOCK_TRIES {
        let store = match at.open_to_note() {
            Ok(store) => store,
            Err(Error::Manifest(ManifestError::Locked { .. })) => {
                thread::sleep(LOCK_PAUSE);
                continue;
            }
            Err(Error::Manifest(error @ ManifestError::NoLocks { .. })) => {
                return Err(Refused::Because(error.what_is_wrong()));
            }
            Err(Error::Manifest(ManifestError::Io(error))) if is_read_only(&error.source) => {
                let why = format!("{name} cannot be written to ({})", Reason(&error.source));
                return Err(Refused::Because(why));
            }
            Err(error) => return Err(Refused::Failed(error)),
        };
        if !store.may_note() {
            return Err(Refused::Because(format!(
                "the last copy to {name} did not end in good order, and has to be rerun first"
            )));
        }
        if let Some(log) = store.share()? {
            return Ok(Opened {
                store,
                log: Some(log),
                warning: None,
                unlocked: None,
            });
        }
    }
    // If it is a copy, opening it to read says so.
    Err(Refused::Because(format!(
        "another sprag reads the manifest of {name}"
    )))
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::ROFS | Errno::ACCESS | Errno::PERM | Errno::NOSPC | Errno::DQUOT)
    )
}

/// What need not be looked at.
pub(super) struct Resume {
    /// What the run that is gone on with has found wrong: the position of the path's record, and where the
    /// finding is.
    pub(super) findings: Vec<(u64, u64)>,
    done: Spans<LastVerified>,
    /// The times at which a stopped run may have checked what is not looked at again, in ms since the
    /// Unix epoch. They end now, as those of `recent_ms` do.
    done_ms: RangeInclusive<u64>,
    recent: Spans<LastVerified>,
    /// The times of verification that are recent enough, in ms since the Unix epoch. They end now:
    /// a later time was noted while a clock was wrong, and says nothing.
    recent_ms: RangeInclusive<u64>,
}

/// What a run that was stopped found of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// It was as recorded at this time, in ms since the Unix epoch.
    Good(u64),
    /// It was as recorded, too long ago: it is looked at again.
    Stale,
    /// It is not; the finding is kept.
    Bad,
}

impl Before {
    pub(super) fn is_done(self) -> bool {
        self != Before::Stale
    }
}

impl Resume {
    /// Whether everything has to be looked at.
    pub(super) fn passes_nothing(&self) -> bool {
        self.done.is_empty() && self.recent.is_empty() && self.findings.is_empty()
    }

    /// What the run that is gone on with found of a record, if it has looked at it.
    pub(super) fn before(&self, pos: u64) -> Option<Before> {
        if let Some(last) = self.done.get(pos) {
            return Some(match self.done_ms.contains(&last.at_ms) {
                true => Before::Good(last.at_ms),
                false => Before::Stale,
            });
        }
        let found = self.findings.binary_search_by_key(&pos, |(at, _)| *at);
        found.is_ok().then_some(Before::Bad)
    }

    /// Whether a record was verified recently enough.
    pub(super) fn is_recent(&self, pos: u64) -> bool {
        let last = self.recent.get(pos);
        last.is_some_and(|last| self.recent_ms.contains(&last.at_ms))
    }
}

/// A run that is about to check.
pub(super) struct Begun<F: Fs> {
    pub(super) store: Store<F>,
    pub(super) resume: Resume,
    /// Where what it does is noted, if it is.
    pub(super) ledger: Option<Box<dyn Ledger>>,
    /// Why it cannot be noted, though the manifest could be opened for that.
    pub(super) unnoted: Option<ManifestError>,
}

/// Finds out what to go on with, notes that this run begins, and settles the seed of a sample.
pub(super) fn begin<F: Fs>(
    opened: Opened<F>,
    options: &mut VerifyOptions,
    wanted: &Wanted,
) -> Result<Begun<F>, Error> {
    let Opened { store, log, .. } = opened;
    let now = time::now_ms();
    let key = key(options, wanted);
    let last = match options.restart {
        true => None,
        false => store.last_verify()?,
    };
    // What an earlier run found out about sources is not noted.
    let last = last.filter(|_| options.against.is_empty());
    let last = last.filter(|last| last.end.is_none() && goes_on(&last.begin, key, options));
    settle_seed(options, last.as_ref())?;
    let mut resume = Resume {
        findings: Vec::new(),
        done: Spans::new(),
        done_ms: since(PassedOver::BEFORE_MAX, now),
        recent: Spans::new(),
        recent_ms: 0..=now,
    };
    if let Some(age) = options.older_than {
        resume.recent_ms = since(age, now);
        resume.recent = store.history(options.require_medium)?;
    }
    let run = match last {
        Some(last) => {
            resume.done = store.checked_by_last()?;
            // A finding has no time but that of its run.
            if resume.done_ms.contains(&last.begin.started_ms) {
                resume.findings = store.last_findings().to_vec();
                resume.findings.sort_by_key(|(pos, _)| *pos);
            }
            Some(last.pos)
        }
        None => None,
    };
    let findings = run.map_or(0, |_| store.last_findings().len());
    let log = log.map(|log| ledger(log, run, now, key, findings, options, wanted));
    let (ledger, unnoted) = match log.transpose() {
        Ok(ledger) => (ledger, None),
        Err(error) => (None, Some(error)),
    };
    Ok(Begun {
        store,
        resume,
        ledger,
        unnoted,
    })
}

fn ledger<F: Fs>(
    mut log: VerifyLog<F>,
    run: Option<u64>,
    now: u64,
    key: u64,
    findings: usize,
    options: &VerifyOptions,
    wanted: &Wanted,
) -> Result<Box<dyn Ledger>, ManifestError> {
    let run = match run {
        Some(run) => run,
        None => log.append(&Record::VerifyBegin(VerifyBegin {
            started_ms: now,
            key,
            seed: seed(options).unwrap_or_default(),
            what: super::found::cut(&what(options, wanted)),
        }))?,
    };
    // What is not noted yet need not outlive a power cut; that it can be written is worth knowing.
    log.write_out()?;
    Ok(Box::new(ManifestLedger::new(log, run, now, findings)))
}

/// The times from `age` ago until `now`, in ms since the Unix epoch.
fn since(age: Duration, now: u64) -> RangeInclusive<u64> {
    let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    now.saturating_sub(age_ms)..=now
}

/// Whether a run that was stopped wanted the same as this one does.
fn goes_on(begin: &VerifyBegin, asked: u64, options: &VerifyOptions) -> bool {
    let seeded = seed(options).is_none_or(|seed| seed == begin.seed);
    // What a sample of old files is one of changes while they are verified.
    let steady = options.older_than.is_none() || options.reading == Reading::Everything;
    begin.key == asked && seeded && steady
}

fn seed(options: &VerifyOptions) -> Option<u64> {
    match options.reading {
        Reading::Sample { seed, .. } => seed,
        _ => None,
    }
}

fn settle_seed(options: &mut VerifyOptions, last: Option<&LastVerify>) -> Result<(), Error> {
    if let Reading::Sample {
        seed: seed @ None, ..
    } = &mut options.reading
    {
        *seed = Some(match last {
            Some(last) => last.begin.seed,
            None => {
                let random = fs::random_bytes();
                let random = random.map_err(|error| {
                    crate::error::PathError::new("choose a seed for", &options.dest, error)
                })?;
                // Short enough to be typed again.
                u64::from(u32::from_le_bytes([
                    random[0], random[1], random[2], random[3],
                ]))
            }
        });
    }
    Ok(())
}

/// What is checked, in words.
fn what(options: &VerifyOptions, wanted: &Wanted) -> String {
    let mut text = wanted.text();
    match options.reading {
        Reading::Everything => {}
        Reading::Metadata => text += ", metadata only",
        Reading::Sample { amount, .. } => {
            text += &match amount {
                SampleAmount::PerMillion(part) => {
                    format!(", a sample of {} %", f64::from(part) / 10_000.0)
                }
                SampleAmount::Blocks(blocks) => format!(", a sample of {blocks} blocks"),
                SampleAmount::Bytes(bytes) => format!(", a sample of {}", Size(bytes)),
            };
        }
    }
    if let Some(age) = options.older_than {
        text += &format!(", not verified for {}", humantime::format_duration(age));
    }
    if options.require_medium {
        text += ", from the medium";
    }
    text
}

pub(super) fn key(options: &VerifyOptions, wanted: &Wanted) -> u64 {
    // The words leave out what no terminal shows, so the paths are added as they are.
    let mut all = what(options, wanted).into_bytes();
    for top in wanted.tops() {
        all.push(0);
        all.extend_from_slice(top.as_bytes());
    }
    let hash = hash_block(&all, 0, true);
    hash.iter()
        .take(8)
        .fold(0, |key, byte| key << 8 | u64::from(*byte))
}
