//! The flags of `verify` that say what is read, and how. What they mean together is for `options`.

use clap::Args;

const READING: &str = "What is read, and how";

/// What is read, and how.
#[derive(Debug, Args)]
pub(crate) struct Checks {
    /// Fail if content may have come from the page cache instead of the medium
    ///
    /// Without it this is only said in the summary.
    #[arg(long, help_heading = READING)]
    pub(crate) require_medium: bool,
}
