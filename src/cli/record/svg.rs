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
const SIDE: u64 = CELL - 1;

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

/// A file in blocks, as a map shows it.
pub(super) struct Blocks<'a> {
    pub(super) size: u64,
    pub(super) block: u64,
    /// Where what is there ends.
    pub(super) there: u64,
    /// What is damaged, in ascending order.
    pub(super) bad: &'a [Range<u64>],
    /// Where what is known of damage ends.
    pub(super) known: u64,
}

impl Blocks<'_> {
    fn count(&self) -> u64 {
        self.size.div_ceil(self.block).max(1)
    }

    /// How many blocks a cell of the map stands for.
    pub(super) fn each(&self) -> u64 {
        self.count().div_ceil(MAP_CELLS_MAX)
    }

    /// How many blocks of each cell are damaged.
    fn bad_by_cell(&self) -> Vec<u64> {
        let (each, count) = (self.each(), self.count());
        let mut cells = vec![0; MAP_CELLS_MAX as usize];
        let mut counted = 0;
        for bad in self.bad {
            let end = bad.end.div_ceil(self.block).min(count);
            // Two ranges may lie in one block.
            let mut at = (bad.start / self.block).max(counted);
            while at < end {
                let next = (at / each + 1).saturating_mul(each).min(end);
                cells[(at / each) as usize] += next - at;
                at = next;
            }
            counted = counted.max(end);
        }
        cells
    }
}

/// A picture of the file's blocks. A cell stands for a whole number of them, and as much of it is in a
/// colour as of its blocks are so; how many that is stands in its title.
pub(super) fn block_map(file: &Blocks<'_>) -> String {
    let (count, each, bad) = (file.count(), file.each(), file.bad_by_cell());
    let there = match file.there >= file.size {
        true => count,
        false => file.there / file.block,
    };
    let cells = count.div_ceil(each);
    let rows = cells.div_ceil(MAP_COLUMNS);
    let mut picture = format!(
        "<svg class=\"map\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"block map\">",
        MAP_COLUMNS * CELL,
        rows * CELL
    );
    for (cell, bad) in (0..cells).zip(bad) {
        let (x, y) = (cell % MAP_COLUMNS * CELL, cell / MAP_COLUMNS * CELL);
        let first = cell * each;
        let end = first.saturating_add(each).min(count);
        let missing = end.saturating_sub(there.max(first));
        let parts = [("bad", "damaged", bad), ("missing", "not copied", missing)];
        let all = parts.iter().find(|(_, _, blocks)| *blocks == end - first);
        let whole = match all {
            Some((class, ..)) => class,
            None if file.known < file.size && first * file.block >= file.known => "unknown",
            None => "good",
        };
        let some: Vec<_> = match all {
            Some(_) => Vec::new(),
            None => parts
                .into_iter()
                .filter(|(_, _, blocks)| *blocks > 0)
                .collect(),
        };
        if some.is_empty() {
            rect(&mut picture, whole, (x, y), SIDE);
            continue;
        }
        let told = some
            .iter()
            .map(|(_, word, blocks)| format!("{blocks} {word}"));
        let told: Vec<String> = told.collect();
        let _ = write!(
            picture,
            "<g><title>blocks {} to {end}: {}</title>",
            first + 1,
            told.join(", ")
        );
        rect(&mut picture, whole, (x, y), SIDE);
        for (class, _, blocks) in some {
            let part = u128::from(blocks) * u128::from(SIDE) / u128::from(end - first);
            // Never so little that it is not seen.
            let height = u64::try_from(part).unwrap_or(SIDE).max(2);
            let top = match class {
                "bad" => y + SIDE - height,
                _ => y,
            };
            rect(&mut picture, class, (x, top), height);
        }
        picture += "</g>";
    }
    picture + "</svg>"
}

fn rect(picture: &mut String, class: &str, (x, y): (u64, u64), height: u64) {
    let _ = write!(
        picture,
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{SIDE}\" height=\"{height}\"/>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A map, and how many rectangles of each class it has.
    fn map(size: u64, block: u64, there: u64, bad: &[Range<u64>]) -> (String, [usize; 3]) {
        let map = block_map(&Blocks {
            size,
            block,
            there,
            bad,
            known: size,
        });
        let of = |class: &str| map.matches(&format!("class=\"{class}\"")).count();
        let classes = ["good", "missing", "bad"].map(of);
        (map, classes)
    }

    #[test]
    fn a_block_has_its_own_colour_whatever_the_length_of_the_file() {
        let block = |nth: u64| nth * MIB..(nth + 1) * MIB;
        for size in [7 * MIB + 1, 7 * MIB + MIB / 2, 8 * MIB] {
            let bad = [block(1), block(4)];
            assert_eq!(map(size, MIB, size, &bad).1, [6, 0, 2], "{size}");
        }
        let last = std::slice::from_ref(&(2 * MIB..2 * MIB + 5));
        assert_eq!(map(2 * MIB + 5, MIB, 2 * MIB + 5, last).1, [2, 0, 1]);
        assert_eq!(map(4 * MIB - 1, MIB, 2 * MIB, &[]).1, [2, 2, 0]);
        // Bad sectors of one block.
        let sectors = [MIB..MIB + 512, MIB + 1024..MIB + 1536];
        assert_eq!(map(4 * MIB, MIB, 4 * MIB, &sectors).1, [3, 0, 1]);
        assert_eq!(map(0, MIB, 0, &[]).1, [1, 0, 0]);
        map(u64::MAX, 1, 0, &[0..1, u64::MAX - 1..u64::MAX]);
    }

    #[test]
    fn a_cell_of_several_blocks_is_as_red_as_they_are_bad_and_says_how_many() {
        let tib = 1 << 40;
        let one = map(tib, MIB, tib, std::slice::from_ref(&(5 * MIB..6 * MIB)));
        assert_eq!(one.1, [1024, 0, 1]);
        assert!(one.0.contains("<title>blocks 1 to 1024: 1 damaged</title>"));
        assert!(
            one.0
                .contains("class=\"bad\" x=\"0\" y=\"8\" width=\"10\" height=\"2\"")
        );
        let half = map(
            tib,
            MIB,
            tib,
            std::slice::from_ref(&(512 * MIB..2048 * MIB)),
        );
        assert_eq!(
            half.1,
            [1023, 0, 2],
            "half of the first cell, and all of the second"
        );
        assert!(half.0.contains("1 to 1024: 512 damaged"));
        let partial = map(tib, MIB, tib / 2 + 3 * MIB, &[]);
        assert_eq!(partial.1, [513, 512, 0]);
        assert!(
            partial
                .0
                .contains("blocks 524289 to 525312: 1021 not copied")
        );
    }

    #[test]
    fn what_is_not_known_of_a_file_is_not_called_good() {
        let map = block_map(&Blocks {
            size: 4 * MIB,
            block: MIB,
            there: 4 * MIB,
            bad: std::slice::from_ref(&(0..MIB)),
            known: MIB,
        });
        assert!(!map.contains("\"good\""), "{map}");
        assert_eq!(map.matches("\"unknown\"").count(), 3);
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
