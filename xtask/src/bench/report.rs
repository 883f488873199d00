//! What a bench run found: tables for people, JSON for programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    series::{Series, human},
    targets::Verdict,
};

/// One table: subjects measured side by side.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    /// Short name, given on the command line to run it alone.
    pub(crate) name: &'static str,
    /// What one sample is, in words.
    pub(crate) title: String,
    /// "hot" or "spaced".
    pub(crate) regime: &'static str,
    /// The subject that the ratios refer to.
    pub(crate) base: &'static str,
    /// The measurements.
    pub(crate) series: Vec<Series>,
}

impl Table {
    /// The median of a subject, in microseconds.
    pub(crate) fn median(&self, subject: &str) -> Option<f64> {
        self.series
            .iter()
            .find(|s| s.subject == subject)
            .map(Series::median)
    }
}

/// A single figure that is not a time (kB, MB/s, a ratio of its own).
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    /// Name that targets refer to.
    pub(crate) name: String,
    /// Value.
    pub(crate) value: f64,
    /// Unit.
    pub(crate) unit: &'static str,
}

/// Everything one run found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// The machine in one line.
    pub(crate) machine: String,
    /// The peers that are installed, each with its version.
    pub(crate) peers: Vec<String>,
    /// The command that repeats the run.
    pub(crate) command: String,
    /// Load average when it began and when it ended: other work slows all subjects, but not alike.
    pub(crate) load: [String; 2],
    /// Peers that are not installed or would not run here, with the reason.
    pub(crate) missing: Vec<String>,
    /// Side by side measurements.
    pub(crate) tables: Vec<Table>,
    /// Single figures.
    pub(crate) figures: Vec<Figure>,
    /// Where the time goes, as Markdown.
    pub(crate) profile: String,
    /// Each target, what was measured, and whether that meets it.
    pub(crate) targets: Vec<Verdict>,
}

impl Report {
    /// The median of a subject in a table, in microseconds.
    pub(crate) fn median(&self, table: &str, regime: &str, subject: &str) -> Option<f64> {
        let table = self
            .tables
            .iter()
            .find(|t| t.name == table && t.regime == regime)?;
        table.median(subject)
    }

    /// A figure by its name.
    pub(crate) fn figure(&self, name: &str) -> Option<f64> {
        self.figures
            .iter()
            .find(|f| f.name == name)
            .map(|f| f.value)
    }

    /// Adds a figure.
    pub(crate) fn add(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.figures.push(Figure {
            name: name.into(),
            value,
            unit,
        });
    }

    /// Notes what could not be measured, once.
    pub(crate) fn miss(&mut self, reason: String) {
        if !self.missing.contains(&reason) {
            super::warn(&reason);
            self.missing.push(reason);
        }
    }

    /// Everything as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("Machine: {}.", self.machine);
        if !self.peers.is_empty() {
            let _ = write!(text, " Peers: {}.", self.peers.join(", "));
        }
        let [begin, end] = &self.load;
        let command = &self.command;
        let _ = writeln!(
            text,
            " Load average {begin} at the beginning, {end} at the end. Repeat it with `{command}`."
        );
        if !self.missing.is_empty() {
            text.push_str("\nNot measured:\n\n");
        }
        for missing in &self.missing {
            let _ = writeln!(text, "- {missing}");
        }
        for table in &self.tables {
            write_table(&mut text, table);
        }
        if !self.figures.is_empty() {
            text.push_str("\n### Other figures\n\n| what | value |\n|---|---|\n");
            for figure in &self.figures {
                let (name, value) = (&figure.name, number(figure.value));
                let _ = writeln!(
                    text,
                    "| {name} | {} |",
                    format!("{value} {}", figure.unit).trim()
                );
            }
        }
        write_targets(&mut text, &self.targets);
        text.push_str(&self.profile);
        text
    }
}

fn write_table(text: &mut String, table: &Table) {
    let _ = writeln!(
        text,
        "\n### {} ({}, {})\n\n\
         | subject | median | p10 | p90 | ratio | N | far out |\n|---|---|---|---|---|---|---|",
        table.title, table.name, table.regime
    );
    let base = table.median(table.base).unwrap_or(f64::NAN);
    for series in &table.series {
        let (p10, p90) = (human(series.percentile(10)), human(series.percentile(90)));
        let (subject, count) = (&series.subject, series.samples.len());
        let median = series.median();
        let ratio = number(median / base);
        let (median, far) = (human(median), series.far_out());
        let _ = writeln!(
            text,
            "| {subject} | {median} | {p10} | {p90} | {ratio} | {count} | {far} |"
        );
    }
}

fn write_targets(text: &mut String, targets: &[Verdict]) {
    text.push_str("\n### Targets\n\n| what | target | measured | |\n|---|---|---|---|\n");
    for verdict in targets {
        let measured = verdict.measured.map_or_else(|| "-".to_owned(), number);
        let word = match verdict.met {
            Some(true) => "met",
            Some(false) => "missed",
            None => "not measured",
        };
        let (what, target) = (&verdict.what, &verdict.target);
        let _ = writeln!(text, "| {what} | {target} | {measured} | {word} |");
    }
}

/// A number for people: two decimals where they matter.
fn number(value: f64) -> String {
    match value {
        v if v.is_nan() => "-".to_owned(),
        v if v.fract() == 0.0 => format!("{v:.0}"),
        v if v.abs() >= 100.0 => format!("{v:.0}"),
        v if v.abs() >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report with every kind of content.
    pub(crate) fn example() -> Report {
        let series = |subject: &str, samples: &[f64]| Series {
            subject: subject.to_owned(),
            samples: samples.to_vec(),
        };
        let mut report = Report {
            machine: "a <machine>".to_owned(),
            command: "cargo xtask bench".to_owned(),
            tables: vec![Table {
                name: "exec-cli",
                title: "a process & its floor".to_owned(),
                regime: "hot",
                base: "floor",
                series: vec![
                    series("floor", &[1000.0, 1100.0, 900.0]),
                    series("hcs exec", &[2000.0, 2100.0, 90_000.0]),
                ],
            }],
            ..Report::default()
        };
        report.add("MB", 3.25, "MB");
        report.miss("podman is not installed".to_owned());
        report
    }

    #[test]
    fn everything_found_is_said() {
        let text = example().markdown();
        for part in [
            "a <machine>",
            "`cargo xtask bench`",
            "Not measured:\n\n- podman is not installed\n",
            "| hcs exec | 2.10 ms | 2.02 ms |",
            "| MB | 3.25 MB |",
            "### Targets",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn the_picture_is_well_formed() {
        let picture = crate::bench::svg::draw(&example());
        let mut open = Vec::new();
        for tag in picture.split('<').skip(1) {
            let (tag, text) = tag.split_once('>').expect("a tag ends");
            assert!(!text.contains('&') || text.contains("&amp;") || text.contains("&lt;"));
            let name = tag.split([' ', '/']).find(|n| !n.is_empty()).unwrap();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "{picture}");
            } else if !tag.ends_with('/') {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
        assert!(picture.contains("hcs exec"), "{picture}");
        assert!(
            !picture.contains("NaN") && !picture.contains("inf"),
            "{picture}"
        );
    }
}
