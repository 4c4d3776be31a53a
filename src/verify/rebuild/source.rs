//! Rebuilding from a good source: what is at the destination as it is there is recorded, with the
//! metadata that it has there.
//!
//! ```text
//! feed (walk) → [bounded] → work (read both sides, hash, compare, record) → [bounded] → tally
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::scribe::Scribe;
use super::{Names, Rebuilding};
use crate::concurrency::Seeks;
use crate::error::{EntryError, Error, ManifestError, PathError, SetupError};
use crate::event::{PassedOver, Verdict};
use crate::fs::source::{self, SourceFile, SourceRoot};
use crate::fs::{FileId, Fs, Kind, Stat, stat_at};
use crate::manifest::{Link, Record};
use crate::options::{CopyOptions, VerifyOptions};
use crate::path::RelPath;
use crate::plan::wanted::Own;
use crate::scan::{self, FirstNames, Scan, Scanned, Selected, Source};
use crate::selection::Selection;
use crate::throttle::Throttle;
use crate::verify::medium::Medium;
use crate::verify::select::Wanted;
use crate::verify::streams::Streams;
use crate::verify::{Halt, Report, Signals, VerifyRun, WORK_MAX};

/// What the threads of a run share.
pub(super) struct Shared<F: Fs> {
    pub(super) fs: Arc<F>,
    pub(super) dest: PathBuf,
    pub(super) sources: Vec<Source>,
    /// The same, held open.
    pub(super) roots: Vec<SourceRoot>,
    pub(super) selection: Selection,
    pub(super) wanted: Wanted,
    /// How a copy with no further flags would go about it.
    pub(super) copy: CopyOptions,
    pub(super) own: Own,
    pub(super) require_medium: bool,
    pub(super) throttle: Arc<Throttle>,
    pub(super) medium: Medium<F>,
    pub(super) streams: Streams,
    pub(super) scribe: Scribe<F>,
    pub(super) signals: Arc<Signals>,
}

/// Begins to rebuild the manifest of `fs` from sources.
pub(in crate::verify) fn start<F: Fs>(
    fs: Arc<F>,
    options: VerifyOptions,
) -> Result<VerifyRun, Error> {
    let sources = options.from.iter().map(|path| {
        let is_there = |at: &RelPath| {
            let there = stat_at(&*fs, at)
                .map_err(|error| PathError::new("look at", at.below(&options.dest), error));
            Ok(there?.is_some())
        };
        // Where nothing of it is, everything is missing, in whichever form.
        let source = match Source::copied(path, is_there)? {
            Some(source) => source,
            None => Source::given(path)?,
        };
        let ids = |path: &Path| source::ids_upwards(path).unwrap_or_default();
        let (from, dest) = (ids(&source.path), ids(&options.dest));
        let holds = |above: &[FileId], id: Option<&FileId>| id.is_some_and(|id| above.contains(id));
        match holds(&from, dest.first()) || holds(&dest, from.first()) {
            true => Err(SetupError::ComparedWithItself {
                dest: options.dest.clone(),
                source_path: path.clone(),
            }
            .into()),
            false => Ok(source),
        }
    });
    let sources = sources.collect::<Result<Vec<_>, Error>>()?;
    let roots = sources.iter().map(|source| {
        SourceRoot::of(&source.path, source.held.as_ref()).map_err(|error| SetupError::Source {
            path: source.path.clone(),
            source: error,
        })
    });
    let roots = roots.collect::<Result<Vec<_>, SetupError>>()?;
    let (mut run, report) = VerifyRun::new();
    let seeks = Seeks {
        dest: fs.seeks(),
        source: roots.iter().any(SourceRoot::seeks),
    };
    let concurrency = run.work_at_a_time(options.jobs, seeks);
    let scribe = super::begin(&fs, &options.dest)?;
    let throttle = Throttle::new(options.bytes_per_s, run.signals().stopper.clone());
    let throttle = Arc::new(throttle);
    let shared = Arc::new(Shared {
        medium: Medium::new(&fs, scribe.block_size(), &throttle),
        scribe,
        fs,
        sources,
        roots,
        selection: Selection {
            filter: options.filter.clone(),
            ..Selection::default()
        },
        wanted: Wanted::new(&[""; 0], options.filter, &options.dest)?,
        copy: CopyOptions::new(options.from, &options.dest),
        own: Own::of_this_process(),
        dest: options.dest,
        require_medium: options.require_medium,
        throttle,
        streams: Streams::new(concurrency.large_files),
        signals: run.signals(),
    });
    let (work, works) = crossbeam_channel::bounded(WORK_MAX);
    let (alive, ended) = super::last_one();
    for _ in 0..concurrency.files {
        let (shared, works, reports) = (Arc::clone(&shared), works.clone(), report.clone());
        let alive = alive.clone();
        run.spawn("sprag-rebuild", move || {
            shared.work(&works, &reports);
            drop(alive);
        })?;
    }
    drop((works, alive));
    run.spawn("sprag-feed", move || {
        let result = shared.feed(work, &ended, &report);
        shared.signals.ended(&report, result);
    })?;
    Ok(run)
}

impl<F: Fs> Shared<F> {
    fn feed(
        &self,
        work: Sender<Scanned>,
        workers: &Receiver<()>,
        reports: &Sender<Report>,
    ) -> Result<(), Halt> {
        let rebuilding = Rebuilding {
            fs: &self.fs,
            dest: &self.dest,
            scribe: &self.scribe,
            signals: &self.signals,
            reports,
        };
        let mut names = Names::new();
        let fed = self.count(reports).and_then(|()| {
            let links_max = self
                .fs
                .about()
                .map_or(u64::MAX, |about| about.kind.links_max());
            let mut firsts = FirstNames::new(links_max);
            (0..self.sources.len())
                .try_for_each(|nth| self.walk(nth, &mut names, &mut firsts, &work, &rebuilding))
        });
        drop(work);
        rebuilding.end(fed, workers, || {
            rebuilding.settle_links()?;
            rebuilding.extra(&names, &self.wanted)
        })
    }

    /// A walk that only counts.
    fn count(&self, reports: &Sender<Report>) -> Result<(), Halt> {
        let (mut entries, mut bytes, selected) = (0, 0, Selected::default());
        let counted = scan::each(&self.sources, &self.selection, |scanned| {
            selected.note(scanned);
            if scanned.left_out.is_none() {
                entries += 1;
                bytes += match scanned.stat.kind {
                    Kind::File => scanned.stat.size,
                    _ => 0,
                };
            }
            match self.signals.check_stop() {
                Ok(()) => std::ops::ControlFlow::Continue(()),
                Err(_) => std::ops::ControlFlow::Break(()),
            }
        });
        if counted.is_break() {
            return Err(Halt::Stopped);
        }
        if selected.is_empty() {
            let of = self.dest.clone().into();
            return Err(Halt::Failed(SetupError::NothingLeft { of }.into()));
        }
        let opened = Report::Opened {
            entries,
            bytes,
            passed: PassedOver::default(),
        };
        reports.send(opened).map_err(|_| Halt::Stopped)
    }

    fn walk(
        &self,
        nth: usize,
        names: &mut Names,
        firsts: &mut FirstNames,
        work: &Sender<Scanned>,
        rebuilding: &Rebuilding<'_, F>,
    ) -> Result<(), Halt> {
        for scanned in Scan::new(&self.sources, nth, &self.selection) {
            self.signals.check_stop()?;
            let scanned = match scanned {
                Ok(scanned) => scanned,
                Err(failed) => {
                    names.add(&failed.dest);
                    let error = source_error(failed.error, &self.sources[nth].path);
                    rebuilding.report(failed.dest, None, Verdict::Unreadable { error })?;
                    continue;
                }
            };
            // What an earlier source has under that name is what a copy put there.
            if !names.add(&scanned.dest) || scanned.left_out.is_some() {
                continue;
            }
            let first = match scanned.stat.kind != Kind::Dir && scanned.stat.nlink > 1 {
                true => firsts.meet(&scanned.dest, &scanned.stat),
                false => None,
            };
            if let Some(to) = first
                && self.is_one_file(&scanned.dest, &to)
            {
                let path = scanned.dest;
                let wanted = Record::LinkWanted(Link { path, to });
                let recorded = self.scribe.record(&wanted);
                recorded.map_err(|error| self.failed(error))?;
                continue;
            }
            work.send(scanned).map_err(|_| Halt::Stopped)?;
        }
        Ok(())
    }

    /// Whether two names stand for one file at the destination.
    fn is_one_file(&self, a: &RelPath, b: &RelPath) -> bool {
        match (self.stat(a), self.stat(b)) {
            (Ok(Some(a)), Ok(Some(b))) => a.id() == b.id(),
            _ => false,
        }
    }

    pub(super) fn stat(&self, path: &RelPath) -> io::Result<Option<Stat>> {
        stat_at(&*self.fs, path)
    }

    pub(super) fn open_source(&self, path: &Path) -> io::Result<SourceFile> {
        match self.roots.iter().find(|root| root.holds(path)) {
            Some(root) => root.open_file(path),
            None => SourceFile::open(path),
        }
    }

    pub(super) fn failed(&self, error: ManifestError) -> Halt {
        super::failed(&*self.fs, error)
    }
}

/// What cannot be used of a source, as an I/O error.
fn source_error(error: EntryError, source: &Path) -> PathError {
    match error {
        EntryError::Unreadable(error) => error,
        EntryError::Vanished(path) => PathError::new("read", path, io::ErrorKind::NotFound.into()),
        other => {
            let error = io::Error::new(io::ErrorKind::InvalidData, other);
            PathError::new("use all of", source, error)
        }
    }
}
