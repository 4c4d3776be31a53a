//! Who may read the state. It tells names, sizes, times and hashes, and a hash of something short tells what that
//! is. So it is made for its owner alone, and opened for all only when a copy has met nothing that others may
//! not read.

use super::*;
use crate::fs::Meta;
use crate::manifest::MANIFEST_BAK;

const ALONE: (u32, u32) = (0o700, 0o600);
const FOR_ALL: (u32, u32) = (0o755, 0o644);

impl<F: Fs> Store<F> {
    /// Whether others may read it.
    pub(crate) fn is_public(&self) -> io::Result<bool> {
        Ok(self.fs.stat_dir(&self.dir)?.mode & 0o007 != 0)
    }

    /// Lets everybody read it, or nobody else. Whoever has it open goes on reading.
    pub(crate) fn make_public(&self, public: bool) -> Result<(), ManifestError> {
        let (of_dir, of_file) = if public { FOR_ALL } else { ALONE };
        let set = |mode| Meta {
            mode: Some(mode),
            ..Meta::default()
        };
        let done = self.fs.set_dir_meta(&self.dir, &set(of_dir));
        done.at("set the mode of the directory of", &self.path)?;
        for name in [MANIFEST, MANIFEST_BAK] {
            let is_file = |stat: &fs::Stat| stat.kind == fs::Kind::File;
            let set = self.fs.set_meta(&self.dir, name, &is_file, &set(of_file));
            let done = fs::found(set);
            done.at("set the mode of", &self.path)?;
        }
        Ok(())
    }

    /// Gives a new file of the state the mode that the others have.
    pub(super) fn as_public_as_its_directory(&self, file: &F::File) -> io::Result<()> {
        match self.is_public()? && !self.fs.may_lack_modes() {
            true => file.set_meta(&Meta {
                mode: Some(FOR_ALL.1),
                ..Meta::default()
            }),
            false => Ok(()),
        }
    }
}
