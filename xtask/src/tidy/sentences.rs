//! Rule: sentences of comments are short.
//!
//! 1. [`paragraphs`] joins the lines of a comment that belong together. Code, tables and empty lines part them.
//! 2. [`too_long`] counts the words between full stops, colons and semicolons. What stands in backquotes is one word.

use super::{Fault, Rule};
use crate::{Repository, Result};

pub(super) const RULE: Rule = Rule {
    name: "sentences",
    reason: "a sentence that is read twice says two things",
    check,
    fix: None,
};

/// The most words of a sentence.
const MOST: usize = 30;

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for file in repository.ending(&[".rs"]) {
        let text = repository.read(file)?;
        for (line, paragraph) in paragraphs(&text) {
            for (sentence, words) in too_long(&paragraph) {
                let begin: String = sentence.chars().take(60).collect();
                faults.push(Fault::new(
                    format!("{file}:{line}"),
                    format!("has a sentence of {words} words: {begin:?}..."),
                    format!("say it in sentences of at most {MOST} words"),
                ));
            }
        }
    }
    Ok(faults)
}

/// The paragraphs of the comments in a Rust file, each with the number of its first line.
fn paragraphs(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut goes_on: Option<&str> = None;
    let mut in_code = false;
    for (line, number) in text.lines().zip(1..) {
        let Some((kind, words)) = comment(line) else {
            (goes_on, in_code) = (None, false);
            continue;
        };
        in_code ^= words.starts_with("```");
        if in_code || words.is_empty() || words.starts_with(['|', '`', '#']) && is_apart(words) {
            goes_on = None;
        } else if goes_on == Some(kind) && !is_item(words) {
            if let Some((_, paragraph)) = found.last_mut() {
                paragraph.push(' ');
                paragraph.push_str(words);
            }
        } else {
            found.push((number, words.to_owned()));
            goes_on = Some(kind);
        }
    }
    found
}

/// The kind of a line that is a comment, and what it says.
fn comment(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let kind = ["///", "//!", "//"]
        .into_iter()
        .find(|kind| line.starts_with(kind))?;
    Some((kind, line[kind.len()..].trim()))
}

/// Whether a line that begins with one of these signs is a row of a table, a fence or a title.
fn is_apart(words: &str) -> bool {
    words.starts_with(['|', '#']) || words.starts_with("```")
}

/// Whether an item of a list begins here.
fn is_item(words: &str) -> bool {
    let first = words.split(' ').next().unwrap_or_default();
    matches!(first, "-" | "*")
        || first
            .strip_suffix('.')
            .is_some_and(|number| number.parse::<u32>().is_ok())
}

/// The sentences that have too many words, and how many.
fn too_long(paragraph: &str) -> Vec<(String, usize)> {
    let mut sentence = Vec::new();
    let mut long = Vec::new();
    let mut in_code = false;
    for word in paragraph.split_whitespace() {
        let was_in_code = in_code;
        in_code ^= word.matches('`').count() % 2 == 1;
        // The first word of what is quoted stands for all.
        if !was_in_code && word.contains(char::is_alphanumeric) {
            sentence.push(word);
        }
        let ends = word
            .trim_end_matches([')', '"', '*'])
            .ends_with(['.', '!', '?', ':', ';']);
        if ends && !in_code {
            long.extend(measured(&sentence));
            sentence.clear();
        }
    }
    long.extend(measured(&sentence));
    long
}

fn measured(sentence: &[&str]) -> Option<(String, usize)> {
    (sentence.len() > MOST).then(|| (sentence.join(" "), sentence.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_comment_are_a_paragraph() {
        let text = "//! One\n//! two.\n//!\n//! 1. three\n//!    four\n//! 2. five\nfn a() {\n    // six\n    // seven\n}\n\
                    /// ```text\n/// not this\n/// ```\n/// | nor | this |\n/// eight\n";
        let all: Vec<_> = paragraphs(text);
        let all: Vec<_> = all.iter().map(|(line, words)| (*line, &**words)).collect();
        let expected = [
            (1, "One two."),
            (4, "1. three four"),
            (6, "2. five"),
            (8, "six seven"),
            (15, "eight"),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn a_sentence_has_a_number_of_words() {
        let words = |count: usize| vec!["word"; count].join(" ");
        assert!(too_long(&words(MOST)).is_empty());
        assert_eq!(too_long(&words(MOST + 1))[0].1, MOST + 1);
        assert!(too_long(&format!("{}. {}", words(MOST), words(MOST))).is_empty());
        assert!(too_long(&format!("{}: {} - {}", words(9), words(10), words(20))).is_empty());
        let quoted = format!("{} `a b c d`", words(MOST - 1));
        assert!(too_long(&quoted).is_empty(), "{quoted}");
    }
}
