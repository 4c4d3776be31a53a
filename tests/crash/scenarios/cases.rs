//! The scenarios: what is copied, onto what, and what happens between the recording and the rerun.

use sprag::fs::FlushBy;

use super::check::{Expected, FLUSH_TAKES};
use super::engine::{self, End, Stop};
use super::histories::{
    WRITTEN_MEANWHILE, adopting, compacting, deleting, mending, moving, only_deleting, overwriting,
    overwriting_unflushed, read_back, restarting, stopped,
};
use super::source::Source;
use super::tree::{self, Tree};
use super::trees::{
    below_and_above, block_files, build_again, change_large, change_small, large_and_small_files,
    large_file, long_names, many_block_files, many_dirs, mixed_files, movable_files, remove_mixed,
    small_files, sparse_files,
};
use crate::explore::{Budget, Explored, recorded};
use crate::sim::{Below, Disk, Log, Replay, SimFs, Traits};

/// A scenario: how to record it. What `change` does to the source happens after the recording.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) flush_by: FlushBy,
    /// How the destination's file system behaves.
    pub(crate) traits: Traits,
    /// Another file system that is mounted below.
    below: Option<Below>,
    build: fn(&Source),
    record: fn(&Lab) -> Log,
    change: Option<fn(&Source)>,
    /// The run deletes what the source does not have, but for [`PROTECTED`].
    deletes: bool,
    /// It does so before it copies.
    deletes_first: bool,
    /// The recorded run removes its source files; they are made again for the rerun.
    moves: bool,
    /// So many reads of the medium go wrong while it is recorded.
    pub(super) bad_reads: u64,
    /// What somebody else was writing meanwhile.
    strangers: &'static [&'static str],
}

/// What the runs that delete leave out.
pub(crate) const PROTECTED: &str = "protected";

/// Where a case is recorded.
pub(crate) struct Lab {
    pub(crate) case: Case,
    pub(crate) source: Source,
}

pub(crate) const CASES: &[Case] = &[
    Case::new("small files", FlushBy::Whole, small_files, |lab| {
        lab.fresh()
    }),
    Case::new("small files each", FlushBy::Each, small_files, |lab| {
        lab.fresh()
    }),
    Case::new("block files", FlushBy::Whole, block_files, |lab| {
        lab.fresh()
    }),
    Case::new("block files each", FlushBy::Each, block_files, |lab| {
        lab.fresh()
    }),
    Case::new(
        "many block files",
        FlushBy::Whole,
        many_block_files,
        |lab| lab.fresh(),
    ),
    Case::new("many directories", FlushBy::Whole, many_dirs, |lab| {
        lab.fresh()
    }),
    Case::new("mixed files", FlushBy::Whole, mixed_files, |lab| {
        lab.fresh()
    }),
    Case::new("large file", FlushBy::Whole, large_file, |lab| lab.fresh()),
    Case::new("large file each", FlushBy::Each, large_file, |lab| {
        lab.fresh()
    }),
    Case::new(
        "large and small",
        FlushBy::Whole,
        large_and_small_files,
        |lab| lab.fresh(),
    ),
    Case::new(
        "large and small each",
        FlushBy::Each,
        large_and_small_files,
        |lab| lab.fresh(),
    ),
    Case::new("overwriting", FlushBy::Whole, small_files, overwriting),
    Case::new("overwriting each", FlushBy::Each, small_files, overwriting),
    Case::new("adopting", FlushBy::Whole, small_files, adopting),
    Case::new("adopting each", FlushBy::Each, small_files, adopting),
    Case::new("stopped", FlushBy::Whole, large_file, stopped),
    Case::new("stopped each", FlushBy::Each, large_file, stopped),
    Case::new("sparse files", FlushBy::Whole, sparse_files, |lab| {
        lab.fresh()
    }),
    Case::new("sparse files each", FlushBy::Each, sparse_files, stopped),
    Case::new("metadata mends", FlushBy::Whole, small_files, mending),
    Case::new("metadata mends each", FlushBy::Each, small_files, mending),
    Case::new("compacting", FlushBy::Whole, long_names, compacting),
    Case::new("compacting each", FlushBy::Each, long_names, compacting),
    Case::new("restarted", FlushBy::Whole, long_names, restarting),
    Case::new("restarted each", FlushBy::Each, small_files, restarting),
    Case {
        bad_reads: 3,
        ..Case::new("read back", FlushBy::Whole, mixed_files, read_back)
    },
    Case {
        bad_reads: 3,
        ..Case::new("read back each", FlushBy::Each, small_files, read_back)
    },
    Case {
        traits: Traits::FAT,
        ..Case::new("fat block files", FlushBy::Whole, block_files, |lab| {
            lab.fresh()
        })
    },
    Case {
        traits: Traits::FAT,
        ..Case::new("fat large file", FlushBy::Whole, large_file, |lab| {
            lab.fresh()
        })
    },
    Case {
        traits: Traits::LOOSE,
        ..Case::new("loose block files", FlushBy::Whole, block_files, |lab| {
            lab.fresh()
        })
    },
    Case {
        traits: Traits::LOOSE,
        ..Case::new("loose large file", FlushBy::Whole, large_file, |lab| {
            lab.fresh()
        })
    },
    Case {
        traits: Traits::LOOSE,
        ..Case::new(
            "loose mixed files each",
            FlushBy::Each,
            mixed_files,
            |lab| lab.fresh(),
        )
    },
    Case {
        traits: Traits::LOOSE,
        ..Case::new("loose sparse files", FlushBy::Whole, sparse_files, |lab| {
            lab.fresh()
        })
    },
    Case {
        traits: Traits::LOOSE,
        strangers: &WRITTEN_MEANWHILE,
        ..Case::new(
            "loose overwriting",
            FlushBy::Whole,
            block_files,
            overwriting_unflushed,
        )
    },
    Case {
        below: Some((FlushBy::Each, Traits::LOOSE)),
        ..Case::new("loose below", FlushBy::Whole, below_and_above, |lab| {
            lab.fresh()
        })
    },
    Case {
        below: Some((FlushBy::Each, Traits::JOURNALED)),
        ..Case::new("each below", FlushBy::Whole, below_and_above, |lab| {
            lab.fresh()
        })
    },
    Case {
        traits: Traits::LOOSE,
        below: Some((FlushBy::Whole, Traits::JOURNALED)),
        ..Case::new("whole below loose", FlushBy::Each, below_and_above, |lab| {
            lab.fresh()
        })
    },
    Case {
        deletes: true,
        ..Case::new("deleting", FlushBy::Whole, small_files, deleting)
    },
    Case {
        deletes: true,
        ..Case::new("deleting each", FlushBy::Each, small_files, deleting)
    },
    Case {
        deletes: true,
        deletes_first: true,
        ..Case::new("deleting first", FlushBy::Whole, small_files, deleting)
    },
    Case {
        deletes: true,
        deletes_first: true,
        ..Case::new("deleting first each", FlushBy::Each, small_files, deleting)
    },
    Case {
        deletes: true,
        ..Case::new(
            "only deleting",
            FlushBy::Whole,
            movable_files,
            only_deleting,
        )
    },
    Case {
        deletes: true,
        ..Case::new(
            "only deleting each",
            FlushBy::Each,
            movable_files,
            only_deleting,
        )
    },
    Case {
        traits: Traits::FAT,
        deletes: true,
        ..Case::new("fat deleting", FlushBy::Whole, small_files, deleting)
    },
    Case {
        traits: Traits::LOOSE,
        deletes: true,
        change: Some(remove_mixed),
        ..Case::new("loose deleting", FlushBy::Each, mixed_files, |lab| {
            lab.fresh()
        })
    },
    Case {
        moves: true,
        change: Some(build_again),
        ..Case::new("moving", FlushBy::Whole, movable_files, moving)
    },
    Case {
        moves: true,
        change: Some(build_again),
        ..Case::new("moving each", FlushBy::Each, movable_files, moving)
    },
    Case {
        change: Some(change_large),
        ..Case::new("source changed", FlushBy::Whole, large_file, |lab| {
            lab.fresh()
        })
    },
    Case {
        change: Some(change_small),
        ..Case::new("sources changed each", FlushBy::Each, small_files, |lab| {
            lab.fresh()
        })
    },
];

impl Case {
    /// The scenario of this name, under another name: two tests may go through it at once.
    pub(crate) fn named(name: &str, other: &'static str) -> Case {
        let case = CASES.iter().find(|case| case.name == name);
        Case {
            name: other,
            ..*case.expect("a scenario")
        }
    }

    const fn new(
        name: &'static str,
        flush_by: FlushBy,
        build: fn(&Source),
        record: fn(&Lab) -> Log,
    ) -> Case {
        Case {
            name,
            flush_by,
            traits: Traits::JOURNALED,
            below: None,
            build,
            record,
            change: None,
            deletes: false,
            deletes_first: false,
            moves: false,
            bad_reads: 0,
            strangers: &[],
        }
    }

    /// Its source, made once more in a place of its own.
    pub(super) fn built_at(&self, place: &str) -> Source {
        let source = Source::of(place);
        source.clear();
        (self.build)(&source);
        source
    }

    /// Records it and explores the recording.
    pub(crate) fn explore(&self, budget: Budget) -> Explored {
        let (log, expected) = self.recorded();
        expected.explore(self.name, &log, budget)
    }

    /// A recording, and what is expected of the disks it leaves.
    pub(crate) fn recorded(&self) -> (Log, Expected) {
        let lab = Lab {
            case: *self,
            source: Source::of(self.name),
        };
        let log = recorded(self.name, || {
            lab.source.clear();
            (self.build)(&lab.source);
            let log = (self.record)(&lab);
            if let Some(change) = self.change {
                change(&lab.source);
            }
            log
        });
        let mut expected = lab.expected(&log);
        if self.change.is_some() {
            expected.first = lab.as_built();
            expected.new = expected.first.clone();
            expected.moves = self.moves;
        }
        expected.strangers = self.strangers;
        // A file each, at most.
        expected.spoilt = self.bad_reads * tree::largest(&expected.after);
        (log, expected)
    }
}

impl Lab {
    pub(crate) fn expected(&self, log: &Log) -> Expected {
        let mut expected = Expected::of(log, &self.source, self.case.flush_by, self.case.traits);
        expected.below = self.case.below;
        match self.case.deletes {
            true => expected.deleting(self.case.deletes_first),
            false => expected,
        }
    }

    /// The source as it was before it was changed.
    fn as_built(&self) -> Tree {
        let source = self.case.built_at(&format!("{} built", self.case.name));
        tree::of_source(&source.dir)
    }

    /// A new disk.
    pub(crate) fn disk(&self) -> SimFs {
        SimFs::new(self.case.flush_by).with_below(self.case.below)
    }

    /// The same disk, as something to record on.
    pub(crate) fn mount(&self, disk: Disk) -> SimFs {
        SimFs::with_disk(disk, self.case.flush_by, FLUSH_TAKES)
            .with_traits(self.case.traits)
            .with_below(self.case.below)
    }

    /// The disk as it is, all of it durable.
    pub(crate) fn settle(&self, fs: &SimFs) -> Disk {
        fs.sync_all().expect("a disk without faults");
        Replay::at_end(&fs.log()).disk(&[])
    }

    pub(crate) fn run(&self, fs: &SimFs, stop: Stop) -> End {
        let mut options = engine::options(&self.source.dir);
        if self.case.deletes {
            engine::delete(&mut options, self.case.deletes_first);
        }
        engine::run(fs, options, stop)
    }

    /// Runs to the end, which has to be a good one.
    pub(super) fn done(&self, fs: &SimFs) {
        let end = self.run(fs, Stop::Never);
        assert_eq!(end.exit, sprag::exit::Exit::Done, "{}", end.describe());
    }

    /// Records a run onto a disk.
    pub(super) fn onto(&self, disk: Disk) -> Log {
        let fs = self.mount(disk);
        self.done(&fs);
        fs.log()
    }

    fn fresh(&self) -> Log {
        self.onto(self.settle(&self.disk()))
    }
}
