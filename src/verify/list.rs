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

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;

use crossbeam_channel::{Receiver, Sender};

use super::rehash::{Algorithm, Digests, read_whole};
use super::{Checked, Halt, Report, Signals, VerifyRun, WORK_MAX, medium, run, select};
use crate::error::{Error, PathError, SetupError, UsageError};
use crate::event::{PassedOver, ReadHow, Verdict};
use crate::fs::{AlignedBuf, Fs, FsFile, Kind, Stat, found, is_gone, source};
use crate::options::VerifyOptions;
use crate::path::RelPath;
use crate::throttle::Throttle;
use crate::tree::{self, Step};

pub(crate) mod line;
pub(crate) mod read;

use line::Listed;
use read::List;

/// Reading is reported after about this many bytes.
const REPORT_BYTES: u64 = 4 << 20;

/// What the threads of a run share.
struct Shared<F: Fs> {
    fs: Arc<F>,
    dest: PathBuf,
    list: PathBuf,
    wanted: select::Wanted,
    require_medium: bool,
    throttle: Throttle,
    signals: Arc<Signals>,
    /// What the list's hashes are, once that is known.
    by: OnceLock<Algorithm>,
}

/// Begins to verify `fs` against a list.
pub(super) fn start<F: Fs>(
    fs: Arc<F>,
    options: VerifyOptions,
    list: &Path,
) -> Result<VerifyRun, Error> {
    let wanted = select::Wanted::new(&options.paths, options.filter, &options.dest)?;
    let (mut run, report) = VerifyRun::new();
    let shared = Arc::new(Shared {
        fs,
        dest: options.dest.clone(),
        list: list.to_path_buf(),
        wanted,
        require_medium: options.require_medium,
        throttle: Throttle::new(options.bytes_per_s, run.signals().stopper.clone()),
        signals: run.signals(),
        by: OnceLock::new(),
    });
    let totals = shared.count()?;
    let (work, works) = crossbeam_channel::bounded(WORK_MAX);
    let jobs = options.jobs.map_or_else(run::default_jobs, usize::from);
    for _ in 0..jobs {
        let (shared, works, report) = (Arc::clone(&shared), works.clone(), report.clone());
        run.spawn("sprag-verify", move || shared.work(&works, &report))?;
    }
    drop(works);
    run.spawn("sprag-feed", move || {
        let fed = shared.feed(totals, work, &report);
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
            let path = self.list.clone();
            SetupError::Source { path, source }.into()
        })
    }

    fn list_failed(&self, error: io::Error) -> Halt {
        Halt::Failed(Error::Io(PathError::new("read", &self.list, error)))
    }

    /// Goes through the list once to see whether it is one, and how much there is to read.
    fn count(&self) -> Result<Totals, Error> {
        let mut list = self.open_list()?;
        let (mut totals, mut bad, mut good) = ((0, 0), 0u64, 0u64);
        let read = |error| Error::Io(PathError::new("read", &self.list, error));
        while let Some((_, listed)) = list.next().map_err(read)? {
            match listed {
                Err(_) => bad += 1,
                Ok(listed) => {
                    good += 1;
                    if self.top_of(&listed.path).is_some() {
                        totals.0 += 1;
                        let stat = self.stat(&listed.path).ok().flatten();
                        totals.1 += stat.map_or(0, |stat| stat.size);
                    }
                }
            }
        }
        if good == 0 && bad > 0 {
            let path = self.list.clone();
            return Err(UsageError::NotAList { path }.into());
        }
        let (entries, bytes) = totals;
        Ok(Totals { entries, bytes })
    }

    fn stat(&self, path: &RelPath) -> io::Result<Option<Stat>> {
        let (parent, name) = path.split().unwrap_or_default();
        match found(self.fs.open_dir(&parent))? {
            Some(dir) => self.fs.stat(&dir, name),
            None => Ok(None),
        }
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
        // A hash of each name that was listed, 8 bytes a file, to know the others by.
        let (key, mut known) = (RandomState::new(), HashSet::new());
        let mut matched = vec![false; self.wanted.tops().len()];
        let mut list = self.open_list().map_err(Halt::Failed)?;
        while let Some((number, listed)) = list.next().map_err(|error| self.list_failed(error))? {
            self.signals.check_stop()?;
            match listed {
                Ok(listed) => {
                    if let Some(top) = self.top_of(&listed.path) {
                        matched[top] = true;
                        known.insert(key.hash_one(listed.path.as_bytes()));
                        work.send(listed).map_err(|_| Halt::Stopped)?;
                    }
                }
                Err(error) => {
                    let text = format!("line {number}: {error}");
                    let source = io::Error::new(io::ErrorKind::InvalidData, text);
                    let error = PathError::new("use all of", &self.list, source);
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
        let own = source::stat_follow(&self.list).ok();
        for (top, matched) in self.wanted.tops().iter().zip(matched) {
            self.extra(top, matched, own.as_ref(), reports, |path| {
                known.contains(&key.hash_one(path.as_bytes()))
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
        let is_own =
            |stat: &Stat| own.is_some_and(|own| (own.dev, own.ino) == (stat.dev, stat.ino));
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
        let walked = tree::walk(&*self.fs, top, |step| {
            let result = self.signals.check_stop().and_then(|()| match step {
                Step::Entry { dir, path, kind } => {
                    let left_out = || self.wanted.leaves_out(&path, false);
                    if kind != Kind::File || is_known(&path) || left_out() {
                        return Ok(());
                    }
                    let stat = self.fs.stat(dir, path.name()).ok().flatten();
                    match stat.is_some_and(|stat| is_own(&stat)) {
                        true => Ok(()),
                        false => self.report(reports, path, Verdict::Extra, None),
                    }
                }
                Step::Unlisted { path, error } => self.unreadable(reports, path, "list", error),
            });
            match result {
                Ok(()) => ControlFlow::Continue(()),
                Err(halt) => ControlFlow::Break(halt),
            }
        });
        match walked {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(halt) => Err(halt),
        }
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

    /// Reports a verdict, unless what was found only shows that the device is gone.
    fn report(
        &self,
        reports: &Sender<Report>,
        path: RelPath,
        verdict: Verdict,
        how: Option<ReadHow>,
    ) -> Result<(), Halt> {
        match verdict {
            Verdict::Unreadable { error } if is_gone(&*self.fs, &error.source) => {
                Err(Halt::Failed(Error::DeviceGone(error)))
            }
            Verdict::Missing if self.fs.device_gone() => {
                let error = io::ErrorKind::NotFound.into();
                let error = PathError::new("find", path.below(&self.dest), error);
                Err(Halt::Failed(Error::DeviceGone(error)))
            }
            verdict => {
                let mut checked = Checked::again(path, verdict);
                checked.how = how;
                let report = Report::Checked(checked);
                reports.send(report).map_err(|_| Halt::Stopped)
            }
        }
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

    fn judge(
        &self,
        listed: &Listed,
        buf: &mut AlignedBuf,
        reports: &Sender<Report>,
    ) -> Result<io::Result<(Verdict, Option<ReadHow>)>, Halt> {
        let stat = match self.stat(&listed.path) {
            Ok(Some(stat)) => stat,
            Ok(None) => return Ok(Ok((Verdict::Missing, None))),
            Err(error) => return Ok(Err(error)),
        };
        if stat.kind != Kind::File {
            return Ok(Ok((super::check::other_kind(stat.kind, Kind::File), None)));
        }
        let (parent, name) = listed.path.split().unwrap_or_default();
        let opened = self.fs.open_dir(&parent);
        let file = match opened.and_then(|dir| self.fs.open_medium(&dir, name)) {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        let mut digests = Digests::new(listed.by.or(self.by.get().copied()));
        let (mut unreported, mut halt) = (0, None);
        let read = read_whole(&file, buf, |piece| {
            self.throttle.take(piece.len() as u64);
            digests.update(piece);
            unreported += piece.len() as u64;
            let told = match unreported >= REPORT_BYTES {
                true => told(reports, std::mem::take(&mut unreported)),
                false => Ok(()),
            };
            halt = self.signals.check_stop().and(told).err();
            halt.is_none()
        });
        if let Some(halt) = halt {
            return Err(halt);
        }
        told(reports, unreported)?;
        if let Err(error) = read {
            return Ok(Err(error));
        }
        let hashes = digests.finish();
        let fits = if hashes.blake3 == Some(listed.hash) {
            Some(Algorithm::Blake3)
        } else {
            (hashes.sha256 == Some(listed.hash)).then_some(Algorithm::Sha256)
        };
        if let (Some(by), None) = (fits, listed.by) {
            // Another thread that was faster came to the same.
            let _ = self.by.set(by);
        }
        let how = file.how();
        let verdict = match fits {
            Some(_) if self.require_medium && how == ReadHow::Cached => Verdict::Unproven,
            Some(_) => Verdict::Ok,
            None => Verdict::Modified {
                what: "its content is not what the list says".to_owned(),
                damage: None,
            },
        };
        Ok(Ok((verdict, Some(how))))
    }
}

fn told(reports: &Sender<Report>, bytes: u64) -> Result<(), Halt> {
    match bytes {
        0 => Ok(()),
        bytes => {
            let report = Report::Read { bytes };
            reports.send(report).map_err(|_| Halt::Stopped)
        }
    }
}
