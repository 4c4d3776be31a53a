//! `sprag completions` and `sprag man`: what the definition of the command line says about itself.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::Shell;
use sprag::error::Reason;
use sprag::exit::Exit;
use sprag::path::Printable;

use super::help;
use super::out::{self, Out};
use super::screen::{Screen, Show};

/// Print a script that makes a shell complete sprag's commands and flags
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  bash:  sprag completions bash > ~/.local/share/bash-completion/completions/sprag
  zsh:   sprag completions zsh > ~/.zfunc/_sprag   (with ~/.zfunc in fpath)
  fish:  sprag completions fish > ~/.config/fish/completions/sprag.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Print a manual page, or write all of them
///
/// Without --out the page of COMMAND, or of sprag itself, goes to standard output.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  Read one:         sprag man copy | man -l -
  Install them all: sprag man --out ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// The command to describe
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    command: Option<String>,

    /// Write all pages into DIR, which is made if it is missing
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs `sprag completions`.
pub(crate) fn completions(args: &CompletionsArgs) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut help::definition(), "sprag", &mut script);
    print(&script)
}

/// Runs `sprag man`.
pub(crate) fn man(args: &ManArgs) -> Exit {
    if let Some(dir) = &args.out {
        return match write_all(dir) {
            Ok(()) => Exit::Done,
            Err(error) => {
                let dir = Printable(dir);
                let why = Reason(&error);
                out::complain(&format!("cannot write manual pages to {dir}: {why}"));
                Exit::Io
            }
        };
    }
    let mut whole = help::definition();
    whole.build();
    let page = match &args.command {
        None => whole,
        Some(name) => match whole.find_subcommand(name) {
            Some(command) => command.clone(),
            None => {
                let name = Printable(Path::new(name));
                out::complain(&format!(
                    "there is no command {name}; sprag --help lists them"
                ));
                return Exit::Usage;
            }
        },
    };
    let mut text = Vec::new();
    match clap_mangen::Man::new(page).render(&mut text) {
        Ok(()) => print(&text),
        Err(error) => {
            out::complain(&format!("cannot make the manual page: {error}"));
            Exit::Io
        }
    }
}

fn write_all(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(help::definition(), dir)
}

fn print(text: &[u8]) -> Exit {
    let mut out = Out::new(Screen::new(Show::Hidden));
    out.line(String::from_utf8_lossy(text).trim_end_matches('\n'));
    out.exit(Exit::Done)
}
