//! What is promised of each function of the C API, and which check of the programs in `tests/c/` holds it to that.
//!
//! 1. [`rows`]: the promises, from `tests/c/conformance.toml`.
//! 2. [`scan`]: the checks, from the programs.
//! 3. Here: both together, for the tidy rule and for `docs/COVERAGE.md`. That each check is also run, and finds what it
//!    expects, is tested by `crates/computecore/tests/c_programs.rs`.

mod rows;
mod scan;

use std::collections::BTreeMap;

pub(crate) use rows::{FILE, Row, Source};
pub(crate) use scan::Check;

use crate::{Repository, Result};

/// Where the programs are.
const PROGRAMS: &str = "tests/c/";

/// The promises, and for each id the checks.
#[derive(Debug)]
pub(crate) struct Conformance {
    /// In the order of the data file.
    pub rows: Vec<Row>,
    /// By the id of a row.
    pub checks: BTreeMap<String, Vec<Check>>,
}

impl Conformance {
    /// Reads both.
    ///
    /// # Errors
    /// A file cannot be read, or the data file is not what it should be.
    pub(crate) fn read(repository: &Repository) -> Result<Self> {
        let rows = rows::read(&repository.read(FILE)?)?;
        let mut checks: BTreeMap<String, Vec<Check>> = BTreeMap::new();
        for file in repository.ending(&[".c", ".h"]) {
            if file.starts_with(PROGRAMS) {
                for (id, check) in scan::checks(file, &repository.read(file)?) {
                    checks.entry(id).or_default().push(check);
                }
            }
        }
        Ok(Self { rows, checks })
    }

    /// The first check of a row: of the portable programs, or the Rust test that the row names.
    pub(crate) fn check_of(&self, row: &Row) -> Option<Check> {
        if let Source::Elsewhere { file, test } = &row.source {
            return Some(Check {
                file: file.clone(),
                function: test.clone(),
            });
        }
        self.checks
            .get(&row.id())
            .and_then(|all| all.first())
            .cloned()
    }
}
