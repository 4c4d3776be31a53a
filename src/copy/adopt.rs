//! Taking over a file that stands at the destination with the right size: source and destination
//! are read side by side, and if they are the same the manifest learns of it. No content is
//! written.

use std::sync::Arc;

use super::failure::Failure;
use super::message::{Completed, Content, Leaving, Message, Work};
use super::worker::{PieceError, Reading, Worker, unreadable};
use super::writes::Writes;
use crate::fs::source::{Settled, SourceFile};
use crate::fs::{ALIGN, AlignedBuf, Fs, FsFile, Stat, Xattrs};
use crate::hash::{BlockHasher, Hash32, TreeMerger};
use crate::manifest::{Begin, Ctimes, DestMeta, Done};
use crate::plan::source_id;

/// What lets a program do what otherwise only root may.
const CAPABILITY: &[u8] = b"security.capability";

/// Compares, and completes the file if it is the same. `None`: it is not, copy it.
pub(super) fn adopt<F: Fs>(
    worker: &mut Worker<'_, F>,
    work: &Work<F>,
    source: &SourceFile,
    stat: &Stat,
) -> Result<Option<Reading<F>>, Failure> {
    let fs = &*worker.shared.fs;
    let at_dest = worker.at_dest("read", &work.path);
    // Not through the page cache: after a failed flush it shows what the medium does not have.
    let opened = crate::fs::found(fs.open_medium(&work.dir, work.path.name()));
    let Some(file) = opened.map_err(&at_dest)? else {
        return Ok(None);
    };
    let file = Arc::new(file);
    let there = file.stat().map_err(&at_dest)?;
    if there.size != stat.size || !worker.shared.may_take(&there, stat) {
        return Ok(None);
    }
    let single = worker.shared.block_size.is_single(stat.size);
    if !single {
        worker.send(Message::Begin {
            worker: worker.number,
            begin: Begin {
                path: work.path.clone(),
                source: source_id(stat),
                attempt: 0,
                adopts: true,
            },
            file: Some(Arc::clone(&file)),
            writes: Writes::default(),
        })?;
    }
    let tell = |worker: &Worker<'_, F>, hash, bytes| match single {
        true => Ok(()),
        false => worker.send(Message::Block {
            worker: worker.number,
            hash,
            bytes,
        }),
    };
    let compared = compare(worker, work, source, stat, &file, tell).and_then(|merger| {
        let Some(merger) = merger else {
            return Ok(None);
        };
        let meta = mend_meta(worker, work, source, &file, stat)?;
        Ok(meta.map(|meta| (merger.finish(), meta)))
    });
    match compared {
        Ok(Some((hash, (dest, ctimes)))) => {
            worker.remove_left_over(work)?;
            if worker.shared.flushes_each(&work.path) {
                file.sync()
                    .map_err(|error| worker.flush_failed(work, error))?;
            }
            Ok(Some(Reading::Done(Box::new(Completed {
                path: work.path.clone(),
                mtime_ns: stat.mtime_ns,
                dest,
                attempt: None,
                content: Content::File {
                    size: stat.size,
                    hash,
                    blocks: !single,
                    ctimes,
                    unsettled: false,
                },
                file: Some(file),
            }))))
        }
        other => {
            if !single {
                worker.send(Message::Left {
                    worker: worker.number,
                    leaving: Leaving::Forget(None),
                })?;
            }
            other.map(|_| None)
        }
    }
}

/// Compares a file that the manifest knows with its source. `None`: not both have the content
/// that the manifest tells of. Nothing is recorded.
pub(super) fn check<F: Fs>(
    worker: &mut Worker<'_, F>,
    work: &Work<F>,
    source: &SourceFile,
    settled: &Settled,
    done: &Done,
) -> Result<Option<Message<F>>, Failure> {
    let stat = &settled.stat;
    let at_dest = worker.at_dest("read", &work.path);
    let opened = crate::fs::found(worker.shared.fs.open_medium(&work.dir, work.path.name()));
    let Some(file) = opened.map_err(&at_dest)? else {
        return Ok(None);
    };
    let there = file.stat().map_err(&at_dest)?;
    let is_planned = work.there.is_some_and(|planned| planned.id() == there.id());
    if there.size != stat.size || !is_planned || !worker.shared.may_take(&there, stat) {
        return Ok(None);
    }
    let merger = compare(worker, work, source, stat, &file, |_, _, _| Ok(()))?;
    match merger.is_some_and(|merger| merger.finish() == done.hash) {
        true => worker.keep(work, done, settled.unsettled).map(Some),
        false => Ok(None),
    }
}

/// Hashes the source block by block while both sides are the same. `None`: they are not, or the
/// source changed meanwhile.
fn compare<F: Fs>(
    worker: &mut Worker<'_, F>,
    work: &Work<F>,
    source: &SourceFile,
    stat: &Stat,
    file: &F::File,
    each: impl Fn(&Worker<'_, F>, Hash32, u64) -> Result<(), Failure>,
) -> Result<Option<TreeMerger>, Failure> {
    let size = worker.shared.block_size;
    let single = size.is_single(stat.size);
    let mut merger = TreeMerger::new(size);
    let mut there = AlignedBuf::new(worker.piece_bytes);
    for index in 0..size.count(stat.size) {
        if worker.shared.should_stop() {
            return Err(Failure::Stopped);
        }
        let range = size.range(index, stat.size);
        let mut hasher = BlockHasher::new(range.start, single);
        let mut same = true;
        let read =
            worker.for_each_piece(work, (source, stat.size), range.clone(), |piece, offset| {
                let piece = piece.bytes();
                if same {
                    let asked = piece.len().next_multiple_of(ALIGN);
                    let have = file.read_at(&mut there[..asked], offset)?;
                    same = have >= piece.len() && &there[..piece.len()] == piece;
                }
                hasher.update(piece);
                Ok(())
            });
        match read {
            Ok(whole) if whole && same => {}
            Ok(_) => return Ok(None),
            Err(PieceError::Stopped) => return Err(Failure::Stopped),
            Err(PieceError::Read(at, error)) => {
                return Err(worker.survey(work, source, stat.size, (at, error)));
            }
            // What cannot be read there is replaced.
            Err(PieceError::Visit(_)) => return Ok(None),
        }
        let hash = hasher.finish();
        merger.push(hash);
        each(worker, hash, range.end - range.start)?;
    }
    let is_unchanged = worker.is_unchanged(work, source, &source_id(stat))?;
    Ok(is_unchanged.then_some(merger))
}

/// Gives the file its source's metadata, if it has other. `None`: it may not have all of it, and is to be
/// copied anew.
fn mend_meta<F: Fs>(
    worker: &Worker<'_, F>,
    work: &Work<F>,
    source: &SourceFile,
    file: &F::File,
    stat: &Stat,
) -> Result<Option<(DestMeta, Option<Ctimes>)>, Failure> {
    let shared = worker.shared;
    let at_dest = worker.at_dest("set the metadata of", &work.path);
    let xattrs = shared.xattrs(|| source.xattrs());
    let xattrs = xattrs.map_err(|error| unreadable(shared, work, error))?;
    let mut seen = shared.seen_file(file).map_err(&at_dest)?;
    let wanted = shared.wanted(stat, xattrs, &seen.stat);
    let as_it_is = DestMeta::of(&wanted, stat.mtime_ns, &seen, None);
    if as_it_is.lesser.is_some() {
        let capability = |xattrs: &Option<Xattrs>| {
            xattrs
                .as_ref()
                .and_then(|xattrs| xattrs.get(CAPABILITY).map(<[u8]>::to_vec))
        };
        let (shall_have, has) = (capability(&wanted.xattrs), seen.xattrs.get(CAPABILITY));
        if shall_have.is_some() && shall_have.as_deref() != has {
            return Ok(None);
        }
        file.set_meta(&wanted).map_err(&at_dest)?;
        seen = shared.seen_file(file).map_err(&at_dest)?;
    }
    let ctimes = shared.ctimes(stat);
    let ctimes = ctimes.map(|ctimes| ctimes.at_ns(seen.stat.ctime_ns));
    let dest = shared.as_set(&work.path, (&wanted, stat.mtime_ns), &seen, None);
    Ok(Some((dest, ctimes)))
}
