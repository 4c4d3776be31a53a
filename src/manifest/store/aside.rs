//! Keeping a damaged manifest: it gives up its name to a new one and stays beside it under another, since
//! it may be all that is left to tell what the destination holds. None that was kept before is replaced.

use super::*;

/// What a damaged manifest, or copy of one, is kept as: its own name, this, and from the second on a number.
const DAMAGED: &[u8] = b".damaged";

/// Gives a damaged manifest another name, and says which.
pub(super) fn set_aside<F: Fs>(
    fs: &Arc<F>,
    dir: &F::Dir,
    path: &Path,
) -> Result<Vec<u8>, ManifestError> {
    let kept = free_name(fs, dir, path, MANIFEST)?;
    fs.rename(dir, MANIFEST, dir, &kept).at("set aside", path)?;
    fs.sync_dir(dir).at("flush the directory of", path)?;
    Ok(kept)
}

/// Gives what is in the way of a new manifest, or of its copy, another name as well. As a second name where
/// that can be: then there is none without a manifest at any moment.
pub(super) fn keep<F: Fs>(
    fs: &Arc<F>,
    dir: &F::Dir,
    path: &Path,
    name: &[u8],
) -> Result<(), ManifestError> {
    if fs.stat(dir, name).at("look at", path)?.is_none() {
        return Ok(());
    }
    let kept = free_name(fs, dir, path, name)?;
    if fs.link(dir, name, dir, &kept).is_ok() {
        return Ok(());
    }
    Ok(fs.rename(dir, name, dir, &kept).at("set aside", path)?)
}

/// The name behind the last one that is taken.
fn free_name<F: Fs>(
    fs: &Arc<F>,
    dir: &F::Dir,
    path: &Path,
    name: &[u8],
) -> Result<Vec<u8>, ManifestError> {
    let there = fs.list(dir).at("list the directory of", path)?;
    let taken = there.iter().filter_map(|(taken, _)| number(taken, name));
    let mut free = [name, DAMAGED].concat();
    if let Some(last) = taken.max() {
        free.extend_from_slice(format!(".{}", last.saturating_add(1)).as_bytes());
    }
    Ok(free)
}

/// Which of the damaged ones of `name` this is the name of, the first being 1.
fn number(kept: &[u8], name: &[u8]) -> Option<u64> {
    let number = kept.strip_prefix(name)?.strip_prefix(DAMAGED)?;
    if number.is_empty() {
        return Some(1);
    }
    let digits = number.strip_prefix(b".")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
