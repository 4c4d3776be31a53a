//! What the destination cannot hold, as far as that shows without trying it.

use std::ops::ControlFlow;
use std::path::Path;

use super::*;
use crate::block::BlockSize;
use crate::copy::failure::Failure;
use crate::copy::fit::{Fit, no_hard_links};
use crate::copy::room::{self, Reclaimable};
use crate::copy::siblings::Siblings;
use crate::fs::{About, FsMeta};
use crate::limits::{self, Limits, case_key};
use crate::path::parent_of;

pub(super) struct Forecast {
    pub(super) limits: Limits,
    about: About,
    siblings: Siblings,
    /// The directory that was looked at last, and whether it ignores case by itself.
    folding: Option<(RelPath, bool)>,
}

impl Forecast {
    /// Looks at the destination or, if that is still to be made, at where it would be.
    pub(super) fn new(setup: &Setup, there: Option<&There>) -> Result<Forecast, Error> {
        let look = |fs: &OsFs| Ok((limits::foresee(fs)?, fs.about()?));
        let looked = match there {
            Some(there) => look(&there.fs),
            None => OsFs::open_root(&parent_of(&setup.root)).and_then(|fs| look(&fs)),
        };
        let (limits, about) = looked.map_err(|source| SetupError::Dest {
            path: setup.root.clone(),
            source,
        })?;
        Ok(Forecast {
            limits,
            about,
            siblings: Siblings::default(),
            folding: None,
        })
    }

    /// Whether two names that look alike are one.
    fn are_one(&self, one: &RelPath, other: &RelPath) -> bool {
        self.limits.respells || case_key(one.name()) == case_key(other.name())
    }
}

/// Ends the forecast.
fn over(failure: Failure) -> Result<Result<(), Error>, Over> {
    match failure {
        Failure::Stopped => Err(Over),
        Failure::Fatal(error) => Ok(Err(error)),
        // It is the real walk's to tell.
        Failure::Entry(_) => Ok(Ok(())),
    }
}

impl DryRun {
    /// Ends the run as a copy would end that cannot succeed.
    pub(super) fn refuse(&self, sources: &[scan::Source]) -> Result<Result<(), Error>, Over> {
        let forecast = &self.forecast;
        let mut fit = Fit::new(
            &forecast.limits,
            forecast.about,
            &self.options,
            &self.setup.root,
        );
        let should_stop = || self.stopper.is_stopped();
        let walk = scan::all(sources, &self.options.selection, |scanned| {
            fit.meet(scanned, |one, other| forecast.are_one(one, other));
            match should_stop() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        let ControlFlow::Continue((walked, is_whole)) = walk else {
            return Err(Over);
        };
        let reclaimable = || self.reclaimable((sources, &walked), &should_stop);
        if is_whole && self.options.delete.is_some_and(|rules| rules.before) {
            match reclaimable() {
                Ok(found) => fit.give_back(found.extraneous.saturating_add(found.partials)),
                Err(failure) => return over(failure),
            }
        }
        for text in fit.warnings() {
            self.send(Event::Warning(text))?;
        }
        if fit.splits_links() {
            let text = no_hard_links(&forecast.limits);
            self.send(Event::Warning(text.into()))?;
        }
        let known = |path: &RelPath| self.known(path).map_err(Failure::Fatal);
        let block_size = self.block_size();
        let root: &Path = &self.setup.root;
        let there = self.there.as_ref();
        let mut there = there.map(|there| room::There::new(&there.fs, root, block_size, &known));
        let selection = &self.options.selection;
        let shortages = match fit.shortages(there.as_mut(), sources, selection, &should_stop) {
            Ok(shortages) => shortages,
            // The walk that tells of entries meets the same trouble.
            Err(Failure::Entry(_)) => Vec::new(),
            Err(failure) => return over(failure),
        };
        match fit.refusal(shortages, |_| reclaimable()) {
            Ok(Some(refusal)) => Ok(Err(Error::Refused(Box::new(refusal)))),
            Ok(None) => Ok(Ok(())),
            Err(failure) => over(failure),
        }
    }

    /// What could make room at the destination.
    fn reclaimable(
        &self,
        from: (&[scan::Source], &Walked),
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Reclaimable, Failure> {
        let Some(there) = &self.there else {
            return Ok(Reclaimable::default());
        };
        let (fs, store) = (&*there.fs, there.store.as_ref());
        let (about, options) = (&self.forecast.about, &self.options);
        Reclaimable::find(about, fs, from, options, store, should_stop)
    }

    fn block_size(&self) -> BlockSize {
        let store = self.there.as_ref().and_then(|there| there.store.as_ref());
        store.map(Store::block_size).unwrap_or_default()
    }

    /// Fails an entry that cannot get its place, as a copy would.
    pub(super) fn cannot_stand(&mut self, scanned: &Scanned) -> Result<(), EntryError> {
        if let Some(why) = self.forecast.limits.refuses(&scanned.dest, &scanned.stat) {
            let path = scanned.source.clone();
            return Err(EntryError::Unsupported { path, why });
        }
        let Some((parent, name)) = scanned.dest.split() else {
            return Ok(());
        };
        let own = self.folds_by_itself(&parent);
        if !own && !self.forecast.limits.folds {
            return Ok(());
        }
        let met = self.forecast.siblings.meet(&scanned.dest);
        let met = met.filter(|other| own || self.forecast.are_one(other, &scanned.dest));
        let full = |path: &RelPath| path.below(&self.setup.root);
        let other = match met {
            Some(other) => Some(other),
            None => self.stands_as(&parent, name).map_err(|error| {
                EntryError::Dest(PathError::new("look at", full(&scanned.dest), error))
            })?,
        };
        match other {
            None => Ok(()),
            Some(other) => Err(EntryError::SameName {
                path: full(&scanned.dest),
                there: full(&other),
            }),
        }
    }

    /// Whether names are the same in any case in this directory, or in the nearest one above it that
    /// is there, whatever holds for the file system as a whole.
    fn folds_by_itself(&mut self, dir: &RelPath) -> bool {
        let Some(There { fs, .. }) = &self.there else {
            return false;
        };
        if let Some((known, folds)) = &self.forecast.folding
            && known == dir
        {
            return *folds;
        }
        let mut nearest = dir.clone();
        let folds = loop {
            match (fs.open_dir(&nearest), nearest.split()) {
                (Ok(open), _) => break fs.dir_folds(&open),
                (Err(_), Some((parent, _))) => nearest = parent,
                (Err(_), None) => break fs.dir_folds(&fs.root()),
            }
        };
        self.forecast.folding = Some((dir.clone(), folds));
        folds
    }

    /// What stands in the place of a name under another one, if anything does.
    fn stands_as(&self, parent: &RelPath, name: &[u8]) -> std::io::Result<Option<RelPath>> {
        let Some(There { fs, .. }) = &self.there else {
            return Ok(None);
        };
        let dir = match parent.is_root() {
            true => fs.root(),
            false => match found(fs.open_dir(parent))? {
                Some(dir) => Arc::new(dir),
                None => return Ok(None),
            },
        };
        if fs.stat(&dir, name)?.is_none() {
            return Ok(None);
        }
        let respells = self.forecast.limits.respells;
        let other = limits::spelled_otherwise(&**fs, &dir, name, respells)?;
        Ok(other.map(|other| parent.join(&other).unwrap_or_else(|_| parent.clone())))
    }
}
