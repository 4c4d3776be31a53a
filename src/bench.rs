//! What the benches in `benches/` need of the inside. They are compiled with `--cfg sprag_bench`; no
//! other build has this module.

use std::path::Path;

use crate::fs::{Kind, Stat, Times};
use crate::manifest::{DestMeta, Done, Entry};
use crate::path::RelPath;
use crate::plan::{FilePlan, plan_file};
use crate::scan::{self, Source};
use crate::selection::Selection;

pub use crate::manifest::bench::{FileRecord, JournalFile, Manifest, PathIndex};

/// What a plan for a file looks at, and what comes of it.
#[derive(Debug)]
pub struct FileCase {
    source: Stat,
    known: Option<Entry>,
    dest: Option<Stat>,
    plan: FilePlan,
}

impl FileCase {
    /// A file that is at its destination as it was copied.
    pub fn unchanged() -> FileCase {
        let stat = Stat {
            kind: Kind::File,
            size: 5000,
            allocated: 8192,
            mtime_ns: 1_700_000_000_123_456_789,
            atime_ns: 1_700_000_000_123_456_789,
            ctime_ns: 1_700_000_000_123_456_789,
            mode: 0o644,
            uid: 1000,
            gid: 1000,
            dev: 1,
            ino: 2,
            nlink: 1,
        };
        let done = Done {
            path: RelPath::new("f").expect("it is a path"),
            size: stat.size,
            mtime_ns: stat.mtime_ns,
            dest: DestMeta::default(),
            hash: [0; 32],
            attempt: Some(0),
            chain: 0,
            ctimes: None,
            unsettled: false,
        };
        FileCase {
            source: stat,
            known: Some(Entry::Done(done)),
            dest: Some(Stat { ino: 3, ..stat }),
            plan: FilePlan::Unchanged,
        }
    }

    /// A file of which nothing is known and nothing is there.
    pub fn new_file() -> FileCase {
        FileCase {
            known: None,
            dest: None,
            plan: FilePlan::Copy,
            ..FileCase::unchanged()
        }
    }

    /// A file that was written to, and grew, since it was copied.
    pub fn changed() -> FileCase {
        let mut case = FileCase::unchanged();
        case.source.size += 1;
        case.source.mtime_ns += 1;
        case.plan = FilePlan::Copy;
        case
    }

    /// Decides about it; `false` if that is not what should come of it.
    pub fn decides(&self) -> bool {
        plan_file(
            Times::EXACT,
            &self.source,
            self.known.as_ref(),
            self.dest.as_ref(),
        ) == self.plan
    }
}

/// Walks the contents of a directory as a copy of all of it does; gives how many entries there are.
pub fn walk(dir: &Path) -> u64 {
    let source = Source::given(&dir.join("")).expect("a directory");
    let mut entries = 0;
    let over = scan::each(&[source], &Selection::default(), |scanned| {
        std::hint::black_box(scanned);
        entries += 1;
        std::ops::ControlFlow::Continue(())
    });
    debug_assert!(over.is_continue());
    entries
}
