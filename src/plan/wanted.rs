//! The metadata that the copy of an entry shall have: what its source has, as far as this process may give it.

use crate::fs::{self, Kind, Meta, Stat, Xattrs};
use crate::options::CopyOptions;

/// Setuid and setgid.
const SET_UID: u32 = 0o4000;
const SET_GID: u32 = 0o2000;
/// The bits that a new file has when permissions are not preserved, before the umask.
const NEW_BITS: u32 = 0o777;

/// What this process is, as far as it decides what its new files are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own {
    uid: u32,
    gid: u32,
    umask: u32,
}

impl Own {
    pub(crate) fn of_this_process() -> Own {
        let (uid, gid) = fs::own_ids();
        let umask = fs::umask();
        Own { uid, gid, umask }
    }

    /// Who new files belong to.
    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    /// Whether it sees the attributes that only root sees.
    pub(crate) fn is_root(&self) -> bool {
        self.uid == 0
    }
}

/// What a directory passes on to what is made in it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Inherited {
    /// Its setgid bit, which other directories get.
    set_gid: u32,
    /// The permission bits that its default ACL leaves. It takes the place of the umask.
    acl_bits: Option<u32>,
}

impl Inherited {
    /// What is made in a directory with these attributes inherits.
    pub(crate) fn from(dir: &Stat, xattrs: &Xattrs) -> Inherited {
        Inherited {
            set_gid: dir.mode & SET_GID,
            acl_bits: xattrs.default_acl_bits(),
        }
    }

    /// The mode of a new entry of which the source has this one, as `mkdir` and `open` give it.
    fn mode(self, own: Own, source: &Stat) -> u32 {
        let bits = source.mode & NEW_BITS & self.acl_bits.unwrap_or(!own.umask);
        match source.kind {
            Kind::Dir => bits | self.set_gid,
            _ => bits,
        }
    }
}

/// The metadata that a copy of a source shall have. `there` is what it replaces, or what it is; if that is
/// nothing of its kind, it has `inherited` from the directory that it is made in.
pub(crate) fn wanted(
    options: &CopyOptions,
    own: Own,
    source: &Stat,
    xattrs: Xattrs,
    there: Option<&Stat>,
    inherited: Inherited,
) -> Meta {
    let (acls, xattrs) = xattrs.split();
    let there = there.filter(|there| there.kind == source.kind);
    let mode = match (source.kind, there) {
        (Kind::Symlink, _) => None,
        _ if options.perms => Some(permitted(options, own, source)),
        (_, Some(there)) => Some(there.mode),
        (_, None) => Some(inherited.mode(own, source)),
    };
    Meta {
        mode,
        owner: options.owner.then_some((source.uid, source.gid)),
        times_ns: (options.times).then_some((source.atime_ns, source.mtime_ns)),
        acls: options.perms.then_some(acls),
        xattrs: options.xattrs.then_some(xattrs),
    }
}

/// A source's mode. A program that runs in its owner's name must not come to run in another's.
fn permitted(options: &CopyOptions, own: Own, source: &Stat) -> u32 {
    let mut mode = source.mode;
    if source.kind == Kind::File && !options.owner {
        if source.uid != own.uid {
            mode &= !SET_UID;
        }
        if source.gid != own.gid {
            mode &= !SET_GID;
        }
    }
    mode
}

/// Whether extended attributes have to be looked at.
pub(crate) fn wants_xattrs(options: &CopyOptions) -> bool {
    options.perms || options.xattrs
}
