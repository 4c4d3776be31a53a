//! What an error of the system means, in one table: another try, the end of the entry, or the end
//! of the run.
//!
//! The table knows errors only. Whether the device below is gone is asked of the system first
//! (see `failure`), since an unplugged drive answers with almost any of them. An error that has no
//! row fails its entry.

use std::io;

use rustix::io::Errno;

/// What was being done. The same error means different things: a read can be made again, a write
/// that failed leaves data that nobody should believe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Opening, looking at, listing or reading something of a source.
    Read,
    /// A call about names or metadata at the destination.
    Name,
    /// Writing or flushing content at the destination. Never made again.
    Write,
}

/// What an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The entry fails, the run goes on.
    Entry,
    /// It may pass, so the call is made again; the entry fails if it does not.
    AgainThenEntry,
    /// It may pass, so the call is made again; the run ends if it does not.
    AgainThenRun,
    /// The run ends.
    Run,
    /// The run ends: there is no room.
    Full,
    /// The run ends: the device is gone.
    Gone,
}

use Meaning::{AgainThenEntry, AgainThenRun, Entry, Full, Gone, Run};

impl Meaning {
    /// Whether the call is worth another try.
    pub(super) fn is_worth_a_try(self) -> bool {
        matches!(self, AgainThenEntry | AgainThenRun)
    }
}

/// An error, and its meaning in reading, in naming and in writing.
type Row = (Errno, [Meaning; 3]);

const TABLE: [Row; 23] = [
    // What may pass by itself.
    (Errno::INTR, [AgainThenEntry, AgainThenEntry, Run]),
    (Errno::AGAIN, [AgainThenEntry, AgainThenEntry, Run]),
    (Errno::BUSY, [AgainThenEntry, AgainThenEntry, Run]),
    (Errno::TIMEDOUT, [AgainThenEntry, AgainThenRun, Run]),
    (Errno::STALE, [AgainThenEntry, AgainThenRun, Run]),
    // A sector that cannot be read now may be read the third time. A call about names is not made
    // again after an I/O error: it may have changed something.
    (Errno::IO, [AgainThenEntry, Run, Run]),
    // This system's own shortage.
    (Errno::MFILE, [AgainThenEntry, AgainThenRun, Run]),
    (Errno::NFILE, [AgainThenEntry, AgainThenRun, Run]),
    (Errno::NOMEM, [AgainThenEntry, AgainThenRun, Run]),
    // No entry after this one would fare better.
    (Errno::NOSPC, [Entry, Full, Full]),
    (Errno::DQUOT, [Entry, Full, Full]),
    (Errno::ROFS, [Entry, Run, Run]),
    // The device, or what stands for it. To open a name can fail with the first two for what is
    // there (a socket, a device node), so that naming takes them for the entry's.
    (Errno::NODEV, [Entry, Run, Gone]),
    (Errno::NXIO, [Entry, Entry, Gone]),
    (Errno::NOTCONN, [Gone, Gone, Gone]),
    // This entry's own; spelled out, since users meet them.
    (Errno::ACCESS, [Entry, Entry, Entry]),
    (Errno::PERM, [Entry, Entry, Entry]),
    (Errno::NOENT, [Entry, Entry, Entry]),
    (Errno::FBIG, [Entry, Entry, Entry]),
    (Errno::NAMETOOLONG, [Entry, Entry, Entry]),
    (Errno::LOOP, [Entry, Entry, Entry]),
    (Errno::ISDIR, [Entry, Entry, Entry]),
    (Errno::INVAL, [Entry, Entry, Entry]),
];

/// What `error` means to whoever was `doing` that.
pub(super) fn meaning(doing: Doing, error: &io::Error) -> Meaning {
    let Some(errno) = Errno::from_io_error(error) else {
        return Entry;
    };
    let row = TABLE.iter().find(|(listed, _)| *listed == errno);
    row.map_or(Entry, |(_, meanings)| meanings[doing as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table once more, in the words of the promise; a row that is changed fails here.
    #[track_caller]
    fn row(errno: Errno, read: Meaning, name: Meaning, write: Meaning) {
        let error = io::Error::from(errno);
        assert_eq!(meaning(Doing::Read, &error), read, "reading: {error}");
        assert_eq!(meaning(Doing::Name, &error), name, "naming: {error}");
        assert_eq!(meaning(Doing::Write, &error), write, "writing: {error}");
    }

    macro_rules! rows {
        ($($test:ident: $errno:ident $read:ident $name:ident $write:ident,)+) => {
            $(
                #[test]
                fn $test() {
                    row(Errno::$errno, $read, $name, $write);
                }
            )+

            #[test]
            fn every_row_has_a_test() {
                let tested = [$(Errno::$errno),+];
                for (errno, _) in TABLE {
                    assert!(tested.contains(&errno), "{errno}");
                }
            }
        };
    }

    rows! {
        an_interrupted_call_is_made_again: INTR AgainThenEntry AgainThenEntry Run,
        a_call_that_would_block_is_made_again: AGAIN AgainThenEntry AgainThenEntry Run,
        what_is_busy_is_tried_again: BUSY AgainThenEntry AgainThenEntry Run,
        a_time_out_is_tried_again: TIMEDOUT AgainThenEntry AgainThenRun Run,
        a_stale_handle_is_tried_again: STALE AgainThenEntry AgainThenRun Run,
        an_io_error_is_tried_again_in_reading_only: IO AgainThenEntry Run Run,
        too_many_open_files_are_waited_for: MFILE AgainThenEntry AgainThenRun Run,
        a_full_file_table_is_waited_for: NFILE AgainThenEntry AgainThenRun Run,
        a_lack_of_memory_is_waited_for: NOMEM AgainThenEntry AgainThenRun Run,
        a_full_destination_ends_the_run: NOSPC Entry Full Full,
        a_used_up_quota_ends_the_run: DQUOT Entry Full Full,
        a_read_only_destination_ends_the_run: ROFS Entry Run Run,
        a_missing_device_is_gone: NODEV Entry Run Gone,
        a_device_without_an_address_is_gone: NXIO Entry Entry Gone,
        a_transport_that_is_not_connected_is_gone: NOTCONN Gone Gone Gone,
        a_lack_of_permission_fails_the_entry: ACCESS Entry Entry Entry,
        a_call_that_is_not_permitted_fails_the_entry: PERM Entry Entry Entry,
        a_missing_name_fails_the_entry: NOENT Entry Entry Entry,
        a_file_too_big_fails_the_entry: FBIG Entry Entry Entry,
        a_name_too_long_fails_the_entry: NAMETOOLONG Entry Entry Entry,
        a_loop_of_links_fails_the_entry: LOOP Entry Entry Entry,
        a_directory_in_the_way_fails_the_entry: ISDIR Entry Entry Entry,
        a_name_that_the_file_system_refuses_fails_the_entry: INVAL Entry Entry Entry,
    }

    #[test]
    fn an_error_without_a_row_or_a_number_fails_the_entry() {
        for doing in [Doing::Read, Doing::Name, Doing::Write] {
            assert_eq!(meaning(doing, &Errno::XDEV.into()), Entry);
            assert_eq!(meaning(doing, &io::ErrorKind::Other.into()), Entry);
        }
    }

    #[test]
    fn nothing_that_was_written_is_written_again() {
        for (errno, [_, _, write]) in TABLE {
            assert!(!write.is_worth_a_try(), "{errno}");
        }
    }
}
