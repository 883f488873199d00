//! The shell of a session: one bash for all commands of a document, so that directories and variables carry on.

use std::{
    io::{BufReader, PipeReader, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdin, Command, Stdio},
    str::FromStr,
};

use super::{place::Place, terminal};

/// Reads commands that end with a NUL, and says behind each, between two marks, how it ended and where the shell is.
const LOOP: &str = r#"exec 3<&0 </dev/null
while IFS= read -r -d '' command <&3; do
    eval "$command" 3<&-
    printf '\036%d %s\036' $? "$PWD"
done"#;

/// Stands before and behind the end of a command, and in no output.
const MARK: u8 = 0o36;

/// A running shell.
#[derive(Debug)]
pub(super) struct Shell {
    bash: Child,
    commands: ChildStdin,
    output: BufReader<PipeReader>,
}

/// How a command ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// What it said, on standard output and standard error, or on its terminal.
    pub said: String,
    /// Its exit code.
    pub code: i32,
    /// Where the shell is now.
    pub directory: String,
}

impl Shell {
    /// Starts it in the checkout of `place`.
    pub(super) fn new(place: &Place<'_>) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = Command::new("bash");
        command
            .args(["-c", LOOP])
            .env_clear()
            .envs(place.environment())
            .current_dir(place.checkout())
            .stdin(Stdio::piped())
            .stdout(writer.try_clone().unwrap())
            .stderr(writer);
        // A group of its own, as a terminal gives it.
        let mut bash = command.process_group(0).spawn().unwrap();
        Self {
            commands: bash.stdin.take().unwrap(),
            output: BufReader::new(reader),
            bash,
        }
    }

    /// Runs a command.
    ///
    /// # Errors
    /// It ended the shell.
    pub(super) fn run(&mut self, command: &str) -> Result<Ended, String> {
        let line = format!("{command}\0");
        let written = self.commands.write_all(line.as_bytes());
        written.map_err(|_| "finds no shell, since an earlier command ended it")?;
        let said = self.until_mark()?;
        let end = self.until_mark()?;
        let (code, directory) = end.split_once(' ').ok_or("says what is no text")?;
        Ok(Ended {
            said,
            code: i32::from_str(code).map_err(|error| error.to_string())?,
            directory: directory.to_owned(),
        })
    }

    /// Runs a command at a terminal, where a person waits for each `prompt` to type the next of `keys`.
    ///
    /// # Errors
    /// It ended the shell.
    pub(super) fn run_at_terminal(
        &mut self,
        command: &str,
        prompt: &'static str,
        keys: Vec<String>,
    ) -> Result<Ended, String> {
        let terminal = terminal::Terminal::new(prompt, keys);
        let name = terminal.name().to_owned();
        let ended = self.run(&format!("{{ {command}\n}} <'{name}' >'{name}' 2>&1"));
        let screen = terminal.screen();
        let mut ended = ended?;
        ended.said.insert_str(0, &screen);
        Ok(ended)
    }

    /// Ends the shell.
    pub(super) fn end(mut self) {
        drop(self.commands);
        self.bash.wait().unwrap();
    }

    fn until_mark(&mut self) -> Result<String, String> {
        let mut said = Vec::new();
        for byte in self.output.by_ref().bytes() {
            match byte.unwrap() {
                MARK => return Ok(String::from_utf8_lossy(&said).into_owned()),
                byte => said.push(byte),
            }
        }
        let said = String::from_utf8_lossy(&said);
        Err(format!("ended the shell, and said before: {said}"))
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use super::*;
    use crate::Repository;

    #[test]
    fn variables_and_directories_carry_on_from_command_to_command() {
        let repository = Repository::here().unwrap();
        let place = Place::new(&repository, true);
        let mut shell = Shell::new(&place);
        shell.run("there=docs; cd \"$there\"").unwrap();
        let ended = shell
            .run("cat <<X; echo $there >&2; false\nhere\nX")
            .unwrap();
        assert_eq!((ended.said.as_str(), ended.code), ("here\ndocs\n", 1));
        assert_eq!(Path::new(&ended.directory), place.checkout().join("docs"));
        let lost = shell.run("echo last; exit 3").unwrap_err();
        assert!(lost.contains("last"), "{lost}");
        shell.end();
        assert_eq!(place.leave(Duration::from_secs(60)), Vec::<String>::new());
    }

    #[test]
    fn a_terminal_shows_what_is_typed_at_its_prompts() {
        let repository = Repository::here().unwrap();
        let place = Place::new(&repository, true);
        let mut shell = Shell::new(&place);
        let script = "test -t 0 && test -t 1; printf '# '; read a; printf '# '; read b; echo $b$a";
        let keys = ["one", "two"].map(str::to_owned).to_vec();
        let ended = shell.run_at_terminal(script, "# ", keys).unwrap();
        assert_eq!(
            (ended.said.as_str(), ended.code),
            ("# one\n# two\ntwoone\n", 0)
        );
        shell.end();
        assert_eq!(place.leave(Duration::from_secs(60)), Vec::<String>::new());
    }
}
