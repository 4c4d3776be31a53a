//! What a destination can hold, as far as that shows without touching it: for a dry run.
//!
//! What its kind is known for stands in for what [`measure`](super::measure) tries. Case folding is
//! looked at where there is a name to look at: a name in other letters is there, too, or is not.

use std::io;

use super::Limits;
use crate::fs::Fs;

/// Finds out, reading only, what the file system of the root probably takes.
pub(crate) fn foresee<F: Fs>(fs: &F) -> io::Result<Limits> {
    let about = fs.about()?;
    let mut limits = Limits::assumed(about.kind, about.name_bytes_max);
    if let Some(folds) = seen_to_fold(fs)? {
        limits.folds = folds;
    }
    Ok(limits)
}

/// Whether a name of the root is found in other letters. `None`: there is no name to try that with.
fn seen_to_fold<F: Fs>(fs: &F) -> io::Result<Option<bool>> {
    let root = fs.root();
    let names = fs.list(&root)?;
    let listed = |name: &[u8]| names.iter().any(|(listed, _)| listed == name);
    let swapped = names.iter().map(|(name, _)| swap_case(name));
    let Some(other) = swapped.into_iter().find(|name| !listed(name)) else {
        return Ok(None);
    };
    Ok(Some(fs.stat(&root, &other)?.is_some()))
}

fn swap_case(name: &[u8]) -> Vec<u8> {
    let swap = |byte: &u8| match byte.is_ascii_uppercase() {
        true => byte.to_ascii_lowercase(),
        false => byte.to_ascii_uppercase(),
    };
    name.iter().map(swap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{FsMeta, OsFs};

    #[test]
    fn nothing_is_foreseen_against_a_directory_that_takes_everything_and_nothing_is_left_there() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["", "plain", "UPPER"] {
            if !name.is_empty() {
                std::fs::write(dir.path().join(name), "").unwrap();
            }
            let fs = OsFs::open_root(dir.path()).unwrap();
            let before = fs.list(&fs.root()).unwrap().len();
            let limits = foresee(&fs).unwrap();
            assert!(!limits.folds && limits.symlinks && limits.specials);
            assert_eq!(fs.list(&fs.root()).unwrap().len(), before);
        }
    }

    #[test]
    fn letters_change_case_and_nothing_else_does() {
        assert_eq!(swap_case(b".sPrag-1\xff"), b".SpRAG-1\xff");
    }
}
