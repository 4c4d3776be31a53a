//! Folders that a file system or a desktop keeps at the top of a mount. Nobody copied them there, so they are
//! neither extra nor to be deleted.

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

/// Whether a name at the top of a mount is one of theirs.
pub(crate) fn is_one(name: &[u8]) -> bool {
    NAMES.contains(&name) || name.starts_with(TRASH)
}
