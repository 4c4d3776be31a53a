//! What the manifest records of an entry's metadata, and what it is compared with.
//!
//! Recorded is what the destination shows after everything was set, and besides, where that is not
//! what was asked for, what was asked. A later run that asks for the same and sees the same has
//! nothing to do, even where the file system rounds times or knows no modes; anything else is
//! drift, on one side or the other, and is set again.

use serde::{Deserialize, Serialize};

use crate::fs::{Meta, Stat, Times, Xattrs};

/// An entry's metadata as it showed after it was set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DestMeta {
    /// The modification time in ns that the destination stored; `None`: the source's own.
    pub(crate) mtime_ns: Option<i128>,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// A digest of its ACLs; `None`: they were not looked at.
    pub(crate) acls: Option<u64>,
    /// A digest of its other extended attributes but `trusted.*`; `None`: they were not looked at.
    pub(crate) xattrs: Option<u64>,
    /// Where it is less than what was asked for.
    pub(crate) lesser: Option<Lesser>,
}

/// What was asked for and came out as something else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lesser {
    pub(crate) mode: Option<u32>,
    pub(crate) owner: Option<(u32, u32)>,
    /// The source's modification time was asked for.
    pub(crate) mtime: bool,
    /// A digest of the ACLs that were asked for.
    pub(crate) acls: Option<u64>,
    /// A digest of all the other extended attributes that were asked for.
    pub(crate) xattrs: Option<u64>,
}

/// What stands at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) stat: Stat,
    pub(crate) acls: Xattrs,
    pub(crate) xattrs: Xattrs,
}

impl Seen {
    pub(crate) fn new(stat: Stat, xattrs: Xattrs) -> Seen {
        let (acls, xattrs) = xattrs.split();
        Seen { stat, acls, xattrs }
    }
}

impl DestMeta {
    /// What is to be recorded when `wanted` was asked for and `seen` is there. What was not asked
    /// for stays as it was `known`.
    pub(crate) fn of(
        wanted: &Meta,
        source_mtime_ns: i128,
        seen: &Seen,
        known: Option<&DestMeta>,
    ) -> DestMeta {
        let (stat, known) = (&seen.stat, known.copied().unwrap_or_default());
        let before = known.lesser.unwrap_or_default();
        let mtime_ns = (stat.mtime_ns != source_mtime_ns).then_some(stat.mtime_ns);
        let owner = (stat.uid, stat.gid);
        let other_digest = |wanted: &Option<Xattrs>, there: &Xattrs, before: Option<u64>| {
            let Some(wanted) = wanted else {
                return before;
            };
            (wanted != there).then(|| wanted.digest())
        };
        let lesser = Lesser {
            mode: match wanted.mode {
                Some(mode) => (mode != stat.mode).then_some(mode),
                None => before.mode,
            },
            owner: match wanted.owner {
                Some(wanted) => (wanted != owner).then_some(wanted),
                None => before.owner,
            },
            mtime: match wanted.times_ns {
                Some(_) => mtime_ns.is_some(),
                None => before.mtime,
            },
            acls: other_digest(&wanted.acls, &seen.acls, before.acls),
            xattrs: other_digest(&wanted.xattrs, &seen.xattrs, before.xattrs),
        };
        let looked = |wanted: &Option<Xattrs>| wanted.as_ref().map(|_| ());
        DestMeta {
            mtime_ns,
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
            acls: looked(&wanted.acls).map_or(known.acls, |()| Some(seen.acls.visible_digest())),
            xattrs: looked(&wanted.xattrs)
                .map_or(known.xattrs, |()| Some(seen.xattrs.visible_digest())),
            lesser: (lesser != Lesser::default()).then_some(lesser),
        }
    }

    /// The modification time in ns that the destination is known to show.
    pub(crate) fn mtime_ns(&self, source_mtime_ns: i128) -> i128 {
        self.mtime_ns.unwrap_or(source_mtime_ns)
    }

    /// The mode that was asked for.
    pub(crate) fn asked_mode(&self) -> u32 {
        self.lesser
            .and_then(|lesser| lesser.mode)
            .unwrap_or(self.mode)
    }

    /// The owner and group that were asked for.
    pub(crate) fn asked_owner(&self) -> (u32, u32) {
        let asked = self.lesser.and_then(|lesser| lesser.owner);
        asked.unwrap_or((self.uid, self.gid))
    }

    /// What of it `seen` does not show, in words.
    pub(crate) fn differences(
        &self,
        source_mtime_ns: i128,
        seen: &Seen,
        times: Times,
    ) -> Option<String> {
        let loosely = times.are_local();
        let stat = &seen.stat;
        let is_link = stat.kind == crate::fs::Kind::Symlink;
        let mut found = Vec::new();
        if !loosely && !is_link && stat.mode != self.mode {
            found.push(format!(
                "its mode is {:o}, recorded as {:o}",
                stat.mode, self.mode
            ));
        }
        if !loosely && (stat.uid, stat.gid) != (self.uid, self.gid) {
            found.push(format!(
                "it belongs to {}:{}, recorded as {}:{}",
                stat.uid, stat.gid, self.uid, self.gid
            ));
        }
        let recorded = self.mtime_ns(source_mtime_ns);
        if !times.same(recorded, stat.mtime_ns) {
            found.push("its modification time is not the recorded one".into());
        }
        let differs = |recorded: Option<u64>, there: &Xattrs| {
            recorded.is_some_and(|recorded| recorded != there.visible_digest())
        };
        if differs(self.acls, &seen.acls) {
            found.push("its ACLs are not the recorded ones".into());
        }
        if differs(self.xattrs, &seen.xattrs) {
            found.push("its extended attributes are not the recorded ones".into());
        }
        (!found.is_empty()).then(|| found.join("; "))
    }
}

#[cfg(test)]
impl Seen {
    /// A file of user 7 and group 8, for tests.
    pub(crate) fn sample(mode: u32, mtime_ns: i128, xattrs: Xattrs) -> Seen {
        let stat = Stat {
            kind: crate::fs::Kind::File,
            size: 1,
            allocated: 1,
            mtime_ns,
            atime_ns: 0,
            ctime_ns: 0,
            mode,
            uid: 7,
            gid: 8,
            dev: 1,
            ino: 2,
            nlink: 1,
        };
        Seen::new(stat, xattrs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(mode: u32, mtime_ns: i128, attrs: &[&str]) -> Seen {
        Seen::sample(mode, mtime_ns, xattrs(attrs))
    }

    fn xattrs(names: &[&str]) -> Xattrs {
        let attr = |name: &&str| (name.as_bytes().to_vec(), b"value".to_vec());
        Xattrs::new(names.iter().map(attr))
    }

    fn wanted(mode: u32, mtime_ns: i128, attrs: &[&str]) -> Meta {
        let (acls, others) = xattrs(attrs).split();
        Meta {
            mode: Some(mode),
            owner: Some((7, 8)),
            times_ns: Some((0, mtime_ns)),
            acls: Some(acls),
            xattrs: Some(others),
        }
    }

    #[test]
    fn what_came_out_as_asked_is_recorded_without_what_was_asked() {
        let attrs = ["user.a", "system.posix_acl_access"];
        let dest = DestMeta::of(&wanted(0o640, 5, &attrs), 5, &seen(0o640, 5, &attrs), None);
        assert_eq!((dest.lesser, dest.mtime_ns), (None, None));
        assert_eq!(dest.asked_mode(), 0o640);
        assert_ne!(dest.acls, dest.xattrs);
    }

    #[test]
    fn the_same_question_with_the_same_answer_gives_the_same_record_and_any_other_does_not() {
        let first = DestMeta::of(
            &wanted(0o640, 5, &["user.a"]),
            5,
            &seen(0o777, 4, &[]),
            None,
        );
        let again = |wanted: Meta, mtime: i128, seen: Seen| {
            DestMeta::of(&wanted, mtime, &seen, Some(&first)) == first
        };
        let attrs = &["user.a"][..];
        assert!(again(wanted(0o640, 5, attrs), 5, seen(0o777, 4, &[])));
        assert!(!again(wanted(0o600, 5, attrs), 5, seen(0o777, 4, &[])));
        assert!(!again(wanted(0o640, 5, &[]), 5, seen(0o777, 4, &[])));
        assert!(!again(wanted(0o640, 5, attrs), 5, seen(0o640, 4, &[])));
        assert!(!again(wanted(0o640, 5, attrs), 5, seen(0o777, 4, attrs)));
    }

    #[test]
    fn what_is_not_asked_for_is_left_as_it_was_known() {
        let attrs = ["user.a", "system.posix_acl_access"];
        let first = DestMeta::of(&wanted(0o640, 5, &attrs), 5, &seen(0o777, 5, &attrs), None);
        let nothing = Meta::default();
        let later = DestMeta::of(&nothing, 5, &seen(0o777, 5, &[]), Some(&first));
        assert_eq!(later, first);
    }

    #[test]
    fn attributes_that_only_root_sees_count_when_they_are_asked_for_and_not_when_they_are_shown() {
        let both = ["trusted.t", "user.a"];
        let as_root = DestMeta::of(&wanted(0o640, 5, &both), 5, &seen(0o640, 5, &both), None);
        let others = seen(0o640, 5, &["user.a"]);
        assert_eq!(as_root.differences(5, &others, Times::EXACT), None);
        let refused = DestMeta::of(&wanted(0o640, 5, &both), 5, &others, None);
        assert_ne!(refused, as_root);
        assert!(refused.lesser.unwrap().xattrs.is_some());
    }

    #[test]
    fn differences_are_told_one_by_one_and_a_change_of_zone_is_none_where_clocks_are_local() {
        let dest = DestMeta::of(&wanted(0o640, 5, &[]), 5, &seen(0o640, 5, &[]), None);
        assert_eq!(
            dest.differences(5, &seen(0o640, 5, &[]), Times::EXACT),
            None
        );
        let other = seen(0o600, 6, &["user.a"]);
        let told = dest.differences(5, &other, Times::EXACT).unwrap();
        assert!(told.starts_with("its mode is 600, recorded as 640; "));
        assert!(told.contains("time") && told.contains("attributes"));
        let hour = 3_600_000_000_000;
        let shifted = seen(0o600, 5 + 2 * hour, &[]);
        assert_eq!(dest.differences(5, &shifted, Times::local()), None);
        assert!(dest.differences(5, &shifted, Times::EXACT).is_some());
        let other = seen(0o640, 5 + hour / 7, &[]);
        assert!(dest.differences(5, &other, Times::local()).is_some());
    }
}
