//! The ratios the project means to reach, checked against a report. Pure.

use super::report::Report;

/// Whether a figure is to be small or large.
#[derive(Clone, Copy, Debug)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// One target and what was measured.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// What was compared.
    pub(crate) what: String,
    /// The target, in words.
    pub(crate) target: String,
    /// Measured value; `None` when a peer was missing.
    pub(crate) measured: Option<f64>,
    /// Met? `None` when it could not be measured.
    pub(crate) met: Option<bool>,
}

/// Ratio of two medians: (table, regime, numerator, denominator, bound).
const RATIOS: &[(&str, &str, &str, &str, Bound)] = &[
    (
        "exec-api",
        "hot",
        "hcs API process",
        "vfork+exec+wait",
        Bound::AtMost(1.3),
    ),
    (
        "exec-cli",
        "hot",
        "crun exec",
        "hcs exec",
        Bound::AtLeast(3.5),
    ),
    (
        "exec-cli",
        "spaced",
        "crun exec",
        "hcs exec",
        Bound::AtLeast(8.0),
    ),
    (
        "run-cli",
        "spaced",
        "crun run",
        "hcs run",
        Bound::AtLeast(4.0),
    ),
    (
        "round-trip",
        "hot",
        "HcsGetProcessInfo",
        "raw SOCK_SEQPACKET",
        Bound::AtMost(2.0),
    ),
    (
        "start-up",
        "hot",
        "hcs list",
        "static true",
        Bound::AtMost(2.0),
    ),
];

/// Limits on single figures.
const FIGURES: &[(&str, Bound)] = &[
    ("create to first exit, spaced (ms)", Bound::AtMost(4.0)),
    ("idle container PSS (kB)", Bound::AtMost(100.0)),
    ("service and launcher RSS (MB)", Bound::AtMost(12.0)),
    ("300 containers, crun / hcs", Bound::AtLeast(5.0)),
    ("300 containers teardown, crun / hcs", Bound::AtLeast(20.0)),
    ("300th / 10th container", Bound::AtMost(1.3)),
    ("completed result (ns)", Bound::AtMost(200.0)),
    ("stdout, container / host pipe", Bound::AtLeast(0.95)),
];

/// Compares `report` with every target.
pub(crate) fn check(report: &Report) -> Vec<Verdict> {
    let ratios = RATIOS.iter().map(|(table, regime, over, under, bound)| {
        let value = report
            .median(table, regime, over)
            .zip(report.median(table, regime, under))
            .map(|(a, b)| a / b);
        verdict(format!("{over} / {under} ({regime})"), value, *bound)
    });
    let figures = FIGURES
        .iter()
        .map(|(name, bound)| verdict((*name).to_owned(), report.figure(name), *bound));
    ratios.chain(figures).collect()
}

fn verdict(what: String, measured: Option<f64>, bound: Bound) -> Verdict {
    let (target, met) = match bound {
        Bound::AtMost(limit) => (format!("<= {limit}"), measured.map(|v| v <= limit)),
        Bound::AtLeast(limit) => (format!(">= {limit}"), measured.map(|v| v >= limit)),
    };
    Verdict {
        what,
        target,
        measured,
        met,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_judged_by_their_bound() {
        let mut report = Report::default();
        report.add("idle container PSS (kB)", 101.0, "kB");
        report.add("300 containers, crun / hcs", 5.1, "");
        let verdicts = check(&report);
        let of = |name: &str| verdicts.iter().find(|v| v.what == name).and_then(|v| v.met);
        assert_eq!(of("idle container PSS (kB)"), Some(false));
        assert_eq!(of("300 containers, crun / hcs"), Some(true));
        assert_eq!(of("completed result (ns)"), None);
    }
}
