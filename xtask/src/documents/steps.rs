//! What a user does who follows a document: commands, and files to be written.

use super::blocks::Block;

/// One thing to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DocumentStep {
    /// Write a file.
    Write(File),
    /// Type a command.
    Run(Command),
}

/// A file that a document shows as a whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    /// Line of its fence.
    pub line: usize,
    /// Its name, which a later command has to use.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// Its line in the document.
    pub line: usize,
    /// What is typed.
    pub text: String,
    /// What the document shows below it; `None` where it shows commands only.
    pub shown: Option<Vec<String>>,
}

/// The steps of a document.
///
/// # Errors
/// A block is none that a user could follow, or its file is never used.
pub(super) fn of(blocks: &[Block]) -> Result<Vec<DocumentStep>, String> {
    let mut steps = Vec::new();
    for block in blocks {
        match block.language.as_str() {
            "text" => picture(block)?,
            "console" => steps.extend(console(block)?.into_iter().map(DocumentStep::Run)),
            "sh" => steps.extend(script(block).into_iter().map(DocumentStep::Run)),
            _ => steps.push(DocumentStep::Write(file(block)?)),
        }
    }
    for (at, step) in steps.iter().enumerate() {
        if let DocumentStep::Write(File { line, name, .. }) = step {
            let uses = |later: &DocumentStep| matches!(later, DocumentStep::Run(it) if it.text.contains(name));
            if !steps[at..].iter().any(uses) {
                return Err(format!("line {line}: no command uses {name} afterwards"));
            }
        }
    }
    Ok(steps)
}

/// A picture is no place for commands, which would not be run there.
fn picture(block: &Block) -> Result<(), String> {
    let programs = ["$ ", "cargo ", "hcs "];
    let typed = block
        .lines
        .iter()
        .find(|text| programs.iter().any(|it| text.starts_with(it)));
    typed.map_or(Ok(()), |text| {
        Err(format!(
            "line {}: a block of text has the command {text:?}",
            block.line
        ))
    })
}

/// A terminal as the user sees it: `$ ` before a command, `> ` before its further lines, and what it says.
fn console(block: &Block) -> Result<Vec<Command>, String> {
    let mut commands: Vec<Command> = Vec::new();
    for (text, line) in block.lines.iter().zip(block.line + 1..) {
        if let Some(typed) = text.strip_prefix("$ ") {
            commands.push(Command {
                line,
                text: typed.to_owned(),
                shown: Some(Vec::new()),
            });
            continue;
        }
        let Some(command) = commands.last_mut() else {
            return Err(format!("line {line}: no command stands before {text:?}"));
        };
        let shown = command.shown.get_or_insert_default();
        match text.strip_prefix("> ") {
            Some(more) if shown.is_empty() => {
                command.text.push('\n');
                command.text.push_str(more);
            }
            _ => shown.push(text.clone()),
        }
    }
    Ok(commands)
}

/// Commands alone, one a line; what is behind a `#` is for the reader, and for the shell a comment.
fn script(block: &Block) -> Vec<Command> {
    let lines = block.lines.iter().zip(block.line + 1..);
    lines
        .filter(|(text, _)| !text.trim().is_empty() && !text.starts_with('#'))
        .map(|(text, line)| Command {
            line,
            text: text.clone(),
            shown: None,
        })
        .collect()
}

/// A file, whose name is the last word in backquotes of the line before: "In `hello.c`:".
fn file(block: &Block) -> Result<File, String> {
    let Block { line, language, .. } = block;
    let named = block
        .lead
        .strip_suffix("`:")
        .and_then(|lead| lead.rsplit_once('`'));
    let Some((_, name)) = named else {
        return Err(format!(
            "line {line}: the line before a block of {language} ends with the name of its file: `name`:"
        ));
    };
    Ok(File {
        line: *line,
        name: name.to_owned(),
        text: block.lines.iter().map(|text| format!("{text}\n")).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::{super::blocks, *};

    fn steps(text: &str) -> Result<Vec<DocumentStep>, String> {
        of(&blocks::of(text).unwrap())
    }

    fn command(line: usize, text: &str, shown: Option<&[&str]>) -> DocumentStep {
        DocumentStep::Run(Command {
            line,
            text: text.to_owned(),
            shown: shown.map(|lines| lines.iter().map(|&it| it.to_owned()).collect()),
        })
    }

    #[test]
    fn a_console_has_commands_and_what_they_say() {
        let text = "```console\n$ echo a\na\n$ cat <<X\n> b\n> X\nb\n> c\n$ true\n```\n";
        let expected = [
            command(2, "echo a", Some(&["a"])),
            command(4, "cat <<X\nb\nX", Some(&["b", "> c"])),
            command(9, "true", Some(&[])),
        ];
        assert_eq!(steps(text).unwrap(), expected);
        assert!(steps("```console\necho a\n```\n").is_err());
    }

    #[test]
    fn a_script_has_commands_alone_and_a_picture_none() {
        let text = "```sh\n# why\ntrue   # that\n\nfalse\n```\n```text\na -> b\n```\n";
        let expected = [command(3, "true   # that", None), command(5, "false", None)];
        assert_eq!(steps(text).unwrap(), expected);
        assert!(
            steps("```text\nhcs list\n```\n")
                .unwrap_err()
                .contains("hcs list")
        );
    }

    #[test]
    fn a_file_has_a_name_and_a_use() {
        let file = "In `a.c`:\n\n```c\nint a;\n```\n";
        let use_of = |name: &str| steps(&format!("{file}\n```sh\ncc {name}\n```\n"));
        let expected = DocumentStep::Write(File {
            line: 3,
            name: "a.c".to_owned(),
            text: "int a;\n".to_owned(),
        });
        assert_eq!(use_of("a.c").unwrap()[0], expected);
        assert!(use_of("b.c").unwrap_err().contains("no command uses a.c"));
        assert!(
            steps("Text.\n\n```c\nint a;\n```\n")
                .unwrap_err()
                .contains("name of its file")
        );
    }
}
