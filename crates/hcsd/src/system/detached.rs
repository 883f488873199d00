//! The first process of a system whose output its agent keeps (`Detached`), as lists of systems tell of it.

use std::rc::Rc;

use hcs_schema::documents::{ProcessParameters, ProcessStatus};

use super::{System, process::Process};

/// What is known of it.
#[derive(Debug, Default)]
pub(super) enum Detached {
    /// There has been none.
    #[default]
    None,
    /// An earlier service may have made one, which the agent knows.
    Unknown,
    Process(Rc<Process>),
}

/// How many bytes of a command are kept: enough to tell it from others.
const MOST: usize = 256;

impl System {
    /// Its agent keeps the output of `process`, which `document` describes.
    pub(crate) fn has_detached(&self, process: &Rc<Process>, document: &ProcessParameters) {
        let mut detached = self.detached.borrow_mut();
        if matches!(*detached, Detached::None) {
            *detached = Detached::Process(Rc::clone(process));
        }
        drop(detached);
        // Of an earlier service's system the agent tells how the process ended. Its command is written down as soon as
        // it has one, so that without a command there was no process.
        if self.detached_command.borrow().is_none() {
            self.detached_command.replace(Some(command(document)));
            self.write_down(self.state());
        }
    }

    /// An earlier service may have made one, and has written down its `command` then.
    pub(super) fn adopt_detached(&self, command: Option<Vec<String>>) {
        self.detached.replace(Detached::Unknown);
        self.detached_command.replace(command);
    }

    /// The process, as it is or as it ended; empty where the agent alone knows of it.
    pub(crate) fn detached(&self) -> Option<ProcessStatus> {
        match &*self.detached.borrow() {
            Detached::None => None,
            Detached::Unknown => Some(ProcessStatus::default()),
            Detached::Process(process) => serde_json::from_str(&process.status()).ok(),
        }
    }

    /// The beginning of its command.
    pub(crate) fn detached_command(&self) -> Option<Vec<String>> {
        self.detached_command.borrow().clone()
    }
}

/// The first [`MOST`] bytes of the arguments, or of the command line.
fn command(document: &ProcessParameters) -> Vec<String> {
    let line = || document.command_line.clone().into_iter().collect();
    let arguments = document.command_args.clone();
    let arguments = arguments.filter(|arguments| !arguments.is_empty());
    let mut left = MOST;
    let mut command = Vec::new();
    for mut argument in arguments.unwrap_or_else(line) {
        let mut fits = argument.len().min(left);
        while !argument.is_char_boundary(fits) {
            fits -= 1;
        }
        let all = fits == argument.len();
        argument.truncate(fits);
        left -= fits;
        command.push(argument);
        if !all || left == 0 {
            break;
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_command_is_kept() {
        let told = |document: &str| command(&serde_json::from_str(document).unwrap());
        assert_eq!(
            told(r#"{"CommandArgs": ["sh", "-c", "x"], "CommandLine": "y"}"#),
            ["sh", "-c", "x"]
        );
        assert_eq!(told(r#"{"CommandLine": "sh -c x"}"#), ["sh -c x"]);
        assert!(told("{}").is_empty());
        let long = format!(
            r#"{{"CommandArgs": ["{}", "é{}", "never"]}}"#,
            "a".repeat(255),
            "b".repeat(9)
        );
        let told = told(&long);
        // No part of a character is kept.
        assert_eq!(told, ["a".repeat(255), String::new()]);
    }
}
