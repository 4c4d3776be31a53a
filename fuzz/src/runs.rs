//! The commands, run on a destination whose manifest may say anything about what else is there.

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sprag::block::BlockSize;
use sprag::error::{Error, ManifestError, SetupError};
use sprag::event::VerifyEvent;
use sprag::exit::Exit;
use sprag::fs::Kind;
use sprag::hash::{Hash32, hash_block};
use sprag::path::RelPath;
use sprag::{CopyOptions, CopyRun, Event, VerifyOptions, VerifyRun};

use crate::MemoryFs;
use crate::manifest::ID;

/// Two blocks and an odd rest.
const LARGE_BYTES: usize = 150_001;
/// How much of it is in the partial file.
const PARTIAL_BYTES: usize = 100_000;

fn large() -> &'static [u8] {
    static LARGE: OnceLock<Vec<u8>> = OnceLock::new();
    LARGE.get_or_init(|| (0..LARGE_BYTES).map(|n| (n / 7 + n / 1000) as u8).collect())
}

/// Hashes that a manifest may rightly hold: of the small file, of the large one, of its blocks.
pub fn hashes() -> &'static [Hash32] {
    static HASHES: OnceLock<Vec<Hash32>> = OnceLock::new();
    HASHES.get_or_init(|| {
        let mut hashes = vec![hash_block(b"small", 0, true), hash_block(large(), 0, true)];
        let size = BlockSize::MIN;
        for index in 0..size.count(LARGE_BYTES as u64) {
            let range = size.range(index, LARGE_BYTES as u64);
            let block = &large()[range.start as usize..range.end as usize];
            hashes.push(hash_block(block, range.start, false));
        }
        hashes
    })
}

/// A destination with this manifest, some finished files and some partial ones.
pub fn destination(manifest: &[u8], journal: bool) -> MemoryFs {
    let fs = MemoryFs::with_manifest(manifest, journal);
    fs.add(b"a", Kind::File, b"small");
    fs.add(b"m", Kind::File, large());
    fs.add(b"d", Kind::Dir, &[]);
    fs.add(b"l", Kind::Symlink, b"a");
    for (path, content) in [("p", &large()[..PARTIAL_BYTES]), ("d/f", b"small")] {
        let path = RelPath::new(path).unwrap();
        let name = sprag::fuzzing::partial_name(&ID, &path, 0);
        let (parent, _) = path.split().unwrap();
        let partial = parent.join(&name).unwrap();
        fs.add(partial.as_bytes(), Kind::File, content);
    }
    fs
}

/// The source of every copy: the same names, on the real file system.
fn source() -> &'static PathBuf {
    static SOURCE: OnceLock<PathBuf> = OnceLock::new();
    SOURCE.get_or_init(|| {
        let dir = std::env::temp_dir().join(format!("sprag-fuzz-{}", std::process::id()));
        fs::create_dir_all(dir.join("d")).unwrap();
        for (name, content) in [
            ("a", &b"small"[..]),
            ("m", large()),
            ("p", large()),
            ("d/f", b"small"),
        ] {
            fs::write(dir.join(name), content).unwrap();
        }
        if fs::symlink_metadata(dir.join("l")).is_err() {
            std::os::unix::fs::symlink("a", dir.join("l")).unwrap();
            fs::hard_link(dir.join("a"), dir.join("h")).unwrap();
        }
        dir.join(".")
    })
}

/// A run may be refused because there is no manifest, or none that can be used.
fn assert_refused(error: &Error) {
    match error {
        Error::Manifest(
            ManifestError::Damaged { .. }
            | ManifestError::Newer { .. }
            | ManifestError::Salvaged(_),
        )
        | Error::Setup(SetupError::NoManifest { .. }) => {}
        _ => panic!("refused for another reason: {error:?}"),
    }
}

/// Verifies; `opens` says that there is a manifest and that it can be opened.
pub fn verify(fs: &Arc<MemoryFs>, opens: bool) -> Option<Exit> {
    let mut options = VerifyOptions::new("/dest");
    options.jobs = NonZeroUsize::new(1);
    let run = match VerifyRun::start_on(Arc::clone(fs), options) {
        Ok(run) => run,
        Err(error) => {
            assert!(!opens, "{error:?}");
            assert_refused(&error);
            return None;
        }
    };
    let mut exit = None;
    for event in run {
        if let VerifyEvent::Finished { summary, error } = event {
            error.iter().for_each(assert_refused);
            exit = Some(summary.exit_code);
        }
    }
    Some(exit.expect("a run ends with its last event"))
}

/// Copies, then verifies what the copy made of the manifest.
pub fn copy(fs: &Arc<MemoryFs>, opens: bool) {
    let mut options = CopyOptions::new([source()], "/dest");
    options.jobs = NonZeroUsize::new(1);
    options.owner = false;
    options.checkpoint_interval = Duration::from_secs(60);
    let run = match CopyRun::start_on(Arc::clone(fs), options) {
        Ok(run) => run,
        Err(error) => {
            assert!(!opens, "{error:?}");
            return assert_refused(&error);
        }
    };
    let mut exit = None;
    for event in run {
        if let Event::Finished { summary, error } = event {
            error.iter().for_each(assert_refused);
            exit = Some(summary.exit_code);
        }
    }
    let exit = exit.expect("a run ends with its last event");
    assert!(
        matches!(exit, Exit::Done | Exit::Partial | Exit::BadManifest),
        "{exit:?}"
    );
    let verified = verify(fs, exit != Exit::BadManifest);
    if exit != Exit::BadManifest {
        assert!(
            matches!(verified, Some(Exit::Done | Exit::Damaged)),
            "{verified:?}"
        );
    }
}
