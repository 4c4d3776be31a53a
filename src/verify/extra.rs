//! What stands at the destination and is not in the manifest.
//!
//! An unrecorded directory is extra itself, and what is in it is judged each on its own. Partial
//! files of this destination, left over or not, are sprag's and no extras.

use crossbeam_channel::Sender;

use super::{Checked, Halt, Report, Shared, doubt};
use crate::error::PathContext;
use crate::event::Verdict;
use crate::fs::{Fs, Kind, found};
use crate::partial;
use crate::path::RelPath;
use crate::system_folders;
use crate::tree::{self, Step};

/// Reports what is extra at and below the wanted paths, and which of these are not there at all.
/// `matched` says for each whether anything recorded is at or below it.
pub(super) fn report<F: Fs>(
    shared: &Shared<F>,
    matched: &[bool],
    reports: &Sender<Report>,
) -> Result<(), Halt> {
    for (top, matched) in shared.wanted.tops().iter().zip(matched) {
        let kind = match kind_of(shared, top) {
            Ok(Some(kind)) => kind,
            Ok(None) if *matched => continue,
            Ok(None) => {
                shared.report(reports, Checked::again(top.clone(), None, Verdict::Missing))?;
                continue;
            }
            // What is recorded there was judged already.
            Err(_) if *matched => continue,
            Err(error) => {
                shared.report(
                    reports,
                    Checked::again(top.clone(), None, Verdict::Unreadable { error }),
                )?;
                continue;
            }
        };
        if is_state(top) {
            continue;
        }
        if !top.is_root() {
            judge(shared, top, kind, reports)?;
        }
        if kind == Kind::Dir {
            below(shared, top, reports)?;
        }
    }
    Ok(())
}

fn kind_of<F: Fs>(
    shared: &Shared<F>,
    path: &RelPath,
) -> Result<Option<Kind>, crate::error::PathError> {
    let Some((parent, name)) = path.split() else {
        return Ok(Some(Kind::Dir));
    };
    let look = || match found(shared.fs.open_dir(&parent))? {
        Some(dir) => Ok(shared.fs.stat(&dir, name)?.map(|stat| stat.kind)),
        None => Ok(None),
    };
    look().at("look at", &path.below(&shared.dest))
}

fn is_state(path: &RelPath) -> bool {
    path.components().next() == Some(RelPath::state_dir().as_bytes())
}

fn below<F: Fs>(shared: &Shared<F>, top: &RelPath, reports: &Sender<Report>) -> Result<(), Halt> {
    tree::walk(&*shared.fs, top, |step| {
        shared.check_stop()?;
        match step {
            Step::Entry { path, kind, .. } => judge(shared, &path, kind, reports),
            Step::Unlisted { path, error } => unlisted(shared, path, error, reports),
        }
    })
}

/// Reports a path that stands there if the manifest does not know it.
fn judge<F: Fs>(
    shared: &Shared<F>,
    path: &RelPath,
    kind: Kind,
    reports: &Sender<Report>,
) -> Result<(), Halt> {
    let left_out = || shared.wanted.leaves_out(path, kind == Kind::Dir);
    if partial::is_ours(shared.store.id(), path.name()) || left_out() || is_known(shared, path)? {
        return Ok(());
    }
    if system_folders::hold(&*shared.fs, path) {
        return Ok(());
    }
    let verdict = match shared.lacks_records() {
        true => doubt::unrecorded(),
        false => Verdict::Extra,
    };
    shared.report(reports, Checked::again(path.clone(), Some(kind), verdict))
}

/// An extra directory that cannot be listed (`lost+found`, for one) hides only extras. In any
/// other, what is there cannot be told, which is a finding.
fn unlisted<F: Fs>(
    shared: &Shared<F>,
    path: RelPath,
    error: std::io::Error,
    reports: &Sender<Report>,
) -> Result<(), Halt> {
    if !path.is_root() && !is_known(shared, &path)? {
        return Ok(());
    }
    let error = shared.problem("list", &path, error);
    let unreadable = Checked::again(path, Some(Kind::Dir), Verdict::Unreadable { error });
    shared.report(reports, unreadable)
}

fn is_known<F: Fs>(shared: &Shared<F>, path: &RelPath) -> Result<bool, Halt> {
    let known = shared.store.lookup(path);
    Ok(known
        .map_err(|error| shared.manifest_failed(error))?
        .is_some())
}
