//! Running as somebody else than root.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Whoever is not root.
pub(crate) const USER: u32 = 65_534;

/// A command for root or for a user.
pub(crate) fn as_user(user: Option<u32>, program: &Path) -> Command {
    let Some(id) = user else {
        return Command::new(program);
    };
    let mut command = Command::new("setpriv");
    let (uid, gid) = (format!("--reuid={id}"), format!("--regid={id}"));
    command.args([&uid, &gid, "--clear-groups"]).arg(program);
    command
}

/// Sprag where a user can reach it, who may have no way to where it was built.
pub(crate) fn program_in(dir: &Path) -> PathBuf {
    let program = dir.join("sprag");
    std::fs::copy(env!("CARGO_BIN_EXE_sprag"), &program).unwrap();
    program
}
