//! SOURCE... and DEST of `sprag copy`: the last path is DEST, whatever stands before it; and its options,
//! which are all the rest.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};

const PATHS: &str = "paths";

/// The paths of a copy.
///
/// They are one argument to clap: of two it would take everything after `--` for the last one.
#[derive(Debug)]
pub(crate) struct Operands {
    /// What to copy. Empty if a single path was given; the engine then says that two are needed.
    pub(crate) sources: Vec<PathBuf>,
    /// The directory to copy into.
    pub(crate) dest: PathBuf,
}

/// Returns the options of a command as words, in their order, each in its long form.
pub(crate) fn options(command: &Command, matches: &ArgMatches) -> Vec<OsString> {
    let mut words = Vec::new();
    for arg in command.get_arguments() {
        let id = arg.get_id().as_str();
        // SOURCE and DEST have no long form.
        let Some(long) = arg.get_long() else {
            continue;
        };
        if matches.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        let indices = matches.indices_of(id).into_iter().flatten();
        let option = OsString::from(format!("--{long}"));
        if !arg.get_action().takes_values() {
            words.extend(indices.map(|index| (index, option.clone())));
            continue;
        }
        let values = matches.get_raw(id).into_iter().flatten();
        words.extend(indices.zip(values).map(|(index, value)| {
            let mut word = option.clone();
            word.push("=");
            word.push(value);
            (index, word)
        }));
    }
    words.sort();
    words.into_iter().map(|(_, word)| word).collect()
}

impl Args for Operands {
    fn augment_args(command: Command) -> Command {
        command.arg(
            Arg::new(PATHS)
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .required(true)
                .num_args(1..)
                .action(ArgAction::Append)
                .help("Each SOURCE to copy, and last DEST, the directory to copy into")
                .long_help(
                    "Each SOURCE to copy, and last DEST, the directory to copy into\n\n\
                     SOURCE/ means its contents. DEST is made if only its last component is missing.",
                ),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Operands {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let paths = matches.get_many::<PathBuf>(PATHS).unwrap_or_default();
        let mut sources: Vec<PathBuf> = paths.cloned().collect();
        // One at least is required.
        let dest = sources.pop().unwrap_or_default();
        Ok(Operands { sources, dest })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
