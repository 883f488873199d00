//! The commands of the documents that no test can run, and what is checked in their place.

use std::path::Path;

use clap::Parser as _;

use super::place::Place;
use crate::{Arguments, Repository, Task, process::installed};

/// A command that is not run.
#[derive(Debug)]
pub(super) struct Exception {
    /// Its first words.
    pub command: &'static str,
    /// Why no test runs it.
    pub reason: &'static str,
    /// What is checked.
    instead: Instead,
}

/// What is done in the place of a command. All of it holds the words to what there is.
#[derive(Debug)]
enum Instead {
    /// The parser of `cargo xtask` reads it.
    Task,
    /// The same, and what is built for the tests is placed below the prefix of the session.
    Install,
    /// There is such a crate, and it has benchmarks.
    Benchmarks,
    /// The program is installed.
    Program,
    /// One of the words is a folder with this file.
    Folder(&'static str),
    /// A test in this file follows the section of the document, where it changes no machine.
    Test(&'static str),
}

/// Makes an exception of a command that would change the network of this machine.
const fn network(command: &'static str) -> Exception {
    Exception {
        command,
        reason: "would make a bridge and rules of this machine; a test follows the section in a network namespace",
        instead: Instead::Test("crates/hcs_cli/tests/cli/networks.rs"),
    }
}

/// All of them; the first that fits counts.
pub(super) const ALL: &[Exception] = &[
    Exception {
        command: "cargo xtask install",
        reason: "builds the release, which takes minutes, and writes below /usr/local",
        instead: Instead::Install,
    },
    Exception {
        command: "cargo xtask",
        reason: "runs this test, or works for minutes, or changes the repository",
        instead: Instead::Task,
    },
    Exception {
        command: "cargo bench -p",
        reason: "builds and measures for minutes",
        instead: Instead::Benchmarks,
    },
    Exception {
        command: "ldconfig",
        reason: "changes the libraries of all programs of the machine; LD_LIBRARY_PATH does it for the session",
        instead: Instead::Program,
    },
    Exception {
        command: "pip install",
        reason: "fetches setuptools; a test of crates/computecore installs the folder without that",
        instead: Instead::Folder("pyproject.toml"),
    },
    Exception {
        command: "dotnet run",
        reason: "no registry of the tests has an SDK; a test of crates/computecore runs the sample in .NET's runtime",
        instead: Instead::Folder("hcs-run.csproj"),
    },
    network("hcs run -d --id web -p 8080:80"),
    network("busybox wget -q -O - http://127.0.0.1:8080/hostname"),
    network("hcs run -- ip route"),
    network("hcs run -- getent hosts web"),
    network("hcs network list"),
    network("hcs terminate web"),
    network("hcs network remove nat"),
];

/// The exception that a command is, if it is one.
pub(super) fn of(command: &str) -> Option<&'static Exception> {
    ALL.iter().find(|exception| {
        let rest = command.strip_prefix(exception.command);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    })
}

impl Exception {
    /// Checks `command`, in directory `at`, without running it.
    ///
    /// # Errors
    /// Its words name what is not there.
    pub(super) fn check(&self, command: &str, place: &Place<'_>, at: &str) -> Result<(), String> {
        let words = shlex::split(command).ok_or("the shell would wait for more of it")?;
        if words
            .iter()
            .any(|word| ["&&", "||", ";", "|"].contains(&word.as_str()))
        {
            return Err("it is not run, so it has to stand alone".to_owned());
        }
        match self.instead {
            Instead::Task => task(&words).map(|_| ()),
            Instead::Install => match task(&words)? {
                Task::Install(_) => place.install(),
                other => Err(format!("it is read as {other:?}")),
            },
            Instead::Benchmarks => {
                benchmarks(place.repository(), words.last().map_or("", String::as_str))
            }
            Instead::Program => {
                let system = |folder| Path::new(folder).join(&words[0]).is_file();
                let there = ["/sbin", "/usr/sbin"].into_iter().any(system) || installed(&words[0]);
                there
                    .then_some(())
                    .ok_or_else(|| format!("there is no program {}", words[0]))
            }
            Instead::Test(file) => {
                let text = place.repository().read(file);
                let text = text.map_err(|error| error.to_string())?;
                let follows = text.contains("README.md");
                follows
                    .then_some(())
                    .ok_or_else(|| format!("{file} does not follow the document"))
            }
            Instead::Folder(file) => {
                let has = |word: &String| Path::new(at).join(word).join(file).is_file();
                let there = words[1..].iter().any(has);
                there
                    .then_some(())
                    .ok_or_else(|| format!("no folder that it names has {file}"))
            }
        }
    }
}

fn task(words: &[String]) -> Result<Task, String> {
    // `cargo xtask` is the name of the program.
    let read = Arguments::try_parse_from(&words[1..]);
    read.map(|read| read.task)
        .map_err(|error| error.to_string())
}

fn benchmarks(repository: &Repository, package: &str) -> Result<(), String> {
    let manifest = format!("crates/{package}/Cargo.toml");
    let text = repository
        .read(&manifest)
        .map_err(|error| error.to_string())?;
    let has = text.lines().any(|line| line == "[[bench]]");
    has.then_some(())
        .ok_or_else(|| format!("{manifest} has no [[bench]]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_told_by_whole_words() {
        let found = |command| of(command).map(|exception| exception.command);
        assert_eq!(found("cargo xtask tidy --fix"), Some("cargo xtask"));
        assert_eq!(
            found("cargo xtask install --prefix /opt"),
            Some("cargo xtask install")
        );
        assert_eq!(found("ldconfig"), Some("ldconfig"));
        assert_eq!(found("ldconfigs"), None);
        assert_eq!(found("hcs run -- ldconfig"), None);
    }

    #[test]
    fn words_of_a_task_are_held_to_what_it_takes() {
        let words = |line| shlex::split(line).unwrap();
        assert!(task(&words("cargo xtask tidy --fix fmt  # mends")).is_ok());
        for wrong in [
            "cargo xtask tydi",
            "cargo xtask test --all",
            "cargo xtask torture --seed x",
            "cargo xtask tidy format",
            "cargo xtask bench exec",
        ] {
            assert!(task(&words(wrong)).is_err(), "{wrong}");
        }
    }
}
