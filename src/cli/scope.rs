//! What a verification was asked to read, and what it judges by.

use std::time::Duration;

use super::args::VerifyArgs;

/// What was asked to be read.
pub(crate) struct Scope {
    pub(crate) sample: bool,
    pub(crate) quick: bool,
    pub(crate) older_than: Option<Duration>,
    /// A manifest is rebuilt.
    pub(crate) rebuild: bool,
    pub(crate) by: By,
}

/// What entries are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Manifest,
    /// Of another tool.
    List,
    /// From which a manifest is rebuilt.
    Source,
}

impl Scope {
    pub(crate) fn new(args: &VerifyArgs) -> Scope {
        let checks = &args.checks;
        Scope {
            rebuild: args.rebuild,
            sample: checks.sample.is_some(),
            quick: checks.quick,
            older_than: checks.older_than,
            by: match (args.check.is_some(), args.rebuild) {
                (true, _) => By::List,
                (false, true) => By::Source,
                (false, false) => By::Manifest,
            },
        }
    }
}
