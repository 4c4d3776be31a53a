//! After a power cut on a file system without a journal: what was not flushed is given up, before anything
//! new is written. It may lie in space that counts as free, and reading it back right proves nothing.

use super::*;
use crate::fs::Access;

/// Gives up what the last barrier does not cover, where the last run was cut off: partials are cut at
/// their last block that it covers, all else is forgotten. Whether anything was.
pub(super) fn cut<F: Fs>(shared: &Shared<F>) -> Result<bool, Error> {
    let failed = |error| failure::manifest_failed(&*shared.fs, error);
    let (covered, entries) = {
        let store = lock_mutex(&shared.store);
        let tail = store.tail();
        let mut positions = store.positions_of(SlotKind::Partial);
        positions.extend(tail.positions.iter().filter(|pos| **pos >= tail.covered));
        positions.sort_unstable();
        positions.dedup();
        let entries: Result<Vec<_>, _> = positions.iter().map(|pos| store.entry_at(*pos)).collect();
        (tail.covered, entries.map_err(failed)?)
    };
    let mut changed = false;
    for (path, entry) in entries {
        if !shared.was_cut(&path) {
            continue;
        }
        let record = match entry {
            // The plan looks at these again in any case.
            Entry::Dir(_) | Entry::Link(_) | Entry::LinkWanted(_) => None,
            Entry::Done(_) | Entry::Symlink(_) | Entry::Special(_) => Some(Record::Removed(path)),
            // Nothing was written.
            Entry::Partial(partial) if partial.begin.adopts => None,
            Entry::Partial(partial) => cut_partial(shared, path, &partial, covered)?,
        };
        if let Some(record) = record {
            lock_mutex(&shared.store).append(&record).map_err(failed)?;
            changed = true;
        }
    }
    Ok(changed)
}

/// Cuts one partial at the last block that was flushed; gives what is to be recorded of that. One that
/// may have its final name is not touched: a rename that was halved leaves two names of one content.
fn cut_partial<F: Fs>(
    shared: &Shared<F>,
    path: RelPath,
    partial: &Partial,
    covered: u64,
) -> Result<Option<Record>, Error> {
    let fs = &*shared.fs;
    let keep = {
        let store = lock_mutex(&shared.store);
        let chain = store.chain(partial.last_pos);
        let chain = chain.map_err(|error| failure::manifest_failed(fs, error))?;
        chain.blocks_before(covered)
    };
    let bytes = keep.saturating_mul(shared.block_size.bytes());
    let name = shared.names.name(&path, partial.begin.attempt);
    // The root is no file, whatever the manifest says.
    let Some((parent, final_name)) = path.split() else {
        return Ok(Some(Record::Removed(path)));
    };
    let file = fs.open_dir(&parent).and_then(|dir| {
        let named = fs.stat(&dir, final_name)?;
        if named.is_some_and(|named| named.size == partial.begin.source.size) {
            return Ok(None);
        }
        let file = fs.open(&dir, &name, Access::Write)?;
        let longer = file.stat()?.size > bytes;
        if longer {
            file.set_len(bytes)?;
        }
        Ok(Some(longer.then_some(file)))
    });
    match file {
        Ok(None) => return Ok(Some(Record::Removed(path))),
        Ok(Some(Some(file))) if shared.flushes_each(&path) => {
            let full = shared.full(&path);
            let flushed = file.sync();
            flushed.map_err(|error| failure::flush_failed(&*shared.fs, "flush", full, error))?;
        }
        Ok(_) => {}
        Err(error) if is_gone(fs, &error) => {
            let full = shared.full(&path);
            return Err(failure::ends_run(
                fs,
                "cut the partial copy of",
                full,
                error,
            ));
        }
        Err(_) => return Ok(Some(Record::Removed(path))),
    }
    Ok((partial.blocks > keep).then_some(Record::Cut(Cut {
        begin: partial.begin_pos,
        prev: partial.last_pos,
        keep,
    })))
}
