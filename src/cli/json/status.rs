//! The line of `sprag status --json`.

use std::path::PathBuf;

use serde::Serialize;
use sprag::error::ManifestDamage;
use sprag::exit::Exit;

use super::JsonPath;

#[derive(Debug, Serialize)]
pub(crate) struct StatusBody {
    block_size: u64,
    manifest_id: String,
    manifest_bytes: u64,
    files_done: u64,
    files_partial: u64,
    dirs: u64,
    symlinks: u64,
    specials: u64,
    bytes_done: u64,
    bytes_partial: u64,
    partial: Vec<PartialBody>,
    last_run: Option<LastRunBody>,
    earlier_sources: Vec<JsonPath>,
    held_by: Option<String>,
    last_verify: Option<LastVerifyBody>,
    verified: Vec<VerifiedBody>,
    manifest_damage: Option<ManifestDamage>,
}

#[derive(Debug, Serialize)]
struct LastVerifyBody {
    started_ms: u64,
    ended_ms: Option<u64>,
    exit_code: Option<Exit>,
    what: String,
    entries_bad: u64,
}

#[derive(Debug, Serialize)]
struct VerifiedBody {
    #[serde(flatten)]
    path: JsonPath,
    files: u64,
    bytes: u64,
    files_never: u64,
    files_cached: u64,
    oldest_ms: Option<u64>,
    newest_ms: Option<u64>,
}

impl From<&sprag::LastVerification> for LastVerifyBody {
    fn from(last: &sprag::LastVerification) -> LastVerifyBody {
        LastVerifyBody {
            started_ms: last.started_ms,
            ended_ms: last.ended_ms,
            exit_code: last.exit,
            what: last.what.clone(),
            entries_bad: last.entries_bad,
        }
    }
}

impl From<&sprag::VerifiedPart> for VerifiedBody {
    fn from(part: &sprag::VerifiedPart) -> VerifiedBody {
        VerifiedBody {
            path: JsonPath::from(&part.path),
            files: part.files,
            bytes: part.bytes,
            files_never: part.files_never,
            files_cached: part.files_cached,
            oldest_ms: part.oldest_ms,
            newest_ms: part.newest_ms,
        }
    }
}

#[derive(Debug, Serialize)]
struct PartialBody {
    #[serde(flatten)]
    path: JsonPath,
    bytes: u64,
    of: u64,
}

#[derive(Debug, Serialize)]
struct LastRunBody {
    started_ms: u64,
    ended_ms: Option<u64>,
    exit_code: Option<Exit>,
    sources: Vec<JsonPath>,
    options: Vec<String>,
    files_copied: u64,
    entries_failed: u64,
    bytes_copied: u64,
    failures: Vec<FailureBody>,
}

#[derive(Debug, Serialize)]
struct FailureBody {
    #[serde(flatten)]
    path: JsonPath,
    detail: String,
}

impl From<&sprag::Status> for StatusBody {
    fn from(status: &sprag::Status) -> StatusBody {
        StatusBody {
            block_size: status.block_size,
            manifest_id: status.manifest_id.clone(),
            manifest_bytes: status.manifest_bytes,
            files_done: status.files_done,
            files_partial: status.files_partial,
            dirs: status.dirs,
            symlinks: status.symlinks,
            specials: status.specials,
            bytes_done: status.bytes_done,
            bytes_partial: status.bytes_partial,
            partial: status.partial.iter().map(PartialBody::from).collect(),
            last_run: status.last_run.as_ref().map(LastRunBody::from),
            earlier_sources: paths(&status.earlier_sources),
            held_by: status.held_by.clone(),
            last_verify: status.last_verify.as_ref().map(LastVerifyBody::from),
            verified: status.verified.iter().map(VerifiedBody::from).collect(),
            manifest_damage: status.manifest_damage.clone(),
        }
    }
}

fn paths(paths: &[PathBuf]) -> Vec<JsonPath> {
    paths
        .iter()
        .map(|it| JsonPath::from(it.as_path()))
        .collect()
}

impl From<&sprag::PartialFile> for PartialBody {
    fn from(partial: &sprag::PartialFile) -> PartialBody {
        PartialBody {
            path: JsonPath::from(&partial.path),
            bytes: partial.bytes,
            of: partial.of,
        }
    }
}

impl From<&sprag::LastRun> for LastRunBody {
    fn from(run: &sprag::LastRun) -> LastRunBody {
        LastRunBody {
            started_ms: run.started_ms,
            ended_ms: run.ended_ms,
            exit_code: run.exit,
            sources: paths(&run.sources),
            options: run
                .options
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            files_copied: run.files_copied,
            entries_failed: run.entries_failed,
            bytes_copied: run.bytes_copied,
            failures: run
                .failures
                .iter()
                .map(|(path, detail)| FailureBody {
                    path: JsonPath::from(path),
                    detail: detail.clone(),
                })
                .collect(),
        }
    }
}
