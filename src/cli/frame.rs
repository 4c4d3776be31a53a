//! What progress looks like: a few lines for a window of any width, or one line for a log. Pure.

use std::time::Duration;

use console::{Style, StyledObject, style};
use sprag::event::Phase;

use super::screen::Size;
use super::units;

/// Narrower windows get one fact a line.
const WIDE_COLUMNS: usize = 60;
/// Narrower windows get shorter words for the keys.
const KEYS_COLUMNS: usize = 26;
const BAR_CELLS_MAX: usize = 40;
const BAR_CELLS_MIN: usize = 6;
/// So many of the files in flight are shown.
const FILES_MAX: usize = 4;
/// A flush that takes longer is shown.
const FLUSH_SHOWN: Duration = Duration::from_secs(2);
const SPINNER: [char; 4] = ['|', '/', '-', '\\'];

/// All there is to say about where a run stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// What the run does, in a word or two.
    pub(crate) doing: &'static str,
    /// What is done for sure: durable of a copy, read of a verification.
    pub(crate) done: Amount,
    /// What is on its way: what a copy wrote.
    pub(crate) ahead: Option<Amount>,
    /// The end, once it is known.
    pub(crate) total: Option<u64>,
    /// What the count has found so far.
    pub(crate) counted: u64,
    /// Bytes a second.
    pub(crate) speed: Option<u64>,
    pub(crate) left: Option<Duration>,
    pub(crate) elapsed: Duration,
    /// Bytes being flushed and since when.
    pub(crate) flush: Option<(u64, Duration)>,
    /// Names, done and total bytes of the files being worked on.
    pub(crate) files: Vec<(String, u64, u64)>,
    pub(crate) problems: u64,
    pub(crate) last_problem: String,
    pub(crate) mood: Mood,
}

/// An amount and the word for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) word: &'static str,
    pub(crate) bytes: u64,
}

/// What the person at the desk asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mood {
    pub(crate) paused: bool,
    pub(crate) stopping: bool,
    /// Keys are listened to.
    pub(crate) keys: bool,
}

/// The word for a phase of a copy.
pub(crate) fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Recovering => "checking what was written last",
        Phase::Counting => "counting",
        Phase::Copying => "copying",
        Phase::Flushing => "flushing",
        Phase::Finishing => "finishing directories",
        Phase::ReadingBack => "reading back",
        Phase::Waiting => "waiting for the drive",
    }
}

impl Facts {
    fn doing(&self) -> &'static str {
        match self.mood {
            Mood { stopping: true, .. } => "stopping",
            Mood { paused: true, .. } => "paused",
            _ => self.doing,
        }
    }

    /// Percent of the total; never 100, since what is shown is not over.
    fn percent(&self) -> Option<u64> {
        self.total.map(|total| part(self.done.bytes, total, 100))
    }

    fn of_total(&self) -> String {
        match self.total {
            Some(total) => format!(" of {}", units::size(total)),
            None => String::new(),
        }
    }

    fn counting(&self) -> Option<String> {
        let counted = (self.total.is_none() && self.counted > 0).then_some(self.counted)?;
        Some(format!("counting: {} so far", units::size(counted)))
    }

    fn left(&self) -> Option<String> {
        if self.mood.paused || self.mood.stopping || self.total.is_none() {
            return None;
        }
        let left = self.left.filter(|left| !left.is_zero())?;
        // One second more than what is left of it: it is never over before the end.
        let left = left.saturating_add(Duration::from_secs(1));
        Some(format!("{} left", units::duration(left)))
    }

    fn speed(&self) -> Option<String> {
        let speed = self.speed.filter(|_| !self.mood.paused)?;
        Some(format!("{}/s", units::size(speed)))
    }

    /// A flush that one has to wait for.
    fn flush(&self) -> Option<String> {
        let (bytes, time) = self.flush.filter(|(_, time)| *time >= FLUSH_SHOWN)?;
        let time = units::duration(time);
        Some(match bytes {
            0 => format!("flushing for {time}"),
            _ => format!("flushing {} for {time}", units::size(bytes)),
        })
    }

    /// What a pause means, once all that was written is safe.
    fn paused(&self) -> Option<&'static str> {
        let all_done = self
            .ahead
            .is_none_or(|ahead| ahead.bytes <= self.done.bytes);
        self.mood.paused.then_some(match all_done {
            true => "all that is written is durable",
            false => "what is written is being made durable",
        })
    }

    fn keys(&self, columns: usize) -> Option<&'static str> {
        let mood = self.mood;
        let short = columns < KEYS_COLUMNS;
        (mood.keys && !mood.stopping).then_some(match (mood.paused, short) {
            (true, false) => "p go on, q save and stop",
            (false, false) => "p pause, q save and stop",
            (true, true) => "p go on, q stop",
            (false, true) => "p pause, q stop",
        })
    }

    fn problems(&self) -> Option<String> {
        (self.problems > 0).then(|| units::count(self.problems, "problem", "problems"))
    }
}

/// The lines for a window of this size; no line fills its row, so that none wraps.
pub(crate) fn lines(facts: &Facts, size: Size) -> Vec<String> {
    let columns = size.columns.saturating_sub(1).max(1);
    let head = head(facts, columns);
    let tail = tail(facts, columns);
    // The files in flight get what room is left.
    let room = size.rows.saturating_sub(1 + head.len() + tail.len());
    let files = facts.files.iter().take(FILES_MAX.min(room));
    let files = files.map(|file| file_line(file, columns));
    let lines = head.into_iter().chain(files).chain(tail);
    lines
        .take(size.rows.saturating_sub(1).max(1))
        .map(|line| console::truncate_str(&line, columns, "~").into_owned())
        .collect()
}

fn head(facts: &Facts, columns: usize) -> Vec<String> {
    let spinner = match facts.mood.paused {
        true => '=',
        false => SPINNER[(facts.elapsed.as_millis() / 200 % 4) as usize],
    };
    let doing = format!("{spinner} {}", bold(facts.doing()));
    let percent = facts.percent().map(|percent| format!("{percent} %"));
    if columns < WIDE_COLUMNS {
        return narrow_head(facts, doing, percent, columns);
    }
    let left = facts.left().or_else(|| facts.paused().map(str::to_owned));
    let elapsed = format!("({})", units::duration(facts.elapsed));
    let text = [percent, left, Some(elapsed)].into_iter().flatten();
    let text = text.collect::<Vec<_>>().join("  ");
    let used = console::measure_text_width(&doing) + console::measure_text_width(&text) + 6;
    let cells = columns.saturating_sub(used).min(BAR_CELLS_MAX);
    let mut first = doing;
    if let Some(bar) = bar(facts, cells) {
        first += &format!("  {bar}");
    }
    first += &format!("  {text}");
    let mut lines = vec![first];
    if facts.done.word.is_empty() {
        return lines;
    }
    let amount = |amount: Amount| format!("  {:<8} {}", amount.word, units::size(amount.bytes));
    let done = amount(facts.done) + &facts.of_total();
    lines.push(joined(done, [facts.speed(), facts.counting()]));
    if let Some(ahead) = facts.ahead {
        lines.push(joined(amount(ahead), [facts.flush(), None]));
    }
    lines
}

fn narrow_head(
    facts: &Facts,
    doing: String,
    percent: Option<String>,
    columns: usize,
) -> Vec<String> {
    let mut lines = vec![joined(doing, [percent, None])];
    lines.extend(bar(facts, columns.saturating_sub(2).min(BAR_CELLS_MAX)));
    lines.extend(facts.left());
    lines.extend(facts.paused().map(str::to_owned));
    if !facts.done.word.is_empty() {
        let done = format!("{} {}", facts.done.word, units::size(facts.done.bytes));
        let of = facts.of_total();
        if done.len() + of.len() <= columns {
            lines.push(done + &of);
        } else {
            lines.push(done);
            lines.push(of.trim_start().to_owned());
        }
    }
    lines.extend(
        facts
            .ahead
            .map(|ahead| format!("{} {}", ahead.word, units::size(ahead.bytes))),
    );
    lines.extend(facts.speed());
    lines.extend(facts.counting());
    lines.extend(facts.flush());
    lines
}

fn tail(facts: &Facts, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(problems) = facts.problems() {
        let red = colour(&problems).red();
        lines.push(match facts.last_problem.as_str() {
            "" => red.to_string(),
            last => format!("{red}, the last: {last}"),
        });
    }
    lines.extend(
        facts
            .keys(columns)
            .map(|keys| colour(keys).dim().to_string()),
    );
    lines
}

/// The end of a long name says more than its beginning.
fn file_line((name, done, total): &(String, u64, u64), columns: usize) -> String {
    let room = columns.saturating_sub(9);
    let mut name = name.clone();
    let width = console::measure_text_width(&name);
    if width > room {
        let mut kept = String::new();
        for c in name.chars().rev() {
            kept.insert(0, c);
            if console::measure_text_width(&kept) >= room {
                kept.remove(0);
                break;
            }
        }
        name = format!("~{kept}");
    }
    format!("  {:>3} %  {name}", part(*done, *total, 100))
}

/// One line for a log.
pub(crate) fn plain(facts: &Facts) -> String {
    let mut text = facts.doing().to_owned();
    if let Some(percent) = facts.percent() {
        text += &format!(" {percent} %");
    }
    let amount = |amount: Amount| format!("{} {}", amount.word, units::size(amount.bytes));
    let done = (!facts.done.word.is_empty()).then(|| amount(facts.done) + &facts.of_total());
    let parts = [
        facts.paused().map(str::to_owned),
        facts.left(),
        done,
        facts.ahead.map(amount),
        facts.speed(),
        facts.counting(),
        facts.flush(),
        facts.problems(),
    ];
    for part in parts.into_iter().flatten() {
        text += &format!(", {part}");
    }
    text
}

fn joined(first: String, more: [Option<String>; 2]) -> String {
    let more = more.into_iter().flatten();
    more.fold(first, |line, part| line + "  " + &part)
}

/// `=` for what is done, `-` for what is on its way.
fn bar(facts: &Facts, cells: usize) -> Option<String> {
    let total = facts.total?;
    if cells < BAR_CELLS_MIN {
        return None;
    }
    let cells = cells as u64;
    let solid = part(facts.done.bytes, total, cells);
    let ahead = facts
        .ahead
        .map_or(solid, |ahead| part(ahead.bytes, total, cells));
    let soft = ahead.saturating_sub(solid);
    let empty = cells - solid - soft;
    let repeat = |text: &str, cells: u64| text.repeat(usize::try_from(cells).unwrap_or(0));
    Some(format!(
        "[{}{}{}]",
        colour(&repeat("=", solid)).green(),
        colour(&repeat("-", soft)).yellow(),
        repeat(" ", empty)
    ))
}

/// So many of `of` parts, and always less than all of them.
fn part(bytes: u64, total: u64, of: u64) -> u64 {
    let parts = u128::from(bytes) * u128::from(of) / u128::from(total.max(1));
    u64::try_from(parts).unwrap_or(of).min(of.saturating_sub(1))
}

/// Colours only where standard error has them and `NO_COLOR` does not forbid them.
fn colour<D>(text: D) -> StyledObject<D> {
    style(text).for_stderr()
}

fn bold(text: &str) -> StyledObject<&str> {
    Style::new().for_stderr().bold().apply_to(text)
}

#[cfg(test)]
mod tests;
