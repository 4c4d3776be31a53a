//! From raw arguments to validated options, once; nothing behind this parses a string.

use std::num::NonZeroUsize;
use std::path::{Component, Path, PathBuf};

use sprag::block::BlockSize;
use sprag::error::{Error, SetupError, UsageError};
use sprag::fs::{Kind, source};
use sprag::path::Printable;
use sprag::{ChecksumList, CopyOptions, Reading, VerifyOptions};

use super::args::{Common, CopyArgs, VerifyArgs};
use super::screen::Show;
use super::selection::{STD_STREAM, read_given};

/// How a run is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    /// JSON lines instead of text on standard output.
    pub(crate) json: bool,
    /// JSON lines of progress among them.
    pub(crate) json_progress: bool,
    /// A line for each entry.
    pub(crate) verbose: bool,
    /// Nothing but what went wrong.
    pub(crate) quiet: bool,
    /// What to show on standard error.
    pub(crate) show: Show,
}

impl View {
    /// What the flags say together.
    pub(crate) fn new(args: &Common) -> View {
        let silent = args.quiet || args.no_progress;
        View {
            json: args.json,
            json_progress: args.json && !silent,
            verbose: args.verbose,
            quiet: args.quiet,
            show: match silent || args.json {
                true => Show::Hidden,
                false => Show::fitting(),
            },
        }
    }
}

impl View {
    /// The same, but for progress if there is none to tell of.
    pub(crate) fn without_progress(self, none: bool) -> View {
        match none {
            true => View {
                json_progress: false,
                show: Show::Hidden,
                ..self
            },
            false => self,
        }
    }
}

/// What to copy, and how.
pub(crate) fn copy(args: &CopyArgs, view: View) -> Result<CopyOptions, Error> {
    let mut options = CopyOptions::new(args.operands.sources.iter(), &args.operands.dest);
    options.jobs = jobs(&args.common);
    options.block_size = args
        .block_size
        .map(BlockSize::new)
        .transpose()
        .map_err(UsageError::from)?;
    if let Some(bytes) = args.checkpoint_size {
        options.checkpoint_bytes = bytes;
    }
    if let Some(interval) = args.checkpoint_interval {
        options.checkpoint_interval = interval;
    }
    if let Some(retries) = args.retries {
        options.retries = retries;
    }
    options.bytes_per_s = args.common.neighbour.limit();
    options.restart = args.restart;
    options.trust_state = args.trust.trust_state;
    options.require_manifest = args.require_manifest;
    options.verify = args.verify;
    options.accept_source_rot = args.accept_source_rot;
    // The count costs a walk of the source, and only progress has a use for it.
    options.count = view.json_progress || view.show != Show::Hidden;
    // Only who lists all entries wants to hear of them.
    options.tell_unchanged = view.verbose || args.record.log_file.is_some();
    options.skip_unsupported = args.skip_unsupported;
    options.owner = options.owner && !args.no_owner;
    options.selection = args.selection.read()?;
    options.existing = args.existing.rules();
    options.delete = args.delete.rules();
    options.perms = !args.no_perms;
    options.times = !args.no_times;
    options.xattrs = !args.no_xattrs;
    options.hard_links = !args.no_hard_links;
    options.dry_run = args.dry.dry_run;
    options.sparse = args.sparse;
    options.remove_source_files = args.dry.remove_source_files;
    Ok(options)
}

/// What to verify.
pub(crate) fn verify(args: &VerifyArgs) -> anyhow::Result<VerifyOptions> {
    let mut options = VerifyOptions::new(&args.dest);
    options.list = args.check.as_deref().map(list).transpose()?;
    options.rebuild = args.rebuild;
    options.trust_state = args.trust.trust_state;
    options.from.clone_from(&args.from);
    options.manifest.clone_from(&args.checks.manifest);
    options.jobs = jobs(&args.common);
    options.bytes_per_s = args.common.neighbour.limit();
    let checks = &args.checks;
    options.filter = args.rules.read()?;
    options.reading = match (checks.sample, checks.quick) {
        (Some(amount), _) => Reading::Sample {
            amount,
            seed: checks.seed,
        },
        (None, true) => Reading::Metadata,
        (None, false) => Reading::Everything,
    };
    options.against.clone_from(&checks.against);
    options.older_than = checks.older_than;
    options.require_medium = checks.require_medium;
    // What is to be repaired has to be found by this very run.
    options.restart = checks.restart || args.repair;
    options.record = true;
    options.paths = args
        .paths
        .iter()
        .map(|path| below(&args.dest, path))
        .collect::<Result<_, _>>()?;
    // DEST itself is everything.
    if options.paths.iter().any(|path| path.as_os_str().is_empty()) {
        options.paths.clear();
    }
    Ok(options)
}

/// The checksum list at this path, or on standard input.
fn list(path: &Path) -> Result<ChecksumList, Error> {
    let is_file = |path| source::stat_follow(path).is_ok_and(|stat| stat.kind == Kind::File);
    let given = path.to_path_buf();
    if path.as_os_str() != STD_STREAM && is_file(path) {
        return Ok(ChecksumList::File(given));
    }
    match read_given(path) {
        Ok(content) => Ok(ChecksumList::Held(given, content.into())),
        Err(source) => Err(SetupError::List {
            path: given,
            source,
        }
        .into()),
    }
}

pub(crate) fn jobs(args: &Common) -> Option<NonZeroUsize> {
    args.jobs.and_then(|jobs| NonZeroUsize::new(jobs.into()))
}

/// A path that stays inside its destination cannot be made of this one.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is not below {}: give the PATHs to verify relative to DEST, without ..",
    Printable(path),
    Printable(dest)
)]
pub(crate) struct NotBelow {
    path: PathBuf,
    dest: PathBuf,
}

/// `path` relative to `dest`, without the `./` and the trailing slash that a shell may add. An
/// absolute path below an absolute `dest` is taken as well.
fn below(dest: &Path, path: &Path) -> Result<PathBuf, NotBelow> {
    let relative = match path.is_absolute() {
        true => path.strip_prefix(dest).ok(),
        false => Some(path),
    };
    let plain = |path: &Path| {
        let mut kept = path.components().filter(|c| *c != Component::CurDir);
        kept.try_fold(PathBuf::new(), |plain, component| match component {
            Component::Normal(name) => Some(plain.join(name)),
            _ => None,
        })
    };
    relative.and_then(plain).ok_or_else(|| NotBelow {
        path: path.to_path_buf(),
        dest: dest.to_path_buf(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::args::{Cli, Command};
    use super::*;
    use clap::Parser;
    use std::time::Duration;

    fn copy_args(words: &[&str]) -> CopyArgs {
        let argv = ["sprag", "copy"].iter().chain(words);
        match Cli::try_parse_from(argv).unwrap().command {
            Command::Copy(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_flags_the_options_are_the_defaults_of_the_library() {
        let args = copy_args(&["a", "b/", "c"]);
        let options = copy(&args, View::new(&args.common)).unwrap();
        let mut expected = CopyOptions::new(["a", "b/"], "c");
        expected.count = true;
        expected.tell_unchanged = false;
        assert_eq!(format!("{options:?}"), format!("{expected:?}"));
    }

    #[test]
    fn unchanged_files_are_named_only_to_who_lists_all_entries() {
        for (words, named) in [
            (&["a", "c"][..], false),
            (&["--json", "a", "c"][..], false),
            (&["-v", "a", "c"][..], true),
            (&["--json", "-v", "a", "c"][..], true),
            (&["--log-file=log", "a", "c"][..], true),
        ] {
            let args = copy_args(words);
            let options = copy(&args, View::new(&args.common)).unwrap();
            assert_eq!(options.tell_unchanged, named, "{words:?}");
        }
    }

    #[test]
    fn each_flag_reaches_its_option() {
        let args = copy_args(&[
            "-j4",
            "--restart",
            "--require-manifest",
            "--block-size=64K",
            "--checkpoint-interval=500ms",
            "--checkpoint-size=1MiB",
            "--retries=7",
            "--no-owner",
            "--skip-unsupported",
            "--no-progress",
            "a",
            "c",
        ]);
        let options = copy(&args, View::new(&args.common)).unwrap();
        assert_eq!(options.jobs, NonZeroUsize::new(4));
        assert!(options.restart && options.require_manifest && options.skip_unsupported);
        assert!(!options.owner && !options.count);
        assert_eq!(options.block_size, BlockSize::new(65_536).ok());
        assert_eq!(options.checkpoint_interval, Duration::from_millis(500));
        assert_eq!(options.checkpoint_bytes, 1 << 20);
        assert_eq!(options.retries, 7);
    }

    #[test]
    fn a_block_size_that_is_none_is_refused_in_the_words_of_the_library() {
        let args = copy_args(&["--block-size=3M", "a", "c"]);
        let error = copy(&args, View::new(&args.common)).unwrap_err();
        assert_eq!(error.exit(), sprag::exit::Exit::Usage);
        assert_eq!(
            error.to_string(),
            "block size 3145728 is not a power of two from 64 KiB to 64 MiB"
        );
    }

    #[test]
    fn json_and_quiet_and_no_progress_hide_the_bar() {
        for (words, json_progress) in [
            (&["--json", "a", "c"][..], true),
            (&["--json", "--no-progress", "a", "c"][..], false),
            (&["--json", "-q", "a", "c"][..], false),
            (&["-q", "a", "c"][..], false),
            (&["--no-progress", "a", "c"][..], false),
        ] {
            let view = View::new(&copy_args(words).common);
            assert_eq!(view.show, Show::Hidden, "{words:?}");
            assert_eq!(view.json_progress, json_progress, "{words:?}");
        }
    }

    #[test]
    fn paths_to_verify_are_taken_relative_to_the_destination() {
        let dest = Path::new("/mnt/d");
        for (path, plain) in [
            ("a/b/", "a/b"),
            ("./a//b", "a/b"),
            ("/mnt/d/a", "a"),
            ("/mnt/d", ""),
            (".", ""),
        ] {
            assert_eq!(below(dest, Path::new(path)).unwrap(), Path::new(plain));
        }
        for path in ["/mnt/other", "../d", "a/../b"] {
            assert!(below(dest, Path::new(path)).is_err(), "{path}");
        }
    }
}
