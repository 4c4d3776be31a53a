//! The flags that select entries. `--exclude`, `--include` and `--exclude-from` count in the order in
//! which they stand on the command line, across all three.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use sprag::error::{Error, PathError, UsageError};
use sprag::file_list::FileList;
use sprag::filter::{Filter, FilterError, Rules};
use sprag::fs::source;
use sprag::{Delete, Existing, Selection};

use super::units;

const HEADING: &str = "Selection";
const DELETING: &str = "Deleting";
/// Standard input or output, where a file is asked for.
pub(crate) const STD_STREAM: &str = "-";

#[derive(Debug, Args)]
pub(crate) struct SelectionArgs {
    #[command(flatten)]
    rules: RuleArgs,

    /// Copy only what FILE names, one path a line, relative to SOURCE; - is standard input
    ///
    /// A directory is copied with all that is in it. Empty lines and those that begin with # or ;
    /// are passed over. The directories that lead to a path are made as they are in SOURCE.
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    files_from: Option<PathBuf>,

    /// NUL instead of a line break ends a path of --files-from, and a rule of --exclude-from
    #[arg(short = '0', long, help_heading = HEADING)]
    from0: bool,

    /// Stay on the file system of each SOURCE
    ///
    /// Directories on which another one is mounted are made, and stay empty.
    #[arg(short = 'x', long, help_heading = HEADING)]
    one_file_system: bool,

    /// Leave out files of more than SIZE
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size, help_heading = HEADING)]
    max_size: Option<u64>,

    /// Leave out files of less than SIZE
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size, help_heading = HEADING)]
    min_size: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct ExistingArgs {
    /// Leave alone files at DEST that are newer than their source
    #[arg(short, long, help_heading = HEADING)]
    update: bool,

    /// Leave alone everything that exists at DEST, directories aside
    #[arg(long, help_heading = HEADING)]
    ignore_existing: bool,

    /// Leave alone files at DEST that have the size of their source
    #[arg(long, help_heading = HEADING)]
    size_only: bool,

    /// Compare the content of files of the same size, not their times
    ///
    /// Both sides are read, DEST from the medium.
    #[arg(short, long, help_heading = HEADING)]
    checksum: bool,
}

impl ExistingArgs {
    pub(crate) fn rules(&self) -> Existing {
        Existing {
            update: self.update,
            ignore: self.ignore_existing,
            size_only: self.size_only,
            checksum: self.checksum,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Delete at DEST what SOURCE does not have, in the directories that were copied
    ///
    /// It is done last, when everything else is durable, and only if all of SOURCE could be walked.
    /// What a rule leaves out of SOURCE is not deleted. An entry that SOURCE does not have is
    /// deleted whoever put it there; try --dry-run first.
    #[arg(long, help_heading = DELETING)]
    delete: bool,

    /// Delete before anything is copied, to make room for it (implies --delete)
    ///
    /// All of SOURCE is walked first, and what is deleted is the same. What replaces it is not yet
    /// there then: for as long as the copy takes, DEST has less than both had.
    #[arg(long, help_heading = DELETING)]
    delete_before: bool,

    /// Delete, too, what the rules leave out (implies --delete)
    #[arg(long, help_heading = DELETING)]
    delete_excluded: bool,

    /// Delete at most N entries; exit with 25 if there are more
    #[arg(long, value_name = "N", help_heading = DELETING)]
    max_delete: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct DryRunArgs {
    /// List what would be done, and touch nothing
    ///
    /// With -v also what would stay as it is. Content is not compared: a file that would be
    /// compared is listed as adopted. What the destination cannot hold is refused as by a copy (43),
    /// though nothing is tried there: what is known of its file system has to do.
    #[arg(short = 'n', long, help_heading = HEADING)]
    pub(crate) dry_run: bool,

    /// Remove each source file once its copy is durable and was read back
    ///
    /// It is done last. The copy is read from the medium and the source once more; both have to be
    /// as they were when it was copied. Files that were there before are removed, too; what a rule
    /// leaves out or alone stays, and so do directories.
    #[arg(long, help_heading = DELETING)]
    pub(crate) remove_source_files: bool,
}

impl DeleteArgs {
    pub(crate) fn rules(&self) -> Option<Delete> {
        let is_wanted = self.delete || self.delete_before || self.delete_excluded;
        is_wanted.then_some(Delete {
            excluded: self.delete_excluded,
            max: self.max_delete,
            before: self.delete_before,
        })
    }
}

impl SelectionArgs {
    /// Reads the files that are named, and checks what they say.
    pub(crate) fn read(&self) -> Result<Selection, Error> {
        let files_from = match &self.files_from {
            Some(path) => {
                let list = FileList::new(&read(path)?, self.from0);
                Some(list.map_err(UsageError::from)?)
            }
            None => None,
        };
        Ok(Selection {
            filter: self.rules.read(self.from0)?,
            files_from,
            one_file_system: self.one_file_system,
            max_size: self.max_size,
            min_size: self.min_size,
        })
    }
}

/// The rules alone, for a command that takes no sources.
#[derive(Debug, Args)]
pub(crate) struct VerifyRules {
    #[command(flatten)]
    rules: RuleArgs,
}

impl VerifyRules {
    /// Reads the files that are named, and checks what they say.
    pub(crate) fn read(&self) -> Result<Filter, Error> {
        self.rules.read(false)
    }
}

impl RuleArgs {
    fn read(&self, from0: bool) -> Result<Filter, Error> {
        let mut rules = Rules::new();
        for rule in &self.0 {
            match rule {
                RuleArg::Exclude(pattern) => rules.exclude(text(pattern)?),
                RuleArg::Include(pattern) => rules.include(text(pattern)?),
                RuleArg::ExcludeFrom(path) => {
                    let content = read(path)?;
                    let added = rules.exclude_lines(&content, from0);
                    added.map_err(UsageError::from)?;
                }
            }
        }
        Ok(rules.compile().map_err(UsageError::from)?)
    }
}

fn text(pattern: &OsString) -> Result<&str, UsageError> {
    let bytes = pattern.as_encoded_bytes();
    let not_utf8 = || FilterError::NotUtf8(bytes.escape_ascii().to_string());
    pattern.to_str().ok_or_else(|| not_utf8().into())
}

/// All of a file that was given by its name, or of standard input.
pub(crate) fn read_given(path: &Path) -> std::io::Result<Vec<u8>> {
    if path.as_os_str() != STD_STREAM {
        return source::read_whole(path);
    }
    let mut content = Vec::new();
    std::io::stdin().lock().read_to_end(&mut content)?;
    Ok(content)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let content = read_given(path);
    content.map_err(|error| UsageError::Unreadable(PathError::new("read", path, error)).into())
}

/// The rules in the order of the command line.
#[derive(Debug)]
struct RuleArgs(Vec<RuleArg>);

#[derive(Debug, Clone)]
enum RuleArg {
    Exclude(OsString),
    Include(OsString),
    ExcludeFrom(PathBuf),
}

const EXCLUDE: &str = "exclude";
const INCLUDE: &str = "include";
const EXCLUDE_FROM: &str = "exclude-from";

impl Args for RuleArgs {
    fn augment_args(command: Command) -> Command {
        let flag = |name: &'static str, value: &'static str| {
            Arg::new(name)
                .long(name)
                .value_name(value)
                .action(ArgAction::Append)
                .help_heading(HEADING)
        };
        command
            .arg(
                flag(EXCLUDE, "PATTERN")
                    .value_parser(value_parser!(OsString))
                    .help("Leave out what matches PATTERN")
                    .long_help(
                        "Leave out what matches PATTERN\n\nPatterns are those of rsync; docs/FILTERS.md has examples. The first rule that \
                         matches decides, in the order of the command line. A directory that is left out is not \
                         looked into.",
                    ),
            )
            .arg(
                flag(INCLUDE, "PATTERN")
                    .value_parser(value_parser!(OsString))
                    .help("Take what matches PATTERN, though a later rule would leave it out"),
            )
            .arg(
                flag(EXCLUDE_FROM, "FILE")
                    .value_parser(value_parser!(PathBuf))
                    .help("Leave out what the patterns in FILE match, one a line; - is standard input")
                    .long_help(
                        "Leave out what the patterns in FILE match, one a line; - is standard input\n\nEmpty lines and those that begin with # or ; \
                         are passed over. A line that begins with \"+ \" is a rule of --include.",
                    ),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for RuleArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut rules = Vec::new();
        take(matches, EXCLUDE, RuleArg::Exclude, &mut rules);
        take(matches, INCLUDE, RuleArg::Include, &mut rules);
        take(matches, EXCLUDE_FROM, RuleArg::ExcludeFrom, &mut rules);
        rules.sort_by_key(|(at, _)| *at);
        Ok(RuleArgs(rules.into_iter().map(|(_, rule)| rule).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Adds the values of one flag, each with its place on the command line.
fn take<T: Clone + Send + Sync + 'static>(
    matches: &ArgMatches,
    flag: &str,
    rule: fn(T) -> RuleArg,
    rules: &mut Vec<(usize, RuleArg)>,
) {
    if matches.value_source(flag) == Some(ValueSource::CommandLine)
        && let (Some(places), Some(values)) =
            (matches.indices_of(flag), matches.get_many::<T>(flag))
    {
        rules.extend(places.zip(values.cloned().map(rule)));
    }
}
