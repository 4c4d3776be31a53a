//! Opening a manifest: find or make it, lock it, read it, cut its torn tail.

use super::aside::set_aside;
use super::head::{header_error, read_header};
use super::locked::{locked, name_of, open_locked, still_named, try_lock};
use super::*;
use crate::fs::{AlignedBuf, MountNo};
use crate::id::ManifestId;
use crate::left_over;
use crate::manifest::MANIFEST_BAK;
use crate::manifest::glance::Glance;
use crate::manifest::seal::Seal;
use crate::time;

/// What a manifest is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenMode {
    /// To read, under a shared lock.
    Read,
    /// To read without a lock, beside a writer: that only appends, or puts another file in its place.
    Look,
    /// To write, under an exclusive lock; it must be there.
    Write,
    /// As `Write`, but only to note verifications: where that cannot be done without deciding
    /// about what a copy left unfinished, nothing is changed, and it is not [`Store::may_note`].
    Note,
    /// To write, under an exclusive lock; made if it is not there.
    Create(BlockSize),
    /// To write, under an exclusive lock; begun afresh even if it is there.
    Restart(BlockSize),
}

impl OpenMode {
    pub(super) fn only_reads(self) -> bool {
        matches!(self, OpenMode::Read | OpenMode::Look)
    }
}

/// What became of opening a manifest.
enum Found<F: Fs> {
    Store(Box<Store<F>>),
    Nothing,
    /// Somebody else put one in place between a look and the next.
    AnotherMeanwhile,
}

/// How often the lock is tried again because the manifest was replaced meanwhile.
pub(super) const RELOCKS_MAX: u32 = 100;

impl<F: Fs> Store<F> {
    /// Opens the manifest of the destination `fs`. `dest` is its path, for messages. `None`: there
    /// is none, and the mode does not make one.
    pub(crate) fn open(
        fs: &Arc<F>,
        dest: &Path,
        mode: OpenMode,
    ) -> Result<Option<Store<F>>, ManifestError> {
        let state = dest.join(RelPath::state_dir().as_path());
        let path = state.join(MANIFEST_NAME);
        for _ in 0..RELOCKS_MAX {
            let Some((dir, mode)) = state_dir(fs, &state, mode)? else {
                return Ok(None);
            };
            let made = match (open_locked(fs, &dir, &path, mode)?, mode) {
                (Some(file), _) => Self::open_found(fs, dir, &path, file, mode)?,
                (None, OpenMode::Create(size) | OpenMode::Restart(size)) => {
                    Self::make(fs, dir, &path, size, None, None)?
                }
                (None, _) => return Ok(None),
            };
            match made {
                Found::Store(store) => return Ok(Some(*store)),
                Found::Nothing => return Ok(None),
                Found::AnotherMeanwhile => {}
            }
        }
        Err(locked::<F::File>(&path, None))
    }

    /// Opens a manifest that is kept elsewhere than in its destination, to read it or to note
    /// verifications in it. `fs` is the directory that holds it, `path` its path.
    pub(crate) fn open_elsewhere(
        fs: &Arc<F>,
        path: &Path,
        mode: OpenMode,
    ) -> Result<Option<Store<F>>, ManifestError> {
        let dir = fs
            .open_dir(&RelPath::root())
            .at("open the directory of", path)?;
        let Some(file) = open_locked(fs, &dir, path, mode)? else {
            return Ok(None);
        };
        let opened = Self::open_found(fs, dir, path, file, mode);
        match opened.map_err(ManifestError::elsewhere)? {
            Found::Store(store) => Ok(Some(*store)),
            Found::Nothing | Found::AnotherMeanwhile => Ok(None),
        }
    }

    /// The id of the manifest that the medium holds, if it holds one. Nothing is locked or changed.
    pub(crate) fn peek(fs: &Arc<F>) -> Option<ManifestId> {
        let dir = fs.open_dir(&RelPath::state_dir()).ok()?;
        let file = fs.open_medium(&dir, MANIFEST).ok()?;
        let mut bytes = AlignedBuf::new(HEADER_BYTES);
        let have = file.read_at(&mut bytes, 0).ok()?;
        let header = Header::decode(&bytes[..have]).ok()?;
        Some(ManifestId(header.id))
    }

    /// Opens the manifest that is there and locked.
    fn open_found(
        fs: &Arc<F>,
        dir: F::Dir,
        path: &Path,
        file: F::File,
        mode: OpenMode,
    ) -> Result<Found<F>, ManifestError> {
        match (read_header(&file, path)?, mode) {
            (Ok(header), OpenMode::Restart(size)) => {
                let mut over = Some(&file);
                if !Self::reads_to_its_end(fs, path, header)? {
                    set_aside(fs, &dir, path)?;
                    over = None;
                }
                // With the same id the names of old partials stay ours.
                Self::make(fs, dir, path, size, Some(header.id), over)
            }
            (Err(HeaderError::Damaged(_)), OpenMode::Restart(size)) => {
                set_aside(fs, &dir, path)?;
                Self::make(fs, dir, path, size, None, None)
            }
            (Ok(header), _) => {
                let store = Self::load(fs, dir, path, file, header, mode)?;
                Ok(Found::Store(Box::new(store)))
            }
            (Err(HeaderError::Blank), OpenMode::Create(size) | OpenMode::Restart(size)) => {
                Self::make(fs, dir, path, size, None, Some(&file))
            }
            (Err(HeaderError::Blank), _) => Ok(Found::Nothing),
            (Err(error), _) => Err(header_error(error, path)),
        }
    }

    /// Whether a manifest can be read, and makes sense, as far as it has to.
    fn reads_to_its_end(fs: &Arc<F>, path: &Path, header: Header) -> Result<bool, ManifestError> {
        let dir = fs.open_dir(&RelPath::state_dir());
        let dir = dir.at("open the directory of", path)?;
        let file = fs.open(&dir, MANIFEST, Access::Read).at("open", path)?;
        Ok(Self::load(fs, dir, path, file, header, OpenMode::Read).is_ok())
    }

    /// Makes an empty manifest and puts it in place of `over`, or where there is none. Whoever puts
    /// one in place holds the lock of its temporary name, so that a look under that lock tells
    /// for sure whether another came first.
    fn make(
        fs: &Arc<F>,
        dir: F::Dir,
        path: &Path,
        block_size: BlockSize,
        id: Option<[u8; 16]>,
        over: Option<&F::File>,
    ) -> Result<Found<F>, ManifestError> {
        let id = match id {
            Some(id) => id,
            None => fs::random_bytes().at("make an id for", path)?,
        };
        let header = Header {
            id,
            nonce: fs::random_bytes().at("make a nonce for", path)?,
            block_size,
            made_ms: time::now_ms(),
        };
        let mut store = Self::begin_new(fs, dir, path, header, MANIFEST_NEW)?;
        let as_found = match over {
            Some(file) => still_named(fs, &store.dir, MANIFEST, file),
            None => fs.stat(&store.dir, MANIFEST).map(|stat| stat.is_none()),
        };
        if !as_found.at("look at", path)? {
            crate::fs::found(fs.remove(&store.dir, MANIFEST_NEW)).at("remove", path)?;
            return Ok(Found::AnotherMeanwhile);
        }
        store.forget_copy()?;
        store.put_in_place(MANIFEST_NEW, MANIFEST)?;
        fs.sync_dir(&fs.root()).at("flush the directory of", path)?;
        Ok(Found::Store(Box::new(store)))
    }

    /// Begins a manifest under its temporary name, locked, with nothing but a header. What is there was
    /// left over.
    pub(super) fn begin_new(
        fs: &Arc<F>,
        dir: F::Dir,
        path: &Path,
        header: Header,
        name: &[u8],
    ) -> Result<Store<F>, ManifestError> {
        let new = path.with_file_name(MANIFEST_NEW_NAME);
        let open = || {
            let file = fs.open(&dir, name, Access::WriteOrCreate);
            let file = file.at("create", &new)?;
            let is_ours = try_lock(&file, lock::Mode::Exclusive, path).inspect_err(|_| {
                // What was only made to be locked is of no use.
                let _ = fs.remove(&dir, name);
            })?;
            match is_ours && still_named(fs, &dir, name, &file).at("look at", &new)? {
                true => Ok((file.stat().at("look at", &new)?.size, file)),
                false => Err(locked::<F::File>(path, None)),
            }
        };
        let (mut len, mut file) = open()?;
        if len > 0 && lacks_journal(&**fs) {
            left_over::set_aside(&**fs, &dir, name).at("set aside", &new)?;
            (len, file) = open()?;
        }
        if len > 0 {
            file.set_len(0).at("write to", &new)?;
        }
        file.write_at(&header.encode(), 0).at("write to", &new)?;
        // Already now: once the file is in place, others may want to know.
        let holder = Holder::encode(Some(&Holder::this_process()));
        file.write_at(&holder, HOLDER_OFFSET).at("write to", &new)?;
        let journal = Journal::new(Arc::new(file), header.key(), FRAMES_START);
        let store = Self::empty(fs, dir, path, header, journal);
        let set = store.as_public_as_its_directory(&store.file());
        set.at("set the mode of", &new)?;
        Ok(store)
    }

    /// Removes what was begun under a temporary name and is of no use.
    pub(super) fn abandon(&self, name: &[u8]) {
        // If it stays, it counts as left over when the next one is made.
        let _ = self.fs.remove(&self.dir, name);
    }

    /// Removes the copy of the manifest that this one is about to replace. To be called before
    /// [`Store::put_in_place`], which makes that durable first: so the copy never stands in for
    /// a manifest that it knows nothing of.
    pub(super) fn forget_copy(&self) -> Result<(), ManifestError> {
        self.spare_torn_copy()?;
        let removed = crate::fs::found(self.fs.remove(&self.dir, MANIFEST_BAK));
        removed.at("remove the copy of", &self.path)?;
        Ok(())
    }

    /// Makes a manifest begun under the temporary name durable, then gives it the final one.
    pub(super) fn put_in_place(&mut self, from: &[u8], name: &[u8]) -> Result<(), ManifestError> {
        self.write_out()?;
        self.file().sync().at("flush", &self.path)?;
        // Twice, in case the device answered the first flush a little early: what is about to be
        // replaced may be all that is known of the destination.
        let flushed = self.fs.sync_dir(&self.dir);
        flushed.at("flush the directory of", &self.path)?;
        self.fs
            .rename(&self.dir, from, &self.dir, name)
            .at("rename a new manifest to", &self.path)?;
        let flushed = self.fs.sync_dir(&self.dir);
        flushed.at("flush the directory of", &self.path)?;
        let settled = fs::settle(&*self.fs, &*self.file());
        Ok(settled.at("flush", &self.path)?)
    }

    pub(super) fn load(
        fs: &Arc<F>,
        dir: F::Dir,
        path: &Path,
        file: F::File,
        header: Header,
        mode: OpenMode,
    ) -> Result<Store<F>, ManifestError> {
        Self::load_until(u64::MAX, fs, dir, path, file, header, mode)
    }

    /// Loads the copy of a manifest, to be read. `None`: it is not whole up to its seal.
    pub(super) fn load_copy(
        fs: &Arc<F>,
        dir: F::Dir,
        path: &Path,
        file: F::File,
        header: Header,
        seal: Seal,
    ) -> Result<Option<Store<F>>, ManifestError> {
        let (until, mode) = (seal.position, OpenMode::Read);
        let mut store = Self::load_until(until, fs, dir, path, file, header, mode)?;
        // Nothing was sealed that was not true and durable.
        store.trusted = until;
        Ok(Some(store).filter(|store| store.end() == until))
    }

    fn load_until(
        until: u64,
        fs: &Arc<F>,
        dir: F::Dir,
        path: &Path,
        file: F::File,
        header: Header,
        mode: OpenMode,
    ) -> Result<Store<F>, ManifestError> {
        let len = file.stat().at("look at", path)?.size;
        let journal = Journal::new(Arc::new(file), header.key(), len);
        let mut store = Self::empty(fs, dir, path, header, journal);
        let mut refused = None;
        // After a failed flush the page cache may show frames that the medium does not have.
        let medium = match mode {
            OpenMode::Read | OpenMode::Look => None,
            _ => Some(fs.open_medium(&store.dir, name_of(path)).at("open", path)?),
        };
        let file = store.file();
        let to_scan = medium.as_ref().unwrap_or(&file);
        let cut_at = match mode {
            OpenMode::Read | OpenMode::Look | OpenMode::Note => None,
            _ => store.cut_at(to_scan)?,
        };
        store.was_cut = cut_at.is_some();
        let limit = cut_at.unwrap_or(until);
        let paths = store.index.hasher().clone();
        let scanned = journal::scan(to_scan, &header.key(), limit, &paths, |frame| {
            Ok(store.note_read(&frame).map_err(|error| {
                refused = Some(error);
                "a record contradicts the ones before it"
            }))
        })
        .at("read", path)?;
        if let Some(error) = refused {
            return Err(error);
        }
        if let Some((offset, what)) = scanned.damage {
            return Err(store.damaged(offset, what));
        }
        store.begins = HashMap::new();
        store.trusted = scanned.trusted;
        // All that is kept is covered by the barrier at which the rest is cut off.
        store.covered = cut_at.unwrap_or(scanned.covered);
        store.sealed = scanned.sealed && store.last_run.is_none_or(|(_, end)| end.is_some());
        store.overhead.waste(scanned.barrier_bytes);
        store.journal = Journal::new(Arc::clone(&file), header.key(), scanned.end);
        if mode == OpenMode::Note
            && lacks_journal(&**fs)
            && !store.sealed
            && !store.is_mounted_as(store.mounted())
        {
            // What to do with it is for the next copy to say.
            return Ok(store);
        }
        store.may_note = mode == OpenMode::Note;
        if mode.only_reads() {
            return Ok(store);
        }
        if scanned.end < len {
            if let Some(position) = cut_at {
                // The barrier that covers what is kept stands behind it, and goes with the rest.
                store.note_cut(position).at("flush", path)?;
            }
            // Flushed before anything is appended, lest old frames show up again behind new ones.
            file.set_len(scanned.end).at("cut the torn tail of", path)?;
            file.sync().at("flush", path)?;
        }
        // Whoever put it in place may have been killed before its name was durable.
        fs.sync_dir(&store.dir).at("flush the directory of", path)?;
        fs.sync_dir(&fs.root()).at("flush the directory of", path)?;
        Ok(store)
    }

    /// Where the frames have to be cut off. Without a journal below, after a power cut, those that the last
    /// barrier does not cover may lie in space that counts as free.
    fn cut_at(&self, file: &F::File) -> Result<Option<u64>, ManifestError> {
        if !lacks_journal(&*self.fs) {
            return Ok(None);
        }
        let (mut mounted, mut runs) = (Vec::new(), false);
        let paths = self.index.hasher();
        let scanned = journal::scan(file, &self.header.key(), u64::MAX, paths, |frame| {
            if let Glance::Whole(record) = frame.glance {
                match &**record {
                    Record::RunBegin(begin) => {
                        mounted.clone_from(&begin.mounts);
                        runs = true;
                    }
                    Record::RunEnd(_) => runs = false,
                    Record::Mounted(at) if at.path.is_root() => mounted = vec![at.clone()],
                    _ => {}
                }
            }
            Ok(Ok(()))
        });
        let scanned = scanned.at("read", &self.path)?;
        match scanned.damage {
            Some((offset, what)) => Err(self.damaged(offset, what)),
            // It came to its end, and said so durably.
            None if scanned.sealed && !runs || self.is_mounted_as(&mounted) => Ok(None),
            None => {
                let seal = Seal::read(file, &self.header.key()).at("read", &self.path)?;
                let sealed = seal
                    .map(|seal| seal.position)
                    .filter(|at| *at <= scanned.end);
                Ok(Some(scanned.covered.max(sealed.unwrap_or(FRAMES_START))))
            }
        }
    }

    /// Notes durably in the header that everything before `position` is covered by a barrier.
    fn note_cut(&self, position: u64) -> io::Result<()> {
        let (file, key) = (self.file(), self.header.key());
        let seal = match Seal::read(&*file, &key)? {
            Some(seal) => seal.next(position),
            None => Seal::first(position),
        };
        let (at, bytes) = seal.encode(&key);
        file.write_at(&bytes, at)?;
        file.sync()
    }

    /// Whether the destination is still mounted as a run noted it, so that nothing was lost since.
    fn is_mounted_as(&self, mounted: &[Mounted]) -> bool {
        let top = mounted.iter().find(|mounted| mounted.path.is_root());
        let now = self.fs.session(&self.fs.root());
        now.is_some() && top.map(|top| (top.boot, top.mount)) == now
    }

    /// A store that knows of nothing yet.
    pub(super) fn empty(
        fs: &Arc<F>,
        dir: F::Dir,
        path: &Path,
        header: Header,
        journal: Journal<F::File>,
    ) -> Store<F> {
        Store {
            fs: Arc::clone(fs),
            dir,
            path: path.to_path_buf(),
            header,
            journal,
            index: Index::new(),
            trusted: FRAMES_START,
            covered: FRAMES_START,
            sealed: true,
            totals: Totals::default(),
            garbage_bytes: 0,
            overhead: overhead::Overhead::default(),
            outdated: order::Outdated::default(),
            last_run: None,
            mounted: Vec::new(),
            read_back_due: None,
            last_said: None,
            stands_for: None,
            written_by: None,
            salvaged: None,
            _lock: None,
            begins: HashMap::new(),
            was_cut: false,
            verify: history::VerifyPositions::default(),
            may_note: false,
            latch: Latch::default(),
            stopper: Stopper::new(),
            barriers: [0; 2],
        }
    }

    /// Writes down who holds the lock, or that nobody does. Never needed but for a message, so a
    /// failure is none.
    pub(crate) fn set_holder(&self, holder: Option<&Holder>) {
        let part = Holder::encode(holder);
        let _ = self.journal.file().write_at(&part, HOLDER_OFFSET);
    }
}

/// Whether the manifest is on a file system without a journal.
pub(super) fn lacks_journal<F: Fs>(fs: &F) -> bool {
    fs.rules(MountNo::default()).lacks_journal
}

const MANIFEST_NEW_NAME: &str = "manifest.new";

/// Opens the state directory, and makes it if the mode says so. One that others can have written is only read:
/// whoever wants to write is refused, and verifications are not noted.
pub(super) fn state_dir<F: Fs>(
    fs: &Arc<F>,
    state: &Path,
    mode: OpenMode,
) -> Result<Option<(F::Dir, OpenMode)>, ManifestError> {
    let root = fs.root();
    let name = RelPath::state_dir();
    let makes = matches!(mode, OpenMode::Create(_) | OpenMode::Restart(_));
    if makes && fs.stat(&root, STATE_DIR).at("look at", state)?.is_none() {
        match fs.make_dir(&root, STATE_DIR) {
            // Another sprag that starts now was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.at("create", state)?,
        }
    }
    let Some(dir) = fs::found(fs.open_dir(&name)).at("open", state)? else {
        return Ok(None);
    };
    let mode = match (owner::must_be_ours(&**fs, &dir, state), mode) {
        (Ok(()), _) => mode,
        (Err(ManifestError::NotOurs { .. }), mode) if mode.only_reads() => mode,
        (Err(ManifestError::NotOurs { .. }), OpenMode::Note) => OpenMode::Read,
        (Err(error), _) => return Err(error),
    };
    Ok(Some((dir, mode)))
}
