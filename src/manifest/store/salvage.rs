//! Reading a manifest that is damaged, as far as its frames and those of its copy allow.
//!
//! A record that can be read was true when it was written; what may be missing is the one that
//! replaced it. So whoever reads learns, record by record, whether a later one may be lost
//! ([`Store::in_doubt`]). Nothing is ever written by what is read in this way, and no copy goes on
//! from it.
//!
//! The copy says what the manifest said up to some position, the *seam*. Where records before the
//! seam are lost, the copy's stand for them; what comes behind it only the manifest knows. Where the copy
//! was made frame by frame the two are *aligned*: a frame is at the same position in both, and lost only
//! if it is in both.

use std::ops::Range;

use super::backup::{MANIFEST_BAK, missing};
use super::locked::open_locked;
use super::open::state_dir;
use super::*;
use crate::error::{ManifestCopy, ManifestDamage};
use crate::manifest::index::POS_MAX;
use crate::manifest::survey::Survey;
use crate::manifest::window::{is_bad_sector, read_what_can_be};

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

/// One of the two files, and what of it can be read.
struct Part<F> {
    file: Arc<F>,
    survey: Survey,
    lost: Vec<Range<u64>>,
}

/// Both, as far as they are there.
struct Parts<F> {
    header: Header,
    main: Option<Part<F>>,
    copy: Option<Part<F>>,
    /// The position in the manifest up to which the copy knows it.
    seam: u64,
    /// Up to there it is the same, position by position.
    aligned: bool,
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
        let Some(dir) = state_dir(fs, &state, false)? else {
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
        let Some(header) = header_of([main.as_ref(), copy.as_ref()], path)? else {
            return Err(damage);
        };
        let parts = Parts::survey(header, main, copy, &damage, path)?;
        let Some((journal, base)) = parts.journal() else {
            return Err(damage);
        };
        let mut store = Self::empty(fs, dir, path, header, journal);
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
        match self.note(pos, record) {
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

impl<F: FsFile> Part<F> {
    fn survey(file: F, id: &[u8; 16], is_sealed: bool, path: &Path) -> Result<Self, PathError> {
        let len = file.stat().at("look at", path)?.size;
        let survey = Survey::of(&file, id, is_sealed).at("read", path)?;
        let all = FRAMES_START..len.max(FRAMES_START + 1);
        let lost = match survey.stretches.is_empty() {
            true => Vec::from([all]),
            false => survey.gaps().collect(),
        };
        Ok(Part {
            file: Arc::new(file),
            survey,
            lost,
        })
    }

    /// A record that is whole and contradicts others is lost as well. Where it leads to need not
    /// even be in the file.
    fn lose(&mut self, damage: &ManifestError) {
        let (ManifestError::Damaged { offset, .. }
        | ManifestError::DamagedElsewhere { offset, .. }) = damage
        else {
            return;
        };
        let at = (*offset).clamp(FRAMES_START, self.end());
        if !self.lost.iter().any(|lost| lost.contains(&at)) {
            self.lost.push(at..at + 1);
            self.lost.sort_unstable_by_key(|lost| lost.start);
        }
    }

    /// How many places are lost, and how many bytes.
    fn losses(&self) -> (u64, u64) {
        let bytes = self.lost.iter().map(|lost| lost.end - lost.start);
        (self.lost.len() as u64, bytes.sum())
    }

    fn end(&self) -> u64 {
        let last = self.survey.stretches.last();
        last.map_or(FRAMES_START, |stretch| stretch.end)
    }
}

impl<F: FsFile> Parts<F> {
    fn survey(
        header: Header,
        main: Option<F>,
        copy: Option<F>,
        damage: &ManifestError,
        path: &Path,
    ) -> Result<Parts<F>, ManifestError> {
        let mut parts = Parts {
            header,
            main: None,
            copy: None,
            seam: FRAMES_START,
            aligned: false,
        };
        if let Some(file) = main {
            let is_header_whole = header_in(&file, path)?.is_ok();
            let mut main = Part::survey(file, &header.id, false, path)?;
            if is_header_whole {
                main.lose(damage);
            }
            parts.main = Some(main);
        }
        let is_whole = |main: &Part<F>| main.lost.is_empty();
        if let Some(file) = copy
            && !parts.main.as_ref().is_some_and(is_whole)
            && is_of(&file, &header, path)?
        {
            let copy = Part::survey(file, &header.id, true, path)?;
            parts.copy = Some(copy).filter(|copy| !copy.survey.stretches.is_empty());
        }
        parts.find_seam(path)?;
        Ok(parts)
    }

    /// The two files as one to be read, and where the positions of the manifest begin.
    fn journal(&self) -> Option<(Journal<F>, u64)> {
        let id = self.header.id;
        Some(match (&self.main, &self.copy) {
            (Some(main), Some(copy)) => {
                let (main_file, copy_file) = (Arc::clone(&main.file), Arc::clone(&copy.file));
                let base = copy.end();
                let journal = Journal::behind(copy_file, base, main_file, id, main.end());
                (journal, base)
            }
            (Some(main), None) => (Journal::new(Arc::clone(&main.file), id, main.end()), 0),
            (None, Some(copy)) => {
                let journal = Journal::new(Arc::clone(&copy.file), id, copy.end());
                (journal, u64::MAX)
            }
            (None, None) => return None,
        })
    }

    /// A new manifest may be a copy of the copy, frame by frame. Otherwise they have the run in
    /// common with which the copy was written.
    fn find_seam(&mut self, path: &Path) -> Result<(), ManifestError> {
        let (Some(main), Some(copy)) = (&self.main, &self.copy) else {
            return Ok(());
        };
        let all = 0..u64::MAX;
        let (mut begin, mut end, mut barriers) = (None, None, [0; 2]);
        self.read(copy, all.clone(), path, |pos, record| {
            match record {
                Record::RunBegin(run) => begin = Some((run, pos)),
                Record::RunEnd(run) => end = Some((run, pos)),
                Record::Barrier { covers } if covers == pos => barriers = [barriers[1], pos],
                _ => {}
            }
            Ok(())
        })?;
        let (mut seam, mut aligned) = (self.seam, false);
        self.read(main, all, path, |pos, record| {
            let common = match record {
                Record::RunBegin(run) => begin.as_ref().filter(|(begin, _)| *begin == run),
                Record::RunEnd(run) => {
                    if let Some((_, at)) = end.as_ref().filter(|(end, _)| *end == run) {
                        (seam, aligned) = (pos, *at == pos);
                    }
                    None
                }
                Record::Barrier { covers } if covers == pos && barriers.contains(&pos) => {
                    (seam, aligned) = (pos, true);
                    None
                }
                _ => None,
            };
            if let Some((_, at)) = common {
                (seam, aligned) = (pos, *at == pos);
            }
            Ok(())
        })?;
        (self.seam, self.aligned) = (seam, aligned);
        Ok(())
    }

    /// Whether the copy stands for all that is before the seam.
    fn copy_stands(&self) -> bool {
        let is_whole = |copy: &Part<F>| copy.lost.is_empty();
        self.seam > FRAMES_START && self.copy.as_ref().is_some_and(is_whole)
    }

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

    /// Calls `visit` with each record, so that the later ones are those that count: what the
    /// manifest says up to the seam, what the copy says, and what the manifest says behind it.
    fn records(
        &self,
        path: &Path,
        base: u64,
        mut visit: impl FnMut(u64, &Record) -> Result<(), ManifestError>,
    ) -> Result<(), ManifestError> {
        let in_main = |within: Range<u64>, visit: &mut dyn FnMut(u64, &Record) -> _| {
            let Some(main) = &self.main else {
                return Ok(());
            };
            self.read(main, within, path, |pos, mut record| {
                record.move_by(base);
                visit(base.saturating_add(pos), &record)
            })
        };
        // Where they are aligned, an older record takes no newer one's place: the order is free, and
        // this one lets a removal that only the manifest knows of come last.
        if !self.copy_stands() && !self.aligned {
            in_main(0..self.seam, &mut visit)?;
        }
        if let Some(copy) = &self.copy {
            self.read(copy, 0..u64::MAX, path, |pos, record| visit(pos, &record))?;
        }
        let from = match self.aligned && !self.copy_stands() {
            true => 0,
            false => self.seam,
        };
        in_main(from..u64::MAX, &mut visit)
    }

    fn read(
        &self,
        part: &Part<F>,
        within: Range<u64>,
        path: &Path,
        visit: impl FnMut(u64, Record) -> Result<(), ManifestError>,
    ) -> Result<(), ManifestError> {
        let read = part
            .survey
            .records(&*part.file, &self.header.id, within, visit);
        read.at("read", path)?
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

/// The header of either file, if need be with one wrong byte put right.
fn header_of<F: FsFile>(
    files: [Option<&F>; 2],
    path: &Path,
) -> Result<Option<Header>, ManifestError> {
    let files = || files.iter().flatten();
    for file in files() {
        if let Ok(header) = header_in(*file, path)? {
            return Ok(Some(header));
        }
    }
    for file in files() {
        let header = Header::mended(&header_bytes(*file, path)?);
        if header.is_some() {
            return Ok(header);
        }
    }
    Ok(None)
}

fn header_in<F: FsFile>(
    file: &F,
    path: &Path,
) -> Result<Result<Header, HeaderError>, ManifestError> {
    Ok(Header::decode(&header_bytes(file, path)?))
}

fn header_bytes<F: FsFile>(file: &F, path: &Path) -> Result<Vec<u8>, ManifestError> {
    let mut bytes = vec![0; HEADER_BYTES];
    let have = read_what_can_be(file, &mut bytes, 0).at("read", path)?;
    bytes.truncate(have);
    Ok(bytes)
}

/// Whether the copy is not known to be one of another manifest, as `--restart` leaves it.
fn is_of<F: FsFile>(copy: &F, header: &Header, path: &Path) -> Result<bool, ManifestError> {
    Ok(match header_in(copy, path)? {
        Ok(own) => own == *header,
        Err(HeaderError::Newer(_)) => false,
        Err(_) => true,
    })
}
