//! The command lines of what looks at a destination without copying: `status`, `export`, `clean`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{OUTPUT, Trust};

/// Show what is done, half done and failed, and what to do next
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  sprag status /mnt/drive")]
pub(crate) struct StatusArgs {
    /// The destination of a copy
    #[arg(value_name = "DEST")]
    pub(crate) dest: PathBuf,

    /// Read this manifest, which is kept elsewhere than in DEST
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,

    /// Print one JSON line on standard output, as docs/JSON.md describes it
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) json: bool,
}

/// Write what was copied as a list for other tools
///
/// One line a finished file, paths relative to DEST. A list of SHA-256 and a bag read every file
/// back; one whose content is not as recorded is named and left out.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  A list for b3sum --check:          sprag export -o sums.b3 /mnt/drive
  Check it:                          cd /mnt/drive && b3sum --check ~-/sums.b3
  A list for sha256sum --check:      sprag export --format sha256 -o SHA256SUMS /mnt/drive
  A bag of hard links:               sprag export --format bagit -o /mnt/drive-bag /mnt/drive")]
pub(crate) struct ExportArgs {
    /// The destination of a copy
    #[arg(value_name = "DEST")]
    pub(crate) dest: PathBuf,

    /// Read this manifest, which is kept elsewhere than in DEST
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,

    /// The form of the list
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::B3sum, help_heading = OUTPUT)]
    pub(crate) format: Format,

    /// Write to FILE instead of standard output; the directory of a bag
    ///
    /// FILE appears only once the list is whole. A bag is made in an empty or new directory on the file
    /// system of DEST, its payload of hard links; or in DEST itself, if all that was copied is below
    /// DEST/data.
    #[arg(short, long, value_name = "FILE", required_if_eq("format", "bagit"), help_heading = OUTPUT)]
    pub(crate) output: Option<PathBuf>,
}

/// The form of an exported list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For b3sum --check, from the manifest alone
    B3sum,
    /// For sha256sum --check; reads every file and compares it with its BLAKE3 hash
    Sha256,
    /// A BagIt bag with SHA-256, as archives take them in
    Bagit,
    /// One JSON object an entry, as docs/JSON.md describes them
    Json,
}

/// Remove half-copied files and, with --all, sprag's own state
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  sprag clean /mnt/drive")]
pub(crate) struct CleanArgs {
    /// The destination of a copy
    #[arg(value_name = "DEST")]
    pub(crate) dest: PathBuf,

    /// Also remove the manifest: the copy can then be neither resumed nor verified
    #[arg(long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) trust: Trust,

    /// Print one JSON line on standard output, as docs/JSON.md describes it
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) json: bool,
}
