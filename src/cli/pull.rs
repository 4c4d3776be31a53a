//! Pulling a run to its end, and having somebody tell about it meanwhile.

use std::ops::ControlFlow;

use super::Failure;
use super::desk::{Desk, Next, Run};

/// Whoever tells what happens in a run.
pub(crate) trait Teller<R: Run> {
    /// Something happened.
    fn event(&mut self, run: &R, event: R::Event);

    /// Time to show how things stand.
    fn tick(&mut self, run: &R, desk: &mut Desk);
}

/// The totals of a run, and what ended it early if something did.
pub(crate) type Ended<S> = (S, Option<Failure>);

/// Pulls a run until it is over.
pub(crate) fn to_its_end<R: Run>(
    run: &mut R,
    desk: &mut Desk,
    teller: &mut impl Teller<R>,
) -> anyhow::Result<Ended<R::Summary>> {
    desk.serve(run);
    loop {
        match desk.next(run) {
            Next::Event(event) => match R::ended(event) {
                ControlFlow::Break((summary, error)) => {
                    return Ok((summary, error.map(Failure::from)));
                }
                ControlFlow::Continue(event) => teller.event(run, event),
            },
            Next::Tick => teller.tick(run, desk),
            Next::Over => anyhow::bail!("{}", R::ENDED_WITHOUT_A_WORD),
        }
    }
}
