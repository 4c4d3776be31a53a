//! The lines of `--json`, as `docs/JSON.md` promises them. Only shapes; printing is for `out`.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use sprag::event::{
    Concurrency, CopySummary, EntryCounts, Outcome, PassedOver, Phase, ReadHow, Recovered,
    VerifySummary,
};
use sprag::exit::Exit;
use sprag::path::RelPath;

mod more;
mod status;

pub(crate) use more::More;
pub(crate) use status::StatusBody;

/// A path: lossy as text and, when that loses something, exact as base64 beside it.
#[derive(Debug, Serialize)]
pub(crate) struct JsonPath {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
}

impl From<&[u8]> for JsonPath {
    fn from(bytes: &[u8]) -> JsonPath {
        let path = String::from_utf8_lossy(bytes).into_owned();
        let exact = path.as_bytes() == bytes;
        JsonPath {
            path,
            path_bytes: (!exact).then(|| STANDARD.encode(bytes)),
        }
    }
}

impl From<&RelPath> for JsonPath {
    fn from(path: &RelPath) -> JsonPath {
        match path.is_root() {
            true => JsonPath::from(&b"."[..]),
            false => JsonPath::from(path.as_bytes()),
        }
    }
}

impl From<&Path> for JsonPath {
    fn from(path: &Path) -> JsonPath {
        JsonPath::from(path.as_os_str().as_bytes())
    }
}

/// One line. The names of the variants are the values of `type`.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Line<'a> {
    Opened {
        #[serde(flatten)]
        what: Opened,
    },
    Concurrency {
        command: &'static str,
        #[serde(flatten)]
        chosen: &'a Concurrency,
    },
    Phase {
        command: &'static str,
        phase: Phase,
    },
    Progress {
        #[serde(flatten)]
        what: Progress,
    },
    Entry {
        #[serde(flatten)]
        path: JsonPath,
        outcome: EntryOutcome,
        #[serde(skip_serializing_if = "Option::is_none")]
        read: Option<ReadHow>,
    },
    Problem {
        #[serde(flatten)]
        path: JsonPath,
        kind: &'a str,
        detail: &'a str,
        #[serde(flatten)]
        more: More,
    },
    Waiting {
        #[serde(flatten)]
        path: JsonPath,
        limit_ms: Option<u64>,
        detail: &'a str,
    },
    Found {
        #[serde(flatten)]
        path: JsonPath,
    },
    Retry {
        #[serde(flatten)]
        path: JsonPath,
        attempt: u32,
        of: u32,
        wait_ms: u64,
        detail: &'a str,
    },
    Compared {
        #[serde(flatten)]
        path: JsonPath,
        source: &'a str,
        dest: &'a str,
    },
    Warning {
        detail: &'a str,
    },
    Error {
        exit_code: Exit,
        detail: &'a str,
    },
    Status {
        #[serde(flatten)]
        what: Box<StatusBody>,
    },
    Summary {
        #[serde(flatten)]
        what: Summary<'a>,
    },
}

#[derive(Debug, Serialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub(crate) enum Opened {
    Copy {
        #[serde(flatten)]
        recovered: Recovered,
    },
    Verify {
        entries_total: u64,
        bytes_total: u64,
        #[serde(flatten)]
        passed: PassedOver,
        #[serde(skip_serializing_if = "Option::is_none")]
        seed: Option<u64>,
    },
    Repair {
        entries_total: u64,
    },
}

#[derive(Debug, Serialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub(crate) enum Progress {
    Copy(Written),
    Repair(Written),
    Verify {
        bytes_read: u64,
        bytes_total: u64,
        elapsed_ms: u64,
    },
}

/// How far a run is that writes.
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    pub(crate) bytes_written: u64,
    pub(crate) bytes_durable: u64,
    pub(crate) bytes_before: u64,
    /// `None` until the count is over.
    pub(crate) entries_total: Option<u64>,
    pub(crate) bytes_total: Option<u64>,
    pub(crate) elapsed_ms: u64,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum EntryOutcome {
    Copy(Outcome),
    Verify(&'static str),
}

/// A source, and how much was compared with it.
#[derive(Debug, Serialize)]
pub(crate) struct Compared {
    #[serde(flatten)]
    path: JsonPath,
    entries_compared: u64,
}

impl Summary<'_> {
    pub(crate) fn verify(figures: &VerifySummary) -> Summary<'_> {
        let sources = figures.sides.sources.iter().map(|source| Compared {
            path: JsonPath::from(&*source.path),
            entries_compared: source.entries_compared,
        });
        Summary::Verify {
            sources: sources.collect(),
            figures,
        }
    }
}

/// Every figure of a summary by its name.
pub(crate) fn figures(summary: &impl Serialize) -> serde_json::Map<String, serde_json::Value> {
    match serde_json::to_value(summary) {
        Ok(serde_json::Value::Object(figures)) => figures,
        _ => serde_json::Map::new(),
    }
}

/// What a repair came to.
#[derive(Debug, Serialize)]
pub(crate) struct RepairFigures {
    pub(crate) exit_code: Exit,
    pub(crate) files_repaired: u64,
    #[serde(flatten, serialize_with = "failed")]
    pub(crate) failed: EntryCounts,
    #[serde(flatten, serialize_with = "left")]
    pub(crate) left: EntryCounts,
    pub(crate) bytes_repaired: u64,
    pub(crate) elapsed_ms: u64,
}

fn failed<S: Serializer>(counts: &EntryCounts, serializer: S) -> Result<S::Ok, S::Error> {
    counts.named("failed", serializer)
}

fn left<S: Serializer>(counts: &EntryCounts, serializer: S) -> Result<S::Ok, S::Error> {
    counts.named("left", serializer)
}

#[derive(Debug, Serialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub(crate) enum Summary<'a> {
    Copy {
        #[serde(flatten)]
        figures: &'a CopySummary,
    },
    Verify {
        #[serde(flatten)]
        figures: &'a VerifySummary,
        /// Those that were compared with.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        sources: Vec<Compared>,
    },
    Repair {
        #[serde(flatten)]
        figures: &'a RepairFigures,
    },
    Clean {
        exit_code: Exit,
        partials_removed: u64,
        bytes_freed: u64,
        state_removed: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use sprag::event::Damage;

    fn text(line: &Line<'_>) -> String {
        serde_json::to_string(line).unwrap()
    }

    #[test]
    fn the_summary_of_a_copy_has_its_fields_in_order() {
        let line = text(&Line::Summary {
            what: Summary::Copy {
                figures: &CopySummary {
                    exit_code: Exit::Partial,
                    files_copied: 1,
                    ..CopySummary::default()
                },
            },
        });
        assert_eq!(
            line,
            r#"{"type":"summary","command":"copy","exit_code":23,"files_copied":1,"files_unchanged":0,"files_adopted":0,"entries_skipped":0,"files_skipped":0,"dirs_skipped":0,"symlinks_skipped":0,"specials_skipped":0,"entries_failed":0,"files_failed":0,"dirs_failed":0,"symlinks_failed":0,"specials_failed":0,"entries_deleted":0,"files_deleted":0,"dirs_deleted":0,"symlinks_deleted":0,"specials_deleted":0,"sources_removed":0,"dirs":0,"symlinks":0,"specials":0,"entries_mended":0,"files_mended":0,"dirs_mended":0,"symlinks_mended":0,"specials_mended":0,"bytes_total":0,"bytes_copied":0,"bytes_resumed":0,"bytes_rehashed":0,"bytes_durable":0,"files_read_back":0,"bytes_read_back":0,"read_direct":0,"read_evicted":0,"read_cached":0,"elapsed_ms":0}"#
        );
    }

    #[test]
    fn the_summary_of_a_verification_has_its_fields_in_order() {
        let line = text(&Line::Summary {
            what: Summary::verify(&VerifySummary::default()),
        });
        assert_eq!(
            line,
            r#"{"type":"summary","command":"verify","exit_code":0,"entries_ok":0,"files_ok":0,"dirs_ok":0,"symlinks_ok":0,"specials_ok":0,"files_sampled":0,"files_unread":0,"files_unproven":0,"files_corrupt":0,"entries_modified":0,"files_modified":0,"dirs_modified":0,"symlinks_modified":0,"specials_modified":0,"entries_metadata":0,"files_metadata":0,"dirs_metadata":0,"symlinks_metadata":0,"specials_metadata":0,"entries_missing":0,"files_missing":0,"dirs_missing":0,"symlinks_missing":0,"specials_missing":0,"entries_incomplete":0,"files_incomplete":0,"dirs_incomplete":0,"symlinks_incomplete":0,"specials_incomplete":0,"entries_unreadable":0,"files_unreadable":0,"dirs_unreadable":0,"symlinks_unreadable":0,"specials_unreadable":0,"entries_unknown":0,"files_unknown":0,"dirs_unknown":0,"symlinks_unknown":0,"specials_unknown":0,"entries_extra":0,"files_extra":0,"dirs_extra":0,"symlinks_extra":0,"specials_extra":0,"entries_before":0,"files_before":0,"dirs_before":0,"symlinks_before":0,"specials_before":0,"before_since_ms":null,"entries_stale":0,"files_stale":0,"dirs_stale":0,"symlinks_stale":0,"specials_stale":0,"entries_recent":0,"files_recent":0,"dirs_recent":0,"symlinks_recent":0,"specials_recent":0,"source_edited":0,"source_rotten":0,"source_missing":0,"source_unreadable":0,"both_changed":0,"blocks_read":0,"blocks_unread":0,"bytes_read":0,"bytes_unread":0,"read_direct":0,"read_evicted":0,"read_cached":0,"elapsed_ms":0,"manifest_damage":null}"#
        );
    }

    #[test]
    fn a_path_that_is_not_utf8_is_given_twice() {
        let line = text(&Line::Problem {
            path: JsonPath::from(&b"caf\xe9/\n\"x"[..]),
            kind: "unreadable",
            detail: "why",
            more: More::default(),
        });
        assert_eq!(
            line,
            r#"{"type":"problem","path":"caf�/\n\"x","path_bytes":"Y2Fm6S8KIng=","kind":"unreadable","detail":"why"}"#
        );
    }

    #[test]
    fn a_path_that_really_holds_the_replacement_character_is_given_once() {
        let line = text(&Line::Entry {
            path: JsonPath::from("\u{fffd}\u{1b}[2J".as_bytes()),
            outcome: EntryOutcome::Copy(Outcome::Unchanged),
            read: None,
        });
        assert_eq!(
            line,
            r#"{"type":"entry","path":"�\u001b[2J","outcome":"unchanged"}"#
        );
    }

    #[test]
    fn damage_is_given_as_ranges() {
        let line = text(&Line::Problem {
            path: JsonPath::from(&RelPath::root()),
            kind: "corrupt",
            detail: "d",
            more: More::damage(&Damage {
                ranges: vec![0..5, 7..9],
                blocks_bad: 2,
                blocks_zero: 1,
                ..Damage::default()
            }),
        });
        assert_eq!(
            line,
            r#"{"type":"problem","path":".","kind":"corrupt","detail":"d","ranges":[[0,5],[7,9]],"blocks_bad":2,"blocks_zero":1,"blocks_shifted":0}"#
        );
    }
}
