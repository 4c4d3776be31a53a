//! The copy of the manifest: `manifest.bak`, the beginning of the manifest byte for byte, which grows when
//! a run ends. It is what is left when the manifest itself rots, or its name is lost.
//!
//! It may be older than the manifest. What it says was true and durable when it was written; what was
//! copied since is unknown to it, and a copy takes that over after comparing it. How far it is whole says
//! its [`Seal`]. A compacted manifest is another file, so the copy is then made anew; until it is, the
//! one of the file before stands. One that knows nothing of this manifest never does: it is removed before
//! a new manifest takes the name, and where the manifest's header can be read, it has to fit.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use super::aside::set_aside;
use super::head::read_header;
use super::locked::open_locked;
use super::open::{lacks_journal, state_dir};
use super::*;
use crate::left_over;
use crate::manifest::MANIFEST_BAK;
use crate::manifest::seal::Seal;
use crate::path::Printable;

/// The name of the copy.
/// So many bytes at the end of a copy are compared before it is gone on with: more than the records of
/// nearly every end of a run, whose times tell one from any other.
const COMPARED_BYTES: u64 = 64 << 10;
/// The name under which it is made. Another than that of a new manifest: where a power cut halved a
/// rename, that name may stand for the manifest itself.
pub(super) const MANIFEST_BAK_NEW: &[u8] = b"manifest.bak.new";

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
        let Some((dir, mode)) = state_dir(fs, state, mode)? else {
            return Err(damage);
        };
        // Whoever works on the manifest holds the lock of that file, damaged or not.
        let lock = open_locked(fs, &dir, &path, mode)?;
        let Some(copy) = Copied::open(fs, &dir, &path, Access::Read)? else {
            return Err(damage);
        };
        if let Some(lock) = &lock
            && let Ok(header) = read_header(lock, &path)?
            && !copy.header.is_same_manifest(&header)
        {
            return Err(damage);
        }
        let there = fs.open_dir(&RelPath::state_dir()).at("open", state)?;
        let mut store = match Self::load_copy(fs, there, &path, copy.file, copy.header, copy.seal) {
            Ok(Some(store)) => store,
            Err(ManifestError::Io(error)) => return Err(ManifestError::Io(error)),
            Ok(None) | Err(_) => return Err(damage),
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

    /// Brings the copy up to date, unless it says all that the manifest says of entries. What is new
    /// is appended, as long as the copy is the beginning of this very file; otherwise it is made
    /// anew. To be called only when all that is recorded is true, and durable in the manifest: the
    /// copy says so, and while it grows the manifest has to be whole without it.
    pub(crate) fn back_up(&mut self) -> Result<(), ManifestError> {
        self.write_out()?;
        // One that cannot be looked at gives way to a new one.
        let kept = Copied::open(&self.fs, &self.dir, &self.path, Access::Write);
        let kept = kept.ok().flatten().filter(|kept| {
            let is_usable = !lacks_journal(&*self.fs) || kept.ends_at_its_seal();
            is_usable
                && self.begins_as(kept)
                && self.goes_on_from(kept).is_ok_and(|goes_on| goes_on)
        });
        let whole = match kept {
            Some(kept) if self.last_said.is_none_or(|said| said < kept.seal.position) => {
                return Ok(());
            }
            Some(kept) => self.append_to(kept)?,
            None => self.copy_whole()?,
        };
        if whole {
            return Ok(());
        }
        // It rots where nothing counts any more: otherwise it cannot be compacted either.
        self.compact(None)?;
        match self.copy_whole()? {
            true => Ok(()),
            false => Err(self.damaged(FRAMES_START, journal::BAD_CHECKSUM)),
        }
    }

    /// Whether a copy is one of this very file that nobody else refers to.
    fn begins_as(&self, kept: &Copied<F>) -> bool {
        let has_one_name = kept.file.stat().is_ok_and(|stat| stat.nlink <= 1);
        has_one_name && kept.header == self.header && kept.seal.position <= self.end()
    }

    /// Whether a copy ends as this file goes on. It does not where a drive lost what it had called
    /// durable, and something else was recorded in its place.
    fn goes_on_from(&self, kept: &Copied<F>) -> io::Result<bool> {
        let end = kept.seal.position;
        let from = end.saturating_sub(COMPARED_BYTES).max(FRAMES_START);
        let last_of = |file: &F::File| {
            let mut bytes = vec![0; (end - from) as usize];
            let have = file.read_at(&mut bytes, from)?;
            bytes.truncate(have);
            Ok::<_, io::Error>(bytes)
        };
        let (ours, copied) = (last_of(&self.file())?, last_of(&kept.file)?);
        Ok(ours == copied && ours.len() as u64 == end - from)
    }

    /// Appends what is new to a copy. `false`: it cannot be read.
    fn append_to(&self, kept: Copied<F>) -> Result<bool, ManifestError> {
        let Copied { file, header, seal } = kept;
        let key = header.key();
        let mut journal = Journal::new(Arc::new(file), key, seal.position);
        if !self.copy_frames(&mut journal)? {
            return Ok(false);
        }
        let file = Arc::clone(journal.file());
        file.sync().at("flush the copy of", &self.path)?;
        let (at, bytes) = seal.next(journal.end()).encode(&key);
        let sealed = file.write_at(&bytes, at);
        sealed.at("write the copy of", &self.path)?;
        let flushed = file.sync().and_then(|()| fs::settle(&*self.fs, &*file));
        flushed.at("flush the copy of", &self.path)?;
        Ok(true)
    }

    /// Makes a copy anew, with every frame as it is. `false`: they cannot all be read.
    fn copy_whole(&mut self) -> Result<bool, ManifestError> {
        let dir = self.open_state_dir()?;
        let mut new = Self::begin_new(&self.fs, dir, &self.path, self.header, MANIFEST_BAK_NEW)?;
        let mut copy = || {
            if !self.copy_frames(&mut new.journal)? {
                return Ok(false);
            }
            let (at, bytes) = Seal::first(new.end()).encode(&self.header.key());
            let sealed = new.file().write_at(&bytes, at);
            sealed.at("write the copy of", &self.path)?;
            new.set_holder(None);
            self.spare_torn_copy()?;
            new.put_in_place(MANIFEST_BAK_NEW, MANIFEST_BAK)?;
            Ok(true)
        };
        let copied = copy();
        if !matches!(copied, Ok(true)) {
            new.abandon(MANIFEST_BAK_NEW);
        }
        copied
    }

    /// Moves away a copy that goes on behind its seal, where a power cut may have left that in space that is
    /// another file's by now: neither is it to be written to, nor replaced.
    pub(super) fn spare_torn_copy(&self) -> Result<(), ManifestError> {
        if !lacks_journal(&*self.fs) {
            return Ok(());
        }
        let copy = Copied::open(&self.fs, &self.dir, &self.path, Access::Read)?;
        if copy.is_some_and(|copy| copy.ends_at_its_seal()) {
            return Ok(());
        }
        let moved = fs::found(left_over::set_aside(&*self.fs, &self.dir, MANIFEST_BAK));
        moved.at("set aside the copy of", &self.path)?;
        Ok(())
    }

    /// Hands the frames from the end of a copy on to the system.
    fn copy_frames(&self, to: &mut Journal<F::File>) -> Result<bool, ManifestError> {
        let copied = to.append_frames(&self.file(), self.end());
        let is_whole = copied.at("copy", &self.path)?;
        to.write_out().at("write the copy of", &self.path)?;
        Ok(is_whole)
    }
}

/// A copy whose header is whole.
struct Copied<F: Fs> {
    file: F::File,
    header: Header,
    seal: Seal,
}

impl<F: Fs> Copied<F> {
    /// Opens the copy that is there. `None`: there is none, or its header is not whole.
    fn open(
        fs: &Arc<F>,
        dir: &F::Dir,
        path: &Path,
        access: Access,
    ) -> Result<Option<Copied<F>>, ManifestError> {
        let file = fs::found(fs.open(dir, MANIFEST_BAK, access));
        let Some(file) = file.at("open the copy of", path)? else {
            return Ok(None);
        };
        let mut bytes = vec![0; HEADER_BYTES];
        let have = file.read_at(&mut bytes, 0).at("read the copy of", path)?;
        bytes.truncate(have);
        let Ok(header) = Header::decode(&bytes) else {
            return Ok(None);
        };
        let seal = Seal::decode(&bytes, &header.key());
        Ok(seal.map(|seal| Copied { file, header, seal }))
    }

    /// Whether nothing lies behind its seal.
    fn ends_at_its_seal(&self) -> bool {
        self.file
            .stat()
            .is_ok_and(|stat| stat.size <= self.seal.position)
    }
}

/// What is wrong if a copy of the manifest is there, and the manifest itself is gone or empty.
pub(super) fn missing<F: Fs>(
    fs: &Arc<F>,
    state: &Path,
) -> Result<Option<ManifestError>, ManifestError> {
    let Some((dir, _)) = state_dir(fs, state, OpenMode::Read)? else {
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
