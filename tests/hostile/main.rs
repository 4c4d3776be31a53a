//! Hostile bytes where the manifest should be: every byte flipped, every length cut, every end
//! blanked.
//!
//! Whatever stands there, each command either gives right results or refuses with 44; one that only reads
//! may do both, and then says of what it does not know that it is unknown. No panic, nothing wrong called
//! right, nothing right called wrong, and not a byte changed elsewhere.
//!
//! All of it goes through the library, which is faster than a process a case. It is a program of
//! its own because a process that is being started by another test holds, for a moment, a copy of
//! every open file of this one, and with it every lock.
//!
//! With `SPRAG_LONG=1` in the environment no position is left out.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
#[allow(dead_code)] // It has what the tests of the binary need.
mod support;
mod trees;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use sprag::block::BlockSize;
use sprag::error::ManifestDamage;
use sprag::event::{Verdict, VerifyEvent};
use sprag::exit::Exit;
use sprag::{CopyOptions, Event, VerifyOptions};
use tempfile::TempDir;

use crate::support::*;
use crate::trees::{clone_tree, remove_partials, set_time};

const HEADER: usize = 4096;
/// From here on, the header holds nothing.
const HEADER_USED: usize = 512;
const BLOCK: usize = 64 << 10;
/// The file that is damaged at the destination, its time and size as they were.
const DAMAGED: &str = "dir/damaged";

/// A destination with its manifest, to be tried with others.
struct Victim {
    temp: TempDir,
    manifest: Vec<u8>,
    /// What is beside the destination, before anything was tried.
    outside: BTreeMap<PathBuf, String>,
}

/// A manifest that is not what it was.
struct Case {
    what: String,
    manifest: Vec<u8>,
}

impl Case {
    /// A making that was cut short, not damage: it says as little as none would.
    fn is_blank(&self) -> bool {
        self.manifest.len() <= HEADER && self.manifest.iter().all(|byte| *byte == 0)
    }
}

/// A temporary directory in memory, if there is one.
fn temp_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

impl Victim {
    /// A tree that was copied to its end.
    fn finished() -> Victim {
        let temp = Victim::sources();
        assert_eq!(copy_to_end(temp.path()), Ok(Exit::Done));
        Victim::alone(temp)
    }

    /// Without the copy that sprag keeps of its manifest.
    fn alone(temp: TempDir) -> Victim {
        fs::remove_file(temp.path().join("dest/.sprag/manifest.bak")).unwrap();
        Victim::of(temp)
    }

    /// The same, and the copy that sprag keeps of its manifest is there.
    fn with_a_copy_of_its_manifest() -> Victim {
        let temp = Victim::sources();
        assert_eq!(copy_to_end(temp.path()), Ok(Exit::Done));
        Victim::of(temp)
    }

    /// A copy that was stopped inside its largest file.
    fn stopped() -> Victim {
        // How far the workers are ahead of the one who pulls is up to the system.
        for _ in 0..1000 {
            let temp = Victim::sources();
            let mut run = sprag::copy(options(temp.path())).unwrap();
            let large = |event| matches!(event, Event::Progress(at) if at.bytes_written > 3 << 16);
            assert!(run.any(large));
            drop(run);
            let status = sprag::status(&temp.path().join("dest"), None).unwrap();
            if status.partial.iter().any(|partial| partial.bytes > 0) {
                return Victim::alone(temp);
            }
        }
        panic!("a copy could never be stopped inside a file");
    }

    fn sources() -> TempDir {
        let temp = temp_dir();
        let (source, mut rng) = (temp.path().join("source"), Rng::new(3));
        write(source.join("a"), "small");
        write(source.join(DAMAGED), rng.bytes(3000));
        write(source.join("dir/blocks"), rng.bytes(2 * BLOCK + 999));
        write(source.join("z large"), rng.bytes(9 * BLOCK + 1));
        symlink("dir/blocks", source.join("link")).unwrap();
        fs::hard_link(source.join("a"), source.join("dir/hard")).unwrap();
        write(temp.path().join("outside/file"), "not ours");
        symlink("../source", temp.path().join("outside/link")).unwrap();
        fs::create_dir(temp.path().join("dest")).unwrap();
        temp
    }

    fn of(temp: TempDir) -> Victim {
        let victim = Victim {
            manifest: fs::read(temp.path().join("dest/.sprag/manifest")).unwrap(),
            outside: BTreeMap::new(),
            temp,
        };
        // For looking only; what is copied to is cloned from `dest`.
        clone_tree(&victim.path("dest"), &victim.path("damaged"));
        let damaged = victim.path("damaged").join(DAMAGED);
        let mut content = fs::read(&damaged).unwrap();
        content[1234] ^= 4;
        let times = fs::metadata(&damaged).unwrap();
        fs::write(&damaged, content).unwrap();
        set_time(&damaged, &times);
        Victim {
            outside: victim.outside(),
            ..victim
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// All there is but the two destinations that are written to here.
    fn outside(&self) -> BTreeMap<PathBuf, String> {
        let mut all = snapshot(self.temp.path());
        all.retain(|path, _| !path.starts_with("copied") && !path.starts_with("damaged/.sprag"));
        all
    }

    /// Positions and lengths to try: all where there is something, few where there is nothing.
    fn positions(&self, stride: usize) -> Vec<usize> {
        let long = std::env::var_os("SPRAG_LONG").is_some();
        let stride = if long { 1 } else { stride };
        let used = (0..HEADER_USED).chain(HEADER..self.manifest.len());
        let unused = (HEADER_USED..HEADER).step_by(if long { 1 } else { 211 });
        used.step_by(stride).chain(unused).collect()
    }

    fn flipped(&self, at: usize) -> Case {
        let mut manifest = self.manifest.clone();
        let by = [0x01, 0x80, 0xff, 0x10, 0x7f, 0x02][at % 6];
        manifest[at] ^= by;
        let what = format!("byte {at} xor {by:#x}");
        Case { what, manifest }
    }

    fn cut(&self, len: usize) -> Case {
        let what = format!("cut at {len}");
        let manifest = self.manifest[..len].to_vec();
        Case { what, manifest }
    }

    /// As a file that kept its length and lost its end.
    fn blanked(&self, from: usize) -> Case {
        let mut manifest = self.manifest.clone();
        manifest[from..].fill(0);
        let what = format!("zeros from {from}");
        Case { what, manifest }
    }

    /// `status` and `verify` look at the tree with the damaged file. Gives what came of it.
    fn look(&self, case: &Case) -> Looked {
        let dest = self.path("damaged");
        fs::write(dest.join(".sprag/manifest"), &case.manifest).unwrap();
        let status = sprag::status(&dest, None);
        let verdicts = verify(&dest);
        let refusal = match case.is_blank() {
            true => Exit::Unusable,
            false => Exit::BadManifest,
        };
        let looked = match (status, verdicts) {
            (Ok(status), Ok((verdicts, damage))) => {
                assert_eq!(status.manifest_damage, damage, "{}", case.what);
                judge(case, &verdicts, damage.as_ref());
                match damage {
                    None => Looked::Worked,
                    Some(_) => Looked::Salvaged,
                }
            }
            (Err(status), Err(verify)) => {
                assert_eq!(status.exit(), refusal, "{}: {status}", case.what);
                assert_eq!(verify, refusal, "{}", case.what);
                Looked::Refused
            }
            (status, verify) => panic!("{}: {status:?} but {verify:?}", case.what),
        };
        let kept = fs::read(dest.join(".sprag/manifest")).unwrap();
        assert!(kept == case.manifest, "{}: looking changed it", case.what);
        looked
    }

    /// A copy makes the destination equal to the source, or leaves it as it is.
    fn copy(&self, case: &Case) {
        let dest = self.path("copied");
        clone_tree(&self.path("dest"), &dest);
        fs::write(dest.join(".sprag/manifest"), &case.manifest).unwrap();
        match copy_onto(self.temp.path(), "copied") {
            Ok(Exit::Done) => {
                if case.is_blank() {
                    remove_partials(&dest);
                }
                assert_same_tree(&self.path("source"), &dest);
                let (verdicts, damage) = verify(&dest).expect(&case.what);
                assert_eq!(damage, None);
                assert!(verdicts.values().all(|kind| *kind == "ok"), "{verdicts:?}");
            }
            Err(Exit::BadManifest) => {
                let kept = fs::read(dest.join(".sprag/manifest")).unwrap();
                assert!(kept == case.manifest, "{}: it was not kept", case.what);
                assert_same_tree(&self.path("dest"), &dest);
            }
            other => panic!("{}: {other:?}", case.what),
        }
        fs::remove_dir_all(&dest).unwrap();
    }
}

/// What came of looking.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looked {
    Worked,
    /// What could be read was used, and the damage was told.
    Salvaged,
    Refused,
}

/// No wrong "ok", and nothing called damaged that is not. Where records are lost, nothing without
/// one is called extra; where they are said not to be, nothing lacks one.
fn judge(case: &Case, verdicts: &Verdicts, damage: Option<&ManifestDamage>) {
    let nameless = match damage {
        Some(damage) if !damage.complete => "unknown",
        Some(_) => "ok",
        None => "extra",
    };
    for (path, kind) in verdicts {
        let right = match path == Path::new(DAMAGED) {
            true if nameless == "ok" => ["corrupt", "corrupt", "incomplete"],
            true => ["corrupt", nameless, "incomplete"],
            false => ["ok", nameless, "incomplete"],
        };
        assert!(right.contains(kind), "{}: {path:?} is {kind}", case.what);
    }
}

/// The word for each verdict.
type Verdicts = BTreeMap<PathBuf, &'static str>;

fn options(temp: &Path) -> CopyOptions {
    let mut options = CopyOptions::new([temp.join("source/.")], temp.join("dest"));
    options.block_size = Some(BlockSize::MIN);
    options.checkpoint_bytes = BLOCK as u64;
    options.jobs = std::num::NonZeroUsize::new(1);
    options
}

fn copy_to_end(temp: &Path) -> Result<Exit, Exit> {
    copy_onto(temp, "dest")
}

/// How a copy ended; an error is one that kept it from starting.
fn copy_onto(temp: &Path, dest: &str) -> Result<Exit, Exit> {
    let mut options = options(temp);
    options.dest = temp.join(dest);
    let run = sprag::copy(options).map_err(|error| error.exit())?;
    let mut events: Vec<Event> = run.collect();
    match events.pop() {
        Some(Event::Finished { summary, .. }) => Ok(summary.exit_code),
        other => panic!("a run ended with {other:?}"),
    }
}

/// What is found, and what is wrong with the manifest.
fn verify(dest: &Path) -> Result<(Verdicts, Option<ManifestDamage>), Exit> {
    let mut options = VerifyOptions::new(dest);
    options.jobs = std::num::NonZeroUsize::new(1);
    let run = sprag::verify(options).map_err(|error| error.exit())?;
    let (mut verdicts, mut end) = (BTreeMap::new(), None);
    for event in run {
        match event {
            VerifyEvent::Entry { path, verdict, .. } => {
                let kind = Verdict::kind(&verdict);
                verdicts.insert(path.to_path_buf(), kind);
            }
            VerifyEvent::Finished { summary, error } => {
                // Where nothing is recorded any more, that is refused.
                let nothing = summary.exit_code == Exit::Unusable;
                assert_eq!(
                    error.is_some(),
                    summary.manifest_damage.is_some() || nothing,
                    "{error:?}"
                );
                end = Some((
                    summary.exit_code,
                    summary.manifest_damage.map(|damage| *damage),
                ));
            }
            _ => {}
        }
    }
    let (exit, damage) = end.expect("a run ends with its last event");
    let damaged = verdicts
        .values()
        .any(|kind| !["ok", "extra"].contains(kind));
    let right = match damage {
        Some(_) => Exit::BadManifest,
        None if damaged => Exit::Damaged,
        None if verdicts.values().all(|kind| *kind == "extra") => Exit::Unusable,
        None => Exit::Done,
    };
    assert_eq!(exit, right);
    Ok((verdicts, damage))
}

fn try_all(victim: &Victim, stride: usize) {
    let as_it_was = Case {
        what: "as it was".into(),
        manifest: victim.manifest.clone(),
    };
    victim.look(&as_it_was);
    victim.copy(&as_it_was);
    let (verdicts, _) = verify(&victim.path("damaged")).unwrap();
    assert_eq!(verdicts[Path::new(DAMAGED)], "corrupt");
    let ways = [Victim::flipped, Victim::cut, Victim::blanked];
    let mut looked = Vec::new();
    for at in victim.positions(1) {
        looked.extend(ways.map(|way| victim.look(&way(victim, at))));
    }
    for what in [Looked::Worked, Looked::Salvaged, Looked::Refused] {
        let count = looked.iter().filter(|looked| **looked == what).count();
        assert!(count > 400, "{count} of {}", looked.len());
    }
    for at in victim.positions(stride) {
        for way in ways {
            victim.copy(&way(victim, at));
        }
    }
    assert_eq!(victim.outside(), victim.outside, "something else changed");
}

#[test]
fn a_finished_copys_manifest_with_any_byte_flipped_or_cut_off_misleads_nobody() {
    try_all(&Victim::finished(), 5);
}

#[test]
fn a_copy_goes_on_from_the_copy_of_a_manifest_with_any_byte_flipped_or_cut_off() {
    let victim = Victim::with_a_copy_of_its_manifest();
    for at in victim.positions(41) {
        for way in [Victim::flipped, Victim::cut, Victim::blanked] {
            victim.copy(&way(&victim, at));
        }
    }
    assert_eq!(victim.outside(), victim.outside, "something else changed");
}

#[test]
fn a_manifest_and_its_copy_that_are_both_damaged_mislead_nobody_who_reads_them() {
    let victim = Victim::with_a_copy_of_its_manifest();
    let copy = victim.path("damaged/.sprag/manifest.bak");
    let whole = fs::read(&copy).unwrap();
    let mut rng = Rng::new(6);
    for at in victim.positions(3) {
        let mut copied = whole.clone();
        for _ in 0..3 {
            let at = rng.below(copied.len() as u64) as usize;
            copied[at] ^= 0x11;
        }
        fs::write(&copy, copied).unwrap();
        for way in [Victim::flipped, Victim::blanked] {
            victim.look(&way(&victim, at));
        }
    }
    assert_eq!(victim.outside(), victim.outside, "something else changed");
}

#[test]
fn a_stopped_copys_manifest_with_any_byte_flipped_or_cut_off_misleads_nobody() {
    try_all(&Victim::stopped(), 5);
}
