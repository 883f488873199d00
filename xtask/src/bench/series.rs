//! A series of measured times and what may be said of it: median, spread, ratio. Pure.

use std::time::Duration;

use serde::Serialize;

/// Times of one subject in one regime, in microseconds, in the order they were measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Series {
    /// The program that was measured.
    pub(crate) subject: String,
    /// Samples in microseconds.
    pub(crate) samples: Vec<f64>,
}

impl Series {
    /// An empty series.
    pub(crate) fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            samples: Vec::new(),
        }
    }

    /// Adds a sample.
    pub(crate) fn push(&mut self, time: Duration) {
        self.samples.push(time.as_secs_f64() * 1e6);
    }

    /// The value at `percent` (0 to 100) of the sorted samples, by linear interpolation; NaN without samples.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else {
            return f64::NAN;
        };
        let (low, part) = (percent * last / 100, percent * last % 100);
        let high = (low + 1).min(last);
        sorted[low] + (sorted[high] - sorted[low]) * part as f64 / 100.0
    }

    /// The median of the samples around the `at`th.
    pub(crate) fn around(&self, at: usize) -> f64 {
        let at = at.min(self.samples.len());
        let window = at.saturating_sub(5)..(at + 5).min(self.samples.len());
        Self {
            subject: String::new(),
            samples: self.samples[window].to_vec(),
        }
        .median()
    }

    /// How many samples lie further beyond the quartiles than three times their distance. They stay in: the median does
    /// not mind them, and a reader may.
    pub(crate) fn far_out(&self) -> usize {
        let (low, high) = (self.percentile(25), self.percentile(75));
        let reach = 3.0 * (high - low);
        let beyond = |sample: &&f64| **sample > high + reach || **sample < low - reach;
        self.samples.iter().filter(beyond).count()
    }

    /// The median in microseconds.
    pub(crate) fn median(&self) -> f64 {
        self.percentile(50)
    }
}

/// Microseconds for people: three figures and a unit.
pub(crate) fn human(us: f64) -> String {
    match us {
        us if us.is_nan() => "-".to_owned(),
        us if us >= 1e6 => format!("{:.2} s", us / 1e6),
        us if us >= 1e4 => format!("{:.1} ms", us / 1e3),
        us if us >= 1e3 => format!("{:.2} ms", us / 1e3),
        us if us >= 10.0 => format!("{us:.0} us"),
        us => format!("{:.0} ns", us * 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        let series = Series {
            subject: String::new(),
            samples: vec![4.0, 1.0, 3.0, 2.0],
        };
        assert!((series.median() - 2.5).abs() < 1e-9);
        assert!((series.percentile(0) - 1.0).abs() < 1e-9);
        assert!((series.percentile(100) - 4.0).abs() < 1e-9);
        assert!(Series::new("").median().is_nan());
    }

    #[test]
    fn what_is_far_out_is_counted() {
        let series = Series {
            subject: String::new(),
            samples: vec![10.0, 11.0, 12.0, 13.0, 14.0, 100.0],
        };
        assert_eq!(series.far_out(), 1);
        assert_eq!(Series::new("").far_out(), 0);
    }

    #[test]
    fn times_read_well() {
        assert_eq!(human(0.15), "150 ns");
        assert_eq!(human(57.2), "57 us");
        assert_eq!(human(1234.0), "1.23 ms");
        assert_eq!(human(23_456.0), "23.5 ms");
        assert_eq!(human(2_000_000.0), "2.00 s");
    }
}
