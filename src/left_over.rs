//! Moving what a run left over out of the way where it must not be removed.
//!
//! On a file system without a journal, what was not flushed before a power cut may lie in space that
//! counts as free and that another file was given since: to cut, remove or replace it takes that
//! space from the other file. To rename it frees nothing.

use std::io;

use crate::fs::Fs;
use crate::path::RelPath;

/// Moves a file into the state directory, under its own name or, if that is taken, with a number behind. An
/// error if it is on another mounted file system, or not there.
pub(crate) fn set_aside<F: Fs>(fs: &F, from: &F::Dir, name: &[u8]) -> io::Result<()> {
    if fs.stat(from, name)?.is_none() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let state = fs.open_dir(&RelPath::state_dir())?;
    let aside = RelPath::left_over_dir();
    match fs.make_dir(&state, aside.name()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let aside = fs.open_dir(&aside)?;
    let mut kept = name.to_vec();
    let mut number = 1;
    while fs.stat(&aside, &kept)?.is_some() {
        number += 1;
        kept = [name, format!(".{number}").as_bytes()].concat();
    }
    fs.rename(from, name, &aside, &kept)
}
