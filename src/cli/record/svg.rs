//! The pictures of a report: charts over time and maps of a file's blocks, as inline SVG. Pure.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use super::series::Sample;
use crate::cli::units;

const WIDTH: u64 = 720;
const HEIGHT: u64 = 160;
/// Room for the labels.
const LEFT: u64 = 90;
const BELOW: u64 = 20;
/// A chart of speed has so many steps at most.
const STEPS_MAX: usize = 120;
const MAP_COLUMNS: u64 = 64;
const MAP_CELLS_MAX: u64 = 1024;
const CELL: u64 = 11;

/// Bytes a second, in steps.
pub(super) fn speed(samples: &[Sample]) -> Option<String> {
    let stride = samples.len().div_ceil(STEPS_MAX).max(1);
    let mut picked: Vec<Sample> = samples.iter().copied().step_by(stride).collect();
    picked.extend(samples.last());
    let steps: Vec<(u64, u64, u64)> = picked
        .windows(2)
        .filter(|pair| pair[1].at_ms > pair[0].at_ms)
        .map(|pair| {
            let ms = pair[1].at_ms - pair[0].at_ms;
            let bytes = u128::from(pair[1].durable.saturating_sub(pair[0].durable));
            let speed = u64::try_from(bytes * 1000 / u128::from(ms)).unwrap_or(u64::MAX);
            (pair[0].at_ms, pair[1].at_ms, speed)
        })
        .collect();
    let points = steps
        .iter()
        .flat_map(|(from, to, speed)| [(*from, *speed), (*to, *speed)]);
    chart("Speed", points.collect(), |speed| {
        format!("{}/s", units::size(speed))
    })
}

/// Bytes that were written and not yet durable.
pub(super) fn lag(samples: &[Sample]) -> Option<String> {
    let points = samples
        .iter()
        .map(|at| (at.at_ms, at.written.saturating_sub(at.durable)));
    chart("Written, not yet durable", points.collect(), units::size)
}

/// An area under `points`; `None` if there is nothing to see.
fn chart(title: &str, points: Vec<(u64, u64)>, label: impl Fn(u64) -> String) -> Option<String> {
    let end = points.last()?.0.max(1);
    let top = points.iter().map(|(_, value)| *value).max()?;
    if top == 0 || points.len() < 3 {
        return None;
    }
    let scale = |value: u64, of: u64, to: u64| {
        u64::try_from(u128::from(value) * u128::from(to) / u128::from(of)).unwrap_or(to)
    };
    let mut path = format!("M{LEFT} {HEIGHT}");
    for (at, value) in &points {
        let x = LEFT + scale(*at, end, WIDTH - LEFT);
        let y = HEIGHT - scale(*value, top, HEIGHT - 10);
        let _ = write!(path, "L{x} {y}");
    }
    let _ = write!(path, "L{WIDTH} {HEIGHT}Z");
    let below = HEIGHT + BELOW;
    Some(format!(
        "<figure><figcaption>{title}</figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {below}\" role=\"img\" aria-label=\"{title}\">\
         <path class=\"area\" d=\"{path}\"/>\
         <path class=\"axis\" d=\"M{LEFT} 10V{HEIGHT}H{WIDTH}\"/>\
         <text x=\"{}\" y=\"16\" text-anchor=\"end\">{}</text>\
         <text x=\"{}\" y=\"{HEIGHT}\" text-anchor=\"end\">0</text>\
         <text x=\"{LEFT}\" y=\"{}\">0 s</text>\
         <text x=\"{WIDTH}\" y=\"{}\" text-anchor=\"end\">{}</text></svg></figure>",
        LEFT - 6,
        label(top),
        LEFT - 6,
        below - 4,
        below - 4,
        units::duration(Duration::from_millis(end)),
    ))
}

/// What a cell of a map stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Good,
    Missing,
    Bad,
}

/// A file of `size` bytes in blocks, of which `bad` are damaged and those from `there` on missing.
pub(super) fn block_map(size: u64, block: u64, there: u64, bad: &[Range<u64>]) -> String {
    let blocks = size.div_ceil(block.max(1)).max(1);
    let cells = blocks.min(MAP_CELLS_MAX);
    let cell_bytes = u128::from(size.max(1)).div_ceil(u128::from(cells));
    let cell_bytes = u64::try_from(cell_bytes).unwrap_or(u64::MAX);
    let rows = cells.div_ceil(MAP_COLUMNS);
    let mut picture = format!(
        "<svg class=\"map\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"block map\">",
        MAP_COLUMNS * CELL,
        rows * CELL
    );
    for cell in 0..cells {
        let from = cell.saturating_mul(cell_bytes);
        let to = from.saturating_add(cell_bytes).min(size);
        let is_bad = bad.iter().any(|bad| bad.start < to && from < bad.end);
        let what = match (is_bad, to > there) {
            (true, _) => Cell::Bad,
            (false, true) => Cell::Missing,
            (false, false) => Cell::Good,
        };
        let class = match what {
            Cell::Good => "good",
            Cell::Missing => "missing",
            Cell::Bad => "bad",
        };
        let (x, y) = (cell % MAP_COLUMNS * CELL, cell / MAP_COLUMNS * CELL);
        let side = CELL - 1;
        let _ = write!(
            picture,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{side}\" height=\"{side}\"/>"
        );
    }
    picture + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_block_of_many_is_seen() {
        const MIB: u64 = 1 << 20;
        let map = block_map(
            1 << 40,
            MIB,
            1 << 40,
            std::slice::from_ref(&(5 * MIB..6 * MIB)),
        );
        assert_eq!(map.matches("<rect").count(), 1024);
        assert_eq!(map.matches("class=\"bad\"").count(), 1);
        assert_eq!(map.matches("class=\"good\"").count(), 1023);
        let map = block_map(4 * MIB - 1, MIB, 2 * MIB, &[]);
        assert_eq!(map.matches("class=\"good\"").count(), 2);
        assert_eq!(map.matches("class=\"missing\"").count(), 2);
        assert_eq!(block_map(0, 0, 0, &[]).matches("<rect").count(), 1);
        block_map(u64::MAX, 1, 0, &[]);
    }

    #[test]
    fn a_chart_fits_its_frame() {
        let samples: Vec<Sample> = (0..500)
            .map(|n| Sample {
                at_ms: n * 1000,
                written: n * (2 << 20),
                durable: n / 5 * (10 << 20),
            })
            .collect();
        for chart in [speed(&samples).unwrap(), lag(&samples).unwrap()] {
            assert!(chart.contains("8 min 19 s"), "{chart}");
            for y in chart.split('L').skip(1) {
                let y = y.split([' ', 'Z', '"']).nth(1).unwrap_or("0");
                assert!(y.parse::<u64>().unwrap_or(0) <= HEIGHT, "{chart}");
            }
        }
        assert_eq!(speed(&samples[..1]), None);
        assert_eq!(lag(&[]), None);
    }
}
