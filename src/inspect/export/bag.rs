//! A BagIt bag of what was copied: tag files beside a payload directory `data`.
//!
//! If the bag is the destination itself, its files have to stand below `data` already, and only tag
//! files are written. Anywhere else on the same file system the payload is made of hard links, so it
//! takes no room. The tag files come last, `bagit.txt` as the last of them: without it a directory
//! is no bag.
//!
//! Version 0.97 is written: its paths escape line ends only, as the validators do that are in use;
//! the later one escapes `%` as well, which the reference validator does not undo. That validator takes
//! every line end of Unicode's for one, and white space at the end of a line for none of the name: such
//! names are left out.

use super::*;
use crate::error::SetupError;
use crate::fs::{Kind, Meta, found, source};
use crate::hash::to_hex;
use crate::tree::{self, Step};
use sha2::{Digest, Sha256};

const PAYLOAD: &[u8] = b"data";
/// What ends a line besides line feed and carriage return, which are escaped.
const LINE_ENDS: [char; 8] = [
    '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}',
];
const BAGIT: &[u8] = b"BagIt-Version: 0.97\nTag-File-Character-Encoding: UTF-8\n";

/// Makes a bag of `dest` in the directory `bag`, which is made if only its last component is
/// missing. Every file is read back and compared with its recorded hash.
///
/// # Errors
///
/// As [`export`](super::export()), and [`SetupError::Bag`] if a bag cannot be made there.
pub fn export_bag(
    dest: &Path,
    manifest: Option<&Path>,
    bag: &Path,
    left_out: &mut dyn FnMut(&RelPath, LeftOut),
) -> Result<ExportSummary, Error> {
    let mut exporter = Exporter::open(dest, manifest, left_out)?;
    match source::make_dir(bag) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.at("create", bag)?,
    }
    let fs = OsFs::open_root(bag).at("open", bag)?;
    let root = |fs: &OsFs| fs.stat_dir(&fs.root()).at("look at", bag);
    let (a, b) = (root(&exporter.fs)?, root(&fs)?);
    let mut writer = Writer {
        fs,
        bag,
        in_place: a.id() == b.id(),
        bytes: 0,
        made: Vec::new(),
    };
    writer.check(&exporter)?;
    let list = writer.payload(&mut exporter)?;
    if writer.in_place {
        writer.strangers(&mut exporter)?;
    }
    writer.tags(&list, exporter.summary.files)?;
    Ok(exporter.summary)
}

struct Writer<'a> {
    fs: OsFs,
    bag: &'a Path,
    in_place: bool,
    /// Of the payload.
    bytes: u64,
    /// The directories of the payload that were made, to be flushed.
    made: Vec<RelPath>,
}

fn payload() -> RelPath {
    RelPath::root().join(PAYLOAD).unwrap_or_default()
}

impl Writer<'_> {
    fn refused(&self, why: &'static str) -> Error {
        let path = self.bag.to_path_buf();
        SetupError::Bag { path, why }.into()
    }

    /// Whether a bag can be made there at all, before anything is written.
    fn check(&self, exporter: &Exporter<'_>) -> Result<(), Error> {
        if !self.in_place {
            let there = self.fs.list(&self.fs.root()).at("list", self.bag)?;
            return match there.is_empty() {
                true => Ok(()),
                false => Err(self.refused("it is not empty")),
            };
        }
        for pos in exporter.store.positions() {
            let (path, entry) = exporter.store.entry_at(pos)?;
            let below = path.components().next() == Some(PAYLOAD);
            if !below && !matches!(entry, Entry::Dir(_)) {
                return Err(self.refused(
                    "not all of the copy is below its directory data; name an empty directory on the same file system instead",
                ));
            }
        }
        Ok(())
    }

    /// Puts every file into the payload; gives the lines of the payload's manifest.
    fn payload(&mut self, exporter: &mut Exporter<'_>) -> Result<Vec<u8>, Error> {
        let mut list = Vec::new();
        if !self.in_place {
            self.make_dir(&payload())?;
        }
        for pos in exporter.store.positions() {
            let (path, entry) = exporter.entry_at(pos)?;
            if let Entry::Special(special) = &entry {
                let why = LeftOut::NotRepresentable(special.what.word());
                exporter.leave_out(&path, why);
                continue;
            }
            if matches!(entry, Entry::Symlink(_)) {
                let why = LeftOut::NotRepresentable("a bag has no symbolic links");
                exporter.leave_out(&path, why);
                continue;
            }
            let Some(done) = exporter.file_of(&path, &entry)? else {
                continue;
            };
            let Some(name) = self.name_of(&path) else {
                let why = "its name is not UTF-8, ends in white space, or has %0A, %0D or another line end than those two in it, for which a bag has no form";
                exporter.leave_out(&path, LeftOut::NotRepresentable(why));
                continue;
            };
            let Some(hash) = exporter.rehash(&path, &done)? else {
                continue;
            };
            if !self.in_place {
                self.link(exporter, &path)?;
            }
            exporter.summary.files += 1;
            self.bytes += done.size;
            list.extend_from_slice(format!("{}  {name}\n", to_hex(&hash)).as_bytes());
        }
        Ok(list)
    }

    /// A path as the payload's manifest names it.
    fn name_of(&self, path: &RelPath) -> Option<String> {
        let path = str::from_utf8(path.as_bytes()).ok()?;
        let lower = path.to_ascii_lowercase();
        if lower.contains("%0a") || lower.contains("%0d") {
            return None;
        }
        // The information separators are white space to Python, which the reference validator is in.
        let is_space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
        if path.contains(LINE_ENDS) || path.ends_with(is_space) && !path.ends_with(['\n', '\r']) {
            return None;
        }
        let path = path.replace('\n', "%0A").replace('\r', "%0D");
        Some(match self.in_place {
            true => path,
            false => format!("data/{path}"),
        })
    }

    fn link(&mut self, exporter: &Exporter<'_>, path: &RelPath) -> Result<(), Error> {
        let (parent, name) = path.split().unwrap_or_default();
        let mut to = payload();
        for part in parent.components() {
            to = to.join(part).map_err(|error| {
                let error = io::Error::new(io::ErrorKind::InvalidFilename, error);
                PathError::new("create a directory below", self.bag, error)
            })?;
            self.make_dir(&to)?;
        }
        let linked = exporter.fs.open_dir(&parent).and_then(|from| {
            let dir = self.fs.open_dir(&to)?;
            self.fs.link(&from, name, &dir, name)
        });
        match linked {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => Err(self.refused(
                "it is on another file system than the copy, and its payload would be hard links",
            )),
            linked => Ok(linked.at("make a hard link below", self.bag)?),
        }
    }

    /// Makes a directory of the payload, unless it was made.
    fn make_dir(&mut self, path: &RelPath) -> Result<(), Error> {
        let (parent, name) = path.split().unwrap_or_default();
        let made = self.fs.open_dir(&parent).and_then(|dir| {
            if self.fs.stat(&dir, name)?.is_some() {
                return Ok(false);
            }
            self.fs.make_dir(&dir, name)?;
            let mode = Some(0o755);
            let meta = Meta {
                mode,
                ..Meta::default()
            };
            self.fs
                .set_meta(&dir, name, &|stat| stat.kind == Kind::Dir, &meta)?;
            Ok(true)
        });
        if made.at("create a directory below", self.bag)? {
            self.made.push(path.clone());
        }
        Ok(())
    }

    /// Names what stands in a payload that was there before and is not in its list.
    fn strangers(&self, exporter: &mut Exporter<'_>) -> Result<(), Error> {
        let mut strangers = Vec::new();
        let fs = Arc::clone(&exporter.fs);
        tree::walk(&*fs, &payload(), |step| {
            match step {
                Step::Entry {
                    kind: Kind::Dir, ..
                } => {}
                Step::Entry { path, .. } => match exporter.store.lookup(&path) {
                    Ok(Some(_)) => {}
                    Ok(None) => strangers.push(path),
                    Err(error) => return Err(Error::Manifest(error)),
                },
                Step::Unlisted { path, error } => {
                    let error = PathError::new("list", path.below(self.bag), error);
                    return Err(Error::Io(error));
                }
            }
            Ok(())
        })?;
        for path in strangers {
            exporter.leave_out(&path, LeftOut::Stranger);
        }
        Ok(())
    }

    /// Writes the tag files and makes the bag durable.
    fn tags(&self, list: &[u8], files: u64) -> Result<(), Error> {
        let info = format!(
            "Bag-Software-Agent: sprag {}\nBagging-Date: {}\nPayload-Oxum: {}.{files}\n",
            env!("CARGO_PKG_VERSION"),
            &crate::time::utc_text(crate::time::now_ms())[..10],
            self.bytes
        );
        let tags = [
            ("manifest-sha256.txt", list),
            ("bag-info.txt", info.as_bytes()),
            ("bagit.txt", BAGIT),
        ];
        let of_tags: String = tags
            .iter()
            .map(|(name, content)| format!("{}  {name}\n", to_hex(&Sha256::digest(content))))
            .collect();
        self.tag("tagmanifest-sha256.txt", of_tags.as_bytes())?;
        for (name, content) in tags {
            self.tag(name, content)?;
        }
        for dir in self.made.iter().rev().chain([&RelPath::root()]) {
            let flushed = self.fs.open_dir(dir).and_then(|dir| self.fs.sync_dir(&dir));
            flushed.at("flush", self.bag)?;
        }
        Ok(())
    }

    /// Puts a tag file in place, whole or not at all.
    fn tag(&self, name: &str, content: &[u8]) -> Result<(), Error> {
        let root = self.fs.root();
        let new = format!(".{name}.sprag-new");
        let new = new.as_bytes();
        let written = found(self.fs.remove(&root, new)).and_then(|_| {
            let file = self.fs.create_new(&root, new)?;
            file.write_at(content, 0)?;
            let mode = Some(0o644);
            file.set_meta(&Meta {
                mode,
                ..Meta::default()
            })?;
            file.sync()?;
            self.fs.rename(&root, new, &root, name.as_bytes())
        });
        Ok(written.at("write a tag file in", self.bag)?)
    }
}
