//! What a copy would do, without doing any of it: not even `.sprag` is made, and a manifest that is
//! there is opened to be read only.
//!
//! The decisions are those of `plan` and `extraneous`, as in a copy. What only doing it can show is
//! not foreseen: content is not compared, so a file that would be compared is told as adopted;
//! what would be proved after a crash is taken for true; what the destination can hold is not tried,
//! but taken from what is known of its file system (`forecast`).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;

use super::metadata::Own;
use super::run::must_be_the_sources;
use super::setup::Setup;
use crate::error::{EntryError, Error, PathError, SetupError};
use crate::event::{CopySummary, Event, Outcome};
use crate::exit::Exit;
use crate::fs::{Kind, OsFs, Stat, Times, found, source};
use crate::manifest::{OpenMode, Store};
use crate::options::CopyOptions;
use crate::path::RelPath;
use crate::scan::{self, MountPoints, Scan, Scanned, Selected, Walked};
use crate::stop::Stopper;

mod decide;
mod deletions;
mod forecast;

use forecast::Forecast;

/// A destination as it stands, if it does.
pub(super) struct There {
    fs: Arc<OsFs>,
    store: Option<Store<OsFs>>,
    /// How it shows times.
    times: Times,
}

/// Opens what there is, without changing it.
fn open(setup: &Setup, options: &CopyOptions) -> Result<Option<There>, Error> {
    let path = || setup.root.clone();
    let there = match found(source::stat_follow(&setup.root)) {
        Ok(None) => None,
        Ok(Some(_)) => {
            let unusable = |source| SetupError::Dest {
                path: path(),
                source,
            };
            let fs = Arc::new(OsFs::open_root(&setup.root).map_err(unusable)?);
            let store = match options.restart {
                true => None,
                false => Store::open_or_backup(&fs, &setup.root, OpenMode::Read)?,
            };
            if let Some(store) = &store {
                // The copy would be refused.
                store.lock_refused().map_or(Ok(()), Err)?;
                must_be_the_sources(&*fs, store, setup, options)?;
            }
            let times = Times::of(&*fs);
            Some(There { fs, store, times })
        }
        Err(source) => {
            return Err(SetupError::Dest {
                path: path(),
                source,
            }
            .into());
        }
    };
    let is_begun = there.as_ref().is_some_and(|there| there.store.is_some());
    if setup.requires_manifest(options) && !is_begun && !options.restart {
        return Err(super::setup::no_manifest(options, &setup.root).into());
    }
    Ok(there)
}

pub(super) struct DryRun {
    setup: Setup,
    options: CopyOptions,
    /// The sources, held open.
    roots: Vec<source::SourceRoot>,
    there: Option<There>,
    /// What the destination can hold.
    forecast: Forecast,
    own: Own,
    stopper: Stopper,
    events: Sender<Vec<Event>>,
    summary: CopySummary,
    selected: Selected,
}

/// The consumer is gone, or wants no more.
struct Over;

impl DryRun {
    pub(super) fn new(
        mut setup: Setup,
        options: CopyOptions,
        stopper: Stopper,
        events: Sender<Vec<Event>>,
    ) -> Result<DryRun, Error> {
        let there = open(&setup, &options)?;
        if let Some(there) = &there {
            let left_out = setup.leave_out_dest(&there.fs);
            left_out.map_err(|source| SetupError::Dest {
                path: setup.root.clone(),
                source,
            })?;
        }
        Ok(DryRun {
            forecast: Forecast::new(&setup, there.as_ref())?,
            there,
            roots: setup.source_roots()?,
            setup,
            options,
            own: Own::of_this_process(),
            stopper,
            events,
            summary: CopySummary::default(),
            selected: Selected::default(),
        })
    }

    /// Tells everything, then how it ended.
    pub(super) fn run(mut self) {
        let started = Instant::now();
        let outcome = self.tell_all();
        let elapsed = started.elapsed().as_millis();
        self.summary.elapsed_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
        self.summary.dry_run = true;
        let mut error = None;
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(ended)) => {
                self.summary.exit_code = ended.exit();
                error = Some(ended);
            }
            Err(Over) => self.summary.exit_code = Exit::Stopped,
        }
        let summary = Box::new(self.summary);
        // Nobody is left to tell if this fails.
        let _ = self.events.send(vec![Event::Finished { summary, error }]);
    }

    fn tell_all(&mut self) -> Result<Result<(), Error>, Over> {
        for notice in self.setup.notices() {
            self.send(Event::Warning(notice))?;
        }
        let setup = std::mem::take(&mut self.setup.sources);
        let options = self.options.clone();
        if let Err(error) = self.refuse(&setup)? {
            return Ok(Err(error));
        }
        let mut met = HashSet::new();
        let (mut walked, mut all_walked) = (Walked::default(), true);
        for (number, from) in setup.iter().enumerate() {
            let mut scan = Scan::new(&setup, number, &options.selection);
            let mut mount_points = MountPoints::new(from);
            while let Some(scanned) = scan.next() {
                let scanned = match scanned {
                    Ok(scanned) => scanned,
                    Err(failed) => {
                        all_walked = false;
                        self.problem(failed.dest, None, failed.error)?;
                        continue;
                    }
                };
                self.selected.note(&scanned);
                if options.delete.is_some() {
                    mount_points.meet(&scanned);
                    walked.meet(&scanned.dest);
                }
                let notice = scanned.left_out.and_then(|why| why.notice(&scanned.source));
                if let Some(notice) = notice {
                    self.send(Event::Warning(notice))?;
                }
                let is_dir = scanned.stat.kind == Kind::Dir;
                let path = scanned.dest.clone();
                let stat = scanned.stat;
                let planned = match scanned.earlier {
                    Some(earlier) => Ok(Err(EntryError::Clash {
                        path: scanned.source,
                        earlier,
                    })),
                    None => self.plan(&scanned, &mut met),
                };
                match planned {
                    Err(error) => return Ok(Err(error)),
                    Ok(Ok(outcome)) => self.entry(path, &stat, outcome)?,
                    Ok(Err(error)) => {
                        if is_dir {
                            scan.skip_dir();
                        }
                        self.problem(path, Some(stat.kind), error)?;
                    }
                }
            }
            walked.mount_points(mount_points);
        }
        walked.over();
        match (&self.there, self.options.delete) {
            (Some(_), Some(_)) if !all_walked => {
                self.send(Event::Warning(super::delete::WALK_FAILED.into()))?;
            }
            (Some(there), Some(_)) => {
                let fs = Arc::clone(&there.fs);
                if let Err(error) = self.tell_deletions(&fs, (&setup, &walked))? {
                    return Ok(Err(error));
                }
            }
            _ => {}
        }
        let done = self.summary.deleted.total() + self.summary.failed.total();
        Ok(match self.selected.is_empty() && done == 0 {
            true => Err(SetupError::NothingSelected.into()),
            false => Ok(()),
        })
    }

    fn send(&self, event: Event) -> Result<(), Over> {
        match self.stopper.is_stopped() || self.events.send(vec![event]).is_err() {
            true => Err(Over),
            false => Ok(()),
        }
    }

    /// `kind`: `None` if it could not be looked at.
    fn problem(
        &mut self,
        path: RelPath,
        kind: Option<Kind>,
        error: EntryError,
    ) -> Result<(), Over> {
        self.summary.failed.add(kind);
        self.summary.exit_code = match (self.summary.exit_code, error.exit()) {
            (Exit::Partial, _) | (_, Exit::Partial) => Exit::Partial,
            (_, exit) => exit,
        };
        self.send(Event::Problem { path, error })
    }

    /// Counts an entry as a copy would.
    fn entry(&mut self, path: RelPath, stat: &Stat, outcome: Outcome) -> Result<(), Over> {
        let summary = &mut self.summary;
        match (stat.kind, outcome) {
            (kind, Outcome::Skipped) => summary.skipped.add(Some(kind)),
            (Kind::Dir, _) => summary.dirs += 1,
            (Kind::Symlink, _) => summary.symlinks += 1,
            (Kind::Special(_), _) => summary.specials += 1,
            (_, Outcome::Unchanged | Outcome::Mended) => summary.files_unchanged += 1,
            (_, Outcome::Adopted) => summary.files_adopted += 1,
            _ => summary.files_copied += 1,
        }
        let removes = self.options.remove_source_files
            && matches!(stat.kind, Kind::File | Kind::Symlink)
            && outcome != Outcome::Skipped;
        self.summary.sources_removed += u64::from(removes);
        let removed = removes.then(|| path.clone());
        self.send(Event::Entry { path, outcome })?;
        match removed {
            Some(path) => {
                let outcome = Outcome::SourceRemoved;
                self.send(Event::Entry { path, outcome })
            }
            None => Ok(()),
        }
    }
}
