//! Modes that get in the way of the one who sets them.

use std::time::Duration;

use sprag::fs::FlushBy;

use super::cases::Case;
use super::check::FLUSH_TAKES;
use super::engine::Stop;

/// The mode of one of the directories.
const LOCKED: u32 = 0o555;

#[test]
fn a_directory_whose_mode_locks_its_owner_out_is_flushed_before_it_gets_that_mode() {
    let case = Case::named("small files each", "locked out");
    assert_eq!(case.flush_by, FlushBy::Each);
    let (log, expected) = case.recorded();
    let fs = expected.mount(log.base.clone(), FLUSH_TAKES);
    let fs = fs.with_closed_mode(LOCKED);
    let end = expected.run(&fs, Stop::Never);
    expected.check_end(&end).expect("a run that ends well");
    let opened = expected.mount(fs.disk(), Duration::ZERO);
    expected.check_result(&opened, false).expect("a whole copy");
}
