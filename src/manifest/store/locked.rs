//! Opening the file that a manifest is, and locking it: it may be replaced between the two.

use std::os::unix::ffi::OsStrExt;

use super::open::RELOCKS_MAX;
use super::*;
use crate::path::PrintableText;
use crate::time;

/// The manifest's name in its directory: its own, if it is kept elsewhere than in its destination.
pub(super) fn name_of(path: &Path) -> &[u8] {
    path.file_name().map_or(MANIFEST, |name| name.as_bytes())
}

/// A scan that a writer disturbs by writing the next records is made again so often.
const LOOKS_MAX: u32 = 20;

impl<F: Fs> Store<F> {
    /// As [`Store::open_to_read`], and beside a writer as well: then it is what the writer has recorded so far,
    /// and [`Store::written_by`] says who that is.
    pub(crate) fn open_to_look(
        fs: &Arc<F>,
        dest: &Path,
    ) -> Result<Option<Store<F>>, ManifestError> {
        let mut opened = Self::open_to_read(fs, dest);
        for _ in 0..LOOKS_MAX {
            let Err(ManifestError::Locked { holder, .. }) = opened else {
                return opened;
            };
            match Self::open(fs, dest, OpenMode::Look) {
                Ok(Some(mut store)) => {
                    store.written_by = Some(holder);
                    return Ok(Some(store));
                }
                Ok(None) | Err(ManifestError::Damaged { .. }) => {}
                failed => return failed,
            }
            opened = Self::open_to_read(fs, dest);
        }
        opened
    }

    /// Who writes it now.
    pub(crate) fn written_by(&self) -> Option<&str> {
        self.written_by.as_deref()
    }

    /// Returns why the manifest is not locked while it is read, if its file system has no locks. Only
    /// for a manifest that is open to be read.
    pub(crate) fn lock_refused(&self) -> Option<ManifestError> {
        try_lock(&*self.file(), lock::Mode::Shared, &self.path).err()
    }

    /// Returns the same as a warning, for a command that reads on.
    pub(crate) fn unlocked(&self) -> Option<String> {
        let refused = self.lock_refused()?.what_is_wrong();
        Some(format!(
            "{refused}: nothing keeps a copy from changing it while it is read"
        ))
    }
}

/// Opens the manifest and locks it, again if it was replaced between the two.
pub(super) fn open_locked<F: Fs>(
    fs: &Arc<F>,
    dir: &F::Dir,
    path: &Path,
    mode: OpenMode,
) -> Result<Option<F::File>, ManifestError> {
    let (access, lock_mode) = match mode.only_reads() {
        true => (Access::Read, lock::Mode::Shared),
        false => (Access::Write, lock::Mode::Exclusive),
    };
    for _ in 0..RELOCKS_MAX {
        let Some(file) = fs::found(fs.open(dir, name_of(path), access)).at("open", path)? else {
            return Ok(None);
        };
        let is_ours = match mode {
            OpenMode::Look => Ok(true),
            _ => try_lock(&file, lock_mode, path),
        };
        match is_ours {
            Ok(true) => {}
            Ok(false) => return Err(locked(path, Some(&file))),
            // Whoever reads says so: see `Store::lock_refused`.
            Err(ManifestError::NoLocks { .. }) if mode == OpenMode::Read => {}
            Err(error) => return Err(error),
        }
        if still_named(fs, dir, name_of(path), &file).at("look at", path)? {
            return Ok(Some(file));
        }
    }
    Err(locked::<F::File>(path, None))
}

/// Tries to lock a manifest; `false` if another holds it.
pub(super) fn try_lock(
    file: &impl FsFile,
    mode: lock::Mode,
    path: &Path,
) -> Result<bool, ManifestError> {
    lock::try_lock(file, mode).map_err(|error| match lock::is_unsupported(&error) {
        true => ManifestError::NoLocks {
            path: path.to_path_buf(),
            source: error,
        },
        false => PathError::new("lock", path, error).into(),
    })
}

/// Whether the name still stands for the open file.
pub(super) fn still_named<F: Fs>(
    fs: &Arc<F>,
    dir: &F::Dir,
    name: &[u8],
    file: &F::File,
) -> io::Result<bool> {
    let open = file.stat()?;
    let named = fs.stat(dir, name)?;
    Ok(named.is_some_and(|named| named.id() == open.id()))
}

pub(super) fn locked<F: FsFile>(path: &Path, file: Option<&F>) -> ManifestError {
    let mut header = vec![0; HEADER_BYTES];
    let holder = file
        .and_then(|file| file.read_at(&mut header, 0).ok())
        .and_then(|_| Holder::decode(&header));
    let here = fs::host_name();
    let holder = match holder {
        Some(holder) if holder.host != here || fs::process_alive(holder.pid) => format!(
            "another sprag: process {} on {}, since {}",
            holder.pid,
            PrintableText(&holder.host),
            time::utc_text(holder.started_ms)
        ),
        // Whoever reads it says nothing in it.
        _ => match holding(file) {
            Some(holder) => format!(
                "process {} ({}){}",
                holder.pid,
                PrintableText(&holder.name),
                if holder.shared {
                    ", which reads it as verify, status and export do"
                } else {
                    ""
                }
            ),
            None => "another sprag that reads it (verify, status or export)".to_string(),
        },
    };
    ManifestError::Locked {
        path: path.to_path_buf(),
        holder,
    }
}

/// The process that holds the lock.
fn holding<F: FsFile>(file: Option<&F>) -> Option<fs::LockHolder> {
    fs::lock_holder(file?.stat().ok()?.id())
}
