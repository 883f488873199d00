//! What a bench run found: tables for people, JSON for programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::series::{Series, human};

/// One table: subjects measured side by side.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    /// Short name, given on the command line to run it alone.
    pub(crate) name: &'static str,
    /// What one sample is, in words.
    pub(crate) title: String,
    /// "hot" or "spaced".
    pub(crate) regime: &'static str,
    /// Index of the series the ratios refer to.
    pub(crate) base: usize,
    /// The measurements.
    pub(crate) series: Vec<Series>,
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
    /// Peers that are not installed or would not run here, with the reason.
    pub(crate) missing: Vec<String>,
    /// Times.
    pub(crate) tables: Vec<Table>,
    /// Other figures.
    pub(crate) figures: Vec<Figure>,
}

impl Report {
    /// The median of `subject` in table `name` and `regime`, in microseconds.
    pub(crate) fn median(&self, name: &str, regime: &str, subject: &str) -> Option<f64> {
        let table = self
            .tables
            .iter()
            .find(|t| t.name == name && t.regime == regime)?;
        table
            .series
            .iter()
            .find(|s| s.subject == subject)
            .map(Series::median)
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

    /// The tables as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("Machine: {}\n", self.machine);
        for missing in &self.missing {
            let _ = writeln!(text, "Not measured: {missing}");
        }
        for table in &self.tables {
            let _ = writeln!(
                text,
                "\n### {} ({}, {})\n",
                table.title, table.name, table.regime
            );
            let base = table
                .series
                .get(table.base)
                .map_or(f64::NAN, Series::median);
            text.push_str(
                "| subject | median | p10 | p90 | ratio | N |\n|---|---|---|---|---|---|\n",
            );
            for series in &table.series {
                let (p10, p90) = (human(series.percentile(10)), human(series.percentile(90)));
                let median = series.median();
                let (subject, count) = (&series.subject, series.samples.len());
                let _ = writeln!(
                    text,
                    "| {subject} | {} | {p10} | {p90} | {:.2} | {count} |",
                    human(median),
                    median / base
                );
            }
        }
        if !self.figures.is_empty() {
            text.push_str("\n### Other figures\n\n| what | value |\n|---|---|\n");
            for figure in &self.figures {
                let _ = writeln!(
                    text,
                    "| {} | {:.2} {} |",
                    figure.name, figure.value, figure.unit
                );
            }
        }
        text
    }
}
