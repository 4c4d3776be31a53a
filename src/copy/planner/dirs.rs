//! Directories: made or kept right away, and held open from the root to where the walk is.

use super::*;

/// The bit that a directory may have inherited besides.
const SET_GID: u32 = 0o2000;
/// So many of the innermost directories are held open; others are opened again when the walk comes back.
const OPEN_MAX: usize = 32;

impl<F: Fs> Planner<'_, F> {
    /// Opens a directory at the destination, or finds it among the open ones.
    pub(super) fn open_dir(&mut self, path: &RelPath) -> Result<Arc<F::Dir>, Failure> {
        while let Some(open) = self.open.last() {
            if path.is_within(&open.path) {
                break;
            }
            self.open.pop();
        }
        let is_known = match self.open.last() {
            Some(open) if open.path == *path => match &open.dir {
                Some(dir) => return Ok(Arc::clone(dir)),
                None => true,
            },
            _ => false,
        };
        let dir = if path.is_root() {
            self.shared.fs.root()
        } else {
            let opened = (self.trier()).name(path, || self.shared.fs.open_dir(path));
            let dir = Arc::new(opened.map_err(self.at_dest("open directory", path))?);
            self.shared.note_mount(&self.messages, path)?;
            dir
        };
        if let Some(open) = self.open.last_mut().filter(|_| is_known) {
            open.dir = Some(Arc::clone(&dir));
            return Ok(dir);
        }
        self.open.push(OpenDir {
            path: path.clone(),
            dir: Some(Arc::clone(&dir)),
            is_new: self.made.as_ref() == Some(path),
        });
        if let Some(outer) = self.open.len().checked_sub(OPEN_MAX + 1) {
            self.open[outer].dir = None;
        }
        Ok(dir)
    }

    /// Opens the directory that `path` is in, which is nearly always the one that was opened last.
    pub(super) fn open_parent(&mut self, path: &RelPath) -> Result<Arc<F::Dir>, Failure> {
        match self.open.last() {
            Some(OpenDir {
                path: holder,
                dir: Some(dir),
                ..
            }) if path.stands_in(holder) => Ok(Arc::clone(dir)),
            _ => self.open_dir(&path.split().unwrap_or_default().0),
        }
    }

    /// Readies a directory that is there for what is put into it: gives it the bits that are needed for that,
    /// and takes from others, until the end of the run, what they shall not have in the end. Whether anything
    /// had to be set.
    fn make_ready(
        &self,
        path: &RelPath,
        parent: &F::Dir,
        there: &Stat,
        wanted: &Meta,
    ) -> Result<bool, Failure> {
        let (fs, own) = (&*self.shared.fs, self.shared.own);
        let mut mode = there.mode | DIR_WORKING_BITS;
        let mut owner = None;
        if fs.keeps_owners() && !fs.may_lack_modes() {
            // A user can take nothing from a directory of somebody else.
            if own.is_root() || there.uid == own.uid() {
                mode &= wanted.mode.unwrap_or(mode) | DIR_WORKING_BITS;
            }
            let shall = wanted.owner.map_or(there.uid, |(uid, _)| uid);
            let is_stranger = ![own.uid(), shall].contains(&there.uid);
            owner = (own.is_root() && is_stranger).then(fs::own_ids);
        }
        if mode == there.mode && owner.is_none() {
            return Ok(false);
        }
        let meta = Meta {
            mode: Some(mode),
            owner,
            ..Meta::default()
        };
        let is_it = |stat: &Stat| stat.kind == Kind::Dir && stat.id() == there.id();
        let set = fs.set_meta(parent, path.name(), &is_it, &meta);
        set.map_err(self.at_dest("ready the directory", path))?;
        Ok(true)
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
            let kind = Some(Kind::Dir);
            self.send(Message::Failed { path, kind, error })?;
            return Ok(Descend::No);
        }
        let known = self.known(&path)?;
        let before = as_it_was(known.as_ref(), there);
        let holder = parent.as_ref().map_or_else(|| fs.root(), Arc::clone);
        let wanted = self.wanted(&scanned, &holder, before.as_ref())?;
        let seen = match (there, &parent) {
            (Some(stat), Some(dir)) => Some(self.seen(&path, dir, stat)?),
            (Some(stat), None) => Some(self.seen(&path, &fs.root(), stat)?),
            (None, _) => None,
        };
        let plan = plan::plan_dir(&scanned.stat, &wanted, known.as_ref(), seen.as_ref());
        let (mend, outcome) = match plan {
            DirPlan::Conflict(found) => {
                let error = self.conflict(&path, found, Kind::Dir);
                let kind = Some(Kind::Dir);
                self.send(Message::Failed { path, kind, error })?;
                return Ok(Descend::No);
            }
            DirPlan::Make => {
                let Some(parent) = &parent else {
                    return Ok(Descend::No);
                };
                self.drop_partial(&path, parent, known.as_ref())?;
                let made = (self.trier()).name(&path, || fs.make_dir(parent, path.name()));
                if let Err(failure) = made.map_err(self.at_dest("create directory", &path)) {
                    return self.leave_out((path, Kind::Dir), failure);
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
        let readied = match (&parent, &there) {
            (Some(parent), Some(stat)) => self.make_ready(&path, parent, stat, &wanted),
            _ => Ok(false),
        };
        let readied = match readied {
            Ok(readied) => readied,
            Err(failure) => return self.leave_out((path, Kind::Dir), failure),
        };
        let set = match mend || readied {
            true => self
                .set_dir_xattrs(&path, there.as_ref(), &wanted)
                .map(Some),
            false => Ok(None),
        };
        let mut id = there.map(|there| there.id());
        let dest = match set {
            Ok(Some(seen)) => {
                id = Some(seen.stat.id());
                self.dir_in_the_end(&scanned, &wanted, &seen)
            }
            Ok(None) => DestMeta::default(),
            Err(failure) => return self.leave_out((path, Kind::Dir), failure),
        };
        let mend = mend || readied;
        let message = Message::Dir {
            path,
            stat: Box::new(scanned.stat),
            dest: Box::new(dest),
            id,
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
    pub(super) fn leave_out(
        &self,
        (path, kind): (RelPath, Kind),
        failure: Failure,
    ) -> Result<Descend, Failure> {
        match failure {
            Failure::Entry(error) => {
                let kind = Some(kind);
                self.send(Message::Failed { path, kind, error })?;
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
        (Some(Entry::Dir(known)), Some(there)) if there.mode & !SET_GID == DIR_WORKING_BITS => {
            let mode = known.dest.asked_mode();
            Some(Stat { mode, ..there })
        }
        _ => there,
    }
}
