//! Pulling a run to its end, and having somebody tell about it meanwhile.

use std::ops::ControlFlow;

use sprag::exit::Exit;

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

/// A run that is over, or that never began.
pub(crate) struct Over<S> {
    pub(crate) summary: S,
    pub(crate) failure: Option<Failure>,
    pub(crate) began: bool,
}

impl<S> Over<S> {
    /// `nothing` gives the totals of a run that did not begin.
    pub(crate) fn of(outcome: anyhow::Result<Ended<S>>, nothing: impl FnOnce(Exit) -> S) -> Self {
        match outcome {
            Ok((summary, failure)) => Over {
                summary,
                failure,
                began: true,
            },
            Err(error) => {
                let failure = Failure::from(error);
                Over {
                    summary: nothing(failure.exit),
                    failure: Some(failure),
                    began: false,
                }
            }
        }
    }

    /// What ended or prevented it, in words.
    pub(crate) fn why(&self) -> Option<&str> {
        self.failure.as_ref().map(|failure| failure.text.as_str())
    }
}

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
