//! The copy of the manifest: `manifest.bak`, a compacted manifest beside the manifest, written when a
//! run ends. It is what is left when the manifest itself rots, or its name is lost.
//!
//! It may be older than the manifest. What it says was true and durable when it was written; what was
//! copied since is unknown to it, and a copy takes that over after comparing it.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use super::aside::set_aside;
use super::head::read_header;
use super::locked::open_locked;
use super::open::state_dir;
use super::*;
use crate::path::Printable;

/// The name of the copy.
pub(super) const MANIFEST_BAK: &[u8] = b"manifest.bak";
/// The manifest is copied as it is if its garbage is at most one part in so many of its content.
const COPY_GARBAGE: u64 = 4;
/// The name under which it is made. Another than that of a new manifest: where a power cut halved a
/// rename, that name may stand for the manifest itself.
const MANIFEST_BAK_NEW: &[u8] = b"manifest.bak.new";

/// A manifest that could not be used, and in whose place its copy is.
#[derive(Debug, Clone)]
pub(crate) struct StandsFor {
    /// What is wrong with it.
    damage: String,
    /// Where it is kept, unless it was gone or is still in its place.
    kept: Option<PathBuf>,
}

impl fmt::Display for StandsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}. Its copy, .sprag/manifest.bak, has taken its place",
            self.damage
        )?;
        match &self.kept {
            Some(kept) => write!(f, "; the damaged one is kept as {}", Printable(kept)),
            None => Ok(()),
        }
    }
}

impl<F: Fs> Store<F> {
    /// As [`Store::open`]; where the manifest is damaged or gone and its copy is whole, the copy
    /// takes its place: for a writer for good, for a reader that is about to tell what a writer
    /// would do while it reads. Others use [`Store::open_to_read`].
    pub(crate) fn open_or_backup(
        fs: &Arc<F>,
        dest: &Path,
        mode: OpenMode,
    ) -> Result<Option<Store<F>>, ManifestError> {
        let state = dest.join(RelPath::state_dir().as_path());
        let restarts = matches!(mode, OpenMode::Restart(_));
        if !restarts && let Some(damage) = missing(fs, &state)? {
            return Self::backup(fs, &state, mode, damage).map(Some);
        }
        match Self::open(fs, dest, mode) {
            Err(damage @ ManifestError::Damaged { .. }) if !restarts => {
                Self::backup(fs, &state, mode, damage).map(Some)
            }
            opened => opened,
        }
    }

    /// The copy in the manifest's place; `damage` if there is none that is whole.
    fn backup(
        fs: &Arc<F>,
        state: &Path,
        mode: OpenMode,
        damage: ManifestError,
    ) -> Result<Store<F>, ManifestError> {
        let path = state.join(MANIFEST_NAME);
        let Some(dir) = state_dir(fs, state, false)? else {
            return Err(damage);
        };
        // Whoever works on the manifest holds the lock of that file, damaged or not.
        let lock = open_locked(fs, &dir, &path, mode)?;
        let Some(file) = fs::found(fs.open(&dir, MANIFEST_BAK, Access::Read)).at("open", &path)?
        else {
            return Err(damage);
        };
        let Ok(header) = read_header(&file, &path)? else {
            return Err(damage);
        };
        if let Some(lock) = &lock
            && let Ok(of_manifest) = read_header(lock, &path)?
            && !header.is_same_manifest(&of_manifest)
        {
            return Err(damage);
        }
        let there = fs.open_dir(&RelPath::state_dir()).at("open", state)?;
        let loaded = Self::load(fs, there, &path, file, header, OpenMode::Read);
        let mut store = match loaded {
            Ok(store) => store,
            Err(ManifestError::Io(error)) => return Err(ManifestError::Io(error)),
            Err(_) => return Err(damage),
        };
        let mut kept = None;
        if mode != OpenMode::Read {
            if lock.is_some() {
                let name = set_aside(fs, &dir, &path)?;
                kept = Some(path.with_file_name(OsStr::from_bytes(&name)));
            }
            store.compact(Some(&Holder::this_process()))?;
        }
        store.stands_for = Some(StandsFor {
            damage: damage.what_is_wrong(),
            kept,
        });
        store._lock = lock;
        Ok(store)
    }

    /// The manifest in whose place this is, if it is its copy.
    pub(crate) fn stands_for(&self) -> Option<&StandsFor> {
        self.stands_for.as_ref()
    }

    /// Writes the copy, unless nothing changed since it was written. To be called only when
    /// everything that counts is true and durable: the copy says so.
    pub(crate) fn back_up(&mut self, changed_before: bool) -> Result<(), ManifestError> {
        let there = self.fs.stat(&self.dir, MANIFEST_BAK);
        let there = there.at("look at", &self.path)?.is_some();
        if there && !self.changed && !changed_before {
            return Ok(());
        }
        let as_it_is = match self.has_garbage_beyond(COPY_GARBAGE) {
            false => self.copied_frames(MANIFEST_BAK_NEW)?,
            true => None,
        };
        let mut copy = match as_it_is {
            Some(copy) => copy,
            None => self.compacted(MANIFEST_BAK_NEW)?,
        };
        copy.set_holder(None);
        copy.put_in_place(MANIFEST_BAK_NEW, MANIFEST_BAK)?;
        self.changed = false;
        Ok(())
    }
}

impl<F: Fs> Store<F> {
    /// All frames as they are, in a new file under this temporary name: quicker than to compact,
    /// which reads each record by itself. `None` if one of them is bad.
    fn copied_frames(&mut self, name: &[u8]) -> Result<Option<Store<F>>, ManifestError> {
        self.write_out()?;
        let dir = self.open_state_dir()?;
        let mut new = Self::begin_new(&self.fs, dir, &self.path, self.header, name)?;
        new.latch = self.latch.clone();
        let (from, end) = (self.file(), self.end());
        let whole = new.journal.append_frames(&from, end);
        if !whole.at("copy", &self.path)? {
            return Ok(None);
        }
        new.seal()?;
        Ok(Some(new))
    }
}

/// What is wrong if a copy of the manifest is there, and the manifest itself is gone or empty.
pub(super) fn missing<F: Fs>(
    fs: &Arc<F>,
    state: &Path,
) -> Result<Option<ManifestError>, ManifestError> {
    let Some(dir) = state_dir(fs, state, false)? else {
        return Ok(None);
    };
    let copy = fs.stat(&dir, MANIFEST_BAK).at("look at", state)?;
    if copy.is_none() {
        return Ok(None);
    }
    let path = state.join(MANIFEST_NAME);
    let what = match fs.stat(&dir, MANIFEST).at("look at", &path)? {
        None => "it is gone",
        Some(stat) if stat.size > HEADER_BYTES as u64 => return Ok(None),
        Some(_) => {
            let file = fs.open(&dir, MANIFEST, Access::Read).at("open", &path)?;
            match read_header(&file, &path)? {
                Err(HeaderError::Blank) => "it is empty",
                _ => return Ok(None),
            }
        }
    };
    Ok(Some(ManifestError::Damaged {
        path,
        offset: 0,
        what,
    }))
}
