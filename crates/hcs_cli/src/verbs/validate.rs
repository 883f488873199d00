//! `hcs validate`: what is wrong with a document, without a service.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hcs_schema::{
    Failure,
    coverage::{CONTAINER, VIRTUAL_MACHINE},
    documents::{ComputeSystem, ProcessParameters},
    parse,
};

use super::read_document;
use crate::{
    failure::{Stop, sentence},
    output::{Format, FormatOption, print, print_json},
};

/// The document is invalid.
const INVALID: u8 = 1;

/// Check a document and print every fault with its JSON pointer, line and column
///
/// Exits with 0 when the document is valid and 1 when it is not, or asks for what the service refuses on every machine.
/// Only the document is looked at, not this machine.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs validate system.json
  printf '{\"CommandLine\": 1}' | hcs validate --type process -")]
pub(crate) struct Validate {
    /// The file; - reads standard input
    file: PathBuf,

    /// What the document is
    #[arg(long = "type", value_enum, default_value_t)]
    kind: Kind,

    #[command(flatten)]
    format: FormatOption,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Kind {
    /// ComputeSystem, for create
    #[default]
    System,
    /// ProcessParameters
    Process,
}

impl Validate {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let text = read_document(&self.file)?;
        let checked = match self.kind {
            Kind::System => check_system(&text),
            Kind::Process => check_process(&text),
        };
        let json = self.format.chosen() == Format::Json;
        match checked {
            Ok(()) if json => print("{}\n")?,
            Ok(()) => print(&format!("{}: valid\n", self.file.display()))?,
            Err(failure) if json => {
                let document: serde_json::Value =
                    serde_json::from_str(&failure.to_document()).unwrap_or_default();
                print_json(&document)?;
                return Ok(INVALID);
            }
            Err(failure) => {
                print(&faults(&self.file.display().to_string(), &failure))?;
                return Ok(INVALID);
            }
        }
        Ok(0)
    }
}

/// What the service would say of the document before it looks at anything else.
fn check_system(text: &str) -> Result<(), Failure> {
    let document: ComputeSystem = parse(text)?;
    let table = match document.virtual_machine {
        Some(_) => &VIRTUAL_MACHINE,
        None => &CONTAINER,
    };
    table.check(&document)
}

fn check_process(text: &str) -> Result<(), Failure> {
    CONTAINER.check(&parse::<ProcessParameters>(text)?)
}

/// A line for each fault.
fn faults(file: &str, failure: &Failure) -> String {
    if failure.causes.is_empty() {
        return format!("{file}: {}\n", failure.message);
    }
    failure
        .causes
        .iter()
        .map(|cause| format!("{file}: {}\n", sentence(cause)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_pointer_line_and_column() {
        let text = "{\n  \"Owner\": 1,\n  \"Containr\": {}\n}";
        let failure = parse::<ComputeSystem>(text).unwrap_err();
        let text = faults("x.json", &failure);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), failure.causes.len());
        assert!(
            lines[0].starts_with("x.json: /Owner (line 2, column 12): "),
            "{text}"
        );
        assert!(
            lines
                .iter()
                .any(|line| line.contains("/Containr (line 3, column 3)")),
            "{text}"
        );
        assert!(
            text.contains("Container"),
            "the nearest name is suggested: {text}"
        );
    }

    #[test]
    fn what_is_refused_everywhere_is_told_with_its_reason() {
        let container = r#"{"Container":{"RegistryChanges":{}}}"#;
        let machine = r#"{"VirtualMachine":{"Devices":{"VirtualSmb":{}}}}"#;
        for (document, said) in [
            (container, "/Container/RegistryChanges is not supported: "),
            (
                machine,
                "/VirtualMachine/Devices/VirtualSmb is not supported: ",
            ),
        ] {
            let text = faults("x", &check_system(document).unwrap_err());
            assert!(text.starts_with("x: /") && text.contains(said), "{text}");
        }
        let token = r#"{"CommandLine":"a","RestrictedToken":true}"#;
        let text = faults("x", &check_process(token).unwrap_err());
        assert!(
            text.contains("/RestrictedToken is not supported: "),
            "{text}"
        );
        check_process(r#"{"CommandLine":"a","RestrictedToken":false}"#).unwrap();
    }
}
