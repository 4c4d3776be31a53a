//! Space on a file system without a journal, where nothing keeps a file and its allocation together.
//!
//! After a power cut what a file holds behind its length at its last flush may lie in clusters that
//! count as free: it is *loose*. The system then gives such a cluster to the next file that grows, so
//! that two files lie in the same space and whoever is written last is what both show; and when a file
//! is cut or removed, its clusters count as free though another file was given them meanwhile. Nothing
//! but a check of the file system (`fsck.exfat`, `fsck.vfat`, `chkdsk`) ends that: it holds across
//! flushes, mounts and further power cuts.
//!
//! Seen on exFAT in the project's fault lab ("Seen in a fault lab", note (a), in docs/DURABILITY.md). Linux
//! writes a file's directory entry and the allocation bitmap or table as separate buffers in no order
//! (`__exfat_write_inode` and `exfat_set_bitmap` in fs/exfat, `__fat_write_inode` and `fat_ent_write` in
//! fs/fat), and ext2 and ext4 without a journal do so as well.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::disk::{Disk, Ino};
use super::log::Op;

/// The unit in which space is given.
pub(crate) const CLUSTER: u64 = 4096;

/// One of a file's clusters, by its number in the file.
pub(crate) type Cluster = (Ino, u64);

/// Which files lie in space that is not theirs alone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Space {
    /// From which of its clusters on a file lies in space that counts as free.
    loose: BTreeMap<Ino, u64>,
    /// The piece of the medium that a cluster lies in, of those that were given twice.
    cells: BTreeMap<Cluster, u64>,
    /// Files to which a halved rename left two names. To remove one frees the space of both.
    twins: BTreeSet<Ino>,
    /// Pieces that were given up since this was asked last.
    #[serde(skip)]
    given_up: Vec<u64>,
}

/// How many clusters so many bytes take.
pub(crate) fn clusters(bytes: u64) -> u64 {
    bytes.div_ceil(CLUSTER)
}

impl Space {
    /// Notes that a cluster lies in a piece of the medium that another one lies in, too.
    pub(super) fn take(&mut self, cluster: Cluster, cell: u64) {
        self.cells.insert(cluster, cell);
    }

    /// The piece that a cluster lies in, if it is known for having been given twice.
    pub(super) fn cell(&self, cluster: Cluster) -> Option<u64> {
        self.cells.get(&cluster).copied()
    }

    /// A piece of the medium that no cluster is known to lie in.
    pub(super) fn new_cell(&self) -> u64 {
        self.cells.values().max().map_or(0, |last| last + 1)
    }

    /// The clusters that lie in a piece of the medium.
    pub(super) fn in_cell(&self, cell: u64) -> Vec<Cluster> {
        let owners = self.cells.iter().filter(|(_, its)| **its == cell);
        owners.map(|(cluster, _)| *cluster).collect()
    }

    /// Gives up what a file has behind a length.
    pub(super) fn cut(&mut self, ino: Ino, len: u64) {
        let keeps = clusters(len);
        if self.loose.get(&ino).is_some_and(|from| *from >= keeps) {
            self.loose.remove(&ino);
        }
        let gone = self.cells.range((ino, keeps)..(ino + 1, 0));
        let gone: Vec<Cluster> = gone.map(|(cluster, _)| *cluster).collect();
        let cells = gone.iter().filter_map(|cluster| self.cells.remove(cluster));
        self.given_up.extend(cells);
    }

    /// Pieces that were given up since this was asked last, though somebody may have them still.
    pub(super) fn take_given_up(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.given_up)
    }

    pub(super) fn note_twin(&mut self, ino: Ino) {
        self.twins.insert(ino);
    }

    /// Whether to remove a name of this file frees the space that another name of it stands for.
    pub(super) fn loses_its_twin(&mut self, ino: Ino) -> bool {
        self.twins.remove(&ino)
    }

    fn is_loose(&self, (ino, number): Cluster) -> bool {
        self.loose.get(&ino).is_some_and(|from| *from <= number)
    }
}

impl Disk {
    /// The clusters that hold something and count as free, of each piece of the medium one.
    pub(super) fn free_and_held(&self) -> Vec<Cluster> {
        let (space, mut met) = (&self.space, BTreeSet::new());
        let mut free = Vec::new();
        for (ino, from) in &space.loose {
            let len = self.content(*ino).map_or(0, |content| content.len());
            for cluster in (*from..clusters(len)).map(|number| (*ino, number)) {
                let is_free = match space.cell(cluster) {
                    None => true,
                    Some(cell) => {
                        let all_loose = || space.in_cell(cell).iter().all(|it| space.is_loose(*it));
                        met.insert(cell) && all_loose()
                    }
                };
                free.extend(is_free.then_some(cluster));
            }
        }
        free
    }

    /// Finds out, after a power cut, what lies in space that counts as free: all that a file holds behind
    /// its length at its last flush, where its file system `loses` that. `pending` is what no flush had
    /// covered.
    pub(super) fn lose_allocations(
        &mut self,
        durable: &Disk,
        pending: &[&Op],
        loses: impl Fn(Ino) -> bool,
    ) {
        let mut cuts = BTreeMap::new();
        for op in pending {
            if let Op::SetLen { ino, len, .. } = op {
                let shortest = cuts.entry(*ino).or_insert(*len);
                *shortest = (*shortest).min(*len);
            }
        }
        let mut files = self.files();
        files.retain(|ino| loses(*ino));
        for ino in files {
            let len = |disk: &Disk| disk.content(ino).map_or(0, |content| content.len());
            let flushed = cuts.get(&ino).copied().unwrap_or(u64::MAX);
            let flushed = clusters(flushed.min(len(durable)));
            let from = self.space.loose.get(&ino).copied();
            let from = from.unwrap_or(u64::MAX).min(flushed);
            if from < clusters(len(self)) {
                self.space.loose.insert(ino, from);
            } else {
                self.space.loose.remove(&ino);
            }
        }
        self.space.twins.retain(|ino| loses(*ino));
        self.space.given_up.clear();
    }

    /// What a check of the file system makes of it: each file keeps what it shows, in space of its own.
    pub(crate) fn checked(mut self) -> Disk {
        self.space = Space::default();
        self
    }
}
