//! Sizes, durations and dates as people write and read them. Pure functions.

use std::time::Duration;

use sprag::size::Size;

/// The longest interval that is accepted.
const INTERVAL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads a size of at least one byte: `64K`, `1M`, `1MiB`, `1048576`. Units are powers of 1024.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || "a size is a whole number, alone or with K, M, G or T, such as 64K or 1MiB";
    let (number, unit) = split_number(text);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" | "mb" | "gb" | "tb" => {
            return Err("write K, M, G or T, or KiB, MiB, GiB or TiB: all powers of 1024".into());
        }
        _ => return Err(wrong().into()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match number.checked_mul(factor) {
        None => Err("that is more than a file can have".into()),
        Some(0) => Err("a size must be more than zero".into()),
        Some(bytes) => Ok(bytes),
    }
}

/// Reads an interval from a millisecond to a day: `500ms`, `5s`, `2m`, `1h`.
pub(crate) fn parse_interval(text: &str) -> Result<Duration, String> {
    let wrong = || "a duration is a whole number with its unit, such as 500ms, 5s, 2m or 1h";
    let (number, unit) = split_number(text);
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong().into()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let interval = Duration::from_millis(number.saturating_mul(unit_ms));
    if interval.is_zero() {
        return Err("a duration must be more than zero".into());
    }
    if interval > INTERVAL_MAX {
        return Err("a duration must be 24h at most".into());
    }
    Ok(interval)
}

fn split_number(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A size for people.
pub(crate) fn size(bytes: u64) -> String {
    Size(bytes).to_string()
}

/// A duration for people, in its two largest units.
pub(crate) fn duration(duration: Duration) -> String {
    let s = duration.as_secs();
    match s {
        0 => format!("0.{} s", duration.as_millis() / 100),
        1..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s / 60 % 60),
    }
}

/// Whole milliseconds, as JSON has them.
pub(crate) fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A number with the right form of its noun.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Milliseconds since the Unix epoch as a date and time of day in UTC.
pub(crate) fn utc(unix_ms: u64) -> String {
    let s = unix_ms / 1000;
    let (mut day, s) = (s / 86_400, s % 86_400);
    let mut year: u64 = 1970;
    // Whole cycles of the calendar first, so that a hostile number costs no time.
    year = year.saturating_add(day / 146_097 * 400);
    day %= 146_097;
    while day >= year_days(year) {
        day -= year_days(year);
        year += 1;
    }
    let february = year_days(year) - 337;
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    format!(
        "{year:04}-{month:02}-{:02} {:02}:{:02}:{:02} UTC",
        day + 1,
        s / 3600,
        s / 60 % 60,
        s % 60
    )
}

fn year_days(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    365 + u64::from(leap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("1", 1),
            ("512B", 512),
            ("64K", 65_536),
            ("64k", 65_536),
            ("1M", 1 << 20),
            ("1MiB", 1 << 20),
            ("1048576", 1 << 20),
            ("2GiB", 2 << 30),
            ("3T", 3 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_and_nothing_overflows() {
        for text in [
            "",
            "K",
            "-1",
            "1.5M",
            "1 M",
            "1MB",
            "1X",
            "0",
            "0K",
            "18446744073709551616",
            "99999999999T",
            "1é",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn intervals_need_a_unit_and_have_bounds() {
        for (text, ms) in [
            ("500ms", 500),
            ("5s", 5000),
            ("2m", 120_000),
            ("24h", 86_400_000),
        ] {
            assert_eq!(
                parse_interval(text),
                Ok(Duration::from_millis(ms)),
                "{text}"
            );
        }
        for text in ["", "5", "s", "0s", "25h", "99999999999999999h", "1d", "-1s"] {
            assert!(parse_interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_for_people_never_say_more_than_there_is() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1 << 20, "1 MiB"),
            ((1 << 20) - 1, "1023.9 KiB"),
            (3_565_158, "3.3 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn dates_follow_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (1_709_251_199_999, "2024-02-29 23:59:59 UTC"),
            (1_709_251_200_000, "2024-03-01 00:00:00 UTC"),
            (4_107_542_399_000, "2100-02-28 23:59:59 UTC"),
            (1_735_689_599_000, "2024-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(utc(ms), text);
        }
        assert!(utc(u64::MAX).ends_with("UTC"));
    }

    #[test]
    fn durations_show_two_units() {
        for (ms, text) in [
            (12, "0.0 s"),
            (971, "0.9 s"),
            (59_999, "59 s"),
            (60_000, "1 min 0 s"),
            (3_720_000, "1 h 2 min"),
        ] {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
    }
}
