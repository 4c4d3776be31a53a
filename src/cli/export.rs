//! `sprag export`: a checksum list, to standard output or to a file that appears whole.

use std::io::{self, BufWriter, IsTerminal, LineWriter, Write};
use std::path::Path;

use anyhow::Context;
use sprag::exit::Exit;
use sprag::path::{Printable, PrintableText, RelPath};
use sprag::{ExportFormat, ExportSummary, LeftOut};

use super::args::{ExportArgs, Format};
use super::selection::STD_STREAM;
use super::spinner::Spinner;
use super::{Failure, out, units, whole_file};

/// Runs the command.
pub(crate) fn run(args: &ExportArgs) -> Exit {
    let list = match args.format {
        Format::B3sum => ExportFormat::B3sum,
        Format::Sha256 => ExportFormat::Sha256,
        Format::Json => ExportFormat::Json,
        Format::Bagit => return end(bag(args).map(Some)),
    };
    end(match &args.output {
        Some(file) if file.as_os_str() != STD_STREAM => to_file(args, list, file).map(Some),
        _ => to_stdout(args, list),
    })
}

fn bag(args: &ExportArgs) -> anyhow::Result<ExportSummary> {
    // clap requires --output with this format.
    let bag = args.output.as_deref().unwrap_or(Path::new("."));
    let spinner = Spinner::new("making a bag");
    Ok(sprag::export_bag(
        &args.dest,
        args.manifest.as_deref(),
        bag,
        &mut complain(&spinner),
    )?)
}

/// Says what is not in the list; files that are half copied are only counted in the end.
fn complain(spinner: &Spinner) -> impl FnMut(&RelPath, LeftOut) {
    |path, why| {
        if !matches!(why, LeftOut::Incomplete) {
            spinner.around(|| out::complain(&format!("left out {path}: {why}")));
        }
    }
}

fn end(result: anyhow::Result<Option<ExportSummary>>) -> Exit {
    match result {
        Ok(summary) => {
            let summary = summary.unwrap_or_default();
            if let Some(warning) = &summary.unlocked {
                out::complain(&format!("warning: {warning}"));
            }
            if summary.incomplete > 0 {
                out::complain(&format!(
                    "{} half copied and left out of the list; rerun the copy to finish",
                    units::count(summary.incomplete, "file is", "files are")
                ));
            }
            if let Some(damage) = summary.manifest_damage {
                out::complain(&damage.to_string());
                return Exit::BadManifest;
            }
            match summary {
                summary if summary.damaged > 0 => Exit::Damaged,
                summary if summary.not_representable > 0 => Exit::Partial,
                _ => Exit::Done,
            }
        }
        Err(error) => {
            let failure = Failure::from(error);
            out::complain(&failure.text);
            failure.exit
        }
    }
}

/// `None` if the reader went away before the end, as `head` does: it has what it wanted.
fn to_stdout(args: &ExportArgs, list: ExportFormat) -> anyhow::Result<Option<ExportSummary>> {
    let stdout = io::stdout();
    let mut out = Watched {
        inner: match stdout.is_terminal() {
            true => Box::new(LineWriter::new(Cleaned(stdout.lock()))) as Box<dyn Write>,
            false => Box::new(BufWriter::new(stdout.lock())),
        },
        closed: false,
    };
    let result = export(args, list, &mut out, "standard output");
    match out.closed {
        true => Ok(None),
        false => result.map(Some),
    }
}

/// Writes to a file that is old or whole.
fn to_file(args: &ExportArgs, list: ExportFormat, file: &Path) -> anyhow::Result<ExportSummary> {
    let shown = Printable(file).to_string();
    whole_file::write(file, |out| export(args, list, out, &shown))
}

fn export(
    args: &ExportArgs,
    list: ExportFormat,
    out: &mut dyn Write,
    shown: &str,
) -> anyhow::Result<ExportSummary> {
    let spinner = Spinner::new("listing");
    let mut out = spinner.count(out);
    let (dest, manifest) = (&args.dest, args.manifest.as_deref());
    let summary = sprag::export(dest, manifest, list, &mut out, &mut complain(&spinner))?;
    out.flush()
        .with_context(|| format!("cannot write to {shown}"))?;
    Ok(summary)
}

/// A terminal, which is given whole lines, and is not to act on what names hold.
struct Cleaned<W>(W);

impl<W: Write> Write for Cleaned<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        for line in buf.split_inclusive(|byte| *byte == b'\n') {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            write!(self.0, "{}", PrintableText(&String::from_utf8_lossy(text)))?;
            self.0.write_all(&line[text.len()..])?;
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A writer that remembers whether its reader went away, whatever becomes of the error above it.
struct Watched<W> {
    inner: W,
    closed: bool,
}

impl<W> Watched<W> {
    fn watch<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            self.closed |= error.kind() == io::ErrorKind::BrokenPipe;
        }
        result
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let result = self.inner.write(buf);
        self.watch(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.inner.flush();
        self.watch(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_driven_by_names() {
        let mut shown = Vec::new();
        let mut out = LineWriter::new(Cleaned(&mut shown));
        let hash = "0123";
        writeln!(out, "{hash}  a\x1b]0;title\x07b\u{61c}\u{e0041}").unwrap();
        out.write_all(b"4567  caf\xe9\n").unwrap();
        drop(out);
        let shown = String::from_utf8(shown).unwrap();
        assert_eq!(
            shown,
            "0123  a\\u{1b}]0;title\\u{7}b\\u{61c}\\u{e0041}\n4567  caf\u{fffd}\n"
        );
    }
}
