//! A new manifest for a destination whose own is lost or damaged.
//!
//! It is made under its temporary name and put in place when it is whole, as compaction does. The old
//! one stays until then, locked, and is kept under another name afterwards.

use super::head::{header_error, read_header};
use super::locked::{locked, open_locked};
use super::open::state_dir;
use super::*;
use crate::fs::is_gone;
use crate::manifest::MANIFEST_BAK;
use crate::time;

/// A manifest that is being made anew.
pub(crate) struct Rebuilt<F: Fs> {
    store: Store<F>,
    /// The damaged one, under its lock.
    old: Option<F::File>,
}

impl<F: Fs> Rebuilt<F> {
    /// Begins one, unless the destination has a manifest that is whole, or a whole copy of it. With
    /// the damaged one's id the names of its partials stay ours.
    pub(crate) fn begin(fs: &Arc<F>, dest: &Path) -> Result<Rebuilt<F>, ManifestError> {
        let state = dest.join(RelPath::state_dir().as_path());
        let path = state.join(MANIFEST_NAME);
        let making = OpenMode::Create(BlockSize::default());
        let Some((dir, _)) = state_dir(fs, &state, making)? else {
            let gone = io::ErrorKind::NotFound.into();
            return Err(PathError::new("open", &state, gone).into());
        };
        let old = open_locked(fs, &dir, &path, OpenMode::Write)?;
        let mut header = None;
        for name in [MANIFEST, MANIFEST_BAK] {
            let found = look(fs, &dir, &path.with_file_name(as_name(name)), name)?;
            header = header.or(found);
        }
        let header = match header {
            Some(header) => Header {
                nonce: fs::random_bytes().at("make a nonce for", &path)?,
                made_ms: time::now_ms(),
                ..header
            },
            None => Header {
                id: fs::random_bytes().at("make an id for", &path)?,
                nonce: fs::random_bytes().at("make a nonce for", &path)?,
                block_size: BlockSize::default(),
                made_ms: time::now_ms(),
            },
        };
        let store = Store::begin_new(fs, dir, &path, header, MANIFEST_NEW)?;
        if !fs.may_lack_modes() {
            // What the source has may be private.
            store.make_public(false)?;
        }
        Ok(Rebuilt { store, old })
    }

    pub(crate) fn store(&mut self) -> &mut Store<F> {
        &mut self.store
    }

    /// Puts it in place. To be called only when everything that it says is true and durable: it says
    /// so. [`Store::back_up`] is left to be done.
    pub(crate) fn publish(self) -> Result<Store<F>, ManifestError> {
        let Rebuilt { mut store, old } = self;
        for _ in 0..2 {
            let covers = store.end();
            store.barrier(covers)?;
        }
        store.write_out()?;
        store.file().sync().at("flush", &store.path)?;
        let there = store.fs.stat(&store.dir, MANIFEST);
        if old.is_none() && there.at("look at", &store.path)?.is_some() {
            return Err(locked::<F::File>(&store.path, None));
        }
        for name in [MANIFEST, MANIFEST_BAK] {
            aside::keep(&store.fs, &store.dir, &store.path, name)?;
        }
        store.set_holder(None);
        store.forget_copy()?;
        store.put_in_place(MANIFEST_NEW, MANIFEST)?;
        let root = store.fs.root();
        let flushed = store.fs.sync_dir(&root);
        flushed.at("flush the directory of", &store.path)?;
        Ok(store)
    }

    /// Forgets it. What stood there before stands there still.
    pub(crate) fn discard(self) {
        self.store.abandon(MANIFEST_NEW);
    }
}

/// The header of a manifest that is damaged further on. One that is whole is refused, as is one that
/// a newer sprag wrote.
fn look<F: Fs>(
    fs: &Arc<F>,
    dir: &F::Dir,
    path: &Path,
    name: &[u8],
) -> Result<Option<Header>, ManifestError> {
    let damaged = |error: PathError| match is_gone(&**fs, &error.source) {
        true => Err(ManifestError::Io(error)),
        // A sector of it cannot be read.
        false => Ok(None),
    };
    let file = match fs::found(fs.open(dir, name, Access::Read)).at("open", path) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(None),
        Err(error) => return damaged(error),
    };
    let header = match read_header(&file, path) {
        Ok(Ok(header)) => header,
        Ok(Err(error @ HeaderError::Newer(_))) => return Err(header_error(error, path)),
        Ok(Err(_)) => return Ok(None),
        Err(ManifestError::Io(error)) => return damaged(error),
        Err(error) => return Err(error),
    };
    let dir = fs.open_dir(&RelPath::state_dir());
    let dir = dir.at("open the directory of", path)?;
    match Store::load(fs, dir, path, file, header, OpenMode::Read) {
        Ok(_) => Err(ManifestError::Whole {
            path: path.to_path_buf(),
        }),
        Err(ManifestError::Io(error)) => damaged(error).map(|_| Some(header)),
        Err(_) => Ok(Some(header)),
    }
}
