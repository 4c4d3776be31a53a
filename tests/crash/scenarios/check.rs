//! What has to be true of every disk that a power cut leaves: before the rerun, of it, and after.

use std::time::Duration;

use sprag::event::CopySummary;
use sprag::exit::Exit;
use sprag::fs::FlushBy;
use sprag::path::RelPath;

use super::cases::PROTECTED;
use super::engine::{self, CHECKPOINT_BYTES, DONE, End, JOBS, NOT_READ_BACK, READ_BACK, Stop};
use super::histories::manifest_bytes;
use super::source::{BLOCK, GONE, Source};
use super::tree::{self, Tree};
use crate::explore::{Budget, CrashState, Exploration, Explored, recorded, saved_log};
use crate::sim::{Below, CrashKind, Disk, Log, Replay, Rng, SimFs, Traits};

/// How long a flush takes where a run is recorded: long enough for the other threads to go on.
pub(crate) const FLUSH_TAKES: Duration = Duration::from_micros(300);
/// One state in so many has its rerun cut short, too.
const CUT_AGAIN: u64 = 64;
/// One state in so many has its recovery stopped, twice, before it is left to end.
const STOPPED: u64 = 8;
/// The same where space may have been given twice: what is left over has to stay until the end.
const STOPPED_LOOSE: u64 = 2;
/// How slow the medium is then, so that the stop comes in the middle.
const SLOW_READS: Duration = Duration::from_micros(300);
/// One state in so many is verified in the end.
const VERIFIED: u64 = 8;
/// What is looked at of a rerun that is cut short, and of the rerun of that one.
const CUTS_AGAIN: [Budget; 2] = [
    Budget {
        states: 12,
        time: None,
    },
    Budget {
        states: 4,
        time: None,
    },
];
/// What a manifest holds before its first record.
const MANIFEST_HEAD_BYTES: u64 = 4096;
/// A rerun has opened the manifest after so many events. So much is looked at of that part besides.
const OPENING: usize = 8;
const CUTS_IN_OPENING: [u64; 2] = [8, 3];
/// One in so many of the states of a rerun has its rerun cut short in turn.
const CUT_ONCE_MORE: u64 = 12;

/// What a recording may leave, and what the rerun has to make of it.
#[derive(Clone)]
pub(crate) struct Expected {
    pub(crate) source: Source,
    pub(crate) flush_by: FlushBy,
    pub(crate) traits: Traits,
    /// Another file system that is mounted below.
    pub(crate) below: Option<Below>,
    /// What the disk held before anything was recorded.
    pub(crate) old: Tree,
    /// What the source held while the first run was recorded.
    pub(crate) first: Tree,
    /// What it held while this run was recorded.
    pub(crate) new: Tree,
    /// What the source holds at the rerun.
    pub(crate) after: Tree,
    /// The runs delete what the source does not have.
    deletes: bool,
    /// They do so before they copy.
    deletes_first: bool,
    /// The recorded run removed its sources as it went.
    pub(crate) moves: bool,
    /// So many bytes were called durable before the medium gave them back wrong: they may be
    /// copied again.
    pub(crate) spoilt: u64,
    /// What has to be there at any moment.
    kept: Tree,
    /// What somebody else was writing when the power was cut: it is replaced.
    pub(crate) strangers: &'static [&'static str],
}

impl Expected {
    /// For a recording whose source has not changed since.
    pub(crate) fn of(log: &Log, source: &Source, flush_by: FlushBy, traits: Traits) -> Expected {
        let after = tree::of_source(&source.dir);
        let old = tree::of_disk(&log.base).tree;
        Expected {
            deletes: false,
            deletes_first: false,
            moves: false,
            spoilt: 0,
            kept: old.clone(),
            strangers: &[],
            source: source.clone(),
            flush_by,
            traits,
            below: None,
            old,
            first: after.clone(),
            new: after.clone(),
            after,
        }
    }

    /// The same for runs that delete, `first` or last.
    pub(crate) fn deleting(mut self, first: bool) -> Expected {
        let after = &self.after;
        let is_protected = |path: &RelPath| path.components().any(|c| c == PROTECTED.as_bytes());
        self.kept
            .retain(|path, _| after.contains_key(path) || is_protected(path));
        (self.deletes, self.deletes_first) = (true, first);
        self
    }

    /// Explores a recording.
    pub(crate) fn explore(&self, scenario: &str, log: &Log, budget: Budget) -> Explored {
        self.explore_as(&Exploration::of(scenario, log, budget))
    }

    /// The same of a part of a recording.
    pub(crate) fn explore_as(&self, exploration: &Exploration<'_>) -> Explored {
        let mut nested = 0;
        let mut explored = exploration.run(|state| self.check(state, &mut nested));
        explored.states += nested;
        explored
    }

    fn check(&self, state: CrashState<'_>, nested: &mut u64) -> Result<(), String> {
        let seed = &state.seed;
        let mut dice = Rng::of(&[seed.cut as u64, seed.kind as u64, seed.sub, 2]);
        // Of a rename that left both names, the old one may stay: to remove it is not safe on FAT.
        let half_renames = seed.to_string().contains("half-renames");
        let halved = half_renames || self.any(|traits| traits.lacks_journal);
        let emptied = seed.to_string().contains("empty-names");
        self.check_names_but(&state.disk, state.marks, halved, emptied)?;
        // Until a run is on record nothing tells the next one that power was lost, and that what
        // strangers wrote meanwhile must not be trusted.
        let unrecorded = manifest_bytes(&state.disk) <= MANIFEST_HEAD_BYTES;
        if unrecorded && !self.strangers.is_empty() {
            return Ok(());
        }
        let one_in = [CUT_AGAIN, CUT_ONCE_MORE];
        if let Some(one_in) = one_in.get(seed.depth())
            && dice.chance(1, *one_in)
        {
            *nested += self.cut_again(&state)?;
        }
        let mut fs = self.mount(state.disk.clone(), Duration::ZERO);
        let mut rehashed = 0;
        let stopped = match self.any(|traits| traits.loses_allocations) {
            true => STOPPED_LOOSE,
            false => STOPPED,
        };
        if dice.chance(1, stopped) {
            let slow = self.mount(state.disk.clone(), Duration::ZERO);
            let slow = slow.with_slow_reads(SLOW_READS);
            for _ in 0..2 {
                let end = self.run(&slow, Stop::AtOnce);
                // The bound is that of one recovery; one that was stopped begins anew.
                rehashed = rehashed.max(end.summary.bytes_rehashed);
                if !matches!(end.exit, Exit::Stopped | Exit::Done) {
                    return Err(format!("stopped at once: {}", end.describe()));
                }
            }
            fs = slow;
        }
        let end = self.run(&fs, Stop::Never);
        if self.was_hit(&end) {
            fs = self.mount(fs.disk().checked(), Duration::ZERO);
            self.check_end(&self.run(&fs, Stop::Never))
                .map_err(|problem| format!("rerun after a check: {problem}"))?;
        } else {
            self.check_rerun(&end, &state, rehashed)?;
        }
        // Out of the way is another mounted file system, to which nothing can be moved.
        let halved = half_renames || self.below.is_some_and(|(_, traits)| traits.lacks_journal);
        self.check_result(&fs, halved)?;
        self.check_nothing_left(&fs, halved)?;
        if self.deletes || dice.chance(1, VERIFIED) {
            engine::verify(&fs)?;
        }
        Ok(())
    }

    /// Before the rerun: every name means something whole, and what was called done is there.
    pub(crate) fn check_names(
        &self,
        disk: &Disk,
        marks: &[&str],
        partials_may_stay: bool,
    ) -> Result<(), String> {
        self.check_names_but(disk, marks, partials_may_stay, false)
    }

    /// The same of a disk on which new names may be empty.
    fn check_names_but(
        &self,
        disk: &Disk,
        marks: &[&str],
        partials_may_stay: bool,
        names_may_be_empty: bool,
    ) -> Result<(), String> {
        let found = tree::of_disk(disk);
        let hollow = tree::hollow(&found.tree);
        let [old, first, after] = self.allowed();
        let allowed = match names_may_be_empty {
            true => &[old, first, after, &hollow][..],
            false => &[old, first, after],
        };
        let mut ours = found.tree.clone();
        ours.retain(|path, _| {
            !self
                .strangers
                .iter()
                .any(|it| path.as_bytes() == it.as_bytes())
        });
        tree::is_whole(&ours, allowed, &self.kept)
            .map_err(|problem| format!("before the rerun: {problem}"))?;
        for path in marks.iter().filter_map(|mark| mark.strip_prefix(GONE)) {
            let path = RelPath::new(path).map_err(|error| error.to_string())?;
            let (there, wanted) = (found.tree.get(&path), self.new.get(&path));
            if there.map(|node| &node.what) != wanted.map(|node| &node.what) {
                return Err(format!(
                    "{path} is gone from the source, and its copy is {there:?}"
                ));
            }
        }
        if marks.contains(&DONE) {
            tree::holds(&found.tree, &self.new)
                .map_err(|problem| format!("after success was reported: {problem}"))?;
            if !partials_may_stay && let Some(partial) = found.partials.first() {
                return Err(format!("after success was reported, {partial} is left"));
            }
            // What the source lost since is for the rerun to delete.
            if tree::holds(&self.after, &self.new).is_ok() {
                self.check_deleted(&found.tree)
                    .map_err(|problem| format!("after success was reported: {problem}"))?;
            }
        }
        Ok(())
    }

    /// Whether a run found, reading back, that a file of its own lies where another one does: the
    /// file system wants checking, and then the run is made again.
    fn was_hit(&self, end: &End) -> bool {
        let tells = |said: &String| said.starts_with(READ_BACK) || said.contains(NOT_READ_BACK);
        let is_possible = self.any(|traits| traits.loses_allocations) && !self.strangers.is_empty();
        is_possible && end.exit == Exit::Partial && end.said.iter().all(tells)
    }

    /// The rerun itself: it succeeds, copies no more than was not durable, and reads back no more
    /// than the bound.
    fn check_rerun(&self, end: &End, state: &CrashState<'_>, rehashed: u64) -> Result<(), String> {
        self.check_end(end)
            .map_err(|problem| format!("rerun: {problem}"))?;
        let rehashed = rehashed.max(end.summary.bytes_rehashed);
        if rehashed > self.rehashed_max() {
            let max = self.rehashed_max();
            return Err(format!(
                "the rerun rehashed {rehashed} bytes, more than {max}"
            ));
        }
        // What was moved is another file when it is made again.
        let unchanged = !self.moves && tree::holds(&self.new, &self.after).is_ok();
        // A rename of which only a part got to the medium may take what was durable with it.
        let seed = state.seed.to_string();
        let in_part = seed.contains("half-renames") || seed.contains("empty-names");
        if unchanged && !in_part {
            let durable = engine::durable(state.marks);
            let copied = end.summary.bytes_copied;
            let missing = tree::bytes(&self.new).saturating_sub(durable);
            let missing = missing + self.spoilt + self.forgotten_max();
            if copied > missing {
                return Err(format!(
                    "{durable} bytes were called durable, yet the rerun copied {copied}, not {missing}: {}",
                    end.describe()
                ));
            }
            if state.marks.contains(&DONE) && end.summary.files_copied > 0 {
                return Err(format!("all was called done, yet: {}", end.describe()));
            }
        }
        Ok(())
    }

    /// That a run says that it succeeded, and that its totals add up.
    pub(crate) fn check_end(&self, end: &End) -> Result<(), String> {
        let sum = |of: fn(&CopySummary) -> [u64; 4]| of(&end.summary).iter().sum::<u64>();
        let files = sum(|s| {
            [
                s.files_copied,
                s.files_unchanged,
                s.files_adopted,
                s.skipped.total(),
            ]
        });
        let all = files + sum(|s| [s.dirs, s.symlinks, s.specials, s.failed.total()]);
        let said_well = end
            .said
            .iter()
            .all(|said| self.any(|traits| traits.lacks_journal) && said.starts_with(READ_BACK));
        let durable = end.summary.bytes_durable == end.summary.bytes_total;
        let adds_up = durable && all == self.after.len() as u64;
        if end.exit != Exit::Done || !said_well || !adds_up {
            return Err(end.describe());
        }
        Ok(())
    }

    /// After the rerun: the destination has everything, and nothing of sprag's beside it.
    pub(crate) fn check_result(&self, fs: &SimFs, partials_may_stay: bool) -> Result<(), String> {
        let found = tree::of_disk(&fs.disk());
        let problem = |problem: String| format!("after the rerun: {problem}");
        tree::holds(&found.tree, &self.after).map_err(problem)?;
        tree::is_whole(&found.tree, &self.allowed(), &self.kept).map_err(problem)?;
        self.check_deleted(&found.tree).map_err(problem)?;
        match found.partials.first() {
            Some(partial) if !partials_may_stay => {
                Err(format!("after the rerun, {partial} is left"))
            }
            _ => Ok(()),
        }
    }

    /// Everything that was to be deleted is, and the manifest does not speak of it.
    fn check_deleted(&self, there: &Tree) -> Result<(), String> {
        let stays =
            |path: &&RelPath| self.after.contains_key(*path) || self.kept.contains_key(*path);
        match there.keys().find(|path| !stays(path)) {
            Some(path) if self.deletes => Err(format!("{path} was not deleted")),
            _ => Ok(()),
        }
    }

    /// One more run has nothing to do.
    pub(crate) fn check_nothing_left(
        &self,
        fs: &SimFs,
        partials_may_stay: bool,
    ) -> Result<(), String> {
        let end = self.run(fs, Stop::Never);
        let CopySummary {
            files_copied,
            files_adopted,
            bytes_copied,
            bytes_rehashed,
            ..
        } = end.summary;
        let idle = [files_copied, files_adopted, bytes_copied, bytes_rehashed] == [0; 4];
        match self.check_end(&end) {
            Ok(()) if idle => self.check_result(fs, partials_may_stay),
            _ => Err(format!("second rerun: {}", end.describe())),
        }
    }

    /// Records the rerun and cuts it short in turn.
    fn cut_again(&self, state: &CrashState<'_>) -> Result<u64, String> {
        let scenario = state.seed.to_string();
        let log = recorded(&scenario, || {
            let fs = self.mount(state.disk.clone(), FLUSH_TAKES);
            self.run(&fs, Stop::Never);
            fs.log()
        });
        let rerun = Expected {
            new: self.after.clone(),
            ..self.clone()
        };
        let depth = state.seed.depth();
        let opening = Exploration {
            cuts: 0..OPENING,
            ..Exploration::of(
                &scenario,
                &log,
                Budget {
                    states: CUTS_IN_OPENING[depth],
                    time: None,
                },
            )
        };
        let mut explored = rerun.explore(&scenario, &log, CUTS_AGAIN[depth]);
        explored.add(rerun.explore_as(&opening));
        match explored.violations.first() {
            Some(violation) => Err(violation.clone()),
            None => {
                let _ = std::fs::remove_file(saved_log(&scenario));
                Ok(explored.states)
            }
        }
    }

    /// A power cut now, after all that is on record: in all its kinds, what was reported is true.
    pub(crate) fn check_cut_now(&self, fs: &SimFs) -> Result<u64, String> {
        let log = fs.log();
        let replay = Replay::at_end(&log);
        let mut states = 0;
        for kind in CrashKind::ALL {
            for sub in 0..3 {
                if !replay.applies(kind) {
                    continue;
                }
                let fates = replay.fates(kind, &mut Rng::of(&[kind as u64, sub]));
                let halved = kind == CrashKind::HalfRenames;
                let disk = replay.disk(&fates);
                let checked =
                    self.check_names(&disk, replay.marks(), halved)
                        .and_then(|()| match (kind, sub) {
                            (CrashKind::Nothing, 0) => {
                                self.check_nothing_left(&self.mount(disk, Duration::ZERO), halved)
                            }
                            _ => Ok(()),
                        });
                checked.map_err(|problem| format!("power cut ({kind}) in the end: {problem}"))?;
                states += 1;
            }
        }
        Ok(states)
    }

    fn allowed(&self) -> [&Tree; 3] {
        [&self.old, &self.first, &self.after]
    }

    pub(crate) fn mount(&self, disk: Disk, flush_takes: Duration) -> SimFs {
        SimFs::with_disk(disk, self.flush_by, flush_takes)
            .with_traits(self.traits)
            .with_below(self.below)
    }

    /// So many of the bytes that were called durable may be copied again: where one of two file systems lacks a
    /// journal, those of the files that the last barrier published. Either the names are lost that it gave
    /// on the one below, or the records that would say what lies there.
    fn forgotten_max(&self) -> u64 {
        match self.below {
            Some(_) if self.any(|traits| traits.lacks_journal) => {
                CHECKPOINT_BYTES + JOBS * tree::largest(&self.new)
            }
            _ => 0,
        }
    }

    /// Whether one of the file systems behaves so.
    fn any(&self, behaves: fn(&Traits) -> bool) -> bool {
        behaves(&self.traits) || self.below.is_some_and(|(_, traits)| behaves(&traits))
    }

    pub(crate) fn run(&self, fs: &SimFs, stop: Stop) -> End {
        let mut options = engine::options(&self.source.dir);
        if self.deletes {
            engine::delete(&mut options, self.deletes_first);
        }
        engine::run(fs, options, stop)
    }

    /// Three windows of at most a checkpoint and a block lie behind what is trusted (see
    /// `docs/DURABILITY.md`), and each done file of several blocks may have one of them looked at
    /// that is trusted.
    fn rehashed_max(&self) -> u64 {
        let block = BLOCK as u64;
        let several = |node: &&tree::Node| node.is_longer_than(block);
        let files = self.after.values().filter(several).count() as u64;
        3 * (CHECKPOINT_BYTES + block) + JOBS * block + files * block
    }
}
