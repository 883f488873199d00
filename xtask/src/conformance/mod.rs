//! What is promised of each function of the C API, and which check of its C programs holds it to that.
//!
//! 1. [`rows`]: the promises, from the file `conformance.toml` beside the programs.
//! 2. [`scan`]: the checks, from the programs.
//! 3. Here: both together, for the tidy rule and for `docs/COVERAGE.md`; each library has its own. That each check is
//!    also run, and finds what it expects, is tested by `c_programs.rs` of the library.

mod rows;
mod scan;

use std::collections::BTreeMap;

pub(crate) use rows::{Row, Source};
pub(crate) use scan::Check;

use crate::{Repository, Result};

/// The promises of a library.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promises {
    /// The data file.
    pub file: &'static str,
    /// Where the programs are.
    programs: &'static str,
}

/// Those of `ComputeCore.h` and of what is beside it.
pub(crate) const CORE: Promises = Promises {
    file: "tests/c/conformance.toml",
    programs: "tests/c/",
};

/// Those of `ComputeNetwork.h`.
pub(crate) const NETWORK: Promises = Promises {
    file: "crates/computenetwork/tests/c_programs/conformance.toml",
    programs: "crates/computenetwork/tests/c_programs/",
};

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
    pub(crate) fn read(repository: &Repository, promises: Promises) -> Result<Self> {
        let rows = rows::read(promises.file, &repository.read(promises.file)?)?;
        let mut checks: BTreeMap<String, Vec<Check>> = BTreeMap::new();
        for file in repository.ending(&[".c", ".h"]) {
            if file.starts_with(promises.programs) {
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
