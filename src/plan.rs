//! What to do with one source entry: pure decisions, no I/O.
//!
//! A decision looks at four things only: the source, what the manifest says of its destination
//! path, what stands there, and the options.

use crate::fs::source::Settled;
use crate::fs::{Kind, Meta, Stat, Times, Xattrs};
use crate::manifest::{Ctimes, DestMeta, Done, Entry, Seen, SourceId};

/// The permission bits that a directory needs while entries are put into it or removed.
pub(crate) const DIR_WORKING_BITS: u32 = 0o700;

mod existing;
#[cfg(test)]
mod samples;
pub(crate) mod wanted;

pub(crate) use existing::{
    is_unchanged_under, plan_file_under, plan_link_under, plan_symlink_under,
};

/// What to do with a regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FilePlan {
    /// It is there, as the manifest says.
    Unchanged,
    /// Copy it from the beginning.
    Copy,
    /// Go on with its partial.
    Resume,
    /// A file of the same size is there that the manifest cannot vouch for: compare, and take it
    /// over if it has the same content.
    Adopt,
    /// It is there, by size and time; its content is to be compared all the same.
    Check,
    /// A rule of the user's leaves alone what stands there.
    Leave,
    /// Something stands there that is never replaced.
    Conflict(Kind),
}

/// What to do with a symlink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SymlinkPlan {
    /// It is there, as the manifest says.
    Unchanged,
    /// It is there, but not from sprag.
    Adopt,
    /// Make it, in place of whatever is there.
    Make,
    /// A rule of the user's leaves alone what stands there.
    Leave,
    /// Something stands there that is never replaced.
    Conflict(Kind),
}

/// What to do with a directory before its contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DirPlan {
    /// Make it.
    Make,
    /// It is there.
    Keep {
        /// Its metadata has to be set at the end of the run.
        mend: bool,
    },
    /// Something stands there that is never replaced.
    Conflict(Kind),
}

/// The identity of one version of a source file.
pub(crate) fn source_id(stat: &Stat) -> SourceId {
    SourceId {
        size: stat.size,
        mtime_ns: stat.mtime_ns,
        ctime_ns: stat.ctime_ns,
        ino: stat.ino,
    }
}

/// The change time that no file has.
const UNSETTLED_NS: i128 = i128::MIN;

/// The identity of a source file that had not settled when it was read, so that its times do not tell
/// it from a later version. No file has this change time: a partial of it is never resumed.
pub(crate) fn unsettled_id(stat: &Stat) -> SourceId {
    SourceId {
        ctime_ns: UNSETTLED_NS,
        ..source_id(stat)
    }
}

/// The identity of a source file that is about to be read.
pub(crate) fn settled_id(settled: &Settled) -> SourceId {
    match settled.unsettled {
        true => unsettled_id(&settled.stat),
        false => source_id(&settled.stat),
    }
}

/// Whether a file that was begun may be gone on with: its source has the size and the time that it had. If it is
/// not `source_id` all the same (a change of mode, another number after a card was plugged in again), its
/// beginning has to be compared with what was recorded.
pub(crate) fn may_resume(begun: &SourceId, source: &Stat) -> bool {
    let settled = begun.ctime_ns != UNSETTLED_NS;
    settled && (begun.size, begun.mtime_ns) == (source.size, source.mtime_ns)
}

/// Whether what stands at the destination is, by `stat`, what was published there.
pub(crate) fn is_as_published<P>(times: Times, done: &Done<P>, dest: &Stat) -> bool {
    dest.kind == Kind::File
        && dest.size == done.size
        && times.same(done.dest_mtime_ns(), dest.mtime_ns)
}

/// Whether a file is there as the manifest says, and the source is as it was then.
fn is_as_done<P>(times: Times, source: &Stat, done: &Done<P>, dest: &Stat) -> bool {
    is_as_published(times, done, dest)
        && (done.size, done.mtime_ns) == (source.size, source.mtime_ns)
}

/// Decides about a regular file.
pub(crate) fn plan_file(
    times: Times,
    source: &Stat,
    known: Option<&Entry>,
    dest: Option<&Stat>,
) -> FilePlan {
    if let Some(Stat {
        kind: Kind::Dir, ..
    }) = dest
    {
        return FilePlan::Conflict(Kind::Dir);
    }
    match known {
        Some(Entry::Partial(partial)) if !partial.begin.adopts => {
            return match may_resume(&partial.begin.source, source) {
                true => FilePlan::Resume,
                false => FilePlan::Copy,
            };
        }
        Some(Entry::Done(done))
            if dest.is_some_and(|dest| is_as_done(times, source, done, dest)) =>
        {
            return if done.unsettled {
                FilePlan::Check
            } else {
                FilePlan::Unchanged
            };
        }
        _ => {}
    }
    match dest {
        // Its time would become that of the file that it is still a name of.
        Some(dest) if comes_apart(source, known) && dest.mtime_ns != source.mtime_ns => {
            FilePlan::Copy
        }
        Some(dest) if dest.kind == Kind::File && dest.size == source.size => FilePlan::Adopt,
        _ => FilePlan::Copy,
    }
}

/// Whether an entry was a further name of another and has a source of its own now.
pub(crate) fn comes_apart(source: &Stat, known: Option<&Entry>) -> bool {
    source.nlink == 1 && matches!(known, Some(Entry::Link(_)))
}

/// Decides about a symlink, given with its target. `dest` is what stands there, with its target if it is a symlink.
pub(crate) fn plan_symlink(
    (source, target): (&Stat, &[u8]),
    known: Option<&Entry>,
    dest: Option<(Kind, Option<&[u8]>)>,
) -> SymlinkPlan {
    match dest {
        Some((Kind::Dir, _)) => SymlinkPlan::Conflict(Kind::Dir),
        Some((Kind::Symlink, Some(there))) if there == target => match known {
            Some(Entry::Symlink(known)) if known.target == target => SymlinkPlan::Unchanged,
            _ if comes_apart(source, known) => SymlinkPlan::Make,
            _ => SymlinkPlan::Adopt,
        },
        _ => SymlinkPlan::Make,
    }
}

/// Whether metadata is not what was recorded, of an entry whose content is: `recorded` and, if times
/// are wanted, the source's time beside it. That alone may differ: what was set outlives a power cut
/// that its record did not.
pub(crate) fn has_drifted(
    source: &Stat,
    wanted: &Meta,
    seen: &Seen,
    (recorded, mtime_ns): (&DestMeta, i128),
) -> bool {
    let now = DestMeta::of(wanted, source.mtime_ns, seen, Some(recorded));
    now != *recorded || (wanted.times_ns.is_some() && mtime_ns != source.mtime_ns)
}

/// Whether a file whose content is as recorded has its metadata, too, and change times tell so of
/// its attributes. Otherwise they have to be listed.
pub(crate) fn is_untouched<P>(
    source: &Stat,
    wanted: Meta,
    there: Stat,
    done: &Done<P>,
    as_root: bool,
) -> bool {
    let holds = |ctimes: Ctimes| ctimes.hold(source.ctime_ns, there.ctime_ns, as_root);
    let wanted = Meta {
        acls: None,
        xattrs: None,
        ..wanted
    };
    let seen = Seen::new(there, Xattrs::default());
    done.ctimes.is_some_and(holds)
        && !has_drifted(source, &wanted, &seen, (&done.dest, done.mtime_ns))
}

/// Decides about a directory; `wanted` is the metadata it shall have in the end, `seen` what stands
/// there.
pub(crate) fn plan_dir(
    source: &Stat,
    wanted: &Meta,
    known: Option<&Entry>,
    seen: Option<&Seen>,
) -> DirPlan {
    let Some(seen) = seen else {
        return DirPlan::Make;
    };
    if seen.stat.kind != Kind::Dir {
        return DirPlan::Conflict(seen.stat.kind);
    }
    // The record is what the end of the run sets, should a new entry change the directory.
    let mend = match known {
        Some(Entry::Dir(record)) => {
            has_drifted(source, wanted, seen, (&record.dest, record.mtime_ns))
        }
        _ => true,
    };
    DirPlan::Keep { mend }
}

#[cfg(test)]
mod tests {
    use super::samples::{done, stat};
    use super::*;
    use crate::manifest::{Begin, DestMeta, DirRecord, Done, Partial};
    use crate::path::RelPath;

    fn partial(source: &Stat, adopts: bool) -> Entry {
        Entry::Partial(Partial {
            begin: Begin {
                path: RelPath::new("f").unwrap(),
                source: source_id(source),
                attempt: 0,
                adopts,
            },
            begin_pos: 4096,
            last_pos: 4096,
            blocks: 0,
        })
    }

    #[test]
    fn a_new_file_is_copied_and_one_that_stands_there_is_compared_if_it_can_be_the_same() {
        let source = stat(Kind::File, 10, 5);
        assert_eq!(plan_file(Times::EXACT, &source, None, None), FilePlan::Copy);
        let there = stat(Kind::File, 10, 99);
        assert_eq!(
            plan_file(Times::EXACT, &source, None, Some(&there)),
            FilePlan::Adopt
        );
        let other = stat(Kind::File, 11, 5);
        assert_eq!(
            plan_file(Times::EXACT, &source, None, Some(&other)),
            FilePlan::Copy
        );
        let link = stat(Kind::Symlink, 10, 5);
        assert_eq!(
            plan_file(Times::EXACT, &source, None, Some(&link)),
            FilePlan::Copy
        );
        let dir = stat(Kind::Dir, 10, 5);
        assert_eq!(
            plan_file(Times::EXACT, &source, None, Some(&dir)),
            FilePlan::Conflict(Kind::Dir)
        );
    }

    #[test]
    fn a_done_file_is_left_alone_only_while_both_sides_are_as_recorded() {
        let source = stat(Kind::File, 10, 5);
        // A file system that rounded the time down to 4 ns: what it stored is what counts.
        let known = done(10, 5, 4);
        let there = stat(Kind::File, 10, 4);
        let plan =
            |source: &Stat, dest: &Stat| plan_file(Times::EXACT, source, Some(&known), Some(dest));
        assert_eq!(plan(&source, &there), FilePlan::Unchanged);
        assert_eq!(plan(&stat(Kind::File, 10, 6), &there), FilePlan::Adopt);
        assert_eq!(plan(&stat(Kind::File, 11, 6), &there), FilePlan::Copy);
        assert_eq!(plan(&source, &stat(Kind::File, 10, 5)), FilePlan::Adopt);
        assert_eq!(plan(&source, &stat(Kind::File, 9, 4)), FilePlan::Copy);
        assert_eq!(
            plan_file(Times::EXACT, &source, Some(&known), None),
            FilePlan::Copy
        );
    }

    #[test]
    fn a_partial_is_resumed_from_a_source_of_the_same_size_and_time() {
        let source = stat(Kind::File, 10, 5);
        let known = partial(&source, false);
        assert_eq!(
            plan_file(Times::EXACT, &source, Some(&known), None),
            FilePlan::Resume
        );
        for changed in [
            Stat { size: 11, ..source },
            Stat {
                mtime_ns: 6,
                ..source
            },
        ] {
            assert_eq!(
                plan_file(Times::EXACT, &changed, Some(&known), None),
                FilePlan::Copy
            );
        }
        // Its beginning is compared then.
        let other = Stat {
            ctime_ns: 2,
            ino: 3,
            ..source
        };
        assert_eq!(
            plan_file(Times::EXACT, &other, Some(&known), None),
            FilePlan::Resume
        );
        let adopting = partial(&source, true);
        assert_eq!(
            plan_file(Times::EXACT, &source, Some(&adopting), Some(&source)),
            FilePlan::Adopt
        );
    }

    #[test]
    fn what_was_copied_of_a_source_that_had_not_settled_is_compared_and_its_partial_not_resumed() {
        let source = stat(Kind::File, 10, 5);
        let Entry::Done(settled) = done(10, 5, 5) else {
            panic!();
        };
        let known = Entry::Done(Done {
            unsettled: true,
            ..settled
        });
        let plan = |source: &Stat| {
            plan_file(
                Times::EXACT,
                source,
                Some(&known),
                Some(&stat(Kind::File, 10, 5)),
            )
        };
        assert_eq!(plan(&source), FilePlan::Check);
        assert_eq!(plan(&stat(Kind::File, 10, 6)), FilePlan::Adopt);
        let Entry::Partial(settled) = partial(&source, false) else {
            panic!();
        };
        let begin = Begin {
            source: unsettled_id(&source),
            ..settled.begin
        };
        let known = Entry::Partial(Partial { begin, ..settled });
        assert_eq!(
            plan_file(Times::EXACT, &source, Some(&known), None),
            FilePlan::Copy
        );
    }

    #[test]
    fn symlinks_are_compared_by_target() {
        let link = stat(Kind::Symlink, 1, 5);
        let there = Some((Kind::Symlink, Some(&b"t"[..])));
        assert_eq!(plan_symlink((&link, b"t"), None, there), SymlinkPlan::Adopt);
        assert_eq!(plan_symlink((&link, b"u"), None, there), SymlinkPlan::Make);
        assert_eq!(plan_symlink((&link, b"t"), None, None), SymlinkPlan::Make);
        assert_eq!(
            plan_symlink((&link, b"t"), None, Some((Kind::File, None))),
            SymlinkPlan::Make
        );
        assert_eq!(
            plan_symlink((&link, b"t"), None, Some((Kind::Dir, None))),
            SymlinkPlan::Conflict(Kind::Dir)
        );
    }

    #[test]
    fn a_directory_never_replaces_what_is_not_one_and_is_mended_until_it_shows_what_is_recorded() {
        let wanted = Meta {
            mode: Some(0o755),
            times_ns: Some((0, 5)),
            ..Meta::default()
        };
        let source = stat(Kind::Dir, 0, 5);
        let plan = |known: Option<&Entry>, stat: Option<Stat>| {
            let seen = stat.map(|stat| Seen::new(stat, Xattrs::default()));
            plan_dir(&source, &wanted, known, seen.as_ref())
        };
        assert_eq!(plan(None, None), DirPlan::Make);
        let file = stat(Kind::File, 0, 0);
        assert_eq!(plan(None, Some(file)), DirPlan::Conflict(Kind::File));
        // This one cannot be given the mode that is wanted.
        let dir = stat(Kind::Dir, 0, 5);
        assert_eq!(plan(None, Some(dir)), DirPlan::Keep { mend: true });
        let seen = Seen::new(dir, Xattrs::default());
        let known = Entry::Dir(DirRecord {
            path: RelPath::new("d").unwrap(),
            atime_ns: 0,
            mtime_ns: 5,
            dest: DestMeta::of(&wanted, 5, &seen, None),
        });
        assert_eq!(plan(Some(&known), Some(dir)), DirPlan::Keep { mend: false });
        let touched = Stat { mtime_ns: 6, ..dir };
        let mends = DirPlan::Keep { mend: true };
        assert_eq!(plan(Some(&known), Some(touched)), mends);
    }

    #[test]
    fn a_new_time_that_stands_there_but_is_not_recorded_has_drifted() {
        let source = stat(Kind::Symlink, 10, 6);
        let mut wanted = Meta {
            times_ns: Some((0, 6)),
            ..Meta::default()
        };
        let seen = Seen::new(source, Xattrs::default());
        let recorded = DestMeta::of(&wanted, 6, &seen, None);
        assert!(!has_drifted(&source, &wanted, &seen, (&recorded, 6)));
        assert!(has_drifted(&source, &wanted, &seen, (&recorded, 5)));
        wanted.times_ns = None;
        let recorded = DestMeta::of(&wanted, 6, &seen, None);
        assert!(!has_drifted(&source, &wanted, &seen, (&recorded, 5)));
    }

    #[test]
    fn a_further_name_that_has_a_source_of_its_own_now_comes_apart_from_the_first() {
        let path = |path: &str| RelPath::new(path).unwrap();
        let known = Entry::Link(crate::manifest::Link {
            path: path("b"),
            to: path("a"),
        });
        let (known, none) = (Some(&known), None);
        let file = stat(Kind::File, 10, 5);
        let there = stat(Kind::File, 10, 99);
        assert_eq!(
            plan_file(Times::EXACT, &file, known, Some(&there)),
            FilePlan::Copy
        );
        assert_eq!(
            plan_file(Times::EXACT, &file, none, Some(&there)),
            FilePlan::Adopt
        );
        // With its time, too, it may be what stands there: that costs no copying.
        assert_eq!(
            plan_file(Times::EXACT, &file, known, Some(&file)),
            FilePlan::Adopt
        );
        let linked = Stat { nlink: 2, ..file };
        assert_eq!(
            plan_file(Times::EXACT, &linked, known, Some(&there)),
            FilePlan::Adopt
        );
        let link = stat(Kind::Symlink, 1, 5);
        let there = Some((Kind::Symlink, Some(&b"t"[..])));
        assert_eq!(plan_symlink((&link, b"t"), known, there), SymlinkPlan::Make);
        assert_eq!(plan_symlink((&link, b"t"), none, there), SymlinkPlan::Adopt);
    }
}
