//! What the user's rules about existing entries change in a plan.

use super::*;
use crate::selection::Existing;

/// [`plan_file`], but for the rules.
pub(crate) fn plan_file_under(
    (rules, times): (Existing, Times),
    source: &Stat,
    known: Option<&Entry>,
    dest: Option<&Stat>,
) -> FilePlan {
    let plan = plan_file(times, source, known, dest);
    let Some(dest) = dest else {
        return plan;
    };
    match plan {
        FilePlan::Unchanged if rules.checksum => return FilePlan::Check,
        FilePlan::Unchanged | FilePlan::Check => return plan,
        _ if rules.ignore => return FilePlan::Leave,
        _ if dest.kind != Kind::File => return plan,
        _ => {}
    }
    let published = match known {
        Some(Entry::Done(done)) if is_as_published(times, done, dest) => Some(done),
        _ => None,
    };
    // What the file system made of a time is no newer than the time.
    let mtime_ns = published.map_or(dest.mtime_ns, |done| done.mtime_ns);
    if rules.update && mtime_ns > source.mtime_ns {
        return FilePlan::Leave;
    }
    if dest.size != source.size {
        return plan;
    }
    match (plan, published) {
        (FilePlan::Copy, _) if rules.checksum => FilePlan::Adopt,
        (_, Some(_)) if rules.size_only && !rules.checksum => FilePlan::Unchanged,
        (_, None) if rules.size_only && !rules.checksum => FilePlan::Leave,
        _ => plan,
    }
}

/// Whether [`plan_file_under`] says that a file that is done is unchanged. Asked first, since of most
/// files that is all there is to ask.
pub(crate) fn is_unchanged_under<P>(
    (rules, times): (Existing, Times),
    source: &Stat,
    done: &Done<P>,
    dest: &Stat,
) -> bool {
    !rules.checksum && !done.unsettled && is_as_done(times, source, done, dest)
}

/// [`plan_symlink`], but for the rules.
pub(crate) fn plan_symlink_under(
    rules: Existing,
    source: (&Stat, &[u8]),
    known: Option<&Entry>,
    dest: Option<(Kind, Option<&[u8]>)>,
) -> SymlinkPlan {
    match plan_symlink(source, known, dest) {
        SymlinkPlan::Unchanged => SymlinkPlan::Unchanged,
        _ if rules.ignore && dest.is_some() => SymlinkPlan::Leave,
        plan => plan,
    }
}

/// Whether the rules leave alone what stands where a hard link to `to` is wanted.
pub(crate) fn plan_link_under(rules: Existing, to: &Stat, there: Option<&Stat>) -> bool {
    there.is_some_and(|there| {
        let newer = there.kind == Kind::File && there.mtime_ns > to.mtime_ns;
        rules.ignore || (rules.update && newer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::SymlinkRecord;
    use crate::path::RelPath;
    use crate::plan::samples::{dest_meta, done, stat};

    const NONE: Existing = Existing {
        update: false,
        ignore: false,
        size_only: false,
        checksum: false,
    };
    const UPDATE: Existing = Existing {
        update: true,
        ..NONE
    };
    const IGNORE: Existing = Existing {
        ignore: true,
        ..NONE
    };
    const SIZE_ONLY: Existing = Existing {
        size_only: true,
        ..NONE
    };
    const CHECKSUM: Existing = Existing {
        checksum: true,
        ..NONE
    };

    #[test]
    fn where_nothing_stands_the_rules_change_nothing() {
        let source = stat(Kind::File, 10, 5);
        for rules in [UPDATE, IGNORE, SIZE_ONLY, CHECKSUM] {
            assert_eq!(
                plan_file_under((rules, Times::EXACT), &source, None, None),
                FilePlan::Copy
            );
            let made = plan_symlink_under(rules, (&stat(Kind::Symlink, 1, 5), b"t"), None, None);
            assert_eq!(made, SymlinkPlan::Make);
            assert!(!plan_link_under(rules, &source, None));
        }
    }

    #[test]
    fn what_the_rules_say_of_a_stranger_depends_on_its_size_time_and_kind() {
        let source = stat(Kind::File, 10, 5);
        let leave = FilePlan::Leave;
        let conflict = FilePlan::Conflict(Kind::Dir);
        for (there, none, update, ignore, size_only, checksum) in [
            (
                stat(Kind::File, 10, 5),
                FilePlan::Adopt,
                FilePlan::Adopt,
                leave,
                leave,
                FilePlan::Adopt,
            ),
            (
                stat(Kind::File, 10, 6),
                FilePlan::Adopt,
                leave,
                leave,
                leave,
                FilePlan::Adopt,
            ),
            (
                stat(Kind::File, 10, 4),
                FilePlan::Adopt,
                FilePlan::Adopt,
                leave,
                leave,
                FilePlan::Adopt,
            ),
            (
                stat(Kind::File, 11, 5),
                FilePlan::Copy,
                FilePlan::Copy,
                leave,
                FilePlan::Copy,
                FilePlan::Copy,
            ),
            (
                stat(Kind::File, 11, 6),
                FilePlan::Copy,
                leave,
                leave,
                FilePlan::Copy,
                FilePlan::Copy,
            ),
            (
                stat(Kind::Symlink, 10, 6),
                FilePlan::Copy,
                FilePlan::Copy,
                leave,
                FilePlan::Copy,
                FilePlan::Copy,
            ),
            (
                stat(Kind::Dir, 10, 6),
                conflict,
                conflict,
                leave,
                conflict,
                conflict,
            ),
        ] {
            let plan = |rules| plan_file_under((rules, Times::EXACT), &source, None, Some(&there));
            assert_eq!(
                [NONE, UPDATE, IGNORE, SIZE_ONLY, CHECKSUM].map(plan),
                [none, update, ignore, size_only, checksum],
                "{there:?}"
            );
        }
    }

    #[test]
    fn what_the_rules_say_of_a_file_of_ours_goes_by_its_source_time_not_the_stored_one() {
        // A file system rounded the time up.
        let known = done(10, 5, 8);
        let there = stat(Kind::File, 10, 8);
        let plan = |rules, source: &Stat| {
            plan_file_under((rules, Times::EXACT), source, Some(&known), Some(&there))
        };
        let all = [NONE, UPDATE, IGNORE, SIZE_ONLY, CHECKSUM];
        let same = all.map(|rules| plan(rules, &stat(Kind::File, 10, 5)));
        let u = FilePlan::Unchanged;
        assert_eq!(same, [u, u, u, u, FilePlan::Check]);
        let touched = all.map(|rules| plan(rules, &stat(Kind::File, 10, 6)));
        let (copy, leave) = (FilePlan::Copy, FilePlan::Leave);
        let adopt = FilePlan::Adopt;
        assert_eq!(touched, [adopt, adopt, leave, u, adopt]);
        let older = all.map(|rules| plan(rules, &stat(Kind::File, 10, 4)));
        assert_eq!(older, [adopt, leave, leave, u, adopt]);
        let grown = all.map(|rules| plan(rules, &stat(Kind::File, 11, 6)));
        assert_eq!(grown, [copy, copy, leave, copy, copy]);
    }

    #[test]
    fn what_had_not_settled_when_it_was_copied_is_compared_under_any_rule() {
        let Entry::Done(settled) = done(10, 5, 5) else {
            panic!();
        };
        let unsettled = Done {
            unsettled: true,
            ..settled.clone()
        };
        let (source, there) = (stat(Kind::File, 10, 5), stat(Kind::File, 10, 5));
        assert!(is_unchanged_under(
            (NONE, Times::EXACT),
            &source,
            &settled,
            &there
        ));
        assert!(!is_unchanged_under(
            (NONE, Times::EXACT),
            &source,
            &unsettled,
            &there
        ));
        let known = Entry::Done(unsettled);
        for rules in [NONE, UPDATE, IGNORE, SIZE_ONLY, CHECKSUM] {
            let plan = plan_file_under((rules, Times::EXACT), &source, Some(&known), Some(&there));
            assert_eq!(plan, FilePlan::Check, "{rules:?}");
        }
    }

    #[test]
    fn checking_content_goes_before_trusting_sizes() {
        let both = Existing {
            checksum: true,
            ..SIZE_ONLY
        };
        let there = stat(Kind::File, 10, 8);
        let source = stat(Kind::File, 10, 5);
        let plan = plan_file_under((both, Times::EXACT), &source, None, Some(&there));
        assert_eq!(plan, FilePlan::Adopt);
    }

    #[test]
    fn an_existing_symlink_is_left_alone_unless_it_is_ours() {
        let there = Some((Kind::Symlink, Some(&b"t"[..])));
        let known = Entry::Symlink(SymlinkRecord {
            path: RelPath::new("l").unwrap(),
            target: b"t".to_vec(),
            mtime_ns: 1,
            dest: dest_meta(1),
            attempt: 0,
        });
        let source = stat(Kind::Symlink, 1, 5);
        let plan =
            |target, known, there| plan_symlink_under(IGNORE, (&source, target), known, there);
        assert_eq!(plan(b"t", Some(&known), there), SymlinkPlan::Unchanged);
        assert_eq!(plan(b"u", Some(&known), there), SymlinkPlan::Leave);
        assert_eq!(plan(b"t", None, there), SymlinkPlan::Leave);
        let dir = Some((Kind::Dir, None));
        assert_eq!(plan(b"t", None, dir), SymlinkPlan::Leave);
    }

    #[test]
    fn a_hard_link_replaces_what_stands_there_only_if_the_rules_let_it() {
        let to = stat(Kind::File, 10, 5);
        let (newer, older) = (stat(Kind::File, 1, 6), stat(Kind::File, 1, 5));
        let leaves = |rules, there| plan_link_under(rules, &to, Some(there));
        assert!(leaves(UPDATE, &newer) && !leaves(UPDATE, &older));
        assert!(leaves(IGNORE, &newer) && leaves(IGNORE, &older));
        assert!(!leaves(NONE, &newer) && !leaves(SIZE_ONLY, &newer));
    }
}
