//! `hcs man`: the manual pages, made of what `--help` says.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::{Args, Command};
use hcs_schema::{Failure, HResult};

use crate::{failure::Stop, output::print};

/// Write the manual pages, hcs(1) and one for each verb, or print hcs(1)
///
/// Pages are files for man(1), not text to be read as it is.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs man /usr/local/share/man/man1
  hcs man > hcs.1")]
pub(crate) struct Man {
    /// Write all pages into this directory, which has to exist [default: print hcs(1)]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Man {
    /// `cli` is the whole command line.
    pub(crate) fn run(self, mut cli: Command) -> Result<u8, Stop> {
        cli.build();
        let Some(directory) = self.directory else {
            print(&page(&cli).map_err(|error| unwritten("hcs.1", &error))?)?;
            return Ok(0);
        };
        for command in all(&cli) {
            let file = directory.join(format!("{}.1", name(command)));
            let written = page(command).and_then(|page| replace(&file, page.as_bytes()));
            written.map_err(|error| unwritten(&file.display().to_string(), &error))?;
        }
        Ok(0)
    }
}

/// Writes a new file in the place of what is there. A link is replaced, not followed: others may write into the
/// directory.
fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    let mut new = options.write(true).create_new(true).open(file)?;
    new.write_all(text)
}

/// A command, and all below it.
fn all(command: &Command) -> Vec<&Command> {
    // What other verbs do by a process of its own is for no reader.
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
    let below = shown.flat_map(all);
    [command].into_iter().chain(below).collect()
}

fn unwritten(file: &str, error: &io::Error) -> Failure {
    Failure::new(HResult::E_FAIL, format!("{file} cannot be written")).because(error)
}

/// `hcs-run` of the verb `run`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

fn page(command: &Command) -> io::Result<String> {
    // What stands after the options has sections of its own.
    let after = command.get_after_help().map(ToString::to_string);
    let man = clap_mangen::Man::new(command.clone()).manual("hcs");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    page.extend(synopsis(command).into_bytes());
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut page = String::from_utf8_lossy(&page).into_owned();
    page.push_str(&sections(&after.unwrap_or_default()));
    if name(command) != "hcs" {
        page.push_str(".SH \"SEE ALSO\"\n\\fBhcs\\fR(1)\n");
    }
    Ok(page)
}

/// How a command is called, as its help says it: the options are listed further below, with their values.
fn synopsis(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage:").unwrap_or(&usage);
    let lines = usage.lines().map(|line| literal(line.trim()) + "\n");
    format!(".SH SYNOPSIS\n.nf\n{}.fi\n", lines.collect::<String>())
}

/// `Title:` and the lines below it become a section, as they are.
fn sections(text: &str) -> String {
    let mut page = String::new();
    let mut open = false;
    for line in text.lines() {
        let title = line
            .strip_suffix(':')
            .filter(|title| !title.starts_with(' '));
        if let Some(title) = title {
            page.push_str(if open { ".fi\n" } else { "" });
            page.push_str(&format!(".SH \"{}\"\n.nf\n", title.to_uppercase()));
            open = true;
        } else if !line.is_empty() {
            page.push_str(&literal(line.strip_prefix("  ").unwrap_or(line)));
            page.push('\n');
        }
    }
    page.push_str(if open { ".fi\n" } else { "" });
    page
}

/// A line of a page that shows this text: nothing in it is a request of roff.
fn literal(line: &str) -> String {
    let shown = line
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq")
        .replace('`', "\\(ga");
    format!("\\&{shown}")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn a_link_in_the_place_of_a_page_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (page, other) = (folder.path().join("hcs.1"), folder.path().join("other"));
        fs::write(&other, "untouched").unwrap();
        std::os::unix::fs::symlink(&other, &page).unwrap();
        for text in ["one", "two"] {
            replace(&page, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&page).unwrap(), text);
        }
        assert_eq!(fs::read_to_string(&other).unwrap(), "untouched");
    }

    #[test]
    fn what_stands_below_a_title_is_a_section() {
        let text = "Examples:\n  hcs run -- a\n\nExit codes:\n  1\n  .x 'y' \\";
        let page = ".SH \"EXAMPLES\"\n.nf\n\\&hcs run \\-\\- a\n.fi\n.SH \"EXIT CODES\"\n.nf\n\\&1\n\\&.x \\(aqy\\(aq \\e\n.fi\n";
        assert_eq!(sections(text), page);
        assert_eq!(sections(""), "");
    }

    #[test]
    fn every_verb_has_a_page_with_its_examples() {
        let mut cli = Cli::command();
        cli.build();
        for verb in all(&cli).split_off(1) {
            let page = page(verb).unwrap();
            let name = name(verb);
            assert!(name.starts_with("hcs-"), "{name}");
            assert!(page.contains(&format!(".TH {name} 1")), "{page}");
            assert!(page.contains(".SH \"EXAMPLES\"\n"), "{page}");
        }
        let called = synopsis(cli.find_subcommand("run").unwrap());
        let lines = "\\&hcs run [OPTIONS] IMAGE [CMD...]\n\\&hcs run [OPTIONS] \\-\\- CMD...\n";
        assert_eq!(called, format!(".SH SYNOPSIS\n.nf\n{lines}.fi\n"));
    }
}
