//! One run from end to end: open, recover, the stages on their threads, the end.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};
use serde_bytes::ByteBuf;

use super::again;
use super::committer::Committer;
use super::flusher;
use super::message::Completed;
use super::namer::{self, Named};
use super::power_cuts::PowerCuts;
use super::read_back;
use super::reader;
use super::recover;
use super::setup::{Setup, no_manifest};
use super::stages::stages;
use super::thread::spawn;
use super::{Shared, failure};
use crate::concurrency::{self, Seeks};
use crate::error::{Error, ManifestError, PathContext, PathError, SetupError, UsageError};
use crate::event::{Concurrency, CopySummary, Event, Phase};
use crate::exit::Exit;
use crate::fs::{Fs, FsFile, Place, source};
use crate::limits::{self, Limits};
use crate::lock_mutex;
use crate::manifest::{Holder, OpenMode, Record, RunBegin, RunSource, Store};
use crate::options::CopyOptions;
use crate::path::{Printable, RelPath};
use crate::scan::{self, Source};
use crate::time;
use crate::verify::streams::Streams;

/// Opens the manifest as the options say and notes the beginning of the run in it. Says, too,
/// whether the run before was cut short, and where power was lost since.
pub(super) fn open<F: Fs>(
    fs: &Arc<F>,
    setup: &mut Setup,
    options: &CopyOptions,
    repairs: bool,
) -> Result<(Store<F>, bool, PowerCuts), Error> {
    let asked = options.block_size;
    let mode = match (options.restart, setup.requires_manifest(options)) {
        (true, false) => OpenMode::Restart(asked.unwrap_or_default()),
        (false, false) => OpenMode::Create(asked.unwrap_or_default()),
        (false, true) => OpenMode::Write,
        (true, true) => {
            match Store::open_or_backup(fs, &setup.root, OpenMode::Read) {
                Ok(None) => return Err(no_manifest(options, &setup.root).into()),
                // One that is damaged is there, and is set aside.
                Ok(Some(_)) | Err(ManifestError::Damaged { .. }) => {}
                Err(error) => return Err(failure::manifest_failed(&**fs, error)),
            }
            OpenMode::Restart(asked.unwrap_or_default())
        }
    };
    let store = Store::open_or_backup(fs, &setup.root, mode);
    let store = store.map_err(|error| failure::manifest_failed(&**fs, error))?;
    let Some(mut store) = store else {
        return Err(no_manifest(options, &setup.root).into());
    };
    let have = store.block_size();
    if let Some(asked) = asked.filter(|asked| *asked != have) {
        let dest = setup.root.clone();
        return Err(UsageError::OtherBlockSize { dest, have, asked }.into());
    }
    if repairs {
        setup.sources = scan::recorded(&options.sources, &store, &setup.root)?;
    }
    must_be_the_sources(&**fs, &store, setup, options)?;
    let after_cut = store.was_cut_short().map(|cut| cut || store.was_cut());
    let after_cut = after_cut.map_err(|error| failure::manifest_failed(&**fs, error))?;
    store.set_holder(Some(&Holder::this_process()));
    let cuts = PowerCuts::since_the_last_run(&**fs, &store, after_cut);
    let last = store.last_run();
    let last = last.map_err(|error| failure::manifest_failed(&**fs, error))?;
    let sources: Vec<RunSource> = setup
        .sources
        .iter()
        .take(RunBegin::SOURCES_MAX)
        .map(|source| RunSource {
            path: source.as_given().into(),
            file_system: file_system_of(source).into_bytes().into(),
        })
        .collect();
    let begin = RunBegin {
        started_ms: time::now_ms(),
        earlier: last.map_or_else(Vec::new, |(last, _)| earlier_than(&sources, last)),
        sources,
        options: recorded(&options.words),
        // What the last run wrote to may be written to by this one's recovery.
        mounts: cuts.now_mounted(&**fs, &store),
    };
    begin_run(&mut store, begin).map_err(|error| failure::manifest_failed(&**fs, error))?;
    Ok((store, after_cut, cuts))
}

/// Returns the sources of the last run, and of those before it, that are none of a run.
fn earlier_than(sources: &[RunSource], last: RunBegin) -> Vec<RunSource> {
    let is_among = |it: &RunSource| sources.iter().any(|source| source.path == it.path);
    let known = last.sources.into_iter().chain(last.earlier);
    known
        .filter(|it| !is_among(it))
        .take(RunBegin::EARLIER_MAX)
        .collect()
}

/// Returns the options as they are recorded: none if they are too many.
fn recorded(words: &[OsString]) -> Vec<ByteBuf> {
    let bytes: usize = words.iter().map(|word| word.len()).sum();
    if words.len() > RunBegin::OPTIONS_MAX || bytes > RunBegin::OPTIONS_BYTES_MAX {
        return Vec::new();
    }
    let words = words.iter().map(|word| word.as_bytes().to_vec().into());
    words.collect()
}

/// Refuses a source that does not look like the one that a run before copied from: its drive may not be mounted,
/// or another drive may be. With `--remove-source-files` a source is expected to lack what was copied.
pub(super) fn must_be_the_sources<F: Fs>(
    fs: &F,
    store: &Store<F>,
    setup: &Setup,
    options: &CopyOptions,
) -> Result<(), Error> {
    if options.any_source || options.remove_source_files {
        return Ok(());
    }
    let failed = |error| failure::manifest_failed(fs, error);
    let Some((last, _)) = store.last_run().map_err(failed)? else {
        return Ok(());
    };
    for source in setup.sources.iter().filter(|source| source.is_dir) {
        let given = source.as_given();
        let mut known = last.sources.iter().chain(&last.earlier);
        let Some(before) = known.find(|before| before.path[..] == given[..]) else {
            continue;
        };
        // One that cannot be listed is told of when it is walked.
        let is_empty = || source::names(&source.path).is_ok_and(|mut names| names.next().is_none());
        if is_empty() && holds_below(store, &source.dest).map_err(failed)? {
            let path = source.path.clone();
            return Err(SetupError::SourceEmptied { path }.into());
        }
        let was = &before.file_system[..];
        if options.delete.is_none() || was.is_empty() {
            continue;
        }
        let is = file_system_of(source);
        if is.is_empty() || was == is.as_bytes() {
            continue;
        }
        let (lacks, of) = lacking(store, setup, &source.dest).map_err(failed)?;
        if lacks > of / 2 {
            let was = String::from_utf8_lossy(was);
            return Err(SetupError::SourceReplaced {
                path: source.path.clone(),
                file_systems: Box::new([Printable(Path::new(&*was)).to_string(), is]),
                lacks,
                of,
            }
            .into());
        }
    }
    Ok(())
}

/// What tells the file system of a source from others; empty if that is not known.
fn file_system_of(source: &Source) -> String {
    let place = Place::of(&source.path);
    place.file_system().unwrap_or_default().to_owned()
}

/// How many of the entries below a path that are recorded no source has, and how many there are.
fn lacking<F: Fs>(
    store: &Store<F>,
    setup: &Setup,
    dest: &RelPath,
) -> Result<(u64, u64), ManifestError> {
    let (mut lacks, mut of) = (0, 0);
    for pos in store.positions() {
        let (path, _) = store.entry_at(pos)?;
        if path == *dest || !path.is_within(dest) {
            continue;
        }
        of += 1;
        let has = |source: &Source| {
            let below = path.strip_prefix(&source.dest);
            below.is_some_and(|below| source::lstat(&below.below(&source.path)).is_ok())
        };
        lacks += u64::from(!setup.sources.iter().any(has));
    }
    Ok((lacks, of))
}

/// Whether anything is recorded below a path.
fn holds_below<F: Fs>(store: &Store<F>, dest: &RelPath) -> Result<bool, ManifestError> {
    for pos in store.positions() {
        let (path, _) = store.entry_at(pos)?;
        if path != *dest && path.is_within(dest) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Notes the beginning of a run; where there is no journal, durably, before anything else is written:
/// the next run has to know of it, whatever becomes of this one.
fn begin_run<F: Fs>(store: &mut Store<F>, begin: RunBegin) -> Result<(), ManifestError> {
    let lacks_journals = !begin.mounts.is_empty();
    store.append(&Record::RunBegin(begin))?;
    store.write_out()?;
    if lacks_journals {
        store.file().sync().at("flush", store.path())?;
    }
    Ok(())
}

/// Finds out what the destination can hold.
pub(super) fn measure<F: Fs>(fs: &Arc<F>, setup: &Setup) -> Result<Limits, Error> {
    let measured = limits::measure(&**fs);
    measured.map_err(|error| {
        let path = RelPath::state_dir().below(&setup.root);
        failure::ends_run(&**fs, "try what names are possible in", path, error)
    })
}

/// Runs the copy; this is the committer's thread.
/// Gives the totals, and what ended it early if something did: the last event is the caller's.
pub(super) fn run<F: Fs>(
    shared: &Shared<F>,
    sources: &[Source],
    events: Sender<Vec<Event>>,
) -> (CopySummary, Option<Error>) {
    let started = Instant::now();
    let workers = shared.concurrency.files;
    // No source is read then.
    let seeks = Seeks {
        dest: shared.fs.seeks(),
        source: false,
    };
    let reading = concurrency::of_reading(shared.options.jobs, seeks);
    let (jobs_in, jobs_out) = crossbeam_channel::bounded(1);
    let (flushed_in, flushed_out) = crossbeam_channel::bounded(1);
    let (batches_in, batches_out) = crossbeam_channel::bounded(namer::BATCHES_MAX);
    let (named_in, named_out) = crossbeam_channel::bounded(namer::BATCHES_MAX);
    let namers = (batches_in, named_out);
    let mut committer = Committer::new(shared, workers, events, (jobs_in, flushed_out), namers);
    let since = lock_mutex(&shared.store).tail().trusted;
    let damage = lock_mutex(&shared.store).stands_for().cloned();
    let recovered = recover::recover(shared, reading.large_files);
    let mut proven = true;
    thread::scope(|scope| {
        match recovered {
            // What is not proved must not be covered by a barrier of this run's.
            Ok(None) => proven = false,
            Ok(Some(recovered)) => {
                committer.summary.bytes_rehashed = recovered.bytes_rehashed;
                committer.emit(Event::Opened(recovered));
                committer.emit(Event::Concurrency(shared.concurrency));
                if let Some(damage) = damage {
                    committer.emit(Event::Warning(damage.to_string()));
                }
                for text in &shared.notices {
                    committer.emit(Event::Warning(text.clone()));
                }
                if shared.cuts.any() {
                    committer.emit(Event::Warning(read_back::WARNING.into()));
                }
                // Only now: recovery may have put a new file in place.
                let manifest = lock_mutex(&shared.store).file();
                let ends = (jobs_out, flushed_in);
                let flusher = spawn(scope, shared, "sprag-flusher".into(), ends, move |ends| {
                    flusher::flush(shared, &manifest, &ends.0, &ends.1);
                });
                let reader = match shared.options.verify {
                    true => start_readers(scope, shared, reading)
                        .map(|ends| committer.read_back_by(reading.files, ends)),
                    false => Ok(()),
                };
                let namers = start_namers(scope, shared, batches_out, named_in);
                let started = flusher.and(reader).and(namers);
                let ran = started.and_then(|()| {
                    committer.delete_before(sources);
                    stages(&mut committer, sources, workers)
                });
                if let Err(error) = ran {
                    let error = PathError::new("start threads for", &shared.dest, error);
                    committer.fail(Error::Io(error));
                }
            }
            Err(error) => {
                proven = false;
                committer.fail(error);
            }
        }
        let end = close(&mut committer, sources, started, proven, since);
        // The flusher ends when its job queue does.
        drop(committer);
        end
    })
}

/// Starts the threads that give files their final names.
fn start_namers<'scope, 'env, F: Fs>(
    scope: &'scope thread::Scope<'scope, 'env>,
    shared: &'env Shared<F>,
    batches: Receiver<Vec<Completed<F>>>,
    answers: Sender<Vec<Named<F>>>,
) -> std::io::Result<()> {
    for number in 0..namer::NAMERS {
        let ends = (batches.clone(), answers.clone());
        let name = format!("sprag-namer-{number}");
        spawn(scope, shared, name, ends, move |(batches, answers)| {
            namer::give_names(shared, batches, answers);
        })?;
    }
    Ok(())
}

/// Starts the threads that read back what was copied, of large files so many at a time; gives how
/// to ask them, and their answers.
fn start_readers<'scope, 'env, F: Fs>(
    scope: &'scope thread::Scope<'scope, 'env>,
    shared: &'env Shared<F>,
    reading: Concurrency,
) -> std::io::Result<reader::Ends> {
    let readers = reading.files;
    let streams = Arc::new(Streams::new(reading.large_files));
    let (asked_in, asked_out) = crossbeam_channel::bounded(readers);
    let (answers_in, answers_out) = crossbeam_channel::bounded(readers);
    for number in 0..readers {
        let ends = (asked_out.clone(), answers_in.clone());
        let streams = Arc::clone(&streams);
        let name = format!("sprag-reader-{number}");
        spawn(scope, shared, name, ends, move |(asked, answers)| {
            reader::read(shared, &streams, asked, answers);
        })?;
    }
    Ok((asked_in, answers_out))
}

/// Makes everything durable that can be, and says how the run ended. `proven`: recovery
/// was completed, so that barriers may be made.
fn close<F: Fs>(
    committer: &mut Committer<'_, F>,
    sources: &[Source],
    started: Instant,
    proven: bool,
    since: u64,
) -> (CopySummary, Option<Error>) {
    if proven && !committer.has_failed() {
        make_durable(committer, sources);
        if committer.shared.cuts.any() {
            committer.enter(Phase::ReadingBack);
            committer.read_back_since(since);
        }
        if committer.shared.options.remove_source_files && !committer.shared.should_stop() {
            committer.remove_sources(sources);
        }
        if !committer.has_failed() {
            if !committer.is_ending_early() {
                committer.shared.open_state();
            }
            if committer.copied_nothing() {
                committer.note_exit(Exit::Unusable);
            }
            committer.enter(Phase::Flushing);
            let (end, _) = committer.end(started.elapsed());
            committer.record(&Record::RunEnd(end));
            committer.barrier_now();
            compact(committer);
            back_up(committer);
        }
    }
    let sealed = proven
        && committer.failed_harmlessly()
        && committer.seal_despite_failure(started.elapsed());
    committer.end(started.elapsed());
    if !sealed && (!proven || committer.has_failed()) {
        committer.note_failed_end(started.elapsed());
    }
    committer.store().set_holder(None);
    committer.shared.board.over();
    committer.pump_all();
    let ended = committer.take_fatal();
    let nothing = || {
        committer
            .copied_nothing()
            .then(|| SetupError::NothingSelected.into())
    };
    (committer.summary.clone(), ended.or_else(nothing))
}

/// The barriers before the last: data and final names, then the renames and what came with them.
fn make_durable<F: Fs>(committer: &mut Committer<'_, F>, sources: &[Source]) {
    committer.enter(Phase::Flushing);
    // What a barrier under way publishes has to be there for what comes next.
    committer.await_barrier();
    if committer.has_unsealed() {
        committer.barrier_now();
    }
    if committer.shared.options.verify && !committer.is_ending_early() {
        // Before the links: they are made to what is there in the end.
        again::read_back_all(committer, sources);
    }
    if !committer.is_ending_early() {
        committer.enter(Phase::Finishing);
        committer.finish(sources);
        committer.enter(Phase::Flushing);
    }
    if committer.has_unsealed() {
        committer.barrier_now();
    }
}

/// Brings the copy of the manifest up to date, which by now is durable as it is. That a write finds
/// no room for it is no failure.
fn back_up<F: Fs>(committer: &mut Committer<'_, F>) {
    if committer.has_failed() {
        return;
    }
    let shared = committer.shared;
    let backed_up = committer.store().back_up();
    match backed_up.map_err(|error| failure::manifest_failed(&*shared.fs, error)) {
        Ok(()) => {}
        Err(Error::Full(error)) => committer.emit(Event::Warning(format!(
            "{error}: no new copy of the manifest is kept"
        ))),
        Err(error) => committer.fail(error),
    }
}

fn compact<F: Fs>(committer: &mut Committer<'_, F>) {
    if committer.has_failed() {
        return;
    }
    let compacted = {
        let mut store = committer.store();
        if store.wants_compaction() {
            store.compact(None)
        } else {
            Ok(())
        }
    };
    committer.manifest(compacted);
}
