//! Where a run stood over time: as many samples as a chart can show, however long it takes.

use std::time::Duration;

/// Of more samples, every other one is kept.
const SAMPLES_MAX: usize = 600;
const INTERVAL_MIN_MS: u64 = 200;

/// How things stood at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) at_ms: u64,
    /// Bytes that this run wrote, or read.
    pub(super) written: u64,
    /// Of these, bytes that are durable.
    pub(super) durable: u64,
}

/// The samples, the first first.
#[derive(Debug)]
pub(super) struct Series {
    samples: Vec<Sample>,
    interval_ms: u64,
}

impl Series {
    pub(super) fn new() -> Series {
        Series {
            samples: Vec::new(),
            interval_ms: INTERVAL_MIN_MS,
        }
    }

    /// Takes a sample, if it is time for one.
    pub(super) fn take(&mut self, at: Duration, written: u64, durable: u64) {
        let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        let last = self.samples.last();
        if last.is_some_and(|last| at_ms < last.at_ms.saturating_add(self.interval_ms)) {
            return;
        }
        if self.samples.len() == SAMPLES_MAX {
            let mut nth = 0;
            self.samples.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
            self.interval_ms *= 2;
        }
        self.samples.push(Sample {
            at_ms,
            written,
            durable,
        });
    }

    /// Adds the end, whatever time it is.
    pub(super) fn end(&mut self, at_ms: u64, bytes: u64) {
        let last = self.samples.last().copied().unwrap_or_default();
        let (at_ms, bytes) = (at_ms.max(last.at_ms), bytes.max(last.written));
        self.samples.push(Sample {
            at_ms,
            written: bytes,
            durable: bytes,
        });
    }

    pub(super) fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_takes_no_more_memory_and_keeps_its_whole_length() {
        let mut series = Series::new();
        for s in 0..100_000 {
            series.take(Duration::from_secs(s), s * 2, s);
        }
        let samples = series.samples();
        assert!(samples.len() <= SAMPLES_MAX);
        assert!(samples.len() >= SAMPLES_MAX / 4);
        assert_eq!(samples[0].at_ms, 0);
        assert!(samples.last().unwrap().at_ms > 99_000_000);
    }
}
