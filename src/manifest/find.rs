//! Finding a manifest: opening the destination that holds it, and what is said where there is none.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::header::MAGIC;
use super::{MANIFEST, MANIFEST_BAK, MANIFEST_NAME, STATE_DIR, Store};
use crate::error::{Error, SetupError};
use crate::fs::{Access, Fs, FsFile, Kind, OsFs, source};
use crate::path::RelPath;

/// Opens a destination that has been copied to; its state is believed whoever wrote it, if that is wanted.
pub(crate) fn open_destination(dest: &Path, trust_state: bool) -> Result<Arc<OsFs>, SetupError> {
    let opened = OsFs::open_root(dest).map_err(|source| {
        if source.kind() == io::ErrorKind::NotADirectory {
            // The manifest of a file that was copied by itself is beside it.
            let refusal = no_manifest(dest);
            if matches!(refusal, SetupError::NoManifest { above: Some(_), .. }) {
                return refusal;
            }
        }
        SetupError::Dest {
            path: dest.to_path_buf(),
            source,
        }
    });
    opened.map(|fs| {
        if trust_state {
            fs.trust_state();
        }
        Arc::new(fs)
    })
}

/// The manifest of a destination that has to have one.
pub(crate) fn found<F: Fs>(store: Option<Store<F>>, dest: &Path) -> Result<Store<F>, Error> {
    Ok(store.ok_or_else(|| no_manifest(dest))?)
}

/// The refusal of a destination that holds no manifest. It may be a part of one that does.
pub(crate) fn no_manifest(dest: &Path) -> SetupError {
    let path = source::canonicalize(dest);
    let above = path.ok().and_then(|path| {
        let above = nearest(path.ancestors().skip(1));
        above.map(Path::to_path_buf)
    });
    SetupError::NoManifest {
        path: dest.to_path_buf(),
        above,
    }
}

/// The destination in whose state a resolved path is, if it is in one.
pub(crate) fn whose_state(path: &Path) -> Option<&Path> {
    let in_state = |dir: &&Path| {
        dir.file_name()
            .is_some_and(|name| name.as_bytes() == STATE_DIR)
    };
    nearest(path.ancestors().filter(in_state).filter_map(Path::parent))
}

/// Whether a directory of a destination is the state that sprag keeps of another copy.
pub(crate) fn is_state_at<F: Fs>(fs: &F, path: &RelPath) -> bool {
    fs.open_dir(path).is_ok_and(|dir| {
        let begins_as_one = |name: &[u8]| {
            let file = fs.open(&dir, name, Access::Read);
            begins_as_manifest(|bytes| file?.read_at(bytes, 0))
        };
        begins_as_one(MANIFEST) || begins_as_one(MANIFEST_BAK)
    })
}

fn begins_as_manifest(read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> bool {
    let mut bytes = [0; MAGIC.len()];
    read(&mut bytes).is_ok_and(|read| bytes[..read] == MAGIC)
}

/// Whether a directory of a source is the state that sprag keeps of a copy: it has a manifest, or the copy
/// of one.
pub(crate) fn is_state(dir: &Path) -> bool {
    let begins_as_one = |name: &[u8]| {
        let file = source::SourceFile::open(&dir.join(OsStr::from_bytes(name)));
        begins_as_manifest(|bytes| file?.read(bytes, 0))
    };
    begins_as_one(MANIFEST) || begins_as_one(MANIFEST_BAK)
}

/// The first of these directories that holds a manifest.
pub(crate) fn nearest<'a>(mut dirs: impl Iterator<Item = &'a Path>) -> Option<&'a Path> {
    dirs.find(|dir| {
        let manifest: PathBuf = RelPath::state_dir().below(dir).join(MANIFEST_NAME);
        source::lstat(&manifest).is_ok_and(|stat| stat.kind == Kind::File)
    })
}
