//! A remote file system, on which a write tells of what earlier ones lost.

use rustix::io::Errno;

use super::cases::Case;
use super::check::FLUSH_TAKES;
use super::engine::Stop;
use super::faults::{check_end, check_power_cuts, check_rerun};
use crate::sim::{Call, FaultPlan};

/// Has each write of a run, or a sample of them, tell of what earlier writes to its file lost.
fn no_failed_write_is_harmless(name: &str, scenario: &'static str) {
    let case = Case::named(name, scenario);
    let (log, expected) = case.recorded();
    let mount = || expected.mount(log.base.clone(), FLUSH_TAKES);
    let fs = mount();
    expected.run(&fs, Stop::Never);
    let writes = fs.calls()[&Call::FileWrite];
    let every = match std::env::var_os("SPRAG_CRASH_STATES") {
        Some(_) => 1,
        None => writes.div_ceil(16),
    };
    for errno in [Errno::NOSPC, Errno::DQUOT, Errno::FBIG, Errno::IO] {
        for at in (1..=writes).step_by(every as usize) {
            let plan = FaultPlan {
                only: Some(Call::FileWrite),
                loses_earlier: true,
                ..FaultPlan::once(at, errno)
            };
            let fs = mount();
            fs.fail(plan);
            let end = expected.run(&fs, Stop::Never);
            check_end(&expected, &fs, &plan, &end)
                .and_then(|()| check_power_cuts(&expected, &fs))
                .and_then(|()| check_rerun(&expected, &fs))
                .unwrap_or_else(|problem| {
                    panic!(
                        "{scenario}, {plan:?}: {problem}\n    after {}",
                        end.describe()
                    )
                });
        }
    }
}

#[test]
fn a_write_that_tells_of_earlier_losses_makes_nothing_trusted_that_was_lost() {
    no_failed_write_is_harmless("large file each", "remote large file each");
    no_failed_write_is_harmless("small files each", "remote small files each");
}
