//! Whose state it is. What a manifest says decides what is compared, renamed and removed, so it is believed only
//! if nobody else can have written it.

use super::*;
use crate::fs::Kind;
use crate::manifest::MANIFEST_BAK;

/// What stands in a state directory and is opened by its name.
const NAMES: [&[u8]; 4] = [
    MANIFEST,
    MANIFEST_NEW,
    MANIFEST_BAK,
    backup::MANIFEST_BAK_NEW,
];

/// Refuses a state directory, or a manifest in it, that others can have written. `state` is its path.
pub(super) fn must_be_ours<F: Fs>(fs: &F, dir: &F::Dir, state: &Path) -> Result<(), ManifestError> {
    if fs.trusts_state() {
        return Ok(());
    }
    let of_dir = fs.stat_dir(dir).at("look at", state)?;
    if !fs.is_ours(&of_dir) {
        return Err(theirs(state, &of_dir));
    }
    for name in NAMES {
        let path = || state.join(as_name(name));
        let stat = fs.stat(dir, name).at("look at", &path())?;
        // What is no file is refused when it is opened.
        let Some(stat) = stat.filter(|stat| stat.kind == Kind::File) else {
            continue;
        };
        if !fs.is_ours(&stat) {
            return Err(theirs(&path(), &stat));
        }
        // Without a journal the number of names may be wrong after a power cut.
        let counts = stat.nlink > 1 && !open::lacks_journal(fs);
        if counts && links_in(fs, dir, &stat).at("list", state)? < stat.nlink {
            let why = "has a second name elsewhere".to_owned();
            return Err(ManifestError::NotOurs { path: path(), why });
        }
    }
    Ok(())
}

/// The same of the state of a destination that is only read.
pub(crate) fn must_be_ours_to_read<F: Fs>(fs: &Arc<F>, dest: &Path) -> Result<(), ManifestError> {
    let state = dest.join(RelPath::state_dir().as_path());
    match fs::found(fs.open_dir(&RelPath::state_dir())).at("open", &state)? {
        Some(dir) => must_be_ours(&**fs, &dir, &state),
        None => Ok(()),
    }
}

/// How many names of a file are in its directory: a damaged manifest has two for a moment.
fn links_in<F: Fs>(fs: &F, dir: &F::Dir, file: &fs::Stat) -> io::Result<u64> {
    let mut count = 0;
    for (name, _) in fs.list(dir)? {
        let stat = fs.stat(dir, &name)?;
        count += u64::from(stat.is_some_and(|stat| stat.id() == file.id()));
    }
    Ok(count)
}

fn theirs(path: &Path, stat: &fs::Stat) -> ManifestError {
    ManifestError::NotOurs {
        path: path.to_path_buf(),
        why: format!(
            "belongs to {}, or others may write it",
            fs::user_name(stat.uid)
        ),
    }
}
