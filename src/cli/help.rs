//! `-h` and `--help`. `-h` alone asks for the short help. In a cluster (`-avh`) or beside operands it is
//! rsync's "human readable", which all output is: help instead of a copy would look like success.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, CommandFactory};
use sprag::exit::Exit;

use super::args::Cli;

/// Returns the definition of the command line.
pub(crate) fn definition() -> Command {
    with_flags(Cli::command().mut_subcommands(with_flags))
}

fn with_flags(command: Command) -> Command {
    let help = Arg::new("help")
        .long("help")
        .action(ArgAction::HelpLong)
        .help("Print help (-h alone prints a summary)");
    let human_readable = Arg::new("human_readable")
        .short('h')
        .long("human-readable")
        .action(ArgAction::SetTrue)
        .hide(true);
    command
        .disable_help_flag(true)
        .arg(help)
        .arg(human_readable)
}

/// Prints the short help if `-h` alone asks for it, of sprag or of a command.
pub(crate) fn short(argv: &[OsString]) -> Option<Exit> {
    let mut definition = definition();
    definition.build();
    let command = match argv {
        [_, flag] if flag == "-h" => &mut definition,
        [_, name, flag] if flag == "-h" => definition.find_subcommand_mut(name.to_str()?)?,
        _ => return None,
    };
    // Nobody is left to tell when this cannot be printed, as with `sprag -h | true`.
    let _ = command.print_help();
    Some(Exit::Done)
}
