//! Options that other container tools have and hcs does not: what to write in their place.

use clap::{
    Error,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Options, and what there is.
const HABITS: [(&[&str], &str); 6] = [
    (
        &["-v", "--volume", "--bind"],
        "--mount HOST:GUEST[:OPTION,...] lets a directory appear inside",
    ),
    (
        &["--rm"],
        "a container is removed when its command has ended, unless there is --keep",
    ),
    (
        &["-n", "--name"],
        "the name of a container is given as --id",
    ),
    (
        &["-d", "--detach"],
        "a container runs on by itself after hcs create and hcs start, and after hcs run --keep",
    ),
    (&["-m"], "the limit of memory is given as --memory MB"),
    (
        &["--net", "--network"],
        "--net-namespace NAME takes a network namespace made by ip netns add",
    ),
];

/// A complaint about the command line, with the advice for an option that is a habit from elsewhere.
pub(crate) fn advised(mut error: Error) -> Error {
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(ContextValue::String(found)) = error.get(ContextKind::InvalidArg)
        && let Some(advice) = advice(found)
    {
        let advice = ContextValue::StyledStrs(vec![StyledStr::from(advice)]);
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, advice);
    }
    error
}

fn advice(option: &str) -> Option<&'static str> {
    let named = |(options, _): &&(&[&str], &str)| options.contains(&option);
    HABITS.iter().find(named).map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn habits_from_elsewhere_are_answered_with_what_there_is() {
        for (options, advice) in HABITS {
            for option in options {
                let error = Cli::try_parse_from(["hcs", "run", option, "x", "--", "sh"]);
                let said = advised(error.unwrap_err()).to_string();
                assert!(said.contains(&format!("tip: {advice}")), "{option}: {said}");
            }
        }
    }

    #[test]
    fn no_habit_is_an_option_of_ours() {
        let cli = Cli::command();
        let run = cli.find_subcommand("run").unwrap();
        for option in HABITS.iter().flat_map(|(options, _)| options.iter()) {
            let name = option.trim_start_matches('-');
            let ours = run.get_arguments().any(|argument| {
                argument.get_long() == Some(name)
                    || argument
                        .get_short()
                        .is_some_and(|short| short.to_string() == name)
            });
            assert!(!ours, "{option}");
        }
    }
}
