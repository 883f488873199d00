//! The tables as one SVG picture: a bar per subject on a logarithmic scale.

use std::fmt::Write as _;

use super::{
    report::{Report, Table},
    series::{Series, human},
};

const LEFT: f64 = 260.0;
const WIDTH: f64 = 520.0;
const ROW: f64 = 20.0;

/// Draws all tables of `report`.
pub(crate) fn draw(report: &Report) -> String {
    let rows: usize = report.tables.iter().map(|t| t.series.len() + 2).sum();
    let height = rows as f64 * ROW + ROW;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"900\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let mut y = ROW;
    for table in &report.tables {
        y = draw_table(&mut svg, table, y);
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw_table(svg: &mut String, table: &Table, mut y: f64) -> f64 {
    let _ = writeln!(
        svg,
        "<text x=\"10\" y=\"{}\" font-weight=\"bold\">{} ({})</text>",
        y + 12.0,
        escape(&table.title),
        table.regime
    );
    y += ROW;
    let medians: Vec<f64> = table.series.iter().map(Series::median).collect();
    let low = medians
        .iter()
        .copied()
        .fold(f64::INFINITY, f64::min)
        .max(1e-3)
        / 2.0;
    let high = medians.iter().copied().fold(low * 2.0, f64::max);
    for (series, median) in table.series.iter().zip(medians) {
        let bar = WIDTH * ((median / low).ln() / (high / low).ln()).clamp(0.0, 1.0);
        let colour = if series.subject.starts_with("hcs") {
            "#2a7f62"
        } else {
            "#9aa5b1"
        };
        let (text, name) = (y + 13.0, escape(&series.subject));
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{name}</text>",
            LEFT - 8.0
        );
        let _ = writeln!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{bar:.1}\" height=\"15\" fill=\"{colour}\"/>"
        );
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{text}\">{}</text>",
            LEFT + bar + 6.0,
            human(median)
        );
        y += ROW;
    }
    y + ROW
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
