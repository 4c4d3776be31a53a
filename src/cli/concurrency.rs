//! How many files a run works on at a time, and why: told with `-v`, and to the log.

use sprag::event::{ChosenBy, Concurrency};

use super::json::Line;
use super::options::View;
use super::out::Out;
use super::record::Recorder;
use super::screen::Screen;
use super::units;

pub(crate) fn tell(
    chosen: &Concurrency,
    command: &'static str,
    view: View,
    (screen, out, recorder): (&Screen, &mut Out, &mut Recorder),
) {
    let text = text(chosen);
    recorder.note("chosen", &text);
    if view.verbose && view.json {
        out.json(&Line::Concurrency { command, chosen });
    } else if view.verbose {
        screen.note(&text);
    }
}

fn text(chosen: &Concurrency) -> String {
    let files = units::count(chosen.files as u64, "file", "files");
    let large = chosen.large_files;
    let from = units::size(Concurrency::LARGE_BYTES);
    let because = match chosen.chosen_by {
        ChosenBy::User => return format!("working on {files} at a time, as -j says"),
        ChosenBy::Destination => "the destination's device has to seek, or says so",
        ChosenBy::Source => "the source's device has to seek, or says so",
        ChosenBy::Processors => {
            "as many as there are processors, within bounds, since no device is known to seek"
        }
    };
    format!("working on {files} at a time, {large} of them of {from} or more: {because}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_how_many_and_why() {
        let says = |large_files, chosen_by| {
            text(&Concurrency {
                files: 8,
                large_files,
                chosen_by,
            })
        };
        assert_eq!(
            says(8, ChosenBy::User),
            "working on 8 files at a time, as -j says"
        );
        assert_eq!(
            says(1, ChosenBy::Destination),
            "working on 8 files at a time, 1 of them of 1 MiB or more: the destination's device has to seek, or says so"
        );
    }
}
