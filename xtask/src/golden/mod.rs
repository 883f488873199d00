//! The generated documents: `docs/COVERAGE.md`, made of the exported functions and the schema's properties.
//!
//! What is said of a function stands in `xtask/functions.toml` and `xtask/network_functions.toml`, by hand; that each
//! table has exactly the functions that its library exports is checked here.

mod coverage;

use serde::Deserialize;

use crate::{
    Repository, Result,
    conformance::{self, Conformance},
    tidy::{CORE, Library, NETWORK, is_twin, listed_exports},
};

/// What is said of each function, per library.
const CORE_FUNCTIONS: &str = "xtask/functions.toml";
const NETWORK_FUNCTIONS: &str = "xtask/network_functions.toml";
const COVERAGE: &str = "docs/COVERAGE.md";

/// A generated document.
#[derive(Debug)]
pub(crate) struct Document {
    /// Path relative to the root.
    pub file: &'static str,
    /// All of it.
    pub text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Functions {
    function: Vec<Function>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Function {
    name: String,
    status: Status,
    #[serde(default = "yes")]
    declared: bool,
    note: Option<String>,
}

const fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Status {
    Supported,
    NotImplemented,
}

/// All generated documents as they should be now.
///
/// # Errors
/// The table of functions and the list of exports disagree, or one of them cannot be read.
pub(crate) fn documents(repository: &Repository) -> Result<Vec<Document>> {
    let of = |file: &str, library: &Library| -> Result<Vec<Function>> {
        let functions = functions(repository, file)?;
        agree(&functions, &listed_exports(repository, library)?, file)?;
        Ok(functions)
    };
    let core = of(CORE_FUNCTIONS, &CORE)?;
    let network = of(NETWORK_FUNCTIONS, &NETWORK)?;
    Ok(vec![Document {
        file: COVERAGE,
        text: coverage::text(
            &core,
            &network,
            &[
                Conformance::read(repository, conformance::CORE)?,
                Conformance::read(repository, conformance::NETWORK)?,
            ],
        ),
    }])
}

/// The exported functions that no header declares, on purpose.
///
/// # Errors
/// A table cannot be read.
pub(crate) fn undeclared(repository: &Repository) -> Result<Vec<String>> {
    let mut all = functions(repository, CORE_FUNCTIONS)?;
    all.extend(functions(repository, NETWORK_FUNCTIONS)?);
    let undeclared = all.into_iter().filter(|f| !f.declared);
    Ok(undeclared.map(|f| f.name).collect())
}

fn functions(repository: &Repository, file: &str) -> Result<Vec<Function>> {
    let text = repository.read(file)?;
    let table: Functions = toml::from_str(&text).map_err(|error| format!("{file}: {error}"))?;
    Ok(table.function)
}

/// Writes them.
///
/// # Errors
/// As [`documents`], or a file cannot be written.
pub(crate) fn write(repository: &Repository) -> Result<()> {
    for document in documents(repository)? {
        if repository.read(document.file).ok().as_ref() != Some(&document.text) {
            repository.write(document.file, &document.text)?;
            println!("wrote {}", document.file);
        }
    }
    Ok(())
}

fn agree(functions: &[Function], exports: &[String], file: &str) -> Result<()> {
    let known = |name: &str| functions.iter().any(|function| function.name == name);
    let mut wrong: Vec<String> = Vec::new();
    let unknown = |name: &&String| !known(name) && !is_twin(name, exports);
    for name in exports.iter().filter(unknown) {
        wrong.push(format!("{name} is exported: add it to {file}"));
    }
    for function in functions {
        if !exports.contains(&function.name) {
            wrong.push(format!(
                "{} is not exported: remove it from {file}",
                function.name
            ));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(wrong.join("\n").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str) -> Function {
        Function {
            name: name.to_owned(),
            status: Status::Supported,
            declared: true,
            note: None,
        }
    }

    #[test]
    fn table_and_exports_must_agree() {
        let exports = ["HcsA".to_owned()];
        assert!(agree(&[function("HcsA")], &exports, "table").is_ok());
        assert!(agree(&[], &exports, "table").is_err());
        assert!(agree(&[function("HcsA"), function("HcsB")], &exports, "table").is_err());
    }
}
