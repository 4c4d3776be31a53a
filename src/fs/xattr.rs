//! Extended attributes, POSIX ACLs among them: what an entry has, as a plain list.
//!
//! Those are kept that mean the same at another place: `user.*`, `trusted.*`, `security.*` and the
//! two ACLs. Left out are what a file system or a policy gives each file anew: SELinux labels, EVM
//! seals (they are bound to the inode), and the rest of `system.*`, which are views that some
//! file systems give of their own inner metadata, as are the ACLs that XFS shows a second time.

use crate::hash;

/// The prefix of attributes that only root can see.
const TRUSTED: &[u8] = b"trusted.";
/// The ACL that what is made in a directory inherits.
const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";

/// Attributes with their values, sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Xattrs {
    list: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Xattrs {
    /// These attributes, as far as they are of a kind that is kept.
    pub fn new(attrs: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Xattrs {
        let kept = attrs.into_iter().filter(|(name, _)| is_kept(name));
        let mut list: Vec<_> = kept.collect();
        list.sort_unstable();
        list.dedup_by(|a, b| a.0 == b.0);
        Xattrs { list }
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let list = self.list.iter();
        list.map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// The value of one attribute.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter()
            .find(|(there, _)| *there == name)
            .map(|(_, value)| value)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The ACLs alone, and everything else.
    pub fn split(self) -> (Xattrs, Xattrs) {
        let (acls, others) = self.list.into_iter().partition(|(name, _)| is_acl(name));
        (Xattrs { list: acls }, Xattrs { list: others })
    }

    /// The permission bits that the default ACL of a directory leaves to what is made in it, if it has one.
    pub(crate) fn default_acl_bits(&self) -> Option<u32> {
        // A version of 4 bytes, then entries of 8: tag and permissions of 2 bytes each, and whom they are for.
        const VERSION_BYTES: usize = 4;
        const ENTRY_BYTES: usize = 8;
        const USER_OBJ: u16 = 0x01;
        const GROUP_OBJ: u16 = 0x04;
        const MASK: u16 = 0x10;
        const OTHER: u16 = 0x20;
        let acl = self.get(DEFAULT_ACL)?.get(VERSION_BYTES..)?;
        let permissions = |wanted: u16| {
            acl.chunks_exact(ENTRY_BYTES).find_map(|entry| {
                let number = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
                (number(0) == wanted).then(|| u32::from(number(2)) & 0o7)
            })
        };
        let owner = permissions(USER_OBJ)?;
        let group = permissions(MASK).or_else(|| permissions(GROUP_OBJ))?;
        Some(owner << 6 | group << 3 | permissions(OTHER)?)
    }

    /// A digest of all of them; 0 if there are none.
    pub(crate) fn digest(&self) -> u64 {
        hash::xattr_digest(self.iter())
    }

    /// A digest of those that everyone can see.
    pub(crate) fn visible_digest(&self) -> u64 {
        let visible = self.iter().filter(|(name, _)| !name.starts_with(TRUSTED));
        hash::xattr_digest(visible)
    }
}

/// Whether an attribute is an ACL: a permission, that is.
pub(super) fn is_acl(name: &[u8]) -> bool {
    name == b"system.posix_acl_access" || name == DEFAULT_ACL
}

/// Whether an attribute is of a kind that is kept.
pub(super) fn is_kept(name: &[u8]) -> bool {
    let given_anew = matches!(
        name,
        b"security.selinux"
            | b"security.evm"
            | b"trusted.SGI_ACL_FILE"
            | b"trusted.SGI_ACL_DEFAULT"
    );
    let named = [&b"user."[..], TRUSTED, b"security."];
    !given_anew && (is_acl(name) || named.iter().any(|prefix| name.starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Xattrs {
        let attr = |name: &&str| (name.as_bytes().to_vec(), b"value".to_vec());
        Xattrs::new(names.iter().map(attr))
    }

    fn names(xattrs: &Xattrs) -> Vec<String> {
        let name = |(name, _): (&[u8], _)| String::from_utf8_lossy(name).into_owned();
        xattrs.iter().map(name).collect()
    }

    #[test]
    fn what_each_place_gives_anew_is_left_out() {
        let all = of(&[
            "user.b",
            "system.posix_acl_default",
            "security.selinux",
            "security.capability",
            "security.evm",
            "system.ntfs_acl",
            "btrfs.compression",
            "trusted.SGI_ACL_FILE",
            "trusted.SGI_ACL_DEFAULT",
            "trusted.overlay.opaque",
            "user.a",
        ]);
        let (acls, others) = all.split();
        assert_eq!(names(&acls), ["system.posix_acl_default"]);
        let kept = [
            "security.capability",
            "trusted.overlay.opaque",
            "user.a",
            "user.b",
        ];
        assert_eq!(names(&others), kept);
    }

    #[test]
    fn digests_tell_sets_apart_and_what_only_root_sees_is_in_one_of_them() {
        assert_eq!(of(&[]).digest(), 0);
        assert_ne!(of(&["user.a"]).digest(), 0);
        assert_ne!(of(&["user.a"]).digest(), of(&["user.b"]).digest());
        let (with, without) = (of(&["trusted.t", "user.a"]), of(&["user.a"]));
        assert_ne!(with.digest(), without.digest());
        assert_eq!(with.visible_digest(), without.visible_digest());
        assert_eq!(of(&["trusted.t"]).visible_digest(), 0);
    }
}
