//! What the program prints: aligned tables and JSON.

use std::{
    io::{self, Write},
    thread,
};

use clap::{Args, ValueEnum};
use hcs_schema::{Failure, HResult, shown, shown_json};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::retry_on_intr,
    stdio,
};
use serde::Serialize;

/// How lists are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns, for people
    #[default]
    Table,
    /// One JSON document, for programs
    Json,
}

/// The options that choose it.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct FormatOption {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl FormatOption {
    /// What was chosen.
    pub(crate) const fn chosen(self) -> Format {
        match self.json {
            true => Format::Json,
            false => self.format,
        }
    }
}

/// The option of verbs that print JSON for people, too.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct JsonOption {
    /// Print JSON, as without this option; for scripts that give it to every verb
    #[arg(long)]
    json: bool,
}

/// Writes text to standard output. A reader that has gone away is no error: it has read what it wanted.
///
/// # Errors
/// Standard output cannot be written, a full disk say.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(cannot_write(&error)),
        _ => Ok(()),
    }
}

/// Has the program end when no process reads its output any more, though nothing happens that could be written.
///
/// # Errors
/// No thread could be started.
pub(crate) fn end_with_the_reader() -> Result<(), Failure> {
    let watching = thread::Builder::new().name("reader".to_owned()).spawn(|| {
        let mut polled = [PollFd::from_borrowed_fd(
            stdio::stdout(),
            PollFlags::empty(),
        )];
        // Errors and the hang-up alone are waited for.
        if matches!(retry_on_intr(|| poll(&mut polled, None)), Ok(1..)) {
            std::process::exit(0);
        }
    });
    watching.map(drop).map_err(|error| {
        Failure::new(HResult::E_OUTOFMEMORY, "no thread could be started").because(&error)
    })
}

/// The failure of writing to standard output.
pub(crate) fn cannot_write(error: &io::Error) -> Failure {
    Failure::new(HResult::E_FAIL, "standard output cannot be written").because(error)
}

/// Writes a JSON document, indented. Characters that would drive a terminal are escaped, which JSON can say as well.
///
/// # Errors
/// As [`print`].
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| {
        Failure::new(
            HResult::E_UNEXPECTED,
            "the answer cannot be written as JSON",
        )
        .because(&error)
    })?;
    print(&(shown_json(&text).into_owned() + "\n"))
}

/// A table with a head, columns two spaces apart. What is hidden or controls is shown escaped: names come from anywhere
/// and must not drive the terminal.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let clean: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.each_ref().map(|c| printable(c)))
        .collect();
    let mut widths = head.map(|cell| cell.chars().count());
    for row in &clean {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = line(head, &widths);
    for row in &clean {
        text.push_str(&line(row.each_ref().map(String::as_str), &widths));
    }
    text
}

fn line<const N: usize>(cells: [&str; N], widths: &[usize; N]) -> String {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:<width$}"))
        .collect();
    padded.join("  ").trim_end().to_owned() + "\n"
}

/// [`hcs_schema::shown`], for every text of others that is printed.
pub(crate) fn printable(text: &str) -> String {
    shown(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_with_text() {
        let rows = [
            ["a".to_owned(), "long one".to_owned()],
            ["abc".to_owned(), String::new()],
        ];
        assert_eq!(table(["X", "Y"], &rows), "X    Y\na    long one\nabc\n");
    }

    #[test]
    fn names_cannot_drive_the_terminal() {
        let text = table(["X"], &[["a\u{1b}[2Jb\n".to_owned()]]);
        assert_eq!(text, "X\na\\u{1b}[2Jb\\n\n");
        let turned = table(["X"], &[["a\u{202e}b".to_owned()]]);
        assert_eq!(turned, "X\na\\u{202e}b\n");
    }
}
