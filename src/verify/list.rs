//! Verification against a checksum list that another tool made, instead of a manifest.
//!
//! ```text
//! feed (lines) → [bounded] → check (read, hash, compare) → [bounded] → tally → VerifyEvent
//! ```
//!
//! A list knows names and hashes, nothing else. So content that differs is `modified`: there is no
//! recorded time that would tell rot from an edit. Regular files that the list does not name are
//! `extra`, the list itself apart. A BLAKE3 and a SHA-256 hash look the same; what a list has shows
//! with the first file that matches, and until then both are made.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;

use crossbeam_channel::{Receiver, Sender};

use super::cover::Cover;
use super::rebuild::{self, Names, Rebuilding, Scribe};
use super::rehash::Algorithm;
use super::streams::Streams;
use super::{Checked, Halt, Report, Signals, VerifyRun, WORK_MAX, medium, select};
use crate::concurrency::Seeks;
use crate::error::{Error, PathError, SetupError, UsageError};
use crate::event::{PassedOver, ReadHow, Verdict};
use crate::fs::{Fs, Kind, Stat, source, stat_at};
use crate::hash::Hash32;
use crate::options::{ChecksumList, VerifyOptions};
use crate::path::RelPath;
use crate::system_folders;
use crate::throttle::Throttle;
use crate::tree::{self, Step};

mod follow;
mod judge;
mod line;
mod read;

use line::{Line, Tree};
use read::List;

/// One file of a list.
struct Listed {
    path: RelPath,
    hash: Hash32,
    /// What the hash is, if the line says so.
    by: Option<Algorithm>,
}

/// What the threads of a run share.
struct Shared<F: Fs> {
    fs: Arc<F>,
    dest: PathBuf,
    /// The same, to know absolute paths by.
    tree: Tree,
    list: ChecksumList,
    wanted: select::Wanted,
    require_medium: bool,
    throttle: Throttle,
    streams: Streams,
    signals: Arc<Signals>,
    /// What the list's hashes are, once that is known.
    by: OnceLock<Algorithm>,
    /// Where what is as the list says is recorded, if a manifest is rebuilt.
    scribe: Option<Scribe<F>>,
}

/// Begins to verify `fs` against a list.
pub(super) fn start<F: Fs>(
    fs: Arc<F>,
    options: VerifyOptions,
    list: ChecksumList,
) -> Result<VerifyRun, Error> {
    let wanted = select::Wanted::new(&options.paths, options.filter, &options.dest)?;
    let (mut run, report) = VerifyRun::new();
    let seeks = Seeks {
        dest: fs.seeks(),
        source: false,
    };
    let concurrency = run.work_at_a_time(options.jobs, seeks);
    let mut shared = Shared {
        fs,
        tree: Tree::at(&options.dest),
        dest: options.dest.clone(),
        list,
        wanted,
        require_medium: options.require_medium,
        throttle: Throttle::new(options.bytes_per_s, run.signals().stopper.clone()),
        streams: Streams::new(concurrency.large_files),
        signals: run.signals(),
        by: OnceLock::new(),
        scribe: None,
    };
    let totals = shared.count()?;
    if options.rebuild {
        shared.scribe = Some(rebuild::begin(&shared.fs, &shared.dest)?);
    }
    let shared = Arc::new(shared);
    let (work, works) = crossbeam_channel::bounded(WORK_MAX);
    let (alive, ended) = rebuild::last_one();
    for _ in 0..concurrency.files {
        let (shared, works, report) = (Arc::clone(&shared), works.clone(), report.clone());
        let alive = alive.clone();
        run.spawn("sprag-verify", move || {
            shared.work(&works, &report);
            drop(alive);
        })?;
    }
    drop((works, alive));
    run.spawn("sprag-feed", move || {
        let mut fed = shared.feed(totals, work, &report);
        if let Some(scribe) = &shared.scribe {
            let rebuilding = Rebuilding {
                fs: &shared.fs,
                dest: &shared.dest,
                scribe,
                signals: &shared.signals,
                reports: &report,
            };
            fed = rebuilding.end(fed, &ended, || rebuilding.record_parents());
        }
        shared.signals.ended(&report, fed);
    })?;
    Ok(run)
}

/// How much a list names.
struct Totals {
    entries: u64,
    bytes: u64,
}

impl<F: Fs> Shared<F> {
    /// The wanted path that `path` is, or is below, unless a rule leaves it out.
    fn top_of(&self, path: &RelPath) -> Option<usize> {
        let top = self.wanted.top_of(path)?;
        (!self.wanted.leaves_out(path, false)).then_some(top)
    }

    fn open_list(&self) -> Result<List, Error> {
        List::open(&self.list).map_err(|source| {
            let path = self.list.path().to_path_buf();
            SetupError::List { path, source }.into()
        })
    }

    fn list_failed(&self, error: io::Error) -> Halt {
        Halt::Failed(Error::Io(PathError::new("read", self.list.path(), error)))
    }

    /// Settles which of its possible names a file has: the likeliest one that is there.
    fn settle_name(&self, line: Line) -> Listed {
        let Line {
            mut paths,
            hash,
            by,
        } = line;
        let is_there = |path: &RelPath| matches!(self.stat(path), Ok(Some(_)));
        let nth = match paths.len() {
            1 => 0,
            _ => paths.iter().position(is_there).unwrap_or(0),
        };
        let path = paths.swap_remove(nth);
        Listed { path, hash, by }
    }

    /// Goes through the list once to see whether it is one, and how much there is to read.
    fn count(&self) -> Result<Totals, Error> {
        let mut list = self.open_list()?;
        let (mut totals, mut good, mut bad) = ((0, 0), false, None);
        let mut cover = Cover::new(&self.wanted);
        let read = |error| Error::Io(PathError::new("read", self.list.path(), error));
        while let Some((number, line)) = list.next(&self.tree).map_err(read)? {
            match line {
                Err(why) => {
                    bad.get_or_insert((number, why));
                }
                Ok(line) => {
                    good = true;
                    let listed = self.settle_name(line);
                    cover.meet(&listed.path, false);
                    if self.top_of(&listed.path).is_some() {
                        totals.0 += 1;
                        let stat = self.stat(&listed.path).ok().flatten();
                        totals.1 += stat.map_or(0, |stat| stat.size);
                    }
                }
            }
        }
        if let Some((line, why)) = bad.take_if(|_| !good) {
            let path = self.list.path().to_path_buf();
            let why = why.to_string();
            return Err(UsageError::NotAList { path, line, why }.into());
        }
        if totals.0 == 0 {
            let path = self.list.path().to_path_buf();
            return Err(SetupError::NothingListed { path }.into());
        }
        // A line that cannot be read may have named it.
        if bad.is_none() {
            cover.end(self.list.path())?;
        }
        let (entries, bytes) = totals;
        Ok(Totals { entries, bytes })
    }

    fn stat(&self, path: &RelPath) -> io::Result<Option<Stat>> {
        stat_at(&*self.fs, path)
    }

    fn feed(
        &self,
        totals: Totals,
        work: Sender<Listed>,
        reports: &Sender<Report>,
    ) -> Result<(), Halt> {
        let Totals { entries, bytes } = totals;
        let opened = Report::Opened {
            entries,
            bytes,
            passed: PassedOver::default(),
        };
        reports.send(opened).map_err(|_| Halt::Stopped)?;
        // Those that were listed, to know the others by.
        let mut known = Names::new();
        let mut matched = vec![false; self.wanted.tops().len()];
        let mut list = self.open_list().map_err(Halt::Failed)?;
        let failed = |error| self.list_failed(error);
        while let Some((number, line)) = list.next(&self.tree).map_err(failed)? {
            self.signals.check_stop()?;
            match line {
                Ok(line) => {
                    let listed = self.settle_name(line);
                    if let Some(top) = self.top_of(&listed.path) {
                        matched[top] = true;
                        let is_new = known.add(&listed.path);
                        if self.scribe.is_some() && !is_new {
                            self.twice(listed.path, reports)?;
                            continue;
                        }
                        work.send(listed).map_err(|_| Halt::Stopped)?;
                    }
                }
                Err(error) => {
                    let text = format!("line {number}: {error}");
                    let source = io::Error::new(io::ErrorKind::InvalidData, text);
                    let error = PathError::new("use all of", self.list.path(), source);
                    self.report(
                        reports,
                        RelPath::root(),
                        Verdict::Unreadable { error },
                        None,
                    )?;
                }
            }
        }
        drop(work);
        let own = source::stat_follow(self.list.path()).ok();
        for (top, matched) in self.wanted.tops().iter().zip(matched) {
            self.extra(top, matched, own.as_ref(), reports, |path| {
                known.contains(path)
            })?;
        }
        Ok(())
    }

    /// Reports the regular files at and below `top` that the list does not name.
    fn extra(
        &self,
        top: &RelPath,
        matched: bool,
        own: Option<&Stat>,
        reports: &Sender<Report>,
        is_known: impl Fn(&RelPath) -> bool,
    ) -> Result<(), Halt> {
        let is_own = |stat: &Stat| own.is_some_and(|own| own.id() == stat.id());
        let there = match top.is_root() {
            true => None,
            false => match self.stat(top) {
                Ok(None) if !matched => {
                    return self.report(reports, top.clone(), Verdict::Missing, None);
                }
                Ok(there) => there,
                Err(error) => return self.unreadable(reports, top.clone(), "look at", error),
            },
        };
        if let Some(stat) = there
            && stat.kind != Kind::Dir
        {
            return match stat.kind == Kind::File && !is_known(top) && !is_own(&stat) {
                true => self.report(reports, top.clone(), Verdict::Extra, None),
                false => Ok(()),
            };
        }
        tree::walk(&*self.fs, top, |step| {
            self.signals.check_stop()?;
            match step {
                Step::Entry { dir, path, kind } => {
                    let left_out = || self.wanted.leaves_out(&path, false);
                    let of_system = || system_folders::hold(&*self.fs, &path);
                    if kind != Kind::File || is_known(&path) || left_out() || of_system() {
                        return Ok(());
                    }
                    let stat = self.fs.stat(dir, path.name()).ok().flatten();
                    match stat.is_some_and(|stat| is_own(&stat)) {
                        true => Ok(()),
                        false => self.report(reports, path, Verdict::Extra, None),
                    }
                }
                Step::Unlisted { path, error } => self.unreadable(reports, path, "list", error),
            }
        })
    }

    fn unreadable(
        &self,
        reports: &Sender<Report>,
        path: RelPath,
        action: &'static str,
        error: io::Error,
    ) -> Result<(), Halt> {
        let error = PathError::new(action, path.below(&self.dest), error);
        self.report(reports, path, Verdict::Unreadable { error }, None)
    }

    /// A name that a list has twice cannot be recorded twice.
    fn twice(&self, path: RelPath, reports: &Sender<Report>) -> Result<(), Halt> {
        let error = io::Error::new(io::ErrorKind::InvalidData, "it has a name twice");
        let error = PathError::new("use all of", self.list.path(), error);
        self.report(reports, path, Verdict::Unreadable { error }, None)
    }

    fn report(
        &self,
        reports: &Sender<Report>,
        path: RelPath,
        verdict: Verdict,
        how: Option<ReadHow>,
    ) -> Result<(), Halt> {
        // A list names files only; what the root stands for is a line that cannot be used.
        let kind = (!path.is_root()).then_some(Kind::File);
        let mut checked = Checked::again(path, kind, verdict);
        checked.how = how;
        rebuild::report(&*self.fs, &self.dest, reports, checked)
    }

    /// One worker.
    fn work(&self, works: &Receiver<Listed>, reports: &Sender<Report>) {
        let mut buf = medium::even_buffer(&self.throttle);
        let result = works.iter().try_for_each(|listed| {
            self.signals.check_stop()?;
            let (verdict, how) = match self.judge(&listed, &mut buf, reports)? {
                Ok(judged) => judged,
                Err(source) => {
                    let error = PathError::new("read", listed.path.below(&self.dest), source);
                    (Verdict::Unreadable { error }, None)
                }
            };
            self.report(reports, listed.path, verdict, how)
        });
        self.signals.ended(reports, result);
    }
}
