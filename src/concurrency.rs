//! How many files are worked on at a time, chosen by what the user asked for, by the devices and by
//! the machine. The decision alone; what the devices are is asked elsewhere.
//!
//! Small files are worked on many at a time, since nearly all of their time is waiting for a device.
//! Of large ones a device that has to seek gives most when they come one after the other, in order:
//! two at a time send its head to and fro, and FAT and exFAT lay their clusters down interleaved.

use std::num::NonZeroUsize;
use std::thread;

use crate::event::{ChosenBy, Concurrency};

/// So many files are worked on at a time unless told otherwise.
const FILES: usize = 8;
/// So many of them may be large where nothing seeks, however many processors there are.
const LARGE_FILES_MAX: usize = 4;
/// So many large files are copied at a time at least where nothing seeks, so that reading, hashing
/// and writing overlap.
const LARGE_COPIES_MIN: usize = 2;

/// Which of the devices have to seek, as far as the system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seeks {
    pub(crate) dest: bool,
    /// Any of the sources', if sources are read.
    pub(crate) source: bool,
}

/// For a copy; `asked` is what the user wants.
pub(crate) fn of_copy(asked: Option<NonZeroUsize>, seeks: Seeks) -> Concurrency {
    choose(asked, seeks, processors().max(LARGE_COPIES_MIN))
}

/// For reading what is at a destination, and perhaps the sources.
pub(crate) fn of_reading(asked: Option<NonZeroUsize>, seeks: Seeks) -> Concurrency {
    choose(asked, seeks, processors())
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn choose(asked: Option<NonZeroUsize>, seeks: Seeks, processors: usize) -> Concurrency {
    let (files, large_files, chosen_by) = match (asked, seeks) {
        (Some(asked), _) => (asked.get(), asked.get(), ChosenBy::User),
        (None, Seeks { dest: true, .. }) => (FILES, 1, ChosenBy::Destination),
        (None, Seeks { source: true, .. }) => (FILES, 1, ChosenBy::Source),
        (None, _) => (FILES, processors.min(LARGE_FILES_MAX), ChosenBy::Processors),
    };
    Concurrency {
        files,
        large_files,
        chosen_by,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEITHER: Seeks = Seeks {
        dest: false,
        source: false,
    };

    fn chosen(asked: usize, seeks: Seeks, processors: usize) -> (usize, usize, ChosenBy) {
        let it = choose(NonZeroUsize::new(asked), seeks, processors);
        (it.files, it.large_files, it.chosen_by)
    }

    #[test]
    fn where_nothing_seeks_there_is_a_large_file_for_each_processor_up_to_four() {
        assert_eq!(chosen(0, NEITHER, 1), (8, 1, ChosenBy::Processors));
        assert_eq!(chosen(0, NEITHER, 2), (8, 2, ChosenBy::Processors));
        assert_eq!(chosen(0, NEITHER, 64), (8, 4, ChosenBy::Processors));
    }

    #[test]
    fn a_device_that_seeks_gets_one_large_file_at_a_time_and_as_many_small_ones_as_others() {
        let source = Seeks {
            source: true,
            ..NEITHER
        };
        let both = Seeks {
            dest: true,
            source: true,
        };
        assert_eq!(chosen(0, source, 64), (8, 1, ChosenBy::Source));
        assert_eq!(chosen(0, both, 64), (8, 1, ChosenBy::Destination));
    }

    #[test]
    fn what_the_user_asks_for_is_done_whatever_the_device_is() {
        let seeks = Seeks {
            dest: true,
            source: true,
        };
        assert_eq!(chosen(3, seeks, 64), (3, 3, ChosenBy::User));
    }
}
