//! `sprag export`: the checksum list, to standard output or to a file that appears whole.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sprag::ExportSummary;
use sprag::exit::Exit;
use sprag::path::Printable;

use super::args::ExportArgs;
use super::{Failure, out, units};

/// Runs the command.
pub(crate) fn run(args: &ExportArgs) -> Exit {
    let result = match &args.output {
        Some(file) if file.as_os_str() != "-" => to_file(&args.dest, file).map(Some),
        _ => to_stdout(&args.dest),
    };
    match result {
        Ok(summary) => {
            let incomplete = summary.map_or(0, |summary| summary.incomplete);
            if incomplete > 0 {
                out::complain(&format!(
                    "{} half copied and left out of the list; rerun the copy to finish",
                    units::count(incomplete, "file is", "files are")
                ));
            }
            Exit::Done
        }
        Err(error) => {
            let failure = Failure::from(error);
            out::complain(&failure.text);
            failure.exit
        }
    }
}

/// `None` if the reader went away before the end, as `head` does: it has what it wanted.
fn to_stdout(dest: &Path) -> anyhow::Result<Option<ExportSummary>> {
    let mut out = Watched {
        inner: BufWriter::new(io::stdout().lock()),
        closed: false,
    };
    let result = export(dest, &mut out, "standard output");
    match out.closed {
        true => Ok(None),
        false => result.map(Some),
    }
}

/// Writes to a temporary name beside `file` and renames it, so that `file` is old or whole.
fn to_file(dest: &Path, file: &Path) -> anyhow::Result<ExportSummary> {
    let shown = Printable(file).to_string();
    let target = match fs::metadata(file) {
        // Through a symlink, to replace what it names and not the link.
        Ok(stat) if stat.is_file() => {
            fs::canonicalize(file).with_context(|| format!("cannot use {shown}"))?
        }
        Ok(stat) if stat.is_dir() => bail!("cannot write {shown}: it is a directory"),
        // A device or a pipe is written to and never replaced.
        Ok(_) => {
            let mut device = File::options()
                .write(true)
                .open(file)
                .with_context(|| format!("cannot open {shown}"))?;
            return export(dest, &mut device, &shown);
        }
        Err(_) => file.to_path_buf(),
    };
    let (temporary, handle) =
        create_beside(&target).with_context(|| format!("cannot write beside {shown}"))?;
    let result = export_durably(dest, handle, &shown).and_then(|summary| {
        fs::rename(&temporary, &target).with_context(|| format!("cannot rename to {shown}"))?;
        Ok(summary)
    });
    if result.is_err() {
        // What is left of it would only be in the way; the error itself matters more than this.
        let _ = fs::remove_file(&temporary);
    }
    result
}

fn export_durably(dest: &Path, file: File, shown: &str) -> anyhow::Result<ExportSummary> {
    let mut out = BufWriter::new(file);
    let summary = export(dest, &mut out, shown)?;
    out.get_ref()
        .sync_all()
        .with_context(|| format!("cannot make {shown} durable"))?;
    Ok(summary)
}

fn export(dest: &Path, out: &mut dyn Write, shown: &str) -> anyhow::Result<ExportSummary> {
    let summary = sprag::export(dest, out)?;
    out.flush()
        .with_context(|| format!("cannot write to {shown}"))?;
    Ok(summary)
}

fn create_beside(target: &Path) -> io::Result<(PathBuf, File)> {
    let name = target
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it has no file name"))?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = target.with_file_name(temporary);
    let file = File::options()
        .write(true)
        .create_new(true)
        .open(&temporary)?;
    Ok((temporary, file))
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
