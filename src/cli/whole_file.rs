//! Files for the user that appear whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sprag::path::Printable;

/// Has `content` written to a temporary name beside `file` and renames it, so that `file` is old
/// or whole. A device or a pipe is written to and never replaced.
pub(crate) fn write<T>(
    file: &Path,
    content: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let shown = Printable(file).to_string();
    let target = match fs::metadata(file) {
        // Through a symlink, to replace what it names and not the link.
        Ok(stat) if stat.is_file() => {
            fs::canonicalize(file).with_context(|| format!("cannot use {shown}"))?
        }
        Ok(stat) if stat.is_dir() => bail!("cannot write {shown}: it is a directory"),
        Ok(_) => {
            let device = File::options().write(true).open(file);
            let device = device.with_context(|| format!("cannot open {shown}"))?;
            return filled(device, content, &shown).map(|(_, value)| value);
        }
        Err(_) => file.to_path_buf(),
    };
    let (temporary, handle) =
        create_beside(&target).with_context(|| format!("cannot write beside {shown}"))?;
    let result = filled(handle, content, &shown).and_then(|(handle, value)| {
        let synced = handle.sync_all();
        synced.with_context(|| format!("cannot make {shown} durable"))?;
        fs::rename(&temporary, &target).with_context(|| format!("cannot rename to {shown}"))?;
        Ok(value)
    });
    if result.is_err() {
        // What is left of it would only be in the way; the error itself matters more than this.
        let _ = fs::remove_file(&temporary);
    }
    result
}

fn filled<T>(
    file: File,
    content: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
    shown: &str,
) -> anyhow::Result<(File, T)> {
    let mut out = BufWriter::new(file);
    let value = content(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error);
    Ok((
        file.with_context(|| format!("cannot write to {shown}"))?,
        value,
    ))
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
