//! The end of a copy: what was copied, kept and failed, whether it is durable, what to type next.

use std::path::Path;
use std::time::Duration;

use sprag::event::CopySummary;
use sprag::exit::Exit;

use super::quote::{self, Rerun};
use super::{medium, units};

/// What was done, and whether it is safe to unplug.
pub(crate) fn summary_text(summary: &CopySummary, is_removable: bool) -> String {
    let verb = if summary.dry_run {
        "would copy"
    } else {
        "copied"
    };
    let mut text = format!(
        "{verb} {} ({}), {} unchanged, {} adopted; {}, {}",
        units::count(summary.files_copied, "file", "files"),
        units::size(summary.bytes_copied),
        summary.files_unchanged,
        summary.files_adopted,
        units::count(summary.dirs, "directory", "directories"),
        units::count(summary.symlinks, "symlink", "symlinks"),
    );
    if summary.specials > 0 {
        let specials = units::count(summary.specials, "special file", "special files");
        text += &format!(", {specials}");
    }
    for (counts, what) in [(summary.skipped, "skipped"), (summary.deleted, "deleted")] {
        if counts.total() > 0 {
            text += &format!("; {counts} {what}");
        }
    }
    if summary.sources_removed > 0 {
        text += &format!("; {} removed from the source", summary.sources_removed);
    }
    text += &format!(
        "; {} failed; {}.",
        summary.failed,
        units::duration(Duration::from_millis(summary.elapsed_ms)),
    );
    if summary.mended.total() > 0 {
        text += &format!(
            " Of what is unchanged, the metadata of {} was set right.",
            summary.mended
        );
    }
    if summary.bytes_resumed > 0 {
        text += &format!(
            " {} of half-copied files did not have to be copied again.",
            units::size(summary.bytes_resumed)
        );
    }
    text += &medium::how_text([
        summary.read_direct,
        summary.read_evicted,
        summary.read_cached,
    ]);
    text.push('\n');
    if summary.dry_run {
        return text + "This was a dry run: nothing was touched.";
    }
    text + &ending(summary, is_removable)
}

/// Whether it is durable, and what is missing for that. Only a drive that can be pulled is said to be safe
/// to unplug.
fn ending(summary: &CopySummary, is_removable: bool) -> String {
    let safe = match is_removable {
        true => ": unmount it, and it is safe to unplug.",
        false => ".",
    };
    match summary.exit_code {
        Exit::Done if summary.files_read_back > 0 => format!(
            "Everything is durable on the device, and what was copied reads back as it was \
             written{safe}"
        ),
        Exit::Done => format!("Everything is durable on the device{safe}"),
        Exit::Partial => {
            format!("Some entries failed; each was named. All else is durable on the device{safe}")
        }
        Exit::DeleteLimit => format!(
            "--max-delete left some entries undeleted. All else is durable on the device{safe}"
        ),
        Exit::Vanished => format!(
            "Some source files vanished or kept changing while they were read. \
             All else is durable on the device{safe}"
        ),
        Exit::Unusable if summary.bytes_copied + summary.bytes_durable == 0 => {
            "Not finished: nothing was copied.".to_owned()
        }
        Exit::Stopped | Exit::Refused => format!(
            "Not finished. Durable on the device: {}, all that was written{safe}",
            units::size(summary.bytes_durable)
        ),
        _ => format!(
            "Not finished. Durable on the device: {}. What was written after that may be lost; \
             a rerun checks it and copies what is missing.",
            units::size(summary.bytes_durable)
        ),
    }
}

/// What to type next, if there is something. `rerun` is the same command again.
pub(crate) fn next_step(summary: &CopySummary, rerun: &Rerun, dest: &Path) -> Option<String> {
    let what = match summary.exit_code {
        _ if summary.dry_run => return None,
        Exit::Done if summary.bytes_copied > 0 && summary.files_read_back == 0 => {
            let verify = [state_dir(dest).as_os_str()];
            let verify = quote::with_operands(["sprag", "verify"], &[], &verify);
            return Some(format!("To check it, now or in years:\n  {verify}"));
        }
        Exit::Stopped => "Stopped; progress is saved. To go on:",
        Exit::Io => "Once the cause is mended, go on with:",
        Exit::DeviceGone => "Once the device is back, go on with:",
        Exit::Partial | Exit::Vanished => "To try what is missing again:",
        _ => return None,
    };
    Some(format!("{what}\n  {rerun}"))
}

/// The directory that holds `.sprag`: DEST, unless DEST names a file in it.
pub(crate) fn state_dir(dest: &Path) -> &Path {
    match (dest.is_dir(), dest.parent()) {
        (false, Some(parent)) if parent.as_os_str().is_empty() => Path::new("."),
        (false, Some(parent)) => parent,
        _ => dest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_copy_says_that_all_is_durable() {
        let summary = CopySummary {
            files_copied: 12,
            files_unchanged: 5,
            dirs: 1,
            symlinks: 2,
            bytes_copied: 3 << 20,
            elapsed_ms: 61_000,
            ..CopySummary::default()
        };
        let text = summary_text(&summary, false);
        assert!(
            text.ends_with("Everything is durable on the device."),
            "{text}"
        );
        assert_eq!(
            summary_text(&summary, true),
            "copied 12 files (3 MiB), 5 unchanged, 0 adopted; 1 directory, 2 symlinks; 0 failed; 1 min 1 s.\n\
             Everything is durable on the device: unmount it, and it is safe to unplug."
        );
    }

    #[test]
    fn only_a_finished_copy_claims_that_all_is_durable() {
        for exit_code in Exit::ALL {
            let summary = CopySummary {
                exit_code,
                ..CopySummary::default()
            };
            let text = summary_text(&summary, true);
            assert_eq!(text.contains("Everything"), exit_code == Exit::Done);
            let ended_early = !matches!(
                exit_code,
                Exit::Done | Exit::Partial | Exit::Vanished | Exit::DeleteLimit
            );
            assert_eq!(text.contains("Not finished"), ended_early, "{exit_code:?}");
        }
    }

    #[test]
    fn each_end_says_what_is_safe_and_what_to_type_next() {
        let mut told = String::new();
        for exit_code in Exit::ALL {
            let summary = CopySummary {
                exit_code,
                bytes_copied: 3 << 20,
                bytes_durable: 2 << 20,
                ..CopySummary::default()
            };
            let rerun = Rerun::new(&["sprag", "copy", "a", "b"].map(Into::into), Vec::new());
            let next = next_step(&summary, &rerun, Path::new("/"));
            let next = next.unwrap_or_else(|| "(nothing)".to_owned());
            let code = exit_code.code();
            told += &format!("{code}: {}\n{next}\n\n", ending(&summary, true));
        }
        insta::assert_snapshot!(told);
    }
}
