//! Goes through the crash states of a recording and puts each before a checker.
//!
//! Every state has a [`Seed`] that names it. The recording of a run with threads is never the same
//! twice, so a violation also stores the recording, and `SPRAG_CRASH_SEED=<seed>` goes back to it.
//! `SPRAG_CRASH_STATES=<n>` asks for the long exploration, `SPRAG_CRASH_ONLY=<scenario>,…` for
//! some of its scenarios alone. `SPRAG_CRASH_UNHURRIED=1` takes away the limits of time: a busy
//! machine gets less done within them.

use std::collections::HashSet;
use std::fmt;
use std::io::Write;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::sim::{CrashKind, Disk, Lie, Log, Replay, Rng};

/// More violations than this say nothing new.
pub(crate) const VIOLATIONS_MAX: usize = 3;
/// A budget of states is spent in about so many rounds.
const ROUNDS: u64 = 16;
/// So many times over the whole recording nothing new: there is nothing new.
const DRY_ROUNDS_MAX: u64 = 3;

/// The name of one crash state, printed as `scenario:cut:kind:sub:lie`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seed {
    /// Which recording.
    pub(crate) scenario: String,
    /// After how many events the power was cut.
    pub(crate) cut: usize,
    /// What kind of cut it was.
    pub(crate) kind: CrashKind,
    /// Which of the states of that kind.
    pub(crate) sub: u64,
    /// Which flushes the device only pretended to do.
    pub(crate) lie: Option<Lie>,
}

/// The disk that a power cut left.
pub(crate) struct CrashState<'a> {
    pub(crate) seed: Seed,
    pub(crate) disk: Disk,
    /// What the outside world had been told by then.
    pub(crate) marks: &'a [&'a str],
}

/// How far to go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// At most so many states.
    pub(crate) states: u64,
    /// At most so long; `None` has no end.
    pub(crate) time: Option<Duration>,
}

/// A recording and how to go through it.
pub(crate) struct Exploration<'a> {
    pub(crate) scenario: &'a str,
    pub(crate) log: &'a Log,
    /// Which flushes the device only pretends to do.
    pub(crate) lie: Option<Lie>,
    pub(crate) budget: Budget,
    /// The power is cut after so many events.
    pub(crate) cuts: Range<usize>,
}

impl<'a> Exploration<'a> {
    /// Of a recording on a device that tells no lies, with cuts anywhere.
    pub(crate) fn of(scenario: &'a str, log: &'a Log, budget: Budget) -> Exploration<'a> {
        Exploration {
            scenario,
            log,
            lie: None,
            budget,
            cuts: 0..usize::MAX,
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Explored {
    /// States that were checked; no two are the same.
    pub(crate) states: u64,
    /// The first violations, each with its seed.
    pub(crate) violations: Vec<String>,
}

impl Budget {
    /// `share` in `of` parts of what the environment asks for; a part of a quick run if it asks
    /// for nothing.
    pub(crate) fn from_env(share: u64, of: u64) -> Budget {
        let asked = std::env::var("SPRAG_CRASH_STATES").ok();
        match asked.and_then(|states| states.parse::<u64>().ok()) {
            Some(states) => Budget {
                states: (states * share).div_ceil(of),
                time: None,
            },
            None => Budget {
                states: (4000 * share).div_ceil(of),
                time: Some(Duration::from_secs(25 * share) / of as u32),
            },
        }
    }
}

impl Explored {
    /// Adds what another exploration came to.
    pub(crate) fn add(&mut self, other: Explored) {
        self.states += other.states;
        self.violations.extend(other.violations);
    }

    /// Prints the figures past the capture of the test harness, and fails on any violation.
    pub(crate) fn conclude(self) {
        let (states, violations) = (self.states, self.violations.len());
        let line = format!("crash states explored: {states}, violations: {violations}\n");
        // A closed stdout is no reason to fail.
        let _ = std::io::stdout().write_all(line.as_bytes());
        assert!(violations == 0, "{}", self.violations.join("\n"));
    }
}

impl Exploration<'_> {
    /// Checks states until the budget is spent or there are no more. If the environment names a
    /// state of this scenario, checks that one alone.
    pub(crate) fn run<C: Check>(&self, check: C) -> Explored {
        let asked = asked_seed(self.scenario);
        let mut walk = Walk {
            exploration: self,
            ends: self
                .budget
                .time
                .and_then(hurry)
                .map(|time| Instant::now() + time),
            seen: HashSet::new(),
            explored: Explored::default(),
            check,
        };
        match asked {
            Some(seed) => {
                let mut replay = Replay::new(self.log, seed.lie);
                while replay.cut() < seed.cut && replay.step() {}
                walk.check(&replay, seed);
            }
            None => walk.rounds(),
        }
        walk.explored
    }

    /// How many pairs of cut and kind there are.
    fn places(&self) -> u64 {
        let mut replay = Replay::new(self.log, self.lie);
        let mut places = 0;
        loop {
            let kinds = CrashKind::ALL.into_iter();
            let kinds = kinds.filter(|kind| replay.applies(*kind));
            if self.cuts.contains(&replay.cut()) {
                places += kinds.count() as u64;
            }
            if !replay.step() {
                return places;
            }
        }
    }
}

/// A checker: an error says what is wrong with a state.
pub(crate) trait Check: FnMut(CrashState<'_>) -> Result<(), String> {}
impl<T: FnMut(CrashState<'_>) -> Result<(), String>> Check for T {}

/// An exploration under way.
struct Walk<'a, C> {
    exploration: &'a Exploration<'a>,
    ends: Option<Instant>,
    /// Fingerprints of the states that were checked.
    seen: HashSet<u64>,
    explored: Explored,
    check: C,
}

impl<C: Check> Walk<'_, C> {
    /// Goes through the recording again and again, each time over an even sample of it, so that a
    /// budget that ends early has still seen the early and the late cuts.
    fn rounds(&mut self) {
        let places = self.exploration.places().max(1);
        let sample = (self.exploration.budget.states / ROUNDS).clamp(1, places);
        let dry_max = DRY_ROUNDS_MAX * places.div_ceil(sample);
        let mut dry = 0;
        for sub in 0.. {
            let before = self.explored.states;
            self.round(sub, sample, places);
            dry = match self.explored.states {
                states if states == before => dry + 1,
                _ => 0,
            };
            if self.is_over() || dry == dry_max {
                return;
            }
        }
    }

    /// One state of each kind at each cut, or `sample` in `places` parts of them. The state after
    /// the last event is always among them.
    fn round(&mut self, sub: u64, sample: u64, places: u64) {
        let Exploration {
            scenario, log, lie, ..
        } = *self.exploration;
        let mut replay = Replay::new(log, lie);
        loop {
            let cut = replay.cut();
            let last = cut == log.events.len();
            let is_meant = self.exploration.cuts.contains(&cut);
            for (nth, kind) in CrashKind::ALL.into_iter().enumerate() {
                let mut dice = Rng::of(&[cut as u64, nth as u64, sub, 1]);
                if is_meant && (last || dice.chance(sample, places)) && replay.applies(kind) {
                    if self.is_over() {
                        return;
                    }
                    let scenario = scenario.into();
                    self.check(
                        &replay,
                        Seed {
                            scenario,
                            cut,
                            kind,
                            sub,
                            lie,
                        },
                    );
                }
            }
            if !replay.step() {
                return;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.explored.states >= self.exploration.budget.states
            || self.explored.violations.len() >= VIOLATIONS_MAX
            || self.ends.is_some_and(|end| Instant::now() >= end)
    }

    /// Puts one state before the checker, unless its like was there before.
    fn check(&mut self, replay: &Replay<'_>, seed: Seed) {
        let fates = replay.fates(seed.kind, &mut seed.rng());
        if !self.seen.insert(replay.fingerprint(&fates)) {
            return;
        }
        self.explored.states += 1;
        let state = CrashState {
            seed: seed.clone(),
            disk: replay.disk(&fates),
            marks: replay.marks(),
        };
        let problem = match catch_unwind(AssertUnwindSafe(|| (self.check)(state))) {
            Ok(Ok(())) => return,
            Ok(Err(problem)) => problem,
            Err(panic) => match panic.downcast_ref::<String>() {
                Some(message) => format!("the checker panicked: {message}"),
                None => "the checker panicked".into(),
            },
        };
        let path = saved_log(&seed.scenario);
        let kept = match self.exploration.log.save(&path) {
            Ok(()) => format!("recording kept in {}", path.display()),
            Err(error) => format!("recording lost: {error}"),
        };
        self.explored.violations.push(format!(
            "{problem}\n  go back to it with SPRAG_CRASH_SEED='{seed}' ({kept})"
        ));
    }
}

/// The recording of a scenario: the stored one if the environment names a state of it, or a new
/// one.
pub(crate) fn recorded(scenario: &str, record: impl FnOnce() -> Log) -> Log {
    match asked_seed(scenario).map(|_| Log::load(&saved_log(scenario))) {
        Some(Ok(log)) => log,
        _ => record(),
    }
}

/// Where the recording of a scenario is kept when something is found in it.
pub(crate) fn saved_log(scenario: &str) -> PathBuf {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = scenario.chars().map(safe).collect();
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-{name}.log"))
}

/// Whether the environment asks for a long exploration, or for one state again.
pub(crate) fn is_long() -> bool {
    ["SPRAG_CRASH_STATES", "SPRAG_CRASH_SEED"]
        .iter()
        .any(|name| std::env::var_os(name).is_some())
}

/// A limit of time, unless the environment says that there is none.
pub(crate) fn hurry(time: Duration) -> Option<Duration> {
    let unhurried = std::env::var_os("SPRAG_CRASH_UNHURRIED").is_some();
    (!unhurried).then_some(time)
}

/// Whether the environment asks for a state, and for none of this scenario, or for scenarios of
/// which this is none.
pub(crate) fn is_passed_over(scenario: &str) -> bool {
    let only = std::env::var("SPRAG_CRASH_ONLY").ok();
    only.is_some_and(|only| only.split(',').all(|name| name != scenario))
        || std::env::var_os("SPRAG_CRASH_SEED").is_some() && asked_seed(scenario).is_none()
}

/// The state of this scenario that the environment asks for. To reach a state of the rerun in a
/// crashed state, whose scenario is named after that state's seed, the crashed state is the one.
fn asked_seed(scenario: &str) -> Option<Seed> {
    let asked = std::env::var("SPRAG_CRASH_SEED").ok()?;
    let seed = asked.parse::<Seed>();
    seed.expect("SPRAG_CRASH_SEED is a seed that was printed")
        .leading_to(scenario)
}

impl Seed {
    /// This seed or the one of those it is nested in that is of this scenario.
    fn leading_to(self, scenario: &str) -> Option<Seed> {
        if self.scenario == scenario {
            return Some(self);
        }
        self.scenario.parse::<Seed>().ok()?.leading_to(scenario)
    }

    /// In how many others it is nested.
    pub(crate) fn depth(&self) -> usize {
        match self.scenario.parse::<Seed>() {
            Ok(outer) => 1 + outer.depth(),
            Err(_) => 0,
        }
    }

    fn rng(&self) -> Rng {
        Rng::of(&[self.cut as u64, self.kind as u64, self.sub])
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seed {
            scenario,
            cut,
            kind,
            sub,
            lie,
        } = self;
        write!(f, "{scenario}:{cut}:{kind}:{sub}:")?;
        match lie {
            Some(lie) => write!(f, "{lie}"),
            None => f.write_str("-"),
        }
    }
}

impl FromStr for Seed {
    type Err = String;

    /// From the right, so that a scenario may be named after a seed: the one it goes on from.
    fn from_str(text: &str) -> Result<Seed, String> {
        let parts: Vec<&str> = text.rsplitn(5, ':').collect();
        let [lie, sub, kind, cut, scenario] = parts[..] else {
            return Err(format!("{text:?} is no seed: scenario:cut:kind:sub:lie"));
        };
        let number = |what: &str| what.parse::<u64>().map_err(|e| format!("{what:?}: {e}"));
        Ok(Seed {
            scenario: scenario.into(),
            cut: number(cut)? as usize,
            kind: kind.parse()?,
            sub: number(sub)?,
            lie: match lie {
                "-" => None,
                lie => Some(lie.parse()?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_seed_reads_back_even_inside_another() {
        let outer = Seed {
            scenario: "small files".into(),
            cut: 412,
            kind: CrashKind::HalfRenames,
            sub: 7,
            lie: None,
        };
        let inner = Seed {
            scenario: outer.to_string(),
            lie: Some(Lie::about(3)),
            ..outer.clone()
        };
        for seed in [&outer, &inner] {
            assert_eq!(seed.to_string().parse().as_ref(), Ok(seed));
        }
        assert_eq!((outer.depth(), inner.depth()), (0, 1));
        assert_eq!(inner.clone().leading_to("small files"), Some(outer.clone()));
        assert_eq!(inner.clone().leading_to(&outer.to_string()), Some(inner));
        assert_eq!(outer.leading_to("large file"), None);
        assert!("small files:412".parse::<Seed>().is_err());
    }
}
