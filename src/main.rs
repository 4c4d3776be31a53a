//! The `sprag` command: parse, run, exit code, and nothing else.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    let exit = match cli::parse(std::env::args_os()) {
        Ok(invocation) => cli::run(&invocation),
        Err(exit) => exit,
    };
    ExitCode::from(exit.code())
}
