//! Wall-clock time as the manifest stores it. Durations are measured with `Instant` instead, so a
//! clock that jumps changes a date in the history and nothing else.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// A moment as people read it, in UTC.
pub fn utc_text(unix_ms: u64) -> String {
    // Past the year 9999 the formatter has no text; a hostile manifest may hold any number.
    const MAX_MS: u64 = 253_402_300_799_000;
    let moment = UNIX_EPOCH + Duration::from_millis(unix_ms.min(MAX_MS));
    format!("{}", humantime::format_rfc3339_seconds(moment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_dates_and_absurd_ones_do_not_panic() {
        assert_eq!(utc_text(1_700_000_000_000), "2023-11-14T22:13:20Z");
        assert!(utc_text(u64::MAX).starts_with("9999"));
    }
}
