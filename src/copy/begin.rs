//! The beginning of a run: its manifest is opened, and what its stages share is put together. With
//! `--wait` a run may have several.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::privacy::Privacy;
use super::shared::Shared;
use super::thread::Panics;
use super::{board, metadata, names, origin, repair, run, setup};
use crate::concurrency::{self, Seeks};
use crate::error::{Error, SetupError};
use crate::fs::source::SourceRoot;
use crate::fs::{Fs, OsFs, Place, Times};
use crate::id::ManifestId;
use crate::lock_mutex;
use crate::manifest::no_manifest;
use crate::options::CopyOptions;
use crate::scan::{Selected, Source};
use crate::stop::Stopper;
use crate::throttle::Throttle;
use crate::verify::medium::Medium;
use crate::verify::streams::Streams;

/// What a run keeps over all its beginnings.
#[derive(Debug, Clone)]
pub(super) struct Handles {
    pub(super) stopper: Stopper,
    pub(super) board: Arc<board::Board>,
    pub(super) place: Arc<Mutex<Option<(Place, ManifestId)>>>,
    /// What was durable when a drive was lost; figures that are shown do not fall below.
    pub(super) durable: Arc<AtomicU64>,
}

impl Handles {
    pub(super) fn new() -> Handles {
        Handles {
            stopper: Stopper::new(),
            board: Arc::new(board::Board::new()),
            place: Arc::default(),
            durable: Arc::default(),
        }
    }

    pub(super) fn note_place(&self, place: &Place, id: ManifestId) {
        *lock_mutex(&self.place) = Some((place.clone(), id));
    }

    pub(super) fn keep_durable(&self, bytes: u64) {
        self.durable.fetch_max(bytes, Ordering::Relaxed);
    }
}

/// A run whose manifest is open.
pub(super) struct Begun<F: Fs> {
    pub(super) shared: Shared<F>,
    pub(super) sources: Vec<Source>,
}

/// Begins a run on the real file system. It must be on the manifest `id`, if that is given.
pub(super) fn begin_os(
    options: &CopyOptions,
    handles: &Handles,
    id: Option<ManifestId>,
) -> Result<Begun<OsFs>, Error> {
    let mut options = options.clone();
    options.require_manifest |= id.is_some();
    let mut setup = setup::resolve(&options)?;
    let fs = OsFs::open_root(&setup.root)
        .and_then(|fs| setup.leave_out_dest(&fs).map(|()| fs))
        .map_err(|source| SetupError::Dest {
            path: setup.root.clone(),
            source,
        })?;
    if options.trust_state {
        fs.trust_state();
    }
    let begun = begin(Arc::new(fs), setup, options, None, handles)?;
    match id {
        Some(id) if id.0 != *begun.shared.names.id() => Err(no_manifest(&begun.shared.dest).into()),
        _ => Ok(begun),
    }
}

/// Opens the manifest.
pub(super) fn begin<F: Fs>(
    fs: Arc<F>,
    mut setup: setup::Setup,
    options: CopyOptions,
    repair: Option<repair::Repair>,
    handles: &Handles,
) -> Result<Begun<F>, Error> {
    let (mut store, after_cut, cuts) = run::open(&fs, &mut setup, &options, repair.is_some())?;
    store.heed(&handles.stopper);
    let mut notices = setup.notices();
    let limits = run::measure(&fs, &setup)?;
    let stopper = handles.stopper.clone();
    let throttle = Arc::new(Throttle::new(options.bytes_per_s, stopper.clone()));
    let sources = setup.source_roots()?;
    let seeks = Seeks {
        dest: fs.seeks(),
        source: sources.iter().any(SourceRoot::seeks),
    };
    let concurrency = concurrency::of_copy(options.jobs, seeks);
    let shared = Shared {
        medium: Medium::new(&fs, store.block_size(), &throttle),
        names: names::Names::new(*store.id()),
        block_size: store.block_size(),
        limits,
        times: Times::of(&*fs),
        streams: Streams::new(concurrency.large_files),
        concurrency,
        probing: Mutex::new(()),
        naming: Mutex::new(()),
        is_rerun: !store.totals().is_empty(),
        privacy: Privacy::of(&*fs, &store),
        cuts,
        noted_mounts: Mutex::default(),
        fs,
        latch: store.latch().clone(),
        store: Mutex::new(store),
        throttle,
        sources,
        origins: match repair {
            None => origin::Origins::of(&setup.sources, &setup.root, &mut notices),
            // Each block is compared with its hash at the destination anyway.
            Some(_) => origin::Origins::default(),
        },
        notices,
        dest: setup.root,
        options,
        repair,
        stopper,
        board: Arc::clone(&handles.board),
        durable_before: handles.durable.load(Ordering::Relaxed),
        after_cut,
        began_ms: crate::time::now_ms(),
        own: metadata::Own::of_this_process(),
        told: metadata::Told::default(),
        panics: Panics::new(),
        told_unsettled: AtomicBool::new(false),
        selected: Selected::default(),
        failed: AtomicBool::new(false),
        walk_failed: AtomicBool::new(false),
        walked: Mutex::default(),
    };
    Ok(Begun {
        shared,
        sources: setup.sources,
    })
}
