//! `sprag status` and `sprag clean`: what a destination holds of sprag's, and getting rid of it.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use sprag::error::Error;
use sprag::exit::Exit;
use sprag::path::{Printable, PrintableText};
use sprag::{CleanSummary, LastRun, Status, VerifiedPart};

use super::args::{CleanArgs, StatusArgs};
use super::json::{self, Line};
use super::out::Out;
use super::screen::{Screen, Show};
use super::{Failure, out, quote, units};

/// Runs `sprag status`.
pub(crate) fn status(args: &StatusArgs) -> Exit {
    let mut out = plain_out();
    match sprag::status(&args.dest) {
        Ok(status) if args.json => out.json(&Line::Status {
            what: (&status).into(),
        }),
        Ok(status) => out.line(&status_text(&args.dest, &status)),
        Err(error) => return fail(&mut out, error, args.json).exit,
    }
    out.exit(Exit::Done)
}

/// Runs `sprag clean`.
pub(crate) fn clean(args: &CleanArgs) -> Exit {
    let mut out = plain_out();
    let (exit, summary) = match sprag::clean(&args.dest, args.all) {
        Ok(summary) => (Exit::Done, summary),
        Err(error) => {
            let failure = fail(&mut out, error, args.json);
            if !args.json {
                return failure.exit;
            }
            let nothing = CleanSummary {
                partials_removed: 0,
                bytes_freed: 0,
                state_removed: false,
            };
            (failure.exit, nothing)
        }
    };
    if args.json {
        out.json(&Line::Summary {
            what: json::Summary::Clean {
                exit_code: exit,
                partials_removed: summary.partials_removed,
                bytes_freed: summary.bytes_freed,
                state_removed: summary.state_removed,
            },
        });
    } else {
        out.line(&clean_text(&summary));
    }
    out.exit(exit)
}

/// Standard output with no progress beside it.
fn plain_out() -> Out {
    Out::new(Screen::new(Show::Hidden))
}

fn fail(out: &mut Out, error: Error, json: bool) -> Failure {
    let failure = Failure::from(error);
    out::complain(&failure.text);
    if json {
        out.json(&Line::Error {
            exit_code: failure.exit,
            detail: &failure.text,
        });
    }
    failure
}

fn clean_text(summary: &CleanSummary) -> String {
    let mut text = format!(
        "removed {} ({} freed).",
        units::count(
            summary.partials_removed,
            "half-copied file",
            "half-copied files"
        ),
        units::size(summary.bytes_freed)
    );
    text += match summary.state_removed {
        true => " The manifest is gone too; the files that were finished are left as they are.",
        false => " The manifest is kept: what was finished can still be verified.",
    };
    text
}

fn status_text(dest: &Path, status: &Status) -> String {
    let mut lines = vec![
        format!(
            "Destination {} (manifest {}, {}, blocks of {})",
            Printable(dest),
            status.manifest_id,
            units::size(status.manifest_bytes),
            units::size(status.block_size)
        ),
        format!(
            "Finished: {} ({}), {}, {}",
            units::count(status.files_done, "file", "files"),
            units::size(status.bytes_done),
            units::count(status.dirs, "directory", "directories"),
            units::count(status.symlinks, "symlink", "symlinks")
        ),
    ];
    lines.extend(partial_lines(status));
    lines.extend(match &status.last_run {
        Some(run) => last_run_lines(run),
        None => vec!["Last run: none is recorded".to_owned()],
    });
    lines.extend(verify_lines(status));
    lines.push(String::new());
    lines.push(advice(dest, status));
    lines.join("\n")
}

fn partial_lines(status: &Status) -> Vec<String> {
    if status.files_partial == 0 {
        return Vec::new();
    }
    let mut lines = vec![format!(
        "Half done: {} ({} so far)",
        units::count(status.files_partial, "file", "files"),
        units::size(status.bytes_partial)
    )];
    for partial in &status.partial {
        lines.push(format!(
            "  {}: {} of {}",
            partial.path,
            units::size(partial.bytes),
            units::size(partial.of)
        ));
    }
    lines.extend(unlisted(status.files_partial, status.partial.len()));
    lines
}

fn last_run_lines(run: &LastRun) -> Vec<String> {
    let sources: Vec<String> = run
        .sources
        .iter()
        .map(|source| Printable(source).to_string())
        .collect();
    let end = match (run.exit, run.ended_ms) {
        (Some(exit), Some(ended_ms)) => format!(
            "{}, after {}",
            exit.meaning(),
            units::duration(Duration::from_millis(
                ended_ms.saturating_sub(run.started_ms)
            ))
        ),
        (Some(exit), None) => exit.meaning().to_owned(),
        (None, _) => "it was cut off, or is still running".to_owned(),
    };
    let mut lines = vec![
        format!("Last run: {}; {end}", units::utc(run.started_ms)),
        format!("  from {}", sources.join(", ")),
        format!(
            "  copied {} ({}), {} failed",
            units::count(run.files_copied, "file", "files"),
            units::size(run.bytes_copied),
            run.files_failed
        ),
    ];
    for (path, why) in &run.failures {
        // The text comes from the drive, and who wrote it there is not known.
        lines.push(format!("    {path}: {}", PrintableText(why)));
    }
    if !run.failures.is_empty() {
        lines.extend(unlisted(run.files_failed, run.failures.len()));
    }
    lines
}

/// When what was verified last, and how.
fn verify_lines(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    match &status.last_verify {
        None => lines.push("Last verification: none is recorded".to_owned()),
        Some(last) => lines.push(format!(
            "Last verification: {} of {}; {}, {}",
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
        true => "  all else".to_owned(),
        false => format!("  {}", part.path),
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
    (more > 0).then(|| format!("  and {more} more"))
}

/// What to type next.
fn advice(dest: &Path, status: &Status) -> String {
    let finished = status.files_partial == 0
        && status
            .last_run
            .as_ref()
            .is_none_or(|run| run.exit == Some(Exit::Done));
    if finished {
        let words = ["sprag", "verify"].map(OsStr::new);
        let command = quote::command(words.into_iter().chain([dest.as_os_str()]));
        return format!("Nothing is half done. To check what is on the device:\n  {command}");
    }
    match &status.last_run {
        Some(run) if !run.sources.is_empty() => {
            let mut dest = dest.to_path_buf();
            let mut from = "";
            if run.sources.iter().any(|source| source.is_relative()) {
                // Where they were relative to is not known here, but where DEST is, is.
                dest = std::path::absolute(&dest).unwrap_or(dest);
                from = ", from the directory of the last run";
            }
            let words = ["sprag", "copy"].map(OsStr::new).into_iter();
            let sources = run.sources.iter().map(|source| source.as_os_str());
            let command = quote::command(words.chain(sources).chain([dest.as_os_str()]));
            format!("To go on{from}:\n  {command}")
        }
        _ => "To go on, rerun the copy that began this.".to_owned(),
    }
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
            bytes_done: 10,
            bytes_partial: 0,
            partial: Vec::new(),
            last_run: Some(LastRun {
                started_ms: 0,
                ended_ms: Some(2000),
                sources: vec!["/a b".into(), "/c/".into()],
                exit: Some(Exit::Done),
                files_copied: 1,
                files_failed: 0,
                bytes_copied: 10,
                failures: Vec::new(),
            }),
            last_verify: None,
            verified: Vec::new(),
        }
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
        assert_eq!(
            verify_lines(&status),
            [
                "Last verification: 1970-01-02 00:00:00 UTC of everything; it was stopped, and goes on \
                 when it is rerun, 1 bad entry",
                "  photos: 3 files (2 KiB), verified between 1970-01-01 and 1970-01-02, 1 never, \
                 2 possibly from the page cache",
            ]
        );
    }

    #[test]
    fn a_finished_destination_suggests_to_verify() {
        let text = status_text(Path::new("/mnt/d"), &sample());
        assert_eq!(
            text,
            "Destination /mnt/d (manifest 00ff, 4 KiB, blocks of 1 MiB)\n\
             Finished: 1 file (10 B), 2 directories, 0 symlinks\n\
             Last run: 1970-01-01 00:00:00 UTC; done and durable, after 2 s\n  \
               from /a b, /c/\n  \
               copied 1 file (10 B), 0 failed\n\
             Last verification: none is recorded\n\n\
             Nothing is half done. To check what is on the device:\n  \
               sprag verify /mnt/d"
        );
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
        }
        let text = status_text(Path::new("/mnt/d"), &status);
        assert!(
            text.contains("\n  x\\ny: 1 KiB of 2 KiB\n  and 2 more\n"),
            "{text}"
        );
        assert!(
            text.ends_with("To go on:\n  sprag copy '/a b' /c/ /mnt/d"),
            "{text}"
        );
    }
}
