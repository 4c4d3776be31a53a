//! Where a destination or a source is: which directory of which file system, whatever the path that it
//! is reached by.

use std::path::{Path, PathBuf};

use super::mounts::{self, Mount};

/// A directory of a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The directory, as an absolute path.
    pub path: PathBuf,
    /// The same directory as a path from the root of its file system.
    pub inside: Option<PathBuf>,
    /// The type of the file system.
    pub fs_type: Option<String>,
    /// The UUID of the file system.
    pub uuid: Option<String>,
}

impl Place {
    /// The place of a directory, which may still have to be made.
    pub fn of(path: &Path) -> Place {
        let path = mounts::resolved(path);
        let mounts = mounts::mounts();
        let mount = mounts::mount_of(&path, &mounts);
        Place::on(path, mount)
    }

    fn on(path: PathBuf, mount: Option<&Mount>) -> Place {
        Place {
            inside: mount.and_then(|mount| mount.hide(&path)),
            fs_type: mount.map(|mount| mount.fs_type.clone()),
            uuid: mount.and_then(Mount::uuid),
            path,
        }
    }

    /// What tells its file system from others, however long ago that was asked: the UUID, or else the type.
    pub fn file_system(&self) -> Option<&str> {
        self.uuid.as_deref().or(self.fs_type.as_deref())
    }

    /// Whether both are the same directory of the same file system, at whatever path. What is not known of
    /// one of them does not count.
    pub fn is_same(&self, other: &Place) -> bool {
        let agree = |one: &Option<String>, other: &Option<String>| match (one, other) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        self.inside.is_some()
            && self.inside == other.inside
            && agree(&self.fs_type, &other.fs_type)
            && agree(&self.uuid, &other.uuid)
    }

    /// The places elsewhere at which the same directory may show: on file systems that are on a device of this
    /// machine or of the same type, since a look at a server that does not answer takes long. The root is no
    /// drive.
    pub fn elsewhere(&self) -> Vec<Place> {
        let Some(inside) = &self.inside else {
            return Vec::new();
        };
        let mounts = mounts::mounts();
        let likely = mounts
            .iter()
            .filter(|mount| mount.is_on_device() || self.fs_type.as_ref() == Some(&mount.fs_type))
            .filter(|mount| mount.point != Path::new("/"));
        let places = likely.filter_map(|mount| Some(Place::on(mount.show(inside)?, Some(mount))));
        places.filter(|place| place.path != self.path).collect()
    }
}
