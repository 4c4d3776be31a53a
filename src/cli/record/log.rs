//! `--log-file`: a line for each thing that happened, with its time, behind what is there.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use sprag::error::Reason;
use sprag::path::Printable;

/// An open log.
pub(super) struct Log {
    path: PathBuf,
    /// `None` once it could not be written.
    file: Option<BufWriter<File>>,
}

impl Log {
    /// Opens the log, which is made if it is missing.
    pub(super) fn open(path: &Path) -> anyhow::Result<Log> {
        let file = File::options().append(true).create(true).open(path);
        let file = file.with_context(|| format!("cannot open the log file {}", Printable(path)))?;
        Ok(Log {
            path: path.to_path_buf(),
            file: Some(BufWriter::new(file)),
        })
    }

    /// Writes a line. The text of an error, once, if the log cannot be written any more.
    pub(super) fn line(&mut self, word: &str, text: &str) -> Option<String> {
        let now = humantime::format_rfc3339_millis(std::time::SystemTime::now());
        let line = format!("{now} {word:<10} {}\n", text.replace('\n', " "));
        self.write(|file| file.write_all(line.as_bytes()))
    }

    /// Hands to the system what is still held.
    pub(super) fn flush(&mut self) -> Option<String> {
        self.write(|file| file.flush())
    }

    /// Whether lines were lost.
    pub(super) fn has_failed(&self) -> bool {
        self.file.is_none()
    }

    fn write(
        &mut self,
        write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
    ) -> Option<String> {
        let error = write(self.file.as_mut()?).err()?;
        if let Some(file) = self.file.take() {
            // Not to try once more what it holds.
            let _ = file.into_parts();
        }
        let path = Printable(&self.path);
        Some(format!(
            "cannot write to the log file {path}: {}; nothing more is written there",
            Reason(&error)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_behind_those_that_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "before\n").unwrap();
        let mut log = Log::open(&path).unwrap();
        assert_eq!(log.line("copied", "a\nb"), None);
        assert_eq!(log.flush(), None);
        let text = std::fs::read_to_string(&path).unwrap();
        let last = text.strip_prefix("before\n").unwrap();
        assert!(last.ends_with("Z copied     a b\n"), "{last}");
        assert_eq!(last.lines().count(), 1);
    }

    #[test]
    fn a_log_that_cannot_be_written_is_complained_about_once() {
        let Ok(mut log) = Log::open(Path::new("/dev/full")) else {
            return; // No such device here.
        };
        log.line("copied", "a");
        assert!(log.flush().unwrap().contains("/dev/full"));
        assert_eq!(log.line("copied", "b"), None);
        assert_eq!(log.flush(), None);
        assert!(log.has_failed());
    }
}
