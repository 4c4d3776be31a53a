//! Before the first byte: which directories, which names, and whether that can work at all.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, SetupError, UsageError};
use crate::file_list::FileList;
use crate::fs::source::Held;
use crate::fs::{FileId, FsMeta, Kind, OsFs, Place, Stat, found, source};
use crate::manifest;
use crate::options::CopyOptions;
use crate::path::{Printable, means_contents, parent_of};
use crate::scan::Source;

/// What to copy and where to, resolved.
#[derive(Debug)]
pub(super) struct Setup {
    /// The directory that holds, or will hold, `.sprag`.
    pub(super) root: PathBuf,
    pub(super) sources: Vec<Source>,
    /// What was named more than once among the sources.
    repeated: Vec<Repeated>,
    /// The destination is where it is known to have held a copy, and holds none: somebody removed it.
    pub(super) was_removed: bool,
}

/// A source that another one holds, or that is another one.
#[derive(Debug)]
struct Repeated {
    path: PathBuf,
    holder: PathBuf,
    is_holder: bool,
}

impl Setup {
    /// Whether the destination has to hold a manifest.
    pub(super) fn requires_manifest(&self, options: &CopyOptions) -> bool {
        options.require_manifest || (!options.known.is_empty() && !self.was_removed)
    }

    /// Where a manifest has to be, nothing is made, not even the directory for it.
    fn must_hold_a_manifest(&self, options: &CopyOptions) -> Result<(), Error> {
        match source::stat_follow(&self.root) {
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound
                    && self.requires_manifest(options) =>
            {
                Err(no_manifest(options, &self.root).into())
            }
            _ => Ok(()),
        }
    }

    /// What is to be said of a state that was removed, and of sources that are copied once.
    pub(super) fn notices(&self) -> Vec<String> {
        let removed = self.was_removed.then(|| {
            format!(
                "{} held a copy made by sprag, whose state was removed: it is begun afresh",
                Printable(&self.root)
            )
        });
        let repeated = self.repeated.iter().map(Repeated::notice);
        removed.into_iter().chain(repeated).collect()
    }

    /// Has the walks leave out the destination, which may lie in a source.
    pub(super) fn leave_out_dest(&mut self, fs: &OsFs) -> std::io::Result<()> {
        let id = fs.stat_dir(&fs.root())?.id();
        for source in &mut self.sources {
            source.leave_out(&self.root, id);
        }
        Ok(())
    }

    /// The sources, held open. One that may not be read, or has vanished, will be told of when it is read.
    pub(super) fn source_roots(&self) -> Result<Vec<source::SourceRoot>, Error> {
        use std::io::ErrorKind::{NotFound, PermissionDenied};
        let mut roots = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            match source::SourceRoot::of(&source.path, source.held.as_ref()) {
                Ok(root) => roots.push(root),
                Err(error) if [NotFound, PermissionDenied].contains(&error.kind()) => {}
                Err(error) => {
                    let path = source.path.clone();
                    return Err(SetupError::Source {
                        path,
                        source: error,
                    }
                    .into());
                }
            }
        }
        Ok(roots)
    }
}

impl Repeated {
    fn notice(&self) -> String {
        let path = Printable(&self.path);
        if self.is_holder {
            format!("{path} is named more than once: it is copied once")
        } else {
            let holder = Printable(&self.holder);
            format!("{path} is in {holder}, which is copied as well: it is copied once")
        }
    }
}

/// A source as it was given, looked at.
struct Given {
    path: PathBuf,
    /// It means the contents, not the directory itself.
    contents: bool,
    stat: Stat,
    held: Option<Held>,
}

impl Given {
    /// Whether this very entry, and no other name of its inode, is at a path in the directory `dir`.
    fn is_at(&self, path: &Path, dir: FileId) -> bool {
        let is_same = source::lstat(path).is_ok_and(|there| there.id() == self.stat.id());
        // Several names of a file are several entries.
        let has_one_name = self.stat.nlink == 1 || self.stat.kind == Kind::Dir;
        let is_this_name = || {
            let parent = source::stat_follow(&parent_of(&self.path));
            let same_dir = parent.is_ok_and(|parent| parent.id() == dir);
            same_dir && self.path.file_name() == path.file_name()
        };
        is_same && (has_one_name || is_this_name())
    }
}

/// Resolves sources and destination, and makes the destination directory if only that is missing.
pub(super) fn resolve(options: &CopyOptions) -> Result<Setup, Error> {
    let given = look_at(options)?;
    let dest = &options.dest;
    let single_file = match &given[..] {
        [only] => !only.contents && only.stat.kind == Kind::File,
        _ => false,
    };
    let names_directory = dest.as_os_str().as_bytes().ends_with(b"/");
    let there = match source::stat_follow(dest) {
        Ok(stat) => Some(stat.kind),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => return Err(cannot_use(dest, source)),
    };
    let as_file = match there {
        Some(Kind::Dir) => false,
        Some(_) if single_file => true,
        Some(_) => return Err(SetupError::DestNotDir { path: dest.clone() }.into()),
        None => single_file && !names_directory,
    };
    let (root, file_name) = if as_file {
        let name = dest
            .file_name()
            .ok_or_else(|| SetupError::DestNotDir { path: dest.clone() })?;
        (parent_of(dest), Some(name))
    } else {
        (dest.clone(), None)
    };
    let was_removed = was_removed(options, &root);
    let setup = Setup {
        root,
        sources: Vec::new(),
        repeated: Vec::new(),
        was_removed,
    };
    setup.must_hold_a_manifest(options)?;
    let root = &setup.root;
    check_overlap(&given, root, file_name)?;
    if there.is_none() && !as_file && !options.dry_run {
        match source::make_dir(dest) {
            // Another run that starts now was faster; what is there is looked at when opened.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => made.map_err(|error| missing_or(dest, error))?,
        }
    }
    let (sources, repeated) = sources_of(&given, file_name)?;
    Ok(Setup {
        sources,
        repeated,
        ..setup
    })
}

/// Whether a destination that is known to have held a copy is where it was, and holds none.
fn was_removed(options: &CopyOptions, root: &Path) -> bool {
    if options.known.is_empty() || manifest::nearest([root].into_iter()).is_some() {
        return false;
    }
    let here = Place::of(root);
    options.known.iter().any(|known| known.place.is_same(&here))
}

/// The refusal of a destination without a manifest.
pub(super) fn no_manifest(options: &CopyOptions, root: &Path) -> SetupError {
    match options.known.is_empty() {
        false => SetupError::ManifestLost {
            path: root.to_path_buf(),
        },
        true => manifest::no_manifest(root),
    }
}

/// Resolves sources alone; the destination is a directory that is known to be good.
pub(super) fn resolve_onto_root(options: &CopyOptions) -> Result<Setup, Error> {
    let given = look_at(options)?;
    let (sources, repeated) = sources_of(&given, None)?;
    Ok(Setup {
        root: options.dest.clone(),
        sources,
        repeated,
        was_removed: false,
    })
}

fn look_at(options: &CopyOptions) -> Result<Vec<Given>, Error> {
    let sources = &options.sources;
    if sources.is_empty() {
        return Err(UsageError::NoSource.into());
    }
    let listed = options.selection.files_from.is_some();
    if options.remove_source_files && options.delete.is_some() {
        return Err(UsageError::DeleteWithRemove.into());
    }
    if listed && options.delete.is_some() {
        return Err(UsageError::DeleteWithList.into());
    }
    let names_nothing = |list: &FileList| list.paths().is_empty();
    if options
        .selection
        .files_from
        .as_ref()
        .is_some_and(names_nothing)
    {
        return Err(SetupError::NothingSelected.into());
    }
    if listed && sources.len() > 1 {
        let given = sources.len();
        return Err(UsageError::FilesFromSources { given }.into());
    }
    let look = |path: &PathBuf| {
        // What a list names is relative to the source, with or without its slash.
        let contents = listed || means_contents(path);
        let looked = source::look_and_hold(path, contents);
        let (stat, held) = looked.map_err(|source| SetupError::Source {
            path: path.clone(),
            source,
        })?;
        if listed && stat.kind != Kind::Dir {
            return Err(SetupError::Source {
                path: path.clone(),
                source: std::io::ErrorKind::NotADirectory.into(),
            }
            .into());
        }
        Ok(Given {
            path: path.clone(),
            contents,
            stat,
            held,
        })
    };
    sources.iter().map(look).collect()
}

/// The sources, each once, and what was named more than once. Entries that two of them have are left to the
/// first by the walk.
fn sources_of(
    given: &[Given],
    file_name: Option<&OsStr>,
) -> Result<(Vec<Source>, Vec<Repeated>), Error> {
    let (mut sources, mut repeated) = (Vec::<Source>::new(), Vec::new());
    for given in given {
        let looked = (given.stat, given.held.clone());
        let source = Source::resolve(&given.path, given.contents, &looked, file_name)?;
        let overlap = sources.iter().find_map(|other| {
            if other.holds(&source) {
                Some((&source, other))
            } else {
                source.holds(other).then_some((other, &source))
            }
        });
        let mut is_known = false;
        if let Some((inner, holder)) = overlap {
            is_known = inner.dest == holder.dest;
            repeated.push(Repeated {
                path: inner.path.clone(),
                holder: holder.path.clone(),
                is_holder: is_known,
            });
        }
        if !is_known {
            sources.push(source);
        }
    }
    Ok((sources, repeated))
}

/// Refuses a destination inside sprag's own state, one that is a source, and one that holds a source under
/// the name that its copy would get. Directories are compared, not paths. One that lies in a
/// source the walk leaves out.
fn check_overlap(given: &[Given], root: &Path, file_name: Option<&OsStr>) -> Result<(), Error> {
    let dest = resolved(root)?;
    if let Some(of) = manifest::whose_state(&dest) {
        return Err(SetupError::DestInState {
            dest: root.to_path_buf(),
            of: of.to_path_buf(),
        }
        .into());
    }
    // One that has to be made is no source and holds none.
    let Some(dest_id) = found(source::stat_follow(root)).ok().flatten() else {
        return Ok(());
    };
    for given in given {
        let (dest, source_path) = (root.to_path_buf(), given.path.clone());
        if given.stat.id() == dest_id.id() {
            return Err(SetupError::DestIsSource { dest, source_path }.into());
        }
        let name = file_name.or(given.path.file_name());
        let name = name.filter(|_| !given.contents);
        if name.is_some_and(|name| given.is_at(&root.join(name), dest_id.id())) {
            return Err(SetupError::OntoItself { dest, source_path }.into());
        }
    }
    Ok(())
}

/// The canonical path of a directory that may still have to be made.
fn resolved(root: &Path) -> Result<PathBuf, Error> {
    match source::canonicalize(root) {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let parent =
                source::canonicalize(&parent_of(root)).map_err(|error| missing_or(root, error))?;
            Ok(match root.components().next_back() {
                Some(Component::Normal(name)) => parent.join(name),
                _ => parent,
            })
        }
        Err(error) => Err(cannot_use(root, error)),
    }
}

fn missing_or(dest: &Path, error: std::io::Error) -> Error {
    let parent = parent_of(dest);
    // Some file systems, such as /proc, answer with the same error where nothing can be made.
    let is_missing = || source::stat_follow(&parent).is_err();
    if error.kind() == std::io::ErrorKind::NotFound && is_missing() {
        let path = dest.to_path_buf();
        return SetupError::DestParentMissing { path, parent }.into();
    }
    cannot_use(dest, error)
}

fn cannot_use(path: &Path, source: std::io::Error) -> Error {
    let path = path.to_path_buf();
    SetupError::Dest { path, source }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_means_its_contents_exactly_when_it_does_to_rsync() {
        for path in ["a/", "a/.", ".", "..", "a/..", "/", "a//"] {
            assert!(means_contents(Path::new(path)), "{path}");
        }
        for path in ["a", "a/b", ".a", "a.", "...", "/a"] {
            assert!(!means_contents(Path::new(path)), "{path}");
        }
    }
}
