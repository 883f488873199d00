//! Rule: sentences name who acts.
//!
//! 1. [`CLEAN`] lists the places that keep the rule.
//! 2. [`refused`] finds the words in a line. The name of the user `nobody` is allowed in quotes or backquotes.
//! 3. [`opening`] finds a pronoun that begins a sentence of a comment or a document.

use super::{Fault, Rule};
use crate::{Repository, Result};

pub(super) const RULE: Rule = Rule {
    name: "words",
    reason: "a sentence is precise when its subject is a noun: a client, the caller, the service, no process",
    check,
    fix: None,
};

const ENDINGS: &[&str] = &[
    ".rs", ".md", ".toml", ".c", ".cpp", ".h", ".py", ".go", ".cs", ".service", ".socket",
];

/// Files, and folders with a `/` at the end, that keep the rule.
const CLEAN: &[&str] = &[
    ".cargo/",
    ".config/",
    "Cargo.toml",
    "README.md",
    "bindings/",
    "clippy.toml",
    "crates/",
    "deny.toml",
    "docs/",
    "examples/",
    "fuzz/",
    "packaging/",
    "rustfmt.toml",
    "tests/",
    "xtask/",
];

/// The words. They are joined, so that this file keeps the rule.
const WORDS: &[&str] = &[
    concat!("some", "body"),
    concat!("any", "body"),
    concat!("who", "ever"),
    concat!("every", "body"),
    concat!("every", "one"),
    concat!("some", "one"),
    concat!("any", "one"),
    concat!("no", " one"),
    USER,
];

/// Pronouns that are no subject: "The owner of a node" names more.
const OPENINGS: &[&str] = &["Who", "Whom", "Whose"];

/// Also the name of the user whose files belong to no user of a system.
const USER: &str = "nobody";

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for place in CLEAN {
        if repository.ending(ENDINGS).all(|file| !holds(place, file)) {
            faults.push(Fault::new(
                *place,
                format!(
                    "is listed, and no file there ends with {}",
                    ENDINGS.join(", ")
                ),
                "correct the list in xtask/src/tidy/words.rs",
            ));
        }
    }
    for file in repository.ending(ENDINGS).filter(|file| is_clean(file)) {
        for (line, number) in repository.read(file)?.lines().zip(1..) {
            let place = || format!("{file}:{number}");
            for word in refused(line) {
                faults.push(Fault::new(place(), format!("says {word:?}"), mend(word)));
            }
            if let Some(word) = prose(file, line).and_then(opening) {
                let found = format!("begins a sentence with {word:?}");
                faults.push(Fault::new(place(), found, mend(word)));
            }
        }
    }
    Ok(faults)
}

/// Whether `file` is `place`, or in it.
fn holds(place: &str, file: &str) -> bool {
    file == place || place.ends_with('/') && file.starts_with(place)
}

/// Whether `file` has to keep the rule.
fn is_clean(file: &str) -> bool {
    CLEAN.iter().any(|place| holds(place, file))
}

fn mend(word: &str) -> &'static str {
    if word == USER {
        "name what does not act (no client, no process), or write `nobody` for the user of that name"
    } else {
        "name who acts: a client, the caller, the service, a process, a user"
    }
}

/// The words in `line` that are not allowed there, in the order of [`WORDS`]; a word inside a name does not count.
fn refused(line: &str) -> Vec<&'static str> {
    let lower = line.to_ascii_lowercase();
    let stands = |word: &str| {
        lower.match_indices(word).any(|(at, _)| {
            let (before, after) = (&lower[..at], &lower[at + word.len()..]);
            is_word(before, after) && !(word == USER && is_quoted(before, after))
        })
    };
    WORDS.iter().copied().filter(|word| stands(word)).collect()
}

/// What `line` of `file` says to a reader: the line of a document, or a comment that has the line to itself.
fn prose<'a>(file: &str, line: &'a str) -> Option<&'a str> {
    if file.ends_with(".md") {
        return Some(line);
    }
    let markers: &[&str] = if file.ends_with(".toml") || file.ends_with(".py") {
        &["#"]
    } else {
        &["///", "//!", "//", "/*", "* "]
    };
    let line = line.trim_start();
    markers.iter().find_map(|marker| line.strip_prefix(marker))
}

/// The word of [`OPENINGS`] that begins a sentence. A capital letter is enough: within a sentence there is none.
fn opening(prose: &str) -> Option<&'static str> {
    let stands = |word: &str| {
        prose.match_indices(word).any(|(at, _)| {
            let (before, after) = (&prose[..at], &prose[at + word.len()..]);
            is_word(before, after) && !before.ends_with(['`', ':'])
        })
    };
    OPENINGS.iter().copied().find(|word| stands(word))
}

/// Whether what stands between `before` and `after` is a word of its own.
fn is_word(before: &str, after: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || c == '_';
    !before.ends_with(goes_on) && !after.starts_with(goes_on)
}

/// Whether what stands between `before` and `after` is alone in quotes, which may be escaped in a string.
fn is_quoted(before: &str, after: &str) -> bool {
    let after = after.strip_prefix('\\').unwrap_or(after);
    ["`", "\"", "'"]
        .iter()
        .any(|quote| before.ends_with(quote) && after.starts_with(quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: &str = concat!("some", "body");
    const WHO: &str = concat!("who", "ever");

    #[test]
    fn words_are_refused_in_any_case_and_place() {
        for word in WORDS {
            let (first, rest) = word.split_at(1);
            let title = format!("{}{rest}", first.to_uppercase());
            for line in [
                (*word).to_owned(),
                format!("// {title} asks."),
                format!("x = \"told to {word}'s client\""),
                format!("| who | {word}, else |"),
            ] {
                assert_eq!(refused(&line), [*word], "{line}");
            }
        }
        assert_eq!(refused(&format!("{WHO} calls {SOME}")), [SOME, WHO]);
    }

    #[test]
    fn a_pronoun_does_not_begin_a_sentence() {
        let [who, whom, whose] = [0, 1, 2].map(|at| OPENINGS[at]);
        for (file, line, found) in [
            ("a.rs", format!("    /// {who} asks."), Some(who)),
            ("a.rs", format!("//! Told. {whom} it concerns."), Some(whom)),
            (
                "a.rs",
                format!("    // A folder: {whose} it is."),
                Some(whose),
            ),
            ("a.toml", format!("# {who} listens."), Some(who)),
            ("a.md", format!("**Ids.** {who} chooses them"), Some(who)),
            ("a.rs", format!("fn push(who: {who}) {{}}"), None),
            (
                "a.rs",
                format!("/// As [`{who}`] and `a::{who}` say."),
                None,
            ),
            ("a.rs", "/// A client who asks.".to_owned(), None),
            ("a.rs", format!("/// {whose}ver"), None),
        ] {
            assert_eq!(prose(file, &line).and_then(opening), found, "{line}");
        }
    }

    #[test]
    fn a_word_inside_a_name_is_allowed() {
        for line in [
            format!("| `identity::each_container_is_{SOME}_else` |"),
            format!("fn {WHO}_asks() {{}}"),
            format!("{USER}s"),
            "a client, the caller, no process".to_owned(),
        ] {
            assert!(refused(&line).is_empty(), "{line}");
        }
    }

    #[test]
    fn the_user_of_that_name_is_allowed_in_quotes() {
        for line in [
            "files belong to `nobody` inside",
            "user = \"nobody\"",
            "(uid 65534, 'nobody')",
            r#"json = "{\"User\": \"nobody\"}""#,
        ] {
            assert!(refused(line).is_empty(), "{line}");
        }
        for quotes in ["`{}", "\"{}'", "\"{} asks\"", "`{}`, and {} else"] {
            let line = quotes.replace("{}", USER);
            assert_eq!(refused(&line), [USER], "{line}");
        }
        assert_eq!(refused(&format!("`{SOME}`")), [SOME]);
    }

    #[test]
    fn the_list_has_files_and_folders() {
        assert!(holds("docs/", "docs/a/b.md"));
        assert!(holds("Cargo.toml", "Cargo.toml"));
        assert!(!holds("Cargo.toml", "Cargo.toml.md"));
        assert!(!holds("docs/", "docs2/a.md"));
        assert!(is_clean("xtask/src/tidy/words.rs"));
        assert!(is_clean("crates/any/src/lib.rs"));
        assert!(!is_clean("not_listed/src/lib.rs"));
    }
}
