//! What is recorded of metadata that nobody set while sprag looked on.
//!
//! A copy records what the destination made of what it set. Here that has to be told from what was
//! changed since: what a file system is known to make of it is recorded as such, and anything else
//! as it should be, so that it shows as other metadata and the next copy sets it.

use crate::fs::{Kind, Meta, Stat, Times, Xattrs};
use crate::manifest::{DestMeta, Seen};

/// What file systems count times in, in ns: NTFS; some servers; exFAT; ext3 and HFS+; FAT.
const UNITS_NS: [i128; 5] = [100, 1000, 10_000_000, 1_000_000_000, 2_000_000_000];

/// Whether `there` is what a file system may make of the time `asked`.
fn is_rounded(asked: i128, there: i128) -> bool {
    let fits = |unit| there % unit == 0 && (there - asked).abs() < unit;
    there == asked || UNITS_NS.into_iter().any(fits)
}

/// What is to be recorded when `wanted` is how it should be and `seen` is there, whose file system shows such
/// `times`.
pub(super) fn recorded(
    wanted: &Meta,
    source_mtime_ns: i128,
    seen: &Seen,
    times: Times,
) -> DestMeta {
    let mut as_wanted = seen.clone();
    let there = seen.stat.mtime_ns;
    let is_same = is_rounded(source_mtime_ns, there) || times.same(source_mtime_ns, there);
    if wanted.times_ns.is_some() && !is_same {
        as_wanted.stat.mtime_ns = source_mtime_ns;
    }
    if !times.are_local() {
        let stat = &mut as_wanted.stat;
        stat.mode = wanted.mode.unwrap_or(stat.mode);
        (stat.uid, stat.gid) = wanted.owner.unwrap_or((stat.uid, stat.gid));
        as_wanted.acls = wanted.acls.clone().unwrap_or(as_wanted.acls);
        as_wanted.xattrs = wanted.xattrs.clone().unwrap_or(as_wanted.xattrs);
    }
    DestMeta::of(wanted, source_mtime_ns, &as_wanted, None)
}

/// What is to be recorded of an entry that is to be as it is.
pub(in crate::verify) fn as_it_is(stat: Stat, xattrs: Xattrs) -> DestMeta {
    let wanted = wanting(&stat, xattrs.clone());
    DestMeta::of(&wanted, stat.mtime_ns, &Seen::new(stat, xattrs), None)
}

fn wanting(stat: &Stat, xattrs: Xattrs) -> Meta {
    let (acls, xattrs) = xattrs.split();
    Meta {
        mode: (stat.kind != Kind::Symlink).then_some(stat.mode),
        owner: Some((stat.uid, stat.gid)),
        times_ns: Some((stat.atime_ns, stat.mtime_ns)),
        acls: Some(acls),
        xattrs: Some(xattrs),
    }
}

/// How what is there differs from what is recorded of it. The time of a directory does not count.
pub(super) fn differences(
    dest: &DestMeta,
    source_mtime_ns: i128,
    seen: &Seen,
    times: Times,
) -> Option<String> {
    let mut seen = seen.clone();
    if seen.stat.kind == Kind::Dir {
        seen.stat.mtime_ns = dest.mtime_ns(source_mtime_ns);
    }
    dest.differences(source_mtime_ns, &seen, times)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(mode: u32, mtime_ns: i128) -> Seen {
        Seen::sample(mode, mtime_ns, Xattrs::default())
    }

    fn wanted(mode: u32, mtime_ns: i128) -> Meta {
        Meta {
            mode: Some(mode),
            times_ns: Some((0, mtime_ns)),
            ..wanting(&seen(mode, mtime_ns).stat, Xattrs::default())
        }
    }

    #[test]
    fn what_a_file_system_rounds_is_taken_as_it_is_and_what_was_changed_shows() {
        const S: i128 = 1_000_000_000;
        let time = 1000 * S + 5;
        let told = |there: &Seen, is_local| {
            let times = if is_local {
                Times::local()
            } else {
                Times::EXACT
            };
            let dest = recorded(&wanted(0o640, time), time, there, times);
            differences(&dest, time, there, times)
        };
        assert_eq!(told(&seen(0o640, time), false), None);
        assert_eq!(told(&seen(0o640, 1000 * S), false), None);
        assert!(told(&seen(0o640, 900 * S), false).is_some());
        assert!(told(&seen(0o640, time + 1), false).is_some());
        assert_eq!(told(&seen(0o640, 1000 * S + 100), false), None);
        assert!(told(&seen(0o600, time), false).is_some());
        assert_eq!(told(&seen(0o777, 1000 * S - 3600 * S + 5), true), None);
        assert!(told(&seen(0o777, 900 * S), true).is_some());
    }

    #[test]
    fn what_was_changed_is_recorded_as_it_should_be() {
        let dest = recorded(&wanted(0o640, 5), 5, &seen(0o777, 5), Times::EXACT);
        assert_eq!((dest.mode, dest.lesser), (0o640, None));
    }
}
