//! Hard links: which names share an inode, and whether the destination can hold that.

use rustix::io::Errno;

use super::*;

/// The first destination path of an inode with several names.
pub(super) struct FirstName {
    path: RelPath,
    /// How many further names there can be.
    left: u64,
}

impl<F: Fs> Planner<'_, F> {
    /// The destination path under which this inode was met before. `None`: this is the first.
    pub(super) fn first_name(&mut self, path: &RelPath, stat: &Stat) -> Option<RelPath> {
        let inode = (stat.dev, stat.ino);
        let Some(first) = self.links.get_mut(&inode) else {
            let first = FirstName {
                path: path.clone(),
                left: stat.nlink - 1,
            };
            self.links.insert(inode, first);
            return None;
        };
        first.left -= 1;
        if first.left == 0 {
            return self.links.remove(&inode).map(|first| first.path);
        }
        Some(first.path.clone())
    }

    /// Whether the destination can hold hard links: tried once, when it first matters.
    pub(super) fn holds_links(&mut self) -> Result<bool, Failure> {
        if let Some(holds) = self.holds_links {
            return Ok(holds);
        }
        let state = RelPath::state_dir();
        let holds = self.try_link();
        let holds = holds.map_err(self.at_dest("try a hard link in", &state))?;
        self.holds_links = Some(holds);
        if !holds {
            let text = "the destination cannot hold hard links: each of their names is copied as a file of its own";
            self.send(Message::Warning(text.into()))?;
        }
        Ok(holds)
    }

    fn try_link(&self) -> std::io::Result<bool> {
        const PROBE: &[u8] = b"link-probe";
        const PROBE_LINK: &[u8] = b"link-probe.2";
        let fs = &*self.shared.fs;
        let dir = fs.open_dir(&RelPath::state_dir())?;
        for name in [PROBE, PROBE_LINK] {
            fs::found(fs.remove(&dir, name))?;
        }
        fs.create_new(&dir, PROBE)?;
        let holds = match fs.link(&dir, PROBE, &dir, PROBE_LINK) {
            Ok(()) => true,
            Err(error) if means_never(&error) => false,
            Err(error) => return Err(error),
        };
        for name in [PROBE, PROBE_LINK] {
            fs::found(fs.remove(&dir, name))?;
        }
        Ok(holds)
    }
}

/// Whether a failed link says that there are no hard links here, rather than that this one could
/// not be made now.
fn means_never(error: &std::io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::MLINK)
    )
}
