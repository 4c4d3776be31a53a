//! Directories: made or kept right away, and held open from the root to where the walk is.

use super::*;

impl<F: Fs> Planner<'_, F> {
    /// Opens a directory at the destination, or finds it among the open ones.
    pub(super) fn open_dir(&mut self, path: &RelPath) -> Result<Arc<F::Dir>, Failure> {
        while let Some(open) = self.open.last() {
            if path.is_within(&open.path) {
                break;
            }
            self.open.pop();
        }
        if let Some(open) = self.open.last()
            && open.path == *path
        {
            return Ok(Arc::clone(&open.dir));
        }
        let dir = if path.is_root() {
            self.shared.fs.root()
        } else {
            let opened = (self.trier()).name(path, || self.shared.fs.open_dir(path));
            let dir = Arc::new(opened.map_err(self.at_dest("open directory", path))?);
            self.shared.note_mount(&self.messages, path)?;
            dir
        };
        self.open.push(OpenDir {
            path: path.clone(),
            dir: Arc::clone(&dir),
            is_new: self.made.as_ref() == Some(path),
        });
        Ok(dir)
    }

    /// Opens the directory that `path` is in, which is nearly always the one that was opened last.
    pub(super) fn open_parent(&mut self, path: &RelPath) -> Result<Arc<F::Dir>, Failure> {
        match self.open.last() {
            Some(open) if path.stands_in(&open.path) => Ok(Arc::clone(&open.dir)),
            _ => self.open_dir(&path.split().unwrap_or_default().0),
        }
    }

    /// Gives a directory the bits that are needed to put something into it.
    fn make_writable(&self, path: &RelPath, parent: &F::Dir, stat: &Stat) -> Result<(), Failure> {
        let meta = Meta {
            mode: Some(stat.mode | DIR_WORKING_BITS),
            ..Meta::default()
        };
        let set = self.shared.fs.set_meta(parent, path.name(), &meta);
        set.map_err(self.at_dest("make writable", path))
    }

    /// Makes or keeps a directory; `parent` is `None` for the root.
    pub(super) fn dir(
        &mut self,
        scanned: Scanned,
        parent: Option<Arc<F::Dir>>,
    ) -> Result<Descend, Failure> {
        let (fs, path) = (&*self.shared.fs, scanned.dest.clone());
        let there = match &parent {
            Some(parent) => fs.stat(parent, path.name()),
            None => fs.stat_dir(&fs.root()).map(Some),
        };
        let there = there.map_err(self.at_dest("look at", &path))?;
        if let Some(error) = self.onto_source(&scanned, there.as_ref()) {
            self.send(Message::Failed { path, error })?;
            return Ok(Descend::No);
        }
        let known = self.known(&path)?;
        let before = as_it_was(known.as_ref(), there);
        let wanted = self.wanted(&scanned, before.as_ref())?;
        let seen = match (there, &parent) {
            (Some(stat), Some(dir)) => Some(self.seen(&path, dir, stat)?),
            (Some(stat), None) => Some(self.seen(&path, &fs.root(), stat)?),
            (None, _) => None,
        };
        let plan = plan::plan_dir(&scanned.stat, &wanted, known.as_ref(), seen.as_ref());
        let (mend, outcome) = match plan {
            DirPlan::Conflict(found) => {
                let error = self.conflict(&path, found, Kind::Dir);
                self.send(Message::Failed { path, error })?;
                return Ok(Descend::No);
            }
            DirPlan::Make => {
                let Some(parent) = &parent else {
                    return Ok(Descend::No);
                };
                self.drop_partial(&path, parent, known.as_ref())?;
                let made = (self.trier()).name(&path, || fs.make_dir(parent, path.name()));
                if let Err(failure) = made.map_err(self.at_dest("create directory", &path)) {
                    return self.leave_out(path, failure);
                }
                self.made = Some(path.clone());
                (true, Outcome::Copied)
            }
            DirPlan::Keep { mend: false } => (false, Outcome::Unchanged),
            DirPlan::Keep { mend: true } => match known {
                Some(Entry::Dir(_)) => (true, Outcome::Mended),
                _ => (true, Outcome::Adopted),
            },
        };
        let locked_out = there.is_some_and(|stat| stat.mode & DIR_WORKING_BITS != DIR_WORKING_BITS);
        if locked_out
            && let (Some(parent), Some(stat)) = (&parent, &there)
            && let Err(failure) = self.make_writable(&path, parent, stat)
        {
            return self.leave_out(path, failure);
        }
        let set = match mend || locked_out {
            true => self.set_dir_xattrs(&path, &wanted).map(Some),
            false => Ok(None),
        };
        let dest = match set {
            Ok(Some(seen)) => Self::dir_in_the_end(&scanned, &wanted, &seen),
            Ok(None) => DestMeta::default(),
            Err(failure) => return self.leave_out(path, failure),
        };
        let mend = mend || locked_out;
        let message = Message::Dir {
            path,
            stat: Box::new(scanned.stat),
            dest: Box::new(dest),
            mend,
            outcome,
        };
        match mend {
            true => self.send(message)?,
            false => self.hold(message)?,
        }
        Ok(Descend::Yes)
    }

    /// Why nothing may be put into a directory that is there: it is the one that is copied, or another source.
    fn onto_source(&self, scanned: &Scanned, there: Option<&Stat>) -> Option<EntryError> {
        let there = there?.id();
        let same = there == scanned.stat.id();
        let is_source = || {
            self.sources
                .iter()
                .any(|source| source.dir() == Some(there))
        };
        (same || is_source()).then(|| EntryError::OntoSource {
            path: scanned.source.clone(),
            dest: self.shared.full(&scanned.dest),
            same,
        })
    }

    /// A directory that fails takes its contents with it.
    pub(super) fn leave_out(&self, path: RelPath, failure: Failure) -> Result<Descend, Failure> {
        match failure {
            Failure::Entry(error) => {
                self.send(Message::Failed { path, error })?;
                Ok(Descend::No)
            }
            failure => Err(failure),
        }
    }
}

/// What a directory was like before a run worked in it: one that was stopped left it with the bits that
/// it needed for that.
fn as_it_was(known: Option<&Entry>, there: Option<Stat>) -> Option<Stat> {
    match (known, there) {
        (Some(Entry::Dir(known)), Some(there)) if there.mode == DIR_WORKING_BITS => {
            let mode = known.dest.asked_mode();
            Some(Stat { mode, ..there })
        }
        _ => there,
    }
}
