//! Reading a manifest that is damaged, as far as its frames and those of its copy allow.
//!
//! A record that can be read was true when it was written; what may be missing is the one that
//! replaced it. So whoever reads learns, record by record, whether a later one may be lost
//! ([`Store::in_doubt`]). Nothing is ever written by what is read in this way, and no copy goes on
//! from it.
//!
//! The copy says what the manifest said up to some position, the *seam*. Where records before the
//! seam are lost, the copy's stand for them; what comes behind it only the manifest knows. Unless the
//! manifest was compacted since, the two are *aligned*: a frame is at the same position in both, and
//! lost only if it is in both.

use std::ops::Range;

use super::backup::missing;
use super::locked::open_locked;
use super::open::state_dir;
use super::parts::{Part, Parts};
use super::*;
use crate::error::{ManifestCopy, ManifestDamage};
use crate::manifest::MANIFEST_BAK;
use crate::manifest::index::POS_MAX;
use crate::manifest::window::is_bad_sector;

/// What was made of a damaged manifest.
#[derive(Debug)]
pub(super) struct Salvaged {
    damage: ManifestDamage,
    /// Positions from here on are in the manifest, those before it in its copy.
    base: u64,
    /// Records of the copy before this position may have been replaced by one that is lost.
    copy_doubtful: u64,
    /// The same for those of the manifest.
    main_doubtful: u64,
    aligned: bool,
}

impl Salvaged {
    /// Where a record was first written.
    fn place(&self, pos: u64) -> u64 {
        pos.checked_sub(self.base).unwrap_or(pos)
    }
}

impl<F: Fs> Store<F> {
    /// Opens the manifest to be read, whatever state it is in. `None`: there is none.
    pub(crate) fn open_to_read(
        fs: &Arc<F>,
        dest: &Path,
    ) -> Result<Option<Store<F>>, ManifestError> {
        let state = dest.join(RelPath::state_dir().as_path());
        let damage = match Self::open(fs, dest, OpenMode::Read) {
            Err(error) if is_damage(fs, &error) => error,
            Ok(None) => match missing(fs, &state)? {
                Some(damage) => damage,
                None => return Ok(None),
            },
            opened => return opened,
        };
        let Some((dir, _)) = state_dir(fs, &state, OpenMode::Read)? else {
            return Err(damage);
        };
        let path = state.join(MANIFEST_NAME);
        let copy = fs::found(fs.open(&dir, MANIFEST_BAK, Access::Read)).at("open", &path)?;
        Self::salvage(fs, dir, &path, copy, damage).map(Some)
    }

    /// The same of one that is kept elsewhere than in its destination, where it has no copy.
    pub(crate) fn open_elsewhere_to_read(
        fs: &Arc<F>,
        path: &Path,
    ) -> Result<Option<Store<F>>, ManifestError> {
        let damage = match Self::open_elsewhere(fs, path, OpenMode::Read) {
            Err(error) if is_damage(fs, &error) => error,
            opened => return opened,
        };
        let dir = fs.open_dir(&RelPath::root());
        let dir = dir.at("open the directory of", path)?;
        let mut store = Self::salvage(fs, dir, path, None, damage)?;
        if let Some(salvaged) = &mut store.salvaged {
            salvaged.damage.copy = ManifestCopy::Elsewhere;
        }
        Ok(Some(store))
    }

    /// What can be read of the manifest and its copy; `damage` if that is nothing.
    fn salvage(
        fs: &Arc<F>,
        dir: F::Dir,
        path: &Path,
        copy: Option<F::File>,
        damage: ManifestError,
    ) -> Result<Store<F>, ManifestError> {
        let main = open_locked(fs, &dir, path, OpenMode::Read)?;
        let Some(parts) = Parts::survey(main, copy, &damage, path)? else {
            return Err(damage);
        };
        let Some((journal, base)) = parts.journal() else {
            return Err(damage);
        };
        let mut store = Self::empty(fs, dir, path, parts.header, journal);
        store.salvaged = Some(parts.salvaged(base, &damage));
        parts.records(path, base, |pos, record| store.take_salvaged(pos, record))?;
        store.begins = HashMap::new();
        match store.salvaged() {
            Some(salvaged) if salvaged.records_read > 0 => Ok(store),
            _ => Err(damage),
        }
    }

    /// Takes a record that may not fit the others, because some are lost: then it says nothing.
    fn take_salvaged(&mut self, pos: u64, record: &Record) -> Result<(), ManifestError> {
        if pos > POS_MAX {
            return Ok(());
        }
        // How much is garbage is of no interest: nothing is ever compacted.
        match self.note(pos, record, 0) {
            Ok(()) => {}
            Err(ManifestError::Damaged { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        if let Some(salvaged) = &mut self.salvaged {
            salvaged.damage.records_read += 1;
        }
        Ok(())
    }

    /// What is wrong with the manifest, if it is, and this is what can be read of it.
    pub(crate) fn salvaged(&self) -> Option<&ManifestDamage> {
        self.salvaged.as_ref().map(|salvaged| &salvaged.damage)
    }

    /// Whether the record at `new` was written before the one at `old`, though it is met later.
    pub(super) fn is_older(&self, new: u64, old: u64) -> bool {
        let aligned = self.salvaged.as_ref().filter(|salvaged| salvaged.aligned);
        aligned.is_some_and(|salvaged| salvaged.place(new) < salvaged.place(old))
    }

    /// Whether the record at `pos` may have been replaced by one that is lost.
    pub(crate) fn in_doubt(&self, pos: u64) -> bool {
        self.salvaged.as_ref().is_some_and(|salvaged| {
            pos < match pos < salvaged.base {
                true => salvaged.copy_doubtful,
                false => salvaged.main_doubtful,
            }
        })
    }
}

impl<F: FsFile> Parts<F> {
    /// What is lost of both, and what that makes of the records that are read.
    fn salvaged(&self, base: u64, damage: &ManifestError) -> Salvaged {
        let (copy_stands, seam) = (self.copy_stands(), self.seam);
        let lost = |part: &Option<Part<F>>| match part {
            Some(part) => part.lost.clone(),
            None => Vec::new(),
        };
        let (mut main_lost, mut copy_lost) = (lost(&self.main), lost(&self.copy));
        let behind_seam = self.main.is_none() || main_lost.iter().any(|lost| lost.end > seam);
        let losses = |part: &Option<Part<F>>| part.as_ref().map_or((0, 0), Part::losses);
        let (places_lost, bytes_lost) = losses(&self.main);
        let (copy_places_lost, copy_bytes_lost) = losses(&self.copy);
        if self.aligned && !behind_seam {
            main_lost = common(&main_lost, &copy_lost);
            copy_lost.clone_from(&main_lost);
        }
        let is_main_whole = self.main.as_ref().is_some_and(|main| main.lost.is_empty());
        let start_of_last = |lost: &[Range<u64>]| lost.last().map_or(0, |lost| lost.start);
        let nothing_in_both = self.aligned && main_lost.is_empty();
        Salvaged {
            base,
            aligned: self.aligned,
            copy_doubtful: match behind_seam {
                true => u64::MAX,
                false => start_of_last(&copy_lost),
            },
            main_doubtful: base.saturating_add(start_of_last(&main_lost)),
            damage: ManifestDamage {
                detail: damage.what_is_wrong(),
                complete: is_main_whole || (copy_stands || nothing_in_both) && !behind_seam,
                copy: match &self.copy {
                    None if is_main_whole => ManifestCopy::Unused,
                    None => ManifestCopy::None,
                    Some(copy) if copy.lost.is_empty() => ManifestCopy::Whole,
                    Some(_) => ManifestCopy::Damaged,
                },
                records_read: 0,
                places_lost,
                bytes_lost,
                copy_places_lost,
                copy_bytes_lost,
            },
        }
    }
}

/// What is lost in both; both are in order.
fn common(one: &[Range<u64>], other: &[Range<u64>]) -> Vec<Range<u64>> {
    let (mut nth, mut mth) = (0, 0);
    let mut common = Vec::new();
    while let (Some(a), Some(b)) = (one.get(nth), other.get(mth)) {
        let both = a.start.max(b.start)..a.end.min(b.end);
        if !both.is_empty() {
            common.push(both);
        }
        match a.end < b.end {
            true => nth += 1,
            false => mth += 1,
        }
    }
    common
}

/// Whether something else may be made of a manifest that cannot be opened for this reason.
fn is_damage<F: Fs>(fs: &Arc<F>, error: &ManifestError) -> bool {
    match error {
        ManifestError::Damaged { .. } | ManifestError::DamagedElsewhere { .. } => true,
        ManifestError::Io(error) => {
            is_bad_sector(&error.source) && !fs::is_gone(&**fs, &error.source)
        }
        _ => false,
    }
}
