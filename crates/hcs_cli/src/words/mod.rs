//! Words of other tools that hcs does not have, and what to type in their place.
//!
//! [`verbs`] and [`options`] are the tables; what stands between backticks in them is typed, and a test types it. Words
//! that mean the same here are no rows but aliases of verbs and options. [`options`] is about verbs that make
//! containers and commands; [`others`] is about all other verbs.

mod options;
mod others;
mod verbs;

use std::ffi::OsString;

use clap::{
    Command, Error,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Words, and what is answered to each of them.
pub(crate) type Row = (&'static [&'static str], &'static str);

/// A complaint about the command line, with an answer where it is about a word of another tool. `line` is all of its
/// words, the program's name first. Of these the verb decides: the same word means something else behind another.
pub(crate) fn advised(mut error: Error, line: &[OsString]) -> Error {
    let verb = line.get(1).and_then(|verb| verb.to_str());
    if error.kind() == ErrorKind::DisplayHelp && asks_for_host_name(line) {
        return host_name();
    }
    let (context, table) = match (error.kind(), verb) {
        (ErrorKind::InvalidSubcommand, Some("image")) => {
            (ContextKind::InvalidSubcommand, verbs::IMAGE_ROWS)
        }
        (ErrorKind::InvalidSubcommand, Some("network")) => {
            (ContextKind::InvalidSubcommand, others::OF_NETWORKS)
        }
        (_, Some("disk" | "guest-image" | "service")) => return error,
        (ErrorKind::UnknownArgument, _) => (ContextKind::InvalidArg, options_behind(line)),
        (ErrorKind::InvalidSubcommand, _) => (ContextKind::InvalidSubcommand, verbs::ROWS),
        _ => return error,
    };
    let Some(ContextValue::String(found)) = error.get(context) else {
        return error;
    };
    let Some(answer) = answer(table, found) else {
        let found = found.clone();
        return without_far_guesses(error, &found);
    };
    error.remove(ContextKind::SuggestedArg);
    error.remove(ContextKind::SuggestedSubcommand);
    let answer = ContextValue::StyledStrs(vec![StyledStr::from(answer)]);
    error.insert(ContextKind::Suggested, answer);
    error
}

/// The table of options for the verb of this line.
fn options_behind(line: &[OsString]) -> &'static [Row] {
    let word = |at: usize| line.get(at).and_then(|word| word.to_str());
    let Some(verb) = word(1) else {
        return &[];
    };
    let two = format!("{verb} {}", word(2).unwrap_or_default());
    if ["run", "create", "exec", "update"].contains(&verb) {
        return options::ROWS;
    }
    let mut tables = others::OPTIONS.iter();
    let table = tables.find(|(verbs, _)| verbs.contains(&verb) || verbs.contains(&two.as_str()));
    table.map_or(&[], |(_, rows)| rows)
}

/// The complaint about `found` without guesses that no slip of a finger explains, nor the one that an option was meant
/// as the value of another. The words that they lead to do something else.
fn without_far_guesses(mut error: Error, found: &str) -> Error {
    for guesses in [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand] {
        let near: Vec<String> = match error.get(guesses) {
            Some(ContextValue::String(one)) => vec![one.clone()],
            Some(ContextValue::Strings(some)) => some.clone(),
            _ => continue,
        };
        let near: Vec<String> = near.into_iter().filter(|one| is_slip(found, one)).collect();
        error.remove(guesses);
        if let [one] = near.as_slice() {
            error.insert(guesses, ContextValue::String(one.clone()));
        } else if !near.is_empty() {
            error.insert(guesses, ContextValue::Strings(near));
        }
    }
    if found.starts_with('-') {
        error.remove(ContextKind::Suggested);
    }
    error
}

/// Whether `meant` becomes `typed` by at most two letters more, less or other, or if it is begun or gone on with.
fn is_slip(typed: &str, meant: &str) -> bool {
    let (typed, meant) = (typed.trim_start_matches('-'), meant.trim_start_matches('-'));
    let begun = typed.len() >= 3 && (meant.starts_with(typed) || typed.starts_with(meant));
    begun || distance(typed, meant) <= 2.min(typed.len() / 3)
}

/// How many letters have to be added, left out or replaced.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.chars().enumerate() {
        let mut left_above = above;
        row[0] = above + 1;
        for (column, known) in other.iter().enumerate() {
            let replaced = left_above + usize::from(letter != *known);
            left_above = row[column + 1];
            row[column + 1] = replaced.min(left_above + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// The complaint about `-h` as a host name.
fn host_name() -> Error {
    let (words, answer) = options::HOST_NAME;
    let mut error = Error::new(ErrorKind::UnknownArgument).with_cmd(&Command::new("hcs"));
    let word = words.concat();
    error.insert(ContextKind::InvalidArg, ContextValue::String(word));
    let answer = ContextValue::StyledStrs(vec![StyledStr::from(answer)]);
    error.insert(ContextKind::Suggested, answer);
    error
}

/// Whether `-h` has something behind it that is no option: other tools take that for a host name.
fn asks_for_host_name(line: &[OsString]) -> bool {
    let makes = line
        .get(1)
        .is_some_and(|verb| verb == "run" || verb == "create");
    let at = line.iter().position(|word| word == "-h");
    let behind = at.and_then(|at| line.get(at + 1));
    makes && behind.is_some_and(|word| !word.as_encoded_bytes().starts_with(b"-"))
}

/// What is answered to a verb that is not there.
pub(crate) fn of_verb(verb: &str) -> Option<&'static str> {
    answer(verbs::ROWS, verb)
}

fn answer(table: &[Row], word: &str) -> Option<&'static str> {
    let word = word.split_once('=').map_or(word, |(word, _)| word);
    let mut rows = table.iter();
    rows.find(|(words, _)| words.contains(&word))
        .map(|(_, answer)| *answer)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::Cli;

    fn complaint(line: &[&str]) -> String {
        let error = Cli::try_parse_from(line).unwrap_err();
        let line: Vec<OsString> = line.iter().map(OsString::from).collect();
        advised(error, &line).to_string()
    }

    #[test]
    fn every_option_of_the_table_is_answered() {
        for (words, answer) in options::ROWS {
            for word in *words {
                for verb in ["run", "exec", "create"] {
                    let said = complaint(&["hcs", verb, word, "x", "--", "sh"]);
                    assert!(said.contains(&format!("tip: {answer}")), "{word}: {said}");
                    assert_eq!(said.matches("tip: ").count(), 1, "{word}: {said}");
                }
                if word.starts_with("--") {
                    let said = complaint(&["hcs", "run", &format!("{word}=x"), "--", "sh"]);
                    assert!(said.contains(&format!("tip: {answer}")), "{word}: {said}");
                }
            }
        }
    }

    #[test]
    fn a_host_name_behind_h_is_answered() {
        for line in [
            &["hcs", "run", "-h", "web", "--", "sh"][..],
            &["hcs", "create", "-h", "web"],
        ] {
            let said = complaint(line);
            assert!(said.contains(options::HOST_NAME.1), "{said}");
        }
        for line in [
            &["hcs", "run", "-h"][..],
            &["hcs", "run", "-h", "--", "sh"],
            &["hcs", "exec", "-h", "box"],
        ] {
            let said = complaint(line);
            assert!(!said.contains(options::HOST_NAME.1), "{said}");
        }
    }

    #[test]
    fn every_verb_of_the_table_is_answered() {
        for (words, answer) in verbs::ROWS {
            for word in *words {
                for line in [&["hcs", word][..], &["hcs", word, "-x", "box"]] {
                    let said = complaint(line);
                    assert!(said.contains(&format!("tip: {answer}")), "{word}: {said}");
                    assert_eq!(said.matches("tip: ").count(), 1, "{word}: {said}");
                }
            }
        }
    }

    #[test]
    fn a_guess_is_a_slip_of_a_finger() {
        for (typed, meant) in [
            ("--memroy", "--memory"),
            ("--work", "--workdir"),
            ("--ulimits", "--ulimit"),
        ] {
            let said = complaint(&["hcs", "run", typed, "x", "--", "sh"]);
            assert!(said.contains(&format!("'{meant}'")), "{said}");
            assert!(!said.contains("as a value"), "{said}");
        }
        for typed in ["--security", "--dirs", "--oscar"] {
            let said = complaint(&["hcs", "run", typed, "x", "--", "sh"]);
            assert!(!said.contains("tip: "), "{said}");
        }
        assert!(complaint(&["hcs", "lst"]).contains("'list'"));
        assert!(!complaint(&["hcs", "frobnicate"]).contains("tip: "));
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!((distance("", "ab"), distance("ab", "")), (2, 2));
    }

    #[test]
    fn verbs_of_images_are_answered_as_such() {
        for (words, answer) in verbs::IMAGE_ROWS {
            for word in *words {
                let said = complaint(&["hcs", "image", word, "x"]);
                assert!(said.contains(&format!("tip: {answer}")), "{word}: {said}");
            }
        }
        let said = complaint(&["hcs", "image", "remove", "--force", "x"]);
        assert!(!said.contains("hcs terminate"), "{said}");
    }

    /// An option means something else behind another verb: `-f` of `rm` is `--force`, that of `ps` is `--filter`.
    #[test]
    fn options_of_other_verbs_are_answered_by_their_verbs() {
        for (verbs, rows) in others::OPTIONS {
            for verb in *verbs {
                for (words, answer) in *rows {
                    for word in *words {
                        let line: Vec<&str> = ["hcs"]
                            .into_iter()
                            .chain(verb.split(' '))
                            .chain([*word, "x"])
                            .collect();
                        let said = complaint(&line);
                        assert!(said.contains(&format!("tip: {answer}")), "{line:?}: {said}");
                        assert_eq!(said.matches("tip: ").count(), 1, "{line:?}: {said}");
                    }
                }
            }
        }
        // What is said of `hcs run` is not said of others.
        for line in [
            "hcs list --privileged",
            "hcs logs -v",
            "hcs network list -m x",
        ] {
            let said = complaint(&line.split(' ').collect::<Vec<_>>());
            assert!(!said.contains("tip: "), "{said}");
        }
    }

    #[test]
    fn verbs_of_networks_are_answered_as_such() {
        for (words, answer) in others::OF_NETWORKS {
            for word in *words {
                let said = complaint(&["hcs", "network", word, "x"]);
                assert!(said.contains(&format!("tip: {answer}")), "{word}: {said}");
            }
        }
        let said = complaint(&["hcs", "network", "rename", "x"]);
        assert!(!said.contains("tip: "), "{said}");
    }

    #[test]
    fn no_word_stands_in_the_tables_twice() {
        let others = others::OPTIONS.iter().map(|(_, rows)| *rows);
        for table in [
            options::ROWS,
            verbs::ROWS,
            verbs::IMAGE_ROWS,
            others::OF_NETWORKS,
        ]
        .into_iter()
        .chain(others)
        {
            let mut seen = BTreeSet::new();
            for word in table.iter().flat_map(|(words, _)| *words) {
                assert!(seen.insert(word), "{word}");
            }
        }
    }

    /// What an answer says to type.
    fn typed(answer: &str) -> impl Iterator<Item = &str> {
        answer.split('`').skip(1).step_by(2)
    }

    #[test]
    fn what_is_to_be_typed_is_understood() {
        let mut commands = 0;
        for (words, answer) in options::ROWS
            .iter()
            .chain([&options::HOST_NAME])
            .chain(verbs::ROWS)
            .chain(verbs::IMAGE_ROWS)
            .chain(others::OF_NETWORKS)
            .chain(others::OPTIONS.iter().flat_map(|(_, rows)| *rows))
        {
            assert_eq!(answer.matches('`').count() % 2, 0, "{answer}");
            for text in typed(answer) {
                let parts = shlex::split(text).unwrap();
                let line = match parts[0].as_str() {
                    "hcs" => parts,
                    option if option.starts_with('-') => {
                        let run = ["hcs", "run"].map(str::to_owned).to_vec();
                        [run, parts, vec!["true".to_owned()]].concat()
                    }
                    other => panic!("{words:?}: is {other:?} ours?"),
                };
                let read = Cli::try_parse_from(&line);
                assert!(read.is_ok(), "{words:?}: {text}: {}", read.unwrap_err());
                commands += 1;
            }
        }
        assert!(commands > 30, "{commands}");
    }

    /// Row N6.
    #[test]
    fn the_words_people_know_work_or_are_answered() {
        let cli = Cli::command();
        for verb in "kill logs cp images pull build top attach port version info help completion man start stop rm ps \
                     unpause restart rename stats update commit push tag login search save load diff export import \
                     prune system network volume compose healthcheck machine context plugin init mount umount untag secret"
            .split_whitespace()
        {
            let ours = cli.find_subcommand(verb).is_some();
            assert!(ours != of_verb(verb).is_some(), "{verb}");
        }
        let run = cli.find_subcommand("run").unwrap();
        for option in "-p --publish --entrypoint --privileged --cap-add --device --read-only --tmpfs --restart -d --rm \
                       --name -v --volume -e --env -u --user -w --network --hostname --init --pull --bind --ro-bind \
                     --bind-try --dev --proc --dir --symlink --perms --chdir --setenv --unsetenv --clearenv --uid --seccomp \
                     --args --overlay --die-with-parent --unshare-all --share-net --volumes-from --sysctl --oom-score-adj \
                     --systemd --tz --umask --secret --attach --quiet --tls-verify --arch --http-proxy --passwd"
            .split_whitespace()
        {
            let name = option.trim_start_matches('-');
            let ours = run.get_arguments().any(|argument| {
                let long = argument.get_long_and_visible_aliases().unwrap_or_default();
                let short = argument.get_short().map(String::from);
                long.contains(&name) || short.as_deref() == Some(name)
            });
            assert!(ours != answer(options::ROWS, option).is_some(), "{option}");
        }
    }
}
