//! The stages of a run, each on threads of its own, and what connects them.

use std::thread;

use crossbeam_channel::Receiver;

use super::Shared;
use super::ahead;
use super::batch::{self, BatchSender};
use super::committer::Committer;
use super::counter;
use super::message::{Message, Work};
use super::planner::Planner;
use super::repair::Repairer;
use super::scanner::{self, Walk};
use super::thread::spawn;
use super::worker::Worker;
use crate::event::Phase;
use crate::fs::Fs;
use crate::lock_mutex;
use crate::scan::Source;

/// So many batches of messages to the committer wait at most.
const MESSAGES_MAX: usize = 8;
/// So many batches of work for the workers wait at most.
const WORKS_MAX: usize = 8;
/// So many batches of what the walk found wait for the planner at most.
const SCANNED_MAX: usize = 8;

/// Starts planner, workers and counter, and takes their messages until they have ended.
pub(super) fn stages<F: Fs>(
    committer: &mut Committer<'_, F>,
    sources: &[Source],
    workers: usize,
) -> std::io::Result<()> {
    let shared = committer.shared;
    committer.enter(match shared.is_rerun {
        true => Phase::Copying,
        false => Phase::Counting,
    });
    thread::scope(|scope| {
        let (messages_in, messages_out) = batch::channel(MESSAGES_MAX, batch::FOR_ONE);
        let (works_in, works_out) = batch::channel(WORKS_MAX, batch::FOR_SEVERAL);
        let mut started = start_workers(scope, shared, (workers, works_out), &messages_in);
        let (gate_in, gate_out) = crossbeam_channel::bounded(0);
        let (keeper, kept) = ahead::channel();
        // A rerun mostly copies little, and its first run was checked.
        let counts = (shared.options.count || !shared.is_rerun) && shared.repair.is_none();
        if counts && started.is_ok() {
            let messages = messages_in.clone();
            let began_at = lock_mutex(&shared.store).end();
            // A rerun does not wait, and walks for itself.
            let keeper = (!shared.is_rerun).then_some(keeper);
            let thread = spawn(
                scope,
                shared,
                "sprag-counter".into(),
                messages,
                move |messages| {
                    counter::count(shared, sources, messages, (gate_in, keeper), began_at);
                },
            );
            started = started.and(thread);
        } else {
            drop((gate_in, keeper));
        }
        let (found_in, found_out) = batch::channel(SCANNED_MAX, batch::FOR_ONE);
        let (spares_in, spares_out) = scanner::spares();
        if started.is_ok() && shared.repair.is_none() {
            let thread = spawn(
                scope,
                shared,
                "sprag-scanner".into(),
                found_in,
                move |found_in| {
                    scanner::scan(shared, sources, &kept, found_in, &spares_out);
                },
            );
            started = started.and(thread);
        }
        if started.is_ok() {
            let thread = spawn(
                scope,
                shared,
                "sprag-planner".into(),
                messages_in.clone(),
                move |_| match &shared.repair {
                    None => {
                        if !shared.is_rerun {
                            counter::wait(shared, &gate_out);
                        }
                        let walk = Walk::new(found_out, spares_in);
                        Planner::new(shared, sources, walk, works_in, messages_in).run();
                    }
                    Some(repair) => Repairer {
                        shared,
                        repair,
                        sources,
                        works: works_in,
                        messages: messages_in,
                    }
                    .run(),
                },
            );
            started = started.and(thread);
        } else {
            drop((works_in, messages_in));
        }
        committer.run(&messages_out);
        started
    })
}

/// Starts so many workers; those that are started take what there is.
fn start_workers<'scope, 'env, F: Fs>(
    scope: &'scope thread::Scope<'scope, 'env>,
    shared: &'env Shared<F>,
    (workers, works): (usize, Receiver<Vec<Work<F>>>),
    messages: &BatchSender<Message<F>>,
) -> std::io::Result<()> {
    for number in 0..workers {
        let ends = (works.clone(), messages.with_fewer());
        let name = format!("sprag-worker-{number}");
        spawn(scope, shared, name, ends, move |(works, messages)| {
            Worker::new(shared, number, messages).run(works);
        })?;
    }
    Ok(())
}
