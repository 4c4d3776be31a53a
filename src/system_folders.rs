//! Folders that a file system or a desktop keeps at the top of a mount. Nobody copied them there, so they are
//! neither extra nor to be deleted.

use crate::fs::Fs;
use crate::path::RelPath;

const NAMES: [&[u8]; 6] = [
    LOST_AND_FOUND,
    b"System Volume Information",
    b"$RECYCLE.BIN",
    b".Trashes",
    b".fseventsd",
    b".Spotlight-V100",
];
/// The trash of a user, by number.
const TRASH: &[u8] = b".Trash-";

/// Where `fsck` puts what it found, which only root may read.
pub(crate) const LOST_AND_FOUND: &[u8] = b"lost+found";

/// Whether a path at the destination is one of them, or in one.
pub(crate) fn hold<F: Fs>(fs: &F, path: &RelPath) -> bool {
    let is_one = |name: &[u8]| NAMES.contains(&name) || name.starts_with(TRASH);
    path.components().next().is_some_and(is_one) && fs.is_mount_top()
}
