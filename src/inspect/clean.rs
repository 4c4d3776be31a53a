//! Removing what unfinished copies left, and, if wanted, sprag's state.
//!
//! The manifest forgets a partial before the file is removed. So after a crash in between there is
//! a file that nothing speaks of, by its name still known as ours, and never a record of a prefix
//! that is gone. Only where there is no room for that do the files go first, to make some: a copy that finds such a
//! record without its file begins that file anew.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::error::{Error, ManifestError, PathContext};
use crate::fs::{Fs, FsFile, FsMeta, Kind, MountNo, OsFs, found, found_dir, is_full};
use crate::limits::PROBE_DIR;
use crate::manifest::{
    self, Entry, Holder, Mounted, OpenMode, Record, STATE_DIR, SlotKind, Store, open_destination,
};
use crate::partial;
use crate::path::RelPath;
use crate::tree::{self, Step};

/// What is removed from the state directory first, lest it takes the manifest's place.
const COPY: &[u8] = b"manifest.bak";
/// What is removed from it then.
const STATE_FILES: [&[u8]; 3] = [b"manifest.bak.new", b"manifest", b"manifest.new"];
/// Damaged ones that were kept have names that begin so.
const DAMAGED: [&[u8]; 2] = [b"manifest.damaged", b"manifest.bak.damaged"];

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CleanSummary {
    /// Partial files that were removed.
    pub partials_removed: u64,
    /// Their sizes added up, in bytes.
    pub bytes_freed: u64,
    /// Whether the manifest was removed as well.
    pub state_removed: bool,
}

/// Removes the partial files of `dest`, and with `all` its manifest. Finished files stay; without
/// a manifest they can no longer be verified. With `trust_state` it is cleaned whoever wrote the state.
///
/// # Errors
///
/// As [`status`](super::status()), but any other sprag is in the way, and of a damaged manifest nothing but
/// a whole copy will do; and the first error of
/// removing something, as [`Error::Io`]. What was removed until then stays removed.
pub fn clean(dest: &Path, all: bool, trust_state: bool) -> Result<CleanSummary, Error> {
    let fs = open_destination(dest, trust_state)?;
    let mut summary = CleanSummary::default();
    match clean_once(&fs, dest, all, &mut summary) {
        // There is room by now.
        Err(error) if lacks_room(&error) && summary.partials_removed > 0 => {
            clean_once(&fs, dest, all, &mut summary)?;
        }
        cleaned => cleaned?,
    }
    Ok(summary)
}

fn clean_once(
    fs: &Arc<OsFs>,
    dest: &Path,
    all: bool,
    summary: &mut CleanSummary,
) -> Result<(), Error> {
    let store = Store::open_or_backup(fs, dest, OpenMode::Write)?;
    let mut store = manifest::found(store, dest)?;
    store.set_holder(Some(&Holder::this_process()));
    let cleaned = clean_held(fs, &mut store, (dest, all), summary);
    store.set_holder(None);
    cleaned
}

fn clean_held(
    fs: &Arc<OsFs>,
    store: &mut Store<OsFs>,
    (dest, all): (&Path, bool),
    summary: &mut CleanSummary,
) -> Result<(), Error> {
    if let Err(error) = forget(fs, store, dest) {
        if lacks_room(&error) {
            // What is removed gives its room back when that is durable. The next try tells what fails.
            let _ = remove_partials(fs, store.id(), dest, summary);
            let _ = fs.sync_mount(MountNo::default());
        }
        return Err(error);
    }
    remove_partials(fs, store.id(), dest, summary)?;
    if all {
        remove_state(fs, dest)?;
        summary.state_removed = true;
    }
    Ok(())
}

/// Whether an error says that a manifest could not be written to for lack of room.
fn lacks_room(error: &Error) -> bool {
    matches!(error, Error::Manifest(ManifestError::Io(error)) if is_full(&error.source))
}

/// Makes the manifest forget, durably, every file that is not under its final name.
fn forget(fs: &Arc<OsFs>, store: &mut Store<OsFs>, dest: &Path) -> Result<(), Error> {
    let mut paths = Vec::new();
    for kind in [SlotKind::Partial, SlotKind::LinkWanted] {
        for pos in store.positions_of(kind) {
            paths.push(store.entry_at(pos)?.0);
        }
    }
    // Only a record of the tail can speak of a file that was not renamed any more.
    for pos in store.tail().positions {
        let (path, entry) = store.entry_at(pos)?;
        let attempt = match entry {
            Entry::Done(done) => done.attempt,
            Entry::Symlink(link) => Some(link.attempt),
            Entry::Special(special) => Some(special.attempt),
            _ => None,
        };
        if let Some(attempt) = attempt {
            let name = partial::name(store.id(), &path, attempt);
            let waits = stands_beside(fs, &path, &name);
            if waits.at("look at", &path.below(dest))? {
                paths.push(path);
            }
        }
    }
    // What is left over of a power cut goes now: nothing of it can be in the way any more.
    let unchecked = store.mounted().iter().filter(|it| it.unchecked).cloned();
    let checked = unchecked.map(|mounted| Mounted {
        unchecked: false,
        ..mounted
    });
    let records = paths.into_iter().map(Record::Removed);
    let records: Vec<_> = records.chain(checked.map(Record::Mounted)).collect();
    if records.is_empty() {
        return Ok(());
    }
    for record in &records {
        store.append(record)?;
    }
    // A barrier says that all of it is durable, if the one before said so of everything: without it
    // the next copy would take this for a run that was cut off.
    for seals in [store.is_sealed(), false] {
        store.write_out()?;
        let flushed = store.file().sync().at("flush", store.path());
        flushed.map_err(ManifestError::Io)?;
        if seals {
            store.barrier(store.end())?;
        }
    }
    Ok(())
}

fn stands_beside(fs: &OsFs, path: &RelPath, name: &[u8]) -> io::Result<bool> {
    let (parent, _) = path.split().unwrap_or_default();
    match found_dir(fs, &parent)? {
        Some(dir) => Ok(fs.stat(&dir, name)?.is_some()),
        None => Ok(false),
    }
}

/// Removes every file of the form that only partials of this manifest have, and those that were moved
/// out of the way after a power cut. What cannot be listed is passed over: it holds nothing that this user
/// could have copied there.
fn remove_partials(
    fs: &OsFs,
    id: &[u8; 16],
    dest: &Path,
    summary: &mut CleanSummary,
) -> Result<(), Error> {
    let aside = RelPath::left_over_dir();
    for start in [&RelPath::root(), &aside] {
        tree::walk(fs, start, |step| {
            let Step::Entry { dir, path, kind } = step else {
                return Ok::<_, Error>(());
            };
            let is_left_over = start == &aside || partial::is_ours(id, path.name());
            if !is_left_over || kind == Kind::Dir {
                return Ok(());
            }
            let size = match fs.stat(dir, path.name()) {
                Ok(Some(stat)) if kind == Kind::File => stat.size,
                _ => 0,
            };
            fs.remove(dir, path.name())
                .at("remove", &path.below(dest))?;
            summary.partials_removed += 1;
            summary.bytes_freed += size;
            Ok(())
        })?;
    }
    let state = fs.open_dir(&RelPath::state_dir());
    let removed = state.and_then(|state| fs.remove_dir(&state, aside.name()));
    found(removed).at("remove", &aside.below(dest))?;
    Ok(())
}

/// Removes the manifest, while it is locked, and its directory if nothing else is in there.
fn remove_state(fs: &OsFs, dest: &Path) -> Result<(), Error> {
    let path = RelPath::state_dir();
    let full = path.below(dest);
    let dir = fs.open_dir(&path).at("open", &full)?;
    found(fs.remove(&dir, COPY)).at("remove what is in", &full)?;
    fs.sync_dir(&dir).at("flush", &full)?;
    for name in STATE_FILES {
        found(fs.remove(&dir, name)).at("remove what is in", &full)?;
    }
    for (name, _) in fs.list(&dir).at("list", &full)? {
        if DAMAGED.iter().any(|damaged| name.starts_with(damaged)) {
            found(fs.remove(&dir, &name)).at("remove what is in", &full)?;
        }
    }
    // There only if a run was killed while it tried what names are possible.
    let probe = path.join(PROBE_DIR).unwrap_or_else(|_| path.clone());
    if let Some(probe) = found(fs.open_dir(&probe)).at("open", &full)? {
        for (name, _) in fs.list(&probe).at("list", &full)? {
            found(fs.remove(&probe, &name)).at("remove what is in", &full)?;
        }
        found(fs.remove_dir(&dir, PROBE_DIR)).at("remove what is in", &full)?;
    }
    let root = fs.root();
    match fs.remove_dir(&root, STATE_DIR) {
        Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
            Err(error).at("remove", &full)?;
        }
        _ => {}
    }
    Ok(fs.sync_dir(&root).at("flush", dest)?)
}
