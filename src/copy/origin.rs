//! Sources that sprag wrote: what is read of them while copying is compared with their manifest, so
//! that rot does not travel from drive to drive.
//!
//! A file whose size and time are as recorded there and whose content is not has rotted. One that
//! was edited is simply new. The manifest is only read, under a shared lock; if that is not to be had, or
//! the manifest is damaged, the copy goes on without, and says so.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::failure::Failure;
use super::message::{Completed, Content, Leaving, Message, Work};
use super::worker::Worker;
use crate::error::EntryError;
use crate::fs::{Fs, OsFs, Stat, Times, source};
use crate::hash::Hash32;
use crate::lock_mutex;
use crate::manifest::{Entry, OpenMode, Store, must_be_ours_to_read, nearest};
use crate::path::RelPath;
use crate::plan::is_as_published;
use crate::scan::Source;

/// The manifests that tell of the sources.
#[derive(Default)]
pub(super) struct Origins {
    list: Vec<Origin>,
}

/// One source below a manifest.
struct Origin {
    source: PathBuf,
    /// Where it is in the tree of its manifest.
    below: RelPath,
    root: PathBuf,
    store: Arc<Mutex<Store<OsFs>>>,
    /// How its file system shows times.
    times: Times,
}

impl Origins {
    /// Looks for a manifest at and above each source; the nearest one counts. That of the destination is
    /// this run's own. One that cannot be used is warned of.
    pub(super) fn of(sources: &[Source], dest: &Path, warnings: &mut Vec<String>) -> Origins {
        let dest = source::canonicalize(dest).ok();
        let mut origins = Origins::default();
        for source in sources {
            let Ok(path) = source::canonicalize(&source.path) else {
                continue;
            };
            let found = nearest(path.ancestors());
            if let Some(root) = found.filter(|root| dest.as_deref() != Some(*root)) {
                origins.add(source, &path, root, warnings);
            }
        }
        origins
    }

    fn add(&mut self, source: &Source, path: &Path, root: &Path, warnings: &mut Vec<String>) {
        let Some(below) = joined(&RelPath::root(), path.strip_prefix(root).unwrap_or(path)) else {
            return;
        };
        let open = self.list.iter().find(|origin| origin.root == root);
        let (store, times) = match open.map(|origin| (Arc::clone(&origin.store), origin.times)) {
            Some(known) => known,
            None => {
                let opened = OsFs::open_root(root)
                    .map_err(|error| error.to_string())
                    .and_then(|fs| {
                        let fs = Arc::new(fs);
                        must_be_ours_to_read(&fs, root).map_err(|error| error.to_string())?;
                        let store = Store::open(&fs, root, OpenMode::Read);
                        let store = store.map_err(|error| error.to_string())?;
                        Ok(store.map(|store| (store, Times::of(&*fs))))
                    });
                match opened {
                    Ok(Some((store, times))) => {
                        warnings.extend(store.unlocked());
                        (Arc::new(Mutex::new(store)), times)
                    }
                    Ok(None) => return,
                    Err(why) => {
                        warnings.push(format!(
                            "the source has a manifest of its own that cannot be used, so what is read is not compared with it: {why}"
                        ));
                        return;
                    }
                }
            }
        };
        self.list.push(Origin {
            source: source.path.clone(),
            below,
            root: root.to_path_buf(),
            store,
            times,
        });
    }

    /// The hash that a source file has to have, if its stat is as its manifest says.
    fn recorded(&self, path: &Path, stat: &Stat) -> Option<(Hash32, &Path)> {
        self.list.iter().find_map(|origin| {
            let rest = path.strip_prefix(&origin.source).ok()?;
            let at = joined(&origin.below, rest)?;
            let store = lock_mutex(&origin.store);
            // A record that cannot be read says nothing.
            let done = match store.lookup(&at).ok()?? {
                (_, Entry::Done(done)) => done,
                (_, Entry::Link(link)) => match store.lookup(&link.to).ok()?? {
                    (_, Entry::Done(done)) => done,
                    _ => return None,
                },
                _ => return None,
            };
            is_as_published(origin.times, &done, stat).then_some((done.hash, origin.root.as_path()))
        })
    }
}

fn joined(path: &RelPath, rest: &Path) -> Option<RelPath> {
    rest.components().try_fold(path.clone(), |path, part| {
        path.join(part.as_os_str().as_bytes()).ok()
    })
}

/// Refuses what was read of a source that has rotted, and removes what was written of it.
pub(super) fn check<F: Fs>(
    worker: &Worker<'_, F>,
    work: &Work<F>,
    stat: &Stat,
    completed: &Completed<F>,
) -> Result<(), Failure> {
    let Content::File { hash, blocks, .. } = &completed.content else {
        return Ok(());
    };
    let shared = worker.shared;
    let root = match shared.origins.recorded(&work.source, stat) {
        Some((recorded, root)) if recorded != *hash => root.to_path_buf(),
        _ => return Ok(()),
    };
    let error = EntryError::SourceCorrupt {
        path: work.source.clone(),
        root,
        accepted: shared.options.accept_source_rot,
    };
    if shared.options.accept_source_rot {
        return worker.send(Message::Warning(error.to_string()));
    }
    match (completed.attempt, *blocks) {
        (Some(attempt), true) => worker.drop_blocks(work, attempt)?,
        (Some(attempt), false) => {
            let name = shared.names.name(&work.path, attempt);
            worker.discard(work, attempt, &name)?;
        }
        (None, true) => worker.send(Message::Left {
            worker: worker.number,
            leaving: Leaving::Forget(None),
        })?,
        (None, false) => {}
    }
    Err(error.into())
}
