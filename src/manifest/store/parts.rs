//! The two files of which a damaged manifest is put together: itself and its copy, what of them can be
//! read, and how they fit to each other.

use std::ops::Range;

use super::*;
use crate::checksum::FileKey;
use crate::manifest::seal::Seal;
use crate::manifest::survey::Survey;
use crate::manifest::window::read_what_can_be;

/// One of the two files, and what of it can be read.
pub(super) struct Part<F> {
    file: Arc<F>,
    key: FileKey,
    pub(super) survey: Survey,
    pub(super) lost: Vec<Range<u64>>,
}

/// Both, as far as they are there.
pub(super) struct Parts<F> {
    /// That of the manifest; that of its copy if it has none that can be read.
    pub(super) header: Header,
    pub(super) main: Option<Part<F>>,
    pub(super) copy: Option<Part<F>>,
    /// The position in the manifest up to which the copy knows it.
    pub(super) seam: u64,
    /// Up to there it is the same, position by position.
    pub(super) aligned: bool,
}

impl<F: FsFile> Part<F> {
    fn survey(file: F, key: FileKey, sealed: Option<u64>, path: &Path) -> Result<Self, PathError> {
        let len = file.stat().at("look at", path)?.size;
        let survey = Survey::of(&file, &key, sealed).at("read", path)?;
        let all = FRAMES_START..len.max(FRAMES_START + 1);
        let lost = match survey.stretches.is_empty() {
            true => Vec::from([all]),
            false => survey.gaps().collect(),
        };
        Ok(Part {
            file: Arc::new(file),
            key,
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

    fn journal(&self) -> Journal<F> {
        Journal::new(Arc::clone(&self.file), self.key, self.end())
    }

    /// How many places are lost, and how many bytes.
    pub(super) fn losses(&self) -> (u64, u64) {
        let bytes = self.lost.iter().map(|lost| lost.end - lost.start);
        (self.lost.len() as u64, bytes.sum())
    }

    fn end(&self) -> u64 {
        let last = self.survey.stretches.last();
        last.map_or(FRAMES_START, |stretch| stretch.end)
    }
}

impl<F: FsFile> Parts<F> {
    /// `None`: neither has a header that can be read.
    pub(super) fn survey(
        main: Option<F>,
        copy: Option<F>,
        damage: &ManifestError,
        path: &Path,
    ) -> Result<Option<Parts<F>>, ManifestError> {
        let (of_main, of_copy) = (known_header(&main, path)?, known_header(&copy, path)?);
        let Some(header) = of_main.or(of_copy) else {
            return Ok(None);
        };
        // One without a header may be the same file: if it is not, none of its frames is good.
        let of_copy = of_copy.unwrap_or(header);
        let mut parts = Parts {
            header,
            main: None,
            copy: None,
            seam: FRAMES_START,
            aligned: false,
        };
        if let Some(file) = main {
            let is_header_whole = header_in(&file, path)?.is_ok();
            let mut main = Part::survey(file, header.key(), None, path)?;
            if is_header_whole {
                main.lose(damage);
            }
            parts.main = Some(main);
        }
        let is_whole = |main: &Part<F>| main.lost.is_empty();
        if let Some(file) = copy
            && !parts.main.as_ref().is_some_and(is_whole)
            && of_copy.is_same_manifest(&header)
        {
            let key = of_copy.key();
            let seal = Seal::decode(&header_bytes(&file, path)?, &key);
            let len = file.stat().at("look at", path)?.size;
            let sealed = seal.map_or(len, |seal| seal.position);
            let copy = Part::survey(file, key, Some(sealed), path)?;
            parts.copy = Some(copy).filter(|copy| !copy.survey.stretches.is_empty());
            parts.find_seam(sealed, path)?;
        }
        Ok(Some(parts))
    }

    /// The two files as one to be read, and where the positions of the manifest begin.
    pub(super) fn journal(&self) -> Option<(Journal<F>, u64)> {
        Some(match (&self.main, &self.copy) {
            (Some(main), Some(copy)) => {
                let (before, base) = (Arc::clone(&copy.file), copy.end());
                (main.journal().behind(before, copy.key, base), base)
            }
            (Some(main), None) => (main.journal(), 0),
            (None, Some(copy)) => (copy.journal(), u64::MAX),
            (None, None) => return None,
        })
    }

    /// The copy is the beginning of the manifest, up to where it is sealed. Where the manifest was
    /// compacted since, they have in common the run with which the copy was written, or none.
    fn find_seam(&mut self, sealed: u64, path: &Path) -> Result<(), ManifestError> {
        let (Some(main), Some(copy)) = (&self.main, &self.copy) else {
            return Ok(());
        };
        if main.key == copy.key {
            (self.seam, self.aligned) = (sealed, true);
            return Ok(());
        }
        let all = 0..u64::MAX;
        let (mut begin, mut end) = (None, None);
        self.read(copy, all.clone(), path, |_, record| {
            match record {
                Record::RunBegin(run) => begin = Some(run),
                Record::RunEnd(run) => end = Some(run),
                _ => {}
            }
            Ok(())
        })?;
        let mut seam = self.seam;
        self.read(main, all, path, |pos, record| {
            let is_common = match record {
                Record::RunBegin(run) => begin.as_ref() == Some(&run),
                Record::RunEnd(run) => end.as_ref() == Some(&run),
                _ => false,
            };
            if is_common {
                seam = pos;
            }
            Ok(())
        })?;
        self.seam = seam;
        Ok(())
    }

    /// Whether the copy stands for all that is before the seam.
    pub(super) fn copy_stands(&self) -> bool {
        let is_whole = |copy: &Part<F>| copy.lost.is_empty();
        self.seam > FRAMES_START && self.copy.as_ref().is_some_and(is_whole)
    }

    /// Calls `visit` with each record, so that the later ones are those that count: what the
    /// manifest says up to the seam, what the copy says, and what the manifest says behind it.
    pub(super) fn records(
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
        let read = part.survey.records(&*part.file, &part.key, within, visit);
        read.at("read", path)?
    }
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

/// The header of a file, if need be with one wrong byte put right.
fn known_header<F: FsFile>(file: &Option<F>, path: &Path) -> Result<Option<Header>, ManifestError> {
    let Some(file) = file else {
        return Ok(None);
    };
    let bytes = header_bytes(file, path)?;
    Ok(Header::decode(&bytes)
        .ok()
        .or_else(|| Header::mended(&bytes)))
}
