//! What the tests of the binary share: trees to copy, the program to run, trees to compare.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use sprag::fs::{Fs, MountNo};

pub(crate) mod folding;
pub(crate) mod forger;
pub(crate) mod fuse;
pub(crate) mod image;
pub(crate) mod mount;
pub(crate) mod pty;
pub(crate) mod python;
pub(crate) mod strace;
pub(crate) mod totals;
pub(crate) mod user;
pub(crate) mod xattr;

/// A small generator of numbers that are the same in every run.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

/// Says loudly that a test was not run, and why.
pub(crate) fn skip(test: &str, needs: &str) {
    tell(&format!("\n*** SKIPPED: {test}: needs {needs} ***"));
}

/// Prints a line past the capture of the test harness, which minds only the printing macros.
pub(crate) fn tell(text: &str) {
    let text = format!("{text}\n");
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Whether a program can be run.
pub(crate) fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Whether this is root, and these programs can be run; what is missing is told.
pub(crate) fn is_root_with(test: &str, programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| !has(program));
    let missing = match is_root() {
        true => missing.copied(),
        false => Some("root"),
    };
    if let Some(missing) = missing {
        skip(test, missing);
    }
    missing.is_none()
}

pub(crate) fn write(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Gives a path an old modification time with odd nanoseconds.
pub(crate) fn age(path: &Path, nth: u64) {
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_600_000_000 + nth, 123_456_789);
    let times = fs::FileTimes::new().set_modified(time).set_accessed(time);
    fs::File::open(path).unwrap().set_times(times).unwrap();
}

/// A tree with a bit of everything that the core copies.
pub(crate) fn mixed_tree(root: &Path, small: u64, large: &[usize]) {
    let mut rng = Rng::new(small + large.len() as u64);
    for n in 0..small {
        let len = [0, 1, 100, 4096, 5000, 65_536, 65_537][rng.below(7) as usize];
        let path = root.join(format!("dir{}/sub{}/file {n}", n % 7, n % 3));
        write(&path, rng.bytes(len));
        let mode = [0o644, 0o600, 0o755, 0o440][rng.below(4) as usize];
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        age(&path, n);
    }
    for (n, len) in large.iter().enumerate() {
        let path = root.join(format!("large{n}"));
        write(&path, rng.bytes(*len));
        age(&path, n as u64);
    }
    fs::create_dir_all(root.join("empty dir")).unwrap();
    write(root.join("dir0/new\nline"), "newline");
    write(
        root.join(std::ffi::OsStr::from_bytes(b"dir0/\xff\xfe")),
        "not UTF-8",
    );
    symlink("dir0/sub0", root.join("link")).unwrap();
    symlink("/nowhere/at all", root.join("dir0/dangling")).unwrap();
    write(root.join("dir0/hard a"), "one inode");
    fs::hard_link(root.join("dir0/hard a"), root.join("hard b")).unwrap();
    fs::set_permissions(root.join("empty dir"), fs::Permissions::from_mode(0o750)).unwrap();
    for dir in ["empty dir", "dir0", "."] {
        age(&root.join(dir), 42);
    }
}

/// All there is to compare of a tree: everything but what belongs to sprag.
pub(crate) fn snapshot(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut entries = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(root).unwrap().to_path_buf();
        if path.starts_with(".sprag") || path.as_os_str().is_empty() {
            continue;
        }
        let meta = entry.path().symlink_metadata().unwrap();
        let what = if meta.is_symlink() {
            format!("-> {:?}", fs::read_link(entry.path()).unwrap())
        } else if meta.is_dir() {
            "dir".into()
        } else {
            let content = fs::read(entry.path()).unwrap();
            format!("{} bytes {}", content.len(), blake3::hash(&content))
        };
        let mode = if meta.is_symlink() { 0 } else { meta.mode() };
        let (time, ns) = (meta.mtime(), meta.mtime_nsec());
        entries.insert(path, format!("{mode:o} {time}.{ns:09} {what}"));
    }
    entries
}

/// The first difference between two trees, in words.
pub(crate) fn difference(source: &Path, dest: &Path) -> Option<String> {
    let (source, dest) = (snapshot(source), snapshot(dest));
    let differs = source
        .iter()
        .find(|(path, what)| dest.get(*path) != Some(what));
    if let Some((path, what)) = differs {
        let there = dest.get(path);
        return Some(format!("{path:?}: source {what:?}, destination {there:?}"));
    }
    let extra = dest.keys().find(|path| !source.contains_key(*path));
    extra.map(|path| format!("{path:?} is not in the source"))
}

/// Panics with the first difference between two trees.
#[track_caller]
pub(crate) fn assert_same_tree(source: &Path, dest: &Path) {
    let differs = difference(source, dest);
    assert!(differs.is_none(), "{}", differs.unwrap_or_default());
}

/// The content of each file and the target of each link.
pub(crate) type Contents = BTreeMap<PathBuf, String>;

pub(crate) fn contents(root: &Path) -> Contents {
    let whole = snapshot(root).into_iter();
    whole
        .filter(|(_, what)| !what.ends_with(" dir"))
        // Without mode and time.
        .map(|(path, what)| (path, what.splitn(3, ' ').nth(2).unwrap().to_string()))
        .collect()
}

/// Every final name has the whole content of one version, and what was there before the cut
/// is still there.
#[track_caller]
pub(crate) fn assert_names_are_whole(dest: &Path, versions: &[&Contents], before: &Contents) {
    let mut there = BTreeSet::new();
    for (path, what) in contents(dest) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with(".sprag-") && name.ends_with(".partial") {
            continue;
        }
        let whole = versions.iter().any(|all| all.get(&path) == Some(&what));
        assert!(whole, "{path:?} is neither old nor new: {what}");
        there.insert(path);
    }
    for path in before.keys() {
        assert!(there.contains(path), "{path:?} is gone");
    }
}

/// The same paths with other content.
pub(crate) fn alter(root: &Path) {
    for (nth, path) in contents(root).keys().enumerate() {
        let path = root.join(path);
        if path.is_symlink() {
            fs::remove_file(&path).unwrap();
            symlink("altered", &path).unwrap();
        } else {
            let mut content = fs::read(&path).unwrap();
            content.reverse();
            content.extend_from_slice(b"altered");
            fs::write(&path, content).unwrap();
            age(&path, 5000 + nth as u64);
        }
    }
}

/// Flips a byte and gives the file back its modification time: rot, not an edit.
pub(crate) fn rot(path: &Path, offset: u64) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], offset).unwrap();
    file.set_times(fs::FileTimes::new().set_modified(modified))
        .unwrap();
}

/// All commands of the program.
pub(crate) const COMMANDS: [&str; 7] = [
    "copy",
    "verify",
    "status",
    "export",
    "clean",
    "completions",
    "man",
];

/// The program under test.
///
/// What it would remember of destinations goes nowhere, nor does it ask this machine's fstab.
pub(crate) fn sprag() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sprag"));
    forgetful(&mut command);
    command
}

/// Keeps a command from remembering destinations.
pub(crate) fn forgetful(command: &mut Command) {
    command.env("XDG_STATE_HOME", "/dev/null/state");
    command.env("LIBMOUNT_FSTAB", "/dev/null");
}

/// What a run with `--json` said.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) lines: Vec<Value>,
    pub(crate) stderr: String,
}

impl Ran {
    /// What a run printed, of which the totals are checked.
    #[track_caller]
    pub(crate) fn from(output: &Output) -> Ran {
        let stdout = String::from_utf8(output.stdout.clone()).unwrap();
        let lines = stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let lines: Vec<Value> = lines.collect();
        let code = output.status.code().unwrap_or(-1);
        totals::check(&lines, code);
        Ran {
            code,
            lines,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// A number of the summary.
    #[track_caller]
    pub(crate) fn sum(&self, field: &str) -> u64 {
        let summary = self.lines.last().expect("a summary line");
        assert_eq!(summary["type"], "summary");
        assert_eq!(summary["exit_code"], self.code, "{}", self.stderr);
        let figure = summary[field].as_u64();
        figure.unwrap_or_else(|| panic!("no {field} in {summary}"))
    }

    /// Path and kind of each problem.
    pub(crate) fn problems(&self) -> Vec<(String, String)> {
        let problems = self.lines.iter().filter(|line| line["type"] == "problem");
        let text = |value: &Value| value.as_str().unwrap().to_string();
        problems
            .map(|line| (text(&line["path"]), text(&line["kind"])))
            .collect()
    }
}

/// Runs `sprag COMMAND --json ARGS…`.
pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(
    command: &str,
    args: impl IntoIterator<Item = S>,
) -> Ran {
    let output = sprag().arg(command).arg("--json").args(args).output();
    Ran::from(&output.unwrap())
}

/// Runs `sprag copy` and expects it to end with `code`.
#[track_caller]
pub(crate) fn copy<S: AsRef<std::ffi::OsStr>>(code: i32, args: impl IntoIterator<Item = S>) -> Ran {
    let ran = run("copy", args);
    assert_eq!(ran.code, code, "{} {:?}", ran.stderr, ran.lines.last());
    ran
}

/// Waits for a child and its output; one that is not over in time is killed and fails the test.
#[track_caller]
pub(crate) fn end_within(secs: u64, child: Child) -> Output {
    let pid = child.id().to_string();
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait_with_output()));
    match end.recv_timeout(Duration::from_secs(secs)) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            let _ = Command::new("kill").args(["-KILL", &pid]).status();
            panic!("not over after {secs} seconds: it hangs");
        }
    }
}

/// A temporary directory on a file system that has a journal. Without one, a killed process counts as
/// a power cut, and the partial files that it leaves are not touched.
pub(crate) fn journaled_dir() -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    let fs = sprag::fs::OsFs::open_root(temp.path()).unwrap();
    match fs.rules(MountNo::default()).lacks_journal {
        true => tempfile::tempdir_in("/dev/shm").unwrap(),
        false => temp,
    }
}

/// A source tree and a destination that does not exist yet, in a temporary directory.
pub(crate) struct Fixture {
    pub(crate) temp: tempfile::TempDir,
    pub(crate) source: PathBuf,
    pub(crate) dest: PathBuf,
}

impl Fixture {
    pub(crate) fn new() -> Fixture {
        Fixture::in_dir(tempfile::tempdir().unwrap())
    }

    /// One for tests that kill a copy and expect it to be continued as if nothing had been lost.
    pub(crate) fn journaled() -> Fixture {
        Fixture::in_dir(journaled_dir())
    }

    fn in_dir(temp: tempfile::TempDir) -> Fixture {
        let (source, dest) = (temp.path().join("source"), temp.path().join("dest"));
        fs::create_dir(&source).unwrap();
        Fixture { temp, source, dest }
    }

    /// `source/`, which means its contents.
    pub(crate) fn contents(&self) -> PathBuf {
        let mut path = self.source.clone().into_os_string();
        path.push("/");
        path.into()
    }

    /// Copies the source's contents and expects `code`.
    #[track_caller]
    pub(crate) fn copy(&self, code: i32) -> Ran {
        copy(code, [self.contents(), self.dest.clone()])
    }

    #[track_caller]
    pub(crate) fn assert_same(&self) {
        assert_same_tree(&self.source, &self.dest);
    }
}

/// Begins to copy the source's contents, in small blocks, and stops once something new is written:
/// what is larger than a few MiB is then half done.
pub(crate) fn begin_copy(fixture: &Fixture) {
    let mut options = sprag::CopyOptions::new([fixture.contents()], &fixture.dest);
    options.block_size = Some(sprag::block::BlockSize::MIN);
    let mut run = sprag::copy(options).unwrap();
    let new = |event: &sprag::Event| matches!(event, sprag::Event::Progress(at) if at.bytes_written > at.bytes_before);
    assert!(run.any(|event| new(&event)));
    drop(run);
    wait_for_the_lock(&fixture.dest.join(".sprag/manifest"));
}

/// Waits until nobody holds the lock of a manifest. A program that another test starts at this very moment
/// shares what this process has open, until it is itself.
fn wait_for_the_lock(manifest: &Path) {
    use rustix::fs::{FlockOperation, flock};
    let file = fs::File::open(manifest).unwrap();
    for _ in 0..1000 {
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("somebody holds {manifest:?}");
}
