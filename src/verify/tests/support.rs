//! What the tests of verification share: a sound destination, ways to spoil it, and what a run finds.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::error::Error;
use crate::event::{PassedOver, Verdict, VerifyEvent, VerifySummary};
use crate::options::VerifyOptions;
use crate::verify::fixture::{Fixture, content};
use crate::verify::verify;

pub(super) struct Found {
    pub(super) opened: (u64, u64),
    pub(super) passed: PassedOver,
    pub(super) warnings: Vec<String>,
    pub(super) verdicts: BTreeMap<String, Verdict>,
    pub(super) summary: VerifySummary,
    pub(super) error: Option<Error>,
}

impl Found {
    pub(super) fn kind(&self, path: &str) -> &'static str {
        self.verdicts[path].kind()
    }
}

pub(super) fn verify_paths(dest: &Path, paths: &[&str]) -> Found {
    let mut options = VerifyOptions::new(dest);
    options.paths = paths.iter().map(Into::into).collect();
    let found = verify_with(options);
    assert_eq!(found.warnings, [""; 0]);
    found
}

pub(super) fn verify_with(options: VerifyOptions) -> Found {
    let mut opened = None;
    let mut warnings = Vec::new();
    let mut verdicts = BTreeMap::new();
    let mut end = None;
    let mut read = 0;
    for event in verify(options).unwrap() {
        assert!(end.is_none(), "nothing comes after the last event");
        match event {
            VerifyEvent::Opened {
                entries,
                bytes,
                passed,
                ..
            } => opened = Some(((entries, bytes), passed)),
            VerifyEvent::Concurrency(_) => {}
            VerifyEvent::Progress { bytes_read } => {
                assert!(bytes_read > read);
                read = bytes_read;
            }
            VerifyEvent::Warning(text) | VerifyEvent::Unnoted(text) => warnings.push(text),
            VerifyEvent::Compared { path, .. } => panic!("{path} has no source"),
            VerifyEvent::Entry { path, verdict, .. } => {
                let twice = verdicts.insert(path.to_string(), verdict);
                assert!(twice.is_none(), "{path} was judged twice");
            }
            VerifyEvent::Finished { summary, error } => end = Some((*summary, error)),
        }
    }
    let (summary, error) = end.unwrap();
    assert_eq!(summary.bytes_read, read);
    let (opened, passed) = opened.unwrap();
    Found {
        opened,
        passed,
        warnings,
        verdicts,
        summary,
        error,
    }
}

pub(super) fn verify_all(dest: &Path) -> Found {
    verify_paths(dest, &[])
}

pub(super) fn flip(path: &Path, offset: u64) {
    let mtime = fs::metadata(path).unwrap().modified().unwrap();
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
    file.set_modified(mtime).unwrap();
}

pub(super) fn age(path: &Path) {
    let file = fs::File::options().write(true).open(path).unwrap();
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    file.set_modified(past).unwrap();
}

/// One of each kind, all as recorded.
pub(super) fn sound() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.dir("d");
    fixture.dir("d/e");
    fixture.file("d/small", b"small");
    fixture.file("d/e/large", &content(300_000));
    fixture.file("empty", b"");
    fixture.symlink("s", "d/small");
    fixture.link("again", "d/small");
    fixture
}
