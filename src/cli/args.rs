//! The raw command line, as clap reads it. What the values mean together is for `options`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};

use super::checks::Checks;
use super::guard::{Guards, Trust};
use super::manual::{CompletionsArgs, ManArgs};
use super::neighbour::Neighbour;
use super::operands::Operands;
use super::record::RecordArgs;
use super::units;

mod inspect;

pub(crate) use inspect::{CleanArgs, ExportArgs, Format, StatusArgs};

const RESUME: &str = "Resume and durability";
const CONTENT: &str = "What is copied";
const SPEED: &str = "Speed";
const SCOPE: &str = "What is checked";
const REPAIR: &str = "Repair";
const OUTPUT: &str = "Output";

/// Resumable file copy with integrity verification
///
/// Copies directory trees, usually onto external drives, and never loses ground: rerun the same
/// command after an unplug, a crash, a power cut or Ctrl-C and it goes on inside the file where it
/// stopped. Every block it copies has a BLAKE3 hash, so that the copy can be verified now, or years
/// later with nothing but the drive in hand.
#[derive(Debug, Parser)]
#[command(
    name = "sprag",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_long_help = "\
Exit codes:
   0  everything asked for is done and durable
   1  wrong usage
   3  source or destination cannot be used, or nothing is left to copy or verify
  11  an I/O error ended the run (disk full, read-only, failing device)
  20  stopped; progress saved, rerun to resume
  23  finished, but some entries failed; each is listed
  24  finished, but some source files vanished or kept changing
  25  finished, but --delete stopped at --max-delete
  40  damage found, by verify or export
  41  another sprag holds the destination
  42  the device is gone; progress saved
  43  refused before writing: DEST has no room, or cannot hold some names, sizes or kinds
  44  the manifest is damaged

Example:
  sprag copy ~/Photos /mnt/drive && sprag verify /mnt/drive"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Copy(CopyArgs),
    Verify(VerifyArgs),
    Status(StatusArgs),
    Export(ExportArgs),
    Clean(CleanArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// Copy, or continue a copy
///
/// Copies every SOURCE into the directory DEST. SOURCE/ with a slash means its contents, SOURCE
/// without one means the directory itself. One regular file and a DEST that is no directory: DEST
/// names the new file. The same command again continues where the last one stopped.
#[derive(Debug, Args)]
#[command(
    override_usage = "sprag copy [OPTIONS] <SOURCE>... <DEST>",
    arg = clap::Arg::new("archive")
        .short('a')
        .visible_short_alias('r')
        .long("archive")
        .action(clap::ArgAction::SetTrue)
        .help("Changes nothing: directories are copied with all they hold and all metadata in any case")
        .help_heading(CONTENT)
)]
#[command(after_long_help = "\
Examples:
  Copy, and see each entry:          sprag copy -v ~/Photos /mnt/drive
  Continue after an unplug:          sprag copy --require-manifest ~/Photos /mnt/drive
  Read back what was copied:         sprag copy --verify ~/Photos /mnt/drive
  Lose less to a power cut:          sprag copy --checkpoint-interval 1s ~/Photos /mnt/drive
  As root, but own all copies:       sprag copy --no-owner /home/ann/ /mnt/drive
  Spare a slow disk:                 sprag copy -j 1 ~/Photos /mnt/drive
  See what that would do:            sprag copy -n --delete ~/Photos/ /mnt/drive/Photos
  Make DEST a mirror of ~/Photos:    sprag copy --delete ~/Photos/ /mnt/drive/Photos
  Leave out caches and logs:         sprag copy --exclude=.cache/ --exclude='*.log' ~ /mnt/drive
  Copy what a list names:            find . -type f -newer mark | sprag copy --files-from=- . /mnt/drive
  Records for whoever signs it off:  sprag copy --log-file=log --report=copy.html a b
  Lines for a program to read:       sprag copy --json ~/Photos /mnt/drive

On a terminal p pauses and goes on, and q saves and stops. Ctrl-C saves and stops too; once more, it
stops at once. SIGUSR1 makes a checkpoint and prints a status line.")]
pub(crate) struct CopyArgs {
    #[command(flatten)]
    pub(crate) operands: Operands,

    /// Forget all progress and begin again
    #[arg(long, help_heading = RESUME)]
    pub(crate) restart: bool,

    /// Refuse a destination that holds no sprag manifest
    ///
    /// Guards against a drive that is not mounted: without its manifest nothing is written.
    #[arg(long, help_heading = RESUME)]
    pub(crate) require_manifest: bool,

    /// Copy files all the same that rotted at a source which sprag wrote
    ///
    /// A source with a manifest of its own, at it or above it, is compared with that while it is read.
    /// A file whose content is not as recorded though its size and time are is otherwise not copied.
    #[arg(long, help_heading = CONTENT)]
    pub(crate) accept_source_rot: bool,

    /// Read every copied file back from the medium
    ///
    /// Files are read back when they are durable, while the copying goes on. One that is not as it was
    /// written is copied again, up to 3 times. Success then means that everything reads back right.
    #[arg(long, help_heading = RESUME)]
    pub(crate) verify: bool,

    #[command(flatten)]
    pub(crate) guards: Guards,

    #[command(flatten)]
    pub(crate) trust: Trust,

    /// Hash and resume in blocks of SIZE [default: 1M]
    ///
    /// A power of two from 64K to 64M. It is fixed when a destination is begun.
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size, help_heading = RESUME)]
    pub(crate) block_size: Option<u64>,

    /// Make what was copied durable at least this often [default: 5s]
    ///
    /// Such as 500ms, 5s or 2m.
    #[arg(long, value_name = "DURATION", value_parser = units::parse_interval, help_heading = RESUME)]
    pub(crate) checkpoint_interval: Option<std::time::Duration>,

    /// Make what was copied durable after this many bytes [default: 128M]
    ///
    /// Such as 64K, 1M, 1MiB or 1048576.
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size, help_heading = RESUME)]
    pub(crate) checkpoint_size: Option<u64>,

    /// Try again N times what failed with an error that may pass [default: 3]
    ///
    /// Reading a source (an I/O error, a time-out, a busy or stale file), and names at the
    /// destination that are busy. The wait doubles from 250 ms up to 15 s. What failed to be written
    /// is never tried again in the same run; rerun to go on.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000), help_heading = RESUME)]
    pub(crate) retries: Option<u32>,

    /// Leave out what DEST can never hold, instead of refusing to copy
    ///
    /// Such as files of 4 GiB on FAT32, or names with a colon on exFAT. Each is reported, and the
    /// exit code is 23.
    #[arg(long, help_heading = CONTENT)]
    pub(crate) skip_unsupported: bool,

    /// Do not give copies the owner and group of their source
    ///
    /// Only root can give them; for anyone else this changes nothing.
    #[arg(long, help_heading = CONTENT)]
    pub(crate) no_owner: bool,

    /// Do not give copies the permissions and ACLs of their source
    ///
    /// New ones get what the umask leaves of their source's permissions.
    #[arg(long, help_heading = CONTENT)]
    pub(crate) no_perms: bool,

    /// Do not give copies the times of their source
    #[arg(long, help_heading = CONTENT)]
    pub(crate) no_times: bool,

    /// Do not give copies the extended attributes of their source
    #[arg(long, help_heading = CONTENT)]
    pub(crate) no_xattrs: bool,

    /// Turn runs of zeros into holes
    ///
    /// The holes of a source are kept in any case.
    #[arg(long, help_heading = CONTENT)]
    pub(crate) sparse: bool,

    /// Copy each name of a hard-linked file as a file of its own
    #[arg(long, help_heading = CONTENT)]
    pub(crate) no_hard_links: bool,

    #[command(flatten)]
    pub(crate) selection: super::selection::SelectionArgs,

    #[command(flatten)]
    pub(crate) existing: super::selection::ExistingArgs,

    #[command(flatten)]
    pub(crate) delete: super::selection::DeleteArgs,

    #[command(flatten)]
    pub(crate) record: RecordArgs,

    #[command(flatten)]
    pub(crate) dry: super::selection::DryRunArgs,

    #[command(flatten)]
    pub(crate) common: Common,

    /// Print every figure of the summary at the end, one a line
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) stats: bool,
}

/// Check what is on DEST against its manifest
///
/// Reads every block of every recorded file from the medium and compares its hash. Only DEST is
/// needed, not the sources.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  Check all of a drive:              sprag verify /mnt/drive
  Check one directory of it:         sprag verify /mnt/drive Photos/2024
  Also list what sprag did not copy: sprag verify --extra /mnt/drive
  Read one file at a time:           sprag verify -j 1 /mnt/drive
  Repair it from what was copied:    sprag verify --repair --from ~/Photos /mnt/drive
  Make a lost manifest anew:         sprag verify --rebuild --from ~/Photos /mnt/drive
  Check against a list from b3sum:   sprag verify --check sums.b3 /mnt/drive
  Read a twentieth of it:            sprag verify --sample 5% /mnt/drive
  By a manifest kept elsewhere:     sprag verify --manifest drive.manifest /mnt/drive
  Once a year, in several evenings:  sprag verify --older-than 300d /mnt/drive
  Lines for a program to read:       sprag verify --json /mnt/drive")]
#[command(group = ArgGroup::new("mend").args(["repair", "rebuild"]))]
#[command(group = ArgGroup::new("good").args(["from", "check"]))]
pub(crate) struct VerifyArgs {
    /// The destination of the copy: the directory that holds `.sprag`
    #[arg(value_name = "DEST")]
    pub(crate) dest: PathBuf,

    /// Check only these, and what is below them; relative to DEST
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// Compare with a checksum list that another tool made, instead of the manifest
    ///
    /// LIST is from b3sum, sha256sum, openssl or the like, with BLAKE3 or SHA-256 hashes and paths relative to
    /// DEST. Files that it does not name are counted as extra. No manifest is needed. With - it is read from
    /// standard input.
    #[arg(long, value_name = "LIST", help_heading = SCOPE)]
    pub(crate) check: Option<PathBuf>,

    /// Repair what is damaged or missing from the source that --from names
    ///
    /// Only bad blocks are read from the source, and none is written that is not what was copied. What
    /// was edited, here or at the source, is left alone and named.
    #[arg(long, requires = "from", conflicts_with = "check", help_heading = REPAIR)]
    pub(crate) repair: bool,

    /// Build a new manifest, where it is lost or damaged, from the source that --from names or from a
    /// list that --check names
    ///
    /// All of DEST is read. What is there as it should be is recorded; all else is named and left as
    /// it is. A manifest that is whole is never replaced, a damaged one is kept under another name.
    #[arg(long, requires = "good", conflicts_with_all = ["repair", "paths"], help_heading = REPAIR)]
    pub(crate) rebuild: bool,

    /// What DEST was copied from: the SOURCE of the copy, with or without its slash
    #[arg(long, value_name = "SOURCE", requires = "mend", conflicts_with = "check", help_heading = REPAIR)]
    pub(crate) from: Vec<PathBuf>,

    /// Do not ask whether drives should be mounted where the SOURCEs are
    #[arg(long, requires = "from", help_heading = REPAIR)]
    pub(crate) no_mount_check: bool,

    /// List the entries that the manifest does not know
    ///
    /// They are always counted.
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) extra: bool,

    #[command(flatten)]
    pub(crate) rules: super::selection::VerifyRules,

    #[command(flatten)]
    pub(crate) checks: Checks,

    #[command(flatten)]
    pub(crate) trust: Trust,

    #[command(flatten)]
    pub(crate) record: RecordArgs,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// Flags that `copy` and `verify` share.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Work on N files at a time, large or small [default: chosen by the device]
    ///
    /// Unless told otherwise eight, of which as many as there are processors, but at most four (and for a
    /// copy at least two), may be of 1 MiB or more; one, if a device that is read or written has to seek:
    /// hard disks, and USB drives, which mostly say that they do. -v says what was chosen, and why.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256), help_heading = SPEED)]
    pub(crate) jobs: Option<u16>,

    #[command(flatten)]
    pub(crate) neighbour: Neighbour,

    /// List each entry and what became of it
    #[arg(short, long, help_heading = OUTPUT)]
    pub(crate) verbose: bool,

    /// Print only what went wrong
    #[arg(short, long, conflicts_with = "verbose", help_heading = OUTPUT)]
    pub(crate) quiet: bool,

    /// Print JSON lines on standard output, as docs/JSON.md describes them
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) json: bool,

    /// Show no progress
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) no_progress: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::help;

    #[test]
    fn the_definition_has_no_contradiction() {
        help::definition().debug_assert();
    }

    fn operands(words: &[&str]) -> (Vec<String>, String) {
        let argv = ["sprag", "copy"].iter().chain(words);
        let Command::Copy(args) = Cli::try_parse_from(argv).unwrap().command else {
            panic!("another command");
        };
        let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
        let sources = args.operands.sources.iter().map(text);
        (sources.collect(), text(&args.operands.dest))
    }

    #[test]
    fn the_last_path_is_the_destination_wherever_the_options_end() {
        for (words, sources, dest) in [
            (&["a", "b/", "c"][..], &["a", "b/"][..], "c"),
            (&["a", "-v", "c"], &["a"], "c"),
            (&["--", "-n", "-d"], &["-n"], "-d"),
            (&["a", "--", "-n", "-d"], &["a", "-n"], "-d"),
            (&["a", "--", "-d"], &["a"], "-d"),
            (&["--", "a", "--", "-h"], &["a", "--"], "-h"),
        ] {
            let expected: Vec<String> = sources.iter().map(ToString::to_string).collect();
            assert_eq!(operands(words), (expected, dest.to_owned()), "{words:?}");
        }
    }
}
