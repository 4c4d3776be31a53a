//! Where a destination is: which directory of which file system. By that, and by the id of its
//! manifest, it is found again after its drive was gone, at the same path or elsewhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fs::mounts::{self, Mount};
use crate::fs::{Fs, OsFs, source};
use crate::id::ManifestId;
use crate::manifest::Store;

/// The place of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The directory that holds `.sprag`, as an absolute path.
    pub path: PathBuf,
    /// The same directory as a path from the root of its file system.
    pub inside: Option<PathBuf>,
    /// The type of the file system.
    pub fs_type: Option<String>,
    /// The UUID of the file system.
    pub uuid: Option<String>,
}

impl Place {
    /// The place of a directory that is there.
    pub(super) fn of(root: &Path) -> Place {
        let path = source::canonicalize(root).unwrap_or_else(|_| source::absolute(root));
        let mounts = mounts::mounts();
        let mount = mounts::mount_of(&path, &mounts);
        let inside = mount.and_then(|mount| {
            let below = path.strip_prefix(&mount.point).ok()?;
            Some(mount.root.join(below))
        });
        Place {
            inside,
            fs_type: mount.map(|mount| mount.fs_type.clone()),
            uuid: mount.and_then(Mount::uuid),
            path,
        }
    }

    /// Where the manifest of that id is now. Other mounts are looked at if they are on a device of
    /// this machine or of the same type: a look at a server that does not answer takes long.
    pub(super) fn find(&self, id: ManifestId) -> Option<PathBuf> {
        if holds(&self.path, id) {
            return Some(self.path.clone());
        }
        let inside = self.inside.as_ref()?;
        let mounts = mounts::mounts();
        let likely = mounts
            .iter()
            .filter(|mount| mount.is_on_device() || self.fs_type.as_ref() == Some(&mount.fs_type));
        likely
            .filter_map(|mount| mount.show(inside))
            .find(|path| *path != self.path && holds(path, id))
    }
}

/// Whether a directory holds the manifest of that id, on a device that is there.
fn holds(path: &Path, id: ManifestId) -> bool {
    let Ok(fs) = OsFs::open_root(path) else {
        return false;
    };
    !fs.device_gone() && Store::peek(&Arc::new(fs)) == Some(id)
}
