//! Extended attributes, and an ACL as the system stores it in one.

use std::path::Path;

use rustix::fs::XattrFlags;

pub(crate) const ACCESS: &str = "system.posix_acl_access";
pub(crate) const DEFAULT: &str = "system.posix_acl_default";

/// `user::rw-,user:4711:r--,group::r--,mask::r--,other::---` as the system stores it.
pub(crate) fn acl() -> Vec<u8> {
    acl_for_others(0)
}

/// The same with these permissions for all others.
pub(crate) fn acl_for_others(others: u16) -> Vec<u8> {
    let entry = |tag: u16, perm: u16, id: u32| {
        let mut bytes = tag.to_le_bytes().to_vec();
        bytes.extend_from_slice(&perm.to_le_bytes());
        bytes.extend_from_slice(&id.to_le_bytes());
        bytes
    };
    let all = u32::MAX;
    let entries = [
        entry(0x01, 6, all),
        entry(0x02, 4, 4711),
        entry(0x04, 4, all),
        entry(0x10, 4, all),
        entry(0x20, others, all),
    ];
    let mut bytes = 2u32.to_le_bytes().to_vec();
    bytes.extend(entries.concat());
    bytes
}

pub(crate) fn set(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

pub(crate) fn get(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 4096];
    let len = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(len);
    Some(value)
}

/// Whether attributes and ACLs can be set on what stands there.
pub(crate) fn held(path: &Path) -> Result<(), String> {
    let none = XattrFlags::empty();
    rustix::fs::lsetxattr(path, "user.probe", b"1", none)
        .and_then(|()| rustix::fs::lsetxattr(path, ACCESS, &acl(), none))
        .map_err(|error| error.to_string())
}
