//! The ratios the project means to reach, checked against a report. Pure.

use serde::Serialize;

use super::report::Report;

/// Whether a figure is to be small or large.
#[derive(Clone, Copy, Debug)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

use Bound::{AtLeast, AtMost};

/// One target and what was measured.
#[derive(Debug, Serialize)]
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

/// Ratio of two medians of one table.
struct Ratio {
    /// Table and regime.
    table: (&'static str, &'static str),
    over: &'static str,
    under: &'static str,
    bound: Bound,
}

const fn ratio(
    table: (&'static str, &'static str),
    over: &'static str,
    under: &'static str,
    bound: Bound,
) -> Ratio {
    Ratio {
        table,
        over,
        under,
        bound,
    }
}

const RATIOS: &[Ratio] = &[
    ratio(
        ("exec-api", "hot"),
        "hcs API process",
        "vfork+exec+wait",
        AtMost(1.3),
    ),
    ratio(("exec-cli", "hot"), "crun exec", "hcs exec", AtLeast(3.5)),
    ratio(
        ("exec-cli", "spaced"),
        "crun exec",
        "hcs exec",
        AtLeast(8.0),
    ),
    ratio(
        ("exec-cli", "hot"),
        "ctr task exec",
        "hcs exec",
        AtLeast(30.0),
    ),
    ratio(
        ("exec-cli", "hot"),
        "podman exec",
        "hcs exec",
        AtLeast(60.0),
    ),
    ratio(("run-cli", "spaced"), "crun run", "hcs run", AtLeast(4.0)),
    ratio(("run-cli", "spaced"), "ctr run", "hcs run", AtLeast(25.0)),
    // 4 ms where bwrap takes 7: what of the absolute target carries over to other machines.
    ratio(
        ("create-api", "spaced"),
        "bwrap",
        "hcs API create to first exit",
        AtLeast(1.75),
    ),
    ratio(
        ("round-trip", "hot"),
        "HcsGetProcessInfo",
        "raw SOCK_SEQPACKET",
        AtMost(2.0),
    ),
    ratio(
        ("round-trip-shared", "hot"),
        "HcsGetProcessInfo",
        "raw SOCK_SEQPACKET",
        AtMost(2.0),
    ),
    ratio(
        ("pipelining", "hot"),
        "raw SOCK_SEQPACKET, one thread",
        "HcsGetProcessInfo, 8 threads of 8 calls",
        AtLeast(1.0),
    ),
    ratio(
        ("stdio", "hot"),
        "host pipe",
        "hcs API process",
        AtLeast(0.95),
    ),
    ratio(("stdio", "hot"), "ctr task exec", "hcs exec", AtLeast(3.5)),
    ratio(("stdio", "hot"), "podman exec", "hcs exec", AtLeast(2.5)),
    ratio(
        ("start-up", "hot"),
        "hcs list",
        "empty static program and a round trip",
        AtMost(2.0),
    ),
    ratio(
        ("machine-start", "hot"),
        "hcs API create to first exit",
        "bare QEMU to the hello of a minimal guest",
        AtMost(1.1),
    ),
    ratio(
        ("machine-process", "hot"),
        "hcs API process",
        "raw vsock round trip with the guest's own vfork+exec+wait",
        AtMost(1.5),
    ),
    // Times: 0.85 of the throughput.
    ratio(
        ("machine-stdio", "hot"),
        "raw vsock",
        "hcs API process",
        AtLeast(0.85),
    ),
    // A program in a guest expects a pipe as its stdout. This is what the agent, the worker and the client add to that.
    ratio(
        ("machine-stdio", "hot"),
        "raw vsock behind dd and a pipe",
        "hcs API process",
        AtLeast(0.85),
    ),
];

/// Limits on single figures.
const FIGURES: &[(&str, Bound)] = &[
    ("create to first exit, spaced", AtMost(4.0)),
    ("idle container, everything that runs for it", AtMost(100.0)),
    ("idle service and launcher, resident", AtMost(12.0)),
    ("300 containers, crun / hcs", AtLeast(5.0)),
    ("300 containers teardown, crun / hcs", AtLeast(20.0)),
    ("300th / 10th container", AtMost(1.3)),
    (
        "exec with 300 running / with 1, each beside its floor",
        AtMost(1.1),
    ),
    (
        "a process beside 10,000 calls of the worst kind / alone",
        AtMost(2.0),
    ),
    (
        "a small call beside 10,000 calls of the worst kind / alone",
        AtMost(2.0),
    ),
    ("unpacking an image, hcs / the fastest peer", AtMost(1.0)),
    (
        "peak memory of unpacking an image, hcs / the peer with the least",
        AtMost(1.0),
    ),
    ("hcs run IMAGE beyond hcs run --layer", AtMost(0.3)),
    // A note of each container that uses it, which takes a block of the disk.
    (
        "disk of 50 containers of one image, in its store",
        AtMost(250.0),
    ),
    ("1000 containers, each has run a process", AtLeast(1000.0)),
    (
        "HcsGetOperationResultAndProcessInfo, completed",
        AtMost(200.0),
    ),
    ("its allocations beyond the returned document", AtMost(0.0)),
    (
        "allocations of HcsGetOperationResult beyond the returned document",
        AtMost(0.0),
    ),
    (
        "worker of a machine with its device, proportional",
        AtMost(6.0),
    ),
];

/// Compares `report` with every target.
pub(crate) fn check(report: &Report) -> Vec<Verdict> {
    let ratios = RATIOS.iter().map(|ratio| {
        let (table, regime) = ratio.table;
        let value = report
            .median(table, regime, ratio.over)
            .zip(report.median(table, regime, ratio.under))
            .map(|(a, b)| a / b);
        let what = format!("{table}, {regime}: {} / {}", ratio.over, ratio.under);
        verdict(what, value, ratio.bound, "")
    });
    let figures = FIGURES.iter().map(|(name, bound)| {
        let figure = report.figures.iter().find(|figure| figure.name == *name);
        let unit = figure.map_or("", |figure| figure.unit);
        verdict((*name).to_owned(), report.figure(name), *bound, unit)
    });
    ratios.chain(figures).collect()
}

fn verdict(what: String, measured: Option<f64>, bound: Bound, unit: &str) -> Verdict {
    let (sign, limit, met) = match bound {
        AtMost(limit) => ("<=", limit, measured.map(|v| v <= limit)),
        AtLeast(limit) => (">=", limit, measured.map(|v| v >= limit)),
    };
    Verdict {
        what,
        target: format!("{sign} {limit} {unit}").trim_end().to_owned(),
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
        report.add("idle container, everything that runs for it", 101.0, "kB");
        report.add("300 containers, crun / hcs", 5.1, "");
        let verdicts = check(&report);
        let of = |name: &str| verdicts.iter().find(|v| v.what == name).and_then(|v| v.met);
        assert_eq!(
            of("idle container, everything that runs for it"),
            Some(false)
        );
        assert_eq!(of("300 containers, crun / hcs"), Some(true));
        assert_eq!(of("300th / 10th container"), None);
    }
}
