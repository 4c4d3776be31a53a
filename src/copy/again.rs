//! Copying once more what did not read back right, up to three times.
//!
//! Each time it is written to new blocks: the old ones stay taken until the new file is published.

use std::thread;

use super::Shared;
use super::batch::{self, BatchSender};
use super::committer::{Bad, Committer};
use super::failure::{self, Failure};
use super::message::{Message, Task, Work};
use super::thread::spawn;
use super::worker::Worker;
use crate::error::{EntryError, Error, PathError};
use crate::event::Phase;
use crate::fs::{Fs, Kind, source};
use crate::manifest::Done;
use crate::scan::Source;

/// How often a file is copied again before its medium is called bad.
const TRIES: u32 = 3;

/// Waits until everything was read back, and mends what can be mended. Without `--verify` nothing
/// is done.
pub(super) fn read_back_all<F: Fs>(committer: &mut Committer<'_, F>, sources: &[Source]) {
    committer.enter(Phase::ReadingBack);
    for tries in 0..=TRIES {
        let Some(bad) = committer.await_read_back() else {
            return;
        };
        if bad.is_empty() {
            break;
        }
        if tries == TRIES {
            for Bad { done, ranges } in bad {
                let error = EntryError::BadMedium {
                    path: committer.shared.full(&done.path),
                    ranges,
                    tries,
                };
                committer.entry_failed(done.path, Some(Kind::File), error);
            }
            break;
        }
        // That they are forgotten is durable before the first of their new partials is made: should
        // the power go, a rerun then looks for left-overs of theirs.
        committer.barrier_now();
        if committer.has_failed() {
            return;
        }
        if let Err(error) = copy_again(committer, sources, bad) {
            let error = PathError::new("start threads for", &committer.shared.dest, error);
            committer.fail(Error::Io(error));
        }
        if committer.has_failed() || committer.shared.stopper.is_stopped() {
            return;
        }
        committer.barrier_now();
    }
    committer.end_reading();
}

fn copy_again<F: Fs>(
    committer: &mut Committer<'_, F>,
    sources: &[Source],
    bad: Vec<Bad>,
) -> std::io::Result<()> {
    let shared = committer.shared;
    thread::scope(|scope| {
        let (messages_in, messages_out) = batch::channel(1, batch::FOR_ONE);
        let (works_in, works_out) = batch::channel(1, batch::FOR_SEVERAL);
        let ends = (works_out, messages_in.clone());
        let name = "sprag-worker-again".into();
        spawn(scope, shared, name, ends, move |(works, messages)| {
            Worker::new(shared, 0, messages).run(works);
        })?;
        let ends = (works_in, messages_in);
        spawn(
            scope,
            shared,
            "sprag-again".into(),
            ends,
            move |(works_in, messages_in)| {
                for Bad { done, .. } in bad {
                    if feed(shared, sources, done, works_in, messages_in).is_err() {
                        return;
                    }
                }
            },
        )?;
        committer.run(&messages_out);
        Ok(())
    })
}

/// Hands a file to the worker; `Err` when nobody listens any more.
fn feed<F: Fs>(
    shared: &Shared<F>,
    sources: &[Source],
    done: Done,
    works: &BatchSender<Work<F>>,
    messages: &BatchSender<Message<F>>,
) -> Result<(), ()> {
    let path = done.path;
    let failed = |path, error| Message::Failed {
        path,
        kind: Some(Kind::File),
        error,
    };
    let (parent, _) = path.split().unwrap_or_default();
    let found = sources.iter().find_map(|source| {
        let from = path.strip_prefix(&source.dest)?.below(&source.path);
        let stat = source::lstat(&from).ok()?;
        (stat.kind == Kind::File).then_some((from, stat))
    });
    let Some((source, stat)) = found else {
        let error = EntryError::Vanished(shared.full(&path));
        return messages.send(failed(path, error)).map_err(drop);
    };
    let naming = failure::naming(&shared.fs, "open the directory of", shared.full(&path));
    let opened = shared.fs.open_dir(&parent).and_then(|dir| {
        let there = shared.fs.stat(&dir, path.name())?;
        Ok((dir, there))
    });
    match opened.map_err(naming) {
        Ok((dir, there)) => works
            .send(Work {
                path,
                source,
                stat,
                there,
                dir: std::sync::Arc::new(dir),
                task: Task::Copy,
            })
            .map_err(drop),
        Err(Failure::Entry(error)) => messages.send(failed(path, error)).map_err(drop),
        Err(Failure::Fatal(error)) => messages.send(Message::Fatal(error)).map_err(drop),
        Err(Failure::Stopped) => Err(()),
    }
}
