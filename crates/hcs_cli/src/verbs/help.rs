//! `hcs help`: what `--help` says.

use clap::{Args, Command};
use hcs_schema::{Failure, HResult};

use crate::{failure::Stop, output::print, words};

/// Show the help of hcs, or of a verb
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs help
  hcs help run                     the same as hcs run --help")]
pub(crate) struct Help {
    /// The verb
    verb: Option<String>,
}

impl Help {
    /// `cli` is the whole command line.
    pub(crate) fn run(self, cli: Command) -> Result<u8, Stop> {
        let mut line = vec!["hcs"];
        if let Some(verb) = &self.verb {
            if cli.find_subcommand(verb).is_none() {
                return Err(unknown(verb).into());
            }
            line.push(verb);
        }
        line.push("--help");
        match cli.try_get_matches_from(line) {
            Err(help) if !help.use_stderr() => print(&help.to_string())?,
            _ => {
                let message = "--help has no answer";
                return Err(Failure::new(HResult::E_UNEXPECTED, message).into());
            }
        }
        Ok(0)
    }
}

/// The failure of asking for a verb that is not there.
fn unknown(verb: &str) -> Failure {
    let failure = Failure::new(HResult::E_INVALIDARG, format!("there is no verb {verb:?}"));
    failure.cause(words::of_verb(verb).unwrap_or("hcs help lists all verbs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_of_another_tool_is_answered() {
        let failure = unknown("kill");
        assert!(failure.message.contains("\"kill\""));
        assert!(failure.causes[0].message.contains("`hcs terminate box`"));
        let failure = unknown("frobnicate");
        assert!(failure.causes[0].message.contains("hcs help"));
    }
}
