//! What a worker does by name alone, without content: symlinks, and metadata set right.

use super::*;
use crate::copy::message::Settled;
use crate::event::Outcome;
use crate::fs::{self, Access, Meta, Special};
use crate::manifest::{Done, Record};
use crate::plan;

impl<F: Fs> Worker<'_, F> {
    pub(super) fn symlink(&self, work: &Work<F>, target: &[u8]) -> Result<Message<F>, Failure> {
        let fs = &*self.shared.fs;
        let at_dest = self.naming("create the symbolic link", &work.path);
        let make = |name: &[u8]| fs.make_symlink(&work.dir, name, target);
        let made = self.shared.make_partial(&work.path, &work.dir, make);
        let (attempt, name, ()) = made.map_err(&at_dest)?;
        let target = target.to_vec();
        self.made(work, (attempt, &name), Content::Symlink { target })
    }

    pub(super) fn special(&self, work: &Work<F>, what: Special) -> Result<Message<F>, Failure> {
        let fs = &*self.shared.fs;
        let make = |name: &[u8]| fs.make_special(&work.dir, name, what);
        let made = self.shared.make_partial(&work.path, &work.dir, make);
        let denied = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        if what.is_device() && !fs::is_root() && made.as_ref().is_err_and(denied) {
            let (path, what) = (work.source.clone(), what.word());
            return Err(EntryError::Special { path, what }.into());
        }
        let (attempt, name, ()) =
            made.map_err(self.naming("create the special file", &work.path))?;
        self.made(work, (attempt, &name), Content::Special(what))
    }

    /// Gives what was made under a partial name its metadata; that completes it.
    fn made(
        &self,
        work: &Work<F>,
        (attempt, name): (u8, &[u8]),
        content: Content,
    ) -> Result<Message<F>, Failure> {
        let kind = work.stat.kind;
        let is_it = |stat: &Stat| stat.kind == kind && self.shared.is_own(stat);
        Ok(Message::Complete {
            worker: None,
            completed: Box::new(Completed {
                path: work.path.clone(),
                mtime_ns: work.stat.mtime_ns,
                dest: self.set_named(work, name, &is_it, None)?,
                attempt: Some(attempt),
                content,
                file: None,
            }),
        })
    }

    /// Sets the metadata of what stands under `name` to the source's.
    fn set_named(
        &self,
        work: &Work<F>,
        name: &[u8],
        is_it: &dyn Fn(&Stat) -> bool,
        known: Option<&DestMeta>,
    ) -> Result<DestMeta, Failure> {
        let (shared, wanted) = (self.shared, self.wanted(work)?);
        let at = (&*work.dir, name);
        let wanted = (&wanted, work.stat.mtime_ns);
        let set = shared.set_named(&work.path, at, is_it, wanted, known);
        set.map_err(self.naming("set the metadata of", &work.path))
    }

    /// The metadata that the copy of a source shall have.
    fn wanted(&self, work: &Work<F>) -> Result<Meta, Failure> {
        // What is made from its record alone may have no source.
        let read = || match work.source.as_os_str().is_empty() {
            true => Ok(fs::Xattrs::default()),
            false => self.shared.source_entry(&work.source)?.xattrs(),
        };
        let xattrs = (self.shared).xattrs(read);
        let xattrs = xattrs.map_err(|error| unreadable(self.shared, work, error))?;
        let there = work.there.as_ref();
        let wanted = (self.shared).wanted_in(&work.dir, &work.stat, xattrs, there);
        wanted.map_err(self.naming("look at the directory of", &work.path))
    }

    /// Keeps a file whose content was compared with its source; sets only metadata that drifted.
    /// `unsettled`: the source had not settled.
    pub(in crate::copy) fn keep(
        &self,
        work: &Work<F>,
        done: &Done,
        unsettled: bool,
    ) -> Result<Message<F>, Failure> {
        let settles = done.unsettled && !unsettled;
        let unsettled = done.unsettled && unsettled;
        let seen = self.shared.seen(&work.dir, work.path.name());
        let seen = seen.map_err(self.naming("look at", &work.path))?;
        let wanted = self.wanted(work)?;
        let recorded = (&done.dest, done.mtime_ns);
        if seen.is_some_and(|seen| plan::has_drifted(&work.stat, &wanted, &seen, recorded)) {
            let done = Done {
                unsettled,
                ..done.clone()
            };
            return self.mend(work, &Record::Done(done));
        }
        if settles {
            let done = Done {
                unsettled,
                attempt: None,
                ..done.clone()
            };
            return Ok(Message::Confirmed(Box::new(done)));
        }
        Ok(Message::Settled {
            path: work.path.clone(),
            outcome: Outcome::Unchanged,
            what: Settled::File { bytes: done.size },
        })
    }

    /// Sets the metadata of an entry whose content is as recorded.
    pub(super) fn mend(&self, work: &Work<F>, record: &Record) -> Result<Message<F>, Failure> {
        let mut record = record.clone();
        let mtime_ns = work.stat.mtime_ns;
        let name = work.path.name();
        let planned = work.there.map(|there| (there.kind, there.id()));
        let is_it = |stat: &Stat| planned == Some((stat.kind, stat.id()));
        match &mut record {
            Record::Done(done) => {
                let now_ms = crate::time::now_ms();
                done.dest = self.set_named(work, name, &is_it, Some(&done.dest))?;
                let ctimes = self.shared.ctimes(&work.stat);
                done.ctimes = ctimes.map(|ctimes| ctimes.at(now_ms));
                (done.mtime_ns, done.attempt) = (mtime_ns, None);
                self.flush_mended(work)?;
            }
            Record::Special(special) => {
                special.dest = self.set_named(work, name, &is_it, Some(&special.dest))?;
                special.mtime_ns = mtime_ns;
            }
            Record::Symlink(link) => {
                link.dest = self.set_named(work, name, &is_it, Some(&link.dest))?;
                link.mtime_ns = mtime_ns;
            }
            // Nothing else is ever handed here; nothing is wrong with recording it once more.
            _ => {}
        }
        let path = work.path.clone();
        let record = Box::new(record);
        Ok(Message::Mended { path, record })
    }

    /// Flushes a file of which only the metadata changed, where each has to be flushed by itself.
    fn flush_mended(&self, work: &Work<F>) -> Result<(), Failure> {
        if !self.shared.flushes_each(&work.path) {
            return Ok(());
        }
        let opened = (self.shared.fs).open(&work.dir, work.path.name(), Access::Read);
        let file = match fs::found(opened) {
            // Its new mode keeps even us out. Should a power cut undo what was set, the next run
            // sees that and sets it again.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
            opened => opened.map_err(self.at_dest("open", &work.path))?,
        };
        match file {
            Some(file) => file.sync().map_err(|error| self.flush_failed(work, error)),
            None => Ok(()),
        }
    }
}
