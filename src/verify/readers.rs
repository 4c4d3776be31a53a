//! Threads that read and hash the blocks of large files ahead of whoever compares the hashes.
//!
//! Thus several reads are in flight, of a single file too, and hashing never keeps the device
//! waiting. Only hashes wait to be taken: being ahead costs no memory but a buffer a thread. The file
//! that was opened first is served first, so that a drive reads nearly in order, however many files
//! are open.
//!
//! A read that fails or comes back short is done again block by block: what is told of each block is
//! what reading it alone gives.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::medium::{BlockRead, Reading};
use crate::fs::{ALIGN, AlignedBuf, FsFile};
use crate::hash::hash_block;
use crate::lock_mutex;

/// So many reads are in flight at most.
const READERS: usize = 4;
/// So much of a file is read at once, in whole blocks; a larger block is read in pieces of this size.
pub(super) const RUN_BYTES: usize = 2 << 20;
/// So many bytes of a file may be read that nobody has asked for yet.
const AHEAD_BYTES: u64 = 32 << 20;

/// The threads, begun when the first large file is opened, and what they are to read.
pub(super) struct Readers<R: FsFile>(Arc<Desk<R>>);

struct Desk<R: FsFile> {
    state: Mutex<State<R>>,
    /// There may be something to read, or the end.
    work: Condvar,
}

struct State<R: FsFile> {
    /// In the order in which they were opened.
    jobs: Vec<Job<R>>,
    opened: u64,
    threads: Vec<JoinHandle<()>>,
    closed: bool,
}

/// Blocks of one file that are wanted in order.
struct Job<R: FsFile> {
    number: u64,
    reading: Arc<Reading<R>>,
    /// Those that no thread has begun with.
    left: Range<u64>,
    /// The next to be taken.
    first: u64,
    /// From that one on, what was read of those that were begun with.
    read: VecDeque<Option<BlockRead>>,
    /// The next to be taken was read.
    is_there: Arc<Condvar>,
}

/// Blocks that a thread has begun with. It gives back what it read when it is dropped, so that
/// nobody waits for a thread that panicked.
struct Run<'a, R: FsFile> {
    desk: &'a Desk<R>,
    job: u64,
    reading: Arc<Reading<R>>,
    blocks: Range<u64>,
    read: Vec<BlockRead>,
}

/// The right to take a file's blocks in order.
pub(super) struct Taker<'a, R: FsFile> {
    desk: &'a Desk<R>,
    job: u64,
    left: Range<u64>,
}

impl<R: FsFile> Readers<R> {
    pub(super) fn new() -> Readers<R> {
        Readers(Arc::new(Desk {
            state: Mutex::new(State {
                jobs: Vec::new(),
                opened: 0,
                threads: Vec::new(),
                closed: false,
            }),
            work: Condvar::new(),
        }))
    }

    /// Begins to read blocks of a file. `None` if there are no threads to be had.
    pub(super) fn begin(
        &self,
        reading: &Arc<Reading<R>>,
        blocks: Range<u64>,
    ) -> Option<Taker<'_, R>> {
        let mut state = lock_mutex(&self.0.state);
        while state.threads.len() < READERS {
            let desk = Arc::clone(&self.0);
            let thread = thread::Builder::new().name("sprag-read".into());
            match thread.spawn(move || desk.serve()) {
                Ok(thread) => state.threads.push(thread),
                Err(_) if state.threads.is_empty() => return None,
                Err(_) => break,
            }
        }
        let job = state.opened;
        state.opened += 1;
        state.jobs.push(Job {
            number: job,
            reading: Arc::clone(reading),
            left: blocks.clone(),
            first: blocks.start,
            read: VecDeque::new(),
            is_there: Arc::new(Condvar::new()),
        });
        self.0.work.notify_all();
        Some(Taker {
            desk: &self.0,
            job,
            left: blocks,
        })
    }
}

impl<R: FsFile> Drop for Readers<R> {
    fn drop(&mut self) {
        let threads = {
            let mut state = lock_mutex(&self.0.state);
            state.closed = true;
            std::mem::take(&mut state.threads)
        };
        self.0.work.notify_all();
        for thread in threads {
            // A panic over there was reported by the panic hook, and its blocks as unreadable.
            let _ = thread.join();
        }
    }
}

impl<R: FsFile> Desk<R> {
    fn serve(&self) {
        let mut buf = AlignedBuf::huge(RUN_BYTES);
        while let Some(mut run) = self.next_run() {
            run.read(&mut buf);
        }
    }

    /// Waits for blocks to read; `None`: there will be no more.
    fn next_run(&self) -> Option<Run<'_, R>> {
        let mut state = lock_mutex(&self.state);
        loop {
            if state.closed {
                return None;
            }
            let begun = state.jobs.iter_mut().find_map(|job| {
                let blocks = job.begin()?;
                Some((job.number, Arc::clone(&job.reading), blocks))
            });
            if let Some((job, reading, blocks)) = begun {
                return Some(Run {
                    desk: self,
                    job,
                    reading,
                    read: Vec::with_capacity((blocks.end - blocks.start) as usize),
                    blocks,
                });
            }
            let woken = self.work.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<R: FsFile> Job<R> {
    /// The next blocks to read, unless there is enough that waits to be taken.
    fn begin(&mut self) -> Option<Range<u64>> {
        let block_bytes = self.reading.block_size.bytes();
        let run = (RUN_BYTES as u64 / block_bytes).max(1);
        let most = (AHEAD_BYTES / block_bytes).max(READERS as u64);
        let start = self.left.start;
        if start >= self.left.end || start - self.first >= most {
            return None;
        }
        self.left.start = self.left.end.min(start + run);
        let blocks = start..self.left.start;
        self.read.extend(blocks.clone().map(|_| None));
        Some(blocks)
    }
}

impl<R: FsFile> Run<'_, R> {
    fn read(&mut self, buf: &mut AlignedBuf) {
        if !self.at_once(buf) {
            for index in self.blocks.clone() {
                self.read.push(self.reading.block(buf, index));
            }
        }
    }

    /// Reads all of it with one call, if it is several blocks; whether that went well.
    fn at_once(&mut self, buf: &mut AlignedBuf) -> bool {
        let of = |index| self.reading.block_size.range(index, self.reading.file_size);
        let start = of(self.blocks.start).start;
        let bytes = of(self.blocks.end - 1).end - start;
        let len = usize::try_from(bytes).unwrap_or(usize::MAX);
        if self.blocks.end - self.blocks.start < 2 || len > buf.len() {
            return false;
        }
        self.reading.throttle.take(bytes);
        let asked = &mut buf[..len.next_multiple_of(ALIGN)];
        if !matches!(self.reading.file.read_at(asked, start), Ok(have) if have >= len) {
            return false;
        }
        for range in self.blocks.clone().map(of) {
            let block = &buf[(range.start - start) as usize..(range.end - start) as usize];
            self.read.push(BlockRead {
                hash: Ok(Some(hash_block(block, range.start, false))),
                bytes: range.end - range.start,
            });
        }
        true
    }
}

impl<R: FsFile> Drop for Run<'_, R> {
    fn drop(&mut self) {
        let mut state = lock_mutex(&self.desk.state);
        let Some(job) = state.jobs.iter_mut().find(|job| job.number == self.job) else {
            return;
        };
        let mut read = std::mem::take(&mut self.read).into_iter();
        for index in self.blocks.clone() {
            let read = read.next().unwrap_or_else(|| BlockRead {
                hash: Err(io::Error::other("the thread that was to read it ended")),
                bytes: 0,
            });
            if let Some(place) = job.read.get_mut((index - job.first) as usize) {
                *place = Some(read);
            }
        }
        if self.blocks.start == job.first {
            job.is_there.notify_one();
        }
    }
}

impl<R: FsFile> Taker<'_, R> {
    /// What was read of a block, once it was; `None` if it is not the next one.
    pub(super) fn take(&mut self, index: u64) -> Option<BlockRead> {
        if self.left.next() != Some(index) {
            // Whoever goes another way reads for himself from here on.
            self.left = 0..0;
            return None;
        }
        let mut state = lock_mutex(&self.desk.state);
        loop {
            let job = state.jobs.iter_mut().find(|job| job.number == self.job)?;
            if let Some(read) = job.read.front_mut().and_then(Option::take) {
                job.read.pop_front();
                job.first += 1;
                if job.left.start < job.left.end {
                    self.desk.work.notify_one();
                }
                return Some(read);
            }
            let is_there = Arc::clone(&job.is_there);
            let woken = is_there.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<R: FsFile> Drop for Taker<'_, R> {
    fn drop(&mut self) {
        let mut state = lock_mutex(&self.desk.state);
        state.jobs.retain(|job| job.number != self.job);
    }
}

#[cfg(test)]
mod tests;
