//! The threads that read files back while the copying goes on, for `--verify`.
//!
//! Each reads one file at a time: the committer asks, goes on with its messages, and hears what was
//! found. They read past the page cache, so that most of their time is waiting for the device.

use crossbeam_channel::{Receiver, Sender};

use super::read_back::{ReadBack, read_back};
use super::{Shared, failure};
use crate::error::Error;
use crate::fs::Fs;
use crate::lock_mutex;
use crate::manifest::{Done, Entry};
use crate::verify::medium;
use crate::verify::streams::Streams;

/// What reading one file back came to.
pub(super) enum Answer {
    /// It was read.
    Read { done: Box<Done>, found: ReadBack },
    /// It was not: another record has taken the place of its own, or the run is stopping.
    Passed,
}

/// The committer's ends of the queues: positions of records out, what was found back.
pub(super) type Ends = (Sender<u64>, Receiver<Result<Answer, Error>>);

/// Reads the files whose records are at `asked`, until there will be no more.
pub(super) fn read<F: Fs>(
    shared: &Shared<F>,
    streams: &Streams,
    asked: &Receiver<u64>,
    answers: &Sender<Result<Answer, Error>>,
) {
    let mut buf = medium::buffer();
    for pos in asked {
        if answers
            .send(read_one(shared, streams, pos, &mut buf))
            .is_err()
        {
            return;
        }
    }
}

fn read_one<F: Fs>(
    shared: &Shared<F>,
    streams: &Streams,
    pos: u64,
    buf: &mut crate::fs::AlignedBuf,
) -> Result<Answer, Error> {
    let failed = |error| failure::manifest_failed(&*shared.fs, error);
    let done = {
        let store = lock_mutex(&shared.store);
        let (path, entry) = store.entry_at(pos).map_err(failed)?;
        let newest = store.lookup(&path).map_err(failed)?;
        match entry {
            Entry::Done(done) if newest.is_some_and(|(newest, _)| newest == pos) => done,
            _ => return Ok(Answer::Passed),
        }
    };
    let _stream = streams.take(done.size);
    let found = read_back(shared, &done, buf, |_| shared.should_stop())?;
    Ok(match found {
        Some(found) => Answer::Read {
            done: Box::new(done),
            found,
        },
        None => Answer::Passed,
    })
}
