//! The threads that give files their final names, once the barrier has their data flushed.
//!
//! A rename costs a file system about as much as making the file. The committer has messages to
//! take meanwhile, and at the end of a run nothing else is left to do: so more than one thread
//! renames, each in another directory where there are several.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::Shared;
use super::classify::Doing;
use super::failure::{self, Failure};
use super::message::Completed;
use crate::fs::Fs;
use crate::lock_mutex;
use crate::path::RelPath;

/// So many threads rename. More stand in each other's way in the journal of the file system.
pub(super) const NAMERS: usize = 2;
/// So many batches of files at most are with them.
pub(super) const BATCHES_MAX: usize = 2 * NAMERS;

/// A batch has so many files at least, and then goes on to the end of their directory...
const BATCH_MIN: usize = 64;
/// ...but has not more than these.
const BATCH_MAX: usize = 1024;
/// Several workers finish files of so many directories at a time, at most, in turn.
const DIRS_IN_TURN: usize = 16;

/// A file, and whether it has its final name now.
pub(super) struct Named<F: Fs> {
    pub(super) completed: Completed<F>,
    /// `Stopped`: it was not tried, since one before it ended the run.
    pub(super) result: Result<(), Failure>,
}

/// The committer's ends of the queues: batches of files out, what came of it back.
pub(super) type Ends<F> = (Sender<Vec<Completed<F>>>, Receiver<Vec<Named<F>>>);

/// Gives the files of each batch their final names, until there will be no more.
pub(super) fn give_names<F: Fs>(
    shared: &Shared<F>,
    batches: &Receiver<Vec<Completed<F>>>,
    answers: &Sender<Vec<Named<F>>>,
) {
    let mut namer = Namer { shared, dir: None };
    for batch in batches {
        let answer = namer.give_all(batch);
        // A directory must not stay open while nothing is done in it.
        namer.dir = None;
        if answers.send(answer).is_err() {
            return;
        }
    }
}

/// Puts files into batches, those of one directory together: two namers in one directory would wait
/// for each other.
pub(super) fn batches<F: Fs>(files: impl Iterator<Item = Completed<F>>) -> Vec<Vec<Completed<F>>> {
    let mut dirs: Vec<(RelPath, Vec<Completed<F>>)> = Vec::new();
    for file in files {
        let recent = dirs.iter_mut().rev().take(DIRS_IN_TURN);
        let mut known = recent.filter(|(dir, of)| file.path.stands_in(dir) && of.len() < BATCH_MAX);
        match known.next() {
            Some((_, of)) => of.push(file),
            None => {
                let dir = file.path.split().map(|(parent, _)| parent);
                dirs.push((dir.unwrap_or_default(), vec![file]));
            }
        }
    }
    let mut batches: Vec<Vec<Completed<F>>> = Vec::new();
    for (_, files) in dirs {
        match batches.last_mut() {
            Some(last) if last.len() < BATCH_MIN => last.extend(files),
            _ => batches.push(files),
        }
    }
    batches
}

struct Namer<'a, F: Fs> {
    shared: &'a Shared<F>,
    /// The directory of the file before, open.
    dir: Option<(RelPath, Arc<F::Dir>)>,
}

impl<F: Fs> Namer<'_, F> {
    fn give_all(&mut self, batch: Vec<Completed<F>>) -> Vec<Named<F>> {
        let mut ended = false;
        let name = |completed| {
            let result = match ended {
                true => Err(Failure::Stopped),
                false => self.give(&completed),
            };
            ended |= matches!(result, Err(Failure::Fatal(_)));
            Named { completed, result }
        };
        batch.into_iter().map(name).collect()
    }

    fn give(&mut self, completed: &Completed<F>) -> Result<(), Failure> {
        let Some(attempt) = completed.attempt else {
            return Ok(());
        };
        let Some((parent, name)) = completed.path.split() else {
            return Ok(());
        };
        let (shared, path) = (self.shared, &completed.path);
        let at_dest = |error| {
            let full = shared.full(path);
            let action = "give its final name to the copy of";
            failure::at_dest(&*shared.fs, Doing::Name, action, full, error)
        };
        let dir = match &self.dir {
            Some((path, dir)) if *path == parent => Arc::clone(dir),
            _ => {
                let dir = Arc::new(shared.fs.open_dir(&parent).map_err(at_dest)?);
                self.dir = Some((parent, Arc::clone(&dir)));
                dir
            }
        };
        // What is found of a place must still hold when the name is given.
        let _alone = shared.folds(&dir).then(|| lock_mutex(&shared.naming));
        shared.check_place(&dir, path)?;
        let partial = shared.names.name(path, attempt);
        shared
            .fs
            .rename(&dir, &partial, &dir, name)
            .map_err(at_dest)?;
        shared.names.release_name(&partial);
        Ok(())
    }
}
