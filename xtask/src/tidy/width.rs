//! Rule: lines of comments fit into [`MOST`] columns. Code has its width from `rustfmt`.
//!
//! 1. [`too_wide`] finds the lines. Rows of tables, code and pictures in a comment are as wide as they are, and so is a
//!    word that fits into no line.
//! 2. [`wrapped`] wraps them.

use std::fs;

use super::{Fault, Rule};
use crate::{Repository, Result};

pub(super) const RULE: Rule = Rule {
    name: "width",
    reason: "two files stand side by side on a screen, and a diff shows them so",
    check,
    fix: Some(fix),
};

/// The most columns of a line.
const MOST: usize = 120;

/// How comments begin, by the ending of the file. The longest comes first.
const KINDS: &[(&str, &[&str])] = &[
    (".rs", &["///", "//!", "//"]),
    (".go", &["//"]),
    (".c", &["//", "*"]),
    (".h", &["//", "*"]),
    (".toml", &["#"]),
    (".py", &["#"]),
];

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for (ending, kinds) in KINDS {
        for file in repository.ending(&[*ending]) {
            for (line, columns) in too_wide(&repository.read(file)?, kinds) {
                faults.push(Fault::new(
                    format!("{file}:{line}"),
                    format!("is a comment of {columns} columns"),
                    "cargo xtask tidy --fix width",
                ));
            }
        }
    }
    Ok(faults)
}

fn fix(repository: &Repository) -> Result<()> {
    for (ending, kinds) in KINDS {
        for file in repository.ending(&[*ending]) {
            let text = repository.read(file)?;
            if !too_wide(&text, kinds).is_empty() {
                fs::write(repository.root.join(file), wrapped(&text, kinds))?;
            }
        }
    }
    Ok(())
}

/// A line of a comment: what stands before its words, and these.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    before: &'a str,
    words: &'a str,
}

impl<'a> Line<'a> {
    fn read(line: &'a str, kinds: &[&str]) -> Option<Self> {
        let indent = line.len() - line.trim_start().len();
        let kind = kinds
            .iter()
            .find(|kind| line[indent..].starts_with(**kind))?;
        let rest = &line[indent + kind.len()..];
        if *kind == "#" && !rest.is_empty() && !rest.starts_with(' ') {
            // A setting that is not made.
            return None;
        }
        let begin = line.len() - rest.trim_start().len();
        Some(Self {
            before: &line[..begin],
            words: line[begin..].trim_end(),
        })
    }

    /// Whether a paragraph begins with these words: a row of a table, a title, a fence, a parameter in C, a list item.
    /// So does the end of a comment.
    fn begins(&self) -> bool {
        self.words.starts_with(['|', '#', '@'])
            || self.words.starts_with("```")
            || self.words == "/"
            || self.item() > 0
    }

    /// How far the item of a list that begins here is indented; 0 for other words.
    fn item(&self) -> usize {
        let first = self.words.split(' ').next().unwrap_or_default();
        let number = first.strip_suffix('.').unwrap_or_default();
        match matches!(first, "-" | "*") || number.parse::<u32>().is_ok() {
            true => first.len() + 1,
            false => 0,
        }
    }

    /// The sign of the comment, and what it is indented by.
    fn kind(&self) -> &str {
        self.before.trim_end()
    }
}

/// The lines of comments of these kinds that are too wide, by number, and how wide they are.
fn too_wide(text: &str, kinds: &[&str]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (line, number) in text.lines().zip(1..) {
        let Some(Line { words, .. }) = Line::read(line, kinds) else {
            in_code = false;
            continue;
        };
        in_code ^= words.starts_with("```");
        let columns = line.chars().count();
        if columns > MOST && !in_code && !words.starts_with('|') && pieces(words).len() > 1 {
            found.push((number, columns));
        }
    }
    found
}

/// The words of a line, of which quoted code is one.
fn pieces(words: &str) -> Vec<&str> {
    let mut in_code = false;
    let is_place = |c: char| {
        in_code ^= c == '`';
        c == ' ' && !in_code
    };
    words.split(is_place).filter(|w| !w.is_empty()).collect()
}

/// The text with the paragraphs wrapped anew from their first line that is too wide.
fn wrapped(text: &str, kinds: &[&str]) -> String {
    let wide: Vec<usize> = too_wide(text, kinds).into_iter().map(|(n, _)| n).collect();
    let lines: Vec<&str> = text.lines().collect();
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(text) = lines.get(at) {
        at += 1;
        let first = Line::read(text, kinds).filter(|_| wide.contains(&at));
        let Some(first) = first else {
            out.push((*text).to_owned());
            continue;
        };
        let mut rest = None;
        let mut words = pieces(first.words);
        while let Some(more) = lines.get(at).and_then(|line| Line::read(line, kinds))
            && !more.words.is_empty()
            && !more.begins()
            && more.kind() == first.kind()
        {
            rest.get_or_insert(more.before);
            words.extend(pieces(more.words));
            at += 1;
        }
        let usual = format!("{}{}", first.before, " ".repeat(first.item()));
        fill(&mut out, first.before, rest.unwrap_or(&usual), &words);
    }
    out.join("\n") + "\n"
}

/// Writes the words into lines, of which the first begins with `first` and the others with `rest`.
fn fill(out: &mut Vec<String>, first: &str, rest: &str, words: &[&str]) {
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in words {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > MOST {
            out.push(std::mem::replace(&mut line, rest.to_owned()));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    out.push(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUST: &[&str] = &["///", "//!", "//"];

    #[test]
    fn comments_are_measured_and_nothing_else_is() {
        let long = "word ".repeat(30);
        let text = format!(
            "/// {long}\nlet a = \"{long}\";\n    // {}\n//! | {long} |\n//! ```text\n//! {long}\n//! ```\n// {}\n",
            &long[..110],
            "x".repeat(200)
        );
        assert_eq!(too_wide(&text, RUST), [(1, 154)]);
        assert_eq!(too_wide(&format!("# {long}\n"), &["#"]), [(1, 152)]);
    }

    #[test]
    fn a_paragraph_is_wrapped_from_its_first_line_that_is_too_wide() {
        let (fits, long) = ("fits ".repeat(20), "word ".repeat(30));
        let text =
            format!("    // {fits}\n    // 1. {long}\n    //    `a b` end\n    // 2. next\nf();\n");
        let wrapped = wrapped(&text, RUST);
        let lines: Vec<&str> = wrapped.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[1].starts_with("    // 1. word") && lines[1].len() <= MOST);
        assert!(lines[2].starts_with("    //    word") && lines[2].ends_with("`a b` end"));
        assert_eq!(&lines[3..], ["    // 2. next", "f();"]);
        assert!(too_wide(&wrapped, RUST).is_empty());
    }

    #[test]
    fn parts_of_a_comment_of_c_stay_apart() {
        let text = format!(" * {}\n * @return x\n */\n", "word ".repeat(30));
        let text = wrapped(&text, &["*"]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(&lines[2..], [" * @return x", " */"]);
    }

    #[test]
    fn settings_in_comments_stay_apart() {
        let text = format!("# {}\n#setting = 1\n", "word ".repeat(30));
        assert!(wrapped(&text, &["#"]).ends_with("\n#setting = 1\n"));
    }

    #[test]
    fn a_space_within_quoted_code_is_no_place_to_wrap_at() {
        assert_eq!(pieces("`one two`"), ["`one two`"]);
        assert_eq!(pieces("one `two three`"), ["one", "`two three`"]);
    }
}
