//! A manifest that is damaged and was read all the same: how much of it, and what that is worth.

use std::fmt;

use serde::Serialize;

use crate::size::Size;

/// What is wrong with a manifest, and what of it and of its copy could be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ManifestDamage {
    /// What is wrong with it, in words.
    pub detail: String,
    /// Whether every record that counts was read all the same.
    pub complete: bool,
    /// Its copy, `.sprag/manifest.bak`.
    pub copy: ManifestCopy,
    /// Records that were read.
    pub records_read: u64,
    /// Places in the manifest that cannot be read.
    pub places_lost: u64,
    /// Their bytes.
    pub bytes_lost: u64,
    /// Places in its copy that cannot be read.
    pub copy_places_lost: u64,
    /// Their bytes.
    pub copy_bytes_lost: u64,
}

/// What there is of a manifest's copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ManifestCopy {
    /// There is none, or one of another manifest.
    None,
    /// All of it can be read.
    Whole,
    /// Some of it can be read.
    Damaged,
    /// The manifest itself has every record, so its copy was not read.
    Unused,
    /// The manifest is kept elsewhere than in its destination, where it has none.
    Elsewhere,
}

impl ManifestDamage {
    /// What to know before anything that is read from it.
    pub fn short(&self) -> String {
        let what = match (self.complete, self.copy) {
            (true, ManifestCopy::Whole) => "its copy is read in its place",
            (true, _) => "all of its records can be read",
            (false, _) => "what can still be read of it and of its copy is used, which is not all",
        };
        format!("{}; {what}", self.detail)
    }

    fn lost(&self) -> String {
        let places = |places: u64, bytes: u64| match places {
            1 => format!("{} in 1 place", Size(bytes)),
            _ => format!("{} in {places} places", Size(bytes)),
        };
        let of_copy = match self.copy {
            ManifestCopy::Damaged => format!(
                " and {} of its copy",
                places(self.copy_places_lost, self.copy_bytes_lost)
            ),
            _ => String::new(),
        };
        let lost = places(self.places_lost, self.bytes_lost);
        format!("{lost} of the manifest{of_copy} cannot be read")
    }
}

impl fmt::Display for ManifestDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.detail)?;
        match (self.complete, self.copy) {
            (true, ManifestCopy::Whole) => f.write_str(
                "Nothing is lost by that: its copy, .sprag/manifest.bak, was used in its place. \
                 The next `sprag copy` puts the copy in its place for good",
            ),
            (true, ManifestCopy::Elsewhere) => {
                f.write_str("Nothing is lost by that: all of its records can be read")
            }
            (true, _) => f.write_str(
                "Nothing is lost by that: all of its records can be read. `sprag verify --rebuild` \
                 or `sprag copy --restart` makes a new one",
            ),
            (false, copy) => {
                write!(
                    f,
                    "{} records were read; {}. What they said is not known: this is not \
                     everything, and what stands there without a record counts as unknown. ",
                    self.records_read,
                    self.lost()
                )?;
                f.write_str(match copy {
                    ManifestCopy::Whole => {
                        "The next `sprag copy` puts the copy, .sprag/manifest.bak, in place of \
                         the manifest and takes over what is whole"
                    }
                    ManifestCopy::Elsewhere => "Name another copy of it, if there is one",
                    _ => {
                        "`sprag verify --rebuild --from SOURCE` makes a new manifest from a good \
                         source; `sprag copy --restart` begins a new one and takes over the files \
                         that are whole"
                    }
                })
            }
        }
    }
}
