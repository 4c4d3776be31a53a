//! Leaving room for others on the same machine: the limit of `--bwlimit`, the priority of
//! `--nice`.

use std::num::NonZeroU64;

use clap::Args;

use sprag::error::Reason;

use super::screen::Screen;

const SPEED: &str = "Speed";

/// Flags that `copy` and `verify` share.
#[derive(Debug, Args)]
pub(crate) struct Neighbour {
    /// Read and write no more than RATE bytes a second
    ///
    /// As rsync and rclone take it: a number alone counts KiB; B, K, M, G and T are powers of 1024,
    /// KB, MB, GB and TB of 1000; fractions such as 1.5M are taken; 0 and off mean no limit. Copying
    /// counts a byte once, reading back counts as well. The flow is even, not bursty.
    #[arg(long, value_name = "RATE", value_parser = parse_rate, help_heading = SPEED)]
    pub(crate) bwlimit: Option<Rate>,

    /// Run at the lowest priority
    ///
    /// That of the processor (nice 19), which the priority of disk access follows where the system's
    /// disk scheduler knows priorities.
    #[arg(long, help_heading = SPEED)]
    pub(crate) nice: bool,
}

impl Neighbour {
    /// The limit in bytes a second.
    pub(crate) fn limit(&self) -> Option<NonZeroU64> {
        self.bwlimit.and_then(|rate| NonZeroU64::new(rate.0))
    }

    /// Lowers this process's priority if that was asked for. To be called before there are
    /// threads, which inherit it. Says what was done if `verbose`, and what failed in any case.
    pub(crate) fn lower_priority(&self, screen: &Screen, verbose: bool) {
        if !self.nice {
            return;
        }
        match sprag::fs::lower_priority() {
            Ok(()) if verbose => screen.note(
                "running at the lowest priority: nice 19, which the priority of disk access follows",
            ),
            Ok(()) => {}
            Err(error) => screen.complain(&format!(
                "warning: cannot lower the priority: {}; going on without",
                Reason(&error)
            )),
        }
    }
}

/// Bytes a second; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate(u64);

fn parse_rate(text: &str) -> Result<Rate, String> {
    let wrong = || "a rate is a number, alone (KiB a second) or with B, K, M, G or T, such as 512, 10M or 1.5M; or off";
    if text.eq_ignore_ascii_case("off") {
        return Ok(Rate(0));
    }
    let digits = |c: char| c.is_ascii_digit() || c == '.';
    let end = text.find(|c| !digits(c)).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "b" => 1,
        "" | "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(wrong().into()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // Nine digits say more than any limit can keep.
    let significant = fraction.get(..9).unwrap_or(fraction);
    let all_digits = [whole, fraction]
        .iter()
        .all(|part| part.bytes().all(|b| b.is_ascii_digit()));
    if whole.len() + fraction.len() == 0 || !all_digits {
        return Err(wrong().into());
    }
    let parse = |part: &str| match part {
        "" => Ok(0),
        part => part.parse::<u64>().map_err(|_| wrong().to_string()),
    };
    let scale = 10_u128.pow(significant.len() as u32);
    let below = u128::from(parse(significant)?) * u128::from(factor) / scale;
    let bytes = u128::from(parse(whole)?) * u128::from(factor) + below;
    let bytes = u64::try_from(bytes).map_err(|_| wrong())?;
    let is_zero = number.bytes().all(|b| b == b'0' || b == b'.');
    match bytes {
        0 if !is_zero => Err("a rate must be a byte a second at least".into()),
        bytes => Ok(Rate(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_rsync_and_rclone_read_them() {
        for (text, bytes) in [
            ("512", 512 << 10),
            ("1.5M", 3 << 19),
            ("1.5m", 3 << 19),
            (".5K", 512),
            ("10M", 10 << 20),
            ("10MiB", 10 << 20),
            ("10MB", 10_000_000),
            ("1000B", 1000),
            ("2G", 2 << 30),
            ("0", 0),
            ("0.0", 0),
            ("off", 0),
            ("OFF", 0),
        ] {
            assert_eq!(parse_rate(text), Ok(Rate(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in [
            "",
            ".",
            "K",
            "-1",
            "1.2.3",
            "10X",
            "1e6",
            "0.1B",
            "99999999999999999999",
            "99999999T",
            "5 M",
        ] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
