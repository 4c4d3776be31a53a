//! Random histories against a map: whatever is appended in whatever order, reopened or compacted
//! at any point, the manifest says what the map says.

use proptest::prelude::*;

use super::support::*;
use crate::fs::OsFs;
use crate::manifest::*;

const PATHS: [&str; 5] = ["a", "a/b", "a/b/c", "d", "a-very-long-name-to-cross-a-read"];

#[derive(Debug, Clone, Copy)]
enum Op {
    Dir,
    Symlink,
    Begin,
    Blocks(u64),
    Cut(u64),
    Done,
    Single,
    LinkWanted,
    Link,
    Removed,
    Run,
    Barrier,
    Reopen,
    Compact,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => Just(Op::Dir),
        1 => Just(Op::Symlink),
        4 => Just(Op::Begin),
        8 => (1u64..20).prop_map(Op::Blocks),
        3 => (0u64..20).prop_map(Op::Cut),
        3 => Just(Op::Done),
        1 => Just(Op::Single),
        1 => Just(Op::LinkWanted),
        1 => Just(Op::Link),
        1 => Just(Op::Removed),
        1 => Just(Op::Run),
        2 => Just(Op::Barrier),
        1 => Just(Op::Reopen),
        1 => Just(Op::Compact),
    ]
}

struct Both {
    dest: Dest,
    store: Option<Store<OsFs>>,
    model: Listing,
    /// Counts up, so that no two records are alike.
    serial: u64,
}

impl Both {
    fn new() -> Both {
        let dest = Dest::quick();
        Both {
            store: Some(dest.create()),
            dest,
            model: Listing::new(),
            serial: 0,
        }
    }

    fn store(&mut self) -> &mut Store<OsFs> {
        self.store.as_mut().unwrap()
    }

    fn apply(&mut self, at: &str, op: Op) {
        self.serial += 1;
        let serial = self.serial;
        match op {
            Op::Dir => {
                let mut record = dir(at);
                record.mtime_ns = i128::from(serial);
                let entry = Entry::Dir(record.clone());
                self.put(at, Record::Dir(record), entry, Vec::new());
            }
            Op::Symlink => {
                let record = symlink(at, &serial.to_string());
                let entry = Entry::Symlink(record.clone());
                self.put(at, Record::Symlink(record), entry, Vec::new());
            }
            Op::Begin => {
                let begin = begin(at, serial);
                let entry = partial(begin.clone(), 0);
                self.put(at, Record::Begin(begin), entry, Vec::new());
            }
            Op::Blocks(count) => self.more(at, Some(count), 0),
            Op::Cut(keep) => self.more(at, None, keep),
            Op::Done => self.finish(at),
            Op::Single => {
                let record = done(at, serial, 0);
                let entry = Entry::Done(record.clone());
                self.put(at, Record::Done(record), entry, Vec::new());
            }
            Op::LinkWanted => {
                let record = link(at, &serial.to_string());
                let entry = Entry::LinkWanted(record.clone());
                self.put(at, Record::LinkWanted(record), entry, Vec::new());
            }
            Op::Link => {
                let record = link(at, &serial.to_string());
                let entry = Entry::Link(record.clone());
                self.put(at, Record::Link(record), entry, Vec::new());
            }
            Op::Removed => {
                self.store().append(&Record::Removed(path(at))).unwrap();
                self.model.remove(&path(at));
            }
            Op::Run => {
                let mut run = run_begin();
                run.started_ms = serial;
                self.store().append(&Record::RunBegin(run)).unwrap();
            }
            Op::Barrier => barrier(self.store()),
            Op::Reopen => self.reopen(),
            Op::Compact => self.store().compact(None).unwrap(),
        }
    }

    fn put(&mut self, at: &str, record: Record, entry: Entry, hashes: Vec<[u8; 32]>) {
        self.store().append(&record).unwrap();
        self.model.insert(path(at), (entry, hashes));
    }

    /// Blocks, or a cut, if the path is in progress.
    fn more(&mut self, at: &str, count: Option<u64>, keep: u64) {
        let Some((Entry::Partial(old), mut hashes)) = self.model.get(&path(at)).cloned() else {
            return;
        };
        let Some((_, Entry::Partial(now))) = self.store().lookup(&path(at)).unwrap() else {
            panic!("{at} is not in progress");
        };
        let (begin, prev) = (now.begin_pos, now.last_pos);
        let record = match count {
            Some(count) => {
                let first = hashes.len() as u64;
                let new: Vec<_> = (0..count).map(|n| hash(1000 * self.serial + n)).collect();
                hashes.extend_from_slice(&new);
                Record::Blocks(Blocks {
                    begin,
                    prev,
                    first,
                    hashes: new,
                })
            }
            None => {
                let keep = keep.min(hashes.len() as u64);
                hashes.truncate(keep as usize);
                cut(begin, prev, keep)
            }
        };
        let entry = partial(old.begin, hashes.len() as u64);
        self.put(at, record, entry, hashes);
    }

    fn finish(&mut self, at: &str) {
        let Some((Entry::Partial(_), hashes)) = self.model.get(&path(at)).cloned() else {
            return;
        };
        let Some((last, _)) = self.store().lookup(&path(at)).unwrap() else {
            panic!("{at} is not there");
        };
        let entry = Entry::Done(done(at, self.serial, 1));
        let record = Record::Done(done(at, self.serial, last));
        self.put(at, record, entry, hashes);
    }

    fn reopen(&mut self) {
        self.store().write_out().unwrap();
        self.store = None;
        self.store = Some(self.dest.open(OpenMode::Write));
    }

    fn check(&mut self) {
        let (found, totals) = (listing(self.store()), self.store().totals());
        assert_eq!(found, self.model);
        assert_eq!(totals, totals_of(&self.model));
    }
}

fn partial(begin: Begin, blocks: u64) -> Entry {
    Entry::Partial(Partial {
        begin,
        begin_pos: 0,
        last_pos: 0,
        blocks,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_history_gives_what_a_map_gives(
        ops in prop::collection::vec((0..PATHS.len(), op()), 1..80),
    ) {
        let mut both = Both::new();
        for (at, op) in ops {
            both.apply(PATHS[at], op);
        }
        both.check();
        both.reopen();
        both.check();
        both.store().compact(None).unwrap();
        both.check();
        both.reopen();
        both.check();
        prop_assert!(both.store().tail().positions.is_empty());
    }
}
