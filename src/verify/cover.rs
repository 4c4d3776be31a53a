//! Whether each PATH that is to be verified covers something that is recorded, and whether the rules
//! leave anything of all that. A PATH that covers nothing is most likely misspelled: checking nothing of
//! it must not look like success. The nearest name that is recorded helps to see what was meant.

use std::path::Path;

use super::select::Wanted;
use crate::error::{Error, SetupError};
use crate::fs::Fs;
use crate::limits::fold_key;
use crate::manifest::{Entry, Store};
use crate::path::RelPath;

/// The wanted paths, which of them cover something so far, and what the rules do with that.
pub(super) struct Cover<'a> {
    wanted: &'a Wanted,
    tops: Vec<Top>,
    /// Something is to be verified, besides the destination itself.
    is_any_left: bool,
    /// Something is left out by a rule.
    is_any_left_out: bool,
}

struct Top {
    path: RelPath,
    is_covered: bool,
    nearest: Option<Nearest>,
    /// What was compared last: neighbours mostly begin alike.
    compared: RelPath,
}

struct Nearest {
    path: RelPath,
    distance: usize,
}

/// Returns an error if a wanted path covers nothing that the manifest records, or if the rules leave
/// nothing. What a damaged manifest lost may be just that, so it is not asked.
pub(super) fn check<F: Fs>(store: &Store<F>, wanted: &Wanted, dest: &Path) -> Result<(), Error> {
    let mut cover = Cover::new(wanted);
    for top in &mut cover.tops {
        top.is_covered = top.path.is_root() || store.lookup(&top.path)?.is_some();
    }
    if store.salvaged().is_some() {
        return Ok(());
    }
    let mut positions = store.positions().into_iter();
    while !cover.is_settled()
        && let Some(pos) = positions.next()
    {
        let (path, entry) = store.entry_at(pos)?;
        cover.meet(&path, matches!(entry, Entry::Dir(_)));
    }
    cover.end(dest)
}

impl Cover<'_> {
    pub(super) fn new(wanted: &Wanted) -> Cover<'_> {
        let tops = wanted.tops().iter().map(|path| Top {
            path: path.clone(),
            is_covered: path.is_root(),
            nearest: None,
            compared: RelPath::root(),
        });
        Cover {
            wanted,
            tops: tops.collect(),
            is_any_left: !wanted.has_rules(),
            is_any_left_out: false,
        }
    }

    /// Whether no further path can make a difference.
    fn is_settled(&self) -> bool {
        self.is_any_left && self.tops.iter().all(|top| top.is_covered)
    }

    /// Notes a path that is recorded.
    pub(super) fn meet(&mut self, path: &RelPath, is_dir: bool) {
        if !self.is_any_left && !path.is_root() && self.wanted.top_of(path).is_some() {
            match self.wanted.leaves_out(path, is_dir) {
                true => self.is_any_left_out = true,
                false => self.is_any_left = true,
            }
        }
        for top in self.tops.iter_mut().filter(|top| !top.is_covered) {
            top.is_covered = path.is_within(&top.path);
            top.compare(path);
        }
    }

    /// Returns an error for the first path that covers nothing, or if a rule leaves out all there is. `of`:
    /// where all was recorded.
    pub(super) fn end(self, of: &Path) -> Result<(), Error> {
        let rules_leave_nothing = self.is_any_left_out && !self.is_any_left;
        match self.tops.into_iter().find(|top| !top.is_covered) {
            Some(top) => Err(SetupError::NotRecorded {
                path: top.path.below(Path::new("")).into(),
                of: of.into(),
                nearest: top.nearest.map(|nearest| nearest.path.into()),
            }
            .into()),
            None if rules_leave_nothing => Err(SetupError::NothingLeft { of: of.into() }.into()),
            None => Ok(()),
        }
    }
}

impl Top {
    /// Compares with as much of a recorded path as is as deep, and with the path without the
    /// directories above.
    fn compare(&mut self, recorded: &RelPath) {
        let depth = self.path.components().count();
        let end = recorded.components().take(depth);
        let beginning = end.fold(RelPath::root(), |path, name| {
            path.join(name).unwrap_or_default()
        });
        let is_deeper = format!("/{}", self.path).into_bytes();
        if recorded.as_bytes().ends_with(&is_deeper) {
            self.take(recorded.clone(), 0);
        }
        if beginning != self.compared {
            let distance = distance(&self.path, &beginning);
            self.take(beginning.clone(), distance);
            self.compared = beginning;
        }
    }

    /// Takes a path for the nearest, if it is nearer than all before and not another name altogether.
    fn take(&mut self, path: RelPath, distance: usize) {
        let is_like = 2 * distance <= self.path.as_bytes().len();
        let is_nearer = (self.nearest.as_ref()).is_none_or(|nearest| distance < nearest.distance);
        if is_like && is_nearer {
            self.nearest = Some(Nearest { path, distance });
        }
    }
}

/// Number of characters to insert, remove or replace, whatever their case and normal form.
fn distance(one: &RelPath, other: &RelPath) -> usize {
    let text = |path: &RelPath| {
        let key = fold_key(path.as_bytes());
        String::from_utf8_lossy(&key).chars().collect::<Vec<char>>()
    };
    let (one, other) = (text(one), text(other));
    // The row of distances from each beginning of `one` to what was taken of `other`.
    let mut row: Vec<usize> = (0..=one.len()).collect();
    for (taken, there) in (1..).zip(other) {
        let mut diagonal = std::mem::replace(&mut row[0], taken);
        for (nth, here) in one.iter().enumerate() {
            let replaced = diagonal + usize::from(*here != there);
            diagonal = row[nth + 1];
            row[nth + 1] = replaced.min(diagonal + 1).min(row[nth] + 1);
        }
    }
    row[one.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Filter;

    fn nearest(wanted: &str, recorded: &[&str]) -> Result<(), Option<String>> {
        let wanted = Wanted::new(&[wanted], Filter::default(), Path::new("/d")).unwrap();
        let mut cover = Cover::new(&wanted);
        for path in recorded {
            cover.meet(&RelPath::new(*path).unwrap(), false);
        }
        match cover.end(Path::new("/d")) {
            Ok(()) => Ok(()),
            Err(Error::Setup(SetupError::NotRecorded { nearest, .. })) => {
                Err(nearest.map(|path| path.to_string()))
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_path_that_covers_nothing_is_told_with_the_nearest_name_that_is_recorded() {
        let recorded = ["Photos", "Photos/2024/a", "caf\u{e9}/b", "notes.txt"];
        for (wanted, near) in [
            ("photos", Some("Photos")),
            ("PHOTOS/2024", Some("Photos/2024")),
            ("Photso/2024", Some("Photos/2024")),
            ("cafe\u{301}", Some("caf\u{e9}")),
            ("2024/a", Some("Photos/2024/a")),
            ("note.txt", Some("notes.txt")),
            ("Photos/2024/a/b", Some("Photos/2024/a")),
            ("music", None),
        ] {
            let near = near.map(ToOwned::to_owned);
            assert_eq!(nearest(wanted, &recorded), Err(near), "{wanted}");
        }
        for wanted in ["Photos", "Photos/2024", "notes.txt", "."] {
            assert_eq!(nearest(wanted, &recorded), Ok(()), "{wanted}");
        }
        assert_eq!(nearest("photos", &[]), Err(None));
    }
}
