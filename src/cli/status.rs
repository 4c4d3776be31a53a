//! `sprag status` and `sprag clean`: what a destination holds of sprag's, and getting rid of it.

use sprag::CleanSummary;
use sprag::error::Error;
use sprag::exit::Exit;

use super::args::{CleanArgs, StatusArgs};
use super::json::{self, Line};
use super::out::Out;
use super::remembered::Remembered;
use super::screen::{Screen, Show};
use super::{Failure, out, units};

mod text;

/// Runs `sprag status`.
pub(crate) fn status(args: &StatusArgs) -> Exit {
    let mut out = plain_out();
    let status = match sprag::status(&args.dest, args.manifest.as_deref()) {
        Ok(status) => status,
        Err(error) => return fail(&mut out, error, args.json).exit,
    };
    if let Some(warning) = &status.unlocked {
        out::complain(&format!("warning: {warning}"));
    }
    if args.json {
        out.json(&Line::Status {
            what: Box::new((&status).into()),
        });
    } else {
        out.line(&text::status(&args.dest, &status));
        let (tone, verdict) = text::verdict(&status);
        out.verdict(tone, &verdict);
    }
    out.exit(match status.manifest_damage {
        Some(damage) => {
            out::complain(&damage.to_string());
            Exit::BadManifest
        }
        None => Exit::Done,
    })
}

/// Runs `sprag clean`.
pub(crate) fn clean(args: &CleanArgs) -> Exit {
    let mut out = plain_out();
    let (exit, summary) = match sprag::clean(&args.dest, args.all, args.trust.trust_state) {
        Ok(summary) => {
            if args.all {
                Remembered::of_environment().forget(&args.dest);
            }
            (Exit::Done, summary)
        }
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
    failure.tell(out, json);
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
