//! The flags of `verify` that say what is read, and how. What they mean together is for `options`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use sprag::SampleAmount;

use super::units;

const READING: &str = "What is read, and how";

/// What is read, and how.
#[derive(Debug, Args)]
pub(crate) struct Checks {
    /// Read only a random part: N blocks, SIZE of them, or a percentage
    ///
    /// Such as 5%, 1000 or 20G; a small file is one block. Of all else, size and modification time
    /// are looked at.
    #[arg(long, value_name = "5%|N|SIZE", value_parser = parse_sample, conflicts_with_all = ["quick", "check", "rebuild"], help_heading = READING)]
    pub(crate) sample: Option<SampleAmount>,

    /// Choose the sample that this number stands for [default: any]
    #[arg(long, value_name = "NUMBER", requires = "sample", help_heading = READING)]
    pub(crate) seed: Option<u64>,

    /// Read no content: look at names, sizes and modification times only
    #[arg(long, conflicts_with_all = ["check", "rebuild"], help_heading = READING)]
    pub(crate) quick: bool,

    /// Check only what was not verified for this long
    ///
    /// Such as 180d, 26weeks or 1y. `sprag status` shows when each part was.
    #[arg(long, value_name = "AGE", value_parser = parse_age, conflicts_with_all = ["check", "rebuild"], help_heading = READING)]
    pub(crate) older_than: Option<Duration>,

    /// Fail if content may have come from the page cache instead of the medium
    ///
    /// Without it this is only said in the summary.
    #[arg(long, help_heading = READING)]
    pub(crate) require_medium: bool,

    /// Also compare with SOURCE, and say which side is not what was copied
    ///
    /// With or without its slash, and once for each source.
    #[arg(long, value_name = "SOURCE", conflicts_with_all = ["check", "rebuild"], help_heading = READING)]
    pub(crate) against: Vec<PathBuf>,

    /// Compare with this manifest, which is kept elsewhere than in DEST
    ///
    /// Such as a copy of DEST/.sprag/manifest. What was verified is noted in it, if it can be written
    /// to; nothing below DEST is written.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["check", "repair", "rebuild"], help_heading = READING)]
    pub(crate) manifest: Option<PathBuf>,

    /// Begin anew, even if an earlier verification was stopped
    ///
    /// Without it what that one checked is not read again, unless that was more than 30 days ago.
    #[arg(long, help_heading = READING)]
    pub(crate) restart: bool,
}

fn parse_sample(text: &str) -> Result<SampleAmount, String> {
    if let Some(percent) = text.strip_suffix('%') {
        let wrong = || "a percentage is a number above 0 and up to 100, such as 5% or 0.1%";
        let percent: f64 = percent.parse().map_err(|_| wrong())?;
        if !(percent > 0.0 && percent <= 100.0) {
            return Err(wrong().into());
        }
        let part = (percent * 10_000.0).round().max(1.0);
        return Ok(SampleAmount::PerMillion(part as u32));
    }
    let number = text.parse::<u64>().ok().filter(|number| *number > 0);
    match number {
        Some(blocks) => Ok(SampleAmount::Blocks(blocks)),
        None => units::parse_size(text).map(SampleAmount::Bytes),
    }
}

fn parse_age(text: &str) -> Result<Duration, String> {
    let wrong = "an age is a number with its unit, such as 12h, 180d, 26weeks or 1y";
    humantime::parse_duration(text).map_err(|_| wrong.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_percentage_a_number_of_blocks_or_a_size() {
        for (text, amount) in [
            ("5%", SampleAmount::PerMillion(50_000)),
            ("0.1%", SampleAmount::PerMillion(1000)),
            ("100%", SampleAmount::PerMillion(1_000_000)),
            ("1000", SampleAmount::Blocks(1000)),
            ("20G", SampleAmount::Bytes(20 << 30)),
        ] {
            assert_eq!(parse_sample(text), Ok(amount), "{text}");
        }
        for text in ["0%", "101%", "-1%", "%", "0", "", "x", "NaN%"] {
            assert!(parse_sample(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_age_has_a_unit() {
        assert_eq!(parse_age("180d"), Ok(Duration::from_secs(180 * 86_400)));
        assert!(parse_age("180").is_err());
    }
}
