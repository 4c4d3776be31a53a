//! The `Fs` seam over the simulated disk, with the errors that Linux gives.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use sprag::event::ReadHow;
use sprag::fs::{
    About, Access, Fs, FsFile, FsMeta, Kind, Meta, MountNo, Rules, Special, Stat, Xattrs,
};
use sprag::path::RelPath;

use super::disk::{Ino, MOUNTED, Node, ROOT, mount_of};
use super::fault::Call;
use super::log::{Born, Flush, Op};
use super::{Shared, SimFs, State};

/// An open directory.
#[derive(Debug)]
pub(crate) struct SimDir {
    ino: Ino,
}

/// An open file.
pub(crate) struct SimFile {
    shared: Arc<Shared>,
    ino: Ino,
    writable: bool,
    medium: bool,
    /// So much it knows of what could not be written out.
    knows: AtomicU64,
}

impl SimFs {
    fn file(&self, state: &State, ino: Ino, writable: bool, medium: bool) -> SimFile {
        SimFile {
            shared: Arc::clone(&self.shared),
            ino,
            writable,
            medium,
            knows: state.known_unwritten(ino).into(),
        }
    }
}

impl State {
    fn create(&mut self, dir: Ino, name: &[u8], born: Born) -> io::Result<Ino> {
        self.vacant(dir, name)?;
        let (ino, time) = (self.new_ino(mount_of(dir)), self.tick());
        let name = name.into();
        self.record(Op::Create {
            dir,
            name,
            ino,
            born,
            time,
        });
        Ok(ino)
    }

    fn regular(&self, dir: Ino, name: &[u8]) -> io::Result<Ino> {
        let ino = self.lookup(dir, name)?;
        match self.kind(ino)? {
            Kind::File => Ok(ino),
            Kind::Dir => Err(Errno::ISDIR.into()),
            _ => Err(Errno::LOOP.into()),
        }
    }

    fn not_dir(&self, dir: Ino, name: &[u8]) -> io::Result<Ino> {
        let ino = self.lookup(dir, name)?;
        match self.kind(ino)? {
            Kind::Dir => Err(Errno::ISDIR.into()),
            _ => Ok(ino),
        }
    }

    fn kind(&self, ino: Ino) -> io::Result<Kind> {
        Ok(self.stat(ino)?.kind)
    }

    fn stat(&self, ino: Ino) -> io::Result<Stat> {
        let inode = self.disk.get(ino).ok_or(Errno::STALE)?;
        Ok(inode.stat(ino))
    }

    fn xattrs(&self, ino: Ino) -> io::Result<Xattrs> {
        let inode = self.disk.get(ino).ok_or(Errno::STALE)?;
        Ok(inode.all_xattrs())
    }

    fn set_meta(&mut self, ino: Ino, meta: &Meta) {
        let (meta, time) = (meta.into(), self.tick());
        self.record(Op::SetMeta { ino, meta, time });
    }

    fn remove(&mut self, dir: Ino, name: &[u8]) {
        let (name, time) = (name.into(), self.tick());
        self.record(Op::Remove { dir, name, time });
    }
}

impl Fs for SimFs {
    fn create_new(&self, dir: &SimDir, name: &[u8]) -> io::Result<SimFile> {
        let mut state = self.shared.call(Call::CreateNew)?;
        let ino = state.create(dir.ino, name, Born::File { mode: 0o600 })?;
        Ok(self.file(&state, ino, true, false))
    }

    fn open(&self, dir: &SimDir, name: &[u8], access: Access) -> io::Result<SimFile> {
        let mut state = self.shared.call(Call::Open)?;
        let ino = match state.regular(dir.ino, name) {
            Err(error)
                if access == Access::WriteOrCreate && error.kind() == io::ErrorKind::NotFound =>
            {
                state.create(dir.ino, name, Born::File { mode: 0o644 })?
            }
            found => found?,
        };
        Ok(self.file(&state, ino, access != Access::Read, false))
    }

    fn open_medium(&self, dir: &SimDir, name: &[u8]) -> io::Result<SimFile> {
        let state = self.shared.call(Call::OpenMedium)?;
        let ino = state.regular(dir.ino, name)?;
        Ok(self.file(&state, ino, false, true))
    }

    fn rename(&self, from_dir: &SimDir, from: &[u8], to_dir: &SimDir, to: &[u8]) -> io::Result<()> {
        let mut state = self.shared.call(Call::Rename)?;
        if mount_of(from_dir.ino) != mount_of(to_dir.ino) {
            return Err(Errno::XDEV.into());
        }
        let ino = state.lookup(from_dir.ino, from)?;
        let replaced = match state.vacant(to_dir.ino, to) {
            Ok(()) => None,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Some(state.not_dir(to_dir.ino, to)?)
            }
            Err(error) => return Err(error),
        };
        if replaced == Some(ino) {
            return Ok(());
        }
        if replaced.is_some() && state.kind(ino)? == Kind::Dir {
            return Err(Errno::NOTDIR.into());
        }
        if from.starts_with(b".sprag-") && from_dir.ino == to_dir.ino {
            state.spoil(ino);
        }
        if let Some(replaced) = replaced {
            state.remove_twin(replaced);
        }
        let time = state.tick();
        state.record(Op::Rename {
            dir: from_dir.ino,
            from: from.into(),
            to_dir: to_dir.ino,
            to: to.into(),
            ino,
            time,
        });
        Ok(())
    }

    fn remove(&self, dir: &SimDir, name: &[u8]) -> io::Result<()> {
        let mut state = self.shared.call(Call::Remove)?;
        let ino = state.not_dir(dir.ino, name)?;
        state.remove_twin(ino);
        state.remove(dir.ino, name);
        Ok(())
    }

    fn link(&self, from_dir: &SimDir, from: &[u8], to_dir: &SimDir, to: &[u8]) -> io::Result<()> {
        let mut state = self.shared.call(Call::Link)?;
        if mount_of(from_dir.ino) != mount_of(to_dir.ino) {
            return Err(Errno::XDEV.into());
        }
        let ino = state.lookup(from_dir.ino, from)?;
        state.vacant(to_dir.ino, to)?;
        if state.kind(ino)? == Kind::Dir {
            return Err(Errno::PERM.into());
        }
        let (dir, name, time) = (to_dir.ino, to.into(), state.tick());
        state.record(Op::Link {
            dir,
            name,
            ino,
            time,
        });
        Ok(())
    }

    fn sync_dir(&self, dir: &SimDir) -> io::Result<()> {
        self.shared.flush(Call::SyncDir, Flush::Dir(dir.ino))
    }

    fn sync_mount(&self, mount: MountNo) -> io::Result<()> {
        self.shared.flush(Call::SyncAll, Flush::Mount(mount.0))
    }

    fn rules(&self, mount: MountNo) -> Rules {
        let (flush_by, traits) = match (mount.0, self.shared.below) {
            (1, Some(below)) => below,
            _ => (self.shared.flush_by, self.shared.traits),
        };
        Rules {
            flush_by,
            renames_want_flush: traits.enters_empty_names,
            lacks_journal: traits.lacks_journal,
        }
    }

    fn mount_of_dir(&self, dir: &RelPath) -> MountNo {
        let is_below = self.shared.below.is_some() && dir.components().next() == Some(MOUNTED);
        MountNo(u16::from(is_below))
    }

    fn mount_of(&self, path: &RelPath) -> MountNo {
        path.split()
            .map_or(MountNo(0), |(dir, _)| self.mount_of_dir(&dir))
    }

    fn mounts(&self) -> Vec<MountNo> {
        let last = u16::from(self.shared.below.is_some());
        (0..=last).map(MountNo).collect()
    }

    fn device_gone(&self) -> bool {
        self.shared.lock().faults.gone()
    }
}

impl FsMeta for SimFs {
    type Dir = SimDir;
    type File = SimFile;

    fn about(&self) -> io::Result<About> {
        let mut about = About::unlimited();
        if self.shared.lock().faults.full() {
            about.free_bytes = 0;
        }
        Ok(about)
    }

    fn root(&self) -> Arc<SimDir> {
        Arc::new(SimDir { ino: ROOT })
    }

    fn open_dir(&self, path: &RelPath) -> io::Result<SimDir> {
        let state = self.shared.call(Call::OpenDir)?;
        let mut ino = ROOT;
        for name in path.components() {
            ino = state.lookup(ino, name)?;
            match state.kind(ino)? {
                Kind::Dir => {}
                Kind::Symlink => return Err(Errno::LOOP.into()),
                _ => return Err(Errno::NOTDIR.into()),
            }
        }
        if self.shared.closed_mode == Some(state.stat(ino)?.mode) {
            return Err(Errno::ACCESS.into());
        }
        Ok(SimDir { ino })
    }

    fn stat(&self, dir: &SimDir, name: &[u8]) -> io::Result<Option<Stat>> {
        let state = self.shared.call(Call::Stat)?;
        state.dir(dir.ino)?;
        let found = state.disk.lookup(dir.ino, name);
        found.map(|ino| state.stat(ino)).transpose()
    }

    fn stat_dir(&self, dir: &SimDir) -> io::Result<Stat> {
        self.shared.call(Call::StatDir)?.stat(dir.ino)
    }

    fn make_dir(&self, dir: &SimDir, name: &[u8]) -> io::Result<()> {
        let mut state = self.shared.call(Call::MakeDir)?;
        state.create(dir.ino, name, Born::Dir).map(drop)
    }

    fn remove_dir(&self, dir: &SimDir, name: &[u8]) -> io::Result<()> {
        let mut state = self.shared.call(Call::RemoveDir)?;
        let ino = state.lookup(dir.ino, name)?;
        match state.disk.names(ino) {
            None => return Err(Errno::NOTDIR.into()),
            Some(names) if !names.is_empty() => return Err(Errno::NOTEMPTY.into()),
            Some(_) => {}
        }
        state.remove(dir.ino, name);
        Ok(())
    }

    fn make_symlink(&self, dir: &SimDir, name: &[u8], target: &[u8]) -> io::Result<()> {
        let mut state = self.shared.call(Call::MakeSymlink)?;
        let born = Born::Symlink(target.into());
        state.create(dir.ino, name, born).map(drop)
    }

    fn make_special(&self, dir: &SimDir, name: &[u8], what: Special) -> io::Result<()> {
        let mut state = self.shared.call(Call::MakeSpecial)?;
        state.create(dir.ino, name, Born::Special(what)).map(drop)
    }

    fn read_symlink(&self, dir: &SimDir, name: &[u8]) -> io::Result<Vec<u8>> {
        let state = self.shared.call(Call::ReadSymlink)?;
        let ino = state.lookup(dir.ino, name)?;
        match state.disk.get(ino).map(|inode| &inode.node) {
            Some(Node::Symlink(target)) => Ok(target.to_vec()),
            _ => Err(Errno::INVAL.into()),
        }
    }

    fn xattrs(&self, dir: &SimDir, name: &[u8]) -> io::Result<Xattrs> {
        let state = self.shared.call(Call::Xattrs)?;
        state.xattrs(state.lookup(dir.ino, name)?)
    }

    fn dir_xattrs(&self, dir: &SimDir) -> io::Result<Xattrs> {
        self.shared.call(Call::DirXattrs)?.xattrs(dir.ino)
    }

    fn set_meta(
        &self,
        dir: &SimDir,
        name: &[u8],
        is_it: &dyn Fn(&Stat) -> bool,
        meta: &Meta,
    ) -> io::Result<()> {
        let mut state = self.shared.call(Call::SetMeta)?;
        let ino = state.lookup(dir.ino, name)?;
        if !is_it(&state.stat(ino)?) {
            return Err(sprag::fs::swapped());
        }
        state.set_meta(ino, meta);
        Ok(())
    }

    fn set_dir_meta(&self, dir: &SimDir, meta: &Meta) -> io::Result<()> {
        self.shared.call(Call::SetDirMeta)?.set_meta(dir.ino, meta);
        Ok(())
    }

    fn list(&self, dir: &SimDir) -> io::Result<Vec<(Vec<u8>, Kind)>> {
        let state = self.shared.call(Call::List)?;
        state.dir(dir.ino)?;
        let names = state.disk.names(dir.ino).into_iter().flatten();
        names
            .map(|(name, ino)| Ok((name.to_vec(), state.kind(*ino)?)))
            .collect()
    }
}

impl SimFile {
    fn writable(&self) -> io::Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(Errno::BADF.into())
        }
    }
}

impl FsFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.medium && !self.shared.reads_take.is_zero() {
            std::thread::sleep(self.shared.reads_take);
        }
        let state = self.shared.call(Call::FileRead)?;
        let content = state.disk.content(self.ino).ok_or(Errno::STALE)?;
        let have = content.read_at(buf, offset);
        if self.medium
            && let Some(medium) = state.medium.get(&self.ino)
        {
            // The size is the cache's; a block that never reached the medium is a hole.
            buf[..have].fill(0);
            medium.read_at(&mut buf[..have], offset);
        }
        Ok(have)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.writable()?;
        self.shared.write(self.ino, buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.writable()?;
        let mut state = self.shared.call(Call::FileSetLen)?;
        let (ino, time) = (self.ino, state.tick());
        state.record(Op::SetLen { ino, len, time });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let knows = self.knows.load(Ordering::Relaxed);
        if let Some(times) = self.shared.lock().tells_of(self.ino, knows) {
            self.knows.store(times, Ordering::Relaxed);
            return Err(Errno::IO.into());
        }
        self.shared.flush(Call::FileSync, Flush::File(self.ino))
    }

    fn stat(&self) -> io::Result<Stat> {
        self.shared.call(Call::FileStat)?.stat(self.ino)
    }

    fn xattrs(&self) -> io::Result<Xattrs> {
        self.shared.call(Call::FileXattrs)?.xattrs(self.ino)
    }

    fn set_meta(&self, meta: &Meta) -> io::Result<()> {
        self.shared
            .call(Call::FileSetMeta)?
            .set_meta(self.ino, meta);
        Ok(())
    }

    fn how(&self) -> ReadHow {
        if self.medium {
            ReadHow::Direct
        } else {
            ReadHow::Cached
        }
    }

    fn as_std(&self) -> Option<&std::fs::File> {
        None
    }
}
