//! Following a document, step by step.

use std::{fs, time::Duration};

use super::{
    blocks, exceptions,
    place::Place,
    shell::{Ended, Shell},
    shown,
    steps::{self, Command, DocumentStep, File},
};
use crate::Repository;

/// The prompt of a root's shell in a container. A command whose output shows it is typed at a terminal, and so is what
/// stands behind each of them.
const PROMPT: &str = "/ # ";

/// How long what a session has started may take to leave.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// The systems that end with the handles of a program.
    systems: Duration,
    /// Programs, and the service, which is told to stay a second after its last client.
    programs: Duration,
}

impl Patience {
    const OF_A_BUSY_MACHINE: Self = Self {
        systems: Duration::from_secs(60),
        programs: Duration::from_secs(60),
    };
}

/// Follows `document`, and fails with all that is not as it says.
pub(super) fn holds(repository: &Repository, document: &str) {
    let text = repository.read(document).unwrap();
    let faults = faults(repository, &text, Patience::OF_A_BUSY_MACHINE);
    let named: Vec<String> = faults
        .iter()
        .map(|fault| format!("{document}, {fault}"))
        .collect();
    assert!(named.is_empty(), "\n{}\n", named.join("\n"));
}

/// What is wrong with a document.
fn faults(repository: &Repository, text: &str, patience: Patience) -> Vec<String> {
    let steps = match blocks::of(text).and_then(|blocks| steps::of(&blocks)) {
        Ok(steps) => steps,
        Err(fault) => return vec![fault],
    };
    let is_run = |step: &DocumentStep| matches!(step, DocumentStep::Run(it) if exceptions::of(&it.text).is_none());
    let place = Place::new(repository, steps.iter().any(is_run));
    let mut session = Session {
        shell: Shell::new(&place),
        at: place.checkout().display().to_string(),
        place: &place,
    };
    let mut faults: Vec<String> = steps
        .iter()
        .filter_map(|step| session.follow(step).err())
        .collect();
    faults.extend(session.end(patience.systems));
    faults.extend(
        place
            .leave(patience.programs)
            .iter()
            .map(|thing| format!("what is left: {thing}")),
    );
    faults
}

struct Session<'a> {
    place: &'a Place<'a>,
    shell: Shell,
    /// The directory of the shell.
    at: String,
}

impl Session<'_> {
    fn follow(&mut self, step: &DocumentStep) -> Result<(), String> {
        match step {
            DocumentStep::Write(File { line, name, text }) => {
                fs::write(format!("{}/{name}", self.at), text)
                    .map_err(|error| format!("line {line}: {name} cannot be written: {error}"))
            }
            DocumentStep::Run(command) => {
                let Command { line, text, .. } = command;
                println!("{line}: {text}");
                self.run(command)
                    .map_err(|fault| format!("line {line}: `{text}` {fault}"))
            }
        }
    }

    fn run(&mut self, command: &Command) -> Result<(), String> {
        let shown = command.shown.as_deref();
        if let Some(exception) = exceptions::of(&command.text) {
            if shown.is_some_and(|shown| !shown.is_empty()) {
                return Err("is not run by the tests, so its output must not be shown".to_owned());
            }
            return exception
                .check(&command.text, self.place, &self.at)
                .map_err(|fault| {
                    format!("is not run ({}), but checked: {fault}", exception.reason)
                });
        }
        let typed = shown
            .unwrap_or_default()
            .iter()
            .filter_map(|line| line.strip_prefix(PROMPT));
        let keys: Vec<String> = typed.map(str::to_owned).collect();
        let ended = if keys.is_empty() {
            self.shell.run(&command.text)?
        } else {
            self.shell.run_at_terminal(&command.text, PROMPT, keys)?
        };
        let Ended {
            said,
            code,
            directory,
        } = ended;
        self.at = directory;
        print!("{said}");
        if code != 0 {
            return Err(format!("exits with {code}:\n{said}"));
        }
        let lines: Vec<&str> = said.lines().collect();
        match shown {
            Some(shown) if !shown::matches(shown, &lines) => {
                Err(format!("shows\n{}\nand says\n{said}", shown.join("\n")))
            }
            _ => Ok(()),
        }
    }

    /// Ends the session; the systems that the document has left.
    fn end(mut self, patience: Duration) -> Vec<String> {
        let left = match self.place.has_met_a_service() {
            true => self.systems(patience).unwrap_or_else(|fault| vec![fault]),
            false => Vec::new(),
        };
        self.shell.end();
        left
    }

    /// The systems that are there and do not end within `patience`. They are ended.
    fn systems(&mut self, patience: Duration) -> Result<Vec<String>, String> {
        let wait = format!(
            "hcs list -q | while read id; do hcs wait --timeout {} $id; done",
            patience.as_secs_f64()
        );
        self.shell.run(&wait)?;
        let list = self.shell.run("hcs list -q")?.said;
        if !list.is_empty() {
            self.shell.run("hcs terminate --all")?;
        }
        Ok(list
            .lines()
            .map(|id| format!("what is left: system {id}"))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(text: &str, patience: Patience) -> Vec<String> {
        faults(&Repository::here().unwrap(), text, patience)
    }

    #[test]
    fn what_a_document_says_wrongly_is_told() {
        let text = "```console\n$ echo a\nb\n$ echo a\n$ (exit 3)\n$ echo c\nc\n$ ldconfig\nd\n$ exit 0\n$ true\n```\n";
        let faults = faults_of(text, Patience::OF_A_BUSY_MACHINE);
        let starts = [
            "line 2: `echo a` shows\nb\n",
            "line 4: `echo a` shows",
            "line 5: `(exit 3)` exits with 3",
            "line 8: `ldconfig` is not run",
            "line 10: `exit 0` ended the shell",
            "line 11: `true` ",
        ];
        assert_eq!(faults.len(), starts.len(), "{faults:?}");
        for (fault, start) in faults.iter().zip(starts) {
            assert!(fault.starts_with(start), "{faults:?}");
        }
    }

    #[test]
    fn what_a_document_leaves_is_told() {
        let text = "```sh\necho > $TMPDIR/kept\nsleep 1000 &\n```\n";
        let patience = Patience {
            programs: Duration::ZERO,
            ..Patience::OF_A_BUSY_MACHINE
        };
        let faults = faults_of(text, patience);
        assert_eq!(faults.len(), 2, "{faults:?}");
        let kept = faults[1].ends_with("tmp/kept");
        assert!(faults[0].contains("left: process") && kept, "{faults:?}");
    }

    #[test]
    fn systems_that_a_document_leaves_are_told_and_ended() {
        let text = "```sh\ncargo xtask install\nhcs create --id kept\n```\n";
        let patience = Patience {
            systems: Duration::from_millis(1),
            ..Patience::OF_A_BUSY_MACHINE
        };
        assert_eq!(faults_of(text, patience), ["what is left: system kept"]);
    }
}
