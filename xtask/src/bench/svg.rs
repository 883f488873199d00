//! The tables as one SVG picture: for each subject a bar to its median on a logarithmic scale, with its spread.

use std::fmt::Write as _;

use super::{
    report::{Report, Table},
    series::{Series, human},
};

const LEFT: f64 = 270.0;
const WIDTH: f64 = 500.0;
const ROW: f64 = 20.0;
/// Room for the legend.
const HEAD: f64 = 50.0;
const OURS: &str = "#2a7f62";
const OTHERS: &str = "#9aa5b1";
const LINES: &str = "#dde2e7";

/// Draws all tables of `report`.
pub(crate) fn draw(report: &Report) -> String {
    let rows: usize = report.tables.iter().map(|t| t.series.len() + 3).sum();
    let height = rows as f64 * ROW + HEAD;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 {height}\" width=\"900\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let _ = writeln!(
        svg,
        "<text x=\"10\" y=\"18\" fill=\"#555555\">{}</text>\n\
         <rect x=\"10\" y=\"27\" width=\"12\" height=\"12\" fill=\"{OURS}\"/>\n\
         <text x=\"28\" y=\"38\" fill=\"#555555\">this project; bars end at the median, thin lines reach from the \
         10th to the 90th percentile; logarithmic scales, less is better</text>",
        escape(&report.machine)
    );
    let mut y = HEAD;
    for table in &report.tables {
        y = draw_table(&mut svg, table, y);
    }
    svg.push_str("</svg>\n");
    svg
}

/// A logarithmic scale over decades.
struct Scale {
    low: i32,
    decades: i32,
}

impl Scale {
    fn around(table: &Table) -> Self {
        let ends = |percent| table.series.iter().map(move |s| s.percentile(percent));
        let low = ends(10).fold(f64::INFINITY, f64::min);
        let high = ends(90).fold(0.0, f64::max);
        let decade = |value: f64| {
            if value.is_normal() {
                value.log10()
            } else {
                0.0
            }
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the logarithm of a time that was measured"
        )]
        let (low, high) = (decade(low).floor() as i32, decade(high).ceil() as i32);
        Self {
            low,
            decades: (high - low).max(1),
        }
    }

    fn at(&self, us: f64) -> f64 {
        let part = (us.max(1e-6).log10() - f64::from(self.low)) / f64::from(self.decades);
        LEFT + WIDTH * part.clamp(0.0, 1.0)
    }
}

fn draw_table(svg: &mut String, table: &Table, mut y: f64) -> f64 {
    let title = escape(&table.title);
    let _ = writeln!(
        svg,
        "<text x=\"10\" y=\"{}\" font-weight=\"bold\">{title} ({}, {})</text>",
        y + 13.0,
        table.name,
        table.regime
    );
    y += ROW;
    let scale = Scale::around(table);
    draw_axis(svg, &scale, y, table.series.len() as f64 * ROW);
    for series in &table.series {
        draw_series(svg, series, &scale, y);
        y += ROW;
    }
    y + 2.0 * ROW
}

/// A line and a label for each power of ten.
fn draw_axis(svg: &mut String, scale: &Scale, y: f64, height: f64) {
    for decade in scale.low..=scale.low + scale.decades {
        let value = 10_f64.powi(decade);
        let x = scale.at(value);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{y}\" x2=\"{x:.1}\" y2=\"{}\" stroke=\"{LINES}\"/>\n\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" font-size=\"10\" fill=\"#777777\">{}</text>",
            y + height,
            y + height + 12.0,
            round(value)
        );
    }
}

fn draw_series(svg: &mut String, series: &Series, scale: &Scale, y: f64) {
    let (name, median) = (escape(&series.subject), series.median());
    let colour = if is_ours(&series.subject) {
        OURS
    } else {
        OTHERS
    };
    let (low, end, high) = (
        scale.at(series.percentile(10)),
        scale.at(median),
        scale.at(series.percentile(90)),
    );
    let (text, middle) = (y + 13.0, y + 8.5);
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{text}\" text-anchor=\"end\">{name}</text>\n\
         <rect x=\"{LEFT}\" y=\"{}\" width=\"{:.1}\" height=\"13\" fill=\"{colour}\"/>\n\
         <line x1=\"{low:.1}\" y1=\"{middle}\" x2=\"{high:.1}\" y2=\"{middle}\" stroke=\"#333333\"/>\n\
         <text x=\"{:.1}\" y=\"{text}\">{}</text>",
        LEFT - 8.0,
        y + 2.0,
        end - LEFT,
        high.max(end) + 6.0,
        human(median)
    );
}

fn is_ours(subject: &str) -> bool {
    subject.starts_with("hcs") || subject.starts_with("Hcs")
}

/// A power of ten in microseconds, without decimals.
fn round(us: f64) -> String {
    match us {
        us if us >= 1e6 => format!("{:.0} s", us / 1e6),
        us if us >= 1e3 => format!("{:.0} ms", us / 1e3),
        us if us >= 1.0 => format!("{us:.0} us"),
        us => format!("{:.0} ns", us * 1e3),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
