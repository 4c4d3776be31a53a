//! The destinations that were copied to, remembered below `$XDG_STATE_HOME/sprag`: so that a run
//! knows that there was a copy where now is none.
//!
//! A convenience. One small file a destination, put in place by a rename, so that runs at the same
//! time do not hurt each other. What cannot be read counts as not there, and what cannot be written
//! is not: nothing else changes.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sprag::Known;
use sprag::Place;
use sprag::exit::Exit;
use sprag::fs::{own_ids, source};
use sprag::hash;
use sprag::id::ManifestId;

/// More than this a file of ours does not have.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// So many drives that take turns at one path are remembered.
const DRIVES_MAX: usize = 16;

/// The directory of what is remembered; `None` if the environment names none.
#[derive(Debug)]
pub(crate) struct Remembered(Option<PathBuf>);

/// What is remembered of a path.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Remembrance {
    /// For people.
    path: String,
    /// The one that was copied to last comes first.
    destinations: Vec<Destination>,
}

/// A destination that was copied to there. Fields that are missing or unknown do not matter.
#[derive(Debug, Serialize, Deserialize)]
struct Destination {
    manifest_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file_system_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file_system_uuid: Option<String>,
    /// The path from the root of the file system, as base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inside: Option<String>,
    /// When it was last copied to, and how that ended if it has.
    last_run: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_exit_code: Option<u8>,
}

impl Destination {
    fn known(&self, path: &Path) -> Option<Known> {
        let inside = self.inside.as_ref();
        let inside = inside.and_then(|inside| STANDARD.decode(inside).ok());
        Some(Known {
            id: self.manifest_id.parse().ok()?,
            place: Place {
                path: path.to_path_buf(),
                inside: inside.map(|bytes| OsString::from_vec(bytes).into()),
                fs_type: self.file_system_type.clone(),
                uuid: self.file_system_uuid.clone(),
            },
        })
    }
}

impl Remembered {
    /// What the environment says: `$XDG_STATE_HOME`, or `~/.local/state`.
    pub(crate) fn of_environment() -> Remembered {
        let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
        let state = named("XDG_STATE_HOME").filter(|path| path.is_absolute());
        let home = || named("HOME").filter(|path| path.is_absolute());
        let state = state.or_else(|| home().map(|home| home.join(".local/state")));
        Remembered(state.map(|state| state.join("sprag/destinations")))
    }

    /// What is known of the destination that is given as `dest`: of each drive that was there.
    pub(crate) fn look_up(&self, dest: &Path) -> Vec<Known> {
        let known = names(dest).into_iter().find_map(|path| {
            let remembered = self.read(&file_name(&path))?;
            let known = remembered.destinations.iter();
            let known: Vec<Known> = known.filter_map(|drive| drive.known(&path)).collect();
            (!known.is_empty()).then_some(known)
        });
        known.unwrap_or_default()
    }

    /// A file of ours; whoever else may write in the directory is not believed.
    fn read(&self, name: &str) -> Option<Remembrance> {
        let file = self.0.as_ref()?.join(name);
        let metadata = fs::symlink_metadata(&file).ok()?;
        let is_ours = metadata.is_file() && metadata.uid() == own_ids().0;
        if !is_ours || metadata.len() > FILE_BYTES_MAX {
            return None;
        }
        serde_json::from_slice(&fs::read(&file).ok()?).ok()
    }

    /// Remembers a destination, given as `dest`, under all its names.
    pub(crate) fn note(&self, dest: &Path, place: &Place, id: ManifestId, exit: Option<Exit>) {
        let Some(dir) = &self.0 else {
            return;
        };
        let mut paths = names(dest);
        // The place is that of the manifest's directory, also where DEST names a file in it.
        if !paths.contains(&place.path) {
            paths.push(place.path.clone());
        }
        for path in paths {
            let inside = place.inside.as_ref();
            let drive = Destination {
                manifest_id: id.to_string(),
                file_system_type: place.fs_type.clone(),
                file_system_uuid: place.uuid.clone(),
                inside: inside.map(|path| STANDARD.encode(path.as_os_str().as_bytes())),
                last_run: humantime::format_rfc3339_seconds(std::time::SystemTime::now())
                    .to_string(),
                last_exit_code: exit.map(Exit::code),
            };
            let name = file_name(&path);
            let mut known = self.read(&name).unwrap_or_default();
            known.path = path.to_string_lossy().into_owned();
            known
                .destinations
                .retain(|other| other.manifest_id != drive.manifest_id);
            known.destinations.insert(0, drive);
            known.destinations.truncate(DRIVES_MAX);
            // A convenience: without it the next run is as the first.
            let _ = put(dir, &name, &known);
        }
    }

    /// Forgets a destination whose state was removed on purpose.
    pub(crate) fn forget(&self, dest: &Path) {
        for path in names(dest) {
            if let Some(dir) = &self.0 {
                let _ = fs::remove_file(dir.join(file_name(&path)));
            }
        }
    }
}

/// The absolute paths that `dest` stands for: by name, and without symlinks.
fn names(dest: &Path) -> Vec<PathBuf> {
    // The components come without the slash at the end that a shell may add.
    let by_name: PathBuf = source::absolute(dest).components().collect();
    let mut names = vec![by_name];
    if let Ok(real) = source::canonicalize(dest)
        && !names.contains(&real)
    {
        names.push(real);
    }
    names
}

fn file_name(path: &Path) -> String {
    let hash = hash::hash_block(path.as_os_str().as_bytes(), 0, true);
    format!("{}.json", &hash::to_hex(&hash)[..32])
}

/// Writes to a new file of a name that nobody can guess, which then takes the place of the old one.
fn put(dir: &Path, name: &str, known: &Remembrance) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    let text = serde_json::to_string_pretty(known)?;
    let mut new = tempfile::NamedTempFile::new_in(dir)?;
    new.write_all((text + "\n").as_bytes())?;
    new.persist(dir.join(name)).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &Path) -> Place {
        Place {
            path: path.to_path_buf(),
            inside: Some("/copies".into()),
            fs_type: Some("ext4".into()),
            uuid: Some("1234-ABCD".into()),
        }
    }

    #[test]
    fn what_is_noted_is_found_again_and_can_be_forgotten() {
        let temp = tempfile::tempdir().unwrap();
        let remembered = Remembered(Some(temp.path().join("state/sprag")));
        let dest = temp.path().join("dest");
        let id: ManifestId = "00112233445566778899aabbccddeeff".parse().unwrap();
        assert_eq!(remembered.look_up(&dest), []);
        remembered.note(&dest, &place(&dest), id, None);
        remembered.note(&dest, &place(&dest), id, Some(Exit::Done));
        let known = |id| Known {
            id,
            place: place(&dest),
        };
        assert_eq!(remembered.look_up(&dest), [known(id)]);
        assert_eq!(remembered.look_up(&dest.join("")).len(), 1);
        let other: ManifestId = "ffeeddccbbaa99887766554433221100".parse().unwrap();
        remembered.note(&dest, &place(&dest), other, None);
        assert_eq!(remembered.look_up(&dest), [known(other), known(id)]);
        remembered.forget(&dest);
        assert_eq!(remembered.look_up(&dest), []);
        let left = fs::read_dir(temp.path().join("state/sprag")).unwrap();
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn a_broken_or_missing_state_is_none() {
        let temp = tempfile::tempdir().unwrap();
        let dest = temp.path().join("dest");
        let id: ManifestId = "00112233445566778899aabbccddeeff".parse().unwrap();
        for dir in [None, Some("/dev/null/state".into())] {
            let remembered = Remembered(dir);
            remembered.note(&dest, &place(&dest), id, None);
            assert_eq!(remembered.look_up(&dest), []);
            remembered.forget(&dest);
        }
        let remembered = Remembered(Some(temp.path().into()));
        for text in [
            "",
            "{}",
            "{\"manifest_id\":3}",
            "{\"path\":\"/a\",\"manifest_id\":\"x\"}",
        ] {
            fs::write(temp.path().join(file_name(&dest)), text).unwrap();
            assert_eq!(remembered.look_up(&dest), [], "{text}");
        }
    }
}
