//! The options that describe a process, and its `ProcessParameters` document.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::Args;
use hcs_schema::{Failure, HResult, documents::ProcessParameters};

use super::variable::{self, Variable};
use crate::terminal::Size;

/// What to run.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Process")]
pub(crate) struct ProcessOptions {
    /// Pass our standard input on [default: standard input is empty]
    #[arg(short, long)]
    pub interactive: bool,

    /// Give it a terminal; with -i ours is passed through, keys such as Ctrl-C included
    #[arg(short, long)]
    pub tty: bool,

    /// Set an environment variable, or take over the one we have; repeat for more
    #[arg(short = 'e', long = "env", value_name = "NAME[=VALUE]", value_parser = variable::parse)]
    variables: Vec<Variable>,

    /// Set the variables of a file: a NAME=VALUE or a NAME on each line, those with # left out; --env comes after it;
    /// repeat for more
    #[arg(long = "env-file", value_name = "FILE")]
    variable_files: Vec<PathBuf>,

    /// Directory to start in
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,

    /// User to run as, looked up inside: name, number, or user:group
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,

    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    pub command: Vec<String>,
}

impl ProcessOptions {
    /// Puts the variables of files before the others; `read` reads a file.
    ///
    /// # Errors
    /// A file cannot be read, or a line is no variable.
    pub(crate) fn read_files(
        &mut self,
        read: impl Fn(&Path) -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        let mut all = Vec::new();
        for file in &self.variable_files {
            let read = variable::parse_file(&read(file)?);
            all.extend(read.map_err(|fault| {
                let message = format!("{}: {fault}", file.display());
                Failure::new(HResult::E_INVALIDARG, message)
            })?);
        }
        self.variables.splice(0..0, all);
        Ok(())
    }

    /// What is run, without its arguments.
    pub(crate) fn program(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }

    /// The absolute paths that have to lead somewhere: the directory to start in, and the program.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        let named = self.workdir.as_deref().into_iter().chain([self.program()]);
        named.filter(|path| path.starts_with('/'))
    }

    /// Starts in `directory`, unless another was named.
    pub(crate) fn start_in(&mut self, directory: Option<&str>) {
        if self.workdir.is_none() {
            self.workdir = directory.map(str::to_owned);
        }
    }

    /// The document. `size` is that of our terminal, `ours` reads our environment.
    ///
    /// # Errors
    /// A variable that is taken over cannot be said in JSON.
    pub(crate) fn document(
        &self,
        size: Option<Size>,
        ours: impl Fn(&str) -> Option<OsString>,
    ) -> Result<ProcessParameters, Failure> {
        let ours = |name: &str| ours(name).map(|value| unicode(name, value)).transpose();
        let mut environment = BTreeMap::new();
        if self.tty {
            let terminal = ours("TERM")?.unwrap_or_else(|| "xterm".to_owned());
            environment.insert("TERM".to_owned(), terminal);
        }
        for Variable { name, value } in &self.variables {
            let value = match value {
                Some(value) => Some(value.clone()),
                None => ours(name)?,
            };
            if let Some(value) = value {
                environment.insert(name.clone(), value);
            }
        }
        Ok(ProcessParameters {
            command_args: Some(self.command.clone()),
            user: self.user.clone(),
            working_directory: self.workdir.clone(),
            environment: (!environment.is_empty()).then_some(environment),
            emulate_console: self.tty.then_some(true),
            console_size: size
                .filter(|_| self.tty)
                .map(|size| vec![size.rows, size.columns]),
            create_std_in_pipe: self.interactive.then_some(true),
            create_std_out_pipe: Some(true),
            create_std_err_pipe: (!self.tty).then_some(true),
            ..ProcessParameters::default()
        })
    }
}

/// The value of our variable `name`.
fn unicode(name: &str, value: OsString) -> Result<String, Failure> {
    value.into_string().map_err(|value| {
        let message = format!(
            "the value of {name} is {value:?}, which is not UTF-8, so no JSON document can hold it; give another by \
             --env {name}=VALUE"
        );
        Failure::new(HResult::E_INVALIDARG, message)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use clap::Parser;
    use hcs_schema::Document;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        process: ProcessOptions,
    }

    fn document(line: &[&str]) -> Value {
        let line = Line::try_parse_from([&["x"], line].concat()).unwrap();
        let size = Size {
            rows: 24,
            columns: 80,
        };
        let ours = |name: &str| (name == "TERM" || name == "HAVE").then(|| "mine".into());
        let document = line.process.document(Some(size), ours).unwrap();
        document.check().unwrap();
        serde_json::to_value(document).unwrap()
    }

    #[test]
    fn the_command_is_all_that_follows() {
        let expected = json!({
            "CommandArgs": ["sh", "-c", "echo $1", "-i"],
            "CreateStdOutPipe": true,
            "CreateStdErrPipe": true,
        });
        assert_eq!(document(&["--", "sh", "-c", "echo $1", "-i"]), expected);
        assert_eq!(document(&["sh", "-c", "echo $1", "-i"]), expected);
    }

    #[test]
    fn a_terminal_has_a_size_a_name_and_no_standard_error() {
        let expected = json!({
            "CommandArgs": ["sh"],
            "CreateStdInPipe": true,
            "CreateStdOutPipe": true,
            "EmulateConsole": true,
            "ConsoleSize": [24, 80],
            "Environment": {"TERM": "mine"},
        });
        assert_eq!(document(&["-it", "sh"]), expected);
        assert_eq!(
            document(&["-t", "-e", "TERM=x", "sh"])["Environment"],
            json!({"TERM": "x"})
        );
    }

    #[test]
    fn variables_are_set_taken_over_or_left_out() {
        let line = [
            "-e", "A=1", "--env", "HAVE", "--env", "HAVENOT", "-w", "/tmp", "-u", "nobody", "true",
        ];
        let expected = json!({
            "CommandArgs": ["true"],
            "CreateStdOutPipe": true,
            "CreateStdErrPipe": true,
            "Environment": {"A": "1", "HAVE": "mine"},
            "WorkingDirectory": "/tmp",
            "User": "nobody",
        });
        assert_eq!(document(&line), expected);
    }

    #[test]
    fn variables_of_files_come_first() {
        let line = ["x", "--env-file", "f", "-e", "A=line", "true"];
        let mut line = Line::try_parse_from(line).unwrap();
        let read = |_: &Path| Ok("A=file\nHAVE\nB=2\n".to_owned());
        line.process.read_files(read).unwrap();
        let ours = |name: &str| (name == "HAVE").then(|| "mine".into());
        let document = line.process.document(None, ours).unwrap();
        let expected = json!({"A": "line", "B": "2", "HAVE": "mine"});
        assert_eq!(
            serde_json::to_value(document.environment).unwrap(),
            expected
        );
        let odd = |_: &Path| Ok("A=1\n=x\n".to_owned());
        let told = line.process.read_files(odd).unwrap_err().message;
        assert!(told.starts_with("f: line 2: expected NAME"), "{told}");
    }

    #[test]
    fn a_variable_that_json_cannot_hold_is_named() {
        let line = Line::try_parse_from(["x", "-e", "ODD", "true"]).unwrap();
        let odd = |_: &str| Some(OsString::from_vec(vec![b'a', 0xff]));
        let failure = line.process.document(None, odd).unwrap_err();
        assert!(
            failure.message.contains("value of ODD is \"a\\xFF\""),
            "{failure}"
        );
    }

    #[test]
    fn a_command_is_needed() {
        assert!(Line::try_parse_from(["x"]).is_err());
        assert!(Line::try_parse_from(["x", "-i", "--"]).is_err());
    }
}
