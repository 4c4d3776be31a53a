//! Symlinks that someone planted on the destination where sprag has files of its own: under the
//! names of partials, which can be foretold, and in place of its state. They lead no write outside.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use sprag::hash;

use crate::support::*;

/// Something that must stay as it is, and a destination that knows itself.
fn fixture() -> (Fixture, PathBuf) {
    let fixture = Fixture::new();
    let outside = fixture.temp.path().join("outside");
    write(outside.join("victim"), "untouched");
    fixture.copy(0);
    (fixture, outside)
}

/// The partial name of a path, as `docs/FORMAT.md` gives it.
fn partial_name(fixture: &Fixture, path: &str, attempt: u8) -> String {
    let manifest = fs::read(fixture.dest.join(".sprag/manifest")).unwrap();
    let id = &manifest[16..32];
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"sprag partial").update(id);
    hasher.update(&[attempt]).update(path.as_bytes());
    let nonce = u32::from_le_bytes(hasher.finalize().as_bytes()[..4].try_into().unwrap());
    format!(".sprag-{}{nonce:08x}.partial", hash::to_hex(&id[..4]))
}

#[test]
fn planted_symlinks_under_the_names_of_partials_are_not_written_through() {
    let (fixture, outside) = fixture();
    let before = snapshot(&outside);
    write(fixture.source.join("small"), "new content");
    write(fixture.source.join("large"), Rng::new(1).bytes(3 << 20));
    symlink("small", fixture.source.join("link")).unwrap();
    for path in ["small", "large", "link"] {
        for attempt in 0..3 {
            let name = partial_name(&fixture, path, attempt);
            symlink(outside.join("victim"), fixture.dest.join(name)).unwrap();
        }
    }
    fixture.copy(0);
    assert_eq!(snapshot(&outside), before);
    for path in ["small", "large"] {
        let copied = fs::symlink_metadata(fixture.dest.join(path)).unwrap();
        assert!(copied.is_file(), "{path}");
        let ours = fs::read(fixture.dest.join(path)).unwrap();
        assert!(ours == fs::read(fixture.source.join(path)).unwrap());
    }
    let link = fs::read_link(fixture.dest.join("link")).unwrap();
    assert_eq!(link, PathBuf::from("small"));
}

#[test]
fn planted_symlinks_in_place_of_the_state_are_refused_and_not_followed() {
    let (first, _) = fixture();
    let names: Vec<_> = fs::read_dir(first.dest.join(".sprag"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(names.len() >= 2, "{names:?}");
    let others = ["probe", "manifest.new", "manifest.damaged"].map(Into::into);
    for name in names.into_iter().chain(others) {
        let (fixture, outside) = fixture();
        let state = fixture.dest.join(".sprag");
        // What it leads to would do for a state, or for what is made in one.
        let real = outside.join("real");
        match fs::rename(state.join(&name), &real) {
            Ok(()) => {}
            Err(_) => fs::create_dir(&real).unwrap(),
        }
        write(fixture.source.join("file"), "new content");
        symlink(&real, state.join(&name)).unwrap();
        let before = snapshot(&outside);
        let args = [fixture.contents(), fixture.dest.clone()];
        let ran = run("copy", args);
        assert_eq!(snapshot(&outside), before, "{name:?}: {}", ran.stderr);
    }
    let (fixture, outside) = fixture();
    fs::rename(fixture.dest.join(".sprag"), outside.join("state")).unwrap();
    symlink(outside.join("state"), fixture.dest.join(".sprag")).unwrap();
    write(fixture.source.join("file"), "new content");
    let before = snapshot(&outside);
    let ran = run("copy", [fixture.contents(), fixture.dest.clone()]);
    assert_ne!(ran.code, 0);
    assert_eq!(snapshot(&outside), before, "{}", ran.stderr);
    assert!(!fixture.dest.join("file").exists());
}
