//! From a `ProcessParameters` document to what `execve` takes. Pure.

use std::ffi::CString;

use hcs_schema::{Failure, HResult, Stdio, documents::ProcessParameters};

use crate::archive;

/// `PATH` of a process whose environment has none.
pub(crate) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// `TERM` of a process on an emulated console whose environment has none.
const DEFAULT_TERM: &str = "xterm";
/// `HOME` of a user who has none.
const DEFAULT_HOME: &str = "/";
/// Console size of a process that names none, or names 0: the classic terminal.
const DEFAULT_CONSOLE: ConsoleSize = ConsoleSize {
    rows: 24,
    columns: 80,
};

/// Size of a console in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConsoleSize {
    /// Height.
    pub(crate) rows: u16,
    /// Width.
    pub(crate) columns: u16,
}

/// A command, everything in it decided but the user's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// The program as it was named.
    pub(crate) program: String,
    /// The `PATH` it is searched in; `None` when it was named with a slash.
    pub(crate) path: Option<String>,
    /// The files to try, in this order.
    pub(crate) candidates: Vec<CString>,
    /// `argv`.
    pub(crate) arguments: Vec<CString>,
    /// `NAME=value`.
    pub(crate) environment: Vec<CString>,
    /// Working directory.
    pub(crate) directory: CString,
    /// The emulated console's size, if there is to be one.
    pub(crate) console: Option<ConsoleSize>,
    /// Which streams come from the host, or are kept; never standard error with an emulated console.
    pub(crate) streams: Stdio<bool>,
    /// Whether its output is kept.
    pub(crate) detached: bool,
    /// Whether the program is not a file of the system, but the agent's own (`archive`).
    pub(crate) own: bool,
}

/// Why a document is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommandError {
    /// Neither arguments nor a program.
    #[error("the document names no program: CommandArgs or CommandLine is missing or empty")]
    Empty,
    /// Words cannot be told apart.
    #[error("CommandLine {0:?} cannot be split into words: a quote or a backslash is left open")]
    Quoting(String),
    /// A name no environment can have.
    #[error("{0:?} is no name for an environment variable: it must not be empty or contain '='")]
    VariableName(String),
    /// C strings end at the first NUL.
    #[error("{place} contains a NUL character: {value:?}")]
    Nul {
        /// Which property.
        place: &'static str,
        /// Its value.
        value: String,
    },
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        Self::new(HResult::E_INVALIDARG, error.to_string())
    }
}

impl Command {
    /// Reads `document`; `home` is the user's home directory.
    pub(crate) fn new(
        document: &ProcessParameters,
        home: Option<&str>,
    ) -> Result<Self, CommandError> {
        let words = match &document.archive {
            Some(document) => archive::arguments(document),
            None => words(document)?,
        };
        let own = document.archive.is_some();
        let named = document
            .application_name
            .as_deref()
            .filter(|name| !name.is_empty() && !own);
        let program = named
            .or(words.first().map(String::as_str))
            .map(str::to_owned);
        let program = program
            .filter(|name| !name.is_empty())
            .ok_or(CommandError::Empty)?;
        let words = if words.is_empty() {
            vec![program.clone()]
        } else {
            words
        };
        let console = console(document);
        let variables = variables(document, home, console.is_some())?;
        let path = variables
            .iter()
            .find(|(name, _)| name == "PATH")
            .map(|(_, value)| value.as_str());
        let path = path.filter(|_| !program.contains('/') && !own);
        let files = candidates(&program, path);
        let directory = document
            .working_directory
            .as_deref()
            .filter(|d| !d.is_empty())
            .unwrap_or("/");
        let on = |flag: Option<bool>| flag.unwrap_or(false);
        Ok(Self {
            program,
            path: path.map(str::to_owned),
            candidates: c_strings("ApplicationName or PATH", files)?,
            directory: c_string("WorkingDirectory", directory.to_owned())?,
            environment: c_strings(
                "Environment",
                variables.iter().map(|(n, v)| format!("{n}={v}")),
            )?,
            arguments: c_strings("the command line", words)?,
            streams: Stdio {
                stdin: on(document.create_std_in_pipe),
                stdout: on(document.create_std_out_pipe),
                stderr: on(document.create_std_err_pipe) && console.is_none(),
            },
            console,
            detached: on(document.detached),
            own,
        })
    }
}

/// The words of the command; empty when there are none.
fn words(document: &ProcessParameters) -> Result<Vec<String>, CommandError> {
    if let Some(arguments) = document
        .command_args
        .as_ref()
        .filter(|list| !list.is_empty())
    {
        return Ok(arguments.clone());
    }
    let line = document.command_line.as_deref().unwrap_or_default();
    shlex::split(line).ok_or_else(|| CommandError::Quoting(line.to_owned()))
}

fn console(document: &ProcessParameters) -> Option<ConsoleSize> {
    if !document.emulate_console.unwrap_or(false) {
        return None;
    }
    let size = match document.console_size.as_deref() {
        Some(&[rows, columns]) if rows != 0 && columns != 0 => ConsoleSize { rows, columns },
        _ => DEFAULT_CONSOLE,
    };
    Some(size)
}

/// The whole environment: what the document says, and defaults for what it does not say.
fn variables(
    document: &ProcessParameters,
    home: Option<&str>,
    console: bool,
) -> Result<Vec<(String, String)>, CommandError> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (name, value) in document.environment.iter().flatten() {
        if name.is_empty() || name.contains('=') {
            return Err(CommandError::VariableName(name.clone()));
        }
        all.push((name.clone(), value.clone()));
    }
    let mut default = |name: &str, value: &str| {
        if !all.iter().any(|(present, _)| present == name) {
            all.push((name.to_owned(), value.to_owned()));
        }
    };
    default("PATH", DEFAULT_PATH);
    default("HOME", home.unwrap_or(DEFAULT_HOME));
    if console {
        default("TERM", DEFAULT_TERM);
    }
    Ok(all)
}

/// Where `program` may be: itself when there is no `path` to search, else in each directory of `path`. An empty
/// directory means the working directory, as POSIX has it.
fn candidates(program: &str, path: Option<&str>) -> Vec<String> {
    let Some(path) = path else {
        return vec![program.to_owned()];
    };
    let mut all: Vec<String> = Vec::new();
    for directory in path.split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        let candidate = format!("{}/{program}", directory.trim_end_matches('/'));
        if !all.contains(&candidate) {
            all.push(candidate);
        }
    }
    all
}

fn c_string(place: &'static str, value: String) -> Result<CString, CommandError> {
    CString::new(value).map_err(|error| CommandError::Nul {
        place,
        value: String::from_utf8_lossy(&error.into_vec()).into_owned(),
    })
}

fn c_strings(
    place: &'static str,
    values: impl IntoIterator<Item = String>,
) -> Result<Vec<CString>, CommandError> {
    values
        .into_iter()
        .map(|value| c_string(place, value))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn command(json: serde_json::Value) -> Result<Command, CommandError> {
        Command::new(&serde_json::from_value(json).unwrap(), Some("/home/bob"))
    }

    fn strings(list: &[CString]) -> Vec<&str> {
        list.iter().map(|s| s.to_str().unwrap()).collect()
    }

    #[test]
    fn a_command_line_is_split_as_a_shell_splits_words() {
        let command =
            command(serde_json::json!({ "CommandLine": r#"sh -c 'echo "a b"' x\ y"# })).unwrap();
        assert_eq!(
            strings(&command.arguments),
            ["sh", "-c", "echo \"a b\"", "x y"]
        );
        assert_eq!(command.program, "sh");
        assert_eq!(
            command.candidates[0].to_str().unwrap(),
            "/usr/local/sbin/sh"
        );
        assert_eq!(command.path.as_deref(), Some(DEFAULT_PATH));
    }

    #[test]
    fn an_application_name_is_the_file_and_arguments_stay() {
        let command = command(serde_json::json!({
            "ApplicationName": "/bin/busybox", "CommandArgs": ["ls", "-l"], "Environment": { "PATH": "/x" }
        })).unwrap();
        assert_eq!(strings(&command.candidates), ["/bin/busybox"]);
        assert_eq!(strings(&command.arguments), ["ls", "-l"]);
        assert_eq!(command.path, None);
    }

    #[test]
    fn the_environment_is_as_given_with_defaults_for_the_rest() {
        let plain = command(
            serde_json::json!({ "CommandLine": "x", "Environment": { "A": "", "HOME": "/h" } }),
        )
        .unwrap();
        assert_eq!(
            strings(&plain.environment),
            ["A=", "HOME=/h", &format!("PATH={DEFAULT_PATH}")]
        );
        let console = command(serde_json::json!({ "CommandLine": "x", "EmulateConsole": true, "Environment": { "PATH": "/p" } })).unwrap();
        assert_eq!(
            strings(&console.environment),
            ["PATH=/p", "HOME=/home/bob", "TERM=xterm"]
        );
    }

    #[test]
    fn a_console_has_no_stderr_and_always_a_size() {
        let console = |size: serde_json::Value| {
            command(serde_json::json!({
                "CommandLine": "x", "EmulateConsole": true, "ConsoleSize": size, "CreateStdErrPipe": true, "CreateStdOutPipe": true
            })).unwrap()
        };
        let size = |rows, columns| Some(ConsoleSize { rows, columns });
        assert_eq!(console(serde_json::json!([40, 120])).console, size(40, 120));
        assert_eq!(console(serde_json::json!([0, 0])).console, size(24, 80));
        assert_eq!(console(serde_json::json!([1])).console, size(24, 80));
        let streams = Stdio {
            stdin: false,
            stdout: true,
            stderr: false,
        };
        assert_eq!(console(serde_json::json!(null)).streams, streams);
    }

    #[test]
    fn what_is_no_command_is_refused_by_name() {
        let error = |json| command(json).unwrap_err();
        assert_eq!(error(serde_json::json!({})), CommandError::Empty);
        assert_eq!(
            error(serde_json::json!({ "CommandArgs": [""] })),
            CommandError::Empty
        );
        assert!(matches!(
            error(serde_json::json!({ "CommandLine": "'open" })),
            CommandError::Quoting(_)
        ));
        let named = |name: &str| {
            error(serde_json::json!({ "CommandLine": "x", "Environment": { name: "v" } }))
        };
        assert!(matches!(named("A=B"), CommandError::VariableName(_)));
        assert!(matches!(named(""), CommandError::VariableName(_)));
        assert!(matches!(named("A\0"), CommandError::Nul { .. }));
        assert!(matches!(
            error(serde_json::json!({ "CommandArgs": ["x", "a\0b"] })),
            CommandError::Nul { .. }
        ));
    }

    proptest! {
        /// Every directory is tried, in order, once.
        #[test]
        fn path_is_searched_in_order(path in "[ab/:.]{0,20}", program in "[a-z]{1,5}") {
            let found = candidates(&program, Some(&path));
            let mut expected: Vec<String> = Vec::new();
            for directory in path.split(':') {
                let directory = match directory { "" => ".", other => other.trim_end_matches('/') };
                let candidate = format!("{directory}/{program}");
                if !expected.contains(&candidate) { expected.push(candidate); }
            }
            prop_assert_eq!(found, expected);
        }
    }
}
