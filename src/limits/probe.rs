//! Trying what a destination takes, with names of our own in a directory of our own.
//!
//! `.sprag/probe` holds them for a moment. What a killed run left there is removed by the next.

use std::io;

use rustix::io::Errno;

use super::names::UTF16_MAX;
use super::{Limits, NameMax, NameRules, same_spelling};
use crate::fs::{About, Fs, MountNo, Special, found, is_full};
use crate::path::RelPath;

pub(crate) const DIR: &[u8] = b"probe";
const CASE: [&[u8]; 2] = [b"Case-Probe", b"cASE-pROBE"];
const FORM: [&[u8]; 2] = ["form-\u{e9}".as_bytes(), "form-e\u{301}".as_bytes()];
const LINK: &[u8] = b"link";
const LINKED: &[u8] = b"linked";
const FIFO: &[u8] = b"fifo";
const CONTROL: &[u8] = b"control";

/// The directory of the trials.
struct Probe<'a, F: Fs> {
    fs: &'a F,
    dir: F::Dir,
}

/// Finds out what the destination takes. Its `.sprag` must be there. Where there is no room for
/// trying, what the kind of file system is known for is assumed.
pub(crate) fn measure<F: Fs>(fs: &F) -> io::Result<Limits> {
    let about = fs.about()?;
    match try_all(fs, &about) {
        Err(error) if is_full(&error) => Ok(Limits::assumed(about.kind, about.name_bytes_max)),
        result => result,
    }
}

/// Whether two names are one to the file system: the second is found when only the first is
/// there.
pub(crate) fn are_one<F: Fs>(fs: &F, first: &[u8], second: &[u8]) -> io::Result<bool> {
    with_probe(fs, |probe| Ok(probe.takes(first)? && probe.has(second)?))
}

/// The name under which what `name` leads to is really listed, if that is another one.
pub(crate) fn spelled_otherwise<F: Fs>(
    fs: &F,
    dir: &F::Dir,
    name: &[u8],
    respells: bool,
) -> io::Result<Option<Vec<u8>>> {
    let names = fs.list(dir)?;
    let is_it = |listed: &[u8]| listed == name || (respells && same_spelling(listed, name));
    if names.iter().any(|(listed, _)| is_it(listed)) {
        return Ok(None);
    }
    let key = super::fold_key(name);
    let like = names
        .into_iter()
        .find(|(listed, _)| super::fold_key(listed) == key);
    // Listed under no name at all that is like it, it is still not ours to write over.
    Ok(Some(like.map_or_else(Vec::new, |(listed, _)| listed)))
}

fn try_all<F: Fs>(fs: &F, about: &About) -> io::Result<Limits> {
    with_probe(fs, |probe| {
        let mut limits = Limits {
            kind: about.kind,
            names: NameRules::any(NameMax::Bytes(about.name_bytes_max)),
            symlinks: true,
            specials: true,
            hard_links: true,
            hard_links_of_all: true,
            folds: false,
            respells: false,
        };
        // A name that nobody refuses: if this fails, something is wrong.
        fs.create_new(&probe.dir, CASE[0])?;
        limits.folds = probe.has(CASE[1])?;
        if probe.takes(FORM[0])? {
            limits.folds |= probe.has(FORM[1])?;
            limits.respells = !probe.lists(FORM[0])?;
        }
        if !about.kind.takes_any_name() {
            probe.names(&mut limits.names)?;
            limits.symlinks = probe.symlinks()?;
            limits.specials = probe.specials()?;
            limits.hard_links = probe.hard_links()?;
            limits.hard_links_of_all = limits.hard_links
                && (!limits.symlinks || probe.links(LINK, b"link.2")?)
                && (!limits.specials || probe.links(FIFO, b"fifo.2")?);
        }
        Ok(limits)
    })
}

/// Makes the directory, uses it and removes it.
fn with_probe<F: Fs, T>(
    fs: &F,
    using: impl FnOnce(&Probe<'_, F>) -> io::Result<T>,
) -> io::Result<T> {
    let state = fs.open_dir(&RelPath::state_dir())?;
    let path = RelPath::state_dir().join(DIR).map_err(io::Error::other)?;
    let made = match fs.make_dir(&state, DIR) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        made => made.map(|()| true)?,
    };
    let probe = Probe {
        fs,
        dir: fs.open_dir(&path)?,
    };
    // A killed run may have left something.
    let result = probe.empty().and_then(|()| using(&probe));
    let emptied = probe.empty();
    drop(probe);
    let value = result?;
    emptied?;
    // One that a cut-off run left may, without a journal, lie in space that is someone else's by
    // now: removing it would free that.
    if made || !fs.rules(MountNo::default()).lacks_journal {
        found(fs.remove_dir(&state, DIR))?;
    }
    Ok(value)
}

impl<F: Fs> Probe<'_, F> {
    fn empty(&self) -> io::Result<()> {
        for (name, _) in self.fs.list(&self.dir)? {
            found(self.fs.remove(&self.dir, &name))?;
        }
        Ok(())
    }

    /// Whether a file of that name can be made.
    fn takes(&self, name: &[u8]) -> io::Result<bool> {
        match self.fs.create_new(&self.dir, name) {
            Ok(_) => Ok(true),
            // Some other trial's name is this one, too.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(true),
            Err(error) if is_refusal(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a file of that name can be made and is then listed under it.
    fn keeps(&self, name: &[u8]) -> io::Result<bool> {
        let keeps = self.takes(name)? && self.lists(name)?;
        self.empty()?;
        Ok(keeps)
    }

    fn has(&self, name: &[u8]) -> io::Result<bool> {
        match self.fs.stat(&self.dir, name) {
            Ok(stat) => Ok(stat.is_some()),
            Err(error) if is_refusal(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn lists(&self, name: &[u8]) -> io::Result<bool> {
        let listed = self.fs.list(&self.dir)?;
        Ok(listed.iter().any(|(listed, _)| listed == name))
    }

    fn names(&self, rules: &mut NameRules) -> io::Result<()> {
        self.empty()?;
        for byte in NameRules::suspicious_chars() {
            if !self.keeps(&[b'a', *byte, b'z'])? {
                rules.chars.push(*byte);
            }
        }
        rules.controls = !self.keeps(b"a\x01z")?;
        rules.trailing_dot = !self.keeps(b"a.")?;
        rules.trailing_space = !self.keeps(b"a ")?;
        rules.reserved = !self.keeps(b"CON")?;
        rules.unicode = !self.keeps(b"a\xff")?;
        let longest = "\u{e9}".repeat(UTF16_MAX as usize);
        if self.keeps(longest.as_bytes())? {
            rules.max = NameMax::Utf16(UTF16_MAX);
        } else if let NameMax::Bytes(max) = rules.max {
            // What FAT calls its longest name is in bytes of whatever encoding.
            rules.max = NameMax::Bytes(max.min(UTF16_MAX));
        }
        Ok(())
    }

    fn symlinks(&self) -> io::Result<bool> {
        let made = self.fs.make_symlink(&self.dir, LINK, b"target");
        self.holds(made, |_| false)
    }

    /// A fifo stands for sockets and device nodes: what has no place for the one has none for the
    /// others. exfat-fuse makes a regular file of it, of which the kernel says EIO; that is no
    /// trouble where regular files can still be made.
    fn specials(&self) -> io::Result<bool> {
        let made = self.fs.make_special(&self.dir, FIFO, Special::Fifo);
        self.holds(made, |errno| errno == Errno::IO && self.works())
    }

    fn hard_links(&self) -> io::Result<bool> {
        self.fs.create_new(&self.dir, LINKED)?;
        self.links(LINKED, b"linked.2")
    }

    /// Whether what stands under a name can have another one.
    fn links(&self, name: &[u8], other: &[u8]) -> io::Result<bool> {
        let made = self.fs.link(&self.dir, name, &self.dir, other);
        self.holds(made, |_| false)
    }

    /// Whether a trial shows that there can be such a thing; `refuses` are errors of this trial that
    /// say so beside the usual ones.
    fn holds(&self, made: io::Result<()>, refuses: impl Fn(Errno) -> bool) -> io::Result<bool> {
        match made {
            Ok(()) => Ok(true),
            Err(error) if is_refusal(&error) => Ok(false),
            Err(error) if Errno::from_io_error(&error).is_some_and(refuses) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a name that nobody refuses can be made.
    fn works(&self) -> bool {
        self.fs.create_new(&self.dir, CONTROL).is_ok()
    }
}

/// Whether an error says that such a thing cannot be, rather than that something is wrong. A name
/// that nobody refuses could be made a moment before, so whatever does not tell of trouble with
/// the device, the file system as a whole or this process is about the name: exfat-fuse says ENOENT of
/// one with a colon, the kernel's exFAT EOVERFLOW of one that is no UTF-8.
fn is_refusal(error: &io::Error) -> bool {
    Errno::from_io_error(error).is_some_and(|errno| !TROUBLE.contains(&errno))
}

const TROUBLE: [Errno; 15] = [
    Errno::IO,
    Errno::NODEV,
    Errno::NXIO,
    Errno::NOTCONN,
    Errno::STALE,
    Errno::ROFS,
    Errno::NOSPC,
    Errno::DQUOT,
    Errno::NOMEM,
    Errno::NFILE,
    Errno::MFILE,
    Errno::INTR,
    Errno::AGAIN,
    Errno::TIMEDOUT,
    Errno::BUSY,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_trouble_of_the_device_refuses_a_name() {
        for errno in [Errno::INVAL, Errno::NOENT, Errno::OVERFLOW, Errno::ILSEQ] {
            assert!(is_refusal(&errno.into()), "{errno}");
        }
        for errno in TROUBLE {
            assert!(!is_refusal(&errno.into()), "{errno}");
        }
    }
}
