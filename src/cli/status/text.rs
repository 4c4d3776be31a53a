//! What `sprag status` says, in the manner of `git status`: the state first, then a part for each kind
//! of thing with what to type about it. Pure.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sprag::exit::Exit;
use sprag::path::{Printable, PrintableText};
use sprag::{LastRun, Status, VerifiedPart};

use crate::cli::out::Tone;
use crate::cli::{quote, units};

/// All but the verdict.
pub(super) fn status(dest: &Path, status: &Status) -> String {
    let mut lines = vec![format!(
        "On {} (manifest {}, {}, blocks of {})",
        Printable(dest),
        status.manifest_id,
        units::size(status.manifest_bytes),
        units::size(status.block_size)
    )];
    if let Some(damage) = &status.manifest_damage {
        lines.push(format!("The manifest is damaged: {}.", damage.short()));
    }
    lines.extend(match &status.last_run {
        Some(run) => last_run(run, status),
        None => vec!["No copy is recorded.".to_owned()],
    });
    if !status.earlier_sources.is_empty() {
        let sources = printable(&status.earlier_sources);
        lines.push(format!("Before that, copies from {sources}"));
    }
    if let Some(holder) = &status.held_by {
        lines.push(format!("In use now by {holder}"));
    }
    lines.extend(part("Finished:", finished(status)));
    let is_half_done = match status.held_by {
        Some(_) => "Being copied, or half done:",
        None => "Half done:",
    };
    lines.extend(part(is_half_done, partial(status)));
    lines.extend(part("Failed in the last copy:", failed(status)));
    lines.extend(part("Verified:", verified(status)));
    lines.extend(part("Next:", next(dest, status)));
    lines.push(String::new());
    lines.join("\n")
}

/// A part with its heading, unless it is empty.
fn part(title: &str, items: Vec<String>) -> Vec<String> {
    if items.is_empty() {
        return items;
    }
    let mut lines = vec![String::new(), title.to_owned()];
    lines.extend(items.into_iter().map(|item| format!("    {item}")));
    lines
}

fn printable(paths: &[PathBuf]) -> String {
    let paths = paths.iter().map(|path| Printable(path).to_string());
    paths.collect::<Vec<_>>().join(", ")
}

fn last_run(run: &LastRun, status: &Status) -> Vec<String> {
    let began = units::utc(run.started_ms);
    let end = match (run.exit, run.ended_ms) {
        (Some(exit), Some(ended_ms)) => {
            let took = Duration::from_millis(ended_ms.saturating_sub(run.started_ms));
            format!("{} after {}", exit.meaning(), units::duration(took))
        }
        (Some(exit), None) => exit.meaning().to_owned(),
        (None, _) if status.held_by.is_some() => "running".to_owned(),
        (None, _) => "it did not come to its end".to_owned(),
    };
    let mut lines = Vec::new();
    if !run.sources.is_empty() {
        lines.push(format!("Copied from {}", printable(&run.sources)));
    }
    lines.push(format!("Last copy begun {began}: {end}"));
    let copied = format!(
        "  it copied {} ({})",
        units::count(run.files_copied, "file", "files"),
        units::size(run.bytes_copied)
    );
    lines.push(match run.exit {
        Some(_) => format!("{copied}; {} failed", run.entries_failed),
        None if status.held_by.is_some() => format!("{copied} so far"),
        None => copied,
    });
    lines
}

fn finished(status: &Status) -> Vec<String> {
    let mut text = format!(
        "{} ({}), {}, {}",
        units::count(status.files_done, "file", "files"),
        units::size(status.bytes_done),
        units::count(status.dirs, "directory", "directories"),
        units::count(status.symlinks, "symlink", "symlinks")
    );
    if status.specials > 0 {
        let specials = units::count(status.specials, "special file", "special files");
        text += &format!(", {specials}");
    }
    vec![text]
}

fn partial(status: &Status) -> Vec<String> {
    let mut items: Vec<String> = status
        .partial
        .iter()
        .map(|file| {
            let (bytes, of) = (units::size(file.bytes), units::size(file.of));
            format!("{}: {bytes} of {of}", file.path)
        })
        .collect();
    items.extend(unlisted(status.files_partial, items.len()));
    items
}

fn failed(status: &Status) -> Vec<String> {
    let Some(run) = &status.last_run else {
        return Vec::new();
    };
    let mut items: Vec<String> = run
        .failures
        .iter()
        // The text comes from the drive, and who wrote it there is not known.
        .map(|(path, why)| format!("{path}: {}", PrintableText(why)))
        .collect();
    items.extend(unlisted(run.entries_failed, items.len()));
    items
}

/// When what was verified last, and how.
fn verified(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    match &status.last_verify {
        None if status.manifest_damage.is_some() => {
            lines.push("not known, since the manifest is damaged".to_owned());
        }
        None => lines.push("nothing yet".to_owned()),
        Some(last) => lines.push(format!(
            "last on {}: {}; {}, {}",
            units::utc(last.started_ms),
            PrintableText(&last.what),
            match (last.exit, last.ended_ms) {
                (Some(Exit::Done), _) => "nothing wrong",
                (Some(exit), _) => exit.meaning(),
                (None, Some(_)) => "ended",
                (None, None) => "it was stopped, and goes on when it is rerun",
            },
            units::count(last.entries_bad, "bad entry", "bad entries")
        )),
    }
    lines.extend(status.verified.iter().map(part_line));
    lines
}

fn part_line(part: &VerifiedPart) -> String {
    let name = match part.path.is_root() {
        true => "all else".to_owned(),
        false => part.path.to_string(),
    };
    let mut text = format!(
        "{name}: {} ({})",
        units::count(part.files, "file", "files"),
        units::size(part.bytes)
    );
    text += &match (part.oldest_ms, part.newest_ms) {
        (Some(oldest), Some(newest)) if day(oldest) == day(newest) => {
            format!(", verified {}", day(oldest))
        }
        (Some(oldest), Some(newest)) => {
            format!(", verified between {} and {}", day(oldest), day(newest))
        }
        _ => String::new(),
    };
    if part.files_never > 0 {
        text += &format!(", {} never", part.files_never);
    }
    if part.files_cached > 0 {
        text += &format!(", {} possibly from the page cache", part.files_cached);
    }
    text
}

/// The date alone.
fn day(unix_ms: u64) -> String {
    let text = units::utc(unix_ms);
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// A line for those that a list leaves out.
fn unlisted(all: u64, listed: usize) -> Option<String> {
    let more = all.saturating_sub(listed as u64);
    (more > 0).then(|| format!("and {more} more"))
}

/// What to type next.
fn next(dest: &Path, status: &Status) -> Vec<String> {
    if status.held_by.is_some() {
        return Vec::new();
    }
    let ended_well = |run: &LastRun| run.exit == Some(Exit::Done);
    let is_complete = status.files_partial == 0 && status.last_run.as_ref().is_none_or(ended_well);
    let verify = quote::with_operands(["sprag", "verify"], &[], &[dest.as_os_str()]);
    match copy_command(dest, status) {
        _ if is_complete => vec![verify],
        Some(again) => vec![again],
        None => vec!["the copy that began this".to_owned()],
    }
}

/// Returns the last line: one sentence that says how things are.
pub(super) fn verdict(status: &Status) -> (Tone, String) {
    let run = status.last_run.as_ref();
    if status.held_by.is_some() {
        let what = match run {
            Some(run) if run.exit.is_none() => "A copy is running.",
            _ => "Another sprag works on it.",
        };
        return (Tone::Unfinished, what.to_owned());
    }
    if status.manifest_damage.is_some() {
        let text = "The manifest is damaged: this is what can still be read of it.";
        return (Tone::Bad, text.to_owned());
    }
    let bad = status.last_verify.as_ref();
    let bad = bad.map_or(0, |last| last.entries_bad);
    if bad > 0 {
        let bad = units::count(bad, "bad entry", "bad entries");
        let text = format!("Not all is well: the last verification found {bad}.");
        return (Tone::Bad, text);
    }
    let half_done = units::count(status.files_partial, "file is", "files are");
    let unfinished = match run.map(|run| (run.exit, run.entries_failed)) {
        _ if status.files_partial > 0 => format!("{half_done} half done."),
        None | Some((Some(Exit::Done), _)) => {
            let text = "Complete: nothing is half done, and nothing failed.";
            return (Tone::Good, text.to_owned());
        }
        Some((Some(_), failed)) if failed > 0 => {
            let failed = units::count(failed, "entry", "entries");
            format!("{failed} failed in the last copy.")
        }
        Some((Some(exit), _)) => format!("the last copy ended with {}.", exit.meaning()),
        Some((None, _)) => "the last copy did not come to its end.".to_owned(),
    };
    (Tone::Unfinished, format!("Not complete: {unfinished}"))
}

/// Returns the last copy with its options, if its sources are known.
fn copy_command(dest: &Path, status: &Status) -> Option<String> {
    let run = status.last_run.as_ref()?;
    if run.sources.is_empty() {
        return None;
    }
    // The sources are absolute: it can be typed anywhere.
    let dest = std::path::absolute(dest).unwrap_or_else(|_| dest.to_path_buf());
    let sources = run.sources.iter().map(|source| source.as_os_str());
    let operands: Vec<&OsStr> = sources.chain([dest.as_os_str()]).collect();
    let command = ["sprag", "copy"];
    Some(quote::with_operands(command, &run.options, &operands))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sprag::path::RelPath;
    use sprag::{LastVerification, PartialFile};

    fn sample() -> Status {
        Status {
            block_size: 1 << 20,
            manifest_id: "00ff".into(),
            manifest_bytes: 4096,
            files_done: 1,
            files_partial: 0,
            dirs: 2,
            symlinks: 0,
            specials: 0,
            bytes_done: 10,
            bytes_partial: 0,
            partial: Vec::new(),
            last_run: Some(LastRun {
                started_ms: 0,
                ended_ms: Some(2000),
                sources: vec!["/a b".into(), "/c/".into()],
                options: vec!["--delete".into()],
                exit: Some(Exit::Done),
                files_copied: 1,
                entries_failed: 0,
                bytes_copied: 10,
                failures: Vec::new(),
            }),
            earlier_sources: Vec::new(),
            held_by: None,
            last_verify: None,
            verified: Vec::new(),
            manifest_damage: None,
            unlocked: None,
        }
    }

    #[test]
    fn a_finished_destination_suggests_to_verify() {
        insta::assert_snapshot!(status_of(&sample()));
    }

    #[test]
    fn an_unfinished_destination_suggests_the_copy_that_goes_on() {
        let mut status = sample();
        status.files_partial = 3;
        status.partial = vec![PartialFile {
            path: RelPath::new("x\ny").unwrap(),
            bytes: 1024,
            of: 2048,
        }];
        if let Some(run) = &mut status.last_run {
            run.exit = None;
            run.ended_ms = None;
            run.entries_failed = 2;
            run.failures = vec![(RelPath::new("z").unwrap(), "bad\x1b[2J".into())];
        }
        insta::assert_snapshot!(status_of(&status));
    }

    #[test]
    fn each_part_says_when_it_was_verified() {
        let mut status = sample();
        status.last_verify = Some(LastVerification {
            started_ms: 86_400_000,
            ended_ms: None,
            exit: None,
            what: "everything".into(),
            entries_bad: 1,
        });
        status.verified = vec![VerifiedPart {
            path: RelPath::new("photos").unwrap(),
            files: 3,
            bytes: 2048,
            files_never: 1,
            files_cached: 2,
            oldest_ms: Some(0),
            newest_ms: Some(86_400_000),
        }];
        insta::assert_snapshot!(status_of(&status));
    }

    #[test]
    fn a_running_copy_is_told_with_what_it_has_done_so_far() {
        let mut status = sample();
        status.held_by = Some("another sprag: process 7 on host".into());
        status.earlier_sources = vec!["/music".into()];
        if let Some(run) = &mut status.last_run {
            run.exit = None;
            run.ended_ms = None;
        }
        insta::assert_snapshot!(status_of(&status));
    }

    fn status_of(status: &Status) -> String {
        let (_, verdict) = verdict(status);
        super::status(Path::new("/mnt/d"), status) + "\n" + &verdict
    }
}
