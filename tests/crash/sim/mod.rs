//! A simulated disk behind the `Fs` seam, which records what a run does to it, fails calls on
//! request, and can be rebuilt as a power cut at any moment could have left it.
//!
//! `disk` is the state, `space` where files lie that share it, `log` the recording, `calls` the seam,
//! `fault` the failures, `replay` and `fate` the power cuts. What it does, and which system does
//! so, is listed in docs/DURABILITY.md.
//!
//! Everyone sees the cached view at once; what is durable is a matter of the flushes in the log
//! alone. After a failed flush the cache and the medium differ, as they do on Linux: the pages
//! that could not be written count as clean, no later flush writes them, and only a read of the
//! medium tells. Names and metadata are not lost like that: where a journal cannot be written, the
//! file system gives up as a whole (a call that fails for ever), until it is mounted again.
//!
//! Limits: every caller is root, times in ns, one clock tick a mutation.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use sprag::fs::FlushBy;
use sprag::path::RelPath;

mod calls;
mod content;
mod disk;
mod fate;
mod fault;
mod log;
mod replay;
mod rng;
mod space;
#[cfg(test)]
mod tests;

pub(crate) use content::Content;
pub(crate) use disk::Disk;
pub(crate) use fate::CrashKind;
pub(crate) use fault::{Call, FaultPlan};
pub(crate) use log::{Log, Traits};
pub(crate) use replay::{Lie, Replay};
pub(crate) use rng::Rng;

use disk::{Ino, Node, ROOT, mount_of};
use fault::Faults;
use log::{Event, Flush, Op, SECTOR};
use space::{CLUSTER, Cluster, clusters};

/// When the first simulated clock starts.
const EPOCH_NS: i128 = 1_700_000_000_000_000_000;
const TICK_NS: i128 = 1_000;

/// Looks at the outside world; what it sees is recorded as marks.
pub(crate) type Witness = Box<dyn FnMut() -> Vec<String> + Send>;

/// The simulated disk. Clones are the same disk.
#[derive(Clone)]
pub(crate) struct SimFs {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    flush_by: FlushBy,
    flush_takes: Duration,
    /// How long a read of the medium leaves other threads time to go on.
    reads_take: Duration,
    traits: Traits,
    /// The file system that is mounted below.
    below: Option<Below>,
    /// Directories of this mode cannot be opened.
    closed_mode: Option<u32>,
}

/// How a file system is flushed, and how it behaves.
pub(crate) type Below = (FlushBy, Traits);

/// How long a slow failure waits for the others that are planned, and then for those to be heard of.
const SLOW: Duration = Duration::from_millis(60);
const HEARD: Duration = Duration::from_millis(10);
/// What the engine writes in here is aligned to this; what it appends to its manifest is not.
const BLOCK: u64 = 64 << 10;

/// That a file's data could not be written out, for those who flush it.
#[derive(Debug, Clone, Copy, Default)]
struct Unwritten {
    times: u64,
    /// Somebody was told.
    seen: bool,
}

/// Done once, while a flush is under way that will fail.
pub(crate) type Meanwhile = Box<dyn FnOnce() + Send>;

struct State {
    /// The cached view.
    disk: Disk,
    /// What holds something and counts as free, so that it may be given to the next file that grows.
    free: Vec<Cluster>,
    /// The content of files whose cache and medium differ.
    medium: BTreeMap<Ino, Content>,
    log: Log,
    faults: Faults,
    /// So many of the next files to be published lie on bad blocks.
    bad_files: u64,
    /// What the system could not write out by itself, by file, and in all.
    unwritten: BTreeMap<Ino, Unwritten>,
    unwritten_told: [u64; 2],
    meanwhile: Option<Meanwhile>,
    /// Until then the device is busy failing.
    busy_until: Option<Instant>,
    /// Asked before each event what happened outside since the last.
    witness: Option<Witness>,
    rng: Rng,
    now_ns: i128,
    next_ino: [Ino; 2],
}

/// An entry of a [`SimFs::dump`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    File(Content),
    Dir,
    Symlink(Vec<u8>),
    Special(sprag::fs::Special),
}

/// Every entry of a disk by its path.
pub(crate) type Dump = BTreeMap<RelPath, Entry>;

impl SimFs {
    /// An empty disk.
    pub(crate) fn new(flush_by: FlushBy) -> SimFs {
        SimFs::with_disk(Disk::new(EPOCH_NS), flush_by, Duration::ZERO)
    }

    /// A machine that starts with this disk. `flush_takes` is how long a flush leaves other threads
    /// time to go on.
    pub(crate) fn with_disk(disk: Disk, flush_by: FlushBy, flush_takes: Duration) -> SimFs {
        let state = State {
            now_ns: disk.latest_ns() + 1_000_000_000,
            next_ino: [0, 1].map(|mount| disk.unused_ino(mount)),
            medium: BTreeMap::new(),
            log: Log::new(disk.clone(), Traits::JOURNALED),
            free: disk.free_and_held(),
            faults: Faults::default(),
            bad_files: 0,
            unwritten: BTreeMap::new(),
            unwritten_told: [0; 2],
            meanwhile: None,
            busy_until: None,
            witness: None,
            rng: Rng::of(&[0]),
            disk,
        };
        SimFs {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                flush_by,
                flush_takes,
                reads_take: Duration::ZERO,
                traits: Traits::JOURNALED,
                below: None,
                closed_mode: None,
            }),
        }
    }

    /// The same, as a file system that behaves so.
    pub(crate) fn with_traits(mut self, traits: Traits) -> SimFs {
        self.configure().traits = traits;
        self.shared.lock().log.traits = traits;
        self
    }

    /// The same, with another file system mounted below, which is on a device of its own.
    pub(crate) fn with_below(mut self, below: Option<Below>) -> SimFs {
        self.configure().below = below;
        let mut state = self.shared.lock();
        state.log.below = below.map(|(_, traits)| traits);
        if below.is_some() {
            state.disk.mount_below();
            state.log.base.mount_below();
        }
        drop(state);
        self
    }

    /// The same for one who may not open directories of this mode, as the owner of one that only others may
    /// read.
    pub(crate) fn with_closed_mode(mut self, mode: u32) -> SimFs {
        self.configure().closed_mode = Some(mode);
        self
    }

    /// The same, with a medium that is slow to read.
    pub(crate) fn with_slow_reads(mut self, reads_take: Duration) -> SimFs {
        self.configure().reads_take = reads_take;
        self
    }

    fn configure(&mut self) -> &mut Shared {
        Arc::get_mut(&mut self.shared).expect("a disk that is not in use yet")
    }

    /// Makes everything durable.
    pub(crate) fn sync_all(&self) -> io::Result<()> {
        self.shared.flush(Call::SyncAll, Flush::All)
    }

    /// The recording so far.
    pub(crate) fn log(&self) -> Log {
        self.shared.lock().log.clone()
    }

    /// Records that the outside world was told something at this moment.
    pub(crate) fn mark(&self, what: &str) {
        self.shared.lock().log.events.push(Event::Mark(what.into()));
    }

    /// Has the outside world looked at before each event from now on.
    pub(crate) fn watch(&self, witness: Witness) {
        self.shared.lock().witness = Some(witness);
    }

    /// Has something done while the next slow failure is under way.
    pub(crate) fn meanwhile(&self, what: Meanwhile) {
        self.shared.lock().meanwhile = Some(what);
    }

    /// Has a part of what no flush covered be lost while the system writes it out by itself, of which
    /// another process hears: who opens the files from now on is told nothing.
    pub(crate) fn lose_unheard(&self) {
        self.shared.lock().fail_flush(Flush::All);
    }

    /// Makes calls fail from now on.
    pub(crate) fn fail(&self, plan: FaultPlan) {
        self.shared.lock().faults.plan(&[plan]);
    }

    /// Makes calls fail in several ways.
    pub(crate) fn fail_in_ways(&self, plans: &[FaultPlan]) {
        self.shared.lock().faults.plan(plans);
    }

    /// Whether each of the current plans has made a call fail.
    pub(crate) fn all_failed(&self) -> bool {
        self.shared.lock().faults.all_fired()
    }

    /// Has so many of the next files that are renamed lie on bad blocks: a byte in their middle reads
    /// back wrong from the medium.
    pub(crate) fn bad_blocks(&self, files: u64) {
        self.shared.lock().bad_files = files;
    }

    /// Makes the thread of a run panic that makes the next call of this kind.
    pub(crate) fn panic_in(&self, call: Call) {
        self.shared.lock().faults.panic_in(call);
    }

    /// Makes no more calls fail. What was lost stays lost, and another process has heard of it.
    pub(crate) fn heal(&self) {
        let mut state = self.shared.lock();
        state.faults.plan(&[]);
        state.tells_of_all(0);
        state.tells_of_all(1);
        state
            .unwritten
            .values_mut()
            .for_each(|unwritten| unwritten.seen = true);
    }

    /// How many calls the current plans have made fail.
    pub(crate) fn failed_calls(&self) -> u64 {
        self.shared.lock().faults.fired()
    }

    /// How often each kind of call was made.
    pub(crate) fn calls(&self) -> BTreeMap<Call, u64> {
        self.shared.lock().faults.counts().clone()
    }

    /// A machine on which the process that made this recording was killed after so many events:
    /// nothing is lost, and nothing is durable that was not.
    pub(crate) fn after_kill(
        log: &Log,
        cut: usize,
        flush_by: FlushBy,
        flush_takes: Duration,
    ) -> SimFs {
        assert!(log.below.is_none(), "how it is flushed is not on record");
        let mut log = log.clone();
        log.events.truncate(cut);
        let mut disk = log.base.clone();
        for at in 0..cut {
            if let Some(op) = log.op(at) {
                disk.apply(op);
            }
        }
        let fs = SimFs::with_disk(disk, flush_by, flush_takes).with_traits(log.traits);
        fs.shared.lock().log = log;
        fs
    }

    /// The cached view.
    pub(crate) fn disk(&self) -> Disk {
        self.shared.lock().disk.clone()
    }

    /// Everything that can be reached from the root, as the cached view has it.
    pub(crate) fn dump(&self) -> Dump {
        let mut dump = Dump::new();
        self.disk().walk(|path, entry, _| {
            if !path.is_root() {
                dump.insert(path, entry);
            }
        });
        dump
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread of the engine that panicked is the checker's business, not this lock's.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, unless this call is to fail.
    fn call(&self, call: Call) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        match state.faults.check(call) {
            Some(fault) => Err(fault.error),
            None => Ok(state),
        }
    }

    fn flush(&self, call: Call, what: Flush) -> io::Result<()> {
        let mut state = self.lock();
        let told = match what {
            Flush::Mount(mount) => state.tells_of_all(mount),
            Flush::All => state.tells_of_all(0) | state.tells_of_all(1),
            Flush::File(_) | Flush::Dir(_) => false,
        };
        if told {
            return Err(Errno::IO.into());
        }
        let began = state.log.events.len();
        if let Some(fault) = state.faults.check(call) {
            if fault.plan.slow {
                let meanwhile = state.meanwhile.take();
                state.busy_until = Some(Instant::now() + SLOW);
                drop(state);
                if let Some(meanwhile) = meanwhile {
                    meanwhile();
                }
                self.let_others_fail();
                state = self.lock();
                state.busy_until = Some(Instant::now() + HEARD);
            }
            state.fail_flush(what);
            return match fault.plan.untold {
                true => Ok(()),
                false => Err(fault.error),
            };
        }
        state.event(Event::FlushBegan(what));
        drop(state);
        if self.flush_takes.is_zero() {
            std::thread::yield_now();
        } else {
            std::thread::sleep(self.flush_takes);
        }
        let mut state = self.lock();
        if state.log.forgot_since(began, what) {
            // Another flush failed to write what this one waited for: Linux tells both.
            return Err(Errno::IO.into());
        }
        state.event(Event::Flushed { what, began });
        Ok(())
    }

    /// Waits until all that is planned has failed, but not for long.
    fn let_others_fail(&self) {
        let began = Instant::now();
        while began.elapsed() < SLOW && !self.lock().faults.all_fired() {
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(HEARD);
    }

    /// While a flush takes long to fail, so do writes, but for the first to a file: it keeps those busy
    /// that go on with one.
    fn wait_while_busy(&self, offset: u64) {
        let is_busy = |until: Option<Instant>| until.is_some_and(|until| Instant::now() < until);
        while offset > 0 && offset.is_multiple_of(BLOCK) && is_busy(self.lock().busy_until) {
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn write(&self, ino: Ino, data: &[u8], offset: u64) -> io::Result<()> {
        self.wait_while_busy(offset);
        let mut state = self.lock();
        let Some(fault) = state.faults.check(Call::FileWrite) else {
            state.write(ino, data, offset);
            return Ok(());
        };
        if fault.plan.background {
            state.write(ino, data, offset);
            state.fail_flush(Flush::File(ino));
            let unwritten = state.unwritten.entry(ino).or_default();
            unwritten.times += 1;
            unwritten.seen = false;
            return Ok(());
        }
        if fault.plan.loses_earlier {
            state.fail_flush(Flush::File(ino));
        }
        if fault.plan.short && !data.is_empty() {
            let written = state.rng.below(data.len() as u64) as usize;
            state.write(ino, &data[..written], offset);
        }
        Err(fault.error)
    }
}

impl State {
    /// How much a file's opener is taken to know of what could not be written out.
    fn known_unwritten(&self, ino: Ino) -> u64 {
        let unwritten = self.unwritten.get(&ino).copied().unwrap_or_default();
        unwritten.times - u64::from(unwritten.times > 0 && !unwritten.seen)
    }

    /// Whether somebody who knows of so much has to be told, when flushing a file, that it could not be
    /// written out.
    fn tells_of(&mut self, ino: Ino, known: u64) -> Option<u64> {
        let unwritten = self.unwritten.get_mut(&ino)?;
        unwritten.seen |= unwritten.times > known;
        (unwritten.times > known).then_some(unwritten.times)
    }

    /// The same of any file of a file system; told once, since that is opened once.
    fn tells_of_all(&mut self, mount: u16) -> bool {
        let of_it = self
            .unwritten
            .iter()
            .filter(|(ino, _)| mount_of(**ino) == mount);
        let times = of_it.map(|(_, unwritten)| unwritten.times).sum();
        std::mem::replace(&mut self.unwritten_told[usize::from(mount)], times) < times
    }

    fn event(&mut self, event: Event) {
        if let Some(witness) = &mut self.witness {
            let marks = witness().into_iter().map(Event::Mark);
            self.log.events.extend(marks);
        }
        self.log.events.push(event);
    }

    fn tick(&mut self) -> i128 {
        self.now_ns += TICK_NS;
        self.now_ns
    }

    fn new_ino(&mut self, mount: u16) -> Ino {
        let next = &mut self.next_ino[usize::from(mount)];
        *next += 1;
        *next - 1
    }

    fn record(&mut self, op: Op) {
        if let Op::SetLen { ino, len, .. } = op {
            self.grow(ino, len);
        }
        self.disk.apply(&op);
        self.give_up();
        if let Op::SetLen { ino, len, .. } = op
            && let Some(medium) = self.medium.get_mut(&ino)
        {
            medium.set_len(len);
        }
        self.event(Event::Op(op));
    }

    /// Writes to the cached view, and records all of the sectors that this makes dirty.
    fn write(&mut self, ino: Ino, data: &[u8], offset: u64) {
        if data.is_empty() {
            return;
        }
        let time = self.tick();
        self.grow(ino, offset + data.len() as u64);
        self.disk.write(ino, data, offset, time);
        let Some(content) = self.disk.content(ino) else {
            return;
        };
        let end = (offset + data.len() as u64).next_multiple_of(SECTOR);
        let offset = offset - offset % SECTOR;
        let mut sectors = vec![0; (end.min(content.len()) - offset) as usize];
        content.read_at(&mut sectors, offset);
        if let Some(medium) = self.medium.get_mut(&ino) {
            medium.write_at(&sectors, offset);
        }
        let data = sectors.as_slice().into();
        self.event(Event::Op(Op::Write {
            ino,
            offset,
            data,
            time,
        }));
        self.stray(ino, offset..end);
    }

    /// Gives a file the clusters that it needs to become so long: some that hold something and count
    /// as free, as long as there are any.
    fn grow(&mut self, ino: Ino, len: u64) {
        let Some(content) = self.disk.content(ino) else {
            return;
        };
        for number in clusters(content.len())..clusters(len) {
            let free =
                (0..self.free.len()).filter(|nth| mount_of(self.free[*nth].0) == mount_of(ino));
            let free: Vec<usize> = free.collect();
            if free.is_empty() {
                return;
            }
            let nth = self.rng.below(free.len() as u64) as usize;
            let held = self.free.swap_remove(free[nth]);
            let known = self.disk.space.cell(held);
            let cell = known.unwrap_or_else(|| self.disk.space.new_cell());
            for (ino, cluster) in [held, (ino, number)] {
                let take = Op::Take { ino, cluster, cell };
                self.disk.apply(&take);
                self.log.events.push(Event::Op(take));
            }
            // A cluster that is new to a file is cleared.
            let (ino, offset) = (held.0, held.1 * CLUSTER);
            self.show(ino, &[0; CLUSTER as usize], offset);
        }
    }

    /// Shows what was written to a file in those that lie in the same space.
    fn stray(&mut self, ino: Ino, written: std::ops::Range<u64>) {
        for number in written.start / CLUSTER..clusters(written.end) {
            let Some(cell) = self.disk.space.cell((ino, number)) else {
                continue;
            };
            let mut bytes = [0; CLUSTER as usize];
            if let Some(content) = self.disk.content(ino) {
                content.read_at(&mut bytes, number * CLUSTER);
            }
            for (other, at) in self.disk.space.in_cell(cell) {
                if (other, at) != (ino, number) {
                    self.show(other, &bytes, at * CLUSTER);
                }
            }
        }
    }

    fn show(&mut self, ino: Ino, bytes: &[u8], offset: u64) {
        let Some(content) = self.disk.content(ino) else {
            return;
        };
        let shown = content.len().saturating_sub(offset).min(bytes.len() as u64);
        if shown == 0 {
            return;
        }
        let data = &bytes[..shown as usize];
        if let Some(medium) = self.medium.get_mut(&ino) {
            medium.write_at(data, offset);
        }
        let data = data.into();
        let stray = Op::Stray { ino, offset, data };
        self.disk.apply(&stray);
        self.log.events.push(Event::Op(stray));
    }

    /// What a file gave up counts as free, whoever else may have it.
    fn give_up(&mut self) {
        for cell in self.disk.space.take_given_up() {
            let held = self.disk.space.in_cell(cell);
            self.free.retain(|free| !held.contains(free));
            self.free.extend(held.first());
        }
        let disk = &self.disk;
        self.free.retain(|(ino, number)| {
            let named = disk.get(*ino).is_some_and(|inode| inode.names > 0);
            let content = disk.content(*ino);
            named && content.is_some_and(|content| content.len() > number * CLUSTER)
        });
    }

    /// To remove one of the two names that a halved rename left frees the space of both.
    fn remove_twin(&mut self, ino: Ino) {
        if self.disk.space.loses_its_twin(ino) {
            let len = self.disk.content(ino).map_or(0, |content| content.len());
            self.free
                .extend((0..clusters(len)).map(|number| (ino, number)));
        }
    }

    /// A part of the data that the flush should have written is forgotten: it stays in the cache,
    /// counts as clean, and no later flush will write it. Names and metadata stay dirty: they are
    /// not pages that are written one by one.
    fn fail_flush(&mut self, what: Flush) {
        let mut covered = Replay::at_end(&self.log).pending_in(what);
        covered.retain(|at| matches!(self.log.op(*at), Some(Op::Write { .. })));
        let mut forgotten = covered.clone();
        forgotten.retain(|_| self.rng.chance(1, 2));
        if forgotten.is_empty() && !covered.is_empty() {
            forgotten.push(covered[self.rng.below(covered.len() as u64) as usize]);
        }
        let mut files: Vec<Ino> = forgotten
            .iter()
            .filter_map(|at| self.log.op(*at)?.inode())
            .collect();
        files.dedup();
        self.log.events.push(Event::FlushFailed { forgotten });
        for ino in files {
            if self.disk.content(ino).is_some() {
                self.medium.insert(ino, replay::medium(&self.log, ino));
            }
        }
    }

    /// Puts a file that is published onto a bad block, if one is due.
    fn spoil(&mut self, ino: Ino) {
        let Some(content) = self.disk.content(ino).filter(|content| content.len() > 0) else {
            return;
        };
        if self.bad_files > 0 {
            self.bad_files -= 1;
            let (mut medium, middle) = (content.clone(), content.len() / 2);
            let mut byte = [0];
            medium.read_at(&mut byte, middle);
            medium.write_at(&[byte[0] ^ 0x10], middle);
            self.medium.insert(ino, medium);
        }
    }

    /// An error if the directory is gone or is none.
    fn dir(&self, dir: Ino) -> io::Result<()> {
        match self.disk.get(dir) {
            Some(inode) if dir == ROOT || inode.names > 0 => match inode.node {
                Node::Dir(_) => Ok(()),
                _ => Err(Errno::NOTDIR.into()),
            },
            _ => Err(Errno::NOENT.into()),
        }
    }

    /// What a name in a directory stands for.
    fn lookup(&self, dir: Ino, name: &[u8]) -> io::Result<Ino> {
        self.dir(dir)?;
        self.disk.lookup(dir, name).ok_or(Errno::NOENT.into())
    }

    /// An error if no entry of that name can be added.
    fn vacant(&self, dir: Ino, name: &[u8]) -> io::Result<()> {
        self.dir(dir)?;
        if name.len() > 255 {
            return Err(Errno::NAMETOOLONG.into());
        }
        if self.disk.lookup(dir, name).is_some() {
            return Err(Errno::EXIST.into());
        }
        Ok(())
    }
}
